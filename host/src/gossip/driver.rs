//! The task that owns the swarm. It never waits for the node: what the node does not take is kept
//! in inboxes, within bounds. Not here: parameters (`behaviour`) and whom to dial (`dialer`).

use super::{
    GossipError, GossipOptions, MessageId, Peers, Verdict,
    behaviour::{self, Behaviour, BehaviourEvent},
    content::{Contents, Happening},
    dialer::Dialer,
    inbox::Inbox,
    outbox::Outbox,
    peer_of,
};
use crate::pull::{Input, Mismatch};
use alloy_primitives::Bytes;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use libp2p::{
    Multiaddr, PeerId, Swarm,
    gossipsub::{self, IdentTopic, MessageAcceptance, PublishError},
    multiaddr::Protocol,
    swarm::{ConnectionId, DialError, SwarmEvent, dial_opts::DialOpts},
};
use obscuro_protocol::gossip::{Announcement, Gossip, Wanted};
use std::{
    collections::{HashMap, HashSet},
    net::{IpAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::{
    mpsc::{self, error::TrySendError},
    oneshot, watch,
};

/// Longest time to learn the address that is listened on.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a peer has no link that gave wrong content.
const BLAMED_FOR: Duration = Duration::from_secs(600);
/// Pause while nothing is to be dialled.
const NOTHING_DUE: Duration = Duration::from_secs(3_600);

/// An order to the driver.
#[derive(Debug)]
pub enum Command {
    /// Send a message.
    Publish {
        /// Its wire form.
        data: Vec<u8>,
        /// Whether it is a candidate.
        is_candidate: bool,
        /// Told when it has left.
        done: oneshot::Sender<Result<(), GossipError>>,
    },
    /// A message was judged.
    Judge(MessageId, Verdict),
    /// Get content.
    Pull {
        /// Which.
        wanted: Wanted,
        /// Who should have it.
        sources: Vec<PeerId>,
        /// After which time another is asked as well.
        patience: Duration,
        /// Given the content.
        done: oneshot::Sender<Option<Bytes>>,
    },
    /// Give content to whoever asks.
    Offer(Wanted, Bytes),
    /// Let those wait who ask for it.
    Expect(Wanted),
    /// Close everything.
    Stop,
}

/// What the driver does next.
enum Next {
    Command(Option<Command>),
    Swarm(Box<SwarmEvent<BehaviourEvent>>),
    /// The node takes messages.
    Room,
    /// Other peers are wanted.
    Peers,
    /// An address is to be dialled.
    Due,
    /// Content moves.
    Content(Happening),
    /// The name in an address was looked up.
    Resolved(Multiaddr, Option<Multiaddr>),
}

/// The owner of the swarm.
pub struct Driver {
    swarm: Swarm<Behaviour>,
    topic: IdentTopic,
    commands: mpsc::Receiver<Command>,
    peers: watch::Receiver<Peers>,
    connected: Arc<AtomicUsize>,
    contents: Contents,
    /// Who gave wrong content, and until when that is remembered.
    blamed: HashMap<PeerId, Instant>,
    dialer: Dialer,
    /// Addresses to dial, with the names in them looked up.
    resolving: FuturesUnordered<BoxFuture<'static, Resolved>>,
    /// Whose gossip is heard.
    gossiping: HashSet<PeerId>,
    candidates: Mailbox<Box<Announcement>>,
    transactions: Mailbox<Bytes>,
    outbox: Outbox,
}

/// Messages of one kind on their way to the node.
pub struct Mailbox<T> {
    inbox: Inbox<T>,
    node: mpsc::Sender<(MessageId, T)>,
}

impl<T> Mailbox<T> {
    /// Nothing heard yet; the node listens at the other end.
    pub fn new(node: mpsc::Sender<(MessageId, T)>) -> Self {
        Self { inbox: Inbox::default(), node }
    }

    /// Waits until something waits that the node has room for.
    async fn room(&self) {
        match self.inbox.is_empty() {
            true => std::future::pending().await,
            // When it listens no more, there is room for everything.
            false => drop(self.node.reserve().await),
        }
    }

    /// Hands the node what it has room for.
    fn deliver(&mut self) {
        while !self.inbox.is_empty() {
            match self.node.try_reserve() {
                Ok(permit) => {
                    if let Some(message) = self.inbox.pop() {
                        permit.send(message);
                    }
                }
                Err(TrySendError::Full(())) => return,
                // The node listens no more; its handles may still publish.
                Err(TrySendError::Closed(())) => self.inbox = Inbox::default(),
            }
        }
    }
}

/// An address, and where that is; `None` if its name is not known.
type Resolved = (Multiaddr, Option<Multiaddr>);

impl Driver {
    /// Listens; returns with the address on which others reach this host.
    pub async fn start(
        options: GossipOptions,
        commands: mpsc::Receiver<Command>,
        peers: watch::Receiver<Peers>,
        (candidates, transactions): (Mailbox<Box<Announcement>>, Mailbox<Bytes>),
        connected: Arc<AtomicUsize>,
    ) -> Result<(Self, Multiaddr), GossipError> {
        let mut swarm = behaviour::swarm(&options)?;
        let own = *swarm.local_peer_id();
        let address = match options.listen {
            Some(address) => listen(&mut swarm, address).await?,
            None => Multiaddr::empty(),
        };
        let driver = Self {
            swarm,
            topic: behaviour::topic(options.network),
            commands,
            peers,
            connected,
            contents: Contents::new(options.archive),
            blamed: HashMap::new(),
            dialer: Dialer::new(own),
            resolving: FuturesUnordered::new(),
            gossiping: HashSet::new(),
            candidates,
            transactions,
            outbox: Outbox::default(),
        };
        Ok((driver, address.with(Protocol::P2p(own))))
    }

    /// Runs until it is told to stop or nobody is left to tell it.
    pub async fn run(mut self) {
        loop {
            match self.next().await {
                Next::Command(None | Some(Command::Stop)) => return,
                Next::Command(Some(Command::Judge(message, verdict))) => {
                    self.judge(&message, verdict);
                }
                Next::Command(Some(Command::Publish { data, is_candidate, done })) => {
                    // Who no longer waits needs no answer.
                    let _ = done.send(self.publish(data, is_candidate));
                }
                Next::Command(Some(Command::Pull { wanted, sources, patience, done })) => {
                    let (contents, swarm) = (&mut self.contents, &mut self.swarm);
                    let wrong = contents.want(wanted, sources, patience, done, swarm);
                    self.blame(wrong);
                }
                Next::Command(Some(Command::Offer(wanted, content))) => {
                    self.content(Input::Offer(wanted, content));
                }
                Next::Command(Some(Command::Expect(wanted))) => self.content(Input::Expect(wanted)),
                Next::Content(happening) => self.content(happening),
                Next::Swarm(event) => self.on_event(*event),
                Next::Room => {
                    self.candidates.deliver();
                    self.transactions.deliver();
                }
                Next::Peers => self.want_peers(),
                Next::Due => self.dial_due(),
                Next::Resolved(address, resolved) => self.dial(&address, resolved),
            }
        }
    }

    async fn next(&mut self) -> Next {
        let due = self.dialer.next_due().unwrap_or_else(|| Instant::now() + NOTHING_DUE);
        tokio::select! {
            command = self.commands.recv() => Next::Command(command),
            event = self.swarm.select_next_some() => Next::Swarm(Box::new(event)),
            () = self.candidates.room() => Next::Room,
            () = self.transactions.room() => Next::Room,
            happening = self.contents.next() => Next::Content(happening),
            Ok(()) = self.peers.changed() => Next::Peers,
            () = tokio::time::sleep_until(due.into()) => Next::Due,
            Some((address, resolved)) = self.resolving.next() => Next::Resolved(address, resolved),
        }
    }

    fn publish(&mut self, data: Vec<u8>, is_candidate: bool) -> Result<(), GossipError> {
        let gossip = &mut self.swarm.behaviour_mut().gossip;
        match gossip.publish(self.topic.clone(), data.clone()) {
            Ok(_) | Err(PublishError::Duplicate) => Ok(()),
            Err(PublishError::NoPeersSubscribedToTopic) => {
                self.outbox.keep(data, is_candidate, Instant::now());
                Ok(())
            }
            Err(PublishError::MessageTooLarge) => Err(GossipError::TooLarge),
            Err(error) => {
                tracing::debug!(%error, "a gossip message did not leave");
                Err(GossipError::Congested)
            }
        }
    }

    fn judge(&mut self, message: &MessageId, verdict: Verdict) {
        let acceptance = match verdict {
            Verdict::Forward => MessageAcceptance::Accept,
            Verdict::Ignore => MessageAcceptance::Ignore,
            Verdict::Reject => MessageAcceptance::Reject,
        };
        let gossip = &mut self.swarm.behaviour_mut().gossip;
        gossip.report_message_validation_result(&message.id, &message.source, acceptance);
    }

    fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Gossip(event)) => self.on_gossip(event),
            SwarmEvent::Behaviour(BehaviourEvent::Content(event)) => {
                let wrong = self.contents.on_event(event, &mut self.swarm);
                self.blame(wrong);
            }
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, .. } => {
                self.dialer.connected(connection_id, peer_id, Instant::now());
                self.hear(&peer_id);
                self.count_peers();
            }
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, cause, .. } => {
                tracing::debug!(peer = %peer_id, ?cause, "a gossip peer is gone");
                self.dialer.disconnected(peer_id, Instant::now());
                self.count_peers();
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                self.dial_failed(connection_id, &error);
            }
            _ => {}
        }
    }

    fn on_gossip(&mut self, event: gossipsub::Event) {
        match event {
            gossipsub::Event::Message { propagation_source, message_id, message } => {
                let id = MessageId { id: message_id, source: propagation_source };
                self.receive(id, &message.data);
            }
            gossipsub::Event::Subscribed { topic, peer_id }
                if topic == self.topic.hash() && self.gossiping.contains(&peer_id) =>
            {
                self.flush();
            }
            _ => {}
        }
    }

    /// Sends what was kept for the first who hears it.
    fn flush(&mut self) {
        for (data, is_candidate) in self.outbox.take(Instant::now()) {
            // What cannot leave now either is lost; its author does not wait for it.
            let _ = self.publish(data, is_candidate);
        }
    }

    fn receive(&mut self, id: MessageId, data: &[u8]) {
        if !self.gossiping.contains(&id.source) {
            tracing::debug!(peer = %id.source, "a peer gossips that is no aggregator's");
            return self.judge(&id, Verdict::Ignore);
        }
        let lost = match Gossip::decode(data) {
            Ok(Gossip::Candidate(candidate)) => {
                self.candidates.inbox.push(id, candidate, data.len())
            }
            Ok(Gossip::Transactions(sealed)) => {
                self.transactions.inbox.push(id, sealed, data.len())
            }
            Err(error) => {
                tracing::debug!(peer = %id.source, %error, "a peer gossips garbage");
                return self.judge(&id, Verdict::Reject);
            }
        };
        for lost in lost {
            self.judge(&lost, Verdict::Ignore);
        }
    }

    fn content(&mut self, happening: Happening) {
        let is_period = matches!(happening, Input::Period);
        let wrong = self.contents.handle(happening, &mut self.swarm);
        self.blame(wrong);
        if is_period && !self.blamed.is_empty() {
            self.want_peers();
        }
    }

    /// Has no more to do with peers that gave wrong content, for a while.
    fn blame(&mut self, wrong: Vec<(PeerId, Mismatch)>) {
        for (peer, mismatch) in wrong {
            tracing::warn!(%peer, %mismatch, "a peer gives wrong content: its links are closed");
            self.blamed.insert(peer, Instant::now() + BLAMED_FOR);
            self.swarm.behaviour_mut().admitted.disallow_peer(peer);
        }
    }

    fn want_peers(&mut self) {
        let now = Instant::now();
        self.blamed.retain(|_, until| *until > now);
        let Peers { mut wanted, admitted, gossiping } = self.peers.borrow_and_update().clone();
        self.gossiping = gossiping.into_iter().collect();
        let is_fine = |peer: &PeerId| !self.blamed.contains_key(peer);
        wanted.retain(|address| peer_of(address).is_some_and(|peer| is_fine(&peer)));
        let admitted = wanted.iter().filter_map(peer_of).chain(admitted);
        let admitted: HashSet<PeerId> = admitted.filter(is_fine).collect();
        let links = &mut self.swarm.behaviour_mut().admitted;
        for gone in links.allowed_peers() - &admitted {
            links.disallow_peer(gone);
        }
        for peer in admitted {
            links.allow_peer(peer);
        }
        let connected: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
        for peer in &connected {
            self.hear(peer);
        }
        if connected.iter().any(|peer| self.gossiping.contains(peer)) {
            self.flush();
        }
        let swarm = &self.swarm;
        self.dialer.want(wanted, |peer: &PeerId| swarm.is_connected(peer), now);
        self.dial_due();
    }

    /// Hears the peer's gossip from now on, or does not.
    fn hear(&mut self, peer: &PeerId) {
        let score = if self.gossiping.contains(peer) { 0.0 } else { behaviour::UNHEARD };
        self.swarm.behaviour_mut().gossip.set_application_score(peer, score);
    }

    fn dial_due(&mut self) {
        while let Some(address) = self.dialer.take_due(Instant::now()) {
            self.resolving.push(resolve(address).boxed());
        }
    }

    fn dial(&mut self, address: &Multiaddr, resolved: Option<Multiaddr>) {
        let Some(resolved) = resolved else {
            return self.dialer.unresolved(address, Instant::now());
        };
        let options = DialOpts::from(resolved);
        let connection = options.connection_id();
        self.dialer.dialling(address, connection);
        if let Err(error) = self.swarm.dial(options) {
            self.dial_failed(connection, &error);
        }
    }

    fn dial_failed(&mut self, connection: ConnectionId, error: &DialError) {
        tracing::debug!(%error, "a gossip peer cannot be reached");
        let is_own = matches!(error, DialError::LocalPeerId { .. });
        self.dialer.failed(connection, is_own, Instant::now());
    }

    fn count_peers(&mut self) {
        let neighbours: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
        self.connected.store(neighbours.len(), Ordering::Relaxed);
        self.content(Input::Neighbours(neighbours));
    }
}

