//! The way to a node: JSON-RPC over HTTP with connections that stay open. What a node says is not
//! trusted; what matters comes back sealed. Not here: what is in the envelopes (`sealed`).

mod batch;
mod follow;
mod http;

pub use follow::{Follower, Head};

use alloy_primitives::{B256, Bytes};
use batch::{BATCHED_BYTES_MAX, Job};
use http::Http;
use obscuro_protocol::rollup::RollupHeader;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    task::JoinHandle,
};

/// Requests that wait to be sent.
const JOBS_WAITING_MAX: usize = 8_192;
/// Slow requests at the node at once.
const SLOW_AT_ONCE: usize = 16;
/// What a node answers when the replies of a batch are too large together (EIP-1474).
const CODE_LIMIT: i32 = -32_005;

/// A node's address is not one.
#[derive(Debug, thiserror::Error)]
#[error("the node's address {0:?} is not of the form http://host:port (no TLS: all is sealed)")]
pub struct NodeUrlError(String);

/// The node did not answer, by what the caller does next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NodeError {
    /// Ask again, later.
    #[error("the node cannot be reached: {0}")]
    Unreachable(String),
    /// The node answered with an error of its own.
    #[error("the node refused: {message}")]
    Refused {
        /// JSON-RPC error code.
        code: i32,
        /// One line.
        message: String,
    },
    /// This is no Obscuro node, or it is broken.
    #[error("the node's answer makes no sense: {0}")]
    Malformed(String),
}

/// How soon an answer is to be expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// At once: sent together with others.
    Quick,
    /// When the enclave has computed it: sent alone, so that no other waits for it.
    Slow,
}

/// A connection to one node.
pub struct Node {
    http: Arc<Http>,
    quick: mpsc::Sender<Job>,
    slow: Semaphore,
}

/// How a node names a rollup.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(untagged)]
pub enum RollupName {
    /// The newest.
    Latest(Latest),
    /// The canonical one of a number.
    Number(u64),
    /// The canonical one of a hash.
    Hash(B256),
}

/// `"latest"`.
#[derive(Clone, Copy, Debug, Serialize)]
pub enum Latest {
    /// The newest.
    #[serde(rename = "latest")]
    Latest,
}

/// A rollup as a node presents it; the hash is recomputed.
#[derive(Debug, Deserialize)]
pub struct RollupView {
    #[serde(flatten)]
    header: RollupHeader,
}

impl From<RollupView> for Head {
    fn from(view: RollupView) -> Self {
        Self { hash: view.header.hash(), header: view.header }
    }
}

impl Node {
    /// A node at `url`, and the task that sends requests to it.
    pub fn new(url: &str) -> Result<(Arc<Self>, JoinHandle<()>), NodeUrlError> {
        let http = Arc::new(Http::new(url).ok_or_else(|| NodeUrlError(url.to_owned()))?);
        let (quick, jobs) = mpsc::channel(JOBS_WAITING_MAX);
        let dispatcher = tokio::spawn(batch::dispatch(http.clone(), jobs));
        let node = Self { http, quick, slow: Semaphore::new(SLOW_AT_ONCE) };
        Ok((Arc::new(node), dispatcher))
    }

    /// Sends an envelope and returns the sealed reply.
    pub async fn envelope(&self, envelope: Bytes, pace: Pace) -> Result<Bytes, NodeError> {
        match pace {
            Pace::Quick if envelope.len() <= BATCHED_BYTES_MAX => {
                self.envelope_quick(envelope).await
            }
            Pace::Quick | Pace::Slow => {
                let _permit = self.slow.acquire().await.map_err(|_| stopped())?;
                self.http.envelope(&envelope).await
            }
        }
    }

    async fn envelope_quick(&self, envelope: Bytes) -> Result<Bytes, NodeError> {
        let (reply, replied) = oneshot::channel();
        let job = Job { envelope, reply };
        self.quick.send(job).await.map_err(|_| stopped())?;
        replied.await.map_err(|_| stopped())?
    }

    /// A canonical rollup.
    pub async fn rollup(&self, name: RollupName) -> Result<Option<Head>, NodeError> {
        let view = self.http.call("obscuro_rollup", &json!([name])).await?;
        Ok(view.map(|view: RollupView| view.into()))
    }

    /// Where the node's WebSocket is.
    fn web_socket_url(&self) -> String {
        self.http.web_socket_url()
    }
}

fn stopped() -> NodeError {
    NodeError::Unreachable("the gateway stops".to_owned())
}
