//! The L1 node behind its JSON-RPC, over HTTP or WebSocket: one connection that is made again when it
//! breaks, requests with a deadline, headers checked against their hashes. In its folders: connections
//! with and without TLS (`http`), blobs from the beacon API (`beacon`), blocks as the enclave wants them
//! (`block`), news of heads (`heads`), and the follower (`follower`, `feed`). Not here: sending transactions (`publisher`).

mod beacon;
pub mod block;
#[cfg(test)]
mod client_tests;
#[cfg(test)]
pub mod fake;
pub mod feed;
pub mod follower;
mod heads;
mod http;
#[cfg(test)]
mod tests;

pub use heads::watch_heads;
pub use http::connect;

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bytes, U64};
use alloy_provider::{
    Provider, RootProvider,
    transport::{RpcError, TransportError},
};
use alloy_rpc_types_eth::{Filter, TransactionReceipt};
use beacon::Beacon;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::{sync::Mutex, time::timeout};
use url::Url;

/// Longest wait for an answer. A block's receipts or a transaction with six blobs take a while.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(20);
/// Longest wait for a connection.
const CONNECT_WAIT_MAX: Duration = Duration::from_secs(5);

/// L1 did not give what was asked for. Sorted by what the host does next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum L1Error {
    /// Ask again later.
    #[error("the L1 node at {url} does not answer: {reason}")]
    Unavailable {
        /// Where it should be, without credentials.
        url: String,
        /// What happened.
        reason: String,
    },
    /// It understood and said no.
    #[error("the L1 node refused {method}: {message}")]
    Refused {
        /// The method.
        method: &'static str,
        /// Its words.
        message: String,
        /// What a reverted call returned.
        data: Bytes,
    },
    /// It answered what cannot be: it is of another kind, or broken.
    #[error("the L1 node answered {method} wrongly: {reason}")]
    Wrong {
        /// The method.
        method: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The address does not lead to an L1 node.
    #[error(
        "{0} is not an L1 address: give one that begins with http://, https://, ws:// or wss://"
    )]
    Url(String),
}

/// A header with its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct L1Header {
    /// keccak256 of the header's RLP.
    pub hash: B256,
    /// Its fields.
    pub fields: Header,
}

impl L1Header {
    /// A header as an RPC answer has it; the hash must be the header's.
    fn checked(found: alloy_rpc_types_eth::Header, method: &'static str) -> Result<Self, L1Error> {
        let hash = found.inner.hash_slow();
        if hash != found.hash {
            let reason = format!("block {} has fields that this version does not know", found.hash);
            return Err(L1Error::Wrong { method, reason });
        }
        let fields = found.inner;
        Ok(Self { hash, fields })
    }

    /// Its number.
    pub fn number(&self) -> u64 {
        self.fields.number
    }

    /// Hash of its parent.
    pub fn parent(&self) -> B256 {
        self.fields.parent_hash
    }
}

/// A client of one L1 node.
pub struct L1Client {
    url: Url,
    beacon: Beacon,
    /// Made when first needed, and again after it broke.
    connection: Mutex<Option<RootProvider>>,
}

impl L1Client {
    /// A client of the node at `url`; `beacon` is where its beacon API is, if elsewhere.
    pub fn new(url: &str, beacon: Option<&str>) -> Result<Self, L1Error> {
        let bad = || L1Error::Url(url.to_owned());
        let url = Url::parse(url).map_err(|_| bad())?;
        if !matches!(url.scheme(), "http" | "https" | "ws" | "wss") {
            return Err(bad());
        }
        Ok(Self { beacon: Beacon::new(&url, beacon)?, connection: Mutex::default(), url })
    }

    /// Whether the node pushes news.
    fn is_websocket(&self) -> bool {
        self.url.scheme().starts_with("ws")
    }

    async fn provider(&self) -> Result<RootProvider, L1Error> {
        let mut connection = self.connection.lock().await;
        if let Some(provider) = &*connection {
            return Ok(provider.clone());
        }
        let provider = RootProvider::new(connect(self.url.as_str()).await?);
        Ok(connection.insert(provider).clone())
    }

    /// The connection broke: the next request makes another.
    async fn disconnect(&self) {
        if self.is_websocket() {
            *self.connection.lock().await = None;
        }
    }

