//! Accounts, signed transactions and a small contract for the tests of the embedded L1.

use std::{net::SocketAddr, sync::OnceLock, time::Duration};

use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope, transaction::Recovered};
use alloy_eips::Encodable2718;
use alloy_network::EthereumWallet;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex, keccak256};
use alloy_provider::{Provider, ProviderBuilder};
use alloy_signer::SignerSync;
use alloy_signer_local::{MnemonicBuilder, PrivateKeySigner};
use obscuro_devnet::l1::{Chain, Config, Handle, Incoming, Mining, ServeOptions, Tx, serve};

pub const MNEMONIC: &str = "test test test test test test test test test test test junk";
/// Accounts that [`signer`] knows; the first ten are funded.
const ACCOUNTS: u32 = 11;
pub const GENESIS_TIME: u64 = 1_760_000_000;
pub const ETHER: u128 = 1_000_000_000_000_000_000;

/// One of the usual development accounts. Deriving them takes a while, so it is done once.
pub fn signer(index: usize) -> PrivateKeySigner {
    static SIGNERS: OnceLock<Vec<PrivateKeySigner>> = OnceLock::new();
    let derive = |index| MnemonicBuilder::from_phrase(MNEMONIC).index(index).unwrap().build();
    SIGNERS.get_or_init(|| (0..ACCOUNTS).map(|index| derive(index).unwrap()).collect())[index]
        .clone()
}

/// A configuration with ten accounts of 10,000 ether.
pub fn config() -> Config {
    let config = Config { genesis_timestamp: GENESIS_TIME, ..Config::default() };
    config.fund((0..10).map(|index| signer(index).address()), U256::from(10_000 * ETHER))
}

pub fn chain() -> Chain {
    Chain::new(config()).unwrap()
}

/// A server that mines as given.
pub async fn served(mining: Mining) -> Handle {
    serve(chain(), options(mining)).await.unwrap()
}

pub fn options(mining: Mining) -> ServeOptions {
    ServeOptions { listen: SocketAddr::from(([127, 0, 0, 1], 0)), mining }
}

/// A provider that signs for the given account and polls quickly.
pub fn http(handle: &Handle, account: usize) -> impl Provider + Clone + 'static {
    let provider = ProviderBuilder::new()
        .wallet(EthereumWallet::from(signer(account)))
        .connect_http(handle.http_url().parse().unwrap());
    provider.client().set_poll_interval(Duration::from_millis(20));
    provider
}

/// A provider over WebSocket.
pub async fn ws(handle: &Handle) -> impl Provider + Clone + 'static {
    let connect = alloy_provider::WsConnect::new(handle.ws_url());
    ProviderBuilder::new().connect_ws(connect).await.unwrap()
}

/// An unsigned transfer with comfortable fees.
pub fn transfer(nonce: u64, to: Address, value: u128) -> TxEip1559 {
    TxEip1559 {
        chain_id: config().chain_id,
        nonce,
        gas_limit: 100_000,
        max_fee_per_gas: 20_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        to: TxKind::Call(to),
        value: U256::from(value),
        ..TxEip1559::default()
    }
}

/// Signs, as the bytes for `eth_sendRawTransaction`.
pub fn raw(tx: TxEip1559, from: &PrivateKeySigner) -> Bytes {
    let signature = from.sign_hash_sync(&tx.signature_hash()).unwrap();
    TxEnvelope::from(tx.into_signed(signature)).encoded_2718().into()
}

/// Signs, as the pool takes it.
pub fn incoming(tx: TxEip1559, from: &PrivateKeySigner) -> Incoming {
    Incoming::decode(&raw(tx, from)).unwrap()
}

/// Signs, as it stands in a block.
pub fn signed(tx: TxEip1559, from: &PrivateKeySigner) -> Recovered<Tx> {
    incoming(tx, from).tx
}

/// Topic of the event that [`cell_code`] emits.
pub fn set_topic() -> B256 {
    keccak256("Set(uint256)")
}

/// Initialisation code of a contract that keeps a word: called with 32 bytes it stores and logs
/// them, called with none it returns what it keeps.
pub fn cell_code() -> Bytes {
    let mut runtime = hex!("36600c575f545f5260205ff35b5f35805f555f527f").to_vec();
    runtime.extend(set_topic());
    runtime.extend(hex!("60205fa100"));
    let mut code = vec![0x60, runtime.len() as u8];
    code.extend(hex!("8060095f395ff3"));
    code.extend(runtime);
    code.into()
}

/// An unsigned deployment of [`cell_code`].
pub fn deployment(nonce: u64) -> TxEip1559 {
    TxEip1559 {
        to: TxKind::Create,
        gas_limit: 500_000,
        input: cell_code(),
        ..transfer(nonce, Address::ZERO, 0)
    }
}

/// An unsigned call that stores a word.
pub fn store(nonce: u64, cell: Address, word: u64) -> TxEip1559 {
    TxEip1559 { input: B256::from(U256::from(word)).into(), ..transfer(nonce, cell, 0) }
}
