//! Restarts its enclave in every round it would lose, to draw another nonce (S2 "Preventing repeated random
//! number generation"): from the same identity, in a second enclave that it keeps at hand, so that it does
//! not even wait. The nonce must be the same: see `checkers/lottery`.

use super::Adversary;
use crate::{
    device::SimulatedDevice,
    events::MessageId,
    node::{Node, feed::gather_all},
    world::World,
};
use obscuro_enclave::Enclave;
use obscuro_host::round::Effect;
use obscuro_protocol::{
    door::{Head, Reply, Request},
    rollup::SignedRollup,
};

/// A second enclave of the same machine, from the same sealed identity.
#[derive(Default)]
pub struct Twin {
    enclave: Option<Enclave<SimulatedDevice>>,
    /// The newest block that it was fed.
    fed: u64,
}

impl Twin {
    /// A new life.
    pub fn restart(&mut self, node: &Node, world: &mut World) {
        let enclave = Enclave::new(node.device.clone());
        let start = Request::Start {
            config: Box::new(world.config.clone()),
            identity: node.disk.identity.clone(),
            snapshot: node.disk.snapshot.clone(),
        };
        let Ok(Reply::Started(started)) = node.ask_enclave(&enclave, world, start) else { return };
        world.counts.restarts += 1;
        self.enclave = Some(enclave);
        self.fed = started.position.number;
    }

    /// Makes it follow to this head; `None` if it cannot.
    pub fn follow(&mut self, node: &Node, head: &Head, world: &mut World) -> Option<()> {
        if self.enclave.is_none() {
            self.restart(node, world);
        }
        let enclave = self.enclave.as_ref()?;
        let mut branch = Vec::new();
        let mut next = world.l1.block(head.l1.hash).cloned();
        // A little further than what it has, for the case that L1 has reorganised.
        while let Some(block) = next.filter(|block| block.number() + 3 > self.fed) {
            next = world.l1.block(block.header.parent_hash).cloned();
            branch.push(block);
        }
        for block in branch.iter().rev() {
            let fetched = gather_all(block, &node.disk, world);
            let _ = node.ask_enclave(enclave, world, Request::L1Block(Box::new(fetched.block)));
        }
        match node.ask_enclave(enclave, world, Request::SetHead(head.l1.hash)) {
            Ok(_) => {
                self.fed = head.l1.number;
                Some(())
            }
            Err(_) => {
                self.enclave = None;
                None
            }
        }
    }

    /// Its candidate.
    pub fn seal(&self, node: &Node, world: &mut World) -> Option<Box<SignedRollup>> {
        match node.ask_enclave(self.enclave.as_ref()?, world, Request::Seal) {
            Ok(Reply::Sealed(rollup)) => rollup,
            _ => None,
        }
    }
}

/// See above.
#[derive(Default)]
pub struct ReRoller {
    twin: Twin,
}

/// A fresh life costs a replay of L1: it is tried once in so many L1 blocks.
const EVERY_BLOCKS: u64 = 8;

impl Adversary for ReRoller {
    fn effect(
        &mut self,
        node: &mut Node,
        effect: Effect<MessageId>,
        world: &mut World,
    ) -> Vec<Effect<MessageId>> {
        let Effect::Gossip(own) = &effect else { return vec![effect] };
        let Some(head) = node.head().cloned() else { return vec![effect] };
        if head.l1.number.is_multiple_of(EVERY_BLOCKS) {
            self.twin.restart(node, world);
        }
        if self.twin.follow(node, &head, world).is_none() {
            return vec![effect];
        }
        if let Some(again) = self.twin.seal(node, world) {
            *world.counts.attacks.entry("rounds drawn again").or_default() += 1;
            // The better of both, if there were a better one.
            if again.header.nonce < own.header.nonce {
                return vec![Effect::Gossip(again)];
            }
        }
        vec![effect]
    }
}
