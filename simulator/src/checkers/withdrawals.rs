//! The vault pays only what a canonical rollup orders: at the L1 block of the payment, the rollup is on the
//! canonical chain, and no deep fork is alive. A stake is slashed only if its enclave built on a rollup that
//! is not canonical.

use super::{Verdict, Violation};
use crate::{reference::short, world::World};
use alloy_primitives::{Address, B256};

/// See above.
#[derive(Default)]
pub struct Withdrawals;

impl Withdrawals {
    /// An L1 block was made.
    pub fn block(&mut self, block: B256, world: &World) -> Verdict {
        let Some(view) = world.reference.view(block) else { return Ok(()) };
        let violation = |text| Err(Violation::new("withdrawals", text, []));
        for (index, rollup) in &view.paid {
            if !world.reference.is_below(*rollup, view.rollup) {
                return violation(format!(
                    "L1 block {} pays withdrawal {index} of rollup {}, which is not canonical",
                    view.number,
                    short(*rollup)
                ));
            }
        }
        if !view.paid.is_empty() && world.reference.is_suspended(view.parent) {
            return violation(format!("L1 block {} pays while a deep fork is alive", view.number));
        }
        for enclave in &view.slashed {
            if !is_guilty(*enclave, block, world) {
                return violation(format!(
                    "L1 block {} slashes {enclave}, which built on canonical rollups only",
                    view.number
                ));
            }
        }
        Ok(())
    }
}

/// Whether an enclave published a rollup whose parent is not canonical, on this L1 branch.
fn is_guilty(enclave: Address, block: B256, world: &World) -> bool {
    let Some(newest) = world.reference.view(block) else { return false };
    let mut next = Some(newest);
    while let Some(view) = next {
        let mut own = view.published.iter().filter(|header| header.aggregator == enclave);
        if own.any(|header| !world.reference.is_below(header.parent, newest.rollup)) {
            return true;
        }
        next = world.reference.view(view.parent);
    }
    false
}
