//! The shell around the chain: a clock, a miner, and one port that answers JSON-RPC over HTTP and
//! WebSocket and the beacon API over HTTP.
//!
//! Decides when a block is mined, never what is in it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use alloy_consensus::Transaction as _;
use alloy_primitives::B256;
use jsonrpsee::server::{
    BatchRequestConfig, PingConfig, RegisterMethodError, ServerBuilder, ServerConfig, ServerHandle,
};
use parking_lot::Mutex;
use tokio::{
    sync::{broadcast, watch},
    task::JoinHandle,
    time::{MissedTickBehavior, interval_at},
};

use super::{
    beacon::BeaconLayer,
    block::Block,
    chain::{Chain, ChainError, Event},
    filters::Filters,
    incoming::{Incoming, Refusal},
    rpc,
};

/// Bytes of a request: a transaction with six blobs in hexadecimal, and room.
const REQUEST_BYTES_MAX: u32 = 8 << 20;

/// Bytes of an answer.
const RESPONSE_BYTES_MAX: u32 = 64 << 20;

/// Requests in one batch.
const BATCH_MAX: u32 = 1_000;

/// Connections at the same time; an HTTP request counts as one while it runs.
const CONNECTIONS_MAX: u32 = 1_024;

/// Subscriptions of one WebSocket connection.
const SUBSCRIPTIONS_MAX: u32 = 256;

/// Events that a slow subscriber may be behind before it is cut off.
const EVENTS_BEHIND_MAX: usize = 4_096;

/// When blocks are mined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mining {
    /// One block per interval, empty or not.
    Interval(Duration),
    /// One block as soon as a transaction arrives.
    #[default]
    OnDemand,
    /// Only when asked.
    Manual,
}

/// How the chain is served.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// Where to listen, HTTP and WebSocket alike; port 0 takes a free one.
    pub listen: SocketAddr,
    /// When blocks are mined.
    pub mining: Mining,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 0)), mining: Mining::default() }
    }
}

/// The server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be used.
    #[error("cannot listen on {listen}: {source}")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// Two methods have the same name.
    #[error(transparent)]
    Methods(#[from] RegisterMethodError),
}

/// What the miner, the methods and the handle share.
pub(crate) struct Shared {
    chain: Mutex<Chain>,
    filters: Mutex<Filters>,
    events: broadcast::Sender<Arc<Event>>,
    mining: watch::Sender<Mining>,
    /// Seconds that the chain's clock is ahead of the system's.
    clock_offset: AtomicI64,
    /// Timestamp of the next block, zero when it is the time of mining.
    next_timestamp: AtomicU64,
}

/// A running server. Dropping it stops it without waiting.
pub struct Handle {
    /// Address of HTTP and WebSocket.
    pub addr: SocketAddr,
    shared: Arc<Shared>,
    server: ServerHandle,
    miner: JoinHandle<()>,
}

/// Serves a chain until the handle is stopped or dropped.
///
/// # Errors
/// When the address cannot be used.
pub async fn serve(chain: Chain, options: ServeOptions) -> Result<Handle, ServeError> {
    let shared = Arc::new(Shared::new(chain, options.mining));
    let listen = |source| ServeError::Listen { listen: options.listen, source };
    let server = ServerBuilder::with_config(server_config())
        .set_http_middleware(tower::ServiceBuilder::new().layer(BeaconLayer::new(shared.clone())))
        .build(options.listen)
        .await
        .map_err(listen)?;
    let addr = server.local_addr().map_err(listen)?;
    let methods = rpc::methods(shared.clone())?;
    let server = server.start(methods);
    let miner = tokio::spawn(mine_in_time(shared.clone()));
    Ok(Handle { addr, shared, server, miner })
}

fn server_config() -> ServerConfig {
    ServerConfig::builder()
        .max_request_body_size(REQUEST_BYTES_MAX)
        .max_response_body_size(RESPONSE_BYTES_MAX)
        .max_connections(CONNECTIONS_MAX)
        .max_subscriptions_per_connection(SUBSCRIPTIONS_MAX)
        .set_batch_request_config(BatchRequestConfig::Limit(BATCH_MAX))
        .enable_ws_ping(PingConfig::new())
        .set_id_provider(rpc::SubscriptionIds::default())
        .build()
}

impl Handle {
    /// URL of JSON-RPC over HTTP, and of the beacon API.
    pub fn http_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// URL of JSON-RPC over WebSocket.
    pub fn ws_url(&self) -> String {
        format!("ws://{}", self.addr)
    }

    /// Runs a function on the chain, alone; what it causes is announced to subscribers.
    pub fn with_chain<R>(&self, f: impl FnOnce(&mut Chain) -> R) -> R {
        self.shared.with_chain(f)
    }

    /// Mines a block now.
    ///
    /// # Errors
    /// When it cannot be built or kept.
    pub fn mine(&self) -> Result<Arc<Block>, ChainError> {
        self.shared.mine()
    }

