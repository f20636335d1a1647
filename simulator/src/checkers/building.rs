//! No enclave builds on an invalid or non-canonical rollup: the parent of whatever it seals is canonical at
//! the L1 block that proves it.

use super::{Verdict, Violation};
use crate::{reference::short, world::World};
use obscuro_protocol::rollup::RollupHeader;

/// See above.
#[derive(Default)]
pub struct Building;

impl Building {
    /// An enclave sealed a rollup.
    pub fn sealed(&mut self, node: usize, header: &RollupHeader, world: &World) -> Verdict {
        // A block that L1 does not have: a lying host's. L1 refuses such a proof.
        let Some(view) = world.reference.view(header.l1Proof) else { return Ok(()) };
        if view.rollup == header.parent && view.number == header.l1ProofNumber {
            return Ok(());
        }
        let text = format!(
            "node {node} seals on {}, but {} is canonical at L1 block {}",
            short(header.parent),
            short(view.rollup),
            view.number
        );
        Err(Violation::new("building", text, [node]))
    }
}
