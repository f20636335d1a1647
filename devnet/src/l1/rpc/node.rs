//! What the node is: `web3_*`, `net_*`, chain id, prices.

use alloy_eips::BlockNumberOrTag;
use alloy_primitives::{Address, Bytes, U64, U256, keccak256};
use alloy_rpc_types_eth::FeeHistory;

use super::{
    Args, Registered, Table,
    errors::{self, Reply},
};
use crate::l1::{
    fees::{self, SUGGESTED_TIP},
    server::Shared,
};

/// Blocks that one fee history covers.
const FEE_HISTORY_MAX: u64 = 1_024;

/// Percentiles in one fee history.
const PERCENTILES_MAX: usize = 100;

pub(super) fn register(table: &mut Table) -> Registered {
    table.quick("web3_clientVersion", |_, _| Ok(client_version()))?;
    table.quick("web3_sha3", |_, args| Ok(keccak256(args.next::<Bytes>()?)))?;
    table.quick("net_version", |shared, _| Ok(chain_id(shared).to_string()))?;
    table.quick("net_listening", |_, _| Ok(true))?;
    table.quick("net_peerCount", |_, _| Ok(U64::ZERO))?;
    table.quick("eth_chainId", |shared, _| Ok(U64::from(chain_id(shared))))?;
    table.quick("eth_syncing", |_, _| Ok(false))?;
    table.quick("eth_accounts", |_, _| Ok(Vec::<Address>::new()))?;
    table.quick("eth_blockNumber", |shared, _| {
        Ok(U64::from(shared.with_chain(|chain| chain.head().number())))
    })?;
    table.quick("eth_maxPriorityFeePerGas", |_, _| Ok(U256::from(SUGGESTED_TIP)))?;
    table.quick("eth_gasPrice", gas_price)?;
    table.quick("eth_blobBaseFee", blob_base_fee)?;
    table.quick("eth_feeHistory", fee_history)
}

fn client_version() -> String {
    format!("obscuro-l1/v{}", env!("CARGO_PKG_VERSION"))
}

fn chain_id(shared: &Shared) -> u64 {
    shared.with_chain(|chain| chain.config().chain_id)
}

fn gas_price(shared: &Shared, _: &mut Args<'_>) -> Reply<U256> {
    let base_fee = shared.with_chain(|chain| fees::next_base_fee(&chain.head().header));
    Ok(U256::from(u128::from(base_fee) + SUGGESTED_TIP))
}

fn blob_base_fee(shared: &Shared, _: &mut Args<'_>) -> Reply<U256> {
    Ok(U256::from(shared.with_chain(|chain| fees::next_blob_fee(&chain.head().header))))
}

fn fee_history(shared: &Shared, args: &mut Args<'_>) -> Reply<FeeHistory> {
    let count: U64 = args.next()?;
    let newest: BlockNumberOrTag = args.next()?;
    let percentiles: Vec<f64> = args.optional()?.unwrap_or_default();
    check_percentiles(&percentiles)?;
    let count = count.saturating_to::<u64>().min(FEE_HISTORY_MAX);
    shared.with_chain(|chain| {
        let newest = chain.number(newest);
        if newest > chain.head().number() {
            return Err(errors::server("request beyond head block"));
        }
        let oldest = (newest + 1).saturating_sub(count);
        let blocks = (oldest..=newest).filter(|_| count > 0).filter_map(|n| chain.tree().at(n));
        Ok(fees::history(blocks.map(|block| &**block), &percentiles))
    })
}

fn check_percentiles(percentiles: &[f64]) -> Reply<()> {
    let in_range = percentiles.iter().all(|percentile| (0.0..=100.0).contains(percentile));
    if percentiles.len() > PERCENTILES_MAX || !in_range || !percentiles.is_sorted() {
        return Err(errors::invalid("invalid reward percentile"));
    }
    Ok(())
}
