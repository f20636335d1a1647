//! Transactions that wait for a rollup. Not here: whether one is acceptable (`admission`), and the
//! order of a rollup's transactions beyond the nonces, which a secret decides.

use alloy_consensus::TxEnvelope;
use alloy_primitives::{Address, B256, Bytes};
use obscuro_protocol::secret::Secret;
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BinaryHeap, HashMap, VecDeque},
    sync::Arc,
};

/// Most transactions that wait.
pub const POOL_TRANSACTIONS_MAX: usize = 100_000;
/// Most bytes of transactions that wait.
pub const POOL_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most transactions of one sender that wait.
pub const SENDER_TRANSACTIONS_MAX: usize = 4_096;
/// How far a nonce may run ahead of the transactions that wait without a gap.
pub const NONCE_GAP_MAX: u64 = 256;
/// A replacement must offer this much more per gas, in percent (as geth's pool).
const REPLACEMENT_BUMP_PERCENT: u128 = 10;

/// A transaction with its recovered sender.
#[derive(Debug)]
pub struct Pooled {
    /// Decoded.
    pub transaction: TxEnvelope,
    /// EIP-2718 encoding.
    pub raw: Bytes,
    /// Recovered from the signature.
    pub sender: Address,
    /// Its hash.
    pub hash: B256,
    /// Its nonce.
    pub nonce: u64,
    /// Most it pays per gas.
    pub fee_max: u128,
    /// The newest seed epoch when it arrived: nothing is encrypted under an older one, whose seed a
    /// removed enclave may hold.
    pub epoch: u32,
}

/// A transaction that the pool does not take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// It is here.
    #[error("already known")]
    Known,
    /// Another with the same nonce offers as much.
    #[error("replacement transaction underpriced")]
    Underpriced,
    /// There is no room.
    #[error("txpool is full")]
    Full,
    /// The sender has too many waiting.
    #[error("account limit exceeded: {SENDER_TRANSACTIONS_MAX} transactions wait already")]
    SenderFull,
}

/// The waiting transactions.
#[derive(Default)]
pub struct Pool {
    senders: BTreeMap<Address, BTreeMap<u64, Arc<Pooled>>>,
    hashes: HashMap<B256, Arc<Pooled>>,
    bytes: usize,
    /// Hashes of what users sent since the last [`Pool::take_fresh`], oldest first.
    fresh: VecDeque<B256>,
}

impl Pool {
    /// Adds a transaction and returns the one it replaces; `fresh` ones are to be told to the
    /// peers.
    pub fn insert(
        &mut self,
        pooled: Arc<Pooled>,
        fresh: bool,
    ) -> Result<Option<Arc<Pooled>>, PoolError> {
        if self.hashes.contains_key(&pooled.hash) {
            return Err(PoolError::Known);
        }
        let former = self.senders.get(&pooled.sender).and_then(|queue| queue.get(&pooled.nonce));
        let replaced = former.cloned();
        match &replaced {
            Some(former) if !outbids(&pooled, former) => return Err(PoolError::Underpriced),
            Some(former) => self.remove(former),
            None if self.waiting_of(pooled.sender) >= SENDER_TRANSACTIONS_MAX => {
                return Err(PoolError::SenderFull);
            }
            None if self.hashes.len() >= POOL_TRANSACTIONS_MAX
                || self.bytes + pooled.raw.len() > POOL_BYTES_MAX =>
            {
                return Err(PoolError::Full);
            }
            None => {}
        }
        self.bytes += pooled.raw.len();
        self.hashes.insert(pooled.hash, pooled.clone());
        self.senders.entry(pooled.sender).or_default().insert(pooled.nonce, pooled.clone());
        if fresh {
            // Without peers nobody takes them: the oldest give way.
            if self.fresh.len() >= POOL_TRANSACTIONS_MAX {
                self.fresh.pop_front();
            }
            self.fresh.push_back(pooled.hash);
        }
        Ok(replaced)
    }

    fn waiting_of(&self, sender: Address) -> usize {
        self.senders.get(&sender).map_or(0, BTreeMap::len)
    }

