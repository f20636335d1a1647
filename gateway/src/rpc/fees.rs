//! Prices. There is no auction for gas (protocol 6.4): the base fee is the price, tips are ignored. It
//! moves a little with every rollup (protocol 10.2), so wallets are told what suffices for the next ones.

use super::{
    Context, blocks,
    error::{Answer, server_error},
    params::Positional,
};
use crate::node::Head;
use alloy_eips::BlockNumberOrTag;
use alloy_primitives::{U64, U256};
use alloy_rpc_types_eth::FeeHistory;
use futures::{StreamExt, TryStreamExt, stream};
use jsonrpsee::types::Params;
use obscuro_protocol::fees::{base_fee_bounds, suggested_price};
use std::sync::Arc;

/// Most blocks, and most percentiles, of one history (geth's limits).
const BLOCKS_MAX: u64 = 1_024;
const PERCENTILES_MAX: usize = 100;
/// Most blocks of a history that the node is asked for, and how many at once.
const FETCHED_MAX: usize = 32;
const FETCHED_AT_ONCE: usize = 8;

/// `eth_gasPrice`: enough for the next rollups. What is paid is the base fee.
pub async fn gas_price(context: &Context, _: Params<'_>) -> Answer<U64> {
    Ok(U64::from(suggested_price(context.head().await?.header.baseFee)))
}

/// `eth_maxPriorityFeePerGas`.
pub async fn priority_fee(_: &Context, _: Params<'_>) -> Answer<U64> {
    Ok(U64::ZERO)
}

/// `eth_feeHistory`; shorter than asked for if the rollups are not recent, as the method allows.
pub async fn history(context: &Context, params: Params<'_>) -> Answer<FeeHistory> {
    let mut params = Positional::new(&params);
    let count: U256 = params.required()?;
    let newest: BlockNumberOrTag = params.required()?;
    let percentiles: Vec<f64> = params.optional()?.unwrap_or_default();
    check_percentiles(&percentiles)?;
    let head = context.head().await?.header.number;
    let newest = match newest {
        BlockNumberOrTag::Number(number) if number > head => {
            return Err(server_error("request beyond head block"));
        }
        BlockNumberOrTag::Number(number) => number,
        BlockNumberOrTag::Earliest => 0,
        _ => head,
    };
    let count: u64 = count.saturating_to();
    let heads = recent(context, newest, count.min(BLOCKS_MAX)).await?;
    Ok(describe(context, &heads, newest, percentiles.len()))
}

fn check_percentiles(percentiles: &[f64]) -> Answer<()> {
    let is_ordered = percentiles.is_sorted();
    let in_range = percentiles.iter().all(|p| (0.0..=100.0).contains(p));
    match percentiles.len() <= PERCENTILES_MAX && is_ordered && in_range {
        true => Ok(()),
        false => Err(server_error("invalid reward percentile")),
    }
}

/// Up to `count` rollups that end with `newest`, oldest first: those that are recent, and a few more
/// that the node is asked for.
async fn recent(context: &Context, newest: u64, count: u64) -> Answer<Vec<Arc<Head>>> {
    let numbers = (0..=newest).rev().take(usize::try_from(count).unwrap_or(0));
    let known = numbers.clone().take_while(|number| context.chain.by_number(*number).is_some());
    let wanted = usize::max(known.count(), FETCHED_MAX);
    let finding: Vec<_> =
        numbers.take(wanted).map(|number| blocks::find(context, number.into())).collect();
    let found: Vec<_> =
        stream::iter(finding).buffered(FETCHED_AT_ONCE).try_collect::<Vec<_>>().await?;
    let mut heads: Vec<_> = found.into_iter().map_while(|head| head).collect();
    heads.reverse();
    Ok(heads)
}

/// The fee after the newest is the most that it can be.
fn describe(context: &Context, heads: &[Arc<Head>], newest: u64, percentiles: usize) -> FeeHistory {
    let last = heads.last().map_or(context.config.computePrice, |head| head.header.baseFee);
    let next_fee = base_fee_bounds(last).1;
    let fees = heads.iter().map(|head| head.header.baseFee);
    let ratio = |head: &Arc<Head>| head.header.gasUsed as f64 / head.header.gasLimit.max(1) as f64;
    FeeHistory {
        base_fee_per_gas: fees.chain([next_fee]).map(u128::from).collect(),
        gas_used_ratio: heads.iter().map(ratio).collect(),
        base_fee_per_blob_gas: vec![1; heads.len() + 1],
        blob_gas_used_ratio: vec![0.0; heads.len()],
        oldest_block: heads.first().map_or(newest, |head| head.header.number),
        reward: (percentiles > 0).then(|| vec![vec![0; percentiles]; heads.len()]),
    }
}
