//! A host that lies to its enclave about L1: withholds heads, shows old ones, alters receipts, payloads and
//! headers, and mines a block of its own. The enclave must refuse what L1 does not commit to, and end where
//! every other enclave with that head ends. A block of its own on top of the last real one is believed: L1
//! consensus is not verified yet (protocol 4.3); when it is, `own_block` must be refused.

use super::Adversary;
use crate::{events::MessageId, node::Node, random::Random, world::World};
use alloy_primitives::{Bytes, keccak256};
use obscuro_host::{l1::block::Fetched, round::Effect};
use obscuro_protocol::{
    config::L1BlockId,
    door::{Carrier, Head, L1Block, Request},
};

/// See above.
pub struct LyingHost {
    random: Random,
    /// Heads it has seen.
    past: Vec<L1BlockId>,
}

impl LyingHost {
    /// Lies as these draws say.
    pub fn new(random: Random) -> Self {
        Self { random, past: Vec::new() }
    }

    fn alter(&mut self, block: &mut L1Block) -> &'static str {
        match self.random.below(6) {
            0 => {
                block.receipts = None;
                "receipts withheld"
            }
            1 => {
                if let Some(receipts) = &mut block.receipts {
                    receipts.pop();
                }
                "a receipt left out"
            }
            2 => {
                if let Some(receipt) = block.receipts.iter_mut().flatten().last() {
                    let mut bytes = receipt.to_vec();
                    let place = self.random.index(bytes.len().max(1));
                    if let Some(byte) = bytes.get_mut(place) {
                        *byte ^= 1;
                    }
                    *receipt = bytes.into();
                }
                "a receipt altered"
            }
            3 => {
                for payload in &mut block.payloads {
                    payload.carrier = Carrier::Calldata(Bytes::from_static(b"another payload"));
                }
                "payloads altered"
            }
            4 => {
                block.payloads.clear();
                "payloads withheld"
            }
            _ => {
                let mut header = block.header.to_vec();
                let place = self.random.index(header.len().max(1));
                if let Some(byte) = header.get_mut(place) {
                    *byte ^= 1;
                }
                block.header = header.into();
                "a header altered"
            }
        }
    }

    /// A block that no miner made, on top of the enclave's head; see above.
    fn own_block(&mut self, node: &Node, head: &Head, world: &mut World) {
        let Some(real) = world.l1.block(head.l1.hash) else { return };
        let mut header = real.header.clone();
        header.parent_hash = head.l1.hash;
        header.number += 1;
        header.timestamp += 12;
        header.logs_bloom = Default::default();
        header.receipts_root = alloy_consensus::constants::EMPTY_ROOT_HASH;
        header.mix_hash = keccak256(self.random.word().to_be_bytes());
        let bytes: Bytes = alloy_rlp::encode(&header).into();
        let hash = keccak256(&bytes);
        let block = L1Block { header: bytes, receipts: None, payloads: Vec::new() };
        let _ = node.ask(world, Request::L1Block(Box::new(block)));
        if node.ask(world, Request::SetHead(hash)).is_ok() {
            *world.counts.attacks.entry("blocks of its own believed").or_default() += 1;
            let _ = node.ask(world, Request::Seal);
        }
        let _ = node.ask(world, Request::SetHead(head.l1.hash));
    }
}

impl Adversary for LyingHost {
    fn l1_head(&mut self, _node: &mut Node, id: L1BlockId, world: &mut World) -> Option<L1BlockId> {
        self.past.push(id.clone());
        match self.random.below(10) {
            0 => {
                *world.counts.attacks.entry("heads withheld").or_default() += 1;
                None
            }
            1 => {
                *world.counts.attacks.entry("old heads shown").or_default() += 1;
                let back = self.random.index(self.past.len().min(20));
                self.past.get(self.past.len() - 1 - back).cloned()
            }
            _ => Some(id),
        }
    }

    fn feed(
        &mut self,
        node: &mut Node,
        mut block: Box<Fetched>,
        world: &mut World,
    ) -> Box<Fetched> {
        if self.random.per_mille(200) {
            let what = self.alter(&mut block.block);
            *world.counts.attacks.entry(what).or_default() += 1;
            world.say(Some(node.id), format!("lies about L1 block {}: {what}", block.id.number));
        }
        block
    }

    fn head(&mut self, node: &mut Node, head: &Head, world: &mut World) {
        if head.has_seed && self.random.per_mille(100) {
            self.own_block(node, head, world);
        }
    }

    fn effect(
        &mut self,
        _node: &mut Node,
        effect: Effect<MessageId>,
        _world: &mut World,
    ) -> Vec<Effect<MessageId>> {
        vec![effect]
    }
}
