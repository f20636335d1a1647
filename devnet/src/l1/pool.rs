//! Transactions waiting for a block: at most one per sender and nonce, offered to the block builder
//! by what they pay.
//!
//! Knows account nonces and balances only through what the chain passes in. Deterministic: equal
//! prices are ordered by arrival.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap},
};

use alloy_consensus::{Transaction, transaction::Recovered};
use alloy_eips::Encodable2718;
use alloy_primitives::{Address, B256};

use super::{
    block::{Tx, blob_hashes},
    incoming::Refusal,
};

/// Transactions in the pool.
pub const POOL_TXS_MAX: usize = 20_000;

/// Transactions of one sender in the pool.
pub const SENDER_TXS_MAX: usize = 10_000;

/// Bytes of all transactions in the pool, blobs not counted.
pub const POOL_BYTES_MAX: usize = 64 << 20;

/// Blobs referenced by the pool.
pub const POOL_BLOBS_MAX: usize = 256;

/// Price increase that a replacement must offer, per cent (geth: 10, and 100 with blobs).
const REPLACEMENT_BUMP_PERCENT: u128 = 10;
const BLOB_REPLACEMENT_BUMP_PERCENT: u128 = 100;

#[derive(Clone, Debug)]
struct Waiting {
    tx: Recovered<Tx>,
    arrival: u64,
}

/// Waiting transactions by sender and nonce.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    senders: BTreeMap<Address, BTreeMap<u64, Waiting>>,
    places: HashMap<B256, (Address, u64)>,
    blobs: usize,
    bytes: usize,
    arrivals: u64,
}

impl Pool {
    /// Number of waiting transactions.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// A waiting transaction.
    pub fn get(&self, hash: &B256) -> Option<&Recovered<Tx>> {
        let (sender, nonce) = self.places.get(hash)?;
        self.senders.get(sender)?.get(nonce).map(|waiting| &waiting.tx)
    }

    /// All waiting transactions, by sender and nonce.
    pub fn iter(&self) -> impl Iterator<Item = &Recovered<Tx>> {
        self.senders.values().flat_map(|txs| txs.values().map(|waiting| &waiting.tx))
    }

    /// The nonce after the sender's executable transactions, given the account's nonce.
    pub fn next_nonce(&self, sender: &Address, account_nonce: u64) -> u64 {
        let Some(txs) = self.senders.get(sender) else { return account_nonce };
        let executable = txs.range(account_nonce..).zip(account_nonce..);
        account_nonce + executable.take_while(|((nonce, _), want)| **nonce == *want).count() as u64
    }

    /// Takes a transaction that arrives.
    ///
    /// # Errors
    /// When it is already there, does not pay enough to replace another, or the pool is full.
    pub fn insert(&mut self, tx: Recovered<Tx>) -> Result<(), Refusal> {
        if self.places.contains_key(tx.inner().tx_hash()) {
            return Err(Refusal::AlreadyKnown);
        }
        let old = self.senders.get(tx.signer_ref()).and_then(|txs| txs.get(&tx.nonce()));
        match old {
            Some(old) if !replaces(&tx, &old.tx) => return Err(Refusal::Underpriced),
            Some(_) => {}
            None => self.has_room(&tx)?,
        }
        self.put(tx);
        Ok(())
    }

    /// Takes back a transaction whose block left the canonical chain, unless a newer one has its
    /// place. Its sender's funds may return with a later block, so they are not judged.
    pub fn readmit(&mut self, tx: Recovered<Tx>) {
        let taken =
            self.senders.get(tx.signer_ref()).is_some_and(|txs| txs.contains_key(&tx.nonce()));
        if !taken && self.len() < POOL_TXS_MAX {
            self.put(tx);
        }
    }

    fn put(&mut self, tx: Recovered<Tx>) {
        let (hash, sender, nonce) = (*tx.inner().tx_hash(), tx.signer(), tx.nonce());
        self.count(&tx, true);
        self.arrivals += 1;
        let waiting = Waiting { tx, arrival: self.arrivals };
        self.places.insert(hash, (sender, nonce));
        if let Some(old) = self.senders.entry(sender).or_default().insert(nonce, waiting) {
            self.count(&old.tx, false);
            self.places.remove(old.tx.inner().tx_hash());
        }
    }

    fn count(&mut self, tx: &Tx, enters: bool) {
        let (blobs, bytes) = (blob_hashes(tx).len(), tx.encode_2718_len());
        if enters {
            (self.blobs, self.bytes) = (self.blobs + blobs, self.bytes + bytes);
        } else {
            (self.blobs, self.bytes) = (self.blobs - blobs, self.bytes - bytes);
        }
    }

