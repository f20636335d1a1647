//! What a hostile host can do to the encrypted store, and that it is always noticed.

use super::{encrypted::padded_len, *};
use crate::trie::{self, EMPTY_ROOT, NodeCache, NodeStore, TrieError};
use alloy_primitives::{Bytes, keccak256};
use proptest::{collection::vec, prelude::*};

const KEY: [u8; STATE_KEY_BYTES] = [7; STATE_KEY_BYTES];
const ROLLUPS: Domain = Domain("rollup");
const VIEWS: Domain = Domain("view");

fn node(byte: u8) -> (B256, Bytes) {
    let content = Bytes::from(vec![byte; 100]);
    (keccak256(&content), content)
}

/// What the host holds, key by key.
fn contents(host: &MemoryStore) -> Vec<(B256, Vec<u8>)> {
    host.keys().into_iter().map(|key| (key, Store::get(host, key).unwrap().unwrap())).collect()
}

fn tampered<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    assert!(matches!(result, Err(StoreError::Tampered { .. })), "{result:?}");
}

#[test]
fn nodes_and_records_come_back() {
    let host = MemoryStore::new();
    let store = EncryptedStore::new(&host, &KEY);
    let (hash, content) = node(1);
    assert_eq!(store.get(hash), Ok(None));
    store.put_nodes(&[(hash, content.clone())]).unwrap();
    assert_eq!(store.get(hash), Ok(Some(content)));
    let id = B256::repeat_byte(9);
    assert_eq!(store.get_record(ROLLUPS, id), Ok(None));
    store.put_record(ROLLUPS, id, b"rollup").unwrap();
    store.put_record(VIEWS, id, b"").unwrap();
    assert_eq!(store.get_record(ROLLUPS, id), Ok(Some(b"rollup".to_vec())));
    assert_eq!(store.get_record(VIEWS, id), Ok(Some(vec![])));
}

#[test]
fn enclaves_with_one_key_share_a_store_and_others_read_nothing() {
    let host = MemoryStore::new();
    let (hash, content) = node(1);
    let put = |key| EncryptedStore::new(&host, key).put_nodes(&[(hash, content.clone())]);
    put(&KEY).unwrap();
    let written = contents(&host);
    put(&KEY).unwrap();
    assert_eq!(contents(&host), written, "the same content is the same entry");
    assert_eq!(EncryptedStore::new(&host, &KEY).get(hash), Ok(Some(content.clone())));
    assert_eq!(EncryptedStore::new(&host, &[8; 32]).get(hash), Ok(None));
    let (key, value) = &written[0];
    assert_ne!(*key, hash);
    assert!(!value.windows(4).any(|window| window == [1; 4]), "plaintext leaks");
}

#[test]
fn every_flipped_bit_and_every_cut_is_detected() {
    let host = MemoryStore::new();
    let store = EncryptedStore::new(&host, &KEY);
    let (hash, content) = node(1);
    let id = B256::repeat_byte(9);
    store.put_nodes(&[(hash, content)]).unwrap();
    store.put_record(ROLLUPS, id, b"rollup").unwrap();
    let read = || (store.get(hash).map(drop), store.get_record(ROLLUPS, id).map(drop));
    for (key, value) in contents(&host) {
        let check = |damaged: Vec<u8>| {
            host.put(vec![(key, damaged)]).unwrap();
            let (node, record) = read();
            assert!(node.is_ok() != record.is_ok(), "one of them");
            tampered(node.and(record));
        };
        for at in 0..value.len() {
            let mut damaged = value.clone();
            damaged[at] ^= 0x80;
            check(damaged);
        }
        for length in 0..value.len() {
            check(value[..length].to_vec());
        }
        check([&value[..], &[0]].concat());
        host.put(vec![(key, value)]).unwrap();
    }
    assert_eq!(read(), (Ok(()), Ok(())));
}

#[test]
fn swapped_values_are_detected() {
    let host = MemoryStore::new();
    let store = EncryptedStore::new(&host, &KEY);
    let (first, second) = (node(1), node(2));
    let id = B256::repeat_byte(9);
    store.put_nodes(&[first.clone(), second.clone()]).unwrap();
    store.put_record(ROLLUPS, id, &[1; 100]).unwrap();
    store.put_record(VIEWS, id, &[2; 100]).unwrap();
    let good = contents(&host);
    for (key, _) in &good {
        for (other, value) in good.iter().filter(|(other, _)| other != key) {
            host.put(vec![(*key, value.clone())]).unwrap();
            let results = [
                store.get(first.0).map(drop),
                store.get(second.0).map(drop),
                store.get_record(ROLLUPS, id).map(drop),
                store.get_record(VIEWS, id).map(drop),
            ];
            let bad: Vec<_> = results.into_iter().filter(|result| result.is_err()).collect();
            assert_eq!(bad, [Err(StoreError::Tampered { key: *key })], "{other} under {key}");
        }
        host.put(good.clone()).unwrap();
    }
}

