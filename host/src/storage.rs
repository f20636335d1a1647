//! The node's database (protocol 6.3, 7.4): the enclave's encrypted records, its sealed identity and
//! snapshot, the transactions that were acknowledged, and the archive of payloads. One journal orders
//! every write, so a crash loses a suffix of them and never a part of the middle: records need no
//! flush of their own, because whatever refers to them is stored after them. Everything here can be
//! rebuilt from L1. Not here: grouping of transactions into commits (`commit`).

mod commit;
#[cfg(test)]
mod tests;

use crate::{
    enclave::{Records, StoreError},
    gossip::Archive,
};
use alloy_eips::eip4844::BYTES_PER_BLOB;
use alloy_primitives::{B256, Bytes, keccak256};
use commit::CommitQueue;
use fjall::{
    CompressionType, Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode,
    config::CompressionPolicy,
};
use obscuro_protocol::gossip::Wanted;
use std::{
    io,
    ops::Bound,
    path::{Path, PathBuf},
};

/// Memory for blocks read from disk, bytes.
const CACHE_BYTES: u64 = 32 * 1024 * 1024;
/// A table is written out when it has grown by this much in memory, bytes.
const MEMTABLE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Threads that write out and compact.
const WORKERS: usize = 1;
/// Journals are emptied into the tables when they exceed this, bytes: it bounds the time that opening
/// after a crash takes.
const JOURNAL_BYTES_MAX: u64 = 128 * 1024 * 1024;
const KEY_NETWORK: &[u8] = b"network";
const KEY_IDENTITY: &[u8] = b"identity";
const KEY_SNAPSHOT: &[u8] = b"snapshot";
const KEY_NEIGHBOURS: &[u8] = b"neighbours";

/// The database cannot be used. Sorted by what the operator does next.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// Another process has it open.
    #[error(
        "the database in {0} is in use by another process: stop that one, or choose another data directory"
    )]
    InUse(PathBuf),
    /// It was made for another network.
    #[error("the database in {0} belongs to another network: choose another data directory")]
    OtherNetwork(PathBuf),
    /// Its content is damaged.
    #[error(
        "the database in {0} is damaged ({1}): move the directory away and start again, the node rebuilds it from L1"
    )]
    Damaged(PathBuf, String),
    /// The disk does not let it work.
    #[error(
        "cannot use the database in {0} ({1}): check the disk's space and the directory's permissions"
    )]
    Disk(PathBuf, String),
}

/// The database of one node.
pub struct Storage {
    tables: Tables,
    commits: CommitQueue,
}

/// The tables; cheap to clone.
#[derive(Clone)]
struct Tables {
    path: PathBuf,
    database: Database,
    records: Keyspace,
    meta: Keyspace,
    transactions: Keyspace,
    archive: Keyspace,
}

impl Storage {
    /// Opens or creates the database of the network with this config hash.
    pub fn open(directory: &Path, network: B256) -> Result<Self, StorageError> {
        let tables = Tables::open(directory)?;
        match tables.get(&tables.meta, KEY_NETWORK)? {
            Some(found) if found[..] != network[..] => {
                return Err(StorageError::OtherNetwork(tables.path));
            }
            Some(_) => {}
            None => tables.keep(&tables.meta, KEY_NETWORK, network.as_slice())?,
        }
        let commits = CommitQueue::start(tables.clone());
        Ok(Self { tables, commits })
    }

    /// The enclave's sealed identity.
    pub fn identity(&self) -> Result<Option<Bytes>, StorageError> {
        self.tables.get(&self.tables.meta, KEY_IDENTITY)
    }

    /// Keeps the enclave's sealed identity; durable when it returns.
    pub fn keep_identity(&self, identity: &[u8]) -> Result<(), StorageError> {
        self.tables.keep(&self.tables.meta, KEY_IDENTITY, identity)
    }

    /// The enclave's newest snapshot.
    pub fn snapshot(&self) -> Result<Option<Bytes>, StorageError> {
        self.tables.get(&self.tables.meta, KEY_SNAPSHOT)
    }

