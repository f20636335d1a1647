//! Announces its candidate and gives the payload to nobody: when it has the lowest nonce, everybody waits
//! for something that does not come. It does not publish either. The others must rule its candidate out
//! and publish theirs.

use super::Adversary;
use crate::{events::MessageId, node::Node, world::World};
use alloy_primitives::Bytes;
use obscuro_host::round::Effect;
use obscuro_protocol::gossip::Wanted;

/// See above.
pub struct SilentAnnouncer;

impl Adversary for SilentAnnouncer {
    fn effect(
        &mut self,
        _node: &mut Node,
        effect: Effect<MessageId>,
        _world: &mut World,
    ) -> Vec<Effect<MessageId>> {
        match effect {
            Effect::Publish(_) => Vec::new(),
            effect => vec![effect],
        }
    }

    fn content(
        &mut self,
        _wanted: Wanted,
        found: Option<Bytes>,
        world: &mut World,
    ) -> Option<Bytes> {
        if found.is_some() {
            *world.counts.attacks.entry("payloads not given").or_default() += 1;
        }
        None
    }
}
