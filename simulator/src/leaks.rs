//! Everything that leaves an enclave is searched for what must not leave it in clear: marks in users' data,
//! the network's seed, enclaves' keys. Not here: what follows from a find (`checkers`).

use alloy_primitives::B256;
use memchr::memmem::Finder;
use obscuro_enclave::store::{Store, StoreError};
use std::sync::Mutex;

/// Begins the data of every simulated transaction.
pub const MARK: &[u8; 12] = b"canary:secre";

/// What is looked for, and what was found.
pub struct Leaks {
    secrets: Vec<(String, Finder<'static>)>,
    found: Mutex<Vec<String>>,
}

impl Default for Leaks {
    fn default() -> Self {
        let mark = ("a user's data".to_owned(), Finder::new(MARK));
        Self { secrets: vec![mark], found: Mutex::default() }
    }
}

impl Leaks {
    /// One more secret.
    pub fn watch(&mut self, name: String, secret: &[u8]) {
        if !self.secrets.iter().any(|(known, _)| *known == name) {
            self.secrets.push((name, Finder::new(secret).into_owned()));
        }
    }

    /// Bytes have left an enclave.
    pub fn search(&self, node: usize, way: &str, bytes: &[u8]) {
        for (name, finder) in &self.secrets {
            if finder.find(bytes).is_some()
                && let Ok(mut found) = self.found.lock()
            {
                found.push(format!("{name} in {way} of the enclave of node {node}"));
            }
        }
    }

    /// What was found since the last call.
    pub fn take(&self) -> Vec<String> {
        self.found.lock().map(|mut found| std::mem::take(&mut *found)).unwrap_or_default()
    }
}

/// A host's store with somebody looking at what the enclave writes.
pub struct Tapped<'a> {
    /// The store.
    pub store: &'a dyn Store,
    /// Who looks.
    pub leaks: &'a Leaks,
    /// Whose it is.
    pub node: usize,
}

impl Store for Tapped<'_> {
    fn get(&self, key: B256) -> Result<Option<Vec<u8>>, StoreError> {
        self.leaks.search(self.node, "a key asked of the store", key.as_slice());
        self.store.get(key)
    }

    fn put(&self, batch: Vec<(B256, Vec<u8>)>) -> Result<(), StoreError> {
        for (key, value) in &batch {
            self.leaks.search(self.node, "a key in the store", key.as_slice());
            self.leaks.search(self.node, "a record in the store", value);
        }
        self.store.put(batch)
    }
}
