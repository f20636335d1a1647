//! Everything that leaves an enclave is searched for what must not leave it in clear: marks in users' data,
//! the network's seed, enclaves' keys. Not here: what follows from a find (`checkers`).

use aho_corasick::AhoCorasick;
use alloy_primitives::B256;
use obscuro_enclave::store::{Store, StoreError};
use std::sync::Mutex;

/// Begins the data of every simulated transaction.
pub const MARK: &[u8; 12] = b"canary:secre";

/// What is looked for, and what was found.
pub struct Leaks {
    /// With their names.
    secrets: Vec<(String, Vec<u8>)>,
    /// Of all secrets at once.
    finder: AhoCorasick,
    found: Mutex<Vec<String>>,
}

impl Default for Leaks {
    fn default() -> Self {
        let secrets = vec![("a user's data".to_owned(), MARK.to_vec())];
        Self { finder: finder(&secrets), secrets, found: Mutex::default() }
    }
}

impl Leaks {
    /// One more secret. A node that lost its disk has new ones under the old names.
    pub fn watch(&mut self, name: String, secret: &[u8]) {
        if !self.secrets.iter().any(|(_, known)| known == secret) {
            self.secrets.push((name, secret.to_vec()));
            self.finder = finder(&self.secrets);
        }
    }

    /// Bytes have left an enclave. One find is enough: of secrets that overlap, one is told.
    pub fn search(&self, node: usize, way: &str, bytes: &[u8]) {
        for found in self.finder.find_iter(bytes) {
            let (name, _) = &self.secrets[found.pattern()];
            if let Ok(mut all) = self.found.lock() {
                all.push(format!("{name} in {way} of the enclave of node {node}"));
            }
        }
    }

    /// What was found since the last call.
    pub fn take(&self) -> Vec<String> {
        self.found.lock().map(|mut found| std::mem::take(&mut *found)).unwrap_or_default()
    }
}

fn finder(secrets: &[(String, Vec<u8>)]) -> AhoCorasick {
    let secrets = secrets.iter().map(|(_, secret)| secret);
    AhoCorasick::new(secrets).expect("a few secrets of a few bytes")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_secret_is_found_wherever_it_stands_whatever_it_is_called() {
        let mut leaks = Leaks::default();
        let secrets = [[1; 32], [2; 32]];
        secrets.iter().for_each(|secret| leaks.watch("a key".to_owned(), secret));
        for secret in secrets.iter().map(|secret| &secret[..]).chain([&MARK[..]]) {
            for (before, behind) in [(0, 0), (0, 9), (9, 0), (700, 700)] {
                let bytes = [&vec![0; before], secret, &vec![0; behind]].concat();
                leaks.search(0, "a reply", &bytes);
                assert_eq!(leaks.take().len(), 1, "{before} {secret:?} {behind}");
                leaks.search(0, "a reply", &bytes[..before + secret.len() - 1]);
                assert!(leaks.take().is_empty());
            }
        }
    }
}
