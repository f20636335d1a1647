//! The embedded L1 through its public door: the chain as a library, and the served JSON-RPC with
//! the alloy provider over real sockets.

mod blobs;
mod chain;
mod http;
mod persistence;
mod reorg;
mod rpc;
mod state;
mod support;
