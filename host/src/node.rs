//! The node: follower, publisher, rounds, gossip, storage and RPC around one enclave, started and
//! stopped together. Not here: what each of them does.

mod announce;
mod backend;
mod handle;
mod neighbours;
mod resubmit;
#[cfg(test)]
mod tests;

use crate::{
    claims::{ClaimOptions, Claims},
    enclave::{Enclave, Records},
    gossip::{self, GossipError, GossipEvents, GossipHandle, GossipOptions, peer_of},
    l1::{
        L1Client, L1Error,
        feed::{Feed, FeedError, Followed},
        watch_heads,
    },
    membership::Membership,
    prosecutor::Prosecutor,
    publisher::{CarrierPolicy, Publisher, PublisherOptions},
    relay::Relay,
    rounds::RoundDriver,
    rpc::{self, NodeRole, RpcError},
    stop::{self, Stop, Stopper},
    storage::{Storage, StorageError},
};
use alloy_primitives::{Address, U256, keccak256};
use alloy_signer_local::PrivateKeySigner;
use backend::Backend;
pub use handle::NodeHandle;
use libp2p::{Multiaddr, multiaddr::Protocol};
use neighbours::Neighbours;
use obscuro_protocol::{config::NetworkConfig, door::Started, rollup::RollupHeader};
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{broadcast, watch},
    task::JoinSet,
};
use tracing::{error, info};

/// Most that is paid on L1 unless the operator says otherwise, wei per gas.
const MAX_FEE_PER_GAS: u128 = 500_000_000_000;
/// Rollup headers that a slow subscriber may be behind.
const NEWS_MAX: usize = 256;
/// Derives the gossip identity from the operator's key.
const GOSSIP_KEY_LABEL: &[u8] = b"obscuro/v1/host/gossip-identity";
const DATABASE_FOLDER: &str = "database";

/// What a node does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// Publishes rollups.
    Aggregator {
        /// OBX to pledge, in its smallest unit.
        stake: U256,
    },
    /// Follows L1.
    Verifier,
}

impl Role {
    fn is_aggregator(&self) -> bool {
        matches!(self, Self::Aggregator { .. })
    }
}

/// How to run a node.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// The network.
    pub config: NetworkConfig,
    /// The L1 node: `http://`, `https://`, `ws://` or `wss://`.
    pub l1_url: String,
    /// The beacon API, if it is not at the origin of `l1_url`.
    pub beacon_url: Option<String>,
    /// Where the node keeps its database.
    pub data_dir: PathBuf,
    /// The L1 account that owns the node and pays for publishing.
    pub operator: PrivateKeySigner,
    /// What the node does.
    pub role: Role,
    /// Where the node listens for others; port 0 chooses one. Without it, nobody dials a verifier, and
    /// an aggregator listens on this machine only.
    pub gossip_listen: Option<Multiaddr>,
    /// Where others reach the node, as registered on L1; what it listens on if absent. The node's
    /// identity is added.
    pub host_address: Option<Multiaddr>,
    /// Hosts to ask for content, beside those that L1 lists, each with its identity.
    pub peers: Vec<Multiaddr>,
    /// Where gateways reach the node; port 0 chooses one.
    pub rpc_listen: SocketAddr,
    /// How long candidates may compete; follows L1's block time if absent.
    pub gossip_window: Option<Duration>,
    /// How payloads travel to L1.
    pub carrier: CarrierPolicy,
    /// Most that is paid on L1, wei per gas.
    pub max_fee_per_gas: u128,
    /// How the node claims what it earned; if absent, its owner does.
    pub claims: Option<ClaimOptions>,
    /// Whether this node creates the network.
    pub genesis: bool,
    /// Whether an aggregator accuses those who publish on forks, and acquits itself.
    pub prosecutes: bool,
}

