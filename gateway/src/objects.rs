//! Ethereum's JSON objects, made of what the enclave replies and of rollup headers. Not here: the
//! methods that return them (`rpc`).

use crate::node::Head;
use alloy_consensus::{
    EMPTY_OMMER_ROOT_HASH, Header as ConsensusHeader, Receipt, ReceiptEnvelope, ReceiptWithBloom,
    TxEnvelope, TxType, constants::EMPTY_ROOT_HASH, transaction::Recovered,
};
use alloy_eips::{Decodable2718, eip4895::Withdrawals};
use alloy_primitives::{Address, B64, B256, Bloom, LogData, U256, logs_bloom};
use alloy_rpc_types_eth::{Block, BlockTransactions, Header, Log, Transaction, TransactionReceipt};
use alloy_sol_types::SolValue;
use obscuro_protocol::query::{LogInfo, Position, ReceiptInfo, TransactionInfo};

/// Where fees are collected on L2; shown as the miner of every block.
pub const FEE_POOL: Address = obscuro_protocol::contracts::FEE_POOL;

/// A block's header. Its hash is the rollup's.
///
/// The bloom has every bit set: which events a user may see is not known here, and tools skip
/// blocks whose bloom excludes what they look for.
pub fn header(head: &Head) -> Header {
    let rollup = &head.header;
    let inner = ConsensusHeader {
        parent_hash: rollup.parent,
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        beneficiary: FEE_POOL,
        state_root: rollup.stateRoot,
        transactions_root: rollup.transactionsRoot,
        receipts_root: rollup.receiptsRoot,
        logs_bloom: Bloom::repeat_byte(0xff),
        difficulty: U256::ZERO,
        number: rollup.number,
        gas_limit: rollup.gasLimit,
        gas_used: rollup.gasUsed,
        timestamp: rollup.timestamp,
        mix_hash: B256::ZERO,
        nonce: B64::ZERO,
        base_fee_per_gas: Some(rollup.baseFee),
        withdrawals_root: Some(EMPTY_ROOT_HASH),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(B256::ZERO),
        ..Default::default()
    };
    Header {
        hash: head.hash,
        inner,
        total_difficulty: Some(U256::ZERO),
        size: Some(U256::from(rollup.abi_encoded_size())),
    }
}

/// A block with those of its transactions that the user may see.
pub fn block(head: &Head, transactions: BlockTransactions<Transaction>) -> Block {
    Block::new(header(head), transactions).with_withdrawals(Some(Withdrawals::default()))
}

/// A transaction; `None` if its encoding is not one that Ethereum's tools know.
pub fn transaction(info: TransactionInfo) -> Option<Transaction> {
    let inner = TxEnvelope::decode_2718_exact(&info.raw).ok()?;
    let position = info.position;
    Some(Transaction {
        inner: Recovered::new_unchecked(inner, info.from),
        block_hash: position.map(|p| p.rollup),
        block_number: position.map(|p| p.number),
        transaction_index: position.map(|p| p.index),
        effective_gas_price: position.map(|p| p.base_fee.into()),
        block_timestamp: position.map(|p| p.timestamp),
    })
}

/// A receipt. The cumulative gas counts this transaction alone: what others used is theirs.
pub fn receipt(info: &ReceiptInfo) -> TransactionReceipt {
    let position = info.position;
    let logs: Vec<_> = info.logs.iter().cloned().map(log).collect();
    let with_bloom = ReceiptWithBloom {
        logs_bloom: logs_bloom(logs.iter().map(|log| &log.inner)),
        receipt: Receipt { status: info.success.into(), cumulative_gas_used: info.gas_used, logs },
    };
    let transaction_type = TxType::try_from(info.transaction_type).unwrap_or_default();
    TransactionReceipt {
        inner: ReceiptEnvelope::from_typed(transaction_type, with_bloom),
        transaction_hash: info.transaction,
        transaction_index: Some(position.index),
        block_hash: Some(position.rollup),
        block_number: Some(position.number),
        gas_used: info.gas_used,
        effective_gas_price: position.base_fee.into(),
        blob_gas_used: None,
        blob_gas_price: None,
        from: info.from,
        to: info.to,
        contract_address: info.contract,
    }
}

/// An event.
pub fn log(info: LogInfo) -> Log {
    let Position { rollup, number, timestamp, index, .. } = info.position;
    Log {
        inner: alloy_primitives::Log {
            address: info.address,
            data: LogData::new_unchecked(info.topics, info.data),
        },
        block_hash: Some(rollup),
        block_number: Some(number),
        block_timestamp: Some(timestamp),
        transaction_hash: Some(info.transaction),
        transaction_index: Some(index),
        log_index: Some(info.log_index),
        removed: false,
    }
}