    /// One request.
    async fn request<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: Value,
    ) -> Result<T, L1Error> {
        let provider = self.provider().await?;
        let call =
            provider.raw_request::<Value, Box<serde_json::value::RawValue>>(method.into(), params);
        let answer = match timeout(ANSWER_WAIT_MAX, call).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                if matches!(error, RpcError::Transport(_)) {
                    self.disconnect().await;
                }
                return Err(self.classify(method, error));
            }
            Err(_) => {
                self.disconnect().await;
                return Err(self.unavailable("no answer in time"));
            }
        };
        serde_json::from_str(answer.get())
            .map_err(|error| L1Error::Wrong { method, reason: error.to_string() })
    }

    fn classify(&self, method: &'static str, error: TransportError) -> L1Error {
        match error {
            RpcError::ErrorResp(payload) => L1Error::Refused {
                method,
                data: revert_data(payload.data.as_deref()),
                message: payload.message.into_owned(),
            },
            RpcError::DeserError { err, .. } => L1Error::Wrong { method, reason: err.to_string() },
            RpcError::NullResp => L1Error::Wrong { method, reason: "null".to_owned() },
            error => self.unavailable(error),
        }
    }

    fn unavailable(&self, reason: impl ToString) -> L1Error {
        unavailable(&self.url, &reason.to_string())
    }

    /// EIP-155 id of the chain.
    pub async fn chain_id(&self) -> Result<u64, L1Error> {
        let id: U64 = self.request("eth_chainId", json!([])).await?;
        Ok(id.to())
    }

    /// The newest header.
    pub async fn latest(&self) -> Result<L1Header, L1Error> {
        let method = "eth_getBlockByNumber";
        let found = self.request(method, json!(["latest", false])).await?;
        L1Header::checked(found, method)
    }

    /// The header of this number on the canonical chain, if there is one.
    pub async fn header_at(&self, number: u64) -> Result<Option<L1Header>, L1Error> {
        let method = "eth_getBlockByNumber";
        let params = json!([U64::from(number), false]);
        let found: Option<_> = self.request(method, params).await?;
        found.map(|found| L1Header::checked(found, method)).transpose()
    }

    /// The header with this hash, if the node has it.
    pub async fn header(&self, hash: B256) -> Result<Option<L1Header>, L1Error> {
        let method = "eth_getBlockByHash";
        let found: Option<_> = self.request(method, json!([hash, false])).await?;
        found.map(|found| L1Header::checked(found, method)).transpose()
    }

    /// All receipts of a block, if the node has it.
    async fn receipts(&self, block: B256) -> Result<Option<Vec<TransactionReceipt>>, L1Error> {
        self.request("eth_getBlockReceipts", json!([block])).await
    }

    /// The receipt of a transaction, if it is in a block.
    pub async fn receipt(&self, transaction: B256) -> Result<Option<TransactionReceipt>, L1Error> {
        let params = json!([transaction]);
        self.request("eth_getTransactionReceipt", params).await
    }

    /// The calldata of a transaction, if the node has it.
    async fn calldata(&self, transaction: B256) -> Result<Option<Bytes>, L1Error> {
        #[derive(Deserialize)]
        struct Transaction {
            input: Bytes,
        }
        let params = json!([transaction]);
        let found: Option<Transaction> = self.request("eth_getTransactionByHash", params).await?;
        Ok(found.map(|found| found.input))
    }

    /// Number of transactions that an account has on the canonical chain.
    pub async fn nonce(&self, account: Address) -> Result<u64, L1Error> {
        let params = json!([account, "latest"]);
        let nonce: U64 = self.request("eth_getTransactionCount", params).await?;
        Ok(nonce.to())
    }

    /// The node's suggestion of a priority fee, wei per gas.
    pub async fn priority_fee(&self) -> Result<u128, L1Error> {
        let fee: alloy_primitives::U128 =
            self.request("eth_maxPriorityFeePerGas", json!([])).await?;
        Ok(fee.to())
    }

    /// The price of blob gas in the next block, wei.
    pub async fn blob_base_fee(&self) -> Result<u128, L1Error> {
        let fee: alloy_primitives::U128 = self.request("eth_blobBaseFee", json!([])).await?;
        Ok(fee.to())
    }

    /// Calls a contract on the newest block.
    pub async fn call(&self, to: Address, input: Bytes) -> Result<Bytes, L1Error> {
        let params = json!([{ "to": to, "input": input }, "latest"]);
        self.request("eth_call", params).await
    }

    /// Gas that a transaction would use on top of a block, `latest` or `pending`; [`L1Error::Refused`] if it
    /// would revert.
    pub async fn estimate_gas(
        &self,
        transaction: Value,
        block: &'static str,
    ) -> Result<u64, L1Error> {
        let params = json!([transaction, block]);
        let gas: U64 = self.request("eth_estimateGas", params).await?;
        Ok(gas.to())
    }

    /// Sends a signed transaction.
    pub async fn send(&self, raw: Bytes) -> Result<B256, L1Error> {
        self.request("eth_sendRawTransaction", json!([raw])).await
    }

    /// Events, in their order.
    pub async fn logs(&self, filter: &Filter) -> Result<Vec<alloy_rpc_types_eth::Log>, L1Error> {
        self.request("eth_getLogs", json!([filter])).await
    }
}

/// The bytes that a reverted call returned: nodes put them in `data`, as a string or inside an object.
fn revert_data(data: Option<&serde_json::value::RawValue>) -> Bytes {
    let data = data.and_then(|data| serde_json::from_str::<Value>(data.get()).ok());
    let text = match &data {
        Some(Value::Object(object)) => object.get("data").and_then(Value::as_str),
        Some(value) => value.as_str(),
        None => None,
    };
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// The error of a node that does not answer, without what only the operator may know: names and
/// passwords, and the API keys that providers put into paths and queries.
fn unavailable(url: &Url, reason: &str) -> L1Error {
    let mut bare = url.clone();
    // These fail for addresses that cannot have credentials.
    let _ = bare.set_username("");
    let _ = bare.set_password(None);
    let mut shown = bare.clone();
    shown.set_query(None);
    if shown.path().len() > 1 {
        shown.set_path("...");
    }
    let reason = reason.replace(url.as_str(), shown.as_str());
    let reason = reason.replace(bare.as_str(), shown.as_str());
    L1Error::Unavailable { url: shown.into(), reason }
}
