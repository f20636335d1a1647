//! Consensus encodings, for clients that verify what they are told.

use alloy_eips::{BlockId, Encodable2718};
use alloy_primitives::Bytes;

use super::{
    Args, Registered, Table, blocks,
    errors::{self, Reply},
};
use crate::l1::server::Shared;

pub(super) fn register(table: &mut Table) -> Registered {
    table.quick("debug_getRawHeader", |shared, args| {
        let block = block(shared, args)?;
        Ok(Bytes::from(alloy_rlp::encode(&block.header)))
    })?;
    table.quick("debug_getRawBlock", |shared, args| Ok(block(shared, args)?.rlp()))?;
    table.quick("debug_getRawReceipts", |shared, args| {
        let block = block(shared, args)?;
        let receipts = block.outcomes.iter().map(|outcome| outcome.receipt.encoded_2718());
        Ok(receipts.map(Bytes::from).collect::<Vec<_>>())
    })
}

fn block(shared: &Shared, args: &mut Args<'_>) -> Reply<std::sync::Arc<crate::l1::Block>> {
    let id: BlockId = args.next()?;
    blocks::named(shared, id).ok_or_else(errors::no_block)
}
