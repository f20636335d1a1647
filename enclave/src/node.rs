//! A started enclave: verifies and folds L1 blocks and follows the head (protocol 4). Not here: its
//! place in the network (`membership`), rollups (`rollups`), users' requests (`answer`), the door
//! (`lib`).

use crate::{
    chain::Chain,
    device::{Device, Entropy},
    epochs::{EpochKeys, KeyRing, NetworkKeys},
    forced,
    identity::Identity,
    index::Index,
    l1::{self, L1Error},
    ledger::{Body, Ledger, LedgerError},
    pool::Pool,
    rollups::{decode_transaction, is_too_old},
    store::Store,
    trie::{EMPTY_ROOT, NodeCache},
    view::{RegisteredNode, Rollup, View},
};
use alloy_primitives::{Address, B256, Bytes, keccak256};
use obscuro_protocol::{
    checks::Checks,
    config::{L1BlockId, NetworkConfig},
    door::{self, DoorError, Folded, Head, L1Block, Peer, Retry},
    envelope,
    keys::Label,
    l1::IRollupManagement::RollupPublished,
    limits::{GOSSIP_BYTES_MAX, PAYLOAD_BYTES_MAX},
    padding,
    rollup::RollupHeader,
    secret::Secret,
    wire,
};
use parking_lot::{Mutex, RwLock};
use std::sync::{Arc, atomic::AtomicUsize};

/// A snapshot is emitted every so many L1 blocks, of a view as many blocks deep.
const SNAPSHOT_BLOCKS: u64 = 64;
/// Most bytes of transactions in one message to the peers.
const GOSSIP_BATCH_BYTES_MAX: usize = GOSSIP_BYTES_MAX / 2;
/// Without a rollup for long, much may wait in a view: it is rather folded again than passed through
/// the door.
const SNAPSHOT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// A started enclave.
pub struct Node {
    pub(crate) config: NetworkConfig,
    pub(crate) config_hash: B256,
    pub(crate) checks: Checks,
    pub(crate) identity: RwLock<Identity>,
    ring: RwLock<KeyRing>,
    /// One block is folded at a time: what one brings may change what the keys and the tree are for the next.
    folding: Mutex<()>,
    /// One rollup is sealed at a time: a round has one candidate.
    pub(crate) sealing: Mutex<()>,
    pub(crate) forced: forced::Opened,
    pub(crate) chain: RwLock<Chain>,
    pub(crate) pool: Mutex<Pool>,
    pub(crate) cache: NodeCache,
    pub(crate) index: Index,
    pub(crate) sessions: crate::answer::Sessions,
    /// Raw transaction bytes that fit a payload, by the compression last achieved.
    pub(crate) build_bytes: AtomicUsize,
}

/// What a request needs besides the node: passed in, so that the enclave owns no I/O.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// The TEE.
    pub device: &'a dyn Device,
    /// The host's store.
    pub store: &'a dyn Store,
}

/// Transactions as an enclave of this network passed them on, or gave them to its host to keep.
pub(crate) struct SealedTransactions {
    /// The newest epoch that they have seen: the one under which they were encrypted, or that of the
    /// head here.
    pub epoch: u32,
    /// The L1 head of who encrypted them.
    pub l1_number: u64,
    /// Signed transactions.
    pub raws: Vec<Bytes>,
}

/// Why they cannot be read.
pub(crate) enum Unopened {
    /// They say that they are of an epoch to come.
    Yet,
    /// They are not of this network, or were altered.
    Never,
}

impl From<Unopened> for DoorError {
    fn from(unopened: Unopened) -> Self {
        match unopened {
            Unopened::Yet => Self::Retry(Retry::Seed),
            Unopened::Never => Self::Rejected("transactions do not decrypt".into()),
        }
    }
}

