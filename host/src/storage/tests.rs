//! Storage across restarts, crashes, locks and damage.

use super::*;
use crate::enclave::Records;
use std::{process::Command, sync::Arc};

const NETWORK: B256 = B256::repeat_byte(7);

fn open(directory: &Path) -> Storage {
    Storage::open(directory, NETWORK).unwrap()
}

fn key(number: u8) -> B256 {
    keccak256([number])
}

#[test]
fn everything_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let storage = open(directory.path());
    assert_eq!(storage.identity().unwrap(), None);
    storage.keep_identity(b"identity").unwrap();
    storage.keep_snapshot(b"snapshot").unwrap();
    let record = Bytes::from_static(b"record");
    storage.put(vec![(key(1), record.clone())]).unwrap();
    storage.archive_payload(key(2), b"payload\0\0").unwrap();
    drop(storage);

    let storage = open(directory.path());
    assert_eq!(storage.identity().unwrap(), Some("identity".into()));
    assert_eq!(storage.snapshot().unwrap(), Some("snapshot".into()));
    assert_eq!(storage.get(&[key(1), key(9)]).unwrap(), [Some(record), None]);
    assert_eq!(storage.payload(key(2)).unwrap(), Some("payload\0\0".into()));
    storage.drop_snapshot().unwrap();
    assert_eq!(storage.snapshot().unwrap(), None);
}

#[test]
fn blobs_come_back_at_full_length() {
    let directory = tempfile::tempdir().unwrap();
    let storage = open(directory.path());
    let mut blob = vec![0; BYTES_PER_BLOB];
    blob[1] = 5;
    let empty = vec![0; BYTES_PER_BLOB];
    let blobs = [(key(1), Bytes::from(blob)), (key(2), Bytes::from(empty))];
    storage.archive_blobs(&blobs).unwrap();
    for (hash, blob) in blobs {
        assert_eq!(storage.blob(hash).unwrap(), Some(blob));
    }
    assert_eq!(storage.blob(key(3)).unwrap(), None);
}

/// A broken TEE names a blob as its payload: who has the blob does not have that payload.
#[test]
fn a_blob_is_no_payload_to_peers() {
    let directory = tempfile::tempdir().unwrap();
    let storage = open(directory.path());
    let (blob, payload) = (vec![5; BYTES_PER_BLOB], Bytes::from_static(b"payload"));
    storage.archive_blobs(&[(key(1), blob.clone().into())]).unwrap();
    storage.archive_payload(keccak256(&payload), &payload).unwrap();
    assert_eq!(storage.find(Wanted::Payload(key(1))), None);
    assert_eq!(storage.find(Wanted::Blob(key(1))), Some(blob.into()));
    assert_eq!(storage.find(Wanted::Payload(keccak256(&payload))), Some(payload));
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_transactions_are_kept_and_paged() {
    let directory = tempfile::tempdir().unwrap();
    let storage = Arc::new(open(directory.path()));
    let keep = |number: u16| {
        let storage = storage.clone();
        tokio::spawn(async move { storage.keep_transaction(number.to_be_bytes().into()).await })
    };
    for task in (0..500).map(keep).collect::<Vec<_>>() {
        task.await.unwrap().unwrap();
    }

    let (mut kept, mut after) = (Vec::new(), None);
    loop {
        let page = storage.transactions(after, 64).unwrap();
        let Some((last, _)) = page.last() else { break };
        after = Some(*last);
        kept.extend(page);
    }
    assert_eq!(kept.len(), 500);
    assert!(kept.iter().all(|(hash, sealed)| *hash == keccak256(sealed)));

    let hashes: Vec<B256> = kept.iter().map(|(hash, _)| *hash).collect();
    storage.forget_transactions(&hashes[1..]).unwrap();
    let left = storage.transactions(None, 10).unwrap();
    assert_eq!(left, [kept[0].clone()]);
}

#[test]
fn a_second_process_is_told_so() {
    let directory = tempfile::tempdir().unwrap();
    let _first = open(directory.path());
    let second = Storage::open(directory.path(), NETWORK).map(drop);
    assert!(matches!(second, Err(StorageError::InUse(_))), "{second:?}");
}

#[test]
fn another_network_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let other = Storage::open(directory.path(), B256::repeat_byte(8)).map(drop);
    assert!(matches!(other, Err(StorageError::OtherNetwork(_))), "{other:?}");
}

#[test]
fn damage_and_a_bad_directory_are_explained() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, b"not a directory").unwrap();
    let error = Storage::open(&file, NETWORK).map(drop).unwrap_err();
    assert!(matches!(error, StorageError::Disk(..)), "{error:?}");

    let path = directory.path().join("database");
    drop(open(&path));
    std::fs::write(path.join("version"), b"garbage").unwrap();
    let error = Storage::open(&path, NETWORK).map(drop).unwrap_err();
    assert!(matches!(error, StorageError::Damaged(..)), "{error:?}");
    assert!(!error.to_string().contains('\n'));
}

/// The child of the next test: stores, says so, and waits to be killed.
#[tokio::test(flavor = "multi_thread")]
async fn child_that_is_killed() {
    let Ok(directory) = std::env::var("OBSCURO_TEST_STORAGE") else {
        return;
    };
    let storage = open(Path::new(&directory));
    storage.put(vec![(key(1), "record".into())]).unwrap();
    for number in 0..20_u8 {
        storage.keep_transaction(vec![number; 100].into()).await.unwrap();
    }
    storage.keep_snapshot(b"refers to the record").unwrap();
    println!("acknowledged");
    loop {
        storage.put(vec![(key(2), vec![1; 10_000].into())]).unwrap();
    }
}

#[test]
fn nothing_acknowledged_is_lost_by_a_kill() {
    use std::io::{BufRead, BufReader};
    let directory = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "storage::tests::child_that_is_killed", "--nocapture"])
        .env("OBSCURO_TEST_STORAGE", directory.path())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("acknowledged")));
    child.kill().unwrap();
    child.wait().unwrap();

    let storage = open(directory.path());
    assert_eq!(storage.transactions(None, 100).unwrap().len(), 20);
    assert_eq!(storage.snapshot().unwrap(), Some("refers to the record".into()));
    assert_eq!(storage.get(&[key(1)]).unwrap(), [Some("record".into())]);
}
