//! Logs by range or block, and the filters that are polled.

use alloy_primitives::U256;
use alloy_rpc_types_eth::{Filter, FilterBlockOption, Log};

use super::{
    Args, Registered, Table,
    errors::{self, Reply},
    format,
};
use crate::l1::{chain::Chain, filters::Changes, server::Shared};

/// Blocks that one query may span.
const RANGE_BLOCKS_MAX: u64 = 100_000;

/// Logs in one answer.
const LOGS_MAX: usize = 20_000;

/// Addresses or alternatives of one topic in a filter.
const ALTERNATIVES_MAX: usize = 1_000;

pub(super) fn register(table: &mut Table) -> Registered {
    table.heavy("eth_getLogs", |shared, args| query(shared, &filter(args)?))?;
    table.quick("eth_newFilter", |shared, args| {
        let filter = filter(args)?;
        Ok(shared.with_filters(|filters| filters.watch_logs(filter)))
    })?;
    table.quick("eth_newBlockFilter", |shared, _| {
        Ok(shared.with_filters(|filters| filters.watch_blocks()))
    })?;
    table.quick("eth_newPendingTransactionFilter", |shared, _| {
        Ok(shared.with_filters(|filters| filters.watch_pending()))
    })?;
    table.quick("eth_getFilterChanges", changes)?;
    table.heavy("eth_getFilterLogs", filter_logs)?;
    table.quick("eth_uninstallFilter", |shared, args| {
        let id: U256 = args.next()?;
        Ok(shared.with_filters(|filters| filters.uninstall(id)))
    })
}

/// A filter of bounded size.
pub(super) fn filter(args: &mut Args<'_>) -> Reply<Filter> {
    bounded(args.next()?)
}

/// Refuses filters with too many alternatives.
pub(super) fn bounded(filter: Filter) -> Reply<Filter> {
    let most = filter.topics.iter().map(|topic| topic.len()).chain([filter.address.len()]).max();
    if most.unwrap_or_default() > ALTERNATIVES_MAX {
        return Err(errors::limit(format!("more than {ALTERNATIVES_MAX} addresses or topics")));
    }
    Ok(filter)
}

fn query(shared: &Shared, filter: &Filter) -> Reply<Vec<Log>> {
    shared.with_chain(|chain| match filter.block_option {
        FilterBlockOption::AtBlockHash(hash) => {
            let block = chain.tree().get(&hash).ok_or_else(|| errors::server("unknown block"))?;
            Ok(format::logs(block, filter, false))
        }
        FilterBlockOption::Range { from_block, to_block } => {
            let from = chain.number(from_block.unwrap_or_default());
            let to = chain.number(to_block.unwrap_or_default());
            range(chain, filter, from, to)
        }
    })
}

fn range(chain: &Chain, filter: &Filter, from: u64, to: u64) -> Reply<Vec<Log>> {
    if from > to {
        return Err(errors::invalid("invalid block range params"));
    }
    let to = to.min(chain.head().number());
    if to.saturating_sub(from) >= RANGE_BLOCKS_MAX {
        return Err(errors::limit(format!("block range exceeds {RANGE_BLOCKS_MAX} blocks")));
    }
    let mut found = Vec::new();
    for block in (from..=to).filter_map(|number| chain.tree().at(number)) {
        found.extend(format::logs(block, filter, false));
        if found.len() > LOGS_MAX {
            return Err(errors::limit(format!("query returned more than {LOGS_MAX} results")));
        }
    }
    Ok(found)
}

fn changes(shared: &Shared, args: &mut Args<'_>) -> Reply<Changes> {
    let id: U256 = args.next()?;
    shared.with_filters(|filters| filters.changes(id)).ok_or_else(errors::no_filter)
}

fn filter_logs(shared: &Shared, args: &mut Args<'_>) -> Reply<Vec<Log>> {
    let id: U256 = args.next()?;
    let filter = shared.with_filters(|filters| filters.log_filter(id).cloned());
    query(shared, &filter.ok_or_else(errors::no_filter)?)
}