impl Node {
    /// Starts with what was sealed in a former life, as far as it can still be read.
    pub fn start(
        config: NetworkConfig,
        identity: Option<&[u8]>,
        snapshot: Option<&[u8]>,
        around: Surroundings<'_>,
    ) -> Result<Self, DoorError> {
        let config_hash = config.hash();
        let identity = identity
            .and_then(|sealed| Identity::unseal(around.device, config_hash, sealed))
            .unwrap_or_else(|| Identity::generate(around.device));
        let node = Self {
            chain: RwLock::new(Chain::new(
                View::checkpoint(&config, unknown_genesis(&config)),
                Vec::new(),
            )),
            ring: RwLock::default(),
            folding: Mutex::default(),
            sealing: Mutex::default(),
            forced: forced::Opened::new(),
            pool: Mutex::default(),
            cache: NodeCache::new(around.device.cached_nodes()),
            index: Index::new(),
            sessions: crate::answer::Sessions::new(),
            build_bytes: AtomicUsize::new(PAYLOAD_BYTES_MAX),
            identity: RwLock::new(identity),
            config,
            config_hash,
            checks: around.device.checks(),
        };
        node.start_at_checkpoint(around)?;
        let key = node.identity.read().snapshot_key();
        if let Some(snapshot) = snapshot
            && let Some((view, proofs)) = open_snapshot(&key, config_hash, snapshot)
            && node.ring().of(&view.network_keys).is_some()
        {
            *node.chain.write() = Chain::new(view, proofs);
        }
        Ok(node)
    }

    /// Takes the keys of the identity's seeds into use and starts over from the checkpoint.
    pub(crate) fn start_at_checkpoint(&self, around: Surroundings<'_>) -> Result<(), DoorError> {
        let mut ring = self.ring();
        ring.renew(self.identity.read().seeds());
        let genesis = match ring.founding() {
            Some(keys) => self.ledger(&keys, around.store).genesis(around.device)?,
            None => unknown_genesis(&self.config),
        };
        *self.ring.write() = ring;
        *self.chain.write() = Chain::new(View::checkpoint(&self.config, genesis), Vec::new());
        Ok(())
    }

    /// For [`door::Reply::Started`].
    pub fn started(&self, device: &dyn Device) -> door::Started {
        let identity = self.identity.read();
        door::Started {
            enclave: identity.address(),
            identity: identity.seal(device, self.config_hash),
            position: self.chain.read().head().block.clone(),
            has_seed: !identity.seeds().is_empty(),
        }
    }

    /// Every seed that this enclave holds.
    pub(crate) fn ring(&self) -> KeyRing {
        self.ring.read().clone()
    }

    /// The keys at the L1 head; the enclave may not hold them yet, or not any more.
    pub fn keys(&self) -> Result<NetworkKeys, DoorError> {
        self.keys_at(&self.chain.read().head())
    }

    /// The keys at an L1 block.
    pub(crate) fn keys_at(&self, view: &View) -> Result<NetworkKeys, DoorError> {
        let keys = self.ring.read().of(&view.network_keys);
        keys.filter(|_| !view.is_blind).ok_or(DoorError::Retry(Retry::Seed))
    }

    /// The ledger over the host's store.
    pub fn ledger<'a>(&'a self, keys: &NetworkKeys, store: &'a dyn Store) -> Ledger<'a> {
        Ledger::new(&self.config, keys, store, &self.cache)
    }

