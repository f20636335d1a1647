//! Control over the chain, under the names that anvil made common.

use std::{collections::VecDeque, time::Duration};

use alloy_consensus::transaction::Recovered;
use alloy_primitives::{B256, Bytes, U256};
use serde::Deserialize;

use super::{
    Args, Registered, Table,
    errors::{self, Reply},
};
use crate::l1::{
    block::Tx,
    chain::REORG_DEPTH_MAX,
    incoming::Incoming,
    server::{Mining, Shared},
};

/// Blocks that one request may mine.
const MINE_MAX: u64 = 10_000;

/// Transactions that one reorganisation may bring.
const REORG_TXS_MAX: usize = 1_000;

pub(super) fn register(table: &mut Table) -> Registered {
    table.heavy("evm_mine", evm_mine)?;
    table.heavy("anvil_mine", anvil_mine)?;
    table.heavy("hardhat_mine", anvil_mine)?;
    table.heavy("anvil_reorg", reorg)?;
    table.heavy("anvil_rollback", rollback)?;
    table.quick("evm_setAutomine", set_automine)?;
    table.quick("anvil_getAutomine", |shared, _| Ok(shared.mining() == Mining::OnDemand))?;
    table.quick("evm_setIntervalMining", set_interval)?;
    table.quick("anvil_setIntervalMining", set_interval)?;
    table.quick("evm_increaseTime", |shared, args| {
        let seconds: U256 = args.next()?;
        Ok(shared.advance_clock(seconds.saturating_to::<u32>().into()))
    })?;
    table.quick("evm_setNextBlockTimestamp", set_next_timestamp)?;
    table.quick("anvil_dropTransaction", drop_transaction)
}

/// `evm_mine` takes nothing, a timestamp, or an object with timestamp and number of blocks.
#[derive(Deserialize)]
#[serde(untagged)]
enum MineOptions {
    Timestamp(U256),
    Options { timestamp: Option<U256>, blocks: Option<U256> },
}

fn evm_mine(shared: &Shared, args: &mut Args<'_>) -> Reply<&'static str> {
    let (timestamp, blocks) = match args.optional()? {
        None => (None, None),
        Some(MineOptions::Timestamp(timestamp)) => (Some(timestamp), None),
        Some(MineOptions::Options { timestamp, blocks }) => (timestamp, blocks),
    };
    if let Some(timestamp) = timestamp {
        shared.set_next_timestamp(timestamp.saturating_to());
    }
    mine(shared, blocks.unwrap_or(U256::ONE))?;
    Ok("0x0")
}

fn anvil_mine(shared: &Shared, args: &mut Args<'_>) -> Reply<()> {
    let blocks: Option<U256> = args.optional()?;
    let interval: Option<U256> = args.optional()?;
    let blocks = blocks.unwrap_or(U256::ONE);
    let Some(interval) = interval else { return mine(shared, blocks) };
    check_count(blocks)?;
    for _ in 0..blocks.saturating_to::<u64>() {
        let last = shared.with_chain(|chain| chain.head().header.timestamp);
        shared.set_next_timestamp(last.saturating_add(interval.saturating_to()));
        mine(shared, U256::ONE)?;
    }
    Ok(())
}

fn mine(shared: &Shared, blocks: U256) -> Reply<()> {
    check_count(blocks)?;
    for _ in 0..blocks.saturating_to::<u64>() {
        shared.mine().map_err(errors::chain)?;
    }
    Ok(())
}

fn check_count(blocks: U256) -> Reply<()> {
    if blocks > U256::from(MINE_MAX) {
        return Err(errors::limit(format!("cannot mine more than {MINE_MAX} blocks at once")));
    }
    Ok(())
}

/// Depth, and pairs of a raw transaction and the index of the replacement block it goes into.
fn reorg(shared: &Shared, args: &mut Args<'_>) -> Reply<()> {
    let depth: U256 = args.next()?;
    let pairs: Vec<(Bytes, u64)> = args.optional()?.unwrap_or_default();
    let depth = depth.saturating_to::<u64>();
    if pairs.len() > REORG_TXS_MAX || depth > REORG_DEPTH_MAX {
        return Err(errors::limit("too many blocks or transactions"));
    }
    let contents = contents(depth, pairs)?;
    shared.with_chain(|chain| chain.reorg(depth, contents)).map_err(errors::chain)?;
    Ok(())
}

fn contents(depth: u64, pairs: Vec<(Bytes, u64)>) -> Reply<VecDeque<Vec<Recovered<Tx>>>> {
    let mut contents: VecDeque<Vec<_>> = (0..depth).map(|_| Vec::new()).collect();
    for (raw, index) in pairs {
        let incoming = Incoming::decode(&raw).map_err(errors::refusal)?;
        if !incoming.blobs.is_empty() {
            return Err(errors::invalid("blob transactions cannot be reorganised in; send them"));
        }
        let block = usize::try_from(index).ok().and_then(|index| contents.get_mut(index));
        block.ok_or_else(|| errors::invalid("no such replacement block"))?.push(incoming.tx);
    }
    Ok(contents)
}

fn rollback(shared: &Shared, args: &mut Args<'_>) -> Reply<()> {
    let depth: U256 = args.optional()?.unwrap_or(U256::ONE);
    shared.with_chain(|chain| {
        let target = chain.head().number().checked_sub(depth.saturating_to());
        let target = target.and_then(|number| chain.tree().at(number)).map(|block| block.hash);
        let target = target.ok_or_else(|| errors::invalid("chain is not that long"))?;
        chain.set_head(target).map_err(errors::chain)
    })
}

fn set_automine(shared: &Shared, args: &mut Args<'_>) -> Reply<bool> {
    let on: bool = args.next()?;
    match (on, shared.mining()) {
        (true, _) => shared.set_mining(Mining::OnDemand),
        (false, Mining::OnDemand) => shared.set_mining(Mining::Manual),
        (false, _) => {}
    }
    Ok(true)
}

/// Seconds between blocks; zero stops mining by the clock.
fn set_interval(shared: &Shared, args: &mut Args<'_>) -> Reply<bool> {
    let seconds: U256 = args.next()?;
    shared.set_mining(match seconds.saturating_to::<u32>() {
        0 => Mining::Manual,
        seconds => Mining::Interval(Duration::from_secs(seconds.into())),
    });
    Ok(true)
}

fn set_next_timestamp(shared: &Shared, args: &mut Args<'_>) -> Reply<()> {
    let timestamp: U256 = args.next()?;
    let last = shared.with_chain(|chain| chain.head().header.timestamp);
    if timestamp <= U256::from(last) || timestamp > U256::from(u32::MAX) {
        return Err(errors::invalid(format!("timestamp must be later than {last}")));
    }
    shared.set_next_timestamp(timestamp.saturating_to());
    Ok(())
}

fn drop_transaction(shared: &Shared, args: &mut Args<'_>) -> Reply<Option<B256>> {
    let hash: B256 = args.next()?;
    Ok(shared.with_chain(|chain| chain.drop_transaction(&hash)).then_some(hash))
}
