//! Enclaves with the same L1 head have the same canonical chain and state root, and it is the one that the
//! reference computes. A rollup's hash covers its state root and its parent, so equal heads are equal
//! chains.

use super::{Verdict, Violation};
use crate::{node::Node, reference::short, world::World};
use alloy_primitives::B256;
use obscuro_protocol::door::Head;
use std::collections::HashMap;

/// See above.
#[derive(Default)]
pub struct Agreement {
    heads: HashMap<B256, (B256, u64, usize)>,
}

impl Agreement {
    /// An enclave has this head.
    pub fn head(&mut self, node: usize, head: &Head, world: &World) -> Verdict {
        if !head.has_seed {
            return Ok(());
        }
        let found = (head.rollup, head.included, node);
        let first = *self.heads.entry(head.l1.hash).or_insert(found);
        if (first.0, first.1) != (found.0, found.1) {
            let text = format!(
                "at L1 block {} {}, node {} has rollup {} and node {node} has {}",
                head.l1.number,
                short(head.l1.hash),
                first.2,
                short(first.0),
                short(head.rollup)
            );
            return Err(Violation::new("agreement", text, [first.2, node]));
        }
        let Some(view) = world.reference.view(head.l1.hash) else { return Ok(()) };
        if view.rollup != head.rollup || view.included != head.included {
            let text = format!(
                "at L1 block {} {}, node {node} has rollup {} {} included in {}, but {} {} included in {} is canonical",
                head.l1.number,
                short(head.l1.hash),
                head.number,
                short(head.rollup),
                head.included,
                view.rollup_number,
                short(view.rollup),
                view.included
            );
            return Err(Violation::new("agreement", text, [node]));
        }
        Ok(())
    }

    /// At the end every running node is at L1's head.
    pub fn finish(&self, nodes: &[Node], world: &World) -> Verdict {
        for node in nodes.iter().filter(|node| node.is_honest()) {
            let wanted = world.l1_head(node.id);
            let head = node.head().map(|head| head.l1.number).unwrap_or_default();
            if head + 2 < wanted.number {
                let text = format!(
                    "in calm, node {} is at L1 block {head}, its L1 node at {}: {}",
                    node.id,
                    wanted.number,
                    node.status()
                );
                return Err(Violation::new("nodes follow L1", text, [node.id]));
            }
        }
        Ok(())
    }
}
