//! Rollups as blocks. A block shows only those of its transactions that the gateway's accounts may
//! see. Not here: single transactions (`transactions`).

use super::{
    Context,
    error::{Answer, unexpected_reply},
    params::Positional,
    transactions,
};
use crate::{
    node::{Head, RollupName},
    objects,
};
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{B256, U64};
use alloy_rpc_types_eth::{Block, BlockTransactions, TransactionReceipt};
use jsonrpsee::types::Params;
use obscuro_protocol::query::{At, Query, Reply};
use serde_json::Value;
use std::{collections::HashSet, sync::Arc};

/// `eth_blockNumber`.
pub async fn number(context: &Context, _: Params<'_>) -> Answer<U64> {
    Ok(U64::from(context.head().await?.header.number))
}

/// `eth_getBlockByNumber`.
pub async fn by_number(context: &Context, params: Params<'_>) -> Answer<Option<Block>> {
    let mut params = Positional::new(&params);
    let number: BlockNumberOrTag = params.required()?;
    block(context, number.into(), &mut params).await
}

/// `eth_getBlockByHash`.
pub async fn by_hash(context: &Context, params: Params<'_>) -> Answer<Option<Block>> {
    let mut params = Positional::new(&params);
    let hash: B256 = params.required()?;
    block(context, hash.into(), &mut params).await
}

async fn block(
    context: &Context,
    id: BlockId,
    params: &mut Positional<'_>,
) -> Answer<Option<Block>> {
    let full: bool = params.optional()?.unwrap_or_default();
    let Some(head) = find(context, id).await? else {
        return Ok(None);
    };
    let hashes = visible(context, &head).await?;
    let transactions = match full {
        true => BlockTransactions::Full(transactions::all(context, hashes).await?),
        false => BlockTransactions::Hashes(hashes),
    };
    Ok(Some(objects::block(&head, transactions)))
}

/// `eth_getBlockTransactionCountByNumber` and `…ByHash`: of those visible.
pub async fn transaction_count(context: &Context, params: Params<'_>) -> Answer<Option<U64>> {
    let id = Positional::new(&params).required()?;
    let Some(head) = find(context, id).await? else {
        return Ok(None);
    };
    Ok(Some(U64::from(visible(context, &head).await?.len())))
}

/// `eth_getUncleCountByBlockNumber` and `…ByBlockHash`.
pub async fn uncle_count(context: &Context, params: Params<'_>) -> Answer<Option<U64>> {
    let id = Positional::new(&params).required()?;
    Ok(find(context, id).await?.map(|_| U64::ZERO))
}

/// `eth_getUncleByBlockNumberAndIndex` and `…ByBlockHashAndIndex`: there are none.
pub async fn uncle(_: &Context, _: Params<'_>) -> Answer<Option<Value>> {
    Ok(None)
}

/// `eth_getBlockReceipts`: those visible.
pub async fn receipts(
    context: &Context,
    params: Params<'_>,
) -> Answer<Option<Vec<TransactionReceipt>>> {
    let id = Positional::new(&params).required()?;
    let Some(head) = find(context, id).await? else {
        return Ok(None);
    };
    let hashes = visible(context, &head).await?;
    Ok(Some(transactions::all_receipts(context, hashes).await?))
}

/// The rollup of a block; `None` if it does not exist or is not canonical.
pub async fn find(context: &Context, id: BlockId) -> Answer<Option<Arc<Head>>> {
    let (known, name) = match id {
        BlockId::Hash(hash) => {
            let hash = hash.block_hash;
            (context.chain.by_hash(hash), RollupName::Hash(hash))
        }
        BlockId::Number(BlockNumberOrTag::Number(number)) => {
            context.head().await?;
            (context.chain.by_number(number), RollupName::Number(number))
        }
        BlockId::Number(BlockNumberOrTag::Earliest) => return Ok(Some(context.chain.genesis())),
        BlockId::Number(_) => return Ok(Some(context.head().await?)),
    };
    match known {
        Some(head) => Ok(Some(head)),
        None => Ok(context.node.rollup(name).await?.map(Arc::new)),
    }
}

/// Hashes of the transactions of a rollup that the gateway's accounts may see.
pub async fn visible(context: &Context, head: &Head) -> Answer<Vec<B256>> {
    if head.header.number == 0 {
        return Ok(Vec::new());
    }
    let query = Query::RollupTransactions(At::Hash(head.hash));
    let mut seen = HashSet::new();
    let mut all = Vec::new();
    for reply in context.sealed.ask_for_all(query).await? {
        let Reply::Hashes(hashes) = reply else {
            return Err(unexpected_reply());
        };
        all.extend(hashes.into_iter().filter(|hash| seen.insert(*hash)));
    }
    Ok(all)
}
