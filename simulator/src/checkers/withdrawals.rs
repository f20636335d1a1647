//! The vault pays only what a canonical rollup orders: at the L1 block of the payment, the rollup is on the
//! canonical chain. Not checked yet, because the contracts cannot do it yet: that all withdrawals are
//! suspended while two branches are two deep, and that the publisher of a dead branch is slashed.

use super::{Verdict, Violation};
use crate::{reference::short, world::World};
use alloy_primitives::B256;

/// See above.
#[derive(Default)]
pub struct Withdrawals;

impl Withdrawals {
    /// An L1 block was made.
    pub fn block(&mut self, block: B256, world: &World) -> Verdict {
        let Some(view) = world.reference.view(block) else { return Ok(()) };
        for (index, rollup) in &view.paid {
            if !world.reference.is_below(*rollup, view.rollup) {
                let text = format!(
                    "L1 block {} pays withdrawal {index} of rollup {}, which is not canonical",
                    view.number,
                    short(*rollup)
                );
                return Err(Violation::new("withdrawals", text, []));
            }
        }
        Ok(())
    }
}