    /// Verifies and folds a block.
    pub fn l1_block(&self, block: &L1Block, around: Surroundings<'_>) -> Result<Folded, DoorError> {
        let _one = self.folding.lock();
        let parent_hash = l1::parent_of(&block.header)?;
        let id = keccak256(&block.header);
        if let Some(known) = self.chain.read().view(id) {
            let block = known.block.clone();
            return Ok(Folded { block, identity: None, is_start_over: false, snapshot: None });
        }
        let parent = self
            .chain
            .read()
            .view(parent_hash)
            .ok_or(DoorError::Retry(Retry::L1Block(parent_hash)))?;
        let verified = l1::verify(block, parent.block.number, &self.config.contracts)?;
        let mut folded = parent.fold(verified, &self.config);
        let first = folded.network_keys().first();
        let ring = self.ring();
        if first
            .is_some_and(|first| !ring.is_empty() && ring.of(std::slice::from_ref(first)).is_none())
        {
            // Another node founded this network: the seed made here is worthless.
            self.identity.write().forget_seeds();
            return self.start_over(folded.block(), around);
        }
        let lost = folded.lost_keys(&parent);
        if !lost.is_empty() && !parent.is_blind {
            // Nobody else read the rollups of a lost epoch: they do not count.
            self.ring.write().renounce(lost, folded.block().number);
            return self.start_over(folded.block(), around);
        }
        if self.ring.write().reclaim(folded.network_keys(), folded.block().number) {
            return self.start_over(folded.block(), around);
        }
        if ring.has_renounced(folded.network_keys()) {
            return Ok(self.fold_without_seed(folded));
        }
        let mut identity = None;
        if ring.of(folded.network_keys()).is_none() {
            // Of the rollups on a branch that this enclave could not read before, it knows nothing.
            let was_reading = self.keys_at(&parent).is_ok();
            match (self.take_shares(&folded), was_reading) {
                (false, _) => return Ok(self.fold_without_seed(folded)),
                (true, false) => return self.start_over(folded.block(), around),
                (true, true) => {
                    // Other branches may have the same epoch: there, too, it reads from now on.
                    self.chain.write().forget_blind();
                    self.ring.write().renew(self.identity.read().seeds());
                    identity = Some(self.identity.read().seal(around.device, self.config_hash));
                }
            }
        }
        if self.has_forgotten_proofs(&folded, &parent) {
            return self.start_over(folded.block(), around);
        }
        let judge = |published: Vec<RollupPublished>| {
            let mut valid = Vec::new();
            for event in published {
                valid.extend(self.judge_published(&event, &parent, block, around)?);
            }
            Ok::<_, DoorError>(valid)
        };
        let valid = judge(std::mem::take(&mut folded.published))?;
        let late = judge(std::mem::take(&mut folded.late))?;
        let members: Vec<_> = match valid.is_empty() {
            true => Vec::new(),
            false => parent.members().map(|(enclave, node)| (enclave, node.owner)).collect(),
        };
        let view = folded.decide(valid, late, &members, &self.config);
        let (block, snapshot) = (view.block.clone(), self.snapshot(&view, around));
        self.chain.write().insert(view);
        Ok(Folded { block, identity, is_start_over: false, snapshot })
    }

    /// Whether the proof of a rollup to be judged is older than what this enclave remembers: after a deep
    /// reorganisation of L1. Others may know it, so it must not count as invalid.
    fn has_forgotten_proofs(&self, folded: &crate::view::Folded, parent: &View) -> bool {
        let chain = self.chain.read();
        let mut judged = folded.published.iter().chain(&folded.late);
        judged.any(|RollupPublished { header, .. }| {
            !is_too_old(header, parent)
                && chain.ancestor(parent, header.l1ProofNumber, header.l1Proof).is_err()
        })
    }

    /// Takes the seeds that a block brought for this enclave, if they are the network's.
    fn take_shares(&self, folded: &crate::view::Folded) -> bool {
        let mut identity = self.identity.write();
        let enclave = identity.address();
        let own = folded.shares.iter().filter(|share| share.enclave == enclave);
        let seeds = own.into_iter().find_map(|share| {
            let (responder, encrypted) = (share.responder, &share.encryptedSeed);
            identity.open_share(&self.config, responder, encrypted, folded.network_keys())
        });
        let is_opened = seeds.is_some();
        identity.adopt(seeds.unwrap_or_default());
        is_opened
    }

    /// Follows L1 as far as that is possible without reading rollups.
    fn fold_without_seed(&self, folded: crate::view::Folded) -> Folded {
        let view = folded.unread(&self.config);
        let block = view.block.clone();
        self.chain.write().insert(view);
        Folded { block, identity: None, is_start_over: false, snapshot: None }
    }

