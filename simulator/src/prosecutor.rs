//! The operator of the first honest node looks after forks: accuses publishers on branches that are not
//! canonical, and has them slashed when these are dead (protocol 10.4). Nothing that it knows is secret: anyone with
//! a verifier could do it. Not here: who must not be slashed (`checkers::withdrawals`).

use crate::{node::Node, world::World};
use alloy_primitives::{B256, Bytes, U256};
use alloy_sol_types::SolCall;
use obscuro_enclave::executor::CallRequest;
use obscuro_host::publisher::outbox::{Content, Purpose};
use obscuro_protocol::{
    l1::IRollupManagement::{accuseCall, slashCall},
    rollup::RollupHeader,
};

/// L1 blocks in which rollups are looked at.
const LOOK_BACK_BLOCKS: u64 = 40;
/// Suspects at a time.
const SUSPECTS_MAX: usize = 8;
/// How far below the head a rollup is that no fresh loser of a round disputes.
const SETTLED_DEPTH: usize = 9;

/// The node that does it.
fn is_prosecutor(node: &Node, world: &World) -> bool {
    let cheats = |id: &usize| world.scenario.adversaries.iter().any(|(cheat, _)| cheat == id);
    (0..world.scenario.aggregators).find(|id| !cheats(id)) == Some(node.id)
}

/// The node has a new head.
pub fn act(node: &mut Node, l1_block: B256, world: &mut World) {
    if !is_prosecutor(node, world) {
        return;
    }
    let Some(view) = world.reference.view(l1_block).cloned() else { return };
    let chain: Vec<B256> = world.reference.chain(view.rollup).map(|(hash, _)| hash).collect();
    let Some(settled) = chain.get(SETTLED_DEPTH.min(chain.len().saturating_sub(1))) else { return };
    for suspect in suspects(l1_block, world) {
        let slash = slashCall { header: suspect.clone(), survivor: *settled };
        let accuse = accuseCall { header: suspect, rival: view.rollup };
        if order(node, "slashings ordered", slash.abi_encode(), world)
            || order(node, "accusations", accuse.abi_encode(), world)
        {
            return;
        }
    }
}

/// Rollups on parents that are not canonical, oldest first.
fn suspects(l1_block: B256, world: &World) -> Vec<RollupHeader> {
    let Some(view) = world.reference.view(l1_block) else { return Vec::new() };
    let mut found = Vec::new();
    let mut next = world.reference.view(l1_block);
    while let Some(at) = next.filter(|at| at.number + LOOK_BACK_BLOCKS > view.number) {
        let guilty = |header: &&RollupHeader| !world.reference.is_below(header.parent, view.rollup);
        found.extend(at.published.iter().rev().filter(guilty).cloned());
        next = world.reference.view(at.parent);
    }
    found.reverse();
    found.truncate(SUSPECTS_MAX);
    found
}

/// Sends a call if L1 would take it.
fn order(node: &mut Node, what: &'static str, input: Vec<u8>, world: &mut World) -> bool {
    let to = world.config.contracts.rollupManagement;
    let input = Bytes::from(input);
    let from = Some(node.operator.address());
    let request = CallRequest { from, to: Some(to), data: input.clone(), ..Default::default() };
    if world.l1.estimate(world.network.l1_of[node.id], &request, world.now).is_err() {
        return false;
    }
    *world.counts.attacks.entry(what).or_default() += 1;
    node.order(Purpose::Move, Content::Call { to, input, value: U256::ZERO }, world);
    true
}
