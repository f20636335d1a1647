//! The operator's transactions that are not on L1 yet, by nonce: which nonce a transaction takes, what
//! it replaces, what has been included, what is overdue. No I/O. Not here: fees and sending.

use super::fees::Fees;
use alloy_primitives::{Address, B256, Bytes, U256};
use obscuro_protocol::{l1::SeedAnswer, rollup::SignedRollup};
use std::collections::BTreeMap;

/// What a transaction is for. Of each purpose at most one is under way: a newer one replaces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Registers a CA of machines.
    RegisterAuthority,
    /// Registers the machine.
    RegisterPlatform,
    /// Registers the node.
    Register,
    /// Shows a fresh quote.
    Attest,
    /// Opens a seed epoch.
    OpenEpoch,
    /// Refuses a seed that is not the network's.
    RejectSeed,
    /// Hands the seed to this enclave.
    ShareSeed(Address),
    /// Tells where peers reach the node.
    Move,
    /// Accuses, slashes or acquits.
    Prosecute,
    /// Takes what newcomers paid for answers.
    WithdrawFees,
    /// Publishes a rollup.
    Publish,
}

/// What a transaction does.
#[derive(Clone, Debug)]
pub enum Content {
    /// Calls a contract.
    Call {
        /// The contract.
        to: Address,
        /// Calldata.
        input: Bytes,
        /// Wei that go with it.
        value: U256,
    },
    /// Publishes a rollup, with answers to members that wait for the seed.
    Rollup(Box<SignedRollup>, Vec<SeedAnswer>),
    /// Takes the place of what is not worth its price any more: of this rollup, or of whatever is under way
    /// for the purpose.
    Nothing(Option<B256>),
}

/// A transaction under way.
#[derive(Clone, Debug)]
pub struct Slot {
    /// What it is for.
    pub purpose: Purpose,
    /// What it does.
    pub content: Content,
    /// What it offers.
    pub fees: Fees,
    /// The hashes under which it was sent, newest last.
    pub hashes: Vec<B256>,
    /// L1 block on top of which it was sent last.
    pub sent_at: u64,
}

impl Slot {
    /// Whether it was sent at least `patience` blocks before this one.
    pub fn is_overdue(&self, block: u64, patience: u64) -> bool {
        self.sent_at + patience <= block
    }

    /// Whether it carries blobs.
    pub fn has_blobs(&self) -> bool {
        self.fees.max_blob_fee > 0
    }
}

/// All of them.
#[derive(Debug, Default)]
pub struct Outbox {
    slots: BTreeMap<u64, Slot>,
}

impl Outbox {
    /// The transaction of a purpose, with its nonce.
    pub fn find(&self, purpose: Purpose) -> Option<(u64, &Slot)> {
        let mut slots = self.slots.iter();
        slots.find(|(_, slot)| slot.purpose == purpose).map(|(nonce, slot)| (*nonce, slot))
    }

    /// The nonce for a transaction: that of the one it replaces, or the first free one of an account
    /// with `count` transactions on L1.
    pub fn nonce(&self, purpose: Purpose, count: u64) -> u64 {
        let free = || (count..).find(|nonce| !self.slots.contains_key(nonce)).unwrap_or(count);
        self.find(purpose).map_or_else(free, |(nonce, _)| nonce)
    }

    /// Whether a transaction with blobs is under way, and whether one without. Nodes refuse to queue
    /// both for one account.
    pub fn kinds(&self) -> (bool, bool) {
        let slots = || self.slots.values();
        (slots().any(Slot::has_blobs), slots().any(|slot| !slot.has_blobs()))
    }

    /// A transaction was sent, in place of the one with the same nonce.
    pub fn sent(&mut self, nonce: u64, mut slot: Slot) {
        if let Some(former) = self.slots.remove(&nonce) {
            let newer = std::mem::replace(&mut slot.hashes, former.hashes);
            slot.hashes.extend(newer);
        }
        self.slots.insert(nonce, slot);
    }

