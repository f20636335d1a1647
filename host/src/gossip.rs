//! What hosts tell each other over libp2p, on encrypted links among hosts that L1 lists and nobody else
//! (protocol 6.2, 7.4): gossip among aggregators, encrypted transactions and announcements of candidate
//! rollups; and content by its hash, payloads and blobs. A gossiped message goes on to other peers only
//! when the node says so. Not here: what a message is worth (the node's and the enclave's), who is asked
//! for content (`pull`), and who the peers are (L1's).

mod behaviour;
mod codec;
mod content;
mod dialer;
mod driver;
mod inbox;
mod outbox;
#[cfg(test)]
mod tests;

use alloy_primitives::{B256, Bytes};
use driver::{Command, Driver, Mailbox};
pub use libp2p::{Multiaddr, PeerId};
use libp2p::{gossipsub, multiaddr::Protocol};
use obscuro_protocol::{
    gossip::{Announcement, Gossip, Wanted},
    limits::GOSSIP_BYTES_MAX,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};

/// Orders to the driver that wait.
const COMMANDS_WAITING_MAX: usize = 1_024;
/// Messages of a kind that the node has been handed and not taken yet; behind them lies the inbox.
const EVENTS_WAITING_MAX: usize = 8;
/// Most peers to keep connections to.
pub const PEERS_MAX: usize = 256;

/// What gossip needs to know.
pub struct GossipOptions {
    /// Where to listen, `/ip4/0.0.0.0/tcp/9000`; port 0 chooses one. Without it, others cannot dial
    /// this host.
    pub listen: Option<Multiaddr>,
    /// The host's identity, an ed25519 seed. It is the operator's and says nothing of the enclave.
    pub key: [u8; 32],
    /// The network (its config's hash): nodes of others are not heard.
    pub network: B256,
    /// Whether it takes part in gossip. All hosts give and ask for content.
    pub is_aggregator: bool,
    /// What it gives to others.
    pub archive: Arc<dyn Archive>,
}

/// Content that a host keeps.
pub trait Archive: Send + Sync {
    /// Content by its hash; of a blob, without the zeros at its end. May block.
    fn find(&self, wanted: Wanted) -> Option<Bytes>;
}

/// Other hosts, as L1 lists them. Nobody else has a link to this one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peers {
    /// Those to keep links to, `/ip4/…/tcp/…/p2p/…`: missing ones are dialled.
    pub wanted: Vec<Multiaddr>,
    /// Those that may dial besides.
    pub admitted: Vec<PeerId>,
    /// Those of them whose gossip is heard: the aggregators'.
    pub gossiping: Vec<PeerId>,
}

/// The identity that an address names at its end.
pub fn peer_of(address: &Multiaddr) -> Option<PeerId> {
    match address.iter().last() {
        Some(Protocol::P2p(peer)) => Some(peer),
        _ => None,
    }
}

/// Gossip that does not work.
#[derive(Debug, thiserror::Error)]
pub enum GossipError {
    /// Choose another address or key.
    #[error("cannot gossip on {address}: {reason}")]
    Start {
        /// Where it was to listen.
        address: Multiaddr,
        /// Why it cannot.
        reason: String,
    },
    /// A message over [`GOSSIP_BYTES_MAX`].
    #[error("a gossip message has at most {GOSSIP_BYTES_MAX} bytes")]
    TooLarge,
    /// The links to all peers are congested: try again later, or let it be.
    #[error("the links to all peers are congested")]
    Congested,
    /// Gossip was stopped.
    #[error("gossip has stopped")]
    Stopped,
}

/// What the node makes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Pass it on.
    Forward,
    /// Keep it here: it is of no use to others, and nobody's fault.
    Ignore,
    /// Keep it here and hold it against the peer: nobody honest sends it.
    Reject,
}

/// Names a message, together with the peer that brought it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MessageId {
    id: gossipsub::MessageId,
    source: PeerId,
}

impl MessageId {
    /// The peer that brought it.
    pub fn source(&self) -> PeerId {
        self.source
    }
}

/// What gossip brings: messages that are to be judged, each with its name for [`GossipHandle::judge`].
#[derive(Debug)]
pub struct GossipEvents {
    /// Announcements of candidates.
    pub candidates: mpsc::Receiver<(MessageId, Box<Announcement>)>,
    /// Encrypted transactions.
    pub transactions: mpsc::Receiver<(MessageId, Bytes)>,
}

