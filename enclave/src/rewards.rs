//! Who earned what, decided from L1 and valid rollups alone (protocol 5.7, 10.3; S2 "Incentives for
//! publishing", "Collocation"). Not here: payment, which the pool's contract on L2 makes when the next
//! rollup tells it what is due, and what a publication costs (`obscuro_protocol::fees`).

use crate::view::{RegisteredNode, Rollup};
use alloy_primitives::{Address, B256, U256, keccak256};
use obscuro_protocol::{
    config::NetworkConfig, fees::L1Prices, limits::SETTLEMENT_BLOCKS, rollup::RollupHeader,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};

/// What the lower of two nonces gets of the reward when both were published at once, percent.
const LOWER_NONCE_PERCENT: u128 = 75;

/// Registered nodes by their enclaves.
type Nodes = BTreeMap<Address, RegisteredNode>;

/// What one L1 block says beside the rollups in it.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// Its number.
    pub block: u64,
    /// Its prices.
    pub prices: L1Prices,
    /// Everybody who was ever registered.
    pub nodes: &'a Nodes,
    /// The network.
    pub config: &'a NetworkConfig,
}

/// An amount for an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reward {
    /// L1 account that registered the node; the same one is paid on L2.
    pub owner: Address,
    /// In the smallest unit of OBX.
    pub amount: u128,
}

/// An amount for whoever shows that an enclave executed a rollup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prize {
    /// The rollup.
    pub rollup: B256,
    /// Whose signature is asked for.
    pub enclave: Address,
    /// Who gets it.
    pub reward: Reward,
}

/// What was earned and has not been credited on L2.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rewards {
    /// Canonical rollups that a sibling may still prove to be front-runners.
    open: Vec<Publication>,
    /// By the L1 block in which it was settled.
    due: Vec<(u64, Reward)>,
    /// By the L1 block in which it was drawn.
    prizes: Vec<(u64, Prize)>,
}

/// A canonical rollup that is not settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Publication {
    round: (B256, B256),
    nonce: U256,
    included: u64,
    /// Paid unless the winner of the round comes.
    rewards: Vec<Reward>,
    /// The lowest nonce that came later, and what its publication cost.
    overtaken: Option<(U256, Reward)>,
}

impl Rewards {
    /// What the next rollup credits.
    pub fn due(&self) -> impl Iterator<Item = &Reward> {
        self.due.iter().map(|(_, reward)| reward)
    }

    /// What the next rollup offers.
    pub fn prizes(&self) -> impl Iterator<Item = &Prize> {
        self.prizes.iter().map(|(_, prize)| prize)
    }

    /// The L1 blocks that prove rollups which a sibling may still prove to be front-runners.
    pub fn open_proofs(&self) -> impl Iterator<Item = B256> {
        self.open.iter().map(|open| open.round.1)
    }

    /// Whether the child of a rollup that became canonical may still prove to be a front-runner.
    pub fn is_open(&self, parent: B256) -> bool {
        self.open.iter().any(|open| open.round.0 == parent)
    }

    /// Whether there is nothing to tell the pool.
    pub fn is_empty(&self) -> bool {
        self.due.is_empty() && self.prizes.is_empty()
    }

    /// Whether a rollup published in this L1 block, though never canonical, would change who is paid: it
    /// is of the same round as a front-runner, with a lower nonce.
    pub fn concern(&self, header: &RollupHeader, block: u64) -> bool {
        self.open.iter().any(|open| open.is_overtaken_by(header, block))
    }

    /// A new canonical rollup: everything up to its proof has been credited by it.
    pub fn include(&mut self, winner: &Rollup, siblings: &[Arc<Rollup>], around: Around<'_>) {
        let proof = winner.header.l1ProofNumber;
        self.due.retain(|(settled, _)| *settled > proof);
        self.prizes.retain(|(drawn, _)| *drawn > proof);
        // With several of one round, the two lowest nonces share.
        let second = siblings
            .iter()
            .filter(|other| other.hash != winner.hash)
            .filter(|other| other.header.round() == winner.header.round())
            .min_by_key(|other| (other.header.nonce, other.hash));
        let whole = around.reward_of(winner);
        let first = match second {
            Some(_) => whole / 100 * LOWER_NONCE_PERCENT,
            None => whole,
        };
        let mut rewards = vec![around.reward(winner.header.aggregator, first)];
        if let Some(second) = second {
            rewards.push(around.reward(second.header.aggregator, whole - first));
        }
        self.open.push(Publication {
            round: winner.header.round(),
            nonce: winner.header.nonce,
            included: around.block,
            rewards: rewards.into_iter().flatten().collect(),
            overtaken: None,
        });
    }

