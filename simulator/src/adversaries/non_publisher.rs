//! Wins rounds and publishes nothing (S2 "Non-publishing Sequencer Scenario"): the round must be replayed
//! on the next L1 block by others.

use super::Adversary;
use crate::{events::MessageId, node::Node, world::World};
use obscuro_host::round::Effect;

/// See above.
pub struct NonPublisher;

impl Adversary for NonPublisher {
    fn effect(
        &mut self,
        _node: &mut Node,
        effect: Effect<MessageId>,
        world: &mut World,
    ) -> Vec<Effect<MessageId>> {
        match effect {
            Effect::Publish(_) => {
                *world.counts.attacks.entry("rollups not published").or_default() += 1;
                Vec::new()
            }
            effect => vec![effect],
        }
    }
}
