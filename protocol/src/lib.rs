//! What both sides of a boundary agree on: message and rollup formats, limits, key derivation,
//! the canonical-chain rule, attestation checks and the L1 interfaces.
//!
//! Requires: nothing of its surroundings.
//! Provides: types, encodings and pure functions shared by enclave, host, gateway and CLI.
//! Does not provide: state, I/O, clocks, threads or randomness of its own.

pub mod attestation;
pub mod canonical;
pub mod checks;
pub mod config;
pub mod contracts;
pub mod door;
pub mod envelope;
pub mod fees;
pub mod forced;
pub mod gossip;
pub mod keys;
pub mod l1;
pub mod limits;
pub mod lottery;
pub mod padding;
pub mod payload;
pub mod query;
pub mod rollup;
pub mod secret;
pub mod viewing;
pub mod wire;