    fn has_room(&self, tx: &Recovered<Tx>) -> Result<(), Refusal> {
        let of_sender = self.senders.get(tx.signer_ref()).map_or(0, BTreeMap::len);
        let blobs = self.blobs + blob_hashes(tx.inner()).len();
        let bytes = self.bytes + tx.inner().encode_2718_len();
        let crowded = self.len() >= POOL_TXS_MAX || of_sender >= SENDER_TXS_MAX;
        if crowded || blobs > POOL_BLOBS_MAX || bytes > POOL_BYTES_MAX {
            return Err(Refusal::PoolFull);
        }
        Ok(())
    }

    /// Takes a transaction out.
    pub fn remove(&mut self, hash: &B256) -> Option<Recovered<Tx>> {
        let (sender, nonce) = self.places.remove(hash)?;
        let txs = self.senders.get_mut(&sender)?;
        let removed = txs.remove(&nonce)?;
        if txs.is_empty() {
            self.senders.remove(&sender);
        }
        self.count(&removed.tx, false);
        Some(removed.tx)
    }

    /// Takes everything out.
    pub fn clear(&mut self) {
        let arrivals = self.arrivals;
        *self = Self { arrivals, ..Self::default() };
    }

    /// Drops the transactions whose nonce is used. Those that their sender cannot pay for now stay:
    /// after a reorganisation the funds may come back.
    pub fn prune(&mut self, mut nonce: impl FnMut(Address) -> u64) {
        let mut stale = Vec::new();
        for (sender, txs) in &self.senders {
            let used = txs.range(..nonce(*sender)).map(|(_, waiting)| waiting);
            stale.extend(used.map(|waiting| *waiting.tx.inner().tx_hash()));
        }
        for hash in stale {
            self.remove(&hash);
        }
    }

    /// Executable transactions that accept these prices, best paying first.
    pub fn best(
        &self,
        base_fee: u64,
        blob_fee: u128,
        mut nonce: impl FnMut(Address) -> u64,
    ) -> Best<'_> {
        let mut best = Best { pool: self, base_fee, blob_fee, heads: BinaryHeap::new() };
        for sender in self.senders.keys() {
            best.offer(*sender, nonce(*sender));
        }
        best
    }
}

/// Walks the pool by price, starting with each sender's next nonce; the caller says which senders
/// to follow.
pub struct Best<'a> {
    pool: &'a Pool,
    base_fee: u64,
    blob_fee: u128,
    heads: BinaryHeap<(u128, Reverse<u64>, Address, u64)>,
}

impl<'a> Best<'a> {
    /// The best transaction left. Its sender's next one is offered by [`Best::follow`].
    pub fn next(&mut self) -> Option<&'a Recovered<Tx>> {
        let (_, _, sender, nonce) = self.heads.pop()?;
        self.pool.senders.get(&sender)?.get(&nonce).map(|waiting| &waiting.tx)
    }

    /// Offers the transaction that follows one that was included.
    pub fn follow(&mut self, included: &Recovered<Tx>) {
        self.offer(included.signer(), included.nonce().saturating_add(1));
    }

    fn offer(&mut self, sender: Address, nonce: u64) {
        let Some(waiting) = self.pool.senders.get(&sender).and_then(|txs| txs.get(&nonce)) else {
            return;
        };
        let tx = waiting.tx.inner();
        let pays_blobs = tx.max_fee_per_blob_gas().is_none_or(|fee| fee >= self.blob_fee);
        if let Some(tip) = tx.effective_tip_per_gas(self.base_fee).filter(|_| pays_blobs) {
            self.heads.push((tip, Reverse(waiting.arrival), sender, nonce));
        }
    }
}

/// Whether `new` offers enough more than `old` in every price.
fn replaces(new: &Tx, old: &Tx) -> bool {
    // The two kinds of pool of a real node never replace each other's transactions.
    if new.is_eip4844() != old.is_eip4844() {
        return false;
    }
    let percent =
        if new.is_eip4844() { BLOB_REPLACEMENT_BUMP_PERCENT } else { REPLACEMENT_BUMP_PERCENT };
    let bumped = |new: u128, old: u128| new >= least_bump(old, percent) && new > old;
    let blob = |tx: &Tx| tx.max_fee_per_blob_gas();
    bumped(new.max_fee_per_gas(), old.max_fee_per_gas())
        && bumped(new.priority_fee_or_price(), old.priority_fee_or_price())
        && blob(new).zip(blob(old)).is_none_or(|(new, old)| bumped(new, old))
}

fn least_bump(old: u128, percent: u128) -> u128 {
    old.saturating_add(old.saturating_mul(percent).div_ceil(100))
}
