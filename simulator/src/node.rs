//! A node: the real enclave behind its serialised door, and the host's real cores, driven under virtual
//! time. What tokio drivers do in `host` the files in this folder do here: feeding L1 (`feed`), playing
//! rounds (`play`), carrying payloads (`content`), keeping them (`archive`), publishing (`publish`), membership and relaying (`join`).
//! Not here: any decision that the cores make.

mod archive;
pub mod content;
pub mod feed;
mod join;
mod play;
mod publish;

use crate::{
    adversaries::Adversary,
    device::SimulatedDevice,
    disk::Disk,
    events::{Event, Fed, Message, MessageId, NodeEvent},
    leaks::Tapped,
    reference::short,
    world::{Seen, World},
};
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_signer_local::PrivateKeySigner;
use content::ContentRequest;
use obscuro_devnet::accounts;
use obscuro_enclave::Enclave;
use obscuro_host::{
    docket::Docket,
    l1::follower::{Follower, Input},
    membership::steps::Sent,
    publisher::outbox::{Content, Outbox, Purpose},
    pull::{self, Pulls},
    round::{Rounds, rhythm::Rhythm},
};
use obscuro_protocol::{
    door::{self, DoorError, Head, Reply, Request},
    gossip::Wanted,
    rollup::SignedRollup,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

/// The start-up chain of a production enclave, in virtual time.
const STARTUP: Duration = Duration::from_secs(10);
/// How long an operator takes to mend a node that stopped.
const MENDING: Duration = Duration::from_secs(30);
/// Gossip messages remembered, so that none is taken twice.
const MESSAGES_KEPT: usize = 4_096;

/// What enclaves take for their work, in virtual time.
pub mod cost {
    use std::time::Duration;

    /// Sealing a candidate.
    pub const SEAL: Duration = Duration::from_millis(15);
    /// Judging a candidate.
    pub const CHECK: Duration = Duration::from_millis(10);
    /// Folding an L1 block.
    pub const FOLD: Duration = Duration::from_millis(4);
    /// Anything else.
    pub const ASK: Duration = Duration::from_millis(1);
}

/// One machine with its operator.
pub struct Node {
    /// Its number.
    pub id: usize,
    /// The TEE.
    pub device: SimulatedDevice,
    /// The disk.
    pub disk: Disk,
    /// The L1 account.
    pub operator: PrivateKeySigner,
    /// OBX to pledge; zero for a verifier.
    pub stake: U256,
    /// Whether it creates the network.
    pub is_genesis: bool,
    /// Its running process.
    pub life: Option<Life>,
    /// Lives so far.
    pub lives: u64,
    /// What it does beside the protocol, if it cheats.
    pub adversary: Option<Box<dyn Adversary>>,
    /// When it stopped last because it could not go on.
    stopped: Option<Duration>,
}

/// What a process holds in memory.
pub struct Life {
    /// The enclave.
    pub enclave: Enclave<SimulatedDevice>,
    /// Its signing address.
    pub address: Address,
    /// Whether it has answered the start.
    is_started: bool,
    follower: Follower,
    rounds: Option<Rounds<MessageId>>,
    rhythm: Rhythm,
    /// Where the enclave stands.
    pub head: Option<Head>,
    /// Whether that is L1's head.
    pub is_synced: bool,
    /// What L1 shows of forks.
    pub docket: Docket,
    /// The L1 block up to which it does.
    pub docketed: Option<B256>,
    outbox: Outbox,
    /// L1's head, as the publisher knows it.
    at: u64,
    orders: VecDeque<(Purpose, Content)>,
    is_serving: bool,
    catching_up: Duration,
    sent: Sent,
    /// Messages that were taken, oldest first.
    messages: VecDeque<B256>,
    taken: HashSet<B256>,
    kept: HashMap<B256, Arc<Message>>,
    /// Blocks that wait for blobs from other nodes.
    incomplete: Vec<archive::Incomplete>,
    pulls: Pulls<usize, ContentRequest>,
    /// Candidates that wait for a payload.
    pulling: BTreeMap<Wanted, Vec<B256>>,
    /// Nodes that gave wrong content.
    blamed: BTreeSet<usize>,
    work_from: Duration,
    is_work_planned: bool,
    relay_from: Duration,
    is_relay_planned: bool,
    /// Accepted while there were no peers.
    is_relay_waiting: bool,
    is_resubmitted: bool,
}

impl Node {
    /// A machine that is switched off.
    pub fn new(run: u64, id: usize, stake: U256, is_genesis: bool) -> Option<Self> {
        Some(Self {
            id,
            device: SimulatedDevice::new(run, id).ok()?,
            disk: Disk::default(),
            operator: accounts::operator(id as u32),
            stake,
            is_genesis,
            life: None,
            lives: 0,
            adversary: None,
            stopped: None,
        })
    }

    /// Whether it cheats.
    pub fn is_honest(&self) -> bool {
        self.adversary.is_none()
    }

    /// Whether it publishes.
    pub fn is_aggregator(&self) -> bool {
        !self.stake.is_zero()
    }

    /// Whether its enclave is at L1's head and holds the seed.
    pub fn is_ready(&self) -> bool {
        let ready =
            |life: &Life| life.is_synced && life.head.as_ref().is_some_and(|head| head.has_seed);
        self.life.as_ref().is_some_and(ready)
    }

    /// The enclave's head.
    pub fn head(&self) -> Option<&Head> {
        self.life.as_ref()?.head.as_ref()
    }

    /// Plans an event for this life.
    pub fn plan(&self, world: &mut World, delay: Duration, event: NodeEvent) {
        let delay = delay + world.slowness(self.id);
        world.after(delay, Event::Node(self.id, self.lives, event));
    }

    /// Switches the machine on.
    pub fn start(&mut self, world: &mut World) {
        self.lives += 1;
        let checkpoint = world.config.checkpoint.clone();
        self.life = Some(Life {
            enclave: Enclave::new(self.device.clone()),
            address: Address::ZERO,
            is_started: false,
            follower: Follower::new(checkpoint),
            rounds: None,
            rhythm: Rhythm::default(),
            docket: Docket::default(),
            docketed: None,
            head: None,
            is_synced: false,
            outbox: Outbox::default(),
            at: 0,
            orders: VecDeque::new(),
            is_serving: false,
            catching_up: Duration::ZERO,
            sent: Sent::default(),
            messages: VecDeque::new(),
            taken: HashSet::new(),
            kept: HashMap::new(),
            incomplete: Vec::new(),
            pulls: Pulls::default(),
            pulling: BTreeMap::new(),
            blamed: BTreeSet::new(),
            work_from: Duration::ZERO,
            is_work_planned: false,
            relay_from: Duration::ZERO,
            is_relay_planned: false,
            is_relay_waiting: false,
            is_resubmitted: false,
        });
        world.counts.restarts += 1;
        world.seen.push(Seen::Disturbed);
        // A newcomer runs the chain too, but nobody waits for it.
        let delay = if self.lives == 1 { Duration::from_millis(100) } else { STARTUP };
        let neighbours = world.neighbours(self.id);
        self.move_content(pull::Input::Neighbours(neighbours), world);
        self.plan(world, delay, NodeEvent::Start);
    }

    /// The process dies; what was not durable may be lost.
    pub fn crash(&mut self, world: &mut World, kept: impl FnOnce(u64) -> u64) {
        self.life = None;
        self.lives += 1;
        self.disk.crash(kept);
        world.seen.push(Seen::Disturbed);
        world.say(Some(self.id), "crashes");
    }

    /// Something happens to it.
    pub fn handle(&mut self, life: u64, event: NodeEvent, world: &mut World) {
        if life != self.lives && life != u64::MAX {
            return;
        }
        if let NodeEvent::Start = event {
            if self.life.is_none() {
                self.start(world);
            } else {
                self.start_enclave(world);
            }
            return;
        }
        if self.life.as_ref().is_none_or(|life| !life.is_started) {
            return;
        }
        match event {
            NodeEvent::Start => {}
            NodeEvent::L1Head(id) => self.take_l1_head(id, world),
            NodeEvent::Fetched(input) => self.follow(input, world),
            NodeEvent::Fed(fed) => self.take_fed(fed, world),
            NodeEvent::Round(input) => self.play(input, world),
            NodeEvent::Content(input) => self.move_content(*input, world),
            NodeEvent::Work => self.take_work(world),
            NodeEvent::Relay => self.relay(world),
            NodeEvent::Orders => self.take_order(world),
            NodeEvent::Send(purpose, content) => self.send(purpose, *content, world),
        }
    }

    /// Asks the enclave; refusals are errors.
    pub fn ask(&self, world: &mut World, request: Request) -> Result<Reply, DoorError> {
        let Some(life) = &self.life else { return Err(DoorError::Retry(door::Retry::Start)) };
        self.ask_enclave(&life.enclave, world, request)
    }

    /// Asks an enclave on this machine.
    pub fn ask_enclave(
        &self,
        enclave: &Enclave<SimulatedDevice>,
        world: &mut World,
        request: Request,
    ) -> Result<Reply, DoorError> {
        let request = door::encode(&request);
        let store = Tapped { store: &self.disk, leaks: &world.leaks, node: self.id };
        let reply = enclave.handle(&request, &store);
        world.leaks.search(self.id, "a reply", &reply);
        world.journal.bytes(&reply);
        match door::decode(&reply) {
            Ok(Reply::Refused(error)) => Err(error),
            Ok(Reply::Sealed(Some(rollup))) => {
                self.note_sealed(&rollup, world);
                Ok(Reply::Sealed(Some(rollup)))
            }
            Ok(reply) => Ok(reply),
            Err(error) => Err(DoorError::Fatal(error.to_string())),
        }
    }

    fn note_sealed(&self, rollup: &SignedRollup, world: &mut World) {
        if world.reference.seed.is_none() {
            let stolen = self.steal(world);
            world.reference.seed = stolen.and_then(|stolen| stolen.seed);
        }
        world.reference.sealed(self.id, rollup, world.now);
        world.counts.sealed += 1;
        world.seen.push(Seen::Sealed { node: self.id, rollup: Box::new(rollup.clone()) });
    }

    /// What a broken TEE gives away.
    pub fn steal(&self, world: &World) -> Option<crate::device::Secrets> {
        self.device.steal(self.disk.identity.as_ref()?, world.config.hash())
    }

    /// The node cannot go on. Its operator restarts it; if that does not help soon, on an empty disk.
    pub fn stop(&mut self, reason: String, world: &mut World) {
        world.say(Some(self.id), format!("stops: {reason}"));
        let is_excused = self.disk.is_damaged();
        world.seen.push(Seen::Fatal { node: self.id, reason, is_excused });
        let again = self.stopped.replace(world.now);
        if again.is_some_and(|last| world.now - last < MENDING * 4) {
            world.say(Some(self.id), "the operator moves the data directory away");
            self.disk.wipe();
        }
        world.counts.mended += 1;
        self.life = None;
        self.lives += 1;
        self.plan(world, MENDING, NodeEvent::Start);
    }

    /// A user's envelope arrives.
    pub fn take_envelope(&mut self, envelope: Bytes, world: &mut World) -> Option<Bytes> {
        let life = self.life.as_ref()?;
        if !life.is_started || self.keeps_out(world) {
            return None;
        }
        match self.ask(world, Request::Envelope(envelope)) {
            Ok(Reply::Envelope { reply, accepted }) => {
                if let Some(sealed) = accepted {
                    let hash = alloy_primitives::keccak256(&sealed);
                    self.disk.transactions.insert(hash, sealed);
                    // An acknowledged transaction is on disk before its reply leaves.
                    self.disk.flush();
                    self.arrived(world);
                }
                Some(reply)
            }
            Ok(_) => None,
            Err(error) => {
                self.check_alive(error, world);
                None
            }
        }
    }

    /// Whether a cheating host keeps transactions from its enclave.
    fn keeps_out(&self, world: &mut World) -> bool {
        let keeps_out = self.adversary.as_ref().is_some_and(|it| it.ignores_transactions());
        if keeps_out {
            *world.counts.attacks.entry("messages with transactions kept out").or_default() += 1;
        }
        keeps_out
    }

    /// An error that ends the node.
    fn check_alive(&mut self, error: DoorError, world: &mut World) {
        if let DoorError::Fatal(reason) = error {
            self.stop(reason, world);
        }
    }

    /// How far it is, for the account of a failure.
    pub fn status(&self) -> String {
        let Some(life) = &self.life else { return "switched off".to_owned() };
        let head = life.head.as_ref().map_or_else(
            || "no head".to_owned(),
            |head| {
                format!(
                    "L1 {} {}, rollup {} {}, {}{}",
                    head.l1.number,
                    short(head.l1.hash),
                    head.number,
                    short(head.rollup),
                    if head.is_aggregator { "aggregator" } else { "follower" },
                    if life.is_synced { "" } else { ", behind" }
                )
            },
        );
        let waiting = life.orders.len();
        format!("life {}, {head}, {waiting} orders wait", self.lives)
    }
}

impl Life {
    /// Remembers a message; whether it is new.
    fn remember(&mut self, message: B256) -> bool {
        if !self.taken.insert(message) {
            return false;
        }
        self.messages.push_back(message);
        if self.messages.len() > MESSAGES_KEPT
            && let Some(old) = self.messages.pop_front()
        {
            self.taken.remove(&old);
            self.kept.remove(&old);
        }
        true
    }

    /// Whether an L1 input may be handled.
    fn follow(&mut self, input: Input) -> Vec<obscuro_host::l1::follower::Effect> {
        self.follower.handle(input)
    }
}

/// For events that carry an answer.
fn fed(input: Input) -> NodeEvent {
    NodeEvent::Fed(Fed::Input(input))
}
