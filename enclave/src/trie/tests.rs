//! The trie against `alloy-trie`: roots, proofs, versions, hostile stores, hostile bytes.
//! The official vectors are in `enclave/tests/trie_vectors.rs`.

use super::{
    node::{Link, Node},
    *,
};
use crate::store::MemoryStore;
use alloy_trie::{HashBuilder, proof::verify_proof};
use proptest::{collection::vec, prelude::*};
use std::collections::BTreeMap;
use std::sync::Arc;

type Model = BTreeMap<B256, Bytes>;

/// A trie with its store, and a small cache so that nodes are also read back from the store.
struct Fixture {
    store: MemoryStore,
    cache: NodeCache,
}

impl Fixture {
    fn new(cached_nodes: usize) -> Self {
        Self { store: MemoryStore::new(), cache: NodeCache::new(cached_nodes) }
    }

    fn update(&self, root: B256, changes: Vec<(B256, Option<Bytes>)>) -> B256 {
        let mut nodes = Vec::new();
        let root = update(&self.store, &self.cache, root, changes, &mut nodes).unwrap();
        for (hash, rlp) in &nodes {
            assert_eq!(keccak256(rlp), *hash);
            assert_eq!(reencoded(rlp), *rlp);
        }
        self.store.insert_nodes(nodes);
        root
    }

    fn get(&self, root: B256, key: B256) -> Option<Bytes> {
        get(&self.store, &self.cache, root, key).unwrap()
    }

    /// A fixture that has to read everything from the same store.
    fn cold(self) -> Self {
        Self { cache: NodeCache::new(1), ..self }
    }
}

fn reencoded(rlp: &Bytes) -> Bytes {
    let mut out = Vec::new();
    Node::decode(rlp).unwrap().encode(&mut out);
    out.into()
}

fn reference_root(model: &Model) -> B256 {
    let mut builder = HashBuilder::default();
    for (key, value) in model {
        builder.add_leaf(Nibbles::unpack(key), value);
    }
    builder.root()
}

fn apply(model: &mut Model, changes: &[(B256, Option<Bytes>)]) {
    for (key, value) in changes {
        match value {
            Some(value) if !value.is_empty() => model.insert(*key, value.clone()),
            _ => model.remove(key),
        };
    }
}

/// Keys that collide in long prefixes, so that extensions appear, split and fold.
fn keys() -> impl Strategy<Value = B256> {
    let nibble = prop_oneof![Just(0u8), Just(1), Just(0x10), Just(0xf0)];
    (vec(nibble, 4), any::<bool>(), 0u8..3).prop_map(|(few, end, last)| {
        let mut key = [if end { 0x77 } else { 0 }; 32];
        key[..2].copy_from_slice(&few[..2]);
        key[14..16].copy_from_slice(&few[2..]);
        key[31] = last;
        key.into()
    })
}

/// Short values make nodes that are written into their parents; empty ones delete.
fn values() -> impl Strategy<Value = Option<Bytes>> {
    prop_oneof![
        2 => Just(None),
        1 => Just(Some(Bytes::new())),
        4 => vec(any::<u8>(), 1..4).prop_map(|value| Some(value.into())),
        3 => vec(any::<u8>(), 30..80).prop_map(|value| Some(value.into())),
    ]
}

