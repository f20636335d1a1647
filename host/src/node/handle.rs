//! A running node in its owner's hands: where it is, how it fares, and its end. Not here: how it is put
//! together (`node`).

use super::backend::Backend;
use crate::{
    gossip::GossipHandle,
    l1::feed::Followed,
    rpc::{self, NodeStatus, RpcHandle},
    stop::Stopper,
    storage::Storage,
};
use alloy_primitives::{Address, Bytes};
use libp2p::Multiaddr;
use obscuro_protocol::rollup::RollupHeader;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    sync::{broadcast, watch},
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::{error, info};

/// Longest wait, when the node stops, for what the enclave is still doing.
const STOP_WAIT_MAX: Duration = Duration::from_secs(60);
const STOP_POLL: Duration = Duration::from_millis(5);

/// A running node. Dropping it ends its tasks without waiting for them; [`Self::stop`] waits.
pub struct NodeHandle {
    pub(super) rpc: RpcHandle,
    pub(super) gossip: GossipHandle,
    pub(super) storage: Arc<Storage>,
    pub(super) followed: watch::Receiver<Option<Followed>>,
    pub(super) news: broadcast::Sender<RollupHeader>,
    pub(super) failed: watch::Receiver<Option<String>>,
    pub(super) tasks: JoinSet<()>,
    pub(super) backend: Arc<Backend>,
    pub(super) stopper: Stopper,
}

impl NodeHandle {
    /// Where gateways reach the node.
    pub fn rpc_addr(&self) -> SocketAddr {
        self.rpc.addr
    }

    /// The enclave's signing address: another one after a restart in which it could not unseal.
    pub fn enclave(&self) -> Address {
        self.status().enclave
    }

    /// Where the node listens for others, with its identity; only that if it does not listen.
    pub fn gossip_address(&self) -> Multiaddr {
        self.gossip.local_address()
    }

    /// The network key as published on L1; empty before that, or before the node has seen it.
    pub fn network_key(&self) -> Bytes {
        let followed = self.followed.borrow();
        followed.as_ref().map(|followed| followed.head.network_key.clone()).unwrap_or_default()
    }

    /// How the node fares.
    pub fn status(&self) -> NodeStatus {
        rpc::RpcBackend::status(&*self.backend)
    }

    /// Headers of newly canonical rollups.
    pub fn subscribe(&self) -> broadcast::Receiver<RollupHeader> {
        self.news.subscribe()
    }

    /// Waits until the enclave holds the network's seed; `None` if it does not in this time, or never
    /// will.
    pub async fn await_seed(&self, patience: Duration) -> Option<()> {
        self.await_head(patience, |followed| followed.head.has_seed).await
    }

    /// Waits until the canonical rollup has at least this number; `None` as in [`Self::await_seed`].
    pub async fn await_rollup(&self, number: u64, patience: Duration) -> Option<()> {
        self.await_head(patience, |followed| {
            followed.head.has_seed && followed.head.number >= number
        })
        .await
    }

    async fn await_head(
        &self,
        patience: Duration,
        reached: impl Fn(&Followed) -> bool,
    ) -> Option<()> {
        let (mut followed, mut failed) = (self.followed.clone(), self.failed.clone());
        let wait = async {
            tokio::select! {
                found = followed.wait_for(|followed| followed.as_ref().is_some_and(&reached)) => {
                    found.is_ok()
                }
                _ = failed.wait_for(Option::is_some) => false,
            }
        };
        timeout(patience, wait).await.ok()?.then_some(())
    }

    /// Waits until the node fails; why.
    pub async fn failed(&self) -> String {
        let mut failed = self.failed.clone();
        match failed.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_default(),
            Err(_) => "the node has stopped".to_owned(),
        }
    }

    /// Stops, users' side first, and waits until nothing of the node is left.
    pub async fn stop(self) {
        self.rpc.stop().await;
        self.stopper.stop();
        let mut tasks = self.tasks;
        while tasks.join_next().await.is_some() {}
        self.gossip.stop().await;
        drop(self.backend);
        // The enclave may still be at work on what the tasks have asked: it holds the database open.
        let idle = async {
            while Arc::strong_count(&self.storage) > 1 {
                sleep(STOP_POLL).await;
            }
        };
        if timeout(STOP_WAIT_MAX, idle).await.is_err() {
            error!("the enclave is still at work; the database stays open until it is done");
        }
        // Closing writes to disk.
        let storage = self.storage;
        let _ = tokio::task::spawn_blocking(move || drop(storage)).await;
        info!("the node has stopped");
    }
}