    /// Replaces the newest `depth` blocks by as many empty ones.
    ///
    /// # Errors
    /// When the chain is too short or the finalised block would go.
    pub fn reorg(&self, depth: u64) -> Result<Arc<Block>, ChainError> {
        self.with_chain(|chain| chain.reorg(depth, Default::default()))
    }

    /// Changes when blocks are mined.
    pub fn set_mining(&self, mining: Mining) {
        self.shared.set_mining(mining);
    }

    /// Mines one block per interval from now on.
    pub fn set_interval(&self, interval: Duration) {
        self.set_mining(Mining::Interval(interval));
    }

    /// Stops mining and serving, and waits until every connection is closed.
    pub async fn stop(self) {
        self.miner.abort();
        // An error means that it has stopped already.
        let _ = self.server.stop();
        self.server.clone().stopped().await;
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.miner.abort();
        let _ = self.server.stop();
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").field("addr", &self.addr).finish_non_exhaustive()
    }
}

impl Shared {
    fn new(chain: Chain, mining: Mining) -> Self {
        Self {
            chain: Mutex::new(chain),
            filters: Mutex::default(),
            events: broadcast::Sender::new(EVENTS_BEHIND_MAX),
            mining: watch::Sender::new(mining),
            clock_offset: AtomicI64::new(0),
            next_timestamp: AtomicU64::new(0),
        }
    }

    /// Runs a function on the chain. Events are announced before anyone else has the chain, so that
    /// they arrive in order.
    pub(crate) fn with_chain<R>(&self, f: impl FnOnce(&mut Chain) -> R) -> R {
        let mut chain = self.chain.lock();
        let result = f(&mut chain);
        for event in chain.take_events() {
            self.filters.lock().observe(&event);
            // Nobody may be listening.
            let _ = self.events.send(event);
        }
        result
    }

    /// Runs a function on the installed filters.
    pub(crate) fn with_filters<R>(&self, f: impl FnOnce(&mut Filters) -> R) -> R {
        f(&mut self.filters.lock())
    }

    /// Events from now on.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.events.subscribe()
    }

    /// Takes a transaction, and mines it at once if that is the mode and its turn has come.
    pub(crate) fn submit(&self, raw: &[u8]) -> Result<B256, Refusal> {
        let incoming = Incoming::decode(raw)?;
        let (sender, nonce) = (incoming.tx.signer(), incoming.tx.nonce());
        let (hash, executable) = self.with_chain(|chain| {
            let hash = chain.submit(incoming)?;
            Ok::<_, Refusal>((hash, chain.pending_nonce(sender).is_ok_and(|next| nonce < next)))
        })?;
        if executable
            && self.mining() == Mining::OnDemand
            && let Err(error) = self.mine()
        {
            tracing::warn!(%error, "L1 block not mined");
        }
        Ok(hash)
    }

    /// Mines a block at the time of the chain's clock.
    pub(crate) fn mine(&self) -> Result<Arc<Block>, ChainError> {
        let timestamp = match self.next_timestamp.swap(0, Ordering::Relaxed) {
            0 => self.now(),
            chosen => chosen,
        };
        let block = self.with_chain(|chain| chain.mine(timestamp))?;
        tracing::debug!(number = block.number(), txs = block.transactions.len(), "L1 block");
        Ok(block)
    }

    pub(crate) fn mining(&self) -> Mining {
        *self.mining.borrow()
    }

    pub(crate) fn set_mining(&self, mining: Mining) {
        self.mining.send_replace(mining);
    }

    /// The time of the chain's clock, seconds since 1970.
    pub(crate) fn now(&self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        now.saturating_add_signed(self.clock_offset.load(Ordering::Relaxed))
    }

    /// Moves the clock; the whole offset in seconds.
    pub(crate) fn advance_clock(&self, seconds: i64) -> i64 {
        self.clock_offset.fetch_add(seconds, Ordering::Relaxed).saturating_add(seconds)
    }

    /// Chooses the timestamp of the next block.
    pub(crate) fn set_next_timestamp(&self, timestamp: u64) {
        self.next_timestamp.store(timestamp, Ordering::Relaxed);
    }
}

/// Mines by the clock, whenever that is the mode.
async fn mine_in_time(shared: Arc<Shared>) {
    let mut mode = shared.mining.subscribe();
    loop {
        let Mining::Interval(period) = *mode.borrow_and_update() else {
            if mode.changed().await.is_err() {
                return;
            }
            continue;
        };
        let period = period.max(Duration::from_millis(1));
        let mut ticks = interval_at(tokio::time::Instant::now() + period, period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => mine_apart(&shared).await,
                _ = mode.changed() => break,
            }
        }
    }
}

/// Mines off the threads that serve sockets.
async fn mine_apart(shared: &Arc<Shared>) {
    let shared = shared.clone();
    match tokio::task::spawn_blocking(move || shared.mine()).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::warn!(%error, "L1 block not mined"),
        Err(error) => tracing::error!(%error, "L1 mining failed"),
    }
}