fn versions() -> impl Strategy<Value = Vec<Vec<(B256, Option<Bytes>)>>> {
    vec(vec((keys(), values()), 0..24), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn roots_equal_a_rebuilt_trie_and_old_roots_stay_readable(
        versions in versions(),
        cached_nodes in prop::sample::select(vec![1, 6, 20, 4096]),
    ) {
        let trie = Fixture::new(cached_nodes);
        let mut root = EMPTY_ROOT;
        let mut model = Model::new();
        let mut history = vec![(root, model.clone())];
        for changes in versions {
            apply(&mut model, &changes);
            root = trie.update(root, changes);
            prop_assert_eq!(root, reference_root(&model));
            history.push((root, model.clone()));
        }
        let keys: Vec<B256> = history.iter().flat_map(|(_, model)| model.keys().copied()).collect();
        for (root, model) in history {
            for key in &keys {
                prop_assert_eq!(trie.get(root, *key), model.get(key).cloned());
            }
        }
    }

    #[test]
    fn proofs_verify_for_present_and_absent_keys(
        changes in vec((keys(), values()), 0..40),
        others in vec(keys(), 8),
    ) {
        let trie = Fixture::new(64);
        let mut model = Model::new();
        apply(&mut model, &changes);
        let root = trie.update(EMPTY_ROOT, changes.clone());
        for key in changes.into_iter().map(|(key, _)| key).chain(others) {
            let proof = prove(&trie.store, &trie.cache, root, key).unwrap();
            let value = model.get(&key).map(|value| value.to_vec());
            prop_assert_eq!(verify_proof(root, Nibbles::unpack(key), value, &proof), Ok(()));
        }
    }

    #[test]
    fn any_bytes_decode_to_a_node_or_to_nothing(bytes in vec(any::<u8>(), 0..600)) {
        let _ = Node::decode(&bytes.into());
    }

    #[test]
    fn damaged_nodes_never_panic(
        changes in vec((keys(), values()), 1..24),
        at in any::<prop::sample::Index>(),
        flip in 1u8..,
        cut in any::<prop::sample::Index>(),
    ) {
        let mut nodes = Vec::new();
        update(&MemoryStore::new(), &NodeCache::new(1), EMPTY_ROOT, changes, &mut nodes).unwrap();
        for (_, rlp) in nodes {
            let mut damaged = rlp.to_vec();
            let at = at.index(damaged.len());
            damaged[at] ^= flip;
            if let Some(node) = Node::decode(&damaged.clone().into()) {
                // Whatever decodes is canonical: it encodes to the same bytes.
                let mut out = Vec::new();
                node.encode(&mut out);
                prop_assert_eq!(&out, &damaged);
            }
            damaged.truncate(cut.index(damaged.len()));
            let _ = Node::decode(&damaged.into());
        }
    }

    #[test]
    fn ordered_roots_equal_updates_with_rlp_indices(
        items in vec(vec(any::<u8>(), 1..50), 0..700),
        parts in 1usize..5,
    ) {
        let changes = (0usize..)
            .zip(&items)
            .map(|(index, item)| (alloy_rlp::encode(index), Some(Bytes::from(item.clone()))))
            .collect();
        let (store, cache) = (MemoryStore::new(), NodeCache::new(16));
        let root = update_unhashed(&store, &cache, EMPTY_ROOT, changes, &mut Vec::new()).unwrap();
        prop_assert_eq!(ordered_root(items.iter()), root);
        prop_assert_eq!(in_parts(&items, items.len().div_ceil(parts).next_multiple_of(16)), root);
    }
}

#[test]
fn ordered_roots_equal_those_of_another_program_at_every_length() {
    let items: Vec<Vec<u8>> = (0..600u16).map(|index| vec![7; usize::from(index % 40)]).collect();
    for length in 0..=items.len() {
        let items = &items[..length];
        let root = reference::root::ordered_trie_root_encoded(items);
        assert_eq!(ordered_root(items.iter()), root, "{length}");
        assert_eq!(in_parts(items, 64), root, "{length}");
    }
}

fn in_parts(items: &[Vec<u8>], length: usize) -> B256 {
    let part = |(number, items)| {
        ordered::Part::new(number * length, items, |item: &Vec<u8>, out| out.extend(item))
    };
    ordered::root(items.chunks(length.max(1)).enumerate().map(part))
}

/// A trie of many hashed keys, read back cold.
fn sample() -> (Fixture, B256, Vec<B256>) {
    let keys: Vec<B256> = (0u32..500).map(|i| keccak256(i.to_be_bytes())).collect();
    let trie = Fixture::new(1 << 12);
    let changes = keys.iter().map(|key| (*key, Some(Bytes::from(key.to_vec())))).collect();
    let root = trie.update(EMPTY_ROOT, changes);
    (trie.cold(), root, keys)
}

#[test]
fn the_last_of_several_changes_to_one_key_wins() {
    let trie = Fixture::new(16);
    let (a, b) = (B256::with_last_byte(1), B256::with_last_byte(2));
    let value = |byte: u8| Some(Bytes::from(vec![byte; 40]));
    let root =
        trie.update(EMPTY_ROOT, vec![(b, value(3)), (a, value(1)), (b, None), (a, value(2))]);
    assert_eq!(root, trie.update(EMPTY_ROOT, vec![(a, value(2))]));
}

#[test]
fn an_update_that_changes_nothing_writes_nothing() {
    let (trie, root, keys) = sample();
    let same = keys.iter().map(|key| (*key, Some(Bytes::from(key.to_vec()))));
    let absent = (0u32..50).map(|i| (keccak256(i.to_le_bytes().repeat(3)), None));
    let mut nodes = Vec::new();
    let after = update(&trie.store, &trie.cache, root, same.chain(absent), &mut nodes).unwrap();
    assert_eq!((after, nodes), (root, vec![]));
}

#[test]
fn deleting_everything_leaves_the_empty_root() {
    let (trie, root, keys) = sample();
    assert_eq!(trie.update(root, keys.iter().map(|key| (*key, None)).collect()), EMPTY_ROOT);
}

#[test]
fn a_missing_node_is_an_error_and_never_an_absent_key() {
    let (trie, root, keys) = sample();
    for hash in trie.store.keys() {
        let node = trie.store.remove(hash).unwrap();
        let failed = keys.iter().filter(|key| match get(&trie.store, &trie.cache, root, **key) {
            Ok(value) => {
                assert_eq!(value, Some(Bytes::from(key.to_vec())));
                false
            }
            Err(error) => {
                assert_eq!(error, TrieError::Missing(hash));
                true
            }
        });
        // The one-entry-per-lock cache may still hold the node.
        assert!(failed.count() > 0 || trie.cache.node(hash, Hint::UNKNOWN).is_some());
        trie.store.insert_nodes([(hash, node)]);
    }
}

#[test]
fn a_deletion_that_needs_a_missing_sibling_fails() {
    let trie = Fixture::new(16);
    let sibling = B256::repeat_byte(0x20);
    let value = Some(Bytes::from(vec![7; 40]));
    let root =
        trie.update(EMPTY_ROOT, vec![(B256::repeat_byte(0x10), value.clone()), (sibling, value)]);
    let trie = trie.cold();
    for hash in trie.store.keys().into_iter().filter(|hash| *hash != root) {
        trie.store.remove(hash);
    }
    let delete = vec![(B256::repeat_byte(0x10), None)];
    let result = update(&trie.store, &trie.cache, root, delete, &mut Vec::new());
    assert!(matches!(result, Err(TrieError::Missing(_))), "{result:?}");
}

#[test]
fn altered_and_swapped_nodes_are_detected() {
    let (trie, root, keys) = sample();
    let hashes = trie.store.keys();
    let other = trie.store.remove(hashes[1]).unwrap();
    let mut altered = trie.store.remove(hashes[0]).unwrap().to_vec();
    altered[3] ^= 1;
    trie.store.insert_nodes([(hashes[0], altered.into()), (hashes[1], other.clone())]);
    assert_eq!(fetch(&trie.store, hashes[0]), Err(TrieError::Corrupt(hashes[0])));
    trie.store.insert_nodes([(hashes[0], other)]);
    assert_eq!(fetch(&trie.store, hashes[0]), Err(TrieError::Corrupt(hashes[0])));
    let cold = NodeCache::new(1);
    let bad = keys.iter().filter(|key| get(&trie.store, &cold, root, **key).is_err());
    assert!(bad.count() > 0);
}

#[test]
fn bytes_that_hash_right_but_are_no_node_are_malformed() {
    let trie = Fixture::new(16);
    for bytes in [vec![], vec![0xc0], vec![0x80], vec![0xc2, 0x80, 0x80], vec![0xff; 40]] {
        let root = keccak256(&bytes);
        trie.store.insert_nodes([(root, bytes.into())]);
        if root != EMPTY_ROOT {
            let result = get(&trie.store, &trie.cache, root, B256::ZERO);
            assert_eq!(result, Err(TrieError::Malformed(root)));
        }
    }
}

/// A trie whose paths are longer than any key cannot come from here; folding it must not panic.
#[test]
fn paths_longer_than_any_key_are_malformed() {
    let trie = Fixture::new(16);
    let zeros = Nibbles::unpack(B256::ZERO);
    let insert = |node: Node| {
        let mut rlp = Vec::new();
        node.encode(&mut rlp);
        let hash = keccak256(&rlp);
        trie.store.insert_nodes([(hash, rlp.into())]);
        hash
    };
    let long = insert(Node::Leaf { path: zeros, value: vec![1; 40].into() });
    let short = Node::Leaf { path: node::head(&zeros, 3), value: vec![1].into() };
    let mut branch = node::Branch::default();
    branch.children[0] = Link::Hash(long, Hint::UNKNOWN);
    branch.children[1] = Link::Inline(Arc::new(short));
    let root = insert(Node::Branch(Box::new(branch)));
    let delete = vec![(vec![0x10, 0x00], None)];
    let result = update_unhashed(&trie.store, &trie.cache, root, delete, &mut Vec::new());
    assert_eq!(result, Err(TrieError::Malformed(root)));
}

#[test]
fn codes_are_checked_and_cached() {
    let trie = Fixture::new(16);
    let code = Bytes::from_static(b"\x60\x00");
    let hash = keccak256(&code);
    let read = |hash| super::code(&trie.store, &trie.cache, hash).map(|code| code.bytes());
    assert_eq!(read(EMPTY_CODE_HASH), Ok(Bytes::new()));
    assert_eq!(read(hash), Err(TrieError::Missing(hash)));
    trie.store.insert_nodes([(hash, code.clone())]);
    assert_eq!(read(hash), Ok(code.clone()));
    trie.store.remove(hash);
    assert_eq!(read(hash), Ok(code));
}
