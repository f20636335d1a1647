//! Where executed rollups are kept, and the trie that says which of them a chain consists of. Not here: what a
//! body holds (`body`).

use super::{Body, Ledger, LedgerError, Outcome};
use crate::{
    device::{self, Device, Task},
    state::StateError,
    store::{Domain, MAX_RECORD_BYTES},
    trie,
    view::Rollup,
};
use alloy_primitives::{B256, Bytes, keccak256};
use obscuro_protocol::{rollup::RollupHeader, wire};
use sha2::{Digest, Sha256};
use std::sync::Arc;

const BODY: Domain = Domain("rollup body");
const BODY_BYTES_MAX: usize = MAX_RECORD_BYTES;

impl Ledger<'_> {
    /// Keeps an executed rollup under its final header.
    pub fn commit(
        &self,
        parent: &Rollup,
        outcome: Outcome,
        header: RollupHeader,
        payload_bytes: usize,
        device: &dyn Device,
    ) -> Result<(Rollup, Body), LedgerError> {
        let (hash, payload_bytes) = (header.hash(), payload_bytes as u64);
        let Outcome { body, data_gas, nodes } = outcome;
        let body = Body { header: header.clone(), ..body };
        let history_root = self.finish(&body, hash, parent.history_root, nodes, device)?;
        Ok((Rollup { hash, header, history_root, payload_bytes, data_gas }, body))
    }

    /// Stores a rollup; the root of the history with it.
    pub(super) fn finish(
        &self,
        body: &Body,
        hash: B256,
        parent_history: B256,
        nodes: Vec<(B256, Bytes)>,
        device: &dyn Device,
    ) -> Result<B256, LedgerError> {
        let seal = |(hash, node): &(B256, Bytes)| self.store.seal_node(*hash, node);
        let mut record = None;
        let seal_body: Task<'_> = Box::new(|| {
            let encoded = wire::encode(body);
            record = Some(self.store.seal_and_digest(BODY, hash, &encoded));
        });
        let sealed = device::map(device, vec![seal_body], &nodes, seal).into_iter();
        let undone = || LedgerError::Fatal("the body was not sealed".into());
        let (record, digest) = record.ok_or_else(undone)??;
        let entry = Bytes::from([hash.as_slice(), &digest].concat());
        let entry = vec![(history_key(body.header.number), Some(entry))];
        let mut history = Vec::new();
        let history_root =
            trie::update(&self.store, self.cache, parent_history, entry, &mut history)?;
        let sealed = sealed.chain(history.iter().map(seal)).chain([Ok(record)]);
        self.store.put(sealed.collect::<Result<_, _>>()?)?;
        Ok(history_root)
    }

    /// The hash of an ancestor by number.
    pub fn rollup_hash(
        &self,
        history_root: B256,
        number: u64,
    ) -> Result<Option<B256>, LedgerError> {
        Ok(self.block_hash(history_root, number)?)
    }

    /// `BLOCKHASH`; an entry that the host withholds is an error, not a zero.
    pub fn block_hash(&self, history_root: B256, number: u64) -> Result<Option<B256>, StateError> {
        Ok(self.history_entry(history_root, number)?.map(|(hash, _)| hash))
    }

    /// The hash of an ancestor and the digest of its body.
    fn history_entry(
        &self,
        history_root: B256,
        number: u64,
    ) -> Result<Option<(B256, B256)>, StateError> {
        let entry = trie::get(&self.store, self.cache, history_root, history_key(number))?;
        Ok(entry.and_then(|entry| {
            let (hash, digest) = entry.split_first_chunk::<32>()?;
            Some((B256::new(*hash), B256::try_from(digest).ok()?))
        }))
    }

    /// What is kept of a rollup of a history; `None` if it is of another one, or the host has nothing.
    pub fn body(&self, history_root: B256, rollup: B256) -> Result<Option<Arc<Body>>, LedgerError> {
        let Some(record) = self.store.get_record(BODY, rollup)? else {
            return Ok(None);
        };
        let body: Body = wire::decode(&record, BODY_BYTES_MAX)
            .map_err(|error| LedgerError::Fatal(format!("rollup body {rollup}: {error}")))?;
        // Whoever holds the seed of an earlier epoch can make records, but not the history's.
        let digest = B256::new(Sha256::digest(&record).into());
        match self.history_entry(history_root, body.header.number)? {
            Some((hash, true_digest)) if hash == rollup && digest == true_digest => {
                Ok(Some(Arc::new(body)))
            }
            Some((hash, _)) if hash == rollup => {
                Err(LedgerError::Fatal(format!("rollup body {rollup} is forged")))
            }
            _ => Ok(None),
        }
    }
}

fn history_key(number: u64) -> B256 {
    keccak256(number.to_be_bytes())
}
