//! Blobs by versioned hash, as a beacon node keeps them for a while.
//!
//! Content-addressed, so that a blob transaction that returns to the pool after a reorganisation
//! finds its blobs again. Which blobs belong to a block is not known here.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use alloy_eips::eip4844::{BYTES_PER_BLOB, Blob};
use alloy_primitives::B256;

/// A blob without its trailing zeros: most of an idle network's blobs is padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBlob(Box<[u8]>);

impl StoredBlob {
    /// Takes a whole blob.
    pub fn new(blob: &Blob) -> Self {
        let end = blob.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        Self(blob[..end].into())
    }

    /// Takes the significant bytes of a blob; `None` when there are more than a blob holds.
    pub fn from_significant(bytes: &[u8]) -> Option<Self> {
        (bytes.len() <= BYTES_PER_BLOB).then(|| Self(bytes.into()))
    }

    /// The bytes up to the last one that is not zero.
    pub fn significant(&self) -> &[u8] {
        &self.0
    }

    /// All [`BYTES_PER_BLOB`] bytes.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = self.0.to_vec();
        out.resize(BYTES_PER_BLOB, 0);
        out
    }
}

/// Blobs up to a number of bytes; the least recently submitted are dropped first.
#[derive(Clone, Debug)]
pub struct BlobArchive {
    blobs: HashMap<B256, (u64, Arc<StoredBlob>)>,
    order: BTreeMap<u64, B256>,
    submissions: u64,
    bytes: usize,
    bytes_max: usize,
}

/// What an entry costs besides its bytes.
const ENTRY_BYTES: usize = 128;

impl BlobArchive {
    /// An empty archive.
    pub fn new(bytes_max: usize) -> Self {
        Self { blobs: HashMap::new(), order: BTreeMap::new(), submissions: 0, bytes: 0, bytes_max }
    }

    /// Keeps a blob, or renews one that is already kept.
    pub fn insert(&mut self, versioned_hash: B256, blob: Arc<StoredBlob>) {
        self.submissions += 1;
        if let Some((order, _)) = self.blobs.get_mut(&versioned_hash) {
            self.order.remove(order);
            *order = self.submissions;
        } else {
            self.bytes += blob.0.len() + ENTRY_BYTES;
            self.blobs.insert(versioned_hash, (self.submissions, blob));
        }
        self.order.insert(self.submissions, versioned_hash);
        self.shrink();
    }

    /// A blob, when it is still kept.
    pub fn get(&self, versioned_hash: &B256) -> Option<&Arc<StoredBlob>> {
        self.blobs.get(versioned_hash).map(|(_, blob)| blob)
    }

    /// Forgets a blob.
    pub fn remove(&mut self, versioned_hash: &B256) {
        if let Some((order, blob)) = self.blobs.remove(versioned_hash) {
            self.order.remove(&order);
            self.bytes -= blob.0.len() + ENTRY_BYTES;
        }
    }

    /// Bytes used, with the cost of entries.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn shrink(&mut self) {
        while self.bytes > self.bytes_max {
            let Some((_, hash)) = self.order.pop_first() else { return };
            if let Some((_, blob)) = self.blobs.remove(&hash) {
                self.bytes -= blob.0.len() + ENTRY_BYTES;
            }
        }
    }
}
