//! Group commit: transactions that arrive together reach the disk in one flush, so that durability
//! costs one flush per group and not per user. Not here: what else is stored (`storage`).

use super::Tables;
use crate::enclave::StoreError;
use alloy_primitives::{B256, Bytes};
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};

/// Transactions that wait for a commit.
const WAITING_MAX: usize = 4_096;
/// Most transactions of one commit.
const GROUP_MAX: usize = 1_024;
/// Bytes after which a group is closed.
const GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;

struct Entry {
    hash: B256,
    sealed: Bytes,
    done: oneshot::Sender<Result<(), StoreError>>,
}

/// The queue in front of the disk, with the thread that empties it. Dropping it waits until the
/// queue is empty.
pub struct CommitQueue {
    entries: Option<mpsc::Sender<Entry>>,
    thread: Option<JoinHandle<()>>,
}

impl CommitQueue {
    pub fn start(tables: Tables) -> Self {
        let (entries, queue) = mpsc::channel(WAITING_MAX);
        let thread = std::thread::Builder::new().name("transaction-commit".to_owned());
        // Without the thread the queue is closed at once, and every transaction is refused.
        let thread = thread.spawn(move || run(&tables, queue)).ok();
        Self { entries: Some(entries), thread }
    }

    /// Returns when the transaction is on disk.
    pub async fn keep(&self, hash: B256, sealed: Bytes) -> Result<(), StoreError> {
        let closed = || StoreError("the database is closed".to_owned());
        let (done, result) = oneshot::channel();
        let entry = Entry { hash, sealed, done };
        let entries = self.entries.as_ref().ok_or_else(closed)?;
        entries.send(entry).await.map_err(|_| closed())?;
        result.await.map_err(|_| closed())?
    }
}

impl Drop for CommitQueue {
    fn drop(&mut self) {
        self.entries = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported by it.
            let _ = thread.join();
        }
    }
}

fn run(tables: &Tables, mut queue: mpsc::Receiver<Entry>) {
    while let Some(first) = queue.blocking_recv() {
        let mut bytes = first.sealed.len();
        let mut group = vec![first];
        // While one group is being flushed, the next one gathers in the queue.
        while group.len() < GROUP_MAX
            && bytes < GROUP_BYTES_MAX
            && let Ok(entry) = queue.try_recv()
        {
            bytes += entry.sealed.len();
            group.push(entry);
        }
        let result = commit(tables, &group);
        for entry in group {
            // Whoever asked may have gone.
            let _ = entry.done.send(result.clone());
        }
    }
}

fn commit(tables: &Tables, group: &[Entry]) -> Result<(), StoreError> {
    let mut batch = tables.durable_batch();
    for Entry { hash, sealed, .. } in group {
        batch.insert(&tables.transactions, hash.as_slice(), &sealed[..]);
    }
    Ok(tables.commit(batch)?)
}
