//! An L1 node for tests: a scripted JSON-RPC server over HTTP and WebSocket. Not here: an EVM; calls
//! and estimates answer what the test says.

use super::L1Header;
use alloy_consensus::{Header, TxEnvelope};
use alloy_eips::Decodable2718;
use alloy_primitives::{Address, B256, Bytes, U64, U128};
use alloy_rpc_types_eth::{Filter, Log};
use jsonrpsee::{
    Extensions, RpcModule,
    server::{Server, ServerHandle, SubscriptionMessage},
    types::{ErrorObjectOwned, Params},
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::Arc,
};
use tokio::sync::broadcast;

/// Its EIP-155 id.
pub const CHAIN_ID: u64 = 1_337;

type Answer = Result<Value, ErrorObjectOwned>;

/// What the node says.
pub struct State {
    /// The canonical chain.
    pub chain: Vec<L1Header>,
    /// Everything that was ever mined.
    pub blocks: HashMap<B256, L1Header>,
    /// The operator's transactions on L1.
    pub nonce: u64,
    /// Errors for the next transactions.
    pub send_errors: VecDeque<&'static str>,
    /// What calls answer.
    pub called: B256,
    /// What estimates of calls answer on the newest block.
    pub estimate: Result<u64, (String, Bytes)>,
    /// On the pending block, if that answers otherwise.
    pub estimate_pending: Option<Result<u64, (String, Bytes)>>,
    /// The priority fee suggested.
    pub priority_fee: u128,
    /// The price of blob gas.
    pub blob_base_fee: u128,
    /// What was sent.
    pub sent: Vec<TxEnvelope>,
    /// Blobs by block number.
    pub blobs: HashMap<u64, Vec<Bytes>>,
    /// Events.
    pub logs: Vec<Log>,
}

impl State {
    /// Mines a block on the canonical chain.
    pub fn mine(&mut self) -> L1Header {
        let fields = Header {
            number: self.chain.len() as u64,
            parent_hash: self.chain.last().map(|parent| parent.hash).unwrap_or_default(),
            gas_limit: 30_000_000,
            gas_used: 15_000_000,
            base_fee_per_gas: Some(1_000_000_000),
            timestamp: 1_000 + self.blocks.len() as u64,
            ..Default::default()
        };
        let header = L1Header { hash: fields.hash_slow(), fields };
        self.blocks.insert(header.hash, header.clone());
        self.chain.push(header.clone());
        header
    }
}

/// A running node.
pub struct FakeL1 {
    /// What it says.
    pub state: Arc<Mutex<State>>,
    /// Where it listens.
    pub address: SocketAddr,
    heads: broadcast::Sender<L1Header>,
    server: ServerHandle,
}

impl FakeL1 {
    /// A node with one block.
    pub async fn start() -> Self {
        let mut state = State {
            chain: Vec::new(),
            blocks: HashMap::new(),
            nonce: 0,
            send_errors: VecDeque::new(),
            called: B256::ZERO,
            estimate: Ok(100_000),
            estimate_pending: None,
            priority_fee: 1_000_000_000,
            blob_base_fee: 1,
            sent: Vec::new(),
            blobs: HashMap::new(),
            logs: Vec::new(),
        };
        state.mine();
        Self::serve(Arc::new(Mutex::new(state)), ([127, 0, 0, 1], 0).into()).await
    }

    async fn serve(state: Arc<Mutex<State>>, address: SocketAddr) -> Self {
        let (heads, _) = broadcast::channel(64);
        let server = Server::builder().build(address).await.unwrap();
        let address = server.local_addr().unwrap();
        let server = server.start(module(state.clone(), heads.clone()));
        Self { state, address, heads, server }
    }

    /// Goes away and comes back at the same address, with the same chain.
    pub async fn restart(self, away: std::time::Duration) -> Self {
        self.server.stop().unwrap();
        self.server.stopped().await;
        tokio::time::sleep(away).await;
        Self::serve(self.state, self.address).await
    }

