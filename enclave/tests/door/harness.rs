//! An enclave behind its door, on an L1 made of headers and receipts alone. Not here: any case.

use alloy_consensus::{
    Eip658Value, Header, Receipt, ReceiptEnvelope, SignableTransaction, Signed, TxEip1559,
    TxEnvelope, TxLegacy,
};
use alloy_eips::Encodable2718;
use alloy_primitives::IntoLogData;
use alloy_primitives::{Address, B256, Bytes, Log, Signature, TxKind, U256, keccak256};
use alloy_sol_types::{SolEvent, SolValue};
use k256::ecdsa::SigningKey;
use obscuro_enclave::{
    Enclave,
    device::{Device, DeviceError, Task},
    store::{Store, StoreError},
    trie,
};
use obscuro_protocol::{
    attestation::{Stripped, platform_id},
    config::{Contracts, L1BlockId, NetworkConfig, RevealOption},
    door::{
        self, CarriedPayload, Carrier, DoorError, Folded, Head, L1Block, Registration, Reply,
        Request, SeedShare,
    },
    envelope::Session,
    forced as protocol_forced, keys,
    l1::{
        IAttestationVerifier::{self, IAttestationVerifierEvents},
        IBridgeManagement, INetworkManagement, IRollupManagement, SeedAnswer,
    },
    query::{Query, Reply as Answer, Request as UserRequest},
    rollup::SignedRollup,
    secret::Secret,
    viewing::{Authorisation, Credentials, ViewingKey, session_digest},
    wire,
};
use obscuro_software_tee::{Authority, SoftwareDevice, pki::FMSPC, policy};
use std::{
    cell::Cell,
    collections::HashMap,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Instant,
};

/// When the L1 began, seconds since 1970: certificates are valid then.
pub const GENESIS_TIME: u64 = 1_750_000_000;
pub const OWNER: Address = Address::repeat_byte(0xaa);
thread_local! {
    /// The L1 account that registers nodes from now on.
    pub static REGISTRANT: Cell<Address> = const { Cell::new(OWNER) };
    /// [`NetworkConfig::rewardMarginPercent`] of networks from now on.
    pub static MARGIN_PERCENT: Cell<u8> = const { Cell::new(50) };
}

/// One OBX in its smallest unit.
pub const OBX: u128 = 1_000_000_000_000_000_000;

/// A network of one aggregator, its seed published, `alice` endowed by a deposit in rollup 1.
pub fn network() -> (Node, L1, User) {
    network_on(L1::new())
}

/// The same, where L1 has prices of its own.
pub fn network_on(mut l1: L1) -> (Node, L1, User) {
    let (node, alice) = (Node::start(1, true), User::new("alice"));
    let head = node.follow(&l1.block(registered(&node.registration, 1_000), vec![]));
    assert!(head.has_seed && head.is_registered && !head.is_aggregator);
    let obx = config().contracts.obscuroToken;
    let deposit = deposited(0, obx, alice.address(), 100 * OBX);
    assert!(node.follow(&l1.block(vec![deposit], vec![])).is_aggregator);
    assert_eq!(round(&node, &mut l1).header.number, 1);
    (node, l1, alice)
}

/// Seals and publishes what waits.
pub fn round(node: &Node, l1: &mut L1) -> SignedRollup {
    let rollup = node.seal().expect("something waits");
    assert_eq!(node.follow(&l1.publish(&rollup)).rollup, rollup.header.hash());
    rollup
}

/// The next life of `node` after its disk was lost, at the same L1 block.
pub fn follower_of(node: &Node, l1: &L1) -> Node {
    let follower = Node::restart(1, TestStore::default(), Some(node.registration.identity.clone()));
    follower.catch_up(l1);
    follower
}

/// What the enclaves of a process work with.
pub static CORES: AtomicUsize = AtomicUsize::new(2);

