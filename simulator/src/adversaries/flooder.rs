//! Sends its peers whatever costs it nothing: noise, transactions that do not decrypt, its own candidate
//! with altered fields, the same again, requests for what does not exist; and noise in place of payloads.
//! Queues are bounded, bad messages are not passed on, and rounds go
//! on. What a broken TEE could add, many well signed candidates in one round, is bounded by the round's
//! limit per aggregator; see `host::round`.

use super::Adversary;
use crate::{
    events::{Message, MessageId},
    node::Node,
    random::Random,
    world::World,
};
use alloy_primitives::{B256, Bytes, U256};
use obscuro_host::round::Effect;
use obscuro_protocol::{
    gossip::{Announcement, Gossip, Wanted},
    rollup::SignedRollup,
};

/// Messages of each kind in a round.
const COPIES: usize = 8;

/// See above.
pub struct Flooder {
    random: Random,
}

impl Flooder {
    /// Floods as these draws say.
    pub fn new(random: Random) -> Self {
        Self { random }
    }

    fn noise(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.random.word() as u8).collect()
    }

    fn altered(&mut self, own: &SignedRollup) -> Announcement {
        let mut announcement = Announcement::of(own);
        match self.random.below(4) {
            0 => announcement.header.nonce = U256::from(self.random.word()),
            1 => announcement.header.gasUsed ^= self.random.word(),
            2 => announcement.header.payloadHash = B256::with_last_byte(1),
            _ => announcement.signature = Bytes::from(self.noise(65)),
        }
        announcement
    }
}

impl Adversary for Flooder {
    fn effect(
        &mut self,
        node: &mut Node,
        effect: Effect<MessageId>,
        world: &mut World,
    ) -> Vec<Effect<MessageId>> {
        if let Effect::Gossip(own) = &effect {
            let mut messages = Vec::new();
            for _ in 0..COPIES {
                messages.push(self.noise(200));
                messages.push(Gossip::Transactions(self.noise(300).into()).encode());
                messages.push(Gossip::Candidate(Box::new(self.altered(own))).encode());
            }
            for to in world.network.mesh[node.id].clone() {
                for _ in 0..COPIES {
                    let unknown = B256::from(U256::from(self.random.word()));
                    world.ask(node.id, to, Wanted::Payload(unknown));
                }
            }
            *world.counts.attacks.entry("junk messages").or_default() += messages.len() as u64;
            for message in messages.into_iter().map(Message::new) {
                for to in world.network.mesh[node.id].clone() {
                    world.gossip(node.id, to, &message);
                }
            }
        }
        vec![effect]
    }

    fn content(
        &mut self,
        _wanted: Wanted,
        found: Option<Bytes>,
        world: &mut World,
    ) -> Option<Bytes> {
        *world.counts.attacks.entry("junk payloads").or_default() += u64::from(found.is_some());
        found.map(|bytes| self.noise(bytes.len()).into())
    }
}
