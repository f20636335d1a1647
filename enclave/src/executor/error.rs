//! Why a transaction or a block was refused, in geth's words where it has them: wallets and tools match on them.

use crate::{state::StateError, trie::TrieError};
use alloy_primitives::{Address, U256};

/// Why nothing was executed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExecutionError {
    /// The transaction is invalid here and now; it has left no trace.
    #[error(transparent)]
    Rejected(#[from] Reject),
    /// The block or the call cannot be computed.
    #[error(transparent)]
    Fatal(#[from] Fatal),
}

/// What makes a whole block worthless. Never the fault of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fatal {
    /// The state could not be read or updated.
    #[error(transparent)]
    State(#[from] StateError),
    /// The EVM gave up for a reason that is no result of the program.
    #[error("the EVM failed: {0}")]
    Evm(String),
    /// A credit would overflow a balance.
    #[error("balance of {0} overflows")]
    Overflow(Address),
    /// The block failed fatally before.
    #[error("the block has failed before")]
    Poisoned,
}

impl From<TrieError> for Fatal {
    fn from(error: TrieError) -> Self {
        Self::State(error.into())
    }
}

/// Why a transaction is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields mean")]
pub enum Reject {
    #[error("nonce too low: address {address}, tx: {tx} state: {state}")]
    NonceTooLow { address: Address, tx: u64, state: u64 },
    #[error("nonce too high: address {address}, tx: {tx} state: {state}")]
    NonceTooHigh { address: Address, tx: u64, state: u64 },
    #[error("nonce has max value: address {address}, nonce: {}", u64::MAX)]
    NonceMax { address: Address },
    #[error(
        "insufficient funds for gas * price + value: address {address} have {have} want {want}"
    )]
    InsufficientFunds { address: Address, have: U256, want: U256 },
    #[error("insufficient funds for gas * price + value: address {address}: the cost overflows")]
    CostOverflow { address: Address },
    #[error("intrinsic gas too low: have {have}, want {want}")]
    IntrinsicGas { have: u64, want: u64 },
    #[error("insufficient gas for floor data gas cost: have {have}, want {want}")]
    FloorGas { have: u64, want: u64 },
    #[error(
        "max fee per gas less than block base fee: address {address}, maxFeePerGas: {max_fee}, baseFee: {base_fee}"
    )]
    FeeTooLow { address: Address, max_fee: u128, base_fee: u64 },
    #[error(
        "max priority fee per gas higher than max fee per gas: address {address}, maxPriorityFeePerGas: {tip}, maxFeePerGas: {max_fee}"
    )]
    TipAboveFee { address: Address, tip: u128, max_fee: u128 },
    #[error("gas limit reached: {remaining} gas left in the block, transaction wants {want}")]
    BlockFull { remaining: u64, want: u64 },
    #[error("exceeds block gas limit: {limit}, transaction wants {want}")]
    AboveBlockLimit { limit: u64, want: u64 },
    #[error("transaction gas limit too high (cap: {cap}, tx: {want})")]
    AboveTransactionCap { cap: u64, want: u64 },
    #[error("invalid chain id for signer: have {have} want {want}")]
    ChainId { have: u64, want: u64 },
    #[error("sender not an eoa: address {address}")]
    SenderHasCode { address: Address },
    #[error("max initcode size exceeded: code size {size}")]
    InitcodeTooLong { size: usize },
    #[error("transaction type not supported: {0}")]
    UnsupportedType(u8),
    #[error(
        "max fee per blob gas less than block blob gas fee: address {address} blobGasFeeCap: {max_fee}, blobBaseFee: {base_fee}"
    )]
    BlobFeeTooLow { address: Address, max_fee: u128, base_fee: u128 },
    #[error("blob gas limit reached: {remaining} left in the block, transaction wants {want}")]
    BlobsFull { remaining: u64, want: u64 },
    #[error("blob transaction has {have} blobs, at most {max} are allowed")]
    TooManyBlobs { have: usize, max: usize },
    #[error("blob transaction missing blob hashes")]
    NoBlobs,
    #[error("blob transaction with an unknown blob hash version")]
    BlobVersion,
    #[error("a transaction of this type cannot create a contract")]
    CreateNotAllowed,
    #[error("EIP-7702 transaction with empty auth list")]
    NoAuthorizations,
    #[error("call data of {size} bytes exceeds the limit of {max}")]
    CallDataTooLong { size: usize, max: usize },
    #[error("invalid transaction: {0}")]
    Other(String),
}

impl Reject {
    /// Whether the same transaction may become valid later (keep it), or never again (drop it).
    pub fn may_become_valid(&self) -> bool {
        matches!(
            self,
            Self::NonceTooHigh { .. }
                | Self::InsufficientFunds { .. }
                | Self::FeeTooLow { .. }
                | Self::BlobFeeTooLow { .. }
                | Self::BlockFull { .. }
                | Self::BlobsFull { .. }
                | Self::SenderHasCode { .. }
        )
    }
}