    /// Keeps a snapshot, and with it every record that it may refer to.
    pub fn keep_snapshot(&self, snapshot: &[u8]) -> Result<(), StorageError> {
        self.tables.keep(&self.tables.meta, KEY_SNAPSHOT, snapshot)
    }

    /// Forgets the snapshot: the next start is from the checkpoint.
    pub fn drop_snapshot(&self) -> Result<(), StorageError> {
        let mut batch = self.tables.durable_batch();
        batch.remove(&self.tables.meta, KEY_SNAPSHOT);
        self.tables.commit(batch)
    }

    /// The last list of other hosts.
    pub fn neighbours(&self) -> Result<Option<Bytes>, StorageError> {
        self.tables.get(&self.tables.meta, KEY_NEIGHBOURS)
    }

    /// Keeps the list of other hosts.
    pub fn keep_neighbours(&self, list: &[u8]) -> Result<(), StorageError> {
        let mut batch = self.tables.database.batch();
        batch.insert(&self.tables.meta, KEY_NEIGHBOURS, list);
        self.tables.commit(batch)
    }

    /// Keeps an accepted transaction, as the enclave sealed it, until it is forgotten; durable when
    /// it returns. Concurrent calls share their flush to disk.
    pub async fn keep_transaction(&self, sealed: Bytes) -> Result<(), StoreError> {
        self.commits.keep(keccak256(&sealed), sealed).await
    }

    /// The transactions that are kept with their keccak256, in pieces: those after `after`, at most
    /// `limit`.
    pub fn transactions(
        &self,
        after: Option<B256>,
        limit: usize,
    ) -> Result<Vec<(B256, Bytes)>, StorageError> {
        let from = after.map_or(Bound::Unbounded, |key| Bound::Excluded(key.to_vec()));
        let range = self.tables.transactions.range::<Vec<u8>, _>((from, Bound::Unbounded));
        let entry = |guard: fjall::Guard| {
            let (key, sealed) = guard.into_inner().map_err(|error| self.tables.error(error))?;
            let hash = B256::try_from(&key[..]).map_err(|error| {
                StorageError::Damaged(self.tables.path.clone(), error.to_string())
            })?;
            Ok((hash, bytes(&sealed)))
        };
        range.take(limit).map(entry).collect()
    }

    /// Forgets transactions, by the keccak256 of what is kept.
    pub fn forget_transactions(&self, hashes: &[B256]) -> Result<(), StorageError> {
        if hashes.is_empty() {
            return Ok(());
        }
        let mut batch = self.tables.database.batch();
        for hash in hashes {
            batch.remove(&self.tables.transactions, hash.as_slice());
        }
        self.tables.commit(batch)
    }

    /// Archives a payload that travelled in calldata, under its keccak256.
    pub fn archive_payload(&self, hash: B256, payload: &[u8]) -> Result<(), StorageError> {
        let mut batch = self.tables.database.batch();
        batch.insert(&self.tables.archive, hash.as_slice(), payload);
        self.tables.commit(batch)
    }

    /// Archives blobs under their versioned hashes, without the zeros at their end.
    pub fn archive_blobs(&self, blobs: &[(B256, Bytes)]) -> Result<(), StorageError> {
        let mut batch = self.tables.database.batch();
        for (hash, blob) in blobs {
            let last = blob.iter().rposition(|byte| *byte != 0);
            let length = last.map_or(0, |last| last + 1);
            batch.insert(&self.tables.archive, hash.as_slice(), &blob[..length]);
        }
        self.tables.commit(batch)
    }

    /// A payload that travelled in calldata. Unchecked: whoever needs it compares the hash.
    pub fn payload(&self, hash: B256) -> Result<Option<Bytes>, StorageError> {
        self.tables.get(&self.tables.archive, hash.as_slice())
    }

