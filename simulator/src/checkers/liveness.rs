//! With one honest aggregator and an L1 that includes, rollups keep coming: in undisturbed times no more L1
//! blocks pass without one than an idle network may let pass, and some for the faults to be over.

use super::{Verdict, Violation};
use crate::{node::Node, world::World};
use alloy_primitives::B256;
use obscuro_protocol::door::Head;
use std::time::Duration;

/// L1 blocks beyond the idle ones: rounds that are replayed because a winner is absent, one after the
/// other.
const PATIENCE_BLOCKS: u64 = 14;
/// L1 blocks after a disturbance that do not count.
const RECOVERY_BLOCKS: u32 = 25;

/// See above.
#[derive(Default)]
pub struct Liveness {
    disturbed: Duration,
    /// The longest time without a rollup, in L1 blocks, of undisturbed times.
    pub longest: u64,
}

impl Liveness {
    /// Something broke.
    pub fn disturbed(&mut self, world: &World) {
        self.disturbed = world.now;
    }

    /// A node has this head.
    pub fn head(&mut self, _node: usize, _head: &Head, _world: &World) {}

    /// An L1 block was made.
    pub fn block(&mut self, block: B256, nodes: &[Node], world: &World) -> Verdict {
        let network = &world.network;
        let is_disturbed = !network.split.is_empty()
            || !network.l1_split.is_empty()
            || !network.slow.is_empty()
            || world.now < self.disturbed + world.scenario.block_time * RECOVERY_BLOCKS;
        let is_alive = nodes.iter().any(|node| {
            node.is_honest()
                && node.is_ready()
                && node.head().is_some_and(|head| head.is_aggregator)
        });
        let Some(view) = world.reference.view(block) else { return Ok(()) };
        if is_disturbed || !is_alive || world.first_block == 0 {
            return Ok(());
        }
        let gap = view.number.saturating_sub(view.included.max(world.first_block));
        self.longest = self.longest.max(gap);
        if gap <= world.config.idleBlocksMax + PATIENCE_BLOCKS {
            return Ok(());
        }
        let text = format!("no rollup for {gap} L1 blocks, up to {}", view.number);
        Err(Violation::new("liveness", text, []))
    }
}
