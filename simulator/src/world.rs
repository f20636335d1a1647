//! What surrounds the nodes: virtual time, L1, the network among aggregators, chance, and the record of
//! what was seen. Not here: nodes and users, which act in it (`run` hands events to them).

use crate::{
    events::{Event, L1Event, Message, NodeEvent, Queue},
    journal::Journal,
    l1::L1,
    leaks::Leaks,
    node::content::ContentRequest,
    random::Random,
    reference::{Reference, short},
    scenario::{Rhythm, Scenario},
};
use alloy_primitives::{Address, B256, Bytes, keccak256};
use obscuro_devnet::l1::Incoming;
use obscuro_host::l1::block::Fetched;
use obscuro_protocol::{
    config::{L1BlockId, NetworkConfig},
    door::Head,
    gossip::Wanted,
    rollup::{RollupHeader, SignedRollup},
};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

/// From an L1 node to its host.
const NEWS_LATENCY: Duration = Duration::from_millis(5);
/// From a user to a node.
const USER_LATENCY: Duration = Duration::from_millis(40);

/// Everything but the nodes.
pub struct World {
    /// What is played.
    pub scenario: Scenario,
    /// The network.
    pub config: NetworkConfig,
    /// Virtual time since the beginning.
    pub now: Duration,
    /// What will happen.
    pub queue: Queue,
    /// L1.
    pub l1: L1,
    /// What has happened.
    pub journal: Journal,
    /// What should be canonical.
    pub reference: Reference,
    /// What enclaves let out.
    pub leaks: Leaks,
    /// For checkers: what was seen since they last looked.
    pub seen: Vec<Seen>,
    /// Who can hear whom, and how fast.
    pub network: Network,
    /// Counts for the report.
    pub counts: Counts,
    /// Miners' times.
    pub mining: Random,
    /// The newest blocks as hosts gather them.
    pub gathered: RefCell<Vec<Fetched>>,
    /// Accounts that may hold something on L2.
    pub accounts: Vec<Address>,
    /// The L1 block with which the play began; none below it is reorganised.
    pub first_block: u64,
    /// The L1 block with which it ended; zero before.
    pub last_block: u64,
    /// The branch that colluders build.
    pub plot: Vec<RollupHeader>,
    /// Whether new blocks are made.
    pub is_mining: bool,
    draws: Vec<u64>,
    l1_chance: Random,
}

/// The network among aggregators, and among L1 nodes.
pub struct Network {
    /// Neighbours in the mesh.
    pub mesh: Vec<Vec<usize>>,
    /// One side of a partition of the aggregators.
    pub split: BTreeSet<usize>,
    /// One side of a partition of L1.
    pub l1_split: BTreeSet<usize>,
    /// How good the lines among nodes are.
    pub lines: Lines,
    /// Slow nodes: their messages and their enclaves take that much longer.
    pub slow: BTreeMap<usize, Duration>,
    /// The L1 node of each node.
    pub l1_of: Vec<usize>,
    /// Nodes per L1 node.
    pub hosts: Vec<Vec<usize>>,
    /// When the last message of one node arrives at another.
    arrivals: BTreeMap<(usize, usize), Duration>,
    chance: Random,
}

/// What bad lines do to messages, beyond what the scenario always does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// So many in a thousand are lost.
    pub loss_per_mille: u64,
    /// So many arrive twice.
    pub duplication_per_mille: u64,
    /// Each is late by up to this.
    pub delay_max: Duration,
}

impl Lines {
    /// Bad ones.
    pub const BAD: Self =
        Self { loss_per_mille: 300, duplication_per_mille: 300, delay_max: Duration::from_secs(3) };
}

