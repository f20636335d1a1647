//! The forced transactions that are due (protocol 6.6): which they are, and what their envelopes hold.
//! Decided by L1 and the network's keys alone, so that every enclave finds the same. Not here: which
//! of them can be executed, and how many fit into a rollup (`ledger`).

use crate::{
    epochs::NetworkKeys,
    pool::Pooled,
    rollups::decode_transaction,
    view::{Forced, View},
};
use alloy_consensus::Transaction;
use alloy_primitives::{B256, Bytes};
use obscuro_protocol::{
    forced::ForcedEnvelope,
    limits::{FORCED_OPENED_MAX, FORCED_TRANSACTION_BYTES_MAX},
};

/// The forced transactions that a rollup proven by an L1 block has to try, in order.
pub struct Due {
    /// Those that a transaction was found in, with their indices.
    pub transactions: Vec<(u64, Pooled)>,
    /// The cursor behind them and the junk among them.
    pub end: u64,
}

/// Opens what is due at `proof`. Junk costs one decapsulation, of at most [`FORCED_OPENED_MAX`].
pub fn due(proof: &View, keys: &NetworkKeys, config_hash: B256) -> Due {
    let opened = |forced: &Forced| {
        let transaction = open(&forced.envelope, &proof.network_keys, keys, config_hash)?;
        Some((forced.index, transaction))
    };
    Due {
        transactions: proof.forced.iter().take(FORCED_OPENED_MAX).filter_map(opened).collect(),
        end: proof.forced.get(FORCED_OPENED_MAX).map_or(proof.forced_count, |next| next.index),
    }
}

/// What an envelope holds, if it is a signed transaction. Like the pool, this takes none that could be
/// another chain's. Nobody opens what was sealed to the key of a lost epoch.
fn open(
    envelope: &[u8],
    network_keys: &[Bytes],
    keys: &NetworkKeys,
    config_hash: B256,
) -> Option<Pooled> {
    let envelope = ForcedEnvelope::parse(envelope)?;
    let named = network_keys.get(usize::try_from(envelope.epoch.checked_sub(1)?).ok()?)?;
    let epoch = keys.newest_first().find(|epoch| epoch.network_public == *named)?;
    let raw = envelope.open(&epoch.network, config_hash).ok()?;
    if raw.len() > FORCED_TRANSACTION_BYTES_MAX {
        return None;
    }
    let pooled = decode_transaction(raw.into(), keys.epoch()).ok()?;
    pooled.transaction.chain_id().is_some().then_some(pooled)
}
