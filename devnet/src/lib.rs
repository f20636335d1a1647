//! A whole Obscuro network on one machine, for development and tests: nothing in it protects
//! anything from the machine's operator.
//!
//! Requires: nothing; an external L1 if asked for.
//! Provides: the embedded L1, contract deployment, nodes with software enclaves in process, a
//! gateway; all talk over real sockets.
//! Does not provide: the parts themselves, which are the same as in production.

pub mod accounts;
pub mod deploy;
pub mod enclave;
pub mod l1;
pub mod network;

pub use network::{Devnet, DevnetOptions, Summary};
