//! The vault pays only what a canonical rollup orders: at the L1 block of the payment, the rollup is on the
//! canonical chain, and no deep fork is alive. A stake is slashed only if its enclave built on a rollup that
//! is not canonical, or published beside a canonical one what is no loser of a round.

use super::{Verdict, Violation};
use crate::{reference::short, world::World};
use alloy_primitives::{Address, B256};
use obscuro_protocol::rollup::RollupHeader;

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
                    "L1 block {} slashes {enclave}, which published nothing that is forged",
                    view.number
                ));
            }
        }
        Ok(())
    }
}

/// Whether an enclave published, on this L1 branch, a rollup whose parent is not canonical, or one beside a
/// canonical rollup of which it cannot have been the loser: one of the two was proven after the other was
/// included.
fn is_guilty(enclave: Address, block: B256, world: &World) -> bool {
    let Some(newest) = world.reference.view(block) else { return false };
    let is_canonical = |rollup| world.reference.is_below(rollup, newest.rollup);
    let mut published = Vec::new();
    let mut next = Some(newest);
    while let Some(view) = next {
        published.extend(view.published.iter().map(|header| (view.number, header)));
        next = world.reference.view(view.parent);
    }
    let twin = |header: &RollupHeader| {
        let siblings = published.iter().filter(|(_, other)| other.parent == header.parent);
        siblings.copied().find(|(_, other)| is_canonical(other.hash()))
    };
    published.iter().filter(|(_, header)| header.aggregator == enclave).any(|(included, header)| {
        let is_passed_over = || {
            twin(header).is_some_and(|(twin_included, twin)| {
                twin.hash() != header.hash()
                    && (header.l1ProofNumber >= twin_included || twin.l1ProofNumber >= *included)
            })
        };
        !is_canonical(header.parent) || is_passed_over()
    })
}
