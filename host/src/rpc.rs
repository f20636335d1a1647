//! The node's own JSON-RPC, HTTP and WebSocket on one port: sealed envelopes and what is public on
//! L1 anyway. Nothing here can be read by the host either: an envelope passes through as it came.
//! Not here: Ethereum's methods (the gateway's) and the answers ([`RpcBackend`], the node's).

mod methods;
mod params;
#[cfg(test)]
mod tests;

use alloy_primitives::{Address, B256, Bytes};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use jsonrpsee::{
    server::{BatchRequestConfig, PingConfig, Server, ServerConfig, ServerHandle},
    types::ErrorObjectOwned,
};
use obscuro_protocol::{
    config::{L1BlockId, NetworkConfig},
    door::{ExecutionProof, RollupId},
    limits::ENVELOPE_BYTES_MAX,
    rollup::{RollupHeader, Withdrawal},
};
use serde::{Deserialize, Serialize};
use std::{net::SocketAddr, sync::Arc};
use tokio::sync::broadcast;

/// Largest HTTP body or WebSocket message, bytes: one envelope of the largest size, in hex.
pub const REQUEST_BYTES_MAX: u32 = 2 * ENVELOPE_BYTES_MAX as u32 + 1024 * 1024;
/// Largest reply, bytes.
pub const RESPONSE_BYTES_MAX: u32 = 32 * 1024 * 1024;
/// Most envelopes in one `obscuro_envelopes`.
pub const ENVELOPES_MAX: usize = 512;
/// Sealed replies of one `obscuro_envelopes`, bytes: those beyond are to be asked for again.
pub const ENVELOPE_REPLIES_BYTES_MAX: usize = 12 * 1024 * 1024;
/// Most connections, each request over HTTP counting as one.
const CONNECTIONS_MAX: u32 = 512;
/// Most requests in one JSON-RPC batch.
const BATCH_MAX: u32 = 128;
/// Most subscriptions of one WebSocket.
const SUBSCRIPTIONS_MAX: u32 = 16;
/// Messages that wait for a slow WebSocket.
const MESSAGES_WAITING_MAX: u32 = 256;
/// Envelopes of one batch that wait at the enclave's door together.
const ENVELOPES_AT_ONCE: usize = 32;

/// What the RPC asks the node.
pub trait RpcBackend: Send + Sync + 'static {
    /// Which network this is.
    fn network(&self) -> NetworkInfo;

    /// How the node fares.
    fn status(&self) -> NodeStatus;

    /// Headers of newly canonical rollups, in order.
    fn subscribe(&self) -> broadcast::Receiver<RollupHeader>;

    /// Passes a sealed request to the enclave and returns its sealed reply.
    fn envelope(&self, envelope: Bytes) -> BoxFuture<'_, Result<Bytes, RpcFailure>>;

    /// Passes many; one reply each, in order.
    fn envelopes(&self, envelopes: Vec<Bytes>) -> BoxFuture<'_, Vec<Result<Bytes, RpcFailure>>> {
        stream::iter(envelopes)
            .map(|envelope| self.envelope(envelope))
            .buffered(ENVELOPES_AT_ONCE)
            .collect()
            .boxed()
    }

    /// A canonical rollup's header.
    fn rollup(&self, id: RollupId) -> BoxFuture<'_, Result<Option<RollupHeader>, RpcFailure>>;

    /// What runs here: a fresh quote over a number that the user chose.
    fn prove(&self, challenge: B256) -> BoxFuture<'_, Result<NodeProof, RpcFailure>>;

    /// The enclave's signature that it executed a canonical rollup.
    fn executed(&self, rollup: B256) -> BoxFuture<'_, Result<ExecutionProof, RpcFailure>>;

    /// The withdrawals of a canonical rollup, in their order.
    fn withdrawals(&self, rollup: B256) -> BoxFuture<'_, Result<Vec<Withdrawal>, RpcFailure>>;
}

/// A request that the node does not answer, by what the caller does next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RpcFailure {
    /// Ask again later: the node is starting, catching up or overloaded.
    #[error("node not ready: {0}")]
    Unavailable(String),
    /// Do not ask this again.
    #[error("{0}")]
    Rejected(String),
    /// The node is broken; its operator must look.
    #[error("internal error")]
    Internal,
}

/// JSON-RPC code of [`RpcFailure::Unavailable`] (EIP-1474 "resource unavailable").
pub const CODE_UNAVAILABLE: i32 = -32_002;
/// JSON-RPC code of something over a limit (EIP-1474 "limit exceeded").
pub const CODE_LIMIT: i32 = -32_005;
const CODE_INVALID_PARAMS: i32 = -32_602;
const CODE_INTERNAL: i32 = -32_603;

impl RpcFailure {
    /// The JSON-RPC error code.
    pub fn code(&self) -> i32 {
        match self {
            Self::Unavailable(_) => CODE_UNAVAILABLE,
            Self::Rejected(_) => CODE_INVALID_PARAMS,
            Self::Internal => CODE_INTERNAL,
        }
    }
}

