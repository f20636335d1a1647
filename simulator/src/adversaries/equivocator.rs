//! Runs two enclaves from one sealed identity with different transactions, and tells one half of its peers
//! of one candidate and the other half of the other. Both have the same nonce: the lowest hash decides,
//! and no two enclaves may end with different heads.

use super::{Adversary, re_roller::Twin};
use crate::{
    events::{Message, MessageId},
    node::Node,
    world::World,
};
use obscuro_host::{
    publisher::outbox::{Content, Purpose},
    round::Effect,
};
use obscuro_protocol::gossip::{Announcement, Gossip};

/// See above.
#[derive(Default)]
pub struct Equivocator {
    twin: Twin,
    rounds: u64,
}

impl Adversary for Equivocator {
    fn effect(
        &mut self,
        node: &mut Node,
        effect: Effect<MessageId>,
        world: &mut World,
    ) -> Vec<Effect<MessageId>> {
        match effect {
            Effect::Gossip(own) => {
                let head = node.head().cloned();
                let followed = head.and_then(|head| self.twin.follow(node, &head, world));
                let other = followed.and_then(|()| self.twin.seal(node, world));
                let Some(other) = other.filter(|other| other.header != own.header) else {
                    return vec![Effect::Gossip(own)];
                };
                *world.counts.attacks.entry("rounds with two candidates").or_default() += 1;
                self.rounds += 1;
                let both = [own, other].map(|rollup| {
                    let announcement = Box::new(Announcement::of(&rollup));
                    node.offer_payload(rollup.header.payloadHash, rollup.payload, world);
                    Message::new(Gossip::Candidate(announcement).encode())
                });
                for (place, to) in world.network.mesh[node.id].clone().into_iter().enumerate() {
                    world.gossip(node.id, to, &both[place % 2]);
                }
                Vec::new()
            }
            Effect::Publish(own) => {
                // Now and then the one that half of its peers have not seen.
                let other = self.rounds.is_multiple_of(2).then(|| self.twin.seal(node, world));
                let rollup =
                    other.flatten().filter(|other| other.header.round() == own.header.round());
                let rollup = rollup.unwrap_or(own);
                node.order(Purpose::Publish, Content::Rollup(rollup, Vec::new()), world);
                Vec::new()
            }
            effect => vec![effect],
        }
    }
}
