//! A node's disk in memory, in place of the host's database and with its promise: a crash loses a suffix
//! of what was written since the last durable write, never a part of the middle (`host::storage`). It can
//! also do what no honest disk does: go back to an older state, or forget records. Not here: when.

use alloy_primitives::{B256, Bytes, map::B256Map};
use obscuro_enclave::store::{Store, StoreError};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard};

/// Writes remembered for going back.
const HISTORY_MAX: usize = 20_000;

/// The disk.
#[derive(Default)]
pub struct Disk {
    records: Mutex<Records>,
    /// The enclave's sealed identity.
    pub identity: Option<Bytes>,
    /// Its newest snapshot.
    pub snapshot: Option<Bytes>,
    /// Identities sealed before, oldest first: what a lying host keeps.
    pub former: Vec<Bytes>,
    /// Acknowledged transactions, sealed, by hash.
    pub transactions: BTreeMap<B256, Bytes>,
    /// Payloads by hash.
    pub payloads: HashMap<B256, Bytes>,
}

#[derive(Default)]
struct Records {
    values: B256Map<Vec<u8>>,
    /// Keys written, with what they held before, oldest first.
    history: Vec<(B256, Option<Vec<u8>>)>,
    /// How much of the history is safe from a crash.
    durable: usize,
    /// Whether nothing answers.
    is_failing: bool,
    /// How often something did not.
    refused: u64,
    /// Whether it ever did what no good disk does.
    is_damaged: bool,
}

impl Disk {
    /// Keeps an identity, durably.
    pub fn keep_identity(&mut self, identity: &Bytes) {
        if let Some(former) = self.identity.replace(identity.clone())
            && former != *identity
        {
            self.former.push(former);
        }
        self.flush();
    }

    /// Keeps a snapshot, durably.
    pub fn keep_snapshot(&mut self, snapshot: Bytes) {
        self.snapshot = Some(snapshot);
        self.flush();
    }

    /// What was written so far survives a crash.
    pub fn flush(&self) {
        if let Ok(mut records) = self.records.lock() {
            records.durable = records.history.len();
        }
    }

    /// A crash: of the writes that are not durable, the last ones are lost; `kept` says how many of them
    /// survive.
    pub fn crash(&self, kept: impl FnOnce(u64) -> u64) {
        if let Ok(mut records) = self.records.lock() {
            let loose = records.history.len() - records.durable;
            let lost = loose - kept(loose as u64 + 1).min(loose as u64) as usize;
            records.undo(lost);
            records.durable = records.history.len();
        }
    }

    /// The records go back by this many writes, the snapshot stays: an altered database.
    pub fn roll_back(&self, writes: usize) {
        if let Ok(mut records) = self.records.lock() {
            records.undo(writes);
            records.durable = records.history.len();
            records.is_damaged = true;
        }
    }

    /// The sealed identity is that of these former ones.
    pub fn roll_identity_back(&mut self, which: usize) {
        self.identity = self.former.get(which).cloned();
        if let Ok(mut records) = self.records.lock() {
            records.is_damaged = true;
        }
    }

    /// Everything is gone.
    pub fn wipe(&mut self) {
        *self = Self::default();
    }

    /// From now on nothing answers, or everything again.
    pub fn fail(&self, is_failing: bool) {
        if let Ok(mut records) = self.records.lock() {
            records.is_failing = is_failing;
            records.is_damaged |= is_failing;
        }
    }

    fn records(&self) -> Result<MutexGuard<'_, Records>, StoreError> {
        let mut records = self.records.lock().map_err(|_| failing())?;
        if records.is_failing {
            records.refused += 1;
            return Err(failing());
        }
        Ok(records)
    }

    /// How often it did not answer.
    pub fn refused(&self) -> u64 {
        self.records.lock().map_or(0, |records| records.refused)
    }

    /// Whether a node may stop because of it.
    pub fn is_damaged(&self) -> bool {
        self.records.lock().is_ok_and(|records| records.is_damaged)
    }

    /// Writes that could be undone.
    pub fn history(&self) -> usize {
        self.records.lock().map_or(0, |records| records.history.len())
    }
}

impl Records {
    fn undo(&mut self, writes: usize) {
        for _ in 0..writes {
            let Some((key, former)) = self.history.pop() else { return };
            match former {
                Some(value) => self.values.insert(key, value),
                None => self.values.remove(&key),
            };
        }
    }
}

impl Store for Disk {
    fn get(&self, key: B256) -> Result<Option<Vec<u8>>, StoreError> {
        let records = self.records()?;
        Ok(records.values.get(&key).cloned())
    }

    fn put(&self, batch: Vec<(B256, Vec<u8>)>) -> Result<(), StoreError> {
        let mut records = self.records()?;
        for (key, value) in batch {
            let former = records.values.insert(key, value);
            records.history.push((key, former));
        }
        if records.history.len() > HISTORY_MAX {
            let excess = records.history.len() - HISTORY_MAX / 2;
            records.history.drain(..excess);
            records.durable = records.durable.saturating_sub(excess);
        }
        Ok(())
    }
}

fn failing() -> StoreError {
    StoreError::Unavailable("the disk does not answer".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(disk: &Disk, key: u8, value: u8) {
        disk.put(vec![(B256::repeat_byte(key), vec![value])]).unwrap();
    }

    fn get(disk: &Disk, key: u8) -> Option<Vec<u8>> {
        disk.get(B256::repeat_byte(key)).unwrap()
    }

    #[test]
    fn a_crash_loses_a_suffix_and_nothing_durable() {
        let disk = Disk::default();
        put(&disk, 1, 1);
        disk.flush();
        put(&disk, 1, 2);
        put(&disk, 2, 2);
        disk.crash(|_| 1);
        assert_eq!((get(&disk, 1), get(&disk, 2)), (Some(vec![2]), None));
        put(&disk, 3, 3);
        disk.crash(|_| 0);
        assert_eq!((get(&disk, 1), get(&disk, 3)), (Some(vec![2]), None));
    }

    #[test]
    fn it_goes_back_further_than_a_crash() {
        let disk = Disk::default();
        put(&disk, 1, 1);
        put(&disk, 1, 2);
        disk.flush();
        disk.roll_back(1);
        assert_eq!(get(&disk, 1), Some(vec![1]));
        disk.fail(true);
        assert!(disk.get(B256::repeat_byte(1)).is_err());
        assert_eq!(disk.refused(), 1);
    }
}
