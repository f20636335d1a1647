//! What is kept of an executed rollup for users who ask. Not here: where it is kept (`history`).

use super::execution::Candidate;
use crate::executor::Executed;
use alloy_consensus::{ReceiptEnvelope, Transaction};
use alloy_eips::Typed2718;
use alloy_primitives::{Address, B256, Bytes, Log};
use alloy_sol_types::SolEvent;
use obscuro_protocol::{
    contracts::L2_BRIDGE,
    l1::IL2Bridge,
    rollup::{RollupHeader, Withdrawal},
};
use serde::{Deserialize, Serialize};

/// What a transaction or an event adds to a body beyond its own bytes, at most.
const BODY_ENTRY_BYTES: usize = 256;

/// An executed transaction with what users may ask about it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BodyTransaction {
    /// EIP-2718 encoding.
    pub raw: Bytes,
    /// Its hash.
    pub hash: B256,
    /// Its sender.
    pub sender: Address,
    /// Its recipient; absent for a creation.
    pub to: Option<Address>,
    /// Its EIP-2718 type.
    pub transaction_type: u8,
    /// Whether it succeeded.
    pub success: bool,
    /// Gas used by it alone.
    pub gas_used: u64,
    /// Contract that it created.
    pub contract: Option<Address>,
    /// Events of the transactions before it.
    pub first_log: u64,
    /// Events, in order.
    pub logs: Vec<BodyLog>,
}

/// An event.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BodyLog {
    /// Emitting contract.
    pub address: Address,
    /// Topics.
    pub topics: Vec<B256>,
    /// Data.
    pub data: Bytes,
}

/// Everything about a rollup beyond its header.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Body {
    /// The header.
    pub header: RollupHeader,
    /// In the order of execution.
    pub transactions: Vec<BodyTransaction>,
    /// Ordered by this rollup.
    pub withdrawals: Vec<Withdrawal>,
}

/// What a transaction adds to a rollup's body.
pub(super) fn bytes_of(candidate: &Candidate<'_>, logs: &[Log]) -> usize {
    let log = |log: &Log| BODY_ENTRY_BYTES + log.data.data.len();
    BODY_ENTRY_BYTES + candidate.raw.len() + logs.iter().map(log).sum::<usize>()
}

pub(super) fn withdrawal(log: &Log) -> Option<Withdrawal> {
    if log.address != L2_BRIDGE {
        return None;
    }
    let event = IL2Bridge::Withdrawal::decode_log(log).ok()?.data;
    Some(Withdrawal { index: event.index, asset: event.asset, to: event.to, amount: event.amount })
}

/// Still without its events, which are in its receipt.
pub(super) fn transaction(
    candidate: &Candidate<'_>,
    executed: &Executed,
    first_log: u64,
) -> BodyTransaction {
    BodyTransaction {
        raw: candidate.raw.clone(),
        hash: *candidate.transaction.tx_hash(),
        sender: candidate.sender,
        to: candidate.transaction.to(),
        transaction_type: candidate.transaction.ty(),
        success: executed.success,
        gas_used: executed.gas_used,
        contract: executed.contract_address.filter(|_| candidate.transaction.kind().is_create()),
        first_log,
        logs: Vec::new(),
    }
}

pub(super) fn logs(receipt: ReceiptEnvelope) -> Vec<BodyLog> {
    let log = |Log { address, data }: Log| {
        let (topics, data) = data.split();
        BodyLog { address, topics, data }
    };
    receipt.into_logs().into_iter().map(log).collect()
}
