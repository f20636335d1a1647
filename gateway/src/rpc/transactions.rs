//! Transactions and receipts. A transaction that the gateway's accounts neither sent nor received
//! does not exist here. Not here: which ones those are (the enclave decides).

use super::{
    Context, blocks,
    error::{Answer, server_error, unexpected_reply},
    params::Positional,
    receipts,
};
use crate::objects;
use alloy_eips::BlockId;
use alloy_primitives::{B256, Bytes, U64};
use alloy_rpc_types_eth::{Transaction, TransactionReceipt};
use futures::{StreamExt, TryStreamExt, stream};
use jsonrpsee::types::Params;
use obscuro_protocol::{
    limits::TRANSACTION_BYTES_MAX,
    query::{Query, Reply, TransactionInfo},
};

/// Transactions of one block asked for at once.
const QUERIES_AT_ONCE: usize = 256;

/// `eth_sendRawTransaction`.
pub async fn send(context: &Context, params: Params<'_>) -> Answer<B256> {
    let raw: Bytes = Positional::new(&params).required()?;
    if raw.len() > TRANSACTION_BYTES_MAX {
        return Err(server_error(format!(
            "oversized data: transaction size {}, limit {TRANSACTION_BYTES_MAX}",
            raw.len()
        )));
    }
    match context.sealed.ask(Query::SendTransaction(raw), &[]).await? {
        Reply::Accepted(hash) => Ok(hash),
        _ => Err(unexpected_reply()),
    }
}

/// `eth_getTransactionByHash`.
pub async fn by_hash(context: &Context, params: Params<'_>) -> Answer<Option<Transaction>> {
    let hash = Positional::new(&params).required()?;
    let info = find(context, hash).await?;
    Ok(info.and_then(objects::transaction))
}

/// `eth_getRawTransactionByHash`.
pub async fn raw_by_hash(context: &Context, params: Params<'_>) -> Answer<Option<Bytes>> {
    let hash = Positional::new(&params).required()?;
    Ok(find(context, hash).await?.map(|info| info.raw))
}

/// `eth_getTransactionReceipt`.
pub async fn receipt(context: &Context, params: Params<'_>) -> Answer<Option<TransactionReceipt>> {
    let hash = Positional::new(&params).required()?;
    let info = receipts::find(context, hash).await?;
    Ok(info.map(|info| objects::receipt(&info)))
}

/// `eth_getTransactionByBlockNumberAndIndex` and `…ByBlockHashAndIndex`; the index is the
/// transaction's own, as in its `transactionIndex`, and counts those that are not visible too.
pub async fn by_position(context: &Context, params: Params<'_>) -> Answer<Option<Transaction>> {
    let mut params = Positional::new(&params);
    let block: BlockId = params.required()?;
    let index: U64 = params.required()?;
    let Some(head) = blocks::find(context, block).await? else {
        return Ok(None);
    };
    let hashes = blocks::visible(context, &head).await?;
    let transactions = all(context, hashes).await?;
    let has_index = |t: &Transaction| t.transaction_index == Some(index.to());
    Ok(transactions.into_iter().find(has_index))
}

/// Transactions by hash, in the order of their block.
pub async fn all(context: &Context, hashes: Vec<B256>) -> Answer<Vec<Transaction>> {
    let finding: Vec<_> = hashes.into_iter().map(|hash| find(context, hash)).collect();
    let infos: Vec<_> = stream::iter(finding).buffered(QUERIES_AT_ONCE).try_collect().await?;
    let known = infos.into_iter().flatten();
    let mut all: Vec<_> = known.filter_map(objects::transaction).collect();
    all.sort_by_key(|transaction| transaction.transaction_index);
    Ok(all)
}

/// Receipts by transaction hash, in the order of their block.
pub async fn all_receipts(context: &Context, hashes: Vec<B256>) -> Answer<Vec<TransactionReceipt>> {
    let finding = hashes.into_iter().map(|hash| receipts::find(context, hash));
    let finding: Vec<_> = finding.collect();
    let infos: Vec<_> = stream::iter(finding).buffered(QUERIES_AT_ONCE).try_collect().await?;
    let known = infos.into_iter().flatten();
    let mut all: Vec<_> = known.map(|info| objects::receipt(&info)).collect();
    all.sort_by_key(|receipt| receipt.transaction_index);
    Ok(all)
}

async fn find(context: &Context, hash: B256) -> Answer<Option<TransactionInfo>> {
    for reply in context.sealed.ask_for_all(Query::Transaction(hash)).await? {
        match reply {
            Reply::Transaction(Some(info)) => {
                if let Some(position) = info.position {
                    context.reach(position.number).await;
                }
                return Ok(Some(*info));
            }
            Reply::Transaction(None) => {}
            _ => return Err(unexpected_reply()),
        }
    }
    Ok(None)
}