/// How they do tasks.
pub static RUN: Mutex<fn(Vec<Task<'_>>)> = Mutex::new(side_by_side);

/// Entropy from a counter: tests are repeatable.
pub struct TestDevice {
    seed: u64,
    counter: AtomicU64,
    tee: SoftwareDevice,
    /// When the enclave first made or sealed a secret.
    pub first_use: Arc<OnceLock<Instant>>,
}

impl TestDevice {
    pub fn new(seed: u64, counter: u64) -> Self {
        let machine = Secret::new(keccak256(seed.to_be_bytes()).into());
        let tee = SoftwareDevice::new(machine).unwrap();
        Self { seed, counter: AtomicU64::new(counter), tee, first_use: Arc::default() }
    }

    /// How L1 names the machine.
    pub fn machine(&self) -> B256 {
        self.tee.machine().id()
    }

    /// The same machine, running another program.
    pub fn with_measurement(self, measurement: B256) -> Self {
        Self { tee: self.tee.with_measurement(measurement), ..self }
    }
}

impl Device for TestDevice {
    fn entropy(&self, out: &mut [u8]) {
        self.first_use.get_or_init(Instant::now);
        for chunk in out.chunks_mut(32) {
            let count = self.counter.fetch_add(1, Ordering::Relaxed);
            let block = keccak256([self.seed.to_be_bytes(), count.to_be_bytes()].concat());
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
    }

    fn quote(&self, report_data: B256) -> Result<Stripped, DeviceError> {
        self.tee.quote(report_data)
    }

    fn sealing_key(&self) -> Secret {
        self.first_use.get_or_init(Instant::now);
        Secret::new(keccak256((self.seed, self.tee.measurement()).abi_encode()).into())
    }

    fn cores(&self) -> usize {
        CORES.load(Ordering::Relaxed)
    }

    fn run(&self, tasks: Vec<Task<'_>>) {
        let run = *RUN.lock().unwrap();
        run(tasks);
    }
}

fn side_by_side(tasks: Vec<Task<'_>>) {
    std::thread::scope(|scope| tasks.into_iter().for_each(|task| drop(scope.spawn(task))));
}

/// A store that a test can tamper with.
#[derive(Default, Clone)]
pub struct TestStore(pub Arc<Mutex<HashMap<B256, Vec<u8>>>>);

impl Store for TestStore {
    fn get(&self, key: B256) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.lock().unwrap().get(&key).cloned())
    }

    fn put(&self, batch: Vec<(B256, Vec<u8>)>) -> Result<(), StoreError> {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

pub fn config() -> NetworkConfig {
    NetworkConfig {
        version: 1,
        l1ChainId: 31_337,
        l2ChainId: 2_908,
        checkpoint: L1BlockId { number: 10, hash: keccak256("checkpoint") },
        contracts: Contracts {
            obscuroToken: Address::repeat_byte(1),
            attestationVerifier: Address::repeat_byte(2),
            networkManagement: Address::repeat_byte(3),
            rollupManagement: Address::repeat_byte(4),
            bridgeManagement: Address::repeat_byte(5),
        },
        attestationRoot: Authority::development().root_hash(),
        gasLimit: 300_000_000,
        computePrice: 1_000_000_000,
        obxPerEth: 1_000_000_000_000,
        rewardMarginPercent: MARGIN_PERCENT.get(),
        poolReserve: 1_000_000,
        revealDefault: RevealOption::XL as u8,
        revealPeriods: [1, 300, 7_200, 216_000, 2_628_000],
        idleBlocksMax: 5,
        startupHashes: 10,
        withdrawalBlocks: 8,
        forkTimeoutBlocks: 8,
    }
}

/// An enclave with its store.
pub struct Node {
    pub enclave: Enclave<TestDevice>,
    pub store: TestStore,
    pub registration: Registration,
    /// All that the host was told.
    pub replies: Mutex<Vec<Vec<u8>>>,
    /// What the host has to keep for the enclave's next life.
    pub kept: Mutex<Kept>,
    /// The L1 block whose children it expected when it started.
    pub position: L1BlockId,
}

/// The newest of what an enclave sealed for itself.
#[derive(Clone, Default)]
pub struct Kept {
    pub identity: Option<Bytes>,
    pub snapshot: Option<Bytes>,
}

impl Node {
    pub fn start(seed: u64, genesis: bool) -> Self {
        Self::start_on(TestDevice::new(seed, 0), config(), &config().checkpoint, genesis)
    }

    /// A new node that asks for its registration, over an L1 block.
    pub fn start_on(
        device: TestDevice,
        config: NetworkConfig,
        l1_block: &L1BlockId,
        genesis: bool,
    ) -> Self {
        let mut node = Self::live(device, config, TestStore::default(), Kept::default());
        let request =
            Request::Register { owner: REGISTRANT.get(), l1_block: l1_block.clone(), genesis };
        match node.ask(request) {
            Ok(Reply::Registration(registration)) => node.registration = *registration,
            other => panic!("{other:?}"),
        }
        node.kept.get_mut().unwrap().identity = Some(node.registration.identity.clone());
        node
    }

    /// A new life on the same machine, with what was sealed in the last.
    pub fn restart(seed: u64, store: TestStore, identity: Option<Bytes>) -> Self {
        Self::restart_with(seed, store, identity, None)
    }

    /// A new life with a snapshot, too.
    pub fn restart_with(
        seed: u64,
        store: TestStore,
        identity: Option<Bytes>,
        snapshot: Option<Bytes>,
    ) -> Self {
        // Another life has other entropy.
        let counter = identity.is_some() as u64 * 1_000_000;
        Self::live(TestDevice::new(seed, counter), config(), store, Kept { identity, snapshot })
    }

    /// A life with what its host kept of the last.
    pub fn live(device: TestDevice, config: NetworkConfig, store: TestStore, kept: Kept) -> Self {
        let enclave = Enclave::new(device);
        let Kept { identity, snapshot } = kept.clone();
        let mut node = Self {
            enclave,
            store,
            registration: empty_registration(),
            replies: Mutex::default(),
            kept: Mutex::new(kept),
            position: config.checkpoint.clone(),
        };
        let start = Request::Start { config: Box::new(config), identity, snapshot };
        match node.ask(start) {
            Ok(Reply::Started(started)) => {
                node.kept.get_mut().unwrap().identity = Some(started.identity);
                node.position = started.position;
                node
            }
            other => panic!("{other:?}"),
        }
    }

    /// Feeds a whole branch from the checkpoint, again if the seed came with it.
    pub fn catch_up(&self, l1: &L1) -> Head {
        for block in &l1.blocks {
            if self.feed(block).unwrap().is_start_over {
                return self.catch_up(l1);
            }
        }
        self.set_head(l1.tip.hash)
    }

    pub fn ask(&self, request: Request) -> Result<Reply, DoorError> {
        let reply = self.enclave.handle(&door::encode(&request), &self.store);
        self.replies.lock().unwrap().push(reply.clone());
        match door::decode(&reply).unwrap() {
            Reply::Refused(error) => Err(error),
            reply => Ok(reply),
        }
    }

    pub fn feed(&self, block: &L1Block) -> Result<Folded, DoorError> {
        match self.ask(Request::L1Block(Box::new(block.clone())))? {
            Reply::Folded(folded) => {
                let mut kept = self.kept.lock().unwrap();
                kept.identity = folded.identity.clone().or(kept.identity.take());
                kept.snapshot = folded.snapshot.clone().or(kept.snapshot.take());
                Ok(*folded)
            }
            other => panic!("{other:?}"),
        }
    }

    /// Feeds a block and makes it the head.
    pub fn follow(&self, block: &L1Block) -> Head {
        let folded = self.feed(block).unwrap();
        self.set_head(folded.block.hash)
    }

    pub fn set_head(&self, hash: B256) -> Head {
        match self.ask(Request::SetHead(hash)).unwrap() {
            Reply::Head(head) => *head,
            other => panic!("{other:?}"),
        }
    }

    pub fn seal(&self) -> Option<SignedRollup> {
        match self.ask(Request::Seal).unwrap() {
            Reply::Sealed(sealed) => sealed.map(|rollup| *rollup),
            other => panic!("{other:?}"),
        }
    }
}

fn empty_registration() -> Registration {
    Registration {
        quote: Bytes::new(),
        certificates: Vec::new(),
        enclave: Address::ZERO,
        encryption_key: Bytes::new(),
        lottery_key: Bytes::new(),
        network_key: Bytes::new(),
        encrypted_seed: Bytes::new(),
        identity: Bytes::new(),
    }
}

/// An L1 branch of headers.
#[derive(Clone)]
pub struct L1 {
    pub tip: L1BlockId,
    pub salt: u64,
    /// What gas costs from now on, wei.
    pub base_fee: u64,
    /// What makes blob gas dear (EIP-4844).
    pub excess_blob_gas: u64,
    /// Seconds by which the next blocks come later.
    pub delay: u64,
    /// All blocks so far.
    pub blocks: Vec<L1Block>,
}

impl L1 {
    pub fn new() -> Self {
        Self {
            tip: config().checkpoint,
            salt: 0,
            delay: 0,
            base_fee: 0,
            excess_blob_gas: 0,
            blocks: Vec::new(),
        }
    }

    /// The next block, with these logs and payloads.
    pub fn block(&mut self, logs: Vec<Log>, payloads: Vec<CarriedPayload>) -> L1Block {
        let receipt: Receipt<Log> =
            Receipt { status: Eip658Value::success(), cumulative_gas_used: 100_000, logs };
        let receipt = ReceiptEnvelope::Eip1559(receipt.with_bloom());
        let raw: Bytes = receipt.encoded_2718().into();
        let header = Header {
            parent_hash: self.tip.hash,
            number: self.tip.number + 1,
            timestamp: GENESIS_TIME + 12 * self.tip.number + self.delay,
            mix_hash: keccak256([self.tip.hash.as_slice(), &self.salt.to_be_bytes()].concat()),
            receipts_root: trie::ordered_root([&raw].into_iter()),
            logs_bloom: *receipt.logs_bloom(),
            base_fee_per_gas: Some(self.base_fee),
            withdrawals_root: Some(trie::EMPTY_ROOT),
            blob_gas_used: Some(0),
            excess_blob_gas: Some(self.excess_blob_gas),
            ..Default::default()
        };
        let header: Bytes = alloy_rlp::encode(&header).into();
        self.tip = L1BlockId { number: self.tip.number + 1, hash: keccak256(&header) };
        let block = L1Block { header, receipts: Some(vec![raw]), payloads };
        self.blocks.push(block.clone());
        block
    }

    /// The next block, publishing a rollup by calldata.
    pub fn publish(&mut self, rollup: &SignedRollup) -> L1Block {
        self.publish_before(rollup, vec![])
    }

    /// The same, with more logs behind it.
    pub fn publish_before(&mut self, rollup: &SignedRollup, logs: Vec<Log>) -> L1Block {
        let payload = CarriedPayload {
            rollup: rollup.header.hash(),
            carrier: Carrier::Calldata(rollup.payload.clone()),
        };
        self.block([vec![published(rollup)], logs].concat(), vec![payload])
    }
}

pub fn log(address: Address, event: impl SolEvent) -> Log {
    Log { address, data: event.encode_log_data() }
}

pub fn published(rollup: &SignedRollup) -> Log {
    published_in_blobs(rollup, Vec::new())
}

/// The log of a rollup whose payload travels in blobs with these hashes.
pub fn published_in_blobs(rollup: &SignedRollup, blobs: Vec<B256>) -> Log {
    let event = IRollupManagement::RollupPublished {
        rollup: rollup.header.hash(),
        aggregator: rollup.header.aggregator,
        header: rollup.header.clone(),
        signature: rollup.signature.clone(),
        lotteryProof: rollup.lottery_proof.clone(),
        blobs,
    };
    log(config().contracts.rollupManagement, event)
}

/// The logs of `AttestationVerifier` that the first registration needs.
pub fn introduced(registration: &Registration) -> Vec<Log> {
    let (authority, program) = (Authority::development(), SoftwareDevice::program_measurement());
    let events = authority.verifier_events(&[program], policy()).into_iter();
    events.map(attesting).chain([platform(&registration.certificates)]).collect()
}

/// A log of `AttestationVerifier`.
pub fn attesting(event: IAttestationVerifierEvents) -> Log {
    Log { address: config().contracts.attestationVerifier, data: event.into_log_data() }
}

/// The log of a machine with these certificates.
pub fn platform(certificates: &[Bytes]) -> Log {
    let [machine, issuer, _] = certificates else { panic!("certificates") };
    attesting(IAttestationVerifierEvents::PlatformRegistered(
        IAttestationVerifier::PlatformRegistered {
            platform: platform_id(machine).unwrap(),
            machine: B256::ZERO,
            authority: platform_id(issuer).unwrap(),
            fmspc: FMSPC.into(),
            der: machine.clone(),
        },
    ))
}

/// The log of a registration that names an L1 block.
pub fn registering(registration: &Registration, stake: u64, l1_block: &L1BlockId) -> Log {
    log(
        config().contracts.networkManagement,
        INetworkManagement::NodeRegistered {
            enclave: registration.enclave,
            owner: REGISTRANT.get(),
            quote: registration.quote.clone(),
            encryptionKey: registration.encryption_key.clone(),
            lotteryKey: registration.lottery_key.clone(),
            hostAddress: "/ip4/127.0.0.1/tcp/1".into(),
            stake: U256::from(stake),
            l1Block: l1_block.number,
            l1BlockHash: l1_block.hash,
        },
    )
}

/// The logs of a registration; at genesis with the network key and the seed.
pub fn registered(registration: &Registration, stake: u64) -> Vec<Log> {
    let network = config().contracts.networkManagement;
    let mut logs = introduced(registration);
    logs.push(registering(registration, stake, &config().checkpoint));
    if !registration.network_key.is_empty() {
        logs.push(log(
            network,
            INetworkManagement::NetworkKeyPublished {
                epoch: 1,
                responder: registration.enclave,
                networkKey: registration.network_key.clone(),
            },
        ));
        logs.push(shared(
            registration.enclave,
            registration.enclave,
            1,
            registration.encrypted_seed.clone(),
        ));
    }
    logs
}

pub fn shared(enclave: Address, responder: Address, epoch: u32, encrypted_seed: Bytes) -> Log {
    let network = config().contracts.networkManagement;
    let event =
        INetworkManagement::SeedShared { enclave, responder, epoch, encryptedSeed: encrypted_seed };
    log(network, event)
}

/// The log of an answer that L1 took.
pub fn answered(share: &SeedShare) -> Log {
    let SeedAnswer { enclave, responder, epoch, encryptedSeed, .. } = share.answer.clone();
    shared(enclave, responder, epoch, encryptedSeed)
}

pub fn deposited(index: u64, asset: Address, to: Address, amount: u128) -> Log {
    log(
        config().contracts.bridgeManagement,
        IBridgeManagement::Deposited {
            index,
            asset,
            to,
            from: to,
            amount: U256::from(amount),
            name: "Test Token".into(),
            symbol: "TT".into(),
            decimals: 18,
        },
    )
}

/// The log of a forced transaction.
pub fn forced(index: u64, envelope: impl Into<Bytes>) -> Log {
    let event = IRollupManagement::TransactionForced {
        index,
        sender: Address::repeat_byte(0xee),
        envelope: envelope.into(),
    };
    log(config().contracts.rollupManagement, event)
}

/// A transaction sealed to an epoch's network key, to be forced.
pub fn sealed_to(network_key: &[u8], epoch: u32, raw: &[u8]) -> Vec<u8> {
    let device = TestDevice::new(u64::from_be_bytes(keccak256(raw)[..8].try_into().unwrap()), 0);
    let key = keys::kem_public_key(network_key).unwrap();
    let mut entropy = obscuro_enclave::device::Entropy(&device);
    protocol_forced::seal(&key, epoch, config().hash(), raw, &mut entropy).unwrap()
}

/// A user with a wallet key.
pub struct User(pub SigningKey);

impl User {
    pub fn new(name: &str) -> Self {
        Self(SigningKey::from_slice(keccak256(name).as_slice()).unwrap())
    }

    pub fn address(&self) -> Address {
        Address::from_public_key(self.0.verifying_key())
    }

    pub fn sign(&self, digest: B256) -> Bytes {
        let (signature, recovery) = self.0.sign_prehash_recoverable(digest.as_slice()).unwrap();
        [signature.to_bytes().as_slice(), &[27 + recovery.to_byte()]].concat().into()
    }

    pub fn transaction(
        &self,
        nonce: u64,
        to: TxKind,
        value: u128,
        input: impl Into<Bytes>,
    ) -> Bytes {
        self.sign_transaction(nonce, to, value, (3_000_000, 2_000_000_000), input.into())
    }

    pub fn transaction_with_gas(&self, nonce: u64, to: TxKind, gas: u64, input: Vec<u8>) -> Bytes {
        self.sign_transaction(nonce, to, 0, (gas, 2_000_000_000), input.into())
    }

    /// A plain transfer of nothing that offers this much per gas.
    pub fn transaction_with_fee(&self, nonce: u64, to: TxKind, fee: u64) -> Bytes {
        self.sign_transaction(nonce, to, 0, (21_000, fee), Bytes::new())
    }

    /// A transaction to itself, for another chain.
    pub fn of_chain(&self, nonce: u64, chain_id: u64) -> Bytes {
        self.signed(TxEip1559 {
            chain_id,
            nonce,
            gas_limit: 21_000,
            max_fee_per_gas: 2_000_000_000,
            to: TxKind::Call(self.address()),
            ..Default::default()
        })
    }

    /// A transaction to itself, for any chain: without EIP-155.
    pub fn unprotected(&self, nonce: u64) -> Bytes {
        self.signed(TxLegacy {
            nonce,
            gas_limit: 21_000,
            gas_price: 2_000_000_000,
            to: TxKind::Call(self.address()),
            ..Default::default()
        })
    }

    fn sign_transaction(
        &self,
        nonce: u64,
        to: TxKind,
        value: u128,
        (gas, fee): (u64, u64),
        input: Bytes,
    ) -> Bytes {
        self.signed(TxEip1559 {
            chain_id: config().l2ChainId,
            nonce,
            gas_limit: gas,
            max_fee_per_gas: fee.into(),
            max_priority_fee_per_gas: 1,
            to,
            value: U256::from(value),
            input,
            ..Default::default()
        })
    }

    fn signed<T: SignableTransaction<Signature>>(&self, transaction: T) -> Bytes
    where
        TxEnvelope: From<Signed<T>>,
    {
        let signature = self.sign(transaction.signature_hash());
        let signature = Signature::try_from(signature.as_ref()).unwrap();
        TxEnvelope::from(transaction.into_signed(signature)).encoded_2718().into()
    }
}

/// A gateway that may read for some users.
pub struct Reader {
    session: Session,
    credentials: Credentials,
    device: TestDevice,
}

impl Reader {
    pub fn new(node: &Node, seed: u64, users: &[&User]) -> Self {
        Self::to(&node.registration.network_key, seed, users)
    }

    /// One that encrypts to this network key.
    pub fn to(network_key: &[u8], seed: u64, users: &[&User]) -> Self {
        let device = TestDevice::new(seed, 0);
        let key = keys::kem_public_key(network_key).unwrap();
        let session =
            Session::new(&key, config().hash(), &mut obscuro_enclave::device::Entropy(&device))
                .unwrap();
        let viewing = User::new("viewing key");
        let authorisations = users
            .iter()
            .map(|user| {
                let key = ViewingKey {
                    account: user.address(),
                    viewingKey: viewing.address(),
                    expiresAt: u64::MAX,
                };
                let signature = user.sign(key.signing_hash(config().l2ChainId));
                Authorisation { key, signature }
            })
            .collect();
        let expires_at = u64::MAX;
        let digest = session_digest(session.id(), config().hash(), expires_at);
        let credentials =
            Credentials { authorisations, expires_at, signature: viewing.sign(digest) };
        Self { session, credentials, device }
    }

    pub fn seal(&self, query: Query) -> (B256, Vec<u8>) {
        let request = UserRequest {
            credentials: self.credentials.clone(),
            expires_at: GENESIS_TIME + 3_000,
            query,
        };
        self.session
            .seal(&wire::encode(&request), &mut obscuro_enclave::device::Entropy(&self.device))
            .unwrap()
    }

    pub fn ask(&self, node: &Node, query: Query) -> Answer {
        let (tag, envelope) = self.seal(query);
        match node.ask(Request::Envelope(envelope.into())).unwrap() {
            Reply::Envelope { reply, .. } => {
                wire::decode(&self.session.open_reply(tag, &reply).unwrap(), 1 << 20).unwrap()
            }
            other => panic!("{other:?}"),
        }
    }
}
