//! Forced transactions (protocol 6.6): which are due in a rollup, and what their envelopes hold.
//! Decided by L1 and the network's keys alone, so that every enclave finds the same. Not here: which
//! of them can be executed, and how many fit into a rollup (`ledger`).

use crate::{
    device::{self, Device},
    epochs::NetworkKeys,
    pool::Pooled,
    rollups::decode_transaction,
    view::{Forced, View},
};
use alloy_consensus::Transaction;
use alloy_primitives::{B256, Bytes, keccak256};
use lru::LruCache;
use obscuro_protocol::{
    checks::Checks,
    forced::ForcedEnvelope,
    limits::{FORCED_EXECUTED_BYTES_MAX, FORCED_OPENED_MAX, FORCED_TRANSACTION_BYTES_MAX},
};
use parking_lot::Mutex;
use std::{num::NonZeroUsize, sync::Arc};

/// As many as one rollup opens: the next candidate of the round, and the next round, find them all.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(FORCED_OPENED_MAX).unwrap();

/// The forced transactions that a rollup proven by an L1 block has to try, in order.
pub struct Due {
    /// Those that a transaction was found in, with their indices.
    pub transactions: Vec<(u64, Arc<Pooled>)>,
    /// The cursor behind them and the junk among them.
    pub end: u64,
}

impl Due {
    /// Bytes of those that a rollup executes, at most.
    pub fn bytes(&self) -> usize {
        let all: usize = self.transactions.iter().map(|(_, forced)| forced.raw.len()).sum();
        all.min(FORCED_EXECUTED_BYTES_MAX)
    }
}

/// What envelopes were found to hold: each is opened once, though it is due in every candidate of a round,
/// and in further rounds until a rollup has passed it.
pub struct Opened(Mutex<LruCache<B256, Found>>);

/// The network key to which an envelope was taken to be sealed, and what was in it.
type Found = (Bytes, Option<Arc<Pooled>>);

impl Opened {
    /// Nothing yet.
    pub fn new() -> Self {
        Self(Mutex::new(LruCache::new(REMEMBERED)))
    }

    /// Opens what is due at `proof`. Junk costs one decapsulation, of at most [`FORCED_OPENED_MAX`]; every
    /// core has its share of them.
    pub fn due(
        &self,
        proof: &View,
        keys: &NetworkKeys,
        config_hash: B256,
        device: &dyn Device,
    ) -> Due {
        let tried = proof.forced.get(..FORCED_OPENED_MAX).unwrap_or(&proof.forced);
        let checks = device.checks();
        let open = |forced: &Forced| {
            let named = named_key(&forced.envelope, &proof.network_keys)?;
            let open = || open(&forced.envelope, named, keys, config_hash, &checks);
            let found = self.find(&forced.envelope, named, open);
            Some((forced.index, found?))
        };
        let opened = device::map(device, Vec::new(), tried, open);
        Due {
            transactions: opened.into_iter().flatten().collect(),
            end: proof.forced.get(FORCED_OPENED_MAX).map_or(proof.forced_count, |next| next.index),
        }
    }

    /// What an envelope holds. Another branch of L1 may have another key for the same epoch.
    fn find(
        &self,
        envelope: &Bytes,
        named: &Bytes,
        open: impl FnOnce() -> Option<Arc<Pooled>>,
    ) -> Option<Arc<Pooled>> {
        let hash = keccak256(envelope);
        if let Some((key, found)) = self.0.lock().get(&hash)
            && key == named
        {
            return found.clone();
        }
        let found = open();
        self.0.lock().put(hash, (named.clone(), found.clone()));
        found
    }
}

impl Default for Opened {
    fn default() -> Self {
        Self::new()
    }
}

/// The network key of the epoch that an envelope names. Nobody opens what was sealed to the key of a lost
/// epoch.
fn named_key<'k>(envelope: &[u8], network_keys: &'k [Bytes]) -> Option<&'k Bytes> {
    let epoch = ForcedEnvelope::parse(envelope)?.epoch;
    let named = network_keys.get(usize::try_from(epoch.checked_sub(1)?).ok()?)?;
    (!named.is_empty()).then_some(named)
}

/// What an envelope holds, if it is a signed transaction. Like the pool, this takes none that could be
/// another chain's.
fn open(
    envelope: &[u8],
    named: &Bytes,
    keys: &NetworkKeys,
    config_hash: B256,
    checks: &Checks,
) -> Option<Arc<Pooled>> {
    let epoch = keys.newest_first().find(|epoch| epoch.network_public == *named)?;
    let raw = ForcedEnvelope::parse(envelope)?.open(&epoch.network, config_hash).ok()?;
    if raw.len() > FORCED_TRANSACTION_BYTES_MAX {
        return None;
    }
    let pooled = decode_transaction(raw.into(), keys.epoch(), checks).ok()?;
    pooled.transaction.chain_id().is_some().then(|| Arc::new(pooled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_is_opened_once_for_a_key() {
        let opened = Opened::new();
        let mut tried = Vec::new();
        let keys = [Bytes::from_static(b"key"), Bytes::from_static(b"another branch's")];
        for (number, key) in [(1, 0), (1, 0), (2, 0), (1, 1), (1, 1), (1, 0)] {
            let envelope = Bytes::from(vec![number]);
            opened.find(&envelope, &keys[key], || {
                tried.push((number, key));
                None
            });
        }
        assert_eq!(tried, [(1, 0), (2, 0), (1, 1), (1, 0)]);
    }
}