    fn start_over(&self, block: L1BlockId, around: Surroundings<'_>) -> Result<Folded, DoorError> {
        self.start_at_checkpoint(around)?;
        let identity = Some(self.identity.read().seal(around.device, self.config_hash));
        Ok(Folded { block, identity, is_start_over: true, snapshot: None })
    }

    /// Makes a fed block the L1 head.
    pub fn set_head(&self, block: B256, around: Surroundings<'_>) -> Result<Head, DoorError> {
        let view = self.chain.read().view(block).ok_or(DoorError::Retry(Retry::L1Block(block)))?;
        let former = self.chain.read().followed();
        let moved = former.head.hash != view.head.hash && self.keys_at(&view).is_ok();
        let nonces = if moved { self.follow_head(&former, &view, around)? } else { Vec::new() };
        self.chain.write().set_head(view.clone());
        // Only now: whoever is being admitted meanwhile is judged by the former head and pool.
        let mut pool = self.pool.lock();
        for (sender, nonce) in nonces {
            self.index.settle(pool.prune(sender, nonce), view.head.header.l1ProofNumber);
        }
        drop(pool);
        Ok(self.head_of(&view))
    }

    /// Transactions of rollups that are no longer canonical return to the pool; those of newly
    /// canonical ones are indexed. Returns the senders' nonces, below which nothing need wait.
    fn follow_head(
        &self,
        former: &View,
        view: &View,
        around: Surroundings<'_>,
    ) -> Result<Vec<(Address, u64)>, DoorError> {
        let keys = self.keys_at(view)?;
        let (head, ledger) = (&view.head, self.ledger(&keys, around.store));
        let (orphaned, adopted) = self.branches(former.head.hash, head.hash);
        // On the branch that is left, another epoch may have begun: its bodies are under that one.
        if let Ok(former_keys) = self.keys_at(former) {
            let ledger = self.ledger(&former_keys, around.store);
            for rollup in &orphaned {
                let body = self.executed_body(&ledger, rollup)?;
                self.return_to_pool(&body, former.epoch());
            }
        }
        for rollup in adopted.iter().rev() {
            let body = self.executed_body(&ledger, rollup)?;
            Index::persist(rollup.hash, &body, ledger.store(), around.device)?;
            self.index.add(rollup.hash, body);
        }
        let state = ledger.state(head.header.stateRoot);
        let senders = self.pool.lock().senders();
        let mut nonces = Vec::with_capacity(senders.len());
        for sender in senders {
            let account = state.account(sender).map_err(LedgerError::from)?;
            nonces.push((sender, account.map_or(0, |account| account.nonce)));
        }
        Ok(nonces)
    }

    /// The body of a rollup that this enclave executed: if it is not in memory, the host must have it.
    fn executed_body(&self, ledger: &Ledger<'_>, rollup: &Rollup) -> Result<Arc<Body>, DoorError> {
        let Rollup { hash, history_root, .. } = *rollup;
        let missing =
            || DoorError::Retry(Retry::Store(format!("the body of rollup {hash} is missing")));
        self.index.body(hash, || ledger.body(history_root, hash))?.ok_or_else(missing)
    }

    fn return_to_pool(&self, body: &Body, former_epoch: u32) {
        // A rollup is encrypted under the epoch of its proof.
        let proof = self.chain.read().view(body.header.l1Proof);
        let epoch = proof.map_or(former_epoch, |proof| proof.epoch());
        let mut pool = self.pool.lock();
        for transaction in &body.transactions {
            if let Ok(pooled) = decode_transaction(transaction.raw.clone(), epoch, &self.checks) {
                // A full pool or a replacement in the meantime: the sender sends again.
                let _ = pool.insert(Arc::new(pooled), true);
            }
        }
    }

