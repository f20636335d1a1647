//! A good header over a payload that says something else: signed with the enclave's stolen key, because no
//! enclave would. Gossiped in every round with the enclave's own lot, and published. Honest aggregators must
//! reject it, and nobody may build on it.

use super::{Adversary, stolen};
use crate::{events::MessageId, node::Node, world::World};
use alloy_primitives::keccak256;
use obscuro_host::{
    publisher::outbox::{Content, Purpose},
    round::Effect,
};
use obscuro_protocol::rollup::{RollupHeader, SignedRollup};

/// See above.
pub struct BadPayload;

impl Adversary for BadPayload {
    fn effect(
        &mut self,
        node: &mut Node,
        effect: Effect<MessageId>,
        world: &mut World,
    ) -> Vec<Effect<MessageId>> {
        let Effect::Gossip(own) = &effect else { return vec![effect] };
        let Some(bad) = spoil(node, own, world) else { return vec![effect] };
        *world.counts.attacks.entry("bad payloads").or_default() += 1;
        node.order(Purpose::Publish, Content::Rollup(Box::new(bad.clone()), Vec::new()), world);
        vec![Effect::Gossip(Box::new(bad))]
    }
}

fn spoil(node: &Node, own: &SignedRollup, world: &World) -> Option<SignedRollup> {
    let mut payload = own.payload.to_vec();
    *payload.last_mut()? ^= 1;
    let header = RollupHeader { payloadHash: keccak256(&payload), ..own.header.clone() };
    let signature = stolen::sign(&node.steal(world)?, &header, world)?;
    Some(SignedRollup { header, signature, payload: payload.into(), ..own.clone() })
}
