//! What the tests have in common.

use crate::fake::FakeNode;
use alloy_network::EthereumWallet;
use alloy_primitives::{Address, U256};
use alloy_provider::{DynProvider, Provider, ProviderBuilder, WsConnect};
use alloy_signer_local::PrivateKeySigner;
use obscuro_gateway::{GatewayHandle, GatewayOptions, start};
use obscuro_protocol::config::NetworkConfig;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Time for anything that must happen.
pub const SOON: Duration = Duration::from_secs(15);
pub const CHAIN_ID: u64 = 443;
pub const BASE_FEE: u64 = 1_000_000_000;

/// A node, a gateway, and accounts that it may read.
pub struct World {
    pub node: FakeNode,
    pub gateway: GatewayHandle,
    pub wallets: Vec<PrivateKeySigner>,
}

pub fn config() -> NetworkConfig {
    NetworkConfig {
        version: 1,
        l1ChainId: 1_337,
        l2ChainId: CHAIN_ID,
        gasLimit: 30_000_000,
        computePrice: BASE_FEE,
        ..Default::default()
    }
}

pub fn wall_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Options without data directory or accounts.
pub fn options(node: &FakeNode) -> GatewayOptions {
    GatewayOptions {
        listen: ([127, 0, 0, 1], 0).into(),
        node_url: node.url(),
        config: config(),
        network_key: node.network_key.clone(),
        l1: None,
        data_dir: None,
        unlocked: Vec::new(),
        origins: Vec::new(),
    }
}

impl World {
    /// With so many unlocked, funded accounts.
    pub async fn new(accounts: usize) -> Self {
        Self::at(accounts, wall_seconds()).await
    }

    /// With L1's clock at a given time.
    pub async fn at(accounts: usize, now: u64) -> Self {
        let node = FakeNode::start(config(), now).await;
        let wallets: Vec<_> = (0..accounts).map(|_| PrivateKeySigner::random()).collect();
        for wallet in &wallets {
            node.fund(wallet.address());
        }
        let options = GatewayOptions { unlocked: wallets.clone(), ..options(&node) };
        let gateway = start(options).await.unwrap();
        Self { node, gateway, wallets }
    }

    pub fn account(&self, index: usize) -> Address {
        self.wallets[index].address()
    }

    pub fn http(&self) -> DynProvider {
        http(&self.gateway)
    }

    /// A provider that signs with one of the accounts.
    pub fn signing(&self, index: usize) -> DynProvider {
        let url = format!("http://{}", self.gateway.addr).parse().unwrap();
        let wallet = EthereumWallet::from(self.wallets[index].clone());
        ProviderBuilder::new().wallet(wallet).connect_http(url).erased()
    }

    pub async fn ws(&self) -> DynProvider {
        let url = format!("ws://{}", self.gateway.addr);
        ProviderBuilder::default().connect_ws(WsConnect::new(url)).await.unwrap().erased()
    }

    /// A raw call; the error is its code and message.
    pub async fn call(&self, method: &str, params: Value) -> Result<Value, (i64, String)> {
        call(&self.http(), method, params).await
    }
}

impl FakeNode {
    pub fn fund(&self, account: Address) {
        let ether = U256::from(10).pow(U256::from(18));
        self.inside.lock().ledger.balances.insert(account, ether * U256::from(1_000));
    }
}

pub fn http(gateway: &GatewayHandle) -> DynProvider {
    let url = format!("http://{}", gateway.addr).parse().unwrap();
    ProviderBuilder::default().connect_http(url).erased()
}

pub async fn call(
    provider: &DynProvider,
    method: &str,
    params: Value,
) -> Result<Value, (i64, String)> {
    provider.raw_request(method.to_owned().into(), params).await.map_err(|error| {
        error.as_error_resp().map_or((0, error.to_string()), |e| (e.code, e.message.to_string()))
    })
}

/// Waits for something.
pub async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, waiting).await.unwrap_or_else(|_| panic!("{what}: not in time"));
}

/// `{"method": …}` as HTTP clients send it, whole.
pub fn request(id: u64, method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}
