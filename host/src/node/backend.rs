//! What the RPC asks of the node: envelopes go to the enclave through a bounded number of threads, and
//! an accepted transaction is on disk before its reply leaves. Not here: JSON-RPC (`rpc`).

use super::Arrivals;
use crate::{
    enclave::{AskError, ChannelError, Enclave, Records, ask},
    gossip::GossipHandle,
    l1::feed::Followed,
    rpc::{NetworkInfo, NodeProof, NodeRole, NodeStatus, RollupRef, RpcBackend, RpcFailure},
    storage::Storage,
};
use alloy_primitives::{Address, B256, Bytes};
use futures::{FutureExt, future::BoxFuture};
use obscuro_protocol::{
    config::NetworkConfig,
    door::{DoorError, ExecutionProof, Reply, Request, RollupId},
    rollup::{RollupHeader, Withdrawal},
};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::sync::{Semaphore, broadcast, watch};
use tracing::{error, warn};

/// Requests that wait for a thread; more are turned away.
const WAITING_MAX: usize = 4_096;
/// Users who wait for a quote.
const PROOFS_WAITING_MAX: usize = 32;
/// Threads at the enclave's door, for each processor.
const THREADS_PER_PROCESSOR: usize = 2;

/// The node as its RPC sees it.
pub struct Backend {
    enclave: Arc<dyn Enclave>,
    storage: Arc<Storage>,
    records: Arc<dyn Records>,
    config: NetworkConfig,
    config_hash: B256,
    role: NodeRole,
    identity: watch::Receiver<Address>,
    followed: watch::Receiver<Option<Followed>>,
    gossip: GossipHandle,
    news: broadcast::Sender<RollupHeader>,
    arrivals: Arrivals,
    claims_every: u64,
    threads: Semaphore,
    waiting: AtomicUsize,
    /// A quoting device makes one quote at a time, and slowly: users who ask for them must not keep
    /// the threads from others.
    proof: Semaphore,
    waiting_for_proof: AtomicUsize,
}

impl Backend {
    #[expect(clippy::too_many_arguments, reason = "called once, with parts of one kind each")]
    pub fn new(
        enclave: Arc<dyn Enclave>,
        storage: Arc<Storage>,
        config: NetworkConfig,
        role: NodeRole,
        identity: watch::Receiver<Address>,
        followed: watch::Receiver<Option<Followed>>,
        gossip: GossipHandle,
        news: broadcast::Sender<RollupHeader>,
        arrivals: Arrivals,
        claims_every: u64,
    ) -> Self {
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            records: storage.clone(),
            config_hash: config.hash(),
            threads: Semaphore::new(processors * THREADS_PER_PROCESSOR),
            waiting: AtomicUsize::new(0),
            proof: Semaphore::new(1),
            waiting_for_proof: AtomicUsize::new(0),
            enclave,
            storage,
            config,
            role,
            identity,
            followed,
            gossip,
            news,
            arrivals,
            claims_every,
        }
    }

    /// Asks the enclave when a thread is free.
    async fn ask(&self, request: Request) -> Result<Reply, RpcFailure> {
        let waiting = Waiting::enter(&self.waiting, WAITING_MAX)?;
        let permit = self.threads.acquire().await.map_err(|_| RpcFailure::Internal)?;
        drop(waiting);
        let answer = ask(&self.enclave, &self.records, request).await;
        drop(permit);
        answer.map_err(failure)
    }

    async fn pass(&self, envelope: Bytes) -> Result<Bytes, RpcFailure> {
        let Reply::Envelope { reply, accepted } = self.ask(Request::Envelope(envelope)).await?
        else {
            return Err(RpcFailure::Internal);
        };
        if let Some(sealed) = accepted {
            if let Err(error) = self.storage.keep_transaction(sealed).await {
                error!(%error, "an accepted transaction is not stored");
                return Err(RpcFailure::Internal);
            }
            self.arrivals.accepted();
        }
        Ok(reply)
    }
}