    /// A waiting transaction.
    pub fn get(&self, hash: B256) -> Option<Arc<Pooled>> {
        self.hashes.get(&hash).cloned()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// Takes what users sent since the last call, still waits, and may go under a seed epoch: the
    /// raw transactions, of at most `bytes_max` bytes, or one.
    pub fn take_fresh(&mut self, epoch: u32, bytes_max: usize) -> Vec<Bytes> {
        let (mut taken, mut later, mut bytes) = (Vec::new(), VecDeque::new(), 0);
        while let Some(hash) = self.fresh.front() {
            match self.hashes.get(hash) {
                Some(pooled) if pooled.epoch > epoch => later.push_back(*hash),
                Some(pooled) => {
                    bytes += pooled.raw.len();
                    if bytes > bytes_max && !taken.is_empty() {
                        break;
                    }
                    taken.push(pooled.raw.clone());
                }
                None => {}
            }
            self.fresh.pop_front();
        }
        later.append(&mut self.fresh);
        self.fresh = later;
        taken
    }

    /// The nonce after the transactions of a sender that follow `nonce` without a gap.
    pub fn next_nonce(&self, sender: Address, mut nonce: u64) -> u64 {
        while self.senders.get(&sender).is_some_and(|queue| queue.contains_key(&nonce)) {
            nonce += 1;
        }
        nonce
    }

    /// The same, counted from the first transaction that waits: the published nonce may have moved
    /// past `nonce` since it was read.
    pub fn furthest_nonce(&self, sender: Address, nonce: u64) -> u64 {
        let first = self.senders.get(&sender).and_then(|queue| queue.keys().next().copied());
        self.next_nonce(sender, first.map_or(nonce, |first| first.max(nonce)))
    }

    /// Drops and returns what can never be included: nonces below the sender's.
    pub fn prune(&mut self, sender: Address, nonce: u64) -> Vec<Arc<Pooled>> {
        let Some(queue) = self.senders.get_mut(&sender) else { return Vec::new() };
        let kept = queue.split_off(&nonce);
        let dropped = std::mem::replace(queue, kept);
        if queue.is_empty() {
            self.senders.remove(&sender);
        }
        for pooled in dropped.values() {
            self.bytes -= pooled.raw.len();
            self.hashes.remove(&pooled.hash);
        }
        dropped.into_values().collect()
    }

    /// Drops one transaction.
    pub fn remove(&mut self, pooled: &Pooled) {
        if self.hashes.remove(&pooled.hash).is_none() {
            return;
        }
        self.bytes -= pooled.raw.len();
        if let Some(queue) = self.senders.get_mut(&pooled.sender) {
            queue.remove(&pooled.nonce);
            if queue.is_empty() {
                self.senders.remove(&pooled.sender);
            }
        }
    }

    /// All senders with waiting transactions.
    pub fn senders(&self) -> Vec<Address> {
        self.senders.keys().copied().collect()
    }

    /// Executable transactions in the order that `order` decides: pseudo-random over all senders,
    /// by nonce within each (protocol 6.4: neither fees nor the host move a transaction). At most
    /// `bytes_max` bytes, none that `may_go` holds back. `nonce_of` gives a sender's next nonce.
    pub fn select(
        &self,
        order: &Secret,
        bytes_max: usize,
        may_go: impl Fn(&Pooled) -> bool,
        mut nonce_of: impl FnMut(Address) -> Option<u64>,
    ) -> Vec<Arc<Pooled>> {
        let mut heap = BinaryHeap::new();
        let mut queues = Vec::with_capacity(self.senders.len());
        for (&sender, queue) in &self.senders {
            let Some(nonce) = nonce_of(sender) else {
                continue;
            };
            // What follows one that has to wait, waits too.
            let mut queue = queue.range(nonce..).take_while(|(_, next)| may_go(next)).peekable();
            if let Some((_, first)) = queue.next_if(|(first, _)| **first == nonce) {
                heap.push((rank(order, first), queues.len()));
                queues.push((first, queue));
            }
        }
        let (mut selected, mut bytes) = (Vec::new(), 0);
        while let Some((_, sender)) = heap.pop() {
            let Some((pooled, queue)) = queues.get_mut(sender) else {
                continue;
            };
            // What does not fit waits with all that follows it; others may be smaller. One fits
            // always.
            if bytes + pooled.raw.len() > bytes_max && !selected.is_empty() {
                continue;
            }
            bytes += pooled.raw.len();
            selected.push((*pooled).clone());
            if let Some((_, next)) = queue.next_if(|(next, _)| **next == pooled.nonce + 1) {
                heap.push((rank(order, next), sender));
                *pooled = next;
            }
        }
        selected
    }
}

fn outbids(new: &Pooled, old: &Pooled) -> bool {
    new.fee_max.saturating_mul(100) >= old.fee_max.saturating_mul(100 + REPLACEMENT_BUMP_PERCENT)
}

/// One hash function or another: nobody else computes it. This one has instructions of its own.
fn rank(order: &Secret, pooled: &Pooled) -> B256 {
    let hasher = Sha256::new().chain_update(order.expose()).chain_update(pooled.hash);
    B256::new(hasher.finalize().into())
}