    /// Takes out what an account with `count` transactions on L1 has behind it.
    pub fn settle(&mut self, count: u64) -> Vec<Slot> {
        let open = self.slots.split_off(&count);
        std::mem::replace(&mut self.slots, open).into_values().collect()
    }

    /// Takes out everything if there is a gap before it, which a reorganisation left: it would wait for
    /// ever.
    pub fn take_stranded(&mut self, count: u64) -> Vec<Slot> {
        match self.slots.first_key_value() {
            Some((first, _)) if *first > count => {
                std::mem::take(&mut self.slots).into_values().collect()
            }
            _ => Vec::new(),
        }
    }

    /// The first transaction, if it was sent at least `patience` blocks ago: whatever the others offer, they
    /// wait for it. A rollup is overdue only when others wait behind it: its round is replayed, and the
    /// winner replaces it anyway. What took the place of blobs is, as nodes queue nothing behind it.
    pub fn overdue(&self, block: u64, patience: u64) -> Option<&Slot> {
        let (_, first) = self.slots.first_key_value()?;
        let is_in_the_way = match first.content {
            Content::Nothing(_) => first.has_blobs(),
            _ => first.purpose != Purpose::Publish,
        };
        let matters = is_in_the_way || self.slots.len() > 1;
        (matters && first.is_overdue(block, patience)).then_some(first)
    }

    /// Whether nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(purpose: Purpose, hash: u8, sent_at: u64) -> Slot {
        Slot {
            purpose,
            content: Content::Call { to: Address::ZERO, input: Bytes::new(), value: U256::ZERO },
            fees: Fees { max_fee: 1, priority_fee: 1, max_blob_fee: 0 },
            hashes: vec![B256::repeat_byte(hash)],
            sent_at,
        }
    }

    fn purposes(slots: &[Slot]) -> Vec<Purpose> {
        slots.iter().map(|slot| slot.purpose).collect()
    }

    #[test]
    fn nonces_are_reused_by_purpose_and_gaps_are_filled() {
        let mut outbox = Outbox::default();
        assert_eq!(outbox.nonce(Purpose::Move, 7), 7);
        outbox.sent(7, slot(Purpose::Move, 1, 10));
        assert_eq!(outbox.nonce(Purpose::Register, 7), 8);
        outbox.sent(8, slot(Purpose::Register, 2, 10));
        assert_eq!(outbox.nonce(Purpose::Move, 7), 7, "a replacement");
        outbox.sent(7, slot(Purpose::Move, 3, 11));
        let (_, replaced) = outbox.find(Purpose::Move).unwrap();
        assert_eq!(replaced.hashes, [B256::repeat_byte(1), B256::repeat_byte(3)]);

        assert_eq!(purposes(&outbox.settle(8)), [Purpose::Move]);
        assert_eq!(outbox.nonce(Purpose::Publish, 8), 9);
        // A reorganisation undoes the first one.
        assert_eq!(outbox.nonce(Purpose::Publish, 7), 7);
        assert_eq!(purposes(&outbox.take_stranded(7)), [Purpose::Register]);
        assert!(outbox.is_empty());
    }

    #[test]
    fn rollups_are_overdue_only_when_in_the_way() {
        let mut outbox = Outbox::default();
        outbox.sent(3, slot(Purpose::Publish, 1, 10));
        let overdue = |outbox: &Outbox, block| outbox.overdue(block, 2).map(|slot| slot.purpose);
        assert_eq!(overdue(&outbox, 20), None);
        let share = Purpose::ShareSeed(Address::repeat_byte(4));
        outbox.sent(4, slot(share, 2, 19));
        assert_eq!(overdue(&outbox, 11), None);
        assert_eq!(overdue(&outbox, 20), Some(Purpose::Publish));
        assert!(outbox.take_stranded(3).is_empty());
        // What waits behind it is not raised before it is the first.
        outbox.settle(4);
        assert_eq!(overdue(&outbox, 20), None);
        assert_eq!(overdue(&outbox, 21), Some(share));
    }
}
