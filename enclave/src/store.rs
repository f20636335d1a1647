//! The host's key-value store as the enclave sees it: untrusted, encrypted, and checked on every read
//! (protocol 6.3).
//!
//! Here: the [`Store`] interface of the host, [`EncryptedStore`] over it, and [`MemoryStore`] for tests and
//! the embedded L1. Not here: what the bytes mean (see `trie` and `state`), and caching (`trie::NodeCache`).

mod cipher;
mod encrypted;
mod memory;
#[cfg(test)]
mod tests;

pub use encrypted::{Domain, EncryptedStore, MAX_RECORD_BYTES, STATE_KEY_BYTES, Sealed};
pub use memory::MemoryStore;

use alloy_primitives::B256;

/// The host's key-value store: untrusted; every answer is checked.
pub trait Store: Send + Sync {
    /// The value stored under `key`; `None` when the host says there is none.
    fn get(&self, key: B256) -> Result<Option<Vec<u8>>, StoreError>;

    /// Stores all pairs. The host may lose them: absence is noticed when they are next read.
    fn put(&self, batch: Vec<(B256, Vec<u8>)>) -> Result<(), StoreError>;
}

/// Why a store operation failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The host could not answer. Retry.
    #[error("the host's store is unavailable: {0}")]
    Unavailable(String),
    /// The host answered with something that was never stored under this key. Fatal, never "absent".
    #[error("the host's store returned a tampered value for key {key}")]
    Tampered {
        /// The key as the host knows it.
        key: B256,
    },
    /// More bytes than a record may have. Drop what caused it.
    #[error("a record of {bytes} bytes exceeds the limit of {max}")]
    TooLarge {
        /// Size of the refused record.
        bytes: usize,
        /// The limit it exceeds.
        max: usize,
    },
}