    /// The rollups down to the common ancestor of two, as far as they are remembered.
    fn branches(&self, from: B256, to: B256) -> (Vec<Arc<Rollup>>, Vec<Arc<Rollup>>) {
        let chain = self.chain.read();
        let (mut a, mut b) = (chain.rollup(from), chain.rollup(to));
        let (mut orphaned, mut adopted) = (Vec::new(), Vec::new());
        while let Some(newer) = b.clone() {
            match a.clone() {
                Some(older) if older.hash == newer.hash => break,
                Some(older) if older.header.number > newer.header.number => {
                    a = chain.rollup(older.header.parent);
                    orphaned.push(older);
                }
                Some(older) if older.header.number == newer.header.number => {
                    (a, b) = (chain.rollup(older.header.parent), chain.rollup(newer.header.parent));
                    orphaned.push(older);
                    adopted.push(newer);
                }
                _ => {
                    b = chain.rollup(newer.header.parent);
                    adopted.push(newer);
                }
            }
        }
        (orphaned, adopted)
    }

    /// The head as the host needs it.
    fn head_of(&self, view: &View) -> Head {
        let enclave = self.identity.read().address();
        let has_seed = self.keys_at(view).is_ok();
        let others = view.admitted().filter(|(address, _)| *address != enclave);
        let (peers, readers): (Vec<_>, Vec<_>) =
            others.partition(|(address, _)| view.is_aggregator(*address));
        let peer = |(enclave, node): (Address, &RegisteredNode)| Peer {
            enclave,
            lottery_key: node.lottery_key.clone(),
            host_address: node.host_address.clone(),
        };
        Head {
            l1: view.block.clone(),
            rollup: view.head.hash,
            number: view.head.header.number,
            included: view.included,
            round: view.head.header.round(),
            nonce: view.head.header.nonce,
            is_aggregator: has_seed && view.is_aggregator(enclave),
            is_registered: view.is_registered(enclave),
            host_address: view
                .nodes
                .get(&enclave)
                .map(|node| node.host_address.clone())
                .unwrap_or_default(),
            duties: self.duties(view, enclave, has_seed),
            has_seed,
            network_key: view.network_keys.last().cloned().unwrap_or_default(),
            randao: view.randao,
            peers: peers.into_iter().map(peer).collect(),
            readers: readers.into_iter().map(|(_, node)| node.host_address.clone()).collect(),
            forget: self.index.take_settled(view.block.number, &self.pool.lock()),
        }
    }

    /// What users sent since the last call, for the peers.
    pub fn take_transactions(&self, around: Surroundings<'_>) -> Result<Bytes, DoorError> {
        let keys = self.keys()?;
        let fresh = self.pool.lock().take_fresh(keys.epoch(), GOSSIP_BATCH_BYTES_MAX);
        if fresh.is_empty() {
            return Ok(Bytes::new());
        }
        self.seal_transactions(&fresh, &keys, around)
    }

    /// Encrypts transactions so that every enclave of the network can read them, and no host. They
    /// bear the number of the epoch: elsewhere, or in the next life, none before it may have them. It
    /// stands in front for those who have not reached it. Inside is the number of the L1 head.
    pub(crate) fn seal_transactions(
        &self,
        raws: &[Bytes],
        keys: &NetworkKeys,
        around: Surroundings<'_>,
    ) -> Result<Bytes, DoorError> {
        let number = self.chain.read().head().block.number;
        let plain = padding::pad(&wire::encode(&(number, raws)));
        let key = keys.current().seed.derive(Label::Gossip);
        let epoch = keys.epoch().to_be_bytes();
        envelope::seal(&key, &plain, &self.transactions_context(epoch), &mut Entropy(around.device))
            .map(|sealed| [&epoch[..], &sealed].concat().into())
            .map_err(|error| DoorError::Fatal(error.to_string()))
    }

