//! Rewards are exactly what the rules say: what the pool on L2 owes and has paid to each owner is what a
//! second implementation finds in L1 blocks up to the rollup's proof. That no more is paid than the pool
//! had is part of conservation: nothing but the bridge makes coin.

use super::{Verdict, Violation, conservation::Keeper};
use crate::{node::Node, world::World};
use alloy_primitives::{B256, U256};
use alloy_sol_types::SolCall;
use obscuro_protocol::{contracts::FEE_POOL, door::Head, l1::IRewardPool};
use std::collections::HashSet;

/// See above.
#[derive(Default)]
pub struct Rewards {
    seen: HashSet<B256>,
    keeper: Keeper,
}

impl Rewards {
    /// A node has this head.
    pub fn head(&mut self, node: &Node, head: &Head, world: &World) -> Verdict {
        if head.number == 0 || !self.seen.insert(head.rollup) {
            return Ok(());
        }
        let Some(rollup) = world.reference.rollup(head.rollup) else { return Ok(()) };
        let Some(view) = world.reference.view(rollup.header.l1Proof) else { return Ok(()) };
        let Some(ledger) = self.keeper.ledger(node, world) else { return Ok(()) };
        let root = rollup.header.stateRoot;
        for operator in 0..world.network.l1_of.len() {
            let owner = World::operator(operator);
            // A disk that does not answer is not the pool's fault.
            let payee = ledger.state(root).account(World::payee(operator));
            let Ok(account) = payee else { return Ok(()) };
            let data = IRewardPool::owedCall { owner }.abi_encode();
            let Some(owed) = Keeper::call(&ledger, root, Some(owner), FEE_POOL, data) else {
                return Ok(());
            };
            let paid = account.unwrap_or_default().balance;
            let credited = U256::from_be_slice(&owed) + paid;
            let earned = view.rewards.earned.get(&owner).copied().unwrap_or_default();
            if credited != earned {
                let text = format!(
                    "node {operator} in rollup {}: earned {earned}, was paid or is owed {credited}",
                    rollup.header.number
                );
                return Err(Violation::new("rewards", text, [node.id]));
            }
        }
        Ok(())
    }
}
