//! Ethereum's JSON-RPC as wallets and tools speak it, HTTP and WebSocket on one port. Not here: how
//! the answers are obtained (`sealed`) and how they look (`objects`).

mod blocks;
mod concurrent;
mod error;
mod feed;
mod fees;
mod filters;
mod logs;
mod network;
mod origin;
mod params;
mod receipts;
mod state;
mod subscriptions;
mod transactions;
mod viewing;

pub use filters::Filters;
pub use receipts::Receipts;

use crate::{
    accounts::Accounts,
    chain::Chain,
    clock::L1Clock,
    gateway::GatewayError,
    node::{Follower, Head, Node},
    sealed::Sealed,
};
use concurrent::ConcurrentBatches;
use error::Answer;
use jsonrpsee::{
    RpcModule,
    core::{RegisterMethodError, traits::IdProvider},
    server::{
        BatchRequestConfig, PingConfig, Server, ServerConfig, ServerHandle,
        middleware::rpc::RpcServiceBuilder,
    },
    types::SubscriptionId,
};
use obscuro_protocol::config::NetworkConfig;
use origin::Origins;
use std::{net::SocketAddr, sync::Arc};

/// Largest HTTP body or WebSocket message, bytes (geth's limit).
const REQUEST_BYTES_MAX: u32 = 5 * 1024 * 1024;
/// Largest reply, bytes.
const RESPONSE_BYTES_MAX: u32 = 32 * 1024 * 1024;
/// Most WebSockets and HTTP requests at once.
const CONNECTIONS_MAX: u32 = 2_048;
/// Most requests in one JSON-RPC batch (geth's limit).
const BATCH_MAX: u32 = 1_000;
/// Most subscriptions of one WebSocket.
const SUBSCRIPTIONS_MAX: u32 = 128;

/// What the methods work with.
pub struct Context {
    /// The network.
    pub config: Arc<NetworkConfig>,
    /// Who may be read.
    pub accounts: Arc<Accounts>,
    /// L1's time.
    pub clock: Arc<L1Clock>,
    /// Recent rollups.
    pub chain: Arc<Chain>,
    /// The node, for what is public.
    pub node: Arc<Node>,
    /// What keeps `chain` at the head.
    pub follower: Arc<Follower>,
    /// The enclave, for what is not.
    pub sealed: Arc<Sealed>,
    /// Installed filters.
    pub filters: Filters,
    /// Receipts that were asked for.
    pub receipts: Receipts,
}

impl Context {
    /// The newest rollup, asked for if it may have changed unnoticed.
    async fn head(&self) -> Answer<Arc<Head>> {
        if self.follower.is_stale() {
            self.follower.refresh().await?;
        }
        Ok(self.chain.head())
    }

    /// Makes sure that `eth_blockNumber` is not behind what a reply names.
    async fn reach(&self, number: u64) {
        if self.chain.head().header.number < number {
            // If it fails, the follower tries again; the reply is right in any case.
            let _ = self.follower.refresh().await;
        }
    }
}

/// Serves until the handle is stopped or dropped.
pub async fn serve(
    listen: SocketAddr,
    origins: Vec<String>,
    context: Context,
) -> Result<(SocketAddr, ServerHandle), GatewayError> {
    let module = module(context)?;
    let fail = |error| GatewayError::Listen(listen, error);
    let server = Server::builder()
        .set_config(config())
        .set_http_middleware(tower::ServiceBuilder::new().layer(Origins::new(origins)))
        .set_rpc_middleware(
            RpcServiceBuilder::new().layer(ConcurrentBatches::layer(RESPONSE_BYTES_MAX as usize)),
        )
        .build(listen)
        .await
        .map_err(fail)?;
    let addr = server.local_addr().map_err(fail)?;
    Ok((addr, server.start(module)))
}