async fn listen(
    swarm: &mut Swarm<Behaviour>,
    address: Multiaddr,
) -> Result<Multiaddr, GossipError> {
    let fail = |reason: String| GossipError::Start { address: address.clone(), reason };
    check_free(&address).map_err(|error| fail(error.to_string()))?;
    swarm.listen_on(address.clone()).map_err(|error| fail(error.to_string()))?;
    let listening = async {
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::NewListenAddr { address, .. } => return Ok(address),
                SwarmEvent::ListenerClosed { reason, .. } => {
                    return Err(reason.err().map_or_else(String::new, |error| error.to_string()));
                }
                SwarmEvent::ListenerError { error, .. } => return Err(error.to_string()),
                _ => {}
            }
        }
    };
    match tokio::time::timeout(LISTEN_TIMEOUT, listening).await {
        Ok(listening) => listening.map_err(fail),
        Err(_) => Err(fail("no address to listen on".to_owned())),
    }
}

/// The transport shares ports with whoever else does; two nodes on one port would each lose half of
/// their peers' connections.
fn check_free(address: &Multiaddr) -> std::io::Result<()> {
    let mut parts = address.iter();
    let ip = match parts.next() {
        Some(Protocol::Ip4(ip)) => IpAddr::from(ip),
        Some(Protocol::Ip6(ip)) => IpAddr::from(ip),
        _ => return Ok(()),
    };
    match parts.next() {
        Some(Protocol::Tcp(port)) if port != 0 => TcpListener::bind((ip, port)).map(drop),
        _ => Ok(()),
    }
}

/// Looks up the name with which an address begins, if it does (`/dns4/host/tcp/9000`).
async fn resolve(address: Multiaddr) -> Resolved {
    let name = match address.iter().next() {
        Some(Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name)) => name.to_string(),
        _ => return (address.clone(), Some(address)),
    };
    let wants_v4 = matches!(address.iter().next(), Some(Protocol::Dns4(_)));
    let wants_v6 = matches!(address.iter().next(), Some(Protocol::Dns6(_)));
    let found = tokio::net::lookup_host((name, 0)).await.ok().and_then(|mut found| {
        found.find(|at| (at.is_ipv4() || !wants_v4) && (at.is_ipv6() || !wants_v6))
    });
    let resolved = found.map(|at| {
        let rest = address.iter().skip(1);
        std::iter::once(Protocol::from(at.ip())).chain(rest).collect()
    });
    (address, resolved)
}
