//! A majority of broken TEEs: they neither gossip nor publish what their enclaves seal, pass nothing on, and
//! take turns to publish one forged branch that pays them. One honest aggregator must be enough to keep
//! the canonical chain alive and the vault shut.

use super::{Adversary, forger::Branch};
use crate::{events::MessageId, node::Node, world::World};
use obscuro_host::round::Effect;
use obscuro_protocol::door::Head;

/// One of them.
pub struct Colluder {
    place: usize,
    count: usize,
    branch: Branch,
}

impl Colluder {
    /// The colluder on this node, one of these.
    pub fn new(node: usize, all: Vec<usize>) -> Self {
        let place = all.iter().position(|other| *other == node).unwrap_or(0);
        Self { place, count: all.len().max(1), branch: Branch::default() }
    }
}

impl Adversary for Colluder {
    fn effect(
        &mut self,
        node: &mut Node,
        effect: Effect<MessageId>,
        world: &mut World,
    ) -> Vec<Effect<MessageId>> {
        match effect {
            Effect::Gossip(own) => {
                let is_old = match world.plot.last() {
                    Some(last) => own.header.l1ProofNumber > last.l1ProofNumber + 20,
                    None => true,
                };
                if self.place == 0 && is_old {
                    self.branch = Branch::default();
                    self.branch.begin(node, &own.header, world);
                    world.plot = self.branch.headers.clone();
                }
                Vec::new()
            }
            Effect::Publish(_) => Vec::new(),
            Effect::Forward(message) => vec![Effect::Ignore(message)],
            effect => vec![effect],
        }
    }

    fn head(&mut self, node: &mut Node, head: &Head, world: &mut World) {
        if head.l1.number as usize % self.count != self.place {
            return;
        }
        self.branch.headers = world.plot.clone();
        self.branch.prune(node, world);
        self.branch.grow(node, head, world);
        world.plot = self.branch.headers.clone();
    }

    fn publishes_anyway(&self) -> bool {
        true
    }

    fn ignores_transactions(&self) -> bool {
        true
    }
}