fn config() -> ServerConfig {
    ServerConfig::builder()
        .max_request_body_size(REQUEST_BYTES_MAX)
        .max_response_body_size(RESPONSE_BYTES_MAX)
        .max_connections(CONNECTIONS_MAX)
        .max_subscriptions_per_connection(SUBSCRIPTIONS_MAX)
        .set_batch_request_config(BatchRequestConfig::Limit(BATCH_MAX))
        .set_id_provider(HexIds)
        .set_tcp_no_delay(true)
        .enable_ws_ping(PingConfig::new())
        .build()
}

/// Subscriptions are named as geth names them: tools expect a hex string.
#[derive(Debug)]
struct HexIds;

impl IdProvider for HexIds {
    fn next_id(&self) -> SubscriptionId<'static> {
        filters::random_id().to_string().into()
    }
}

macro_rules! register {
    ($module:ident: $($name:literal => $function:path,)*) => {
        $($module.register_async_method($name, |params, context, _| async move {
            $function(&context, params).await
        })?;)*
    };
}

fn module(context: Context) -> Result<RpcModule<Context>, RegisterMethodError> {
    let mut module = RpcModule::new(context);
    register! { module:
        "eth_chainId" => network::chain_id,
        "net_version" => network::net_version,
        "net_listening" => network::net_listening,
        "net_peerCount" => network::net_peer_count,
        "web3_clientVersion" => network::client_version,
        "web3_sha3" => network::sha3,
        "eth_syncing" => network::syncing,
        "eth_accounts" => network::accounts,
        "eth_sendTransaction" => network::wallet_only,
        "eth_sign" => network::wallet_only,
        "eth_signTransaction" => network::wallet_only,
        "eth_signTypedData_v4" => network::wallet_only,
        "eth_getProof" => network::no_proofs,
        "eth_blockNumber" => blocks::number,
        "eth_getBlockByNumber" => blocks::by_number,
        "eth_getBlockByHash" => blocks::by_hash,
        "eth_getBlockTransactionCountByNumber" => blocks::transaction_count,
        "eth_getBlockTransactionCountByHash" => blocks::transaction_count,
        "eth_getUncleCountByBlockNumber" => blocks::uncle_count,
        "eth_getUncleCountByBlockHash" => blocks::uncle_count,
        "eth_getUncleByBlockNumberAndIndex" => blocks::uncle,
        "eth_getUncleByBlockHashAndIndex" => blocks::uncle,
        "eth_getBlockReceipts" => blocks::receipts,
        "eth_getBalance" => state::balance,
        "eth_getTransactionCount" => state::nonce,
        "eth_getCode" => state::code,
        "eth_getStorageAt" => state::storage,
        "eth_call" => state::call,
        "eth_estimateGas" => state::estimate_gas,
        "eth_gasPrice" => fees::gas_price,
        "eth_maxPriorityFeePerGas" => fees::priority_fee,
        "eth_feeHistory" => fees::history,
        "eth_sendRawTransaction" => transactions::send,
        "eth_getTransactionByHash" => transactions::by_hash,
        "eth_getRawTransactionByHash" => transactions::raw_by_hash,
        "eth_getTransactionReceipt" => transactions::receipt,
        "eth_getTransactionByBlockNumberAndIndex" => transactions::by_position,
        "eth_getTransactionByBlockHashAndIndex" => transactions::by_position,
        "eth_getLogs" => logs::get,
        "eth_newFilter" => filters::new_logs,
        "eth_newBlockFilter" => filters::new_blocks,
        "eth_newPendingTransactionFilter" => filters::new_pending,
        "eth_getFilterChanges" => filters::changes,
        "eth_getFilterLogs" => filters::logs,
        "eth_uninstallFilter" => filters::uninstall,
        "obscuro_viewingKey" => viewing::to_sign,
        "obscuro_authorise" => viewing::authorise,
        "obscuro_accounts" => viewing::accounts,
        "obscuro_revoke" => viewing::revoke,
    }
    module.register_subscription(
        "eth_subscribe",
        "eth_subscription",
        "eth_unsubscribe",
        subscriptions::subscribe,
    )?;
    Ok(module)
}
