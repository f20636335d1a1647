//! Publishes its candidate although it has lost, before the winner can (S2 "Incentives for publishing", rule
//! 3). On L1 the first included sibling wins; in the same block the lowest nonce does. Its operator pays
//! for every loss, and earns nothing where it succeeds: `checkers::rewards` compares what is paid.

use super::Adversary;
use crate::{events::MessageId, node::Node, world::World};
use obscuro_host::{
    publisher::outbox::{Content, Purpose},
    round::Effect,
};

/// See above.
pub struct FrontRunner;

impl Adversary for FrontRunner {
    fn effect(
        &mut self,
        node: &mut Node,
        effect: Effect<MessageId>,
        world: &mut World,
    ) -> Vec<Effect<MessageId>> {
        match effect {
            // As soon as it has a candidate, and without telling anybody.
            Effect::Gossip(rollup) => {
                *world.counts.attacks.entry("rollups front-run").or_default() += 1;
                node.order(Purpose::Publish, Content::Rollup(rollup, Vec::new()), world);
                Vec::new()
            }
            Effect::Publish(_) => Vec::new(),
            effect => vec![effect],
        }
    }

    fn publishes_anyway(&self) -> bool {
        true
    }
}
