//! What membership does next, from what L1 shows and what was sent before: a state machine without I/O.
//! What is said to be sent has been taken by the publisher; what failed is asked for again at the next L1
//! block. Not here: asking and sending.

use alloy_primitives::Address;
use obscuro_protocol::door::{Duty, Head, SeedShare};
use std::collections::BTreeMap;

/// L1 blocks for which a waiting member is left to the next rollup, which carries answers to all
/// (protocol 3.5), before the first stand-alone answer.
const ROLLUP_FIRST_BLOCKS: u64 = 1;

/// L1 blocks after which something sent that L1 does not show is sent again.
const PATIENCE_BLOCKS: u64 = 6;

/// What a node that is not registered does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// Nothing now.
    Wait,
    /// Register.
    Register {
        /// With the network's seed and key.
        genesis: bool,
    },
}

/// What was sent, and at which L1 block.
#[derive(Debug, Default)]
pub struct Sent {
    registration: Option<u64>,
    address: Option<u64>,
    attestation: Option<u64>,
    epoch: Option<u64>,
    rejection: Option<u64>,
    shares: BTreeMap<Address, u64>,
}

impl Sent {
    /// What to do as long as L1 does not show the node.
    pub fn join(&self, head: &Head, genesis: bool) -> Join {
        let network_exists = !head.network_key.is_empty();
        if !network_exists && !genesis || !is_due(self.registration, head.l1.number) {
            return Join::Wait;
        }
        Join::Register { genesis: genesis && !network_exists }
    }

    /// The registration was sent.
    pub fn registration(&mut self, now: u64) {
        self.registration = Some(now);
    }

    /// Whether to correct the address that L1 gives to peers.
    pub fn address_is_due(&self, host_address: &str, head: &Head) -> bool {
        !host_address.is_empty()
            && head.host_address != host_address
            && is_due(self.address, head.l1.number)
    }

    /// The right address was sent.
    pub fn address(&mut self, now: u64) {
        self.address = Some(now);
    }

    /// The duties of a registered node that are to be done at this head.
    pub fn due(&self, head: &Head) -> Vec<Duty> {
        let is_due = |duty: &Duty| is_due(self.of(*duty), head.l1.number);
        head.duties.iter().copied().filter(is_due).collect()
    }

    fn of(&self, duty: Duty) -> Option<u64> {
        match duty {
            Duty::Attest => self.attestation,
            Duty::OpenEpoch => self.epoch,
            Duty::RejectSeed => self.rejection,
            // One by one: see `shares_due`.
            Duty::ShareSeed => None,
        }
    }

    /// What a duty asks for was sent.
    pub fn duty(&mut self, duty: Duty, now: u64) {
        match duty {
            Duty::Attest => self.attestation = Some(now),
            Duty::OpenEpoch => {}
            Duty::RejectSeed => self.rejection = Some(now),
            Duty::ShareSeed => {}
        }
    }

    /// A new epoch was offered.
    pub fn epoch(&mut self, now: u64) {
        self.epoch = Some(now);
    }

    /// Whether as many others as have precedence have had a block each.
    pub fn is_turn(since: u64, rank: u64, now: u64) -> bool {
        now >= since.saturating_add(rank)
    }

    /// Those of the shares that this node has to send, each delayed by its rank unless another was
    /// faster.
    pub fn shares_due(&mut self, shares: Vec<SeedShare>, now: u64) -> Vec<SeedShare> {
        self.shares.retain(|enclave, _| shares.iter().any(|s| s.answer.enclave == *enclave));
        let is_turn = |share: &SeedShare| {
            Self::is_turn(share.waits_since + ROLLUP_FIRST_BLOCKS, share.rank, now)
                && is_due(self.shares.get(&share.answer.enclave).copied(), now)
        };
        shares.into_iter().filter(is_turn).collect()
    }

    /// A share was sent.
    pub fn share(&mut self, enclave: Address, now: u64) {
        self.shares.insert(enclave, now);
    }
}

/// Whether something is to be sent at L1 block `now`, for the first time or again.
fn is_due(sent: Option<u64>, now: u64) -> bool {
    // A reorganisation may have taken L1 back.
    sent.is_none_or(|sent| now < sent || now - sent >= PATIENCE_BLOCKS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use obscuro_protocol::{config::L1BlockId, l1::SeedAnswer};

    fn head(number: u64, network_key: &'static [u8]) -> Head {
        Head {
            l1: L1BlockId { number, ..Default::default() },
            network_key: network_key.into(),
            ..Default::default()
        }
    }

    #[test]
    fn a_newcomer_registers_and_repeats_what_l1_does_not_show() {
        let mut sent = Sent::default();
        let register = Join::Register { genesis: false };
        assert_eq!(sent.join(&head(1, b"key"), false), register);
        sent.registration(1);
        assert_eq!(sent.join(&head(6, b"key"), false), Join::Wait);
        assert_eq!(sent.join(&head(7, b"key"), false), register);
        sent.registration(7);
        assert_eq!(sent.join(&head(8, b"key"), false), Join::Wait);
        assert_eq!(sent.join(&head(5, b"key"), false), register, "L1 was taken back");
    }

    #[test]
    fn only_the_first_node_makes_a_network() {
        let sent = Sent::default();
        assert_eq!(sent.join(&head(1, b""), false), Join::Wait);
        assert_eq!(sent.join(&head(1, b""), true), Join::Register { genesis: true });
        assert_eq!(sent.join(&head(1, b"key"), true), Join::Register { genesis: false });
    }

    #[test]
    fn shares_wait_for_their_rank_and_for_patience() {
        let share = |enclave: u8, rank| SeedShare {
            answer: SeedAnswer { enclave: Address::repeat_byte(enclave), ..Default::default() },
            rank,
            waits_since: 10,
        };
        let mut sent = Sent::default();
        assert_eq!(sent.shares_due(vec![share(1, 0)], 10), [], "the next rollup may carry it");
        let due = sent.shares_due(vec![share(1, 0), share(2, 3)], 11);
        assert_eq!(due, [share(1, 0)]);
        sent.share(Address::repeat_byte(1), 11);
        assert_eq!(sent.shares_due(vec![share(1, 0), share(2, 3)], 14), [share(2, 3)]);
        assert_eq!(sent.shares_due(vec![share(1, 0)], 17), [share(1, 0)]);
    }
}
