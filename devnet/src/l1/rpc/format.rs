//! Blocks, transactions, receipts and logs as JSON-RPC shows them.
//!
//! Pure conversions from the chain's types to alloy's; which block is meant is decided elsewhere.

use std::sync::Arc;

use alloy_consensus::{
    Transaction as _,
    transaction::{Recovered, TransactionInfo},
};
use alloy_eips::eip4844::DATA_GAS_PER_BLOB;
use alloy_primitives::U256;
use alloy_rpc_types_eth::{
    Block as RpcBlock, BlockTransactions, Filter, Header as RpcHeader, Log,
    Transaction as RpcTransaction, TransactionReceipt, Withdrawals,
};

use crate::l1::{
    block::{Block, Outcome, Tx, blob_hashes},
    fees,
    tree::HeadChange,
};

/// A transaction with its place, if it has one.
pub type Transaction = RpcTransaction<Tx>;

/// A header with its hash and the size of the block.
pub fn header(block: &Block) -> RpcHeader {
    let size = U256::from(block.rlp_bytes);
    RpcHeader {
        hash: block.hash,
        inner: block.header.clone(),
        total_difficulty: None,
        size: Some(size),
    }
}

/// A block with hashes or whole transactions.
pub fn block(block: &Block, full: bool) -> RpcBlock<Transaction> {
    let transactions = if full {
        BlockTransactions::Full(
            (0..block.transactions.len()).filter_map(|index| mined(block, index)).collect(),
        )
    } else {
        let hashes = block.transactions.iter().map(|tx| *tx.inner().tx_hash());
        BlockTransactions::Hashes(hashes.collect())
    };
    RpcBlock::new(header(block), transactions).with_withdrawals(Some(Withdrawals::default()))
}

/// A transaction of a block.
pub fn mined(block: &Block, index: usize) -> Option<Transaction> {
    let tx = block.transactions.get(index)?;
    let info = TransactionInfo {
        hash: Some(*tx.inner().tx_hash()),
        index: Some(index as u64),
        block_hash: Some(block.hash),
        block_number: Some(block.number()),
        base_fee: block.header.base_fee_per_gas,
        block_timestamp: Some(block.header.timestamp),
    };
    Some(RpcTransaction::from_transaction(tx.clone(), info))
}

/// A transaction that waits in the pool.
pub fn waiting(tx: &Recovered<Tx>) -> Transaction {
    RpcTransaction::from_transaction(tx.clone(), TransactionInfo::default())
}

/// The receipt of a transaction of a block.
pub fn receipt(block: &Block, index: usize) -> Option<TransactionReceipt> {
    let (tx, outcome) = (block.transactions.get(index)?, block.outcomes.get(index)?);
    let logs = outcome_logs(block, index, outcome, false);
    let mut logs = logs.into_iter();
    let inner = outcome.receipt.clone().map_logs(|log| logs.next().unwrap_or(bare(log)));
    let blobs = blob_hashes(tx.inner()).len() as u64;
    Some(TransactionReceipt {
        inner,
        transaction_hash: *tx.inner().tx_hash(),
        transaction_index: Some(index as u64),
        block_hash: Some(block.hash),
        block_number: Some(block.number()),
        gas_used: outcome.gas_used,
        effective_gas_price: tx.effective_gas_price(block.header.base_fee_per_gas),
        blob_gas_used: (blobs > 0).then_some(blobs * DATA_GAS_PER_BLOB),
        blob_gas_price: (blobs > 0).then(|| fees::blob_fee(&block.header)),
        from: tx.signer(),
        to: tx.to(),
        contract_address: outcome.created,
    })
}

/// All receipts of a block.
pub fn receipts(block: &Block) -> Vec<TransactionReceipt> {
    (0..block.transactions.len()).filter_map(|index| receipt(block, index)).collect()
}

/// The logs of a block that match a filter's addresses and topics.
pub fn logs(block: &Block, filter: &Filter, removed: bool) -> Vec<Log> {
    if !filter.matches_bloom(block.bloom()) {
        return Vec::new();
    }
    let outcomes = block.outcomes.iter().enumerate();
    outcomes
        .flat_map(|(index, outcome)| outcome_logs(block, index, outcome, removed))
        .filter(|log| filter.matches(&log.inner))
        .collect()
}

/// The logs that a change of head adds, after those that it removes, newest block first.
pub fn changed_logs(change: &HeadChange, filter: &Filter) -> Vec<Log> {
    let in_range = |block: &&Arc<Block>| filter.matches_block_range(block.number());
    let removed =
        change.removed.iter().filter(in_range).flat_map(|block| logs(block, filter, true));
    let added = change.added.iter().filter(in_range).flat_map(|block| logs(block, filter, false));
    removed.chain(added).collect()
}

fn outcome_logs(block: &Block, index: usize, outcome: &Outcome, removed: bool) -> Vec<Log> {
    let hash = block.transactions.get(index).map(|tx| *tx.inner().tx_hash());
    let numbered = outcome.logs().iter().zip(outcome.first_log..);
    numbered
        .map(|(log, log_index)| Log {
            inner: log.clone(),
            block_hash: Some(block.hash),
            block_number: Some(block.number()),
            block_timestamp: Some(block.header.timestamp),
            transaction_hash: hash,
            transaction_index: Some(index as u64),
            log_index: Some(log_index),
            removed,
        })
        .collect()
}

fn bare(inner: alloy_primitives::Log) -> Log {
    Log { inner, ..Log::default() }
}