impl RpcBackend for Backend {
    fn network(&self) -> NetworkInfo {
        let followed = self.followed.borrow();
        let network_key = followed.as_ref().map(|followed| followed.head.network_key.clone());
        NetworkInfo {
            config: self.config.clone(),
            config_hash: self.config_hash,
            network_key: network_key.unwrap_or_default(),
        }
    }

    fn status(&self) -> NodeStatus {
        let followed = self.followed.borrow();
        let head = followed.as_ref().map(|followed| followed.head.clone()).unwrap_or_default();
        NodeStatus {
            role: self.role,
            enclave: *self.identity.borrow(),
            l1: head.l1,
            rollup: RollupRef { number: head.number, hash: head.rollup },
            peers: self.gossip.peer_count(),
            has_seed: head.has_seed,
            is_aggregator: head.is_aggregator,
            claims_every: self.claims_every,
        }
    }

    fn subscribe(&self) -> broadcast::Receiver<RollupHeader> {
        self.news.subscribe()
    }

    fn envelope(&self, envelope: Bytes) -> BoxFuture<'_, Result<Bytes, RpcFailure>> {
        self.pass(envelope).boxed()
    }

    fn rollup(&self, id: RollupId) -> BoxFuture<'_, Result<Option<RollupHeader>, RpcFailure>> {
        let answer = async move {
            match self.ask(Request::Rollup(id)).await? {
                Reply::Rollup(header) => Ok(header.map(|header| *header)),
                _ => Err(RpcFailure::Internal),
            }
        };
        answer.boxed()
    }

    fn prove(&self, challenge: B256) -> BoxFuture<'_, Result<NodeProof, RpcFailure>> {
        let answer = async move {
            let waiting = Waiting::enter(&self.waiting_for_proof, PROOFS_WAITING_MAX)?;
            let _turn = self.proof.acquire().await.map_err(|_| RpcFailure::Internal)?;
            drop(waiting);
            match self.ask(Request::Prove(challenge)).await? {
                Reply::Proof(quote) => Ok(NodeProof {
                    enclave: *self.identity.borrow(),
                    config_hash: self.config_hash,
                    quote,
                }),
                _ => Err(RpcFailure::Internal),
            }
        };
        answer.boxed()
    }

    fn executed(&self, rollup: B256) -> BoxFuture<'_, Result<ExecutionProof, RpcFailure>> {
        let answer = async move {
            match self.ask(Request::ProveExecution(rollup)).await? {
                Reply::Executed(proof) => Ok(proof),
                _ => Err(RpcFailure::Internal),
            }
        };
        answer.boxed()
    }

    fn withdrawals(&self, rollup: B256) -> BoxFuture<'_, Result<Vec<Withdrawal>, RpcFailure>> {
        let answer = async move {
            match self.ask(Request::Withdrawals(rollup)).await? {
                Reply::Withdrawals(withdrawals) => Ok(withdrawals),
                _ => Err(RpcFailure::Internal),
            }
        };
        answer.boxed()
    }
}

/// One request in the queue for a thread.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(count: &'a AtomicUsize, limit: usize) -> Result<Self, RpcFailure> {
        let waiting = Self(count);
        match count.fetch_add(1, Ordering::Relaxed) < limit {
            true => Ok(waiting),
            false => Err(RpcFailure::Unavailable("too many requests".to_owned())),
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn failure(error: AskError) -> RpcFailure {
    match error {
        AskError::Refused(DoorError::Rejected(reason)) => RpcFailure::Rejected(reason),
        AskError::Refused(DoorError::Retry(retry)) => RpcFailure::Unavailable(retry.to_string()),
        AskError::Channel(ChannelError::Unavailable(_)) => {
            RpcFailure::Unavailable("the enclave is restarting".to_owned())
        }
        error => {
            warn!(%error, "the enclave does not answer users");
            RpcFailure::Internal
        }
    }
}