/// What was seen.
pub enum Seen {
    /// A node's enclave has this head.
    Head {
        /// The node.
        node: usize,
        /// Its head.
        head: Box<Head>,
    },
    /// An enclave sealed a rollup.
    Sealed {
        /// The node.
        node: usize,
        /// The rollup.
        rollup: Box<SignedRollup>,
    },
    /// An L1 block was made.
    Block(B256),
    /// A node restarted, crashed, or was otherwise disturbed.
    Disturbed,
    /// A node cannot go on.
    Fatal {
        /// The node.
        node: usize,
        /// Why.
        reason: String,
        /// Whether its disk did then what no good disk does.
        is_excused: bool,
    },
    /// A user's transaction was made.
    Made(B256),
    /// A bad thing that an invariant forbids, found on the spot.
    Wrong(&'static str, String),
}

/// Counts for the report.
#[derive(Default)]
pub struct Counts {
    /// Events.
    pub events: u64,
    /// L1 heads that moved to another branch, over all L1 nodes, by depth.
    pub reorgs: BTreeMap<usize, u64>,
    /// Candidates sealed.
    pub sealed: u64,
    /// Candidates checked by enclaves.
    pub checked: u64,
    /// Announcements of candidates that arrived at nodes.
    pub announcement_copies: u64,
    /// Payloads that arrived at nodes.
    pub payload_copies: u64,
    /// Bytes gossiped, and of payloads.
    pub gossip_bytes: u64,
    /// Nodes that gave others wrong content, and how often.
    pub blamed: BTreeMap<usize, u64>,
    /// Blobs that L1 had pruned and other nodes gave.
    pub blobs_from_peers: u64,
    /// What other nodes gave for such blobs, and was something else.
    pub blobs_refused: u64,
    /// Restarts of enclaves.
    pub restarts: u64,
    /// Nodes that stopped and were mended by their operator.
    pub mended: u64,
    /// Gossiped messages that were lost, doubled, held up by slow nodes, or overtaken by later ones of the
    /// same sender.
    pub messages: BTreeMap<&'static str, u64>,
    /// Faults by name.
    pub faults: BTreeMap<&'static str, u64>,
    /// What adversaries did, by name.
    pub attacks: BTreeMap<&'static str, u64>,
    /// Rollups given to L1 nodes, and why others were not.
    pub publications: BTreeMap<String, u64>,
    /// Users' transactions.
    pub transactions: u64,
    /// Those that they posted to L1, for nobody took them.
    pub forced: u64,
    /// When each was first sent.
    pub sent: HashMap<B256, Duration>,
}

impl World {
    /// A world with an L1 of this genesis.
    pub fn new(
        seed: u64,
        scenario: Scenario,
        config: NetworkConfig,
        l1: L1,
        reference: Reference,
    ) -> Self {
        let nodes = scenario.aggregators + scenario.verifiers;
        let mut chance = Random::new(seed, "network");
        let l1_of: Vec<usize> = (0..nodes).map(|node| node % l1.len()).collect();
        let mut hosts = vec![Vec::new(); l1.len()];
        for (node, l1) in l1_of.iter().enumerate() {
            hosts[*l1].push(node);
        }
        let mesh = mesh(scenario.aggregators, &mut chance);
        Self {
            draws: vec![0; l1.len()],
            network: Network {
                mesh,
                split: BTreeSet::new(),
                l1_split: BTreeSet::new(),
                lines: Lines::default(),
                arrivals: BTreeMap::new(),
                slow: BTreeMap::new(),
                l1_of,
                hosts,
                chance,
            },
            leaks: Leaks::default(),
            now: Duration::ZERO,
            queue: Queue::default(),
            journal: Journal::default(),
            seen: Vec::new(),
            counts: Counts::default(),
            mining: Random::new(seed, "mining"),
            l1_chance: Random::new(seed, "l1"),
            is_mining: true,
            gathered: RefCell::default(),
            accounts: Vec::new(),
            first_block: 0,
            last_block: 0,
            plot: Vec::new(),
            reference,
            scenario,
            config,
            l1,
        }
    }

    /// Plans an event.
    pub fn after(&mut self, delay: Duration, event: Event) {
        self.queue.at(self.now + delay, event);
    }