impl NodeOptions {
    /// Options with defaults: everything listens on this machine only, at ports of its choice.
    pub fn new(
        config: NetworkConfig,
        l1_url: String,
        data_dir: PathBuf,
        operator: PrivateKeySigner,
        role: Role,
    ) -> Self {
        Self {
            config,
            l1_url,
            beacon_url: None,
            data_dir,
            operator,
            role,
            gossip_listen: None,
            host_address: None,
            peers: Vec::new(),
            rpc_listen: (Ipv4Addr::LOCALHOST, 0).into(),
            gossip_window: None,
            carrier: CarrierPolicy::default(),
            max_fee_per_gas: MAX_FEE_PER_GAS,
            claims: None,
            genesis: false,
            prosecutes: true,
        }
    }
}

/// A node that cannot run, in one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The database.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// L1 is out of reach or no L1.
    #[error("{0}; check the L1 address")]
    L1(#[from] L1Error),
    /// L1 is another chain.
    #[error(
        "the L1 is chain {found}, but the network lives on chain {expected}: check the L1 address"
    )]
    Chain {
        /// What the L1 node says.
        found: u64,
        /// What the network's configuration says.
        expected: u64,
    },
    /// The enclave, or following L1 with it.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// Gossip.
    #[error("{0}; choose another gossip address")]
    Gossip(#[from] GossipError),
    /// The RPC.
    #[error(transparent)]
    Rpc(#[from] RpcError),
}

/// The node.
pub struct Node;

impl Node {
    /// Starts a node around an enclave. Returns when the enclave is started and the node serves;
    /// catching up with L1 goes on behind it.
    pub async fn start(
        options: NodeOptions,
        enclave: Arc<dyn Enclave>,
    ) -> Result<NodeHandle, NodeError> {
        let storage = open(&options).await?;
        let l1 = Arc::new(connect(&options).await?);
        let (stopper, stop) = stop::signal();
        let (gossip, events) = start_gossip(&options, storage.clone()).await?;
        let (heads_out, heads) = watch::channel(None);
        let (identity_out, identity) = watch::channel(Address::ZERO);
        let (followed_out, followed) = watch::channel(None);
        let feed = Feed {
            l1: l1.clone(),
            enclave: enclave.clone(),
            storage: storage.clone(),
            gossip: gossip.clone(),
            config: options.config.clone(),
            heads: heads.clone(),
            identity: identity_out,
            followed: followed_out,
            stop: stop.clone(),
        };
        let started = feed.start().await?;
        let (news, _) = broadcast::channel(NEWS_MAX);
        let parts = Parts {
            records: storage.clone(),
            publisher: None,
            gossip,
            arrivals: Arrivals::new(),
            tasks: JoinSet::new(),
            failed: watch::Sender::new(None),
            options,
            enclave,
            storage,
            l1,
            identity,
            followed,
            news,
            stop,
        };
        parts.start(stopper, heads_out, heads, feed, started, events).await
    }
}

/// Counts arrivals of transactions, for those who have to act on them.
#[derive(Clone)]
struct Arrivals {
    /// From users.
    accepted: watch::Sender<u64>,
    /// From users and peers.
    work: watch::Sender<u64>,
}

impl Arrivals {
    fn new() -> Self {
        Self { accepted: watch::Sender::new(0), work: watch::Sender::new(0) }
    }

    /// A user's transaction was accepted.
    fn accepted(&self) {
        self.accepted.send_modify(|count| *count += 1);
        self.work.send_modify(|count| *count += 1);
    }
}

/// What a running node consists of.
struct Parts {
    options: NodeOptions,
    enclave: Arc<dyn Enclave>,
    storage: Arc<Storage>,
    records: Arc<dyn Records>,
    l1: Arc<L1Client>,
    publisher: Option<Publisher>,
    gossip: GossipHandle,
    identity: watch::Receiver<Address>,
    followed: watch::Receiver<Option<Followed>>,
    news: broadcast::Sender<RollupHeader>,
    arrivals: Arrivals,
    tasks: JoinSet<()>,
    failed: watch::Sender<Option<String>>,
    stop: Stop,
}

impl Parts {
    async fn start(
        mut self,
        stopper: Stopper,
        heads_out: watch::Sender<Option<crate::l1::L1Header>>,
        heads: watch::Receiver<Option<crate::l1::L1Header>>,
        feed: Feed,
        started: Started,
        events: GossipEvents,
    ) -> Result<NodeHandle, NodeError> {
        let publisher = self.start_publisher(heads);
        self.publisher = Some(publisher.clone());
        if self.options.role.is_aggregator() {
            self.start_rounds(publisher.clone(), events);
        }
        self.start_neighbours();
        if self.options.role.is_aggregator() && self.options.prosecutes {
            self.start_prosecutor(publisher.clone());
        }
        self.start_membership(publisher.clone());
        self.tasks.spawn(watch_heads(self.l1.clone(), heads_out, self.stop.clone()));
        self.start_feed(feed, started);
        let (enclave, records) = (self.enclave.clone(), self.records.clone());
        self.tasks.spawn(announce::run(
            enclave.clone(),
            records.clone(),
            self.followed.clone(),
            self.news.clone(),
            self.stop.clone(),
        ));
        let (storage, followed) = (self.storage.clone(), self.followed.clone());
        let arrivals = self.arrivals.clone();
        self.tasks.spawn(resubmit::run(enclave, storage, followed, arrivals, self.stop.clone()));
        let backend = Arc::new(self.backend());
        self.start_claims(backend.clone(), publisher);
        let rpc = rpc::serve(self.options.rpc_listen, backend.clone()).await?;
        info!(rpc = %rpc.addr, role = ?self.options.role, "the node is up");
        Ok(NodeHandle {
            rpc,
            gossip: self.gossip,
            storage: self.storage,
            followed: self.followed,
            news: self.news,
            failed: self.failed.subscribe(),
            tasks: self.tasks,
            backend,
            stopper,
        })
    }

    fn start_publisher(
        &mut self,
        heads: watch::Receiver<Option<crate::l1::L1Header>>,
    ) -> Publisher {
        let (publisher, work) = Publisher::new(PublisherOptions {
            l1: self.l1.clone(),
            storage: self.storage.clone(),
            operator: self.options.operator.clone(),
            config: self.options.config.clone(),
            carrier: self.options.carrier,
            max_fee_per_gas: self.options.max_fee_per_gas,
            heads,
            followed: self.followed.clone(),
            stop: self.stop.clone(),
        });
        self.tasks.spawn(work);
        publisher
    }

    fn start_rounds(&mut self, publisher: Publisher, events: GossipEvents) {
        let (gossip, config) = (&self.gossip, &self.options.config);
        let GossipEvents { candidates, transactions } = events;
        let rounds = RoundDriver {
            enclave: self.enclave.clone(),
            records: self.records.clone(),
            gossip: gossip.clone(),
            candidates,
            publisher,
            followed: self.followed.clone(),
            work: self.arrivals.work.subscribe(),
            config: config.clone(),
            window: self.options.gossip_window,
            stop: self.stop.clone(),
        };
        self.tasks.spawn(rounds.run());
        let relay = Relay {
            enclave: self.enclave.clone(),
            records: self.records.clone(),
            gossip: gossip.clone(),
            transactions,
            followed: self.followed.clone(),
            work: self.arrivals.work.clone(),
            accepted: self.arrivals.accepted.subscribe(),
            stop: self.stop.clone(),
        };
        self.tasks.spawn(relay.run());
    }

    fn start_neighbours(&mut self) {
        let neighbours = Neighbours {
            gossip: self.gossip.clone(),
            storage: self.storage.clone(),
            followed: self.followed.clone(),
            named: self.options.peers.clone(),
            is_aggregator: self.options.role.is_aggregator(),
            stop: self.stop.clone(),
        };
        self.tasks.spawn(neighbours.run());
    }

    /// Where others reach the node, with its identity: they let nobody else in.
    fn host_address(&self) -> String {
        let own = Protocol::P2p(self.gossip.peer_id());
        let given = self.options.host_address.clone();
        let given = given.map(|address| match peer_of(&address) {
            Some(_) => address,
            None => address.with(own),
        });
        given.unwrap_or_else(|| self.gossip.local_address()).to_string()
    }

    fn start_membership(&mut self, publisher: Publisher) {
        let stake = match self.options.role {
            Role::Aggregator { stake } => stake,
            Role::Verifier => U256::ZERO,
        };
        let membership = Membership {
            enclave: self.enclave.clone(),
            storage: self.storage.clone(),
            l1: self.l1.clone(),
            publisher,
            config: self.options.config.clone(),
            owner: self.options.operator.address(),
            stake,
            host_address: self.host_address(),
            genesis: self.options.genesis,
            followed: self.followed.clone(),
            stop: self.stop.clone(),
        };
        self.tasks.spawn(membership.run());
    }

    fn start_prosecutor(&mut self, publisher: Publisher) {
        let prosecutor = Prosecutor {
            enclave: self.enclave.clone(),
            records: self.records.clone(),
            l1: self.l1.clone(),
            publisher,
            operator: self.options.operator.address(),
            config: self.options.config.clone(),
            followed: self.followed.clone(),
            stop: self.stop.clone(),
        };
        self.tasks.spawn(prosecutor.run());
    }

    fn start_claims(&mut self, node: Arc<Backend>, publisher: Publisher) {
        let Some(options) = self.options.claims.clone() else { return };
        let (operator, stop) = (self.options.operator.clone(), self.stop.clone());
        let l1 = self.l1.clone();
        self.tasks.spawn(Claims { node, l1, publisher, operator, options, stop }.run());
    }

    fn start_feed(&mut self, feed: Feed, started: Started) {
        let failed = self.failed.clone();
        self.tasks.spawn(async move {
            if let Err(reason) = feed.run(started).await {
                error!(%reason, "the node cannot go on");
                failed.send_replace(Some(reason.to_string()));
            }
        });
    }

    fn backend(&self) -> Backend {
        Backend::new(
            self.enclave.clone(),
            self.storage.clone(),
            self.options.config.clone(),
            match self.options.role {
                Role::Aggregator { .. } => NodeRole::Aggregator,
                Role::Verifier => NodeRole::Verifier,
            },
            self.identity.clone(),
            self.followed.clone(),
            self.gossip.clone(),
            self.news.clone(),
            self.arrivals.clone(),
            self.options.claims.as_ref().map_or(0, |claims| claims.every.get()),
        )
    }
}

/// The secret of the host's identity among hosts, an ed25519 seed: the operator's key determines it, so
/// that it outlives the data directory and L1 need not be told another.
pub fn gossip_key(operator: &PrivateKeySigner) -> [u8; 32] {
    keccak256([GOSSIP_KEY_LABEL, operator.to_bytes().as_slice()].concat()).0
}

async fn start_gossip(
    options: &NodeOptions,
    storage: Arc<Storage>,
) -> Result<(GossipHandle, GossipEvents), NodeError> {
    let is_aggregator = options.role.is_aggregator();
    let any = Multiaddr::empty().with(Protocol::Ip4(Ipv4Addr::LOCALHOST)).with(Protocol::Tcp(0));
    let started = gossip::start(GossipOptions {
        listen: options.gossip_listen.clone().or(is_aggregator.then_some(any)),
        key: gossip_key(&options.operator),
        network: options.config.hash(),
        is_aggregator,
        archive: storage,
    });
    Ok(started.await?)
}

async fn open(options: &NodeOptions) -> Result<Arc<Storage>, NodeError> {
    let (directory, network) = (options.data_dir.join(DATABASE_FOLDER), options.config.hash());
    let path = directory.clone();
    let opened = tokio::task::spawn_blocking(move || Storage::open(&directory, network)).await;
    let storage = opened.map_err(|error| StorageError::Damaged(path, error.to_string()))?;
    Ok(Arc::new(storage?))
}

async fn connect(options: &NodeOptions) -> Result<L1Client, NodeError> {
    let l1 = L1Client::new(&options.l1_url, options.beacon_url.as_deref())?;
    let (found, expected) = (l1.chain_id().await?, options.config.l1ChainId);
    if found != expected {
        return Err(NodeError::Chain { found, expected });
    }
    Ok(l1)
}
