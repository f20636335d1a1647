//! The user's side of Obscuro: ordinary Ethereum JSON-RPC in, sealed envelopes out.
//!
//! Requires: a node's JSON-RPC, which is not trusted, and the network's config and key from a source
//! that is (L1).
//! Provides: the `eth_*`, `net_*` and `web3_*` methods that wallets and tools use, over HTTP and
//! WebSocket, and `obscuro_*` methods with which accounts authorise the gateway's viewing key.
//! Does not provide: private keys of accounts (wallets keep them) nor any protection from those who
//! can reach its port: a gateway is as private as the machine that it runs on.
//!
//! The way of a request: `rpc` (parameters in, Ethereum's objects out) → `sealed` (query, credentials,
//! envelope) → `node` (batches over HTTP) and back. `chain` follows the rollups, `accounts` keeps the
//! viewing key, `network_key` follows L1.

mod accounts;
mod chain;
mod clock;
mod gateway;
pub mod network_key;
mod node;
mod objects;
mod rpc;
mod sealed;

pub use gateway::{GatewayError, GatewayHandle, GatewayOptions, start};