/// Content-addressed data has no older version: putting an old state's nodes back only restores what is under
/// the same hashes, and a root that was never written is missing, not stale.
#[test]
fn a_rolled_back_database_is_missing_nodes_never_an_older_state() {
    let host = MemoryStore::new();
    let store = EncryptedStore::new(&host, &KEY);
    let key = keccak256("account");
    let commit = |root, value: u8| {
        let (cache, mut nodes) = (NodeCache::new(1), Vec::new());
        let change = [(key, Some(Bytes::from(vec![value; 40])))];
        let root = trie::update(&store, &cache, root, change, &mut nodes).unwrap();
        store.put_nodes(&nodes).unwrap();
        root
    };
    let old = commit(EMPTY_ROOT, 1);
    let backup = contents(&host);
    let new = commit(old, 2);
    for key in host.keys() {
        host.remove(key);
    }
    host.put(backup).unwrap();
    let get = |root| trie::get(&store, &NodeCache::new(1), root, key);
    assert_eq!(get(new), Err(TrieError::Missing(new)));
    assert_eq!(get(old), Ok(Some(Bytes::from(vec![1; 40]))));
}

#[test]
fn a_node_that_does_not_hash_to_its_name_is_tampered_even_if_it_opens() {
    let host = MemoryStore::new();
    let store = EncryptedStore::new(&host, &KEY);
    let (hash, _) = node(1);
    // Only a broken writer with the key can do this.
    store.put_nodes(&[(hash, Bytes::from_static(b"other"))]).unwrap();
    tampered(store.get(hash));
}

#[test]
fn records_are_bounded() {
    let host = MemoryStore::new();
    let store = EncryptedStore::new(&host, &KEY);
    let long = vec![0; MAX_RECORD_BYTES + 1];
    let error = StoreError::TooLarge { bytes: MAX_RECORD_BYTES + 1, max: MAX_RECORD_BYTES };
    assert_eq!(store.put_record(ROLLUPS, B256::ZERO, &long), Err(error));
    assert!(host.is_empty());
    // A tenth of the limit: unoptimised ciphers are slow.
    let record = &long[..MAX_RECORD_BYTES / 10];
    store.put_record(ROLLUPS, B256::ZERO, record).unwrap();
    assert_eq!(store.get_record(ROLLUPS, B256::ZERO).unwrap().unwrap(), record);
    let key = host.keys()[0];
    host.put(vec![(key, vec![0; 2 * MAX_RECORD_BYTES])]).unwrap();
    tampered(store.get_record(ROLLUPS, B256::ZERO));
}

#[test]
fn sizes_fall_into_few_classes() {
    assert_eq!([1, 128, 129, 320, 321, 544].map(padded_len), [128, 128, 320, 320, 544, 544]);
    assert_eq!([545, 1024, 1025, 1152].map(padded_len), [1024, 1024, 1152, 1152]);
    let classes: std::collections::BTreeSet<_> = (1..1 << 20).map(padded_len).collect();
    assert!(classes.len() < 90, "{}", classes.len());
}

struct Failing;

impl Store for Failing {
    fn get(&self, _: B256) -> Result<Option<Vec<u8>>, StoreError> {
        Err(StoreError::Unavailable("down".into()))
    }

    fn put(&self, _: Vec<(B256, Vec<u8>)>) -> Result<(), StoreError> {
        Err(StoreError::Unavailable("down".into()))
    }
}

#[test]
fn an_unavailable_store_is_told_apart_from_a_lying_one() {
    let store = EncryptedStore::new(&Failing, &KEY);
    assert_eq!(store.get(B256::ZERO), Err(StoreError::Unavailable("down".into())));
    assert!(store.put_nodes(&[node(1)]).is_err());
}

proptest! {
    #[test]
    fn padding_never_shrinks_and_wastes_little(len in 0usize..MAX_RECORD_BYTES + 64) {
        let padded = padded_len(len);
        prop_assert!(padded >= len);
        prop_assert!(len < 1024 || padded <= len + len / 8);
    }

    #[test]
    fn any_host_answer_is_an_answer_or_an_error(value in vec(any::<u8>(), 0..700)) {
        let host = MemoryStore::new();
        let store = EncryptedStore::new(&host, &KEY);
        store.put_record(ROLLUPS, B256::ZERO, b"x").unwrap();
        let key = host.keys()[0];
        host.put(vec![(key, value)]).unwrap();
        tampered(store.get_record(ROLLUPS, B256::ZERO));
    }
}
