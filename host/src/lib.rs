//! The untrusted node around an enclave: it follows L1, publishes rollups, gossips, stores and serves
//! users, and can read none of it.
//!
//! Requires: an [`enclave::Enclave`] and an L1 node.
//! Provides: [`node::Node`], which is all of it together.
//! Does not provide: secrets or truth. Everything here may be replaced or lost; the enclave believes
//! none of it unchecked, and what it needs is rebuilt from L1.

pub mod claims;
pub mod docket;
pub mod enclave;
pub mod gossip;
pub mod l1;
pub mod membership;
pub mod node;
mod prosecutor;
pub mod publisher;
pub mod pull;
mod relay;
pub mod round;
mod rounds;
pub mod rpc;
mod stop;
pub mod storage;
