//! What breaks, when, and how it is mended: all by draws from the run's seed. Not here: which faults a
//! scenario has (`scenario`).

use crate::{
    events::Event,
    node::Node,
    random::Random,
    reference::short,
    scenario::{FaultKind, Recurring},
    world::{Lines, Seen, World},
};
use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy_eips::Encodable2718;
use alloy_primitives::{Address, TxKind, U256};
use alloy_signer::SignerSync;
use obscuro_devnet::accounts;
use std::{collections::HashSet, time::Duration};

/// Deepest reorganisation: less than what L1 counts as final.
const REORG_DEPTH_MAX: u64 = 60;
/// Bytes of a transaction that fills blocks, and how many fit into one.
const FILLER_BYTES: usize = 120_000;
const FILLERS_PER_BLOCK: u64 = 12;
const FILLER_GAS: u64 = 4_900_000;
const FILLER_FEE: u128 = 3_000_000_000_000;

/// A fault, or its end.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// It strikes, and will again.
    Strike(Recurring),
    /// A node starts.
    Start(usize),
    /// A node's disk answers again.
    DiskAnswers(usize),
    /// The aggregators hear each other again.
    Heal,
    /// Lines are as good as before.
    GoodLines,
    /// A node is as fast as before.
    Fast(usize),
    /// L1 nodes hear each other again.
    HealL1,
    /// L1 takes everybody's transactions again.
    Uncensor,
    /// Somebody fills L1 for so many more blocks.
    Fill(u32),
}

/// Strikes.
pub struct Faults {
    random: Random,
    /// From now on nothing breaks any more.
    pub is_calm: bool,
}

impl Faults {
    /// The faults of a run.
    pub fn new(seed: u64) -> Self {
        Self { random: Random::new(seed, "faults"), is_calm: false }
    }

    /// Plans the first strikes.
    pub fn begin(&mut self, world: &mut World) {
        for recurring in world.scenario.faults.clone() {
            self.plan(recurring, world);
        }
    }

    fn plan(&mut self, recurring: Recurring, world: &mut World) {
        let mean = world.scenario.block_time * recurring.every_blocks as u32;
        let delay = self.random.exponential(mean);
        world.after(delay, Event::Fault(Fault::Strike(recurring)));
    }

    /// Everything is mended.
    pub fn calm(&mut self, nodes: &mut [Node], world: &mut World) {
        self.is_calm = true;
        world.network.split.clear();
        world.network.slow.clear();
        world.network.lines = Lines::default();
        world.heal_l1();
        world.l1.censor_everywhere(&HashSet::new());
        for node in nodes {
            node.disk.fail(false);
            if node.life.is_none() {
                node.start(world);
            }
        }
    }

    /// A fault strikes or ends.
    pub fn handle(&mut self, fault: Fault, nodes: &mut [Node], world: &mut World) {
        match fault {
            Fault::Strike(recurring) => {
                if !self.is_calm {
                    self.strike(recurring.kind, nodes, world);
                    self.plan(recurring, world);
                }
            }
            Fault::Start(node) => {
                if nodes[node].life.is_none() {
                    nodes[node].start(world);
                }
            }
            Fault::DiskAnswers(node) => nodes[node].disk.fail(false),
            Fault::Heal => world.network.split.clear(),
            Fault::GoodLines => world.network.lines = Lines::default(),
            Fault::Fast(node) => drop(world.network.slow.remove(&node)),
            Fault::HealL1 => world.heal_l1(),
            Fault::Uncensor => world.l1.censor_everywhere(&HashSet::new()),
            Fault::Fill(more) => self.fill(more, world),
        }
    }

