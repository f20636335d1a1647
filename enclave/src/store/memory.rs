//! A plain in-memory store for tests and the embedded L1. Nothing is encrypted here.

use super::{Store, StoreError};
use crate::trie::NodeStore;
use alloy_primitives::{B256, Bytes, map::B256Map};
use parking_lot::RwLock;

/// A plain map: a [`Store`] to test [`super::EncryptedStore`] on, and by itself a [`NodeStore`] by hash.
#[derive(Debug, Default)]
pub struct MemoryStore {
    values: RwLock<B256Map<Bytes>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds trie nodes or contract codes, keyed by their keccak256.
    pub fn insert_nodes(&self, nodes: impl IntoIterator<Item = (B256, Bytes)>) {
        self.values.write().extend(nodes);
    }

    /// How many values are stored.
    pub fn len(&self) -> usize {
        self.values.read().len()
    }

    /// Whether nothing is stored.
    pub fn is_empty(&self) -> bool {
        self.values.read().is_empty()
    }

    /// Forgets one value: what a lossy host does.
    pub fn remove(&self, key: B256) -> Option<Bytes> {
        self.values.write().remove(&key)
    }

    /// Every key, in no particular order.
    pub fn keys(&self) -> Vec<B256> {
        self.values.read().keys().copied().collect()
    }
}

impl NodeStore for MemoryStore {
    fn get(&self, hash: B256) -> Result<Option<Bytes>, StoreError> {
        Ok(self.values.read().get(&hash).cloned())
    }
}

impl Store for MemoryStore {
    fn get(&self, key: B256) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.values.read().get(&key).map(|value| value.to_vec()))
    }

    fn put(&self, batch: Vec<(B256, Vec<u8>)>) -> Result<(), StoreError> {
        let mut values = self.values.write();
        values.extend(batch.into_iter().map(|(key, value)| (key, value.into())));
        Ok(())
    }
}
