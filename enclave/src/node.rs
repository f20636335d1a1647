//! A started enclave: verifies and folds L1 blocks, follows the head, shares the seed
//! (protocol 3, 4). Not here: rollups (`rollups`), users' requests (`answer`), the door (`lib`).

use crate::{
    chain::Chain,
    device::{Device, Entropy},
    identity::{Identity, network_key_bytes},
    index::Index,
    l1::{self, L1Error},
    ledger::{Body, Ledger, LedgerError},
    pool::Pool,
    rollups::decode_transaction,
    store::Store,
    trie::{DEFAULT_CACHED_NODES, EMPTY_ROOT, NodeCache},
    view::{Member, Rollup, View},
};
use alloy_primitives::{Address, B256, Bytes, keccak256};
use alloy_sol_types::SolStruct;
use obscuro_protocol::{
    config::{L1BlockId, NetworkConfig},
    door::{self, DoorError, Folded, Head, L1Block, Peer, Registration, Retry, SeedShare},
    envelope,
    keys::{KemPrivateKey, Label, MasterSeed},
    limits::{GOSSIP_BYTES_MAX, PAYLOAD_BYTES_MAX},
    padding,
    rollup::{RollupHeader, signing_domain},
    wire,
};
use parking_lot::{Mutex, RwLock};
use std::sync::{Arc, atomic::AtomicUsize};

/// A snapshot is emitted every so many L1 blocks, of a view as many blocks deep.
const SNAPSHOT_BLOCKS: u64 = 64;
/// Most bytes of transactions in one message to the peers.
const GOSSIP_BATCH_BYTES_MAX: usize = GOSSIP_BYTES_MAX / 2;
const SNAPSHOT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// What the seed yields for this network.
pub struct NetworkKeys {
    /// The seed.
    pub seed: MasterSeed,
    /// Opens user envelopes.
    pub network: KemPrivateKey,
    /// Its public half on the wire.
    pub network_public: Bytes,
}

