//! The state of all branches: trie nodes by content, and reading an account at any root.
//!
//! Shared by the chain and by calls that run outside its lock. Execution is in `build` and in the
//! executor of the enclave crate.

use alloy_primitives::{Address, B256, Bytes};
use obscuro_enclave::{
    state::{Account, State, StateError},
    store::MemoryStore,
    trie::{NodeCache, NodeStore},
};

use super::sweep;

/// Decoded nodes kept at hand: enough for the paths of an active devnet.
const CACHED_NODES: usize = 1 << 15;

/// Trie nodes and codes of the states that are kept.
#[derive(Debug)]
pub struct World {
    store: MemoryStore,
    cache: NodeCache,
}

impl Default for World {
    fn default() -> Self {
        Self { store: MemoryStore::new(), cache: NodeCache::new(CACHED_NODES) }
    }
}

impl World {
    /// The state with this root.
    pub fn state(&self, root: B256) -> State<'_, MemoryStore> {
        State::new(&self.store, &self.cache, root)
    }

    /// A state with this root whose newest nodes are only in `store`, which falls back on
    /// [`World::nodes`].
    pub fn state_over<'a, S: NodeStore>(&'a self, store: &'a S, root: B256) -> State<'a, S> {
        State::new(store, &self.cache, root)
    }

    /// All nodes and codes.
    pub fn nodes(&self) -> &MemoryStore {
        &self.store
    }

    /// Keeps what a new state consists of.
    pub fn insert(&self, nodes: Vec<(B256, Bytes)>) {
        self.store.insert_nodes(nodes);
    }

    /// Forgets everything that none of these states consists of; how much that was.
    pub fn retain(&self, roots: impl IntoIterator<Item = B256>) -> usize {
        let kept = sweep::reachable(&self.store, roots);
        let mut dropped = 0;
        for key in self.store.keys().into_iter().filter(|key| !kept.contains(key)) {
            dropped += usize::from(self.store.remove(key).is_some());
        }
        dropped
    }

    /// Number of nodes and codes.
    pub fn len(&self) -> usize {
        self.store.len()
    }

    /// Whether there is no state.
    pub fn is_empty(&self) -> bool {
        self.store.is_empty()
    }

    /// An account; the empty one where there is none.
    ///
    /// # Errors
    /// When the state is not known.
    pub fn account(&self, root: B256, address: Address) -> Result<Account, StateError> {
        Ok(self.state(root).account(address)?.unwrap_or_default())
    }

    /// The code of an account.
    ///
    /// # Errors
    /// When the state is not known.
    pub fn code(&self, root: B256, address: Address) -> Result<Bytes, StateError> {
        self.state(root).code(self.account(root, address)?.code_hash)
    }
}
