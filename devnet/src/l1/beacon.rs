//! The part of the beacon API that blob readers need, over plain HTTP GET on the JSON-RPC port.
//!
//! There is no consensus layer: the slot of a block is its height, and the root of its beacon block
//! is what its children have as `parentBeaconBlockRoot`. Also answers browsers' preflight requests.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use alloy_eips::BlockNumberOrTag;
use alloy_primitives::{B256, hex};
use jsonrpsee::{
    core::BoxError,
    server::{HttpBody, HttpRequest, HttpResponse},
};
use serde_json::{Value, json};
use tower::{Layer, Service};

use super::{block::Block, chain::Chain, genesis::beacon_root, server::Shared};

/// Blocks that are searched for a beacon root.
const ROOT_SEARCH_MAX: u64 = 100_000;

/// Versioned hashes in one request.
const HASHES_MAX: usize = 128;

/// Puts [`Beacon`] in front of the JSON-RPC service.
#[derive(Clone)]
pub(crate) struct BeaconLayer {
    shared: Arc<Shared>,
}

impl BeaconLayer {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

impl<S> Layer<S> for BeaconLayer {
    type Service = Beacon<S>;

    fn layer(&self, inner: S) -> Beacon<S> {
        Beacon { inner, shared: self.shared.clone() }
    }
}

/// Answers beacon requests and passes everything else on.
#[derive(Clone)]
pub(crate) struct Beacon<S> {
    inner: S,
    shared: Arc<Shared>,
}

type Answer = Pin<Box<dyn Future<Output = Result<HttpResponse, BoxError>> + Send>>;

impl<S> Service<HttpRequest> for Beacon<S>
where
    S: Service<HttpRequest, Response = HttpResponse, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = HttpResponse;
    type Error = BoxError;
    type Future = Answer;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: HttpRequest) -> Answer {
        match (request.method().as_str(), request.uri().path()) {
            ("OPTIONS", _) => Box::pin(async { respond(204, String::new()) }),
            ("GET", path) if path.starts_with("/eth/") => {
                let (path, query) = (path.to_owned(), request.uri().query().map(str::to_owned));
                let shared = self.shared.clone();
                Box::pin(async move {
                    let (status, body) = get(&shared, &path, query.as_deref().unwrap_or_default());
                    respond(status, body.to_string())
                })
            }
            _ => {
                let answer = self.inner.call(request);
                Box::pin(async move {
                    let mut answer = answer.await?;
                    answer.headers_mut().insert("access-control-allow-origin", "*".try_into()?);
                    Ok(answer)
                })
            }
        }
    }
}

fn respond(status: u16, body: String) -> Result<HttpResponse, BoxError> {
    let answer = HttpResponse::<()>::builder()
        .status(status)
        .header("content-type", "application/json")
        .header("access-control-allow-origin", "*")
        .header("access-control-allow-methods", "GET, POST, OPTIONS")
        .header("access-control-allow-headers", "content-type");
    Ok(answer.body(HttpBody::from(body))?)
}

/// Status and body.
type Reply = (u16, Value);

fn get(shared: &Shared, path: &str, query: &str) -> Reply {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match parts[..] {
        ["eth", "v1", "beacon", "blobs", id] => shared.with_chain(|chain| blobs(chain, id, query)),
        ["eth", "v1", "beacon", "headers", id] => shared.with_chain(|chain| header(chain, id)),
        ["eth", "v1", "beacon", "genesis"] => shared.with_chain(|chain| genesis(chain)),
        ["eth", "v1", "config", "spec"] => shared.with_chain(|chain| spec(chain)),
        ["eth", "v1", "node", "version"] => {
            let version = concat!("obscuro-l1/v", env!("CARGO_PKG_VERSION"));
            (200, json!({ "data": { "version": version } }))
        }
        _ => failure(404, "no such endpoint"),
    }
}

fn failure(code: u16, message: &str) -> Reply {
    (code, json!({ "code": code, "message": message }))
}

