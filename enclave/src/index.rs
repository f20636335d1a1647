//! Where transactions lie, and recent rollup bodies. An index entry is a hint that is checked
//! against the canonical chain when used: a host that loses it can hide a transaction, as it can by
//! not answering at all, but not misplace one. Not here: the bodies themselves (`ledger`).

use crate::{
    device::{self, Device},
    ledger::{Body, LedgerError},
    pool::{Pool, Pooled},
    store::{Domain, EncryptedStore},
};
use alloy_primitives::{B256, map::B256HashMap};
use lru::LruCache;
use obscuro_protocol::wire;
use parking_lot::Mutex;
use std::{collections::VecDeque, num::NonZeroUsize, sync::Arc};

const TRANSACTION: Domain = Domain("transaction index");
const ENTRY_BYTES_MAX: usize = 64;
const BODIES_CACHED: NonZeroUsize = NonZeroUsize::new(64).unwrap();
const ENTRIES_CACHED: NonZeroUsize = NonZeroUsize::new(1 << 18).unwrap();
/// L1 blocks after which an included transaction is settled for the host's book-keeping.
const SETTLED_BLOCKS: u64 = 64;

/// The index.
pub struct Index {
    entries: Mutex<LruCache<B256, (B256, u32)>>,
    bodies: Mutex<LruCache<B256, Arc<Body>>>,
    accepted: Mutex<Accepted>,
}

/// Transactions that the host must keep until they are settled, by what it calls them.
#[derive(Default)]
struct Accepted {
    /// Transaction hash to the hash of what the host keeps.
    waiting: B256HashMap<B256>,
    /// Included or dropped, in that order.
    left: VecDeque<Left>,
}

/// A transaction that left the pool.
struct Left {
    l1_number: u64,
    transaction: B256,
    kept: B256,
}

impl Accepted {
    fn leave(&mut self, transaction: B256, l1_number: u64) {
        if let Some(kept) = self.waiting.remove(&transaction) {
            self.left.push_back(Left { l1_number, transaction, kept });
        }
    }
}

impl Index {
    /// An empty index.
    pub fn new() -> Self {
        Self {
            entries: Mutex::new(LruCache::new(ENTRIES_CACHED)),
            bodies: Mutex::new(LruCache::new(BODIES_CACHED)),
            accepted: Mutex::default(),
        }
    }

    /// Adds a rollup that became canonical.
    pub fn add(&self, rollup: B256, body: Arc<Body>) {
        let mut entries = self.entries.lock();
        let mut accepted = self.accepted.lock();
        for (position, transaction) in body.transactions.iter().enumerate() {
            entries.put(transaction.hash, (rollup, position as u32));
            accepted.leave(transaction.hash, body.header.l1ProofNumber);
        }
        self.keep(rollup, body);
    }

    /// Remembers what the host keeps for a transaction.
    pub fn accept(&self, transaction: B256, kept: B256) {
        self.accepted.lock().waiting.insert(transaction, kept);
    }

    /// Counts transactions that left the pool, included or not, as settled from this L1 block on.
    pub fn settle(&self, dropped: Vec<Arc<Pooled>>, l1_number: u64) {
        let mut accepted = self.accepted.lock();
        for pooled in dropped {
            accepted.leave(pooled.hash, l1_number);
        }
    }

    /// What the host need not keep: its transactions lie deep enough under this L1 block, and have not
    /// come back into the pool with a branch that L1 gave up.
    pub fn take_settled(&self, l1_number: u64, pool: &Pool) -> Vec<B256> {
        let mut accepted = self.accepted.lock();
        let mut settled = Vec::new();
        while let Some(left) =
            accepted.left.pop_front_if(|left| left.l1_number + SETTLED_BLOCKS <= l1_number)
        {
            match pool.get(left.transaction) {
                Some(_) => _ = accepted.waiting.insert(left.transaction, left.kept),
                None => settled.push(left.kept),
            }
        }
        settled
    }

    /// Where a transaction was last seen: rollup and position.
    pub fn find(
        &self,
        transaction: B256,
        store: &EncryptedStore<'_>,
    ) -> Result<Option<(B256, u32)>, LedgerError> {
        if let Some(entry) = self.entries.lock().get(&transaction) {
            return Ok(Some(*entry));
        }
        let Some(record) = store.get_record(TRANSACTION, transaction)? else {
            return Ok(None);
        };
        Ok(wire::decode(&record, ENTRY_BYTES_MAX).ok())
    }

    /// Stores the entries of a rollup that becomes canonical.
    pub fn persist(
        rollup: B256,
        body: &Body,
        store: &EncryptedStore<'_>,
        device: &dyn Device,
    ) -> Result<(), LedgerError> {
        let hashes: Vec<(u32, B256)> =
            (0..).zip(body.transactions.iter().map(|t| t.hash)).collect();
        let seal = |(position, hash): &(u32, B256)| {
            store.seal_record(TRANSACTION, *hash, &wire::encode(&(rollup, position)))
        };
        let sealed = device::map(device, Vec::new(), &hashes, seal).into_iter();
        Ok(store.put(sealed.collect::<Result<_, _>>()?)?)
    }

    /// Remembers a body.
    pub fn keep(&self, rollup: B256, body: Arc<Body>) {
        self.bodies.lock().put(rollup, body);
    }

    /// A body, from memory or through `load`.
    pub fn body(
        &self,
        rollup: B256,
        load: impl FnOnce() -> Result<Option<Arc<Body>>, LedgerError>,
    ) -> Result<Option<Arc<Body>>, LedgerError> {
        if let Some(body) = self.bodies.lock().get(&rollup) {
            return Ok(Some(body.clone()));
        }
        let body = load()?;
        if let Some(body) = &body {
            self.bodies.lock().put(rollup, body.clone());
        }
        Ok(body)
    }
}

impl Default for Index {
    fn default() -> Self {
        Self::new()
    }
}