    /// A blob by its versioned hash. Unchecked, as [`Self::payload`].
    pub fn blob(&self, versioned_hash: B256) -> Result<Option<Bytes>, StorageError> {
        let found = self.payload(versioned_hash)?;
        Ok(found.map(|found| {
            let mut blob = found.to_vec();
            blob.resize(BYTES_PER_BLOB, 0);
            blob.into()
        }))
    }
}

impl Archive for Storage {
    fn find(&self, wanted: Wanted) -> Option<Bytes> {
        match wanted {
            // A header can name as its payload what is the name of a blob: whoever answered with that
            // would look like a liar.
            Wanted::Payload(hash) => {
                self.payload(hash).ok().flatten().filter(|found| keccak256(found) == hash)
            }
            Wanted::Blob(hash) => self.payload(hash).ok().flatten(),
        }
    }
}

impl Records for Storage {
    fn get(&self, keys: &[B256]) -> Result<Vec<Option<Bytes>>, StoreError> {
        let get = |key: &B256| self.tables.get(&self.tables.records, key.as_slice());
        keys.iter().map(get).collect::<Result<_, _>>().map_err(StoreError::from)
    }

    fn put(&self, records: Vec<(B256, Bytes)>) -> Result<(), StoreError> {
        let mut batch = self.tables.database.batch();
        for (key, value) in records {
            batch.insert(&self.tables.records, key.as_slice(), &value[..]);
        }
        self.tables.commit(batch).map_err(StoreError::from)
    }
}

impl From<StorageError> for StoreError {
    fn from(error: StorageError) -> Self {
        Self(error.to_string())
    }
}

impl Tables {
    fn open(directory: &Path) -> Result<Self, StorageError> {
        let path = directory.to_owned();
        let fail = |error| classify(&path, error);
        std::fs::create_dir_all(&path).map_err(|error| fail(error.into()))?;
        let database = Database::builder(&path)
            .cache_size(CACHE_BYTES)
            .worker_threads(WORKERS)
            .max_journaling_size(JOURNAL_BYTES_MAX)
            .open()
            .map_err(fail)?;
        let open = |name| database.keyspace(name, options).map_err(fail);
        Ok(Self {
            records: open("records")?,
            meta: open("meta")?,
            transactions: open("transactions")?,
            archive: open("archive")?,
            database: database.clone(),
            path: path.clone(),
        })
    }

    fn get(&self, table: &Keyspace, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        let found = table.get(key).map_err(|error| self.error(error))?;
        Ok(found.map(|value| bytes(&value)))
    }

    /// Stores one entry; durable when it returns.
    fn keep(&self, table: &Keyspace, key: &[u8], value: &[u8]) -> Result<(), StorageError> {
        let mut batch = self.durable_batch();
        batch.insert(table, key, value);
        self.commit(batch)
    }

    /// A batch that reaches the disk, with everything before it, when it is committed.
    fn durable_batch(&self) -> OwnedWriteBatch {
        self.database.batch().durability(Some(PersistMode::SyncData))
    }

    fn commit(&self, batch: OwnedWriteBatch) -> Result<(), StorageError> {
        batch.commit().map_err(|error| self.error(error))
    }

    fn error(&self, error: fjall::Error) -> StorageError {
        classify(&self.path, error)
    }
}

/// Keys are hashes and values are encrypted: there is no order to exploit and nothing to compress.
fn options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .max_memtable_size(MEMTABLE_BYTES_MAX)
        .data_block_compression_policy(CompressionPolicy::all(CompressionType::None))
}

fn bytes(value: &[u8]) -> Bytes {
    Bytes::copy_from_slice(value)
}

fn classify(path: &Path, error: fjall::Error) -> StorageError {
    let path = path.to_owned();
    match error {
        fjall::Error::Locked => StorageError::InUse(path),
        fjall::Error::Io(error) if !is_damage(&error) => {
            StorageError::Disk(path, error.to_string())
        }
        fjall::Error::Poisoned => {
            StorageError::Disk(path, "an earlier write failed; restart the node after".to_owned())
        }
        error => StorageError::Damaged(path, error.to_string()),
    }
}

fn is_damage(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::NotFound
    )
}
