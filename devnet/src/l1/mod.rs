//! The embedded L1: a real EVM development chain, as a library and as a JSON-RPC server.
//!
//! [`Chain`] is a deterministic state machine (Osaka rules, EIP-1559 and blob transactions, a tree
//! of blocks with a chosen head, a transaction pool); [`serve`] is the thin tokio shell that mines
//! in real time and answers Ethereum clients over HTTP and WebSocket, and blob readers over the
//! beacon API.
//!
//! **Requires** the executor, trie and state of the enclave crate: there is one EVM wrapper and one
//! trie in the repository. **Does not provide** consensus, networking between L1 nodes, or
//! tracing; it knows nothing of Obscuro.

mod beacon;
mod blobs;
mod block;
mod build;
mod chain;
mod config;
mod fees;
mod filters;
mod genesis;
mod incoming;
mod journal;
mod pool;
mod rpc;
mod server;
mod sweep;
mod tree;
mod world;

pub use blobs::{BlobArchive, StoredBlob};
pub use block::{Block, Outcome, Tx, blob_hashes};
pub use build::{BuildError, Plan};
pub use chain::{Chain, ChainError, EVENTS_MAX, Event, REORG_DEPTH_MAX};
pub use config::{
    BLOB_BYTES_MAX, CHAIN_ID, Config, FINALIZED_DEPTH, GAS_LIMIT, GenesisAccount, INITIAL_BASE_FEE,
    SAFE_DEPTH, STATE_DEPTH,
};
pub use fees::{SUGGESTED_TIP, blob_fee, next_base_fee, next_blob_fee, next_excess_blob_gas};
pub use genesis::{CREATE2_DEPLOYER, beacon_root};
pub use incoming::{Incoming, Refusal, warm_up_kzg};
pub use journal::JournalError;
pub use pool::Pool;
pub use server::{Handle, Mining, ServeError, ServeOptions, serve};
pub use tree::{HeadChange, Tree, TreeError};
pub use world::World;
