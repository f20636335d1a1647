//! Blocks by number, tag and hash, with their receipts.

use std::sync::Arc;

use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{B256, U64};
use alloy_rpc_types_eth::{Block as RpcBlock, Header, TransactionReceipt};

use super::{
    Args, Registered, Table,
    errors::{self, Reply},
    format,
};
use crate::l1::{block::Block, server::Shared};

pub(super) fn register(table: &mut Table) -> Registered {
    table.heavy("eth_getBlockByNumber", by_number)?;
    table.quick("eth_getBlockByHash", by_hash)?;
    table.quick("eth_getHeaderByNumber", |shared, args| {
        Ok(named(shared, BlockId::Number(args.next()?)).map(|block| format::header(&block)))
    })?;
    table.quick("eth_getHeaderByHash", |shared, args| {
        Ok(hashed(shared, args.next()?).map(|block| format::header(&block)))
    })?;
    table.quick("eth_getBlockReceipts", receipts)?;
    table.quick("eth_getBlockTransactionCountByNumber", |shared, args| {
        Ok(named(shared, BlockId::Number(args.next()?)).map(|block| count(&block)))
    })?;
    table.quick("eth_getBlockTransactionCountByHash", |shared, args| {
        Ok(hashed(shared, args.next()?).map(|block| count(&block)))
    })?;
    table.quick("eth_getUncleCountByBlockNumber", |shared, args| {
        Ok(named(shared, BlockId::Number(args.next()?)).map(|_| U64::ZERO))
    })?;
    table.quick("eth_getUncleCountByBlockHash", |shared, args| {
        Ok(hashed(shared, args.next()?).map(|_| U64::ZERO))
    })?;
    table.quick("eth_getUncleByBlockNumberAndIndex", |_, _| Ok(None::<Header>))?;
    table.quick("eth_getUncleByBlockHashAndIndex", |_, _| Ok(None::<Header>))
}

type Shown = RpcBlock<format::Transaction>;

fn by_number(shared: &Shared, args: &mut Args<'_>) -> Reply<Option<Shown>> {
    let tag: BlockNumberOrTag = args.next()?;
    let full: bool = args.optional()?.unwrap_or_default();
    if tag.is_pending() {
        let now = shared.now();
        let block = shared.with_chain(|chain| chain.preview(now)).map_err(errors::chain)?;
        return Ok(Some(format::block(&block, full)));
    }
    Ok(named(shared, BlockId::Number(tag)).map(|block| format::block(&block, full)))
}

fn by_hash(shared: &Shared, args: &mut Args<'_>) -> Reply<Option<Shown>> {
    let hash: B256 = args.next()?;
    let full: bool = args.optional()?.unwrap_or_default();
    Ok(hashed(shared, hash).map(|block| format::block(&block, full)))
}

fn receipts(shared: &Shared, args: &mut Args<'_>) -> Reply<Option<Vec<TransactionReceipt>>> {
    let id: BlockId = args.next()?;
    Ok(named(shared, id).map(|block| format::receipts(&block)))
}

fn count(block: &Block) -> U64 {
    U64::from(block.transactions.len())
}

/// The block with a number, tag or hash; `pending` is the head.
pub(super) fn named(shared: &Shared, id: BlockId) -> Option<Arc<Block>> {
    shared.with_chain(|chain| chain.resolve(id).cloned())
}

fn hashed(shared: &Shared, hash: B256) -> Option<Arc<Block>> {
    shared.with_chain(|chain| chain.tree().get(&hash).cloned())
}
