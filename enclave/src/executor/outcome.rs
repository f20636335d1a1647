//! What execution yields: per transaction, per system call, per block.

use crate::state::{Applied, Changes};
use alloy_consensus::ReceiptEnvelope;
use alloy_primitives::{Address, B256, Bloom, Bytes, Log, U256};
use alloy_sol_types::{Panic, Revert, SolError};
use revm::context_interface::result::{ExecutionResult, HaltReason, OutOfGasError};

/// An included transaction. Its logs are the block's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executed {
    /// Whether it ran to its end. A failed transaction is included all the same and pays for its gas.
    pub success: bool,
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
    /// Gas paid for, after refunds and the data floor.
    pub gas_used: u64,
    /// Of it, what the pool charges for data.
    pub data_gas: u64,
    /// Gas used in the block up to and including it.
    pub cumulative_gas_used: u64,
    /// Wei per gas that was paid.
    pub effective_gas_price: u128,
    /// Blob gas used (EIP-4844).
    pub blob_gas_used: u64,
    /// Address of the contract that a creating transaction created, or would have.
    pub contract_address: Option<Address>,
    /// Data returned, or the revert data.
    pub output: Bytes,
}

/// Why execution stopped without success. State changes are undone; gas is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The program reverted; its data is the output.
    Revert,
    /// The EVM stopped it: out of gas, invalid opcode and the like, in geth's words.
    Halt(&'static str),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Revert => "execution reverted",
            Self::Halt(reason) => reason,
        })
    }
}

/// The result of a system call. A failed one has changed nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemOutcome {
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
    /// Gas it used; nobody paid and it does not count towards the block.
    pub gas_used: u64,
    /// Logs emitted; they are in no receipt.
    pub logs: Vec<Log>,
    /// Data returned, or the revert data.
    pub output: Bytes,
}

/// Fees of a block, in wei.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fees {
    /// `gas used × base fee`: burnt, or credited to the pool.
    pub base: U256,
    /// Priority fees, credited to the beneficiary; zero under a pool.
    pub priority: U256,
    /// Blob fees, always burnt.
    pub blob: U256,
}

/// A finished block.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The new state root, and the nodes and codes to store.
    pub applied: Applied,
    /// The state changes themselves.
    pub changes: Changes,
    /// One receipt per transaction, in order.
    pub receipts: Vec<ReceiptEnvelope>,
    /// Root of the receipts trie.
    pub receipts_root: B256,
    /// All logs' bloom filter.
    pub logs_bloom: Bloom,
    /// Gas used by all transactions.
    pub gas_used: u64,
    /// Blob gas used by all transactions.
    pub blob_gas_used: u64,
    /// Fees paid by all transactions.
    pub fees: Fees,
}

/// The text of a Solidity `Error(string)` or `Panic(uint256)` in revert data.
pub fn revert_reason(output: &[u8]) -> Option<String> {
    if let Ok(revert) = Revert::abi_decode(output) {
        return Some(revert.reason);
    }
    Panic::abi_decode(output).ok().map(|panic| panic.to_string())
}

/// The parts of an execution result that matter here.
pub(super) struct Parts {
    pub failure: Option<Failure>,
    pub gas_used: u64,
    /// Gas refunded within `gas_used`: what a limit must have room for besides it.
    pub refunded: u64,
    pub logs: Vec<Log>,
    pub output: Bytes,
}

impl From<ExecutionResult> for Parts {
    fn from(result: ExecutionResult) -> Self {
        let gas_used = result.tx_gas_used();
        let refunded = result.gas().final_refunded();
        let (failure, logs, output) = match result {
            ExecutionResult::Success { logs, output, .. } => (None, logs, output.into_data()),
            ExecutionResult::Revert { output, .. } => (Some(Failure::Revert), Vec::new(), output),
            ExecutionResult::Halt { reason, .. } => {
                (Some(Failure::Halt(halt_text(&reason))), Vec::new(), Bytes::new())
            }
        };
        Self { failure, gas_used, refunded, logs, output }
    }
}

/// geth's words for each way the EVM stops a program.
fn halt_text(reason: &HaltReason) -> &'static str {
    match reason {
        HaltReason::OutOfGas(OutOfGasError::InvalidOperand) => "gas uint64 overflow",
        HaltReason::OutOfGas(_) => "out of gas",
        HaltReason::OpcodeNotFound | HaltReason::InvalidFEOpcode => "invalid opcode",
        HaltReason::InvalidJump => "invalid jump destination",
        HaltReason::NotActivated => "invalid opcode: not activated",
        HaltReason::StackUnderflow => "stack underflow",
        HaltReason::StackOverflow => "stack limit reached",
        HaltReason::OutOfOffset => "return data out of bounds",
        HaltReason::CreateCollision => "contract address collision",
        HaltReason::PrecompileError | HaltReason::PrecompileErrorWithContext(_) => {
            "precompiled contract failed"
        }
        HaltReason::NonceOverflow => "nonce uint64 overflow",
        HaltReason::CreateContractSizeLimit => "max code size exceeded",
        HaltReason::CreateContractStartingWithEF => "invalid code: must not begin with 0xef",
        HaltReason::CreateInitCodeSizeLimit => "max initcode size exceeded",
        HaltReason::OverflowPayment | HaltReason::OutOfFunds => "insufficient balance for transfer",
        HaltReason::StateChangeDuringStaticCall | HaltReason::CallNotAllowedInsideStatic => {
            "write protection"
        }
        HaltReason::CallTooDeep => "max call depth exceeded",
    }
}