    fn strike(&mut self, kind: FaultKind, nodes: &mut [Node], world: &mut World) {
        let block = world.scenario.block_time;
        let blocks = |random: &mut Random, most: u64| block * (1 + random.below(most)) as u32;
        let strikes = match kind {
            FaultKind::Crash
            | FaultKind::DiskLost
            | FaultKind::DiskRolledBack
            | FaultKind::IdentityRolledBack => self.crash(kind, nodes, world),
            FaultKind::Reorg => self.reorganise(world),
            _ => true,
        };
        *world.counts.faults.entry(kind.name()).or_default() += u64::from(strikes);
        match kind {
            FaultKind::Crash
            | FaultKind::DiskLost
            | FaultKind::DiskRolledBack
            | FaultKind::IdentityRolledBack
            | FaultKind::Reorg => {}
            FaultKind::Blackout => {
                for node in nodes.iter_mut().filter(|node| node.life.is_some()) {
                    let random = &mut self.random;
                    node.crash(world, |loose| random.below(loose));
                    let delay = random.exponential(block * 2);
                    world.after(delay, Event::Fault(Fault::Start(node.id)));
                }
            }
            FaultKind::DiskFails => {
                let node = self.random.index(nodes.len());
                nodes[node].disk.fail(true);
                world.say(Some(node), "the disk does not answer");
                let delay = blocks(&mut self.random, 3);
                world.after(delay, Event::Fault(Fault::DiskAnswers(node)));
            }
            FaultKind::Partition => {
                let count = world.scenario.aggregators;
                let side = self.random.choose(count, count / 2);
                world.say(None, format!("a partition keeps nodes {side:?} apart"));
                world.network.split = side.into_iter().collect();
                let delay = blocks(&mut self.random, 6);
                world.after(delay, Event::Fault(Fault::Heal));
            }
            FaultKind::Slow => {
                let node = self.random.index(nodes.len());
                let most = Duration::from_secs(2);
                let slowness = self.random.between(Duration::from_millis(200), most);
                world.say(Some(node), format!("is slow by {slowness:?}"));
                world.network.slow.insert(node, slowness);
                let delay = blocks(&mut self.random, 8);
                world.after(delay, Event::Fault(Fault::Fast(node)));
            }
            FaultKind::BadLines => {
                world.say(None, "lines among nodes are bad");
                world.network.lines = Lines::BAD;
                let delay = blocks(&mut self.random, 6);
                world.after(delay, Event::Fault(Fault::GoodLines));
            }
            FaultKind::L1Split => {
                let count = world.l1.len();
                let side = self.random.choose(count, count / 2);
                world.say(None, format!("L1 nodes {side:?} do not hear the others"));
                world.network.l1_split = side.into_iter().collect();
                let delay = blocks(&mut self.random, 8);
                world.after(delay, Event::Fault(Fault::HealL1));
            }
            FaultKind::FeeSpike => {
                world.say(None, "somebody fills L1's blocks");
                let blocks = 6 + self.random.below(14) as u32;
                self.fill(blocks, world);
            }
            FaultKind::Censorship => {
                let node = self.random.index(world.scenario.aggregators);
                world.say(None, format!("L1 leaves out the transactions of node {node}"));
                let accounts = [World::operator(node)];
                world.l1.censor_everywhere(&accounts.into());
                let delay = blocks(&mut self.random, 8);
                world.after(delay, Event::Fault(Fault::Uncensor));
            }
        }
    }

    /// Whether it did.
    fn crash(&mut self, kind: FaultKind, nodes: &mut [Node], world: &mut World) -> bool {
        let node = self.random.index(nodes.len());
        let others = nodes.iter().filter(|other| other.id != node && other.is_ready()).count();
        let has_former =
            kind != FaultKind::IdentityRolledBack || !nodes[node].disk.former.is_empty();
        if nodes[node].life.is_none()
            || !has_former
            || others < nodes.len() / 2
            || !nodes[node].is_honest()
        {
            return false;
        }
        let random = &mut self.random;
        nodes[node].crash(world, |loose| random.below(loose));
        let disk = &mut nodes[node].disk;
        match kind {
            FaultKind::DiskLost => {
                world.say(Some(node), "loses its disk");
                disk.wipe();
            }
            FaultKind::DiskRolledBack => {
                let writes = self.random.index(disk.history().max(1));
                world.say(Some(node), format!("its disk goes back by {writes} writes"));
                disk.roll_back(writes);
            }
            FaultKind::IdentityRolledBack => {
                let which = self.random.index(disk.former.len());
                world.say(Some(node), "its sealed identity is an older one");
                disk.roll_identity_back(which);
                if self.random.per_mille(500) {
                    disk.snapshot = None;
                }
            }
            _ => {}
        }
        let delay = self.random.exponential(world.scenario.block_time);
        world.after(delay, Event::Fault(Fault::Start(node)));
        true
    }

    /// L1 turns to another branch, and every L1 node with it; whether it could.
    fn reorganise(&mut self, world: &mut World) -> bool {
        // Mostly shallow, seldom up to finality.
        let most = if self.random.per_mille(100) { REORG_DEPTH_MAX } else { 5 };
        let depth = 1 + self.random.below(most);
        let miner = self.random.index(world.l1.len());
        let depth = depth.min(world.l1.head(miner).number().saturating_sub(world.first_block));
        if depth == 0 {
            return false;
        }
        // A branch that is not seen before it is longer has no rollups while it is made.
        world.seen.push(Seen::Disturbed);
        world.l1.go_back(miner, depth);
        world.say(None, format!("L1 node {miner} turns away, {depth} blocks deep"));
        for _ in 0..=depth {
            world.propose(miner);
        }
        let tip = world.l1.head(miner).hash;
        world.say(None, format!("its branch ends at {}", short(tip)));
        true
    }

    fn fill(&mut self, more: u32, world: &mut World) {
        if more == 0 || self.is_calm {
            return;
        }
        let filler = accounts::account(0);
        let l1 = 0;
        let first = world.l1.pending_nonce(l1, filler.address());
        for nonce in first..first + FILLERS_PER_BLOCK {
            let transaction = TxEip1559 {
                chain_id: world.config.l1ChainId,
                nonce,
                gas_limit: FILLER_GAS,
                max_fee_per_gas: FILLER_FEE,
                max_priority_fee_per_gas: 2_000_000_000,
                to: TxKind::Call(Address::repeat_byte(0xfe)),
                value: U256::ZERO,
                input: vec![1; FILLER_BYTES].into(),
                ..Default::default()
            };
            let Ok(signature) = filler.sign_hash_sync(&transaction.signature_hash()) else {
                return;
            };
            let raw = TxEnvelope::from(transaction.into_signed(signature)).encoded_2718();
            if world.send_raw(l1, &raw).is_err() {
                break;
            }
        }
        world.after(world.scenario.block_time, Event::Fault(Fault::Fill(more - 1)));
    }
}
