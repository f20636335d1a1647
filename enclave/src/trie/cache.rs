//! The bounded cache of decoded nodes and of codes, shared by all roots.
//!
//! Entries are content-addressed and were hashed by the enclave, so they are believed without another check.

use super::node::Node;
use alloy_primitives::{B256, Bytes, map::FbBuildHasher};
use lru::LruCache;
use parking_lot::Mutex;
use std::{num::NonZeroUsize, sync::Arc};

/// Nodes kept by [`NodeCache::default`]: about 200 MiB when all of them are full branches.
pub const DEFAULT_CACHED_NODES: usize = 1 << 18;

/// Codes kept: at most 24 MiB, since EIP-170 limits a code to 24 KiB.
pub const MAX_CACHED_CODES: usize = 1 << 10;

/// Locks the nodes are spread over, so that concurrent readers seldom meet. A power of two.
const SHARDS: usize = 16;

type Lru<V> = Mutex<LruCache<B256, V, FbBuildHasher<32>>>;

/// Least-recently-used decoded nodes and codes.
#[derive(Debug)]
pub struct NodeCache {
    nodes: [Lru<Arc<Node>>; SHARDS],
    codes: Lru<Bytes>,
}

impl NodeCache {
    /// A cache of about `nodes` decoded nodes (at least one per lock).
    pub fn new(nodes: usize) -> Self {
        Self {
            nodes: std::array::from_fn(|_| lru(nodes / SHARDS)),
            codes: lru(MAX_CACHED_CODES),
        }
    }

    pub(super) fn node(&self, hash: B256) -> Option<Arc<Node>> {
        self.shard(hash).lock().get(&hash).cloned()
    }

    pub(super) fn put_node(&self, hash: B256, node: Arc<Node>) {
        self.shard(hash).lock().put(hash, node);
    }

    pub(super) fn code(&self, hash: B256) -> Option<Bytes> {
        self.codes.lock().get(&hash).cloned()
    }

    pub(crate) fn put_code(&self, hash: B256, code: Bytes) {
        self.codes.lock().put(hash, code);
    }

    fn shard(&self, hash: B256) -> &Lru<Arc<Node>> {
        // In range whatever the hash: masked to the array's length.
        &self.nodes[usize::from(hash.0[31]) & (SHARDS - 1)]
    }
}

impl Default for NodeCache {
    fn default() -> Self {
        Self::new(DEFAULT_CACHED_NODES)
    }
}

fn lru<V>(capacity: usize) -> Lru<V> {
    let capacity = NonZeroUsize::new(capacity).unwrap_or(NonZeroUsize::MIN);
    Mutex::new(LruCache::with_hasher(capacity, FbBuildHasher::default()))
}
