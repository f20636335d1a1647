//! The owner of a broken TEE orders an illegal withdrawal: publishes a rollup that pays it, signed with the
//! enclave's stolen key, keeps that branch alive with further rollups, and tries to be paid as soon as the
//! contract would. While an honest head is alive the contract must not pay, and when the branch is dead it
//! must slash (`prosecutor`).

use super::{Adversary, stolen};
use crate::{events::MessageId, l1::Called, node::Node, world::World};
use alloy_primitives::{B256, Bytes, U256};
use alloy_sol_types::{SolCall, SolError, sol};
use obscuro_enclave::executor::CallRequest;
use obscuro_host::{
    publisher::outbox::{Content, Purpose},
    round::Effect,
};
use obscuro_protocol::{door::Head, l1::IBridgeManagement::withdrawCall, rollup::RollupHeader};

sol! {
    /// Reverts if it does not know either.
    function isAncestor(bytes32 ancestor, bytes32 descendant) external view returns (bool);
    /// What the bridge says while a deep fork is alive.
    error WithdrawalsSuspended();
}

/// L1 blocks after which a branch is given up and another one begun: its withdrawals were due by then.
const BRANCH_BLOCKS: u64 = 12;

/// A branch of forged rollups.
#[derive(Default)]
pub struct Branch {
    /// Headers, oldest first.
    pub headers: Vec<RollupHeader>,
    began: u64,
}

impl Branch {
    /// Begins with a forged sibling of this candidate.
    pub fn begin(&mut self, node: &mut Node, like: &RollupHeader, world: &mut World) {
        let thief = node.operator.address();
        let Some(forged) = stolen::forge(node, like, thief, world) else { return };
        world.say(Some(node.id), "forges a withdrawal");
        *world.counts.attacks.entry("illegal withdrawals ordered").or_default() += 1;
        self.headers = vec![forged.header.clone()];
        self.began = like.l1ProofNumber;
        node.order(Purpose::Publish, Content::Rollup(Box::new(forged), Vec::new()), world);
    }

    /// Whether it should be begun anew.
    pub fn is_old(&self, number: u64) -> bool {
        self.headers.is_empty() || number > self.began + BRANCH_BLOCKS
    }

    /// Publishes one more rollup on it, and tries to be paid.
    pub fn grow(&mut self, node: &mut Node, head: &Head, world: &mut World) {
        let Some(last) = self.headers.last().cloned() else { return };
        if !is_published(node, last.hash(), world) {
            return;
        }
        let Some(aggregator) = node.life.as_ref().map(|life| life.address) else { return };
        let proof = (head.l1.number, head.l1.hash);
        let like = stolen::child(&last, proof, aggregator);
        let thief = node.operator.address();
        if let Some(forged) = stolen::forge(node, &like, thief, world) {
            self.headers.push(forged.header.clone());
            *world.counts.attacks.entry("rollups on forged ones").or_default() += 1;
            node.order(Purpose::Publish, Content::Rollup(Box::new(forged), Vec::new()), world);
        }
        self.collect(node, world);
    }

    /// The branch's last rollup was not published after all.
    pub fn prune(&mut self, node: &Node, world: &World) {
        while self.headers.len() > 1
            && self.headers.last().is_some_and(|last| !is_published(node, last.hash(), world))
        {
            self.headers.pop();
        }
    }

    fn collect(&self, node: &mut Node, world: &mut World) {
        let Some(first) = self.headers.first() else { return };
        let l1 = world.network.l1_of[node.id];
        let call = withdrawCall {
            rollup: first.hash(),
            index: 1_000_000 + first.number,
            asset: world.config.contracts.obscuroToken,
            to: node.operator.address(),
            amount: U256::from(1_000) * U256::from(10).pow(U256::from(18)),
            proof: Vec::new(),
        };
        let to = world.config.contracts.bridgeManagement;
        let input = Bytes::from(call.abi_encode());
        let from = Some(node.operator.address());
        let request = CallRequest { from, to: Some(to), data: input.clone(), ..Default::default() };
        let refused = match world.l1.estimate(l1, &request, world.now) {
            Ok(_) => {
                world.say(Some(node.id), "the contract would pay the thief");
                node.order(Purpose::Move, Content::Call { to, input, value: U256::ZERO }, world);
                return;
            }
            Err(Called::Reverted(error)) if error.starts_with(&WithdrawalsSuspended::SELECTOR) => {
                "illegal withdrawals suspended"
            }
            Err(_) => "illegal withdrawals refused",
        };
        *world.counts.attacks.entry(refused).or_default() += 1;
    }
}

fn is_published(node: &Node, rollup: B256, world: &World) -> bool {
    let block = world.l1.head(world.network.l1_of[node.id]);
    let call = isAncestorCall { ancestor: rollup, descendant: rollup };
    let to = world.config.contracts.rollupManagement;
    matches!(world.l1.call(block, to, call.abi_encode().into()), Called::Returned(_))
}

/// See above.
#[derive(Default)]
pub struct Forger {
    branch: Branch,
}

impl Adversary for Forger {
    fn effect(
        &mut self,
        node: &mut Node,
        effect: Effect<MessageId>,
        world: &mut World,
    ) -> Vec<Effect<MessageId>> {
        match &effect {
            Effect::Gossip(own) if self.branch.is_old(own.header.l1ProofNumber) => {
                self.branch.begin(node, &own.header, world);
                vec![effect]
            }
            // Its account publishes the forged branch.
            Effect::Publish(_) => Vec::new(),
            _ => vec![effect],
        }
    }

    fn head(&mut self, node: &mut Node, head: &Head, world: &mut World) {
        self.branch.prune(node, world);
        self.branch.grow(node, head, world);
    }

    fn publishes_anyway(&self) -> bool {
        true
    }
}
