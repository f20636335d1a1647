//! The trie against the official vectors of ethereum/tests (`TrieTests`), which are read beside the repository
//! and never copied into it. Where they are not, the tests are reported as ignored.

use alloy_primitives::{B256, Bytes, hex, keccak256};
use libtest_mimic::{Arguments, Failed, Trial};
use obscuro_enclave::{
    store::MemoryStore,
    trie::{EMPTY_ROOT, NodeCache, update_unhashed},
};
use serde_json::Value;
use std::{path::PathBuf, process::ExitCode};

/// File, and whether its keys are hashed first.
const FILES: [(&str, bool); 5] = [
    ("trietest.json", false),
    ("trieanyorder.json", false),
    ("trietest_secureTrie.json", true),
    ("trieanyorder_secureTrie.json", true),
    ("hex_encoded_securetrie_test.json", true),
];

type Pairs = Vec<(Vec<u8>, Option<Bytes>)>;

fn main() -> ExitCode {
    let trials = FILES.map(|(file, secure)| {
        let path = folder().join(file);
        let missing = !path.exists();
        if missing {
            eprintln!("{file}: no vectors at {}", path.display());
        }
        Trial::test(file, move || run(path, secure)).with_ignored_flag(missing)
    });
    libtest_mimic::run(&Arguments::from_args(), trials.into()).exit_code()
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors/trie")
}

fn run(path: PathBuf, secure: bool) -> Result<(), Failed> {
    let vectors: Value = serde_json::from_slice(&std::fs::read(path)?)?;
    let vectors = vectors.as_object().ok_or("not an object")?;
    for (name, vector) in vectors {
        let root: B256 = vector["root"].as_str().ok_or("no root")?.parse()?;
        let pairs = pairs(&vector["in"], secure);
        check(name, root, one_by_one(&pairs)?)?;
        check(name, root, at_once(&pairs)?)?;
        if vector["in"].is_object() {
            // Any order must do: these have no deletions.
            check(name, root, one_by_one(&pairs.iter().rev().cloned().collect())?)?;
        }
    }
    Ok(())
}

fn check(name: &str, want: B256, have: B256) -> Result<(), Failed> {
    if want == have { Ok(()) } else { Err(format!("{name}: root {have}, expected {want}").into()) }
}

fn pairs(input: &Value, secure: bool) -> Pairs {
    let pair = |key: &str, value: Option<&str>| {
        let key = bytes(key);
        let key = if secure { keccak256(key).to_vec() } else { key };
        (key, value.map(|value| bytes(value).into()))
    };
    match input {
        Value::Object(map) => map.iter().map(|(key, value)| pair(key, value.as_str())).collect(),
        Value::Array(list) => {
            list.iter().map(|item| pair(item[0].as_str().unwrap(), item[1].as_str())).collect()
        }
        other => panic!("unexpected input {other}"),
    }
}

/// `0x…` is hexadecimal, anything else is text.
fn bytes(text: &str) -> Vec<u8> {
    match text.strip_prefix("0x") {
        Some(digits) => hex::decode(digits).unwrap(),
        None => text.as_bytes().to_vec(),
    }
}

fn one_by_one(pairs: &Pairs) -> Result<B256, Failed> {
    let (store, cache) = (MemoryStore::new(), NodeCache::new(1));
    let mut root = EMPTY_ROOT;
    for pair in pairs {
        let mut nodes = Vec::new();
        root = update_unhashed(&store, &cache, root, vec![pair.clone()], &mut nodes)?;
        store.insert_nodes(nodes);
    }
    Ok(root)
}

fn at_once(pairs: &Pairs) -> Result<B256, Failed> {
    let (store, cache) = (MemoryStore::new(), NodeCache::new(1));
    Ok(update_unhashed(&store, &cache, EMPTY_ROOT, pairs.clone(), &mut Vec::new())?)
}
