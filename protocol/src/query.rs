//! What a user asks and is answered, inside the envelope. Typed, so that the enclave parses no
//! JSON. Not here: JSON-RPC (the gateway's) and the envelope itself (`envelope`).

use crate::{
    limits::ENVELOPE_BYTES_MAX,
    viewing::Credentials,
    wire::{self, WireError},
};
use alloy_eips::eip2930::AccessList;
use alloy_primitives::{Address, B256, Bytes, U256};
use serde::{Deserialize, Serialize};

/// A request with the right to make it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Whose data may be read.
    pub credentials: Credentials,
    /// Seconds since 1970, of L1 time, after which the request is not answered.
    pub expires_at: u64,
    /// What is asked.
    pub query: Query,
}

impl Request {
    /// What goes into the envelope.
    pub fn encode(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// What came out of the envelope.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        wire::decode(bytes, ENVELOPE_BYTES_MAX)
    }
}

/// Which state a query reads. Only published rollups exist for queries (protocol 8.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum At {
    /// The newest published rollup.
    #[default]
    Latest,
    /// The canonical rollup of this number.
    Number(u64),
    /// This rollup, if canonical.
    Hash(B256),
}

/// What a user can ask. An account or transaction that the credentials do not cover looks as if it
/// did not exist (protocol 8.6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Query {
    /// Submit a signed transaction, EIP-2718 encoded. Needs no credentials.
    SendTransaction(Bytes),
    /// Balance of an account.
    Balance(Address, At),
    /// Nonce of an account; `pooled` counts transactions that wait in the pool.
    Nonce {
        /// The account.
        account: Address,
        /// The state read.
        at: At,
        /// Count the account's own waiting transactions too.
        pooled: bool,
    },
    /// Code of a contract. Public.
    Code(Address, At),
    /// A storage slot; only of an account in the credentials.
    Storage(Address, U256, At),
    /// Run a message without a transaction. `from` must be in the credentials, or absent.
    Call(CallRequest, At),
    /// The gas a transaction would need.
    EstimateGas(CallRequest, At),
    /// A transaction by hash, for its sender and recipient.
    Transaction(B256),
    /// A receipt by transaction hash, for its sender and recipient.
    Receipt(B256),
    /// Events that the credentials' accounts may see.
    Logs(LogFilter),
    /// Hashes of the transactions of one rollup that the credentials' accounts may see.
    RollupTransactions(At),
}

/// A message to run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRequest {
    /// Sender; the zero address if absent.
    pub from: Option<Address>,
    /// Recipient; creates a contract if absent.
    pub to: Option<Address>,
    /// Gas limit; the rollup's if absent.
    pub gas: Option<u64>,
    /// Native coin sent along.
    pub value: U256,
    /// Input.
    pub data: Bytes,
    /// Addresses and slots to warm up (EIP-2930).
    pub access_list: AccessList,
}

/// Which events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogFilter {
    /// First rollup.
    pub from: u64,
    /// Last rollup.
    pub to: u64,
    /// Emitting contracts; any if empty.
    pub addresses: Vec<Address>,
    /// By position: any if empty, else one of these. An event has four at most; a list of any length
    /// could hold a byte's worth of empty ones for 24 bytes of memory each.
    pub topics: [Vec<B256>; 4],
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// The transaction was accepted.
    Accepted(B256),
    /// A balance or storage value.
    Value(U256),
    /// A nonce or an amount of gas.
    Count(u64),
    /// Code, or the output of a call.
    Bytes(Bytes),
    /// A transaction; absent if it does not exist for this user.
    Transaction(Option<Box<TransactionInfo>>),
    /// A receipt; absent if it does not exist for this user.
    Receipt(Option<Box<ReceiptInfo>>),
    /// Events.
    Logs(Vec<LogInfo>),
    /// Transaction hashes.
    Hashes(Vec<B256>),
    /// The request was refused.
    Refused(Refusal),
    /// An expiry in the request or its credentials does not fit L1 time: it has passed, or lies
    /// further ahead than a request may live. The user asks again by this clock.
    Untimely {
        /// Verified L1 time, seconds since 1970.
        now: u64,
    },
}

impl Reply {
    /// What goes into the envelope.
    pub fn encode(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// What came out of the envelope.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        wire::decode(bytes, ENVELOPE_BYTES_MAX)
    }
}

/// Why a request was refused. `code` is a JSON-RPC error code, the message geth's where tools
/// depend on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// JSON-RPC error code.
    pub code: i32,
    /// One line.
    pub message: String,
    /// Revert data.
    pub data: Option<Bytes>,
}

/// Where a transaction lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Hash of the rollup.
    pub rollup: B256,
    /// Its number.
    pub number: u64,
    /// Its timestamp, seconds since 1970.
    pub timestamp: u64,
    /// Position of the transaction in it.
    pub index: u64,
    /// Price of gas in it.
    pub base_fee: u64,
}

/// A transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionInfo {
    /// EIP-2718 encoding.
    pub raw: Bytes,
    /// Its sender.
    pub from: Address,
    /// Absent while it waits.
    pub position: Option<Position>,
}

/// A receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptInfo {
    /// The transaction.
    pub transaction: B256,
    /// EIP-2718 type of the transaction.
    pub transaction_type: u8,
    /// Sender.
    pub from: Address,
    /// Recipient.
    pub to: Option<Address>,
    /// Contract created.
    pub contract: Option<Address>,
    /// Whether it succeeded.
    pub success: bool,
    /// Gas used by it.
    pub gas_used: u64,
    /// Events that this user may see.
    pub logs: Vec<LogInfo>,
    /// Where it lies.
    pub position: Position,
}

/// An event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogInfo {
    /// Emitting contract.
    pub address: Address,
    /// Topics.
    pub topics: Vec<B256>,
    /// Data.
    pub data: Bytes,
    /// The transaction that emitted it.
    pub transaction: B256,
    /// Where that lies.
    pub position: Position,
    /// Position of the event in the rollup.
    pub log_index: u64,
}