    /// A valid rollup of a round that another has won on L1 before it.
    pub fn overtake(&mut self, late: &Rollup, around: Around<'_>) {
        let Some(cost) = around.reward(late.header.aggregator, around.cost_of(late)) else {
            return;
        };
        let open = self.open.iter_mut();
        for open in open.filter(|open| open.is_overtaken_by(&late.header, around.block)) {
            open.overtaken = Some((late.header.nonce, cost));
        }
    }

    /// The last thing in a block: what nobody can contest any more becomes due.
    pub fn settle(&mut self, block: u64) {
        let is_final =
            |open: &Publication| open.included.saturating_add(SETTLEMENT_BLOCKS) <= block;
        let (settled, open) =
            std::mem::take(&mut self.open).into_iter().partition::<Vec<_>, _>(is_final);
        self.open = open;
        for publication in settled {
            let rewards = match publication.overtaken {
                Some((_, cost)) => vec![cost],
                None => publication.rewards,
            };
            self.due.extend(rewards.into_iter().map(|reward| (block, reward)));
        }
    }

    /// Offers half of what was paid for computing a rollup to one of the members, by the randomness of
    /// the L1 block that included it, and half to the block's proposer if it owns a member.
    pub fn draw(
        &mut self,
        rollup: &Rollup,
        (randao, proposer): (B256, Address),
        members: &[(Address, Address)],
        around: Around<'_>,
    ) {
        let price = u128::from(around.config.computePrice);
        let amount = price.saturating_mul(rollup.header.gasUsed.into()) / 2;
        if amount == 0 || members.is_empty() {
            return;
        }
        let ticket = keccak256([randao.as_slice(), rollup.hash.as_slice()].concat());
        let drawn = (U256::from_be_bytes(ticket.0) % U256::from(members.len())).saturating_to();
        let proposing = members.iter().find(|(_, owner)| *owner == proposer);
        for (enclave, owner) in members.get::<usize>(drawn).into_iter().chain(proposing) {
            let reward = Reward { owner: *owner, amount };
            self.prizes
                .push((around.block, Prize { rollup: rollup.hash, enclave: *enclave, reward }));
        }
    }
}

impl Publication {
    fn is_overtaken_by(&self, header: &RollupHeader, block: u64) -> bool {
        let lowest = self.overtaken.map_or(self.nonce, |(nonce, _)| nonce);
        self.round == header.round()
            && self.included < block
            && block <= self.included.saturating_add(SETTLEMENT_BLOCKS)
            && header.nonce < lowest
    }
}

impl Around<'_> {
    /// What it cost to publish in this block.
    fn cost_of(&self, rollup: &Rollup) -> u128 {
        self.config.obx(self.prices.publication(rollup.payload_bytes))
    }

    /// Published in the L1 block after its proof: the cost and a margin, at most twice what the cheaper
    /// carrier costs. One block late: the cost. Later anybody may publish, and earns again.
    fn reward_of(&self, rollup: &Rollup) -> u128 {
        let cost = self.cost_of(rollup);
        match self.block.saturating_sub(rollup.header.l1ProofNumber) {
            2 => cost,
            _ => {
                let most = self.config.obx(self.prices.reward_max(rollup.payload_bytes));
                self.config.with_margin(cost).min(most)
            }
        }
    }

    fn reward(&self, enclave: Address, amount: u128) -> Option<Reward> {
        self.nodes.get(&enclave).map(|node| Reward { owner: node.owner, amount })
    }
}

#[cfg(test)]
mod tests;