/// A started enclave.
pub struct Node {
    pub(crate) config: NetworkConfig,
    pub(crate) config_hash: B256,
    pub(crate) identity: RwLock<Identity>,
    keys: RwLock<Option<Arc<NetworkKeys>>>,
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
            chain: RwLock::new(Chain::new(View::checkpoint(&config, unknown_genesis(&config)))),
            keys: RwLock::new(None),
            pool: Mutex::default(),
            cache: NodeCache::new(DEFAULT_CACHED_NODES),
            index: Index::new(),
            sessions: crate::answer::Sessions::new(),
            build_bytes: AtomicUsize::new(PAYLOAD_BYTES_MAX),
            identity: RwLock::new(identity),
            config,
            config_hash,
        };
        node.derive_keys(around)?;
        if let (Some(keys), Some(snapshot)) = (node.keys.read().as_ref(), snapshot)
            && let Some(view) = open_snapshot(&keys.seed, config_hash, snapshot)
        {
            *node.chain.write() = Chain::new(view);
        }
        Ok(node)
    }

    /// Takes the keys of the identity's seed into use and starts over from the checkpoint.
    fn derive_keys(&self, around: Surroundings<'_>) -> Result<(), DoorError> {
        let keys = self.identity.read().seed().map(|seed| {
            Arc::new(NetworkKeys {
                seed: MasterSeed::new(seed.secret().duplicate()),
                network: seed.network_key().0,
                network_public: network_key_bytes(seed).into(),
            })
        });
        let genesis = match &keys {
            Some(keys) => self.ledger(keys, around.store).genesis()?,
            None => unknown_genesis(&self.config),
        };
        *self.keys.write() = keys;
        *self.chain.write() = Chain::new(View::checkpoint(&self.config, genesis));
        Ok(())
    }

    /// For [`door::Reply::Started`].
    pub fn started(&self, device: &dyn Device) -> door::Started {
        let identity = self.identity.read();
        door::Started {
            enclave: identity.address(),
            identity: identity.seal(device, self.config_hash),
            position: self.chain.read().head().block.clone(),
            has_seed: identity.seed().is_some(),
        }
    }

    /// For [`door::Reply::Registration`].
    pub fn register(
        &self,
        device: &dyn Device,
        owner: Address,
        block: &L1BlockId,
        genesis: bool,
        around: Surroundings<'_>,
    ) -> Result<Registration, DoorError> {
        let had_seed = self.keys.read().is_some();
        let registration = self
            .identity
            .write()
            .register(device, &self.config, owner, block, genesis)
            .map_err(|error| DoorError::Fatal(error.to_string()))?;
        if genesis && !had_seed {
            self.derive_keys(around)?;
        }
        Ok(registration)
    }

    /// The keys, once the enclave holds the seed.
    pub fn keys(&self) -> Result<Arc<NetworkKeys>, DoorError> {
        self.keys.read().clone().ok_or(DoorError::Retry(Retry::Seed))
    }

    /// The ledger over the host's store.
    pub fn ledger<'a>(&'a self, keys: &NetworkKeys, store: &'a dyn Store) -> Ledger<'a> {
        Ledger::new(&self.config, &keys.seed, store, &self.cache)
    }

    /// Verifies and folds a block.
    pub fn l1_block(&self, block: &L1Block, around: Surroundings<'_>) -> Result<Folded, DoorError> {
        let parent_hash = l1::parent_of(&block.header)?;
        let id = keccak256(&block.header);
        if let Some(known) = self.chain.read().view(id) {
            return Ok(Folded { block: known.block.clone(), identity: None, snapshot: None });
        }
        let parent = self
            .chain
            .read()
            .view(parent_hash)
            .ok_or(DoorError::Retry(Retry::L1Block(parent_hash)))?;
        let verified = l1::verify(block, parent.block.number, &self.config.contracts)?;
        let mut folded = parent.fold(verified, &self.config, around.device.measurement());
        let Some(keys) = self.keys.read().clone() else {
            return self.fold_without_seed(folded, around);
        };
        if folded.network_key().is_some_and(|key| *key != keys.network_public) {
            // Another node created this network: the seed made here is worthless.
            self.identity.write().forget_seed();
            return self.start_over(folded.block(), around);
        }
        let mut valid = Vec::new();
        for event in std::mem::take(&mut folded.published) {
            valid.extend(self.judge_published(&event, &parent, block, &keys, around)?);
        }
        let view = folded.decide(valid);
        let (block, snapshot) = (view.block.clone(), self.snapshot(&view, &keys, around));
        self.chain.write().insert(view);
        Ok(Folded { block, identity: None, snapshot })
    }

    fn fold_without_seed(
        &self,
        folded: crate::view::Folded,
        around: Surroundings<'_>,
    ) -> Result<Folded, DoorError> {
        let network_key = folded.network_key().cloned().unwrap_or_default();
        let seed = {
            let identity = self.identity.read();
            folded.shares.iter().filter(|share| share.enclave == identity.address()).find_map(
                |share| {
                    identity.open_share(
                        &self.config,
                        share.responder,
                        &share.encryptedSeed,
                        &network_key,
                    )
                },
            )
        };
        if let Some(seed) = seed {
            self.identity.write().adopt(seed);
            return self.start_over(folded.block(), around);
        }
        let view = folded.decide(Vec::new());
        let block = view.block.clone();
        self.chain.write().insert(view);
        Ok(Folded { block, identity: None, snapshot: None })
    }

    fn start_over(&self, block: L1BlockId, around: Surroundings<'_>) -> Result<Folded, DoorError> {
        self.derive_keys(around)?;
        let identity = self.identity.read().seal(around.device, self.config_hash);
        Ok(Folded { block, identity: Some(identity), snapshot: None })
    }

    /// Makes a fed block the L1 head.
    pub fn set_head(&self, block: B256, around: Surroundings<'_>) -> Result<Head, DoorError> {
        let view = self.chain.read().view(block).ok_or(DoorError::Retry(Retry::L1Block(block)))?;
        let former = self.chain.read().head();
        let moved = former.head.hash != view.head.hash && self.keys.read().is_some();
        let nonces =
            if moved { self.follow_head(&former.head, &view.head, around)? } else { Vec::new() };
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
        former: &Rollup,
        head: &Rollup,
        around: Surroundings<'_>,
    ) -> Result<Vec<(Address, u64)>, DoorError> {
        let keys = self.keys()?;
        let ledger = self.ledger(&keys, around.store);
        let (orphaned, adopted) = self.branches(former.hash, head.hash);
        for rollup in &orphaned {
            let body = executed_body(&ledger, *rollup)?;
            self.return_to_pool(&body);
        }
        for rollup in adopted.iter().rev() {
            let body = executed_body(&ledger, *rollup)?;
            // A losing sibling may have been executed later and hold the entries.
            Index::persist(*rollup, &body, ledger.store())?;
            self.index.add(*rollup, body);
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

    fn return_to_pool(&self, body: &Body) {
        let mut pool = self.pool.lock();
        for transaction in &body.transactions {
            if let Ok(pooled) = decode_transaction(transaction.raw.clone()) {
                // A full pool or a replacement in the meantime: the sender sends again.
                let _ = pool.insert(Arc::new(pooled), true);
            }
        }
    }

    /// The rollups down to the common ancestor of two, as far as they are remembered.
    fn branches(&self, from: B256, to: B256) -> (Vec<B256>, Vec<B256>) {
        let chain = self.chain.read();
        let (mut a, mut b) = (chain.rollup(from), chain.rollup(to));
        let (mut orphaned, mut adopted) = (Vec::new(), Vec::new());
        while let Some(newer) = &b {
            match &a {
                Some(older) if older.hash == newer.hash => break,
                Some(older) if older.header.number > newer.header.number => {
                    orphaned.push(older.hash);
                    a = chain.rollup(older.header.parent);
                }
                Some(older) if older.header.number == newer.header.number => {
                    orphaned.push(older.hash);
                    adopted.push(newer.hash);
                    (a, b) = (chain.rollup(older.header.parent), chain.rollup(newer.header.parent));
                }
                _ => {
                    adopted.push(newer.hash);
                    b = chain.rollup(newer.header.parent);
                }
            }
        }
        (orphaned, adopted)
    }

    /// The head as the host needs it.
    fn head_of(&self, view: &View) -> Head {
        let enclave = self.identity.read().address();
        let has_seed = self.keys.read().is_some();
        let peers = view
            .members
            .iter()
            .filter(|(address, member)| **address != enclave && member.is_aggregator())
            .map(|(address, member)| Peer {
                enclave: *address,
                host_address: member.host_address.clone(),
            })
            .collect();
        Head {
            l1: view.block.clone(),
            rollup: view.head.hash,
            number: view.head.header.number,
            included: view.included,
            is_aggregator: has_seed && view.is_aggregator(enclave),
            is_registered: view.members.get(&enclave).is_some_and(|member| !member.left),
            seed_shares_due: has_seed && view.members.values().any(Member::awaits_seed),
            has_seed,
            network_key: view.network_key.clone().unwrap_or_default(),
            peers,
            forget: self.index.take_settled(view.block.number),
        }
    }

    /// The seed for every newcomer on the head that waits for it.
    pub fn seed_shares(&self, around: Surroundings<'_>) -> Result<Vec<SeedShare>, DoorError> {
        self.keys()?;
        let view = self.chain.read().head();
        let identity = self.identity.read();
        let waiting = view.members.iter().filter(|(_, member)| member.awaits_seed());
        Ok(waiting
            .filter_map(|(enclave, member)| {
                self.seed_share(&view, &identity, *enclave, member, around)
            })
            .collect())
    }

    fn seed_share(
        &self,
        view: &View,
        identity: &Identity,
        enclave: Address,
        member: &Member,
        around: Surroundings<'_>,
    ) -> Option<SeedShare> {
        let encrypted_seed =
            identity.share_seed(around.device, &self.config, enclave, &member.encryption_key)?;
        let share = obscuro_protocol::l1::SeedShare {
            enclave,
            encryptionKeyHash: keccak256(&member.encryption_key),
            encryptedSeedHash: keccak256(&encrypted_seed),
        };
        let domain = signing_domain(self.config.l1ChainId, self.config.contracts.networkManagement);
        let signature = identity.sign(share.eip712_signing_hash(&domain));
        let distance =
            |responder: Address| keccak256([responder.as_slice(), enclave.as_slice()].concat());
        let own = distance(identity.address());
        let rank = view
            .members
            .iter()
            .filter(|(responder, member)| {
                member.has_seed && !member.left && distance(**responder) < own
            })
            .count() as u64;
        Some(SeedShare { enclave, rank, registered: member.registered, encrypted_seed, signature })
    }

    /// What users sent since the last call, for the peers.
    pub fn take_transactions(&self, around: Surroundings<'_>) -> Result<Bytes, DoorError> {
        let keys = self.keys()?;
        let fresh = self.pool.lock().take_fresh(GOSSIP_BATCH_BYTES_MAX);
        if fresh.is_empty() {
            return Ok(Bytes::new());
        }
        self.seal_transactions(&fresh, &keys, around)
    }

    /// Encrypts transactions so that every enclave of the network can read them, and no host.
    pub(crate) fn seal_transactions(
        &self,
        raws: &[Bytes],
        keys: &NetworkKeys,
        around: Surroundings<'_>,
    ) -> Result<Bytes, DoorError> {
        let plain = padding::pad(&wire::encode(&raws));
        let key = keys.seed.derive(Label::Gossip);
        envelope::seal(&key, &plain, self.config_hash.as_slice(), &mut Entropy(around.device))
            .map(Bytes::from)
            .map_err(|error| DoorError::Fatal(error.to_string()))
    }

    /// The transactions that an enclave of this network encrypted.
    pub(crate) fn open_transactions(
        &self,
        sealed: &[u8],
        keys: &NetworkKeys,
    ) -> Result<Vec<Bytes>, DoorError> {
        let key = keys.seed.derive(Label::Gossip);
        let padded = envelope::open(&key, sealed, self.config_hash.as_slice())
            .map_err(|_| DoorError::Rejected("transactions do not decrypt".into()))?;
        let malformed = || DoorError::Rejected("transactions are malformed".into());
        let plain = padding::unpad(&padded).ok_or_else(malformed)?;
        wire::decode(plain, plain.len()).map_err(|_| malformed())
    }

    fn snapshot(&self, view: &View, keys: &NetworkKeys, around: Surroundings<'_>) -> Option<Bytes> {
        if !view.block.number.is_multiple_of(SNAPSHOT_BLOCKS) {
            return None;
        }
        let target = view.block.number.checked_sub(SNAPSHOT_BLOCKS)?;
        let chain = self.chain.read();
        let mut deep = chain.view(view.parent)?;
        // Down to a block that included the canonical rollup: no child of it has an older proof.
        while deep.block.number > target || deep.included != deep.block.number {
            deep = chain.view(deep.parent)?;
        }
        let key = keys.seed.derive(Label::Snapshot);
        envelope::seal(
            &key,
            &wire::encode(&*deep),
            self.config_hash.as_slice(),
            &mut Entropy(around.device),
        )
        .ok()
        .map(Bytes::from)
    }
}

/// The body of a rollup that this enclave executed: the host must have it.
fn executed_body(ledger: &Ledger<'_>, rollup: B256) -> Result<Arc<Body>, DoorError> {
    let missing =
        || DoorError::Retry(Retry::Store(format!("the body of rollup {rollup} is missing")));
    ledger.body(rollup)?.ok_or_else(missing)
}

/// Stands for rollup 0 until the seed is there: nothing is executed on it.
fn unknown_genesis(config: &NetworkConfig) -> Rollup {
    let hash = config.hash();
    Rollup {
        hash,
        header: RollupHeader { parent: hash, ..Default::default() },
        history_root: EMPTY_ROOT,
    }
}

fn open_snapshot(seed: &MasterSeed, config_hash: B256, sealed: &[u8]) -> Option<View> {
    let plain =
        envelope::open(&seed.derive(Label::Snapshot), sealed, config_hash.as_slice()).ok()?;
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