    /// Says what happened.
    pub fn say(&mut self, node: Option<usize>, text: impl Into<String>) {
        self.journal.say(self.now, node, text.into());
    }

    /// Something that an invariant forbids, found where it happened.
    pub fn wrong(&mut self, checker: &'static str, text: String) {
        self.seen.push(Seen::Wrong(checker, text));
    }

    // ---- L1

    /// The id of the head that a node's L1 node shows.
    pub fn l1_head(&self, node: usize) -> L1BlockId {
        let head = self.l1.head(self.network.l1_of[node]);
        L1BlockId { number: head.number(), hash: head.hash }
    }

    /// Begins to make blocks.
    pub fn start_mining(&mut self) {
        match self.scenario.rhythm {
            Rhythm::Slots { .. } => self.plan_slot(),
            Rhythm::Race | Rhythm::Race2022 => {
                (0..self.l1.len()).for_each(|miner| self.plan_race(miner));
            }
        }
    }

    fn plan_slot(&mut self) {
        let slot = self.scenario.block_time.as_micros();
        let next = (self.now.as_micros() / slot + 1) * slot;
        let delay = Duration::from_micros(next as u64) - self.now;
        let miner = self.mining.index(self.l1.len());
        self.after(delay, Event::L1(L1Event::Mine { miner, draw: 0 }));
    }

    fn plan_race(&mut self, miner: usize) {
        let (block, miners) = (self.scenario.block_time, self.l1.len() as u32);
        let delay = match self.scenario.rhythm {
            // The least of n uniform draws up to n blocks is one block on average, nearly.
            Rhythm::Race2022 => self.mining.between(block / miners, block * miners),
            _ => self.mining.exponential(block * miners),
        };
        self.draws[miner] += 1;
        let draw = self.draws[miner];
        self.after(delay, Event::L1(L1Event::Mine { miner, draw }));
    }

    /// Something happens on L1.
    pub fn l1_event(&mut self, event: L1Event) {
        match event {
            L1Event::Mine { miner, draw } => self.mine(miner, draw),
            L1Event::Block { to, hash } => self.take_block(to, hash),
            L1Event::Transaction { to, incoming } => {
                // A node that refuses it has its reasons: a nonce that its own branch has used.
                let _ = self.l1.take_transaction(to, &incoming);
            }
        }
    }

    fn mine(&mut self, miner: usize, draw: u64) {
        if !self.is_mining {
            return;
        }
        match self.scenario.rhythm {
            Rhythm::Slots { rivals_per_mille } => {
                self.propose(miner);
                if self.mining.per_mille(rivals_per_mille) {
                    let rival = (miner + 1 + self.mining.index(self.l1.len() - 1)) % self.l1.len();
                    if self.l1.head(rival).hash != self.l1.head(miner).hash {
                        self.propose(rival);
                    }
                }
                self.plan_slot();
            }
            _ if draw == self.draws[miner] => {
                self.propose(miner);
                self.plan_race(miner);
            }
            _ => {}
        }
    }

    /// An L1 node makes a block on its head and tells the others.
    pub fn propose(&mut self, miner: usize) {
        let parent = self.l1.head(miner).hash;
        if let Some(hash) = self.propose_on(miner, parent) {
            self.take_block(miner, hash);
        }
    }

    /// An L1 node makes a block on any block.
    pub fn propose_on(&mut self, miner: usize, parent: B256) -> Option<B256> {
        let block = match self.l1.propose_on(miner, parent, self.now) {
            Ok(block) => block,
            Err(error) => {
                self.wrong("L1", format!("no block can be made: {error}"));
                return None;
            }
        };
        let l1 = &self.l1;
        self.reference.block(&block, |hash| l1.blob(hash), self.now, &mut self.journal);
        self.seen.push(Seen::Block(block.hash));
        if block.number().is_multiple_of(16)
            && let Err(error) = self.l1.settle()
        {
            self.say(None, format!("L1 does not settle: {error}"));
        }
        Some(block.hash)
    }

