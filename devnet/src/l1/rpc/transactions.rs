//! Transactions and their receipts, sending, and the pool.

use std::collections::BTreeMap;

use alloy_consensus::Transaction as _;
use alloy_eips::{BlockId, BlockNumberOrTag, Encodable2718};
use alloy_primitives::{Address, B256, Bytes, U64};
use alloy_rpc_types_eth::{Index, TransactionReceipt};
use serde::Serialize;

use super::{
    Args, Registered, Table, blocks,
    errors::{self, Reply},
    format::{self, Transaction},
};
use crate::l1::{block::Tx, chain::Chain, server::Shared};

/// Transactions that `txpool_content` shows.
const CONTENT_MAX: usize = 4_096;

pub(super) fn register(table: &mut Table) -> Registered {
    table.heavy("eth_sendRawTransaction", |shared, args| {
        shared.submit(&args.next::<Bytes>()?).map_err(errors::refusal)
    })?;
    table.quick("eth_getTransactionByHash", by_hash)?;
    table.quick("eth_getTransactionByBlockHashAndIndex", |shared, args| {
        at_index(shared, BlockId::from(args.next::<B256>()?), args.next()?)
    })?;
    table.quick("eth_getTransactionByBlockNumberAndIndex", |shared, args| {
        at_index(shared, BlockId::from(args.next::<BlockNumberOrTag>()?), args.next()?)
    })?;
    table.quick("eth_getTransactionReceipt", receipt)?;
    table.quick("eth_getRawTransactionByHash", raw)?;
    table.quick("debug_getRawTransaction", raw)?;
    table.quick("txpool_status", |shared, _| Ok(shared.with_chain(|chain| status(chain))))?;
    table.quick("txpool_content", |shared, _| Ok(shared.with_chain(|chain| content(chain))))
}

fn by_hash(shared: &Shared, args: &mut Args<'_>) -> Reply<Option<Transaction>> {
    let hash: B256 = args.next()?;
    Ok(shared.with_chain(|chain| match chain.tree().transaction(&hash) {
        Some((block, index)) => format::mined(block, index),
        None => chain.pool().get(&hash).map(format::waiting),
    }))
}

fn at_index(shared: &Shared, id: BlockId, index: Index) -> Reply<Option<Transaction>> {
    Ok(blocks::named(shared, id).and_then(|block| format::mined(&block, index.into())))
}

fn receipt(shared: &Shared, args: &mut Args<'_>) -> Reply<Option<TransactionReceipt>> {
    let hash: B256 = args.next()?;
    Ok(shared.with_chain(|chain| {
        let (block, index) = chain.tree().transaction(&hash)?;
        format::receipt(block, index)
    }))
}

fn raw(shared: &Shared, args: &mut Args<'_>) -> Reply<Option<Bytes>> {
    let hash: B256 = args.next()?;
    Ok(shared.with_chain(|chain| {
        let tx: Option<&Tx> = match chain.tree().transaction(&hash) {
            Some((block, index)) => block.transactions.get(index).map(|tx| tx.inner()),
            None => chain.pool().get(&hash).map(|tx| tx.inner()),
        };
        tx.map(|tx| tx.encoded_2718().into())
    }))
}

/// Numbers of executable transactions and of those that wait for an earlier nonce.
#[derive(Clone, Serialize)]
struct Status {
    pending: U64,
    queued: U64,
}

/// Transactions by sender and nonce, split the same way.
#[derive(Clone, Default, Serialize)]
struct Content {
    pending: BTreeMap<Address, BTreeMap<String, Transaction>>,
    queued: BTreeMap<Address, BTreeMap<String, Transaction>>,
}

fn status(chain: &Chain) -> Status {
    let (mut pending, mut queued) = (0u64, 0u64);
    for (_, executable) in split(chain) {
        if executable { pending += 1 } else { queued += 1 }
    }
    Status { pending: U64::from(pending), queued: U64::from(queued) }
}

fn content(chain: &Chain) -> Content {
    let mut content = Content::default();
    for (tx, executable) in split(chain).take(CONTENT_MAX) {
        let part = if executable { &mut content.pending } else { &mut content.queued };
        part.entry(tx.signer()).or_default().insert(tx.nonce().to_string(), format::waiting(tx));
    }
    content
}

/// Waiting transactions, and whether each could be executed now.
fn split(
    chain: &Chain,
) -> impl Iterator<Item = (&alloy_consensus::transaction::Recovered<Tx>, bool)> {
    let mut last = None;
    chain.pool().iter().map(move |tx| {
        let sender = tx.signer();
        let next = match last {
            Some((same, next)) if same == sender => next,
            _ => chain.pending_nonce(sender).unwrap_or_default(),
        };
        last = Some((sender, next));
        (tx, tx.nonce() < next)
    })
}