impl From<RpcFailure> for ErrorObjectOwned {
    fn from(failure: RpcFailure) -> Self {
        Self::owned(failure.code(), failure.to_string(), None::<()>)
    }
}

/// Answer to `obscuro_network`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkInfo {
    /// Everything that affects trust.
    pub config: NetworkConfig,
    /// Its hash.
    pub config_hash: B256,
    /// To which users encrypt; empty until it is published. Whoever seals envelopes takes it from
    /// L1 and not from here: a node that lies about it would read everything.
    pub network_key: Bytes,
}

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeRole {
    /// Publishes rollups.
    Aggregator,
    /// Follows L1.
    Verifier,
}

/// A rollup by number and hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollupRef {
    /// Its number; 0 before the first.
    pub number: u64,
    /// Its hash.
    pub hash: B256,
}

/// Answer to `obscuro_status`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// As started by the operator.
    pub role: NodeRole,
    /// The enclave's signing address.
    pub enclave: Address,
    /// The L1 head as folded.
    pub l1: L1BlockId,
    /// The canonical rollup.
    pub rollup: RollupRef,
    /// Connected peers.
    pub peers: usize,
    /// Whether the enclave holds the network's seed, without which it answers no user.
    pub has_seed: bool,
    /// Whether L1 counts it as an aggregator.
    pub is_aggregator: bool,
    /// The host claims what the node earned at rollups whose number this divides; 0 if its owner does.
    pub claims_every: u64,
}

/// Answer to `obscuro_prove`: true only if the quote is, over a
/// [`Challenge`](obscuro_protocol::attestation::Challenge) of just these values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeProof {
    /// The enclave's signing address.
    pub enclave: Address,
    /// Hash of the `NetworkConfig` that it runs with.
    pub config_hash: B256,
    /// The quote, stripped of its certificates, which L1 has.
    pub quote: Bytes,
}

/// Answer to `obscuro_rollup`, and what `obscuro_subscribe` sends.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RollupView {
    /// Hash of the header.
    pub hash: B256,
    /// The header's fields.
    #[serde(flatten)]
    pub header: RollupHeader,
}

impl From<RollupHeader> for RollupView {
    fn from(header: RollupHeader) -> Self {
        let hash = header.hash();
        Self { hash, header }
    }
}

/// A withdrawal with what `BridgeManagement.withdraw` needs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProvenWithdrawal {
    /// The withdrawal.
    #[serde(flatten)]
    pub withdrawal: Withdrawal,
    /// Its path to the rollup's withdrawals root.
    pub proof: Vec<B256>,
}

/// One entry of the answer to `obscuro_envelopes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum EnvelopeReply {
    /// The sealed reply.
    Sealed(Bytes),
    /// Why there is none, as a JSON-RPC error.
    Failed {
        /// JSON-RPC error code.
        code: i32,
        /// One line.
        message: String,
    },
}

/// The RPC cannot start.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    /// The address is taken or not this machine's.
    #[error("cannot listen on {0}: {1}; choose another RPC address or port")]
    Listen(SocketAddr, std::io::Error),
    /// A method is registered twice: a defect of this program.
    #[error("RPC methods clash: {0}")]
    Methods(#[from] jsonrpsee::core::RegisterMethodError),
}

/// A running RPC; dropping it stops the RPC.
#[derive(Debug)]
pub struct RpcHandle {
    /// Where it listens, with the port that was chosen if port 0 was asked for.
    pub addr: SocketAddr,
    server: ServerHandle,
}

impl RpcHandle {
    /// Stops and waits until no connection is left.
    pub async fn stop(self) {
        // It fails only when the server has stopped already.
        let _ = self.server.stop();
        self.server.stopped().await;
    }
}

/// Serves the node's JSON-RPC on `listen`.
pub async fn serve(
    listen: SocketAddr,
    backend: Arc<dyn RpcBackend>,
) -> Result<RpcHandle, RpcError> {
    let methods = methods::module(backend)?;
    let fail = |error| RpcError::Listen(listen, error);
    let server = Server::builder().set_config(config()).build(listen).await.map_err(fail)?;
    let addr = server.local_addr().map_err(fail)?;
    Ok(RpcHandle { addr, server: server.start(methods) })
}

fn config() -> ServerConfig {
    ServerConfig::builder()
        .max_request_body_size(REQUEST_BYTES_MAX)
        .max_response_body_size(RESPONSE_BYTES_MAX)
        .max_connections(CONNECTIONS_MAX)
        .max_subscriptions_per_connection(SUBSCRIPTIONS_MAX)
        .set_batch_request_config(BatchRequestConfig::Limit(BATCH_MAX))
        .set_message_buffer_capacity(MESSAGES_WAITING_MAX)
        .enable_ws_ping(PingConfig::new())
        .build()
}
