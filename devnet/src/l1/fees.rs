//! How prices move from one block to the next: EIP-1559 for gas, EIP-4844 with the Osaka
//! parameters (EIP-7691, EIP-7840, EIP-7918) for blobs, and what wallets are advised to pay.
//!
//! Pure functions of headers.

use alloy_consensus::Header;
use alloy_eips::{calc_next_block_base_fee, eip1559::BaseFeeParams, eip7840::BlobParams};
use alloy_rpc_types_eth::FeeHistory;

use super::block::Block;

/// Blob limits and prices in force (Osaka).
pub const BLOBS: BlobParams = BlobParams::osaka();

/// Priority fee advised to wallets, wei per gas. Blocks are seldom full, so nothing is learnt from
/// what others paid.
pub const SUGGESTED_TIP: u128 = 1_000_000_000;

/// Base fee of a child of `parent`, wei per gas.
pub fn next_base_fee(parent: &Header) -> u64 {
    calc_next_block_base_fee(
        parent.gas_used,
        parent.gas_limit,
        parent.base_fee_per_gas.unwrap_or_default(),
        BaseFeeParams::ethereum(),
    )
}

/// Excess blob gas of a child of `parent`.
pub fn next_excess_blob_gas(parent: &Header) -> u64 {
    BLOBS.next_block_excess_blob_gas_osaka(
        parent.excess_blob_gas.unwrap_or_default(),
        parent.blob_gas_used.unwrap_or_default(),
        parent.base_fee_per_gas.unwrap_or_default(),
    )
}

/// Price of blob gas in the block with this header, wei per blob gas.
pub fn blob_fee(header: &Header) -> u128 {
    BLOBS.calc_blob_fee(header.excess_blob_gas.unwrap_or_default())
}

/// Price of blob gas in a child of `parent`, wei per blob gas.
pub fn next_blob_fee(parent: &Header) -> u128 {
    BLOBS.calc_blob_fee(next_excess_blob_gas(parent))
}

/// Answer of `eth_feeHistory` for consecutive blocks, oldest first.
pub fn history<'a>(blocks: impl IntoIterator<Item = &'a Block>, percentiles: &[f64]) -> FeeHistory {
    let mut out = FeeHistory::default();
    let mut rewards = Vec::new();
    let mut last = None;
    for block in blocks {
        let header = &block.header;
        if last.is_none() {
            out.oldest_block = header.number;
        }
        out.base_fee_per_gas.push(u128::from(header.base_fee_per_gas.unwrap_or_default()));
        out.base_fee_per_blob_gas.push(blob_fee(header));
        out.gas_used_ratio.push(ratio(header.gas_used, header.gas_limit));
        out.blob_gas_used_ratio
            .push(ratio(header.blob_gas_used.unwrap_or_default(), BLOBS.max_blob_gas_per_block()));
        rewards.push(block_rewards(block, percentiles));
        last = Some(header);
    }
    if let Some(header) = last {
        out.base_fee_per_gas.push(u128::from(next_base_fee(header)));
        out.base_fee_per_blob_gas.push(next_blob_fee(header));
    }
    out.reward = (!percentiles.is_empty()).then_some(rewards);
    out
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Tips at the given percentiles of the block's gas, as geth counts them.
fn block_rewards(block: &Block, percentiles: &[f64]) -> Vec<u128> {
    let base_fee = block.header.base_fee_per_gas.unwrap_or_default();
    let mut tips: Vec<(u128, u64)> = block
        .included()
        .map(|(tx, outcome)| {
            let tip = alloy_consensus::Transaction::effective_tip_per_gas(tx.inner(), base_fee);
            (tip.unwrap_or_default(), outcome.gas_used)
        })
        .collect();
    tips.sort_unstable();
    percentiles.iter().map(|&percentile| tip_at(&tips, percentile, block.header.gas_used)).collect()
}

fn tip_at(sorted: &[(u128, u64)], percentile: f64, gas_used: u64) -> u128 {
    let threshold = (gas_used as f64 * percentile / 100.0) as u64;
    let mut seen = 0u64;
    for (tip, gas) in sorted {
        seen = seen.saturating_add(*gas);
        if seen >= threshold {
            return *tip;
        }
    }
    sorted.last().map(|(tip, _)| *tip).unwrap_or_default()
}
