//! No transaction is in the canonical chain twice, and none is lost while its sender keeps sending it.

use super::{Verdict, Violation};
use crate::{node::Node, reference::short, world::World};
use alloy_primitives::B256;
use obscuro_protocol::door::Head;
use std::collections::{HashMap, HashSet};

/// See above.
#[derive(Default)]
pub struct Once {
    made: Vec<B256>,
    /// Rollups whose chain was looked at.
    seen: HashSet<B256>,
    rollups: HashMap<B256, Vec<B256>>,
}

impl Once {
    /// A user made a transaction.
    pub fn made(&mut self, transaction: B256) {
        self.made.push(transaction);
    }

    /// A node has this canonical chain.
    pub fn head(&mut self, node: usize, head: &Head, world: &World) -> Verdict {
        let fresh: Vec<B256> = world
            .reference
            .chain(head.rollup)
            .map(|(hash, _)| hash)
            .take_while(|hash| !self.seen.contains(hash))
            .collect();
        for hash in fresh.into_iter().rev() {
            self.seen.insert(hash);
            let Some(rollup) = world.reference.rollup(hash) else { continue };
            let mut here = HashSet::new();
            for transaction in &world.reference.contents(rollup).transactions {
                let others = self.rollups.entry(*transaction).or_default();
                let twice = !here.insert(*transaction)
                    || others.iter().any(|other| world.reference.is_below(*other, hash));
                if twice {
                    let text = format!("transaction {} is executed twice", short(*transaction));
                    return Err(Violation::new("once", text, [node]));
                }
                others.push(hash);
            }
        }
        Ok(())
    }

    /// When all is calm, everything that was made is in the canonical chain.
    pub fn finish(&self, nodes: &[Node], world: &World) -> Verdict {
        let Some(head) = nodes.iter().filter(|node| node.is_ready()).find_map(Node::head) else {
            return Err(Violation::new("once", "no node is ready at the end".to_owned(), []));
        };
        let executed: HashSet<B256> = world
            .reference
            .chain(head.rollup)
            .flat_map(|(_, rollup)| world.reference.contents(rollup).transactions.iter().copied())
            .collect();
        let lost: Vec<&B256> =
            self.made.iter().filter(|transaction| !executed.contains(*transaction)).collect();
        match lost.first() {
            None => Ok(()),
            Some(first) => {
                let text = format!(
                    "{} of {} transactions are not executed, the first is {}",
                    lost.len(),
                    self.made.len(),
                    short(**first)
                );
                Err(Violation::new("once", text, []))
            }
        }
    }
}