    /// A block reaches an L1 node.
    pub fn take_block(&mut self, to: usize, hash: B256) {
        let is_news = !self.l1.knows(to, hash);
        let moved = self.l1.take_block(to, hash);
        if is_news {
            for other in (0..self.l1.len()).filter(|other| *other != to) {
                self.send_l1(to, other, |to| L1Event::Block { to, hash });
            }
        }
        let Some(moved) = moved else { return };
        if moved.removed > 0 {
            *self.counts.reorgs.entry(moved.removed).or_default() += 1;
            let depth = moved.removed;
            self.say(None, format!("L1 node {to} reorganises {depth} blocks to {}", short(hash)));
        }
        if matches!(self.scenario.rhythm, Rhythm::Race | Rhythm::Race2022) {
            self.plan_race(to);
        }
        for node in self.network.hosts[to].clone() {
            self.tell_head(node, NEWS_LATENCY);
        }
    }

    /// A node hears of its L1 node's head.
    pub fn tell_head(&mut self, node: usize, delay: Duration) {
        let id = self.l1_head(node);
        self.queue.at(self.now + delay, Event::Node(node, u64::MAX, NodeEvent::L1Head(id)));
    }

    fn send_l1(&mut self, from: usize, to: usize, event: impl Fn(usize) -> L1Event) {
        let split = &self.network.l1_split;
        if split.contains(&from) != split.contains(&to) {
            return;
        }
        let (least, most) = self.scenario.l1_latency;
        let delay = self.l1_chance.between(least, most);
        self.after(delay, Event::L1(event(to)));
    }

    /// L1 nodes that were apart hear of each other's heads again.
    pub fn heal_l1(&mut self) {
        self.network.l1_split.clear();
        for from in 0..self.l1.len() {
            let hash = self.l1.head(from).hash;
            for to in (0..self.l1.len()).filter(|to| *to != from) {
                self.send_l1(from, to, |to| L1Event::Block { to, hash });
            }
        }
    }

    /// `eth_sendRawTransaction` at an L1 node, which tells the others.
    pub fn send_raw(&mut self, l1: usize, raw: &[u8]) -> Result<B256, String> {
        let incoming = Incoming::decode(raw).map_err(|error| error.to_string())?;
        self.send_incoming(l1, incoming)
    }

    /// The same for a transaction that was decoded.
    pub fn send_incoming(&mut self, l1: usize, incoming: Incoming) -> Result<B256, String> {
        self.l1.take_transaction(l1, &incoming).map_err(|error| error.to_string())?;
        let hash = incoming.hash();
        let incoming = Arc::new(incoming);
        for other in (0..self.l1.len()).filter(|other| *other != l1) {
            self.send_l1(l1, other, |to| L1Event::Transaction { to, incoming: incoming.clone() });
        }
        Ok(hash)
    }

    // ---- gossip

    /// A node sends a message to a neighbour.
    pub fn gossip(&mut self, from: usize, to: usize, message: &Arc<Message>) {
        for delay in self.journeys(from, to) {
            self.count_bytes(message.bytes.len());
            self.after(delay, Event::Gossip { to, from, message: message.clone() });
        }
    }

    /// Whom a node can ask for content. A node that only follows has links too, though no candidates come
    /// to it over them.
    pub fn neighbours(&self, node: usize) -> Vec<usize> {
        let aggregators = 0..self.scenario.aggregators.min(3);
        self.network.mesh.get(node).cloned().unwrap_or_else(|| aggregators.collect())
    }

    /// A node asks another for content.
    pub fn ask(&mut self, from: usize, to: usize, wanted: Wanted) {
        for delay in self.journeys(from, to) {
            self.after(delay, Event::Ask { to, from, wanted });
        }
    }

    /// The answer.
    pub fn answer(&mut self, from: usize, request: ContentRequest, found: Option<Bytes>) {
        let ContentRequest { from: to, wanted } = request;
        for delay in self.journeys(from, to).into_iter().take(1) {
            self.count_bytes(found.as_ref().map_or(0, |bytes| bytes.len()));
            self.after(delay, Event::Found { to, from, wanted, found: found.clone() });
        }
    }

