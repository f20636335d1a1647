//! Publishes its candidate although it has lost, before the winner can (S2 "Incentives for publishing", rule
//! 3). On L1 the first included sibling wins; in the same block the lowest nonce does. Now and then it has
//! the next proposer in its pocket, who leaves everybody else out. Its operator pays for every loss, and
//! earns nothing where it succeeds and the winner shows it: `checkers::rewards` compares what is paid.

use super::Adversary;
use crate::{events::MessageId, node::Node, random::Random, world::World};
use obscuro_host::{
    publisher::outbox::{Content, Purpose},
    round::Effect,
};
use obscuro_protocol::door::Head;

/// So many of a thousand of its rollups stand in a block of such a proposer.
const BRIBED_PER_MILLE: u64 = 500;

/// See above.
pub struct FrontRunner {
    random: Random,
    is_bribing: bool,
}

impl FrontRunner {
    /// Bribes as these draws say.
    pub fn new(random: Random) -> Self {
        Self { random, is_bribing: false }
    }

    fn bribe(&mut self, node: usize, world: &mut World) {
        self.is_bribing = true;
        let others = (0..world.scenario.aggregators).filter(|other| *other != node);
        let others = others.map(World::operator).collect();
        world.l1.censor_everywhere(&others);
    }
}

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
                if self.random.per_mille(BRIBED_PER_MILLE) {
                    self.bribe(node.id, world);
                }
                Vec::new()
            }
            Effect::Publish(_) => Vec::new(),
            effect => vec![effect],
        }
    }

    fn head(&mut self, _node: &mut Node, _head: &Head, world: &mut World) {
        if std::mem::take(&mut self.is_bribing) {
            world.l1.censor_everywhere(&Default::default());
        }
    }

    fn publishes_anyway(&self) -> bool {
        true
    }
}