fn blobs(chain: &Chain, id: &str, query: &str) -> Reply {
    let block = match find(chain, id) {
        Ok(block) => block,
        Err(reply) => return reply,
    };
    let Some(wanted) = versioned_hashes(query) else {
        return failure(400, "invalid versioned_hashes");
    };
    let mut data = Vec::new();
    for hash in block.blob_hashes().filter(|hash| wanted.is_empty() || wanted.contains(hash)) {
        let Some(blob) = chain.blob(&hash) else {
            return failure(404, "blobs are not kept any more");
        };
        data.push(hex::encode_prefixed(blob.to_vec()));
    }
    let finalized = block.number() <= chain.number(BlockNumberOrTag::Finalized);
    (200, json!({ "execution_optimistic": false, "finalized": finalized, "data": data }))
}

fn header(chain: &Chain, id: &str) -> Reply {
    let block = match find(chain, id) {
        Ok(block) => block,
        Err(reply) => return reply,
    };
    let message = json!({
        "slot": block.number().to_string(),
        "proposer_index": "0",
        "parent_root": block.header.parent_beacon_block_root.unwrap_or_default(),
        "state_root": B256::ZERO,
        "body_root": B256::ZERO,
    });
    let data = json!({
        "root": root(chain, block),
        "canonical": chain.tree().is_canonical(block),
        "header": { "message": message, "signature": "0x" },
    });
    (200, json!({ "execution_optimistic": false, "finalized": false, "data": data }))
}

fn genesis(chain: &Chain) -> Reply {
    let data = json!({
        "genesis_time": chain.config().genesis_timestamp.to_string(),
        "genesis_validators_root": B256::ZERO,
        "genesis_fork_version": "0x00000000",
    });
    (200, json!({ "data": data }))
}

fn spec(chain: &Chain) -> Reply {
    let data = json!({
        "PRESET_BASE": "mainnet",
        "CONFIG_NAME": "obscuro-l1",
        "DEPOSIT_CHAIN_ID": chain.config().chain_id.to_string(),
        "DEPOSIT_NETWORK_ID": chain.config().chain_id.to_string(),
        "SLOTS_PER_EPOCH": "32",
        "FIELD_ELEMENTS_PER_BLOB": "4096",
    });
    (200, json!({ "data": data }))
}

fn root(chain: &Chain, block: &Block) -> B256 {
    beacon_root(chain.config().seed, block.hash)
}

/// A block by slot, by `head`, `genesis` or `finalized`, by beacon root, or by its own hash.
fn find<'a>(chain: &'a Chain, id: &str) -> Result<&'a Arc<Block>, Reply> {
    let tag = match id {
        "head" => BlockNumberOrTag::Latest,
        "finalized" => BlockNumberOrTag::Finalized,
        "justified" => BlockNumberOrTag::Safe,
        "genesis" => BlockNumberOrTag::Earliest,
        id if id.starts_with("0x") => {
            let hash: B256 = id.parse().map_err(|_| failure(400, "invalid block root"))?;
            let found = chain.tree().get(&hash).or_else(|| rooted(chain, hash));
            return found.ok_or_else(|| failure(404, "block not found"));
        }
        slot => BlockNumberOrTag::Number(slot.parse().map_err(|_| failure(400, "invalid slot"))?),
    };
    chain.tree().at(chain.number(tag)).ok_or_else(|| failure(404, "block not found"))
}

fn rooted(chain: &Chain, wanted: B256) -> Option<&Arc<Block>> {
    let head = chain.head().number();
    let oldest = head.saturating_sub(ROOT_SEARCH_MAX);
    let blocks = (oldest..=head).rev().filter_map(|number| chain.tree().at(number));
    blocks.into_iter().find(|block| root(chain, block) == wanted)
}

/// The hashes of a query like `versioned_hashes=0x..,0x..&versioned_hashes=0x..`.
fn versioned_hashes(query: &str) -> Option<Vec<B256>> {
    let values = query.split('&').filter_map(|pair| pair.strip_prefix("versioned_hashes="));
    let hashes = values.flat_map(|value| value.split([',']).flat_map(|value| value.split("%2C")));
    let hashes: Option<Vec<B256>> =
        hashes.filter(|hash| !hash.is_empty()).map(|hash| hash.parse().ok()).collect();
    hashes.filter(|hashes| hashes.len() <= HASHES_MAX)
}