    /// How long the copies of a message from one node to another travel; none may arrive.
    fn journeys(&mut self, from: usize, to: usize) -> Vec<Duration> {
        let split = &self.network.split;
        if split.contains(&from) != split.contains(&to) {
            *self.counts.messages.entry("cut off").or_default() += 1;
            return Vec::new();
        }
        let lines = self.network.lines;
        if self.network.chance.per_mille(self.scenario.loss_per_mille + lines.loss_per_mille) {
            *self.counts.messages.entry("lost").or_default() += 1;
            return Vec::new();
        }
        let doubled = self.scenario.duplication_per_mille + lines.duplication_per_mille;
        let is_doubled = self.network.chance.per_mille(doubled);
        *self.counts.messages.entry("doubled").or_default() += u64::from(is_doubled);
        let copies = 1 + u32::from(is_doubled);
        (0..copies).map(|_| self.journey(from, to)).collect()
    }

    /// How long one message travels.
    fn journey(&mut self, from: usize, to: usize) -> Duration {
        let (least, most) = self.scenario.gossip_latency;
        let most = most + self.network.lines.delay_max;
        let extra = self.slowness(from) + self.slowness(to);
        let delay = self.network.chance.between(least, most) + extra;
        *self.counts.messages.entry("of slow nodes").or_default() += u64::from(!extra.is_zero());
        let arrival = self.network.arrivals.entry((from, to)).or_default();
        let is_overtaken = *arrival > self.now + delay;
        *arrival = (*arrival).max(self.now + delay);
        *self.counts.messages.entry("overtaking").or_default() += u64::from(is_overtaken);
        delay
    }

    fn count_bytes(&mut self, bytes: usize) {
        if self.is_played() {
            self.counts.gossip_bytes += bytes as u64;
        }
    }

    /// Whether what happens counts: after the set-up and before the calm.
    pub fn is_played(&self) -> bool {
        self.first_block > 0 && self.last_block == 0
    }

    /// What a slow node's work takes longer.
    pub fn slowness(&self, node: usize) -> Duration {
        self.network.slow.get(&node).copied().unwrap_or_default()
    }

    // ---- users

    /// A user's envelope sets out.
    pub fn send_envelope(
        &mut self,
        user: usize,
        node: usize,
        envelope: Bytes,
        tag: B256,
        about: B256,
    ) {
        self.after(USER_LATENCY, Event::Envelope { user, node, envelope, tag, about });
    }

    /// A node's reply sets out.
    pub fn send_reply(&mut self, user: usize, tag: B256, reply: Bytes, about: B256) {
        self.after(USER_LATENCY, Event::Reply { user, tag, reply, about });
    }

    /// The operator's account of a node.
    pub fn operator(node: usize) -> Address {
        obscuro_devnet::accounts::operator(node as u32).address()
    }

    /// Whom the operator of a node has its rewards paid to: an account that does nothing else.
    pub fn payee(node: usize) -> Address {
        Address::from_word(keccak256([b"payee".as_slice(), &node.to_be_bytes()].concat()))
    }
}

/// A mesh as gossip keeps it: six neighbours each, in both directions.
fn mesh(nodes: usize, chance: &mut Random) -> Vec<Vec<usize>> {
    const DEGREE: usize = 6;
    let mut links: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); nodes];
    for node in 0..nodes {
        // A ring holds it together.
        let next = (node + 1) % nodes;
        if next != node {
            links[node].insert(next);
            links[next].insert(node);
        }
        for other in chance.choose(nodes, nodes) {
            if links[node].len() >= DEGREE {
                break;
            }
            if other != node && links[other].len() < DEGREE + 2 {
                links[node].insert(other);
                links[other].insert(node);
            }
        }
    }
    links.into_iter().map(|links| links.into_iter().collect()).collect()
}
