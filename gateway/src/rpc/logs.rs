//! Events by query. Not here: events as they come (`feed`) and who may see them (the enclave
//! decides).

use super::{
    Context, blocks,
    error::{Answer, invalid_params, over_limit, server_error, unexpected_reply},
    params::{FilterParam, Positional, Span, Wanted},
};
use crate::objects;
use alloy_eips::BlockNumberOrTag;
use alloy_rpc_types_eth::Log;
use jsonrpsee::types::Params;
use obscuro_protocol::{
    limits::{LOG_RANGE_MAX, LOGS_MAX},
    query::{LogFilter, LogInfo, Query, Reply},
};
use std::ops::RangeInclusive;

/// `eth_getLogs`.
pub async fn get(context: &Context, params: Params<'_>) -> Answer<Vec<Log>> {
    let filter: FilterParam = Positional::new(&params).required()?;
    let (span, wanted) = filter.into_parts()?;
    matching(context, span, &wanted).await
}

/// The events of a span.
pub async fn matching(context: &Context, span: Span, wanted: &Wanted) -> Answer<Vec<Log>> {
    let range = match span {
        Span::Range { from, to } => range(context, from, to).await?,
        Span::Block(hash) => match blocks::find(context, hash.into()).await? {
            Some(head) => head.header.number..=head.header.number,
            None => return Err(server_error("unknown block")),
        },
    };
    in_range(context, range, wanted).await
}

/// The events of a range of rollups.
pub async fn in_range(
    context: &Context,
    range: RangeInclusive<u64>,
    wanted: &Wanted,
) -> Answer<Vec<Log>> {
    if range.end() - range.start() >= LOG_RANGE_MAX {
        return Err(over_limit(format!("query exceeds max block range {LOG_RANGE_MAX}")));
    }
    let mut topics = wanted.topics.iter().cloned();
    let query = Query::Logs(LogFilter {
        from: *range.start(),
        to: *range.end(),
        addresses: wanted.addresses.clone(),
        topics: std::array::from_fn(|_| topics.next().unwrap_or_default()),
    });
    let mut all = Vec::new();
    for reply in context.sealed.ask_for_all(query).await? {
        let Reply::Logs(logs) = reply else {
            return Err(unexpected_reply());
        };
        all.extend(logs);
    }
    // Several of the gateway's accounts may see the same event.
    let place = |log: &LogInfo| (log.position.number, log.log_index);
    all.sort_by_key(place);
    all.dedup_by_key(|log| place(log));
    if all.len() > LOGS_MAX {
        return Err(over_limit(format!("query returned more than {LOGS_MAX} results")));
    }
    Ok(all.into_iter().map(objects::log).collect())
}

async fn range(
    context: &Context,
    from: Option<BlockNumberOrTag>,
    to: Option<BlockNumberOrTag>,
) -> Answer<RangeInclusive<u64>> {
    if let Some(number) = from.and_then(|from| from.as_number()) {
        context.reach(number).await;
    }
    let head = context.head().await?.header.number;
    let number = |tag: Option<BlockNumberOrTag>| match tag {
        Some(BlockNumberOrTag::Number(number)) => number,
        Some(BlockNumberOrTag::Earliest) => 0,
        _ => head,
    };
    let (from, to) = (number(from), number(to));
    if from > to {
        return Err(invalid_params("invalid block range params"));
    }
    // Nothing lies beyond the head.
    Ok(from..=to.min(head).max(from))
}
