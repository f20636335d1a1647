//! The owner of a broken TEE who wants to win every round: puts a low nonce under its enclave's own, well
//! made candidate, signs that with the stolen key, gossips and publishes it. Its nonces are the lowest of
//! many made-up proofs, of the lots of many other keys, or its own lot by another block's RANDAO. Nothing
//! but the proof gives them away. Honest aggregators must not count them, and nobody may build on them.

use super::{Adversary, stolen};
use crate::{events::MessageId, node::Node, random::Random, world::World};
use alloy_primitives::{B256, Bytes, keccak256};
use obscuro_host::{
    publisher::outbox::{Content, Purpose},
    round::Effect,
};
use obscuro_protocol::{
    lottery::{self, LotteryKey, PROOF_BYTES},
    rollup::{RollupHeader, SignedRollup},
    secret::Secret,
};

/// Proofs among which it picks the one with the lowest nonce.
const TRIES: u64 = 16;

/// See above.
pub struct NonceForger {
    random: Random,
}

impl NonceForger {
    /// Forges as these draws say.
    pub fn new(random: Random) -> Self {
        Self { random }
    }

    fn forge(&mut self, node: &Node, own: &SignedRollup, world: &World) -> Option<SignedRollup> {
        let secrets = node.steal(world)?;
        let draw = stolen::draw(&own.header, world)?;
        let proofs: Vec<Bytes> = match self.random.below(3) {
            0 => (0..TRIES).map(|_| self.made_up(&own.lottery_proof)).collect(),
            1 => (0..TRIES).map(|_| LotteryKey::new(&self.secret()).prove(&draw)).collect(),
            _ => {
                let key = LotteryKey::new(&Secret::new(secrets.lottery));
                let mut other = || lottery::Draw { randao: self.hash(), ..draw };
                (0..TRIES).map(|_| key.prove(&other())).collect()
            }
        };
        let lottery_proof = proofs.into_iter().min_by_key(|proof| lottery::nonce(proof))?;
        let header = RollupHeader { nonce: lottery::nonce(&lottery_proof), ..own.header.clone() };
        let signature = stolen::sign(&secrets, &header, world)?;
        Some(SignedRollup { header, signature, lottery_proof, payload: own.payload.clone() })
    }

    /// Bytes that look like a proof.
    fn made_up(&mut self, like: &[u8]) -> Bytes {
        let noise = [self.hash(), self.hash()].concat();
        [&like[..1], &noise[..PROOF_BYTES - 1]].concat().into()
    }

    fn secret(&mut self) -> Secret {
        Secret::new(self.hash().0)
    }

    fn hash(&mut self) -> B256 {
        keccak256(self.random.word().to_be_bytes())
    }
}

impl Adversary for NonceForger {
    fn effect(
        &mut self,
        node: &mut Node,
        effect: Effect<MessageId>,
        world: &mut World,
    ) -> Vec<Effect<MessageId>> {
        let Effect::Gossip(own) = &effect else { return vec![effect] };
        let Some(forged) = self.forge(node, own, world) else { return vec![effect] };
        *world.counts.attacks.entry("nonces forged").or_default() += 1;
        node.order(Purpose::Publish, Content::Rollup(Box::new(forged.clone()), Vec::new()), world);
        vec![Effect::Gossip(Box::new(forged))]
    }
}