    /// Its address over HTTP.
    pub fn http(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its address over WebSocket.
    pub fn ws(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// Mines, and tells subscribers.
    pub fn mine(&self) -> L1Header {
        let header = self.state.lock().mine();
        // Nobody may listen.
        let _ = self.heads.send(header.clone());
        header
    }
}

fn module(state: Arc<Mutex<State>>, heads: broadcast::Sender<L1Header>) -> RpcModule<()> {
    let mut module = RpcModule::new(());
    let mut method = |name: &'static str, answer: fn(&mut State, Vec<Value>) -> Answer| {
        let state = state.clone();
        let serve = move |params: Params<'_>, _: &(), _: &Extensions| {
            answer(&mut state.lock(), params.parse().unwrap_or_default())
        };
        module.register_method(name, serve).unwrap();
    };
    method("eth_chainId", |_, _| Ok(json!(U64::from(CHAIN_ID))));
    method("eth_getBlockByNumber", |state, params| {
        let number = match params[0].as_str() {
            Some("latest") => state.chain.len() - 1,
            _ => serde_json::from_value::<U64>(params[0].clone()).unwrap().to::<usize>(),
        };
        Ok(state.chain.get(number).map_or(Value::Null, block))
    });
    method("eth_getBlockByHash", |state, params| {
        let hash = serde_json::from_value(params[0].clone()).unwrap();
        Ok(state.blocks.get::<B256>(&hash).map_or(Value::Null, block))
    });
    method("eth_getTransactionCount", |state, _| Ok(json!(U64::from(state.nonce))));
    method("eth_maxPriorityFeePerGas", |state, _| Ok(json!(U128::from(state.priority_fee))));
    method("eth_blobBaseFee", |state, _| Ok(json!(U128::from(state.blob_base_fee))));
    method("eth_getTransactionReceipt", |_, _| Ok(Value::Null));
    method("eth_getLogs", |state, params| {
        let filter: Filter = serde_json::from_value(params[0].clone()).unwrap();
        let found = state.logs.iter().filter(|log| filter.rpc_matches(log));
        Ok(json!(found.collect::<Vec<_>>()))
    });
    method("eth_call", |state, _| Ok(json!(state.called)));
    method("eth_estimateGas", |state, params| {
        let is_call = params[0]["input"] != json!("0x");
        let estimate = match params[1].as_str() {
            _ if !is_call => Ok(21_000),
            Some("latest") => state.estimate.clone(),
            Some("pending") => state.estimate_pending.as_ref().unwrap_or(&state.estimate).clone(),
            _ => unreachable!(),
        };
        estimate
            .map(|gas| json!(U64::from(gas)))
            .map_err(|(message, data)| ErrorObjectOwned::owned(3, message, Some(data)))
    });
    method("eth_sendRawTransaction", |state, params| {
        let raw: Bytes = serde_json::from_value(params[0].clone()).unwrap();
        let transaction = TxEnvelope::decode_2718(&mut raw.as_ref()).unwrap();
        if let Some(message) = state.send_errors.pop_front() {
            return Err(ErrorObjectOwned::owned(-32_000, message, None::<()>));
        }
        let hash = *transaction.tx_hash();
        state.sent.push(transaction);
        Ok(json!(hash))
    });
    module
        .register_subscription(
            "eth_subscribe",
            "eth_subscription",
            "eth_unsubscribe",
            move |_, pending, _, _| {
                let mut heads = heads.subscribe();
                async move {
                    let Ok(sink) = pending.accept().await else { return };
                    while let Ok(head) = heads.recv().await {
                        let message = serde_json::value::to_raw_value(&block(&head)).unwrap();
                        if sink.send(SubscriptionMessage::from(message)).await.is_err() {
                            return;
                        }
                    }
                }
            },
        )
        .unwrap();
    module
}

/// A block as RPC shows it.
pub fn block(header: &L1Header) -> Value {
    let found = alloy_rpc_types_eth::Header::new(header.fields.clone());
    let mut block = serde_json::to_value(found).unwrap();
    block["transactions"] = json!([]);
    block["uncles"] = json!([]);
    block
}

/// An address.
pub fn address(byte: u8) -> Address {
    Address::repeat_byte(byte)
}
