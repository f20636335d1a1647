//! A started enclave: verifies and folds L1 blocks, judges and seals rollups (protocol 4, 5). Not
//! here: users' requests (`answer`), the door (`lib`).

use crate::{
    blobs,
    chain::{Chain, Verdict},
    device::{Device, Entropy},
    identity::{Identity, network_key_bytes},
    index::Index,
    l1::{self, L1Error},
    ledger::{Candidate, Ledger, LedgerError, OnReject},
    pool::{Pool, Pooled},
    store::Store,
    trie::{DEFAULT_CACHED_NODES, EMPTY_ROOT, NodeCache},
    view::{Member, Rollup, View},
};
use alloy_consensus::{TxEnvelope, transaction::SignerRecoverable};
use alloy_eips::Decodable2718;
use alloy_primitives::{Address, B256, Bytes, keccak256};
use alloy_sol_types::SolStruct;
use obscuro_protocol::{
    config::{L1BlockId, NetworkConfig},
    door::{self, Carrier, DoorError, Folded, Head, L1Block, Peer, Registration, Retry, SeedShare},
    envelope,
    keys::{KemPrivateKey, Label, MasterSeed},
    l1::IRollupManagement::RollupPublished,
    limits::PAYLOAD_BYTES_MAX,
    payload::{self, Item, Payload, PayloadError},
    rollup::{RollupHeader, SignedRollup, recover, signing_domain},
    wire,
};
use parking_lot::{Mutex, RwLock};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// A snapshot is emitted every so many L1 blocks, of a view as many blocks deep.
const SNAPSHOT_BLOCKS: u64 = 64;
const SNAPSHOT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How often a rollup is built again because its payload came out too long.
const BUILD_ATTEMPTS_MAX: usize = 4;
/// The least raw transaction bytes that are always tried: fewer would never fill a payload.
const BUILD_BYTES_MIN: usize = PAYLOAD_BYTES_MAX / 2;

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
    identity: RwLock<Identity>,
    keys: RwLock<Option<Arc<NetworkKeys>>>,
    pub(crate) chain: RwLock<Chain>,
    pub(crate) pool: Mutex<Pool>,
    pub(crate) cache: NodeCache,
    pub(crate) index: Index,
    pub(crate) sessions: crate::answer::Sessions,
    /// Raw transaction bytes that fit a payload, by the compression last achieved.
    build_bytes: AtomicUsize,
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

    /// Whether a published rollup is valid on this branch of L1 (protocol 5.4).
    fn judge_published(
        &self,
        event: &RollupPublished,
        parent: &View,
        block: &L1Block,
        keys: &NetworkKeys,
        around: Surroundings<'_>,
    ) -> Result<Option<Arc<Rollup>>, DoorError> {
        let header = &event.header;
        let proof = self.chain.read().ancestor(parent, header.l1ProofNumber, header.l1Proof);
        let Some(proof) = proof else { return Ok(None) };
        if self.check_context(header, &event.signature, &proof).is_err() {
            return Ok(None);
        }
        let hash = header.hash();
        if let Some(verdict) = self.chain.read().verdict(hash) {
            return Ok(verdict.valid());
        }
        let carried = block.payloads.iter().find(|carried| carried.rollup == hash);
        let Some(carried) = carried else {
            return Err(DoorError::Retry(Retry::Payload(hash)));
        };
        let payload = match &carried.carrier {
            Carrier::Calldata(bytes) => Some(bytes.clone()),
            Carrier::Blobs(blobs) => blobs::payload(blobs, &event.blobs)
                .map_err(|error| match error {
                    blobs::BlobError::NotTheseBlobs => DoorError::Retry(Retry::Payload(hash)),
                    blobs::BlobError::Setup(reason) => DoorError::Fatal(reason),
                })?
                .map(Bytes::from),
        };
        let verdict = match payload {
            Some(bytes) if keccak256(&bytes) == header.payloadHash => {
                self.judge(header, &bytes, &proof, keys, around)?
            }
            // L1 itself checked calldata: other bytes are the host's.
            Some(_) if event.blobs.is_empty() => {
                return Err(DoorError::Retry(Retry::Payload(hash)));
            }
            _ => Verdict::Invalid("the blobs do not hold the payload".into()),
        };
        self.chain.write().judge(hash, header.number, verdict.clone());
        Ok(verdict.valid())
    }

    /// A peer's candidate: judged ahead of its inclusion.
    pub fn candidate(
        &self,
        rollup: &SignedRollup,
        around: Surroundings<'_>,
    ) -> Result<(), DoorError> {
        let keys = self.keys()?;
        let header = &rollup.header;
        let proof = self.chain.read().view(header.l1Proof);
        let proof = proof.ok_or(DoorError::Retry(Retry::L1Block(header.l1Proof)))?;
        self.check_context(header, &rollup.signature, &proof).map_err(DoorError::Rejected)?;
        if keccak256(&rollup.payload) != header.payloadHash {
            return Err(DoorError::Rejected("payload does not match the header".into()));
        }
        let hash = header.hash();
        let known = self.chain.read().verdict(hash);
        let verdict = match known {
            Some(verdict) => verdict,
            None => {
                let verdict = self.judge(header, &rollup.payload, &proof, &keys, around)?;
                self.chain.write().judge(hash, header.number, verdict.clone());
                verdict
            }
        };
        match verdict {
            Verdict::Valid(_) => Ok(()),
            Verdict::Invalid(reason) => Err(DoorError::Rejected(reason)),
        }
    }

    /// The checks that depend on the branch of L1: parent canonical at the proof, aggregator
    /// attested and staked at the proof, signature.
    fn check_context(
        &self,
        header: &RollupHeader,
        signature: &[u8],
        proof: &View,
    ) -> Result<(), String> {
        if proof.head.hash != header.parent || proof.block.number != header.l1ProofNumber {
            return Err("the parent is not canonical at the L1 proof".into());
        }
        if !proof.is_aggregator(header.aggregator) {
            return Err("the aggregator is not attested and staked at the L1 proof".into());
        }
        let domain = signing_domain(self.config.l1ChainId, self.config.contracts.rollupManagement);
        if recover(&header.signing_hash(&domain), signature) != Some(header.aggregator) {
            return Err("the signature is not the aggregator's".into());
        }
        Ok(())
    }

    /// Executes a rollup and compares every field that execution determines.
    fn judge(
        &self,
        header: &RollupHeader,
        bytes: &[u8],
        proof: &View,
        keys: &NetworkKeys,
        around: Surroundings<'_>,
    ) -> Result<Verdict, DoorError> {
        let parsed = match self.parse_payload(bytes, keys) {
            Ok(parsed) => parsed,
            Err(reason) => return Ok(Verdict::Invalid(reason)),
        };
        let candidates: Vec<Candidate<'_>> = parsed.transactions.iter().map(candidate).collect();
        let ledger = self.ledger(keys, around.store);
        let outcome = match ledger.execute(&proof.head, proof, &candidates, OnReject::Fail)? {
            Ok(outcome) => outcome,
            Err(reason) => return Ok(Verdict::Invalid(reason)),
        };
        let expected = RollupHeader {
            aggregator: header.aggregator,
            nonce: header.nonce,
            payloadHash: header.payloadHash,
            ..outcome.body.header.clone()
        };
        if expected != *header || outcome.body.withdrawals != parsed.withdrawals {
            return Ok(Verdict::Invalid(difference(&expected, header)));
        }
        let rollup = ledger.commit(&proof.head, outcome, header.clone())?;
        Ok(Verdict::Valid(Arc::new(rollup)))
    }

    fn parse_payload(&self, bytes: &[u8], keys: &NetworkKeys) -> Result<Parsed, String> {
        let payload = payload::open(bytes, &keys.seed).map_err(|error| error.to_string())?;
        let expected = self.config.default_reveal();
        if payload.items.iter().any(|item| item.option != expected) {
            return Err("a transaction has the wrong reveal option".into());
        }
        let transactions = payload
            .items
            .into_iter()
            .map(|item| decode_transaction(item.transaction))
            .collect::<Result<_, _>>()?;
        Ok(Parsed { transactions, withdrawals: payload.withdrawals })
    }

    /// This enclave's candidate on the head; the same in every call of a round.
    pub fn seal(&self, around: Surroundings<'_>) -> Result<Option<SignedRollup>, DoorError> {
        let keys = self.keys()?;
        let view = self.chain.read().head();
        let enclave = self.identity.read().address();
        if !view.is_aggregator(enclave) {
            return Ok(None);
        }
        let round = (view.head.hash, view.block.hash);
        if let Some(sealed) = self.chain.read().sealed(view.block.number, round) {
            return Ok(Some((*sealed).clone()));
        }
        let idle_blocks = view.block.number.saturating_sub(view.included);
        if view.deposits.is_empty()
            && self.pool.lock().is_empty()
            && idle_blocks < self.config.idleBlocksMax
        {
            return Ok(None);
        }
        let rollup = Arc::new(self.build(&view, enclave, &keys, around)?);
        self.chain.write().remember_sealed(rollup.clone());
        Ok(Some((*rollup).clone()))
    }

    fn build(
        &self,
        view: &View,
        enclave: Address,
        keys: &NetworkKeys,
        around: Surroundings<'_>,
    ) -> Result<SignedRollup, DoorError> {
        let ledger = self.ledger(keys, around.store);
        for _ in 0..BUILD_ATTEMPTS_MAX {
            let selected = self.select(view, &ledger)?;
            let candidates: Vec<Candidate<'_>> =
                selected.iter().map(|p| pooled_candidate(p)).collect();
            let outcome = ledger
                .execute(&view.head, view, &candidates, OnReject::Skip)?
                .map_err(DoorError::Rejected)?;
            let raw_bytes: usize = outcome.body.transactions.iter().map(|t| t.raw.len()).sum();
            let payload = match self.seal_payload(&outcome.body, view, keys, around) {
                Ok(payload) => payload,
                Err(PayloadError::TooLong(bytes)) => {
                    self.learn_compression(raw_bytes, bytes);
                    continue;
                }
                Err(error) => return Err(DoorError::Fatal(error.to_string())),
            };
            self.learn_compression(raw_bytes, payload.len());
            let identity = self.identity.read();
            let header = RollupHeader {
                aggregator: enclave,
                nonce: identity.lottery_nonce(view.head.hash, view.randao),
                payloadHash: keccak256(&payload),
                ..outcome.body.header.clone()
            };
            let domain =
                signing_domain(self.config.l1ChainId, self.config.contracts.rollupManagement);
            let signature = identity.sign(header.signing_hash(&domain));
            let rollup = ledger.commit(&view.head, outcome, header.clone())?;
            self.chain.write().judge(rollup.hash, header.number, Verdict::Valid(Arc::new(rollup)));
            return Ok(SignedRollup { header, signature, payload });
        }
        Err(DoorError::Rejected("no payload fits the limit".into()))
    }

    fn select(&self, view: &View, ledger: &Ledger<'_>) -> Result<Vec<Arc<Pooled>>, DoorError> {
        let order = ledger.order(view.head.hash, view.block.hash);
        let state = ledger.state(view.head.header.stateRoot);
        let nonce_of = |sender| match state.account(sender) {
            Ok(account) => Some(account.map_or(0, |account| account.nonce)),
            Err(_) => None,
        };
        Ok(self.pool.lock().select(&order, self.build_bytes.load(Ordering::Relaxed), nonce_of))
    }

    fn seal_payload(
        &self,
        body: &crate::ledger::Body,
        view: &View,
        keys: &NetworkKeys,
        around: Surroundings<'_>,
    ) -> Result<Bytes, PayloadError> {
        let option = self.config.default_reveal();
        let items =
            body.transactions.iter().map(|t| Item { option, transaction: t.raw.clone() }).collect();
        let payload = Payload { items, withdrawals: body.withdrawals.clone() };
        let interval = |option| self.config.reveal_interval(option, view.block.number);
        payload::seal(&payload, &keys.seed, interval, &mut Entropy(around.device))
    }

    /// Raw bytes that will fit next time, with a twentieth to spare.
    fn learn_compression(&self, raw_bytes: usize, payload_bytes: usize) {
        if raw_bytes < BUILD_BYTES_MIN && payload_bytes <= PAYLOAD_BYTES_MAX {
            return;
        }
        let fitting = raw_bytes.saturating_mul(PAYLOAD_BYTES_MAX) / payload_bytes.max(1);
        let next = (fitting / 20 * 19).max(BUILD_BYTES_MIN / 8);
        self.build_bytes.store(next, Ordering::Relaxed);
    }

    /// Makes a fed block the L1 head.
    pub fn set_head(&self, block: B256, around: Surroundings<'_>) -> Result<Head, DoorError> {
        let view = self.chain.read().view(block).ok_or(DoorError::Retry(Retry::L1Block(block)))?;
        let former = self.chain.write().set_head(view.clone());
        if former.head.hash != view.head.hash && self.keys.read().is_some() {
            self.follow_head(&former.head, &view.head, around)?;
        }
        Ok(self.head_of(&view))
    }

    /// Transactions of rollups that are no longer canonical return to the pool; those of newly
    /// canonical ones leave it.
    fn follow_head(
        &self,
        former: &Rollup,
        head: &Rollup,
        around: Surroundings<'_>,
    ) -> Result<(), DoorError> {
        let keys = self.keys()?;
        let ledger = self.ledger(&keys, around.store);
        let (orphaned, adopted) = self.branches(former.hash, head.hash);
        for rollup in &orphaned {
            if let Some(body) = ledger.body(*rollup)? {
                self.return_to_pool(&body);
            }
        }
        for rollup in adopted.iter().rev() {
            if let Some(body) = ledger.body(*rollup)? {
                if !orphaned.is_empty() {
                    Index::persist(*rollup, &body, ledger.store())?;
                }
                self.index.add(*rollup, body);
            }
        }
        let state = ledger.state(head.header.stateRoot);
        let mut pool = self.pool.lock();
        for sender in pool.senders() {
            let nonce = state.account(sender).map_err(LedgerError::from)?.map_or(0, |a| a.nonce);
            pool.prune(sender, nonce);
        }
        Ok(())
    }

    fn return_to_pool(&self, body: &crate::ledger::Body) {
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
        let fresh: Vec<Bytes> =
            self.pool.lock().take_fresh().iter().map(|p| p.raw.clone()).collect();
        if fresh.is_empty() {
            return Ok(Bytes::new());
        }
        let plain = obscuro_protocol::padding::pad(&wire::encode(&fresh));
        envelope::seal(
            &keys.seed.derive(Label::Gossip),
            &plain,
            self.config_hash.as_slice(),
            &mut Entropy(around.device),
        )
        .map(Bytes::from)
        .map_err(|error| DoorError::Fatal(error.to_string()))
    }

    fn snapshot(&self, view: &View, keys: &NetworkKeys, around: Surroundings<'_>) -> Option<Bytes> {
        if !view.block.number.is_multiple_of(SNAPSHOT_BLOCKS) {
            return None;
        }
        let target = view.block.number.checked_sub(SNAPSHOT_BLOCKS)?;
        let chain = self.chain.read();
        let mut deep = chain.view(view.parent)?;
        while deep.block.number > target {
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

impl Verdict {
    fn valid(self) -> Option<Arc<Rollup>> {
        match self {
            Self::Valid(rollup) => Some(rollup),
            Self::Invalid(_) => None,
        }
    }
}

struct Parsed {
    transactions: Vec<Pooled>,
    withdrawals: Vec<obscuro_protocol::rollup::Withdrawal>,
}

/// Decodes a signed transaction and recovers its sender.
pub fn decode_transaction(raw: Bytes) -> Result<Pooled, String> {
    use alloy_consensus::Transaction;
    let mut rest = raw.as_ref();
    let transaction = TxEnvelope::decode_2718(&mut rest)
        .map_err(|error| format!("invalid transaction: {error}"))?;
    if !rest.is_empty() {
        return Err("invalid transaction: bytes left over".into());
    }
    let sender = transaction.recover_signer().map_err(|_| "invalid sender".to_string())?;
    Ok(Pooled {
        hash: *transaction.tx_hash(),
        nonce: transaction.nonce(),
        fee_max: transaction.max_fee_per_gas(),
        sender,
        transaction,
        raw,
    })
}

fn candidate(pooled: &Pooled) -> Candidate<'_> {
    Candidate { transaction: &pooled.transaction, raw: &pooled.raw, sender: pooled.sender }
}

fn pooled_candidate(pooled: &Arc<Pooled>) -> Candidate<'_> {
    candidate(pooled)
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

/// The first field in which two headers differ.
fn difference(expected: &RollupHeader, found: &RollupHeader) -> String {
    let fields = [
        ("version", expected.version == found.version),
        ("timestamp", expected.timestamp == found.timestamp),
        ("state root", expected.stateRoot == found.stateRoot),
        ("transactions root", expected.transactionsRoot == found.transactionsRoot),
        ("receipts root", expected.receiptsRoot == found.receiptsRoot),
        ("withdrawals root", expected.withdrawalsRoot == found.withdrawalsRoot),
        ("deposit cursor", expected.depositCursor == found.depositCursor),
        ("gas used", expected.gasUsed == found.gasUsed),
        ("gas limit", expected.gasLimit == found.gasLimit),
        ("base fee", expected.baseFee == found.baseFee),
        ("number", expected.number == found.number),
        ("public events root", expected.publicEventsRoot == found.publicEventsRoot),
    ];
    let field = fields.iter().find(|(_, same)| !same).map_or("withdrawal list", |(name, _)| name);
    format!("wrong {field}")
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
