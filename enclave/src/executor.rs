//! The one EVM wrapper of the repository, on `revm`, with current Ethereum rules (Osaka): the L2 enclave and the
//! embedded L1 both execute blocks here, over the same `state`.
//!
//! **Requires** transactions whose senders have been recovered, and block parameters decided by the caller.
//! **Provides** block execution, system calls, read-only calls and gas estimates. No type of `revm` leaves this
//! module. **Does not provide** signatures, transaction ordering, headers, tracing or state overrides.
//!
//! Errors are sorted by what the caller does next: a [`Reject`] concerns one transaction and leaves no trace; a
//! [`Fatal`] (the store lied or failed) makes the whole block worthless, and never looks like a failed transaction.

mod block;
mod call;
mod check;
mod code;
mod database;
mod env;
mod error;
mod outcome;
mod receipts;
#[cfg(test)]
mod tests;
mod transaction;

pub use block::Block;
pub use call::{
    CALL_GAS_CAP, CallOutcome, CallRequest, CallResult, MAX_CALL_DATA_BYTES, MAX_RETURN_BYTES,
    call, estimate_gas,
};
pub use check::check;
pub use code::Code;
pub use database::BlockHashAnswer;
pub use env::{BlockEnv, FeeRule, IntrinsicGas, blob_base_fee, next_excess_blob_gas};
pub use error::{ExecutionError, Fatal, Reject};
pub use outcome::revert_reason;
pub use outcome::{Executed, Failure, Fees, Finished, SystemOutcome};