    /// The transactions that an enclave of this network encrypted. At most so many seeds are tried if it says
    /// that it was ahead of this head.
    pub(crate) fn open_transactions(
        &self,
        bytes: &[u8],
        keys: &NetworkKeys,
        seeds_ahead_max: usize,
    ) -> Result<SealedTransactions, Unopened> {
        let (epoch, sealed) = bytes.split_first_chunk::<4>().ok_or(Unopened::Never)?;
        let context = self.transactions_context(*epoch);
        let open = |keys: &EpochKeys| {
            let key = keys.seed.derive(Label::Gossip);
            envelope::open(&key, sealed, &context).ok()
        };
        let epoch = u32::from_be_bytes(*epoch);
        // What was encrypted before an epoch began is still on its way, or in a host's keeping; and a
        // former life, or a peer, may be ahead of this head.
        let tried = if epoch > keys.epoch() { seeds_ahead_max } else { usize::MAX };
        let padded = self.ring().newest_first().take(tried).find_map(open);
        let padded = padded.ok_or(match epoch > keys.epoch() {
            true => Unopened::Yet,
            false => Unopened::Never,
        })?;
        let plain = padding::unpad(&padded).ok_or(Unopened::Never)?;
        let (l1_number, raws) = wire::decode(plain, plain.len()).map_err(|_| Unopened::Never)?;
        Ok(SealedTransactions { epoch: epoch.max(keys.epoch()), l1_number, raws })
    }

    fn transactions_context(&self, epoch: [u8; 4]) -> Vec<u8> {
        [self.config_hash.as_slice(), &epoch].concat()
    }

    fn snapshot(&self, view: &View, around: Surroundings<'_>) -> Option<Bytes> {
        if !view.block.number.is_multiple_of(SNAPSHOT_BLOCKS) {
            return None;
        }
        let target = view.block.number.checked_sub(SNAPSHOT_BLOCKS)?;
        let key = self.identity.read().snapshot_key();
        let chain = self.chain.read();
        // What lies above the head that was last followed is not in the index yet.
        let target = target.min(chain.followed().block.number);
        let mut deep = chain.view(view.parent)?;
        // Down to a block that included the canonical rollup: no child of it has an older proof.
        while deep.block.number > target || deep.included != deep.block.number {
            deep = chain.view(deep.parent)?;
        }
        // A late sibling of that rollup is judged by its proof, which is older.
        let proofs: Option<Vec<_>> =
            deep.rewards.open_proofs().map(|hash| chain.view(hash)).collect();
        let proofs = proofs?;
        let plain = wire::encode(&(&*deep, proofs.iter().map(|view| &**view).collect::<Vec<_>>()));
        if plain.len() > SNAPSHOT_BYTES_MAX {
            return None;
        }
        envelope::seal(&key, &plain, self.config_hash.as_slice(), &mut Entropy(around.device))
            .ok()
            .map(Bytes::from)
    }
}

/// Stands for rollup 0 until the seed is there: nothing is executed on it.
fn unknown_genesis(config: &NetworkConfig) -> Rollup {
    let hash = config.hash();
    Rollup {
        hash,
        header: RollupHeader { parent: hash, ..Default::default() },
        history_root: EMPTY_ROOT,
        payload_bytes: 0,
        data_gas: 0,
    }
}

fn open_snapshot(key: &Secret, config_hash: B256, sealed: &[u8]) -> Option<(View, Vec<View>)> {
    let plain = envelope::open(key, sealed, config_hash.as_slice()).ok()?;
    wire::decode(&plain, SNAPSHOT_BYTES_MAX).ok()
}

impl From<L1Error> for DoorError {
    fn from(error: L1Error) -> Self {
        match error {
            L1Error::ReceiptsNeeded => Self::Retry(Retry::Receipts),
            other => Self::Rejected(other.to_string()),
        }
    }
}

impl From<LedgerError> for DoorError {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Unavailable(reason) => Self::Retry(Retry::Store(reason)),
            LedgerError::Fatal(reason) => Self::Fatal(reason),
        }
    }
}