impl GossipEvents {
    /// The next message of either kind; none when gossip has stopped.
    pub async fn next(&mut self) -> Option<(MessageId, Gossip)> {
        tokio::select! {
            Some((id, candidate)) = self.candidates.recv() => Some((id, Gossip::Candidate(candidate))),
            Some((id, sealed)) = self.transactions.recv() => Some((id, Gossip::Transactions(sealed))),
            else => None,
        }
    }
}

/// Running gossip. Clones share it.
#[derive(Clone, Debug)]
pub struct GossipHandle {
    commands: mpsc::Sender<Command>,
    peers: watch::Sender<Peers>,
    connected: Arc<AtomicUsize>,
    address: Multiaddr,
    own: PeerId,
    task: Arc<parking_lot::Mutex<Option<JoinHandle<()>>>>,
}

impl GossipHandle {
    /// Sends a message to all peers. Without any, it is kept for a while for the first that comes.
    pub async fn publish(&self, message: Gossip) -> Result<(), GossipError> {
        let is_candidate = matches!(message, Gossip::Candidate(_));
        let data = message.encode();
        if data.len() > GOSSIP_BYTES_MAX {
            return Err(GossipError::TooLarge);
        }
        let (done, outcome) = oneshot::channel();
        let command = Command::Publish { data, is_candidate, done };
        self.commands.send(command).await.map_err(|_| GossipError::Stopped)?;
        outcome.await.map_err(|_| GossipError::Stopped)?
    }

    /// Keeps links to these peers and lets no others have any.
    pub fn set_peers(&self, peers: Peers) {
        self.peers.send_if_modified(|known| {
            let is_news = *known != peers;
            *known = peers;
            is_news
        });
    }

    /// Content by its hash, from these peers if they have it, or from others; they are asked as well
    /// whenever one has taken this long. What comes has the hash. `None` if nobody has it.
    pub async fn pull(
        &self,
        wanted: Wanted,
        sources: Vec<PeerId>,
        patience: Duration,
    ) -> Option<Bytes> {
        let (done, outcome) = oneshot::channel();
        let command = Command::Pull { wanted, sources, patience, done };
        self.commands.send(command).await.ok()?;
        outcome.await.ok()?
    }

    /// Gives content to peers that ask for it.
    pub async fn offer(&self, wanted: Wanted, content: Bytes) {
        // It fails only when gossip has stopped: then nobody asks.
        let _ = self.commands.send(Command::Offer(wanted, content)).await;
    }

    /// Peers that ask for this content are to wait: it will be here soon, or never.
    pub fn expect(&self, wanted: Wanted) {
        // When the driver is that busy, they ask others.
        let _ = self.commands.try_send(Command::Expect(wanted));
    }

    /// Says what becomes of a message. Each is judged once; one that is not judged within seconds is
    /// not passed on.
    pub fn judge(&self, message: MessageId, verdict: Verdict) {
        // When the driver is that busy, the message stays here.
        let _ = self.commands.try_send(Command::Judge(message, verdict));
    }

    /// Where others reach this host, with its identity and the port that was chosen; only its identity
    /// if it does not listen.
    pub fn local_address(&self) -> Multiaddr {
        self.address.clone()
    }

    /// This host's identity.
    pub fn peer_id(&self) -> PeerId {
        self.own
    }

    /// Connected peers.
    pub fn peer_count(&self) -> usize {
        self.connected.load(Ordering::Relaxed)
    }

    /// Closes all connections.
    pub async fn stop(self) {
        // It fails only when the driver has stopped already.
        let _ = self.commands.send(Command::Stop).await;
        let task = self.task.lock().take();
        if let Some(task) = task {
            let _ = task.await;
        }
    }
}

/// Starts to listen.
pub async fn start(options: GossipOptions) -> Result<(GossipHandle, GossipEvents), GossipError> {
    let (commands, commands_taken) = mpsc::channel(COMMANDS_WAITING_MAX);
    let (candidates_heard, candidates) = mpsc::channel(EVENTS_WAITING_MAX);
    let (transactions_heard, transactions) = mpsc::channel(EVENTS_WAITING_MAX);
    let heard = (Mailbox::new(candidates_heard), Mailbox::new(transactions_heard));
    let (peers, peers_wanted) = watch::channel(Peers::default());
    let connected = Arc::new(AtomicUsize::new(0));
    let (driver, address) =
        Driver::start(options, commands_taken, peers_wanted, heard, connected.clone()).await?;
    let task = tokio::spawn(driver.run());
    let handle = GossipHandle {
        commands,
        peers,
        connected,
        own: peer_of(&address).unwrap_or_else(PeerId::random),
        address,
        task: Arc::new(parking_lot::Mutex::new(Some(task))),
    };
    Ok((handle, GossipEvents { candidates, transactions }))
}
