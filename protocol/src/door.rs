//! The enclave's door: everything that the host can ask of the enclave and everything it is told.
//! Always serialised, also in process, so that nothing leaks by reference. What the host says is
//! untrusted until the enclave has checked it. Not here: the channel (`enclaved`, `host`).
//!
//! While it serves a request, the enclave may read and write the host's store through the same
//! channel: see [`FromEnclave`].

use crate::{
    config::{L1BlockId, NetworkConfig},
    l1::{EpochShare, SeedAnswer},
    limits::DOOR_BYTES_MAX,
    rollup::{RollupHeader, SignedRollup, Withdrawal},
    wire::{self, WireError},
};
use alloy_primitives::{Address, B256, Bytes, U256};
use serde::{Deserialize, Serialize};

/// What the host asks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Request {
    /// First of all: the network, what this enclave sealed in its last life, and the newest
    /// snapshot it emitted. Both are caches: without them the enclave takes a new identity, or
    /// replays from the checkpoint.
    Start {
        /// The network.
        config: Box<NetworkConfig>,
        /// [`Started::identity`] of the last life.
        identity: Option<Bytes>,
        /// [`Folded::snapshot`] of the last life.
        snapshot: Option<Bytes>,
    },
    /// Asks for what `NetworkManagement.register` needs.
    Register {
        /// The L1 account that will register.
        owner: Address,
        /// A recent L1 block, for freshness.
        l1_block: L1BlockId,
        /// Whether to create the network's seed. Only the first registration on L1 may.
        genesis: bool,
    },
    /// One L1 block, child of a block already fed.
    L1Block(Box<L1Block>),
    /// Which of the blocks fed is the head of L1.
    SetHead(B256),
    /// A sealed user request.
    Envelope(Bytes),
    /// Encrypted transactions from a peer.
    PeerTransactions(Bytes),
    /// Takes the transactions accepted since the last call, encrypted for the peers.
    TakeTransactions,
    /// A peer's candidate rollup: checked and executed ahead of its inclusion.
    Candidate(Box<SignedRollup>),
    /// Asks for a candidate on the current head. The same round always yields the same candidate.
    Seal,
    /// Asks for a fresh quote for this enclave's registration: [`Duty::Attest`].
    Attest,
    /// Asks for the seed shares that members on the current head wait for: [`Duty::ShareSeed`].
    SeedShares,
    /// Asks for a fresh seed and its shares: [`Duty::OpenEpoch`].
    OpenEpoch,
    /// Asks for the refusal of a share that was none: [`Duty::RejectSeed`].
    RejectSeed,
    /// A user's question what runs here, to be answered by a quote over this number.
    Prove(B256),
    /// Asks to confirm that this enclave executed a canonical rollup (protocol 10.3). Public.
    ProveExecution(B256),
    /// The canonical rollup of a number. Public.
    Rollup(RollupId),
    /// The withdrawals of a canonical rollup. Public.
    Withdrawals(B256),
    /// A transaction that was accepted in a former life, as [`Reply::Envelope`] gave it.
    Readmit(Bytes),
}

/// Names a canonical rollup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RollupId {
    /// The newest.
    Latest,
    /// By number.
    Number(u64),
    /// By hash.
    Hash(B256),
}

/// An L1 block as the host presents it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct L1Block {
    /// RLP of the header.
    pub header: Bytes,
    /// All receipts of the block, EIP-2718 encoded, in order; absent when the header's bloom
    /// excludes the management contract.
    pub receipts: Option<Vec<Bytes>>,
    /// Payloads of the rollups published in it.
    pub payloads: Vec<CarriedPayload>,
}

/// A payload as L1 carried it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CarriedPayload {
    /// Hash of the rollup.
    pub rollup: B256,
    /// The bytes.
    pub carrier: Carrier,
}

/// How a payload travelled.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Carrier {
    /// In the publishing transaction.
    Calldata(Bytes),
    /// In blobs, in order (EIP-4844).
    Blobs(Vec<Bytes>),
}

/// What the enclave answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Reply {
    /// To [`Request::Start`].
    Started(Started),
    /// To [`Request::Register`].
    Registration(Box<Registration>),
    /// To [`Request::L1Block`].
    Folded(Box<Folded>),
    /// To [`Request::SetHead`].
    Head(Box<Head>),
    /// To [`Request::Envelope`].
    Envelope {
        /// Sealed to the user.
        reply: Bytes,
        /// A transaction that was accepted, encrypted as to a peer: the host keeps it until it is
        /// told that it may forget it, and brings it back in the enclave's next life.
        accepted: Option<Bytes>,
    },
    /// To [`Request::PeerTransactions`], [`Request::Candidate`] and [`Request::Readmit`].
    Accepted,
    /// To [`Request::TakeTransactions`]; empty if there are none.
    Transactions(Bytes),
    /// To [`Request::Seal`]; absent when this enclave has nothing to seal now.
    Sealed(Option<Box<SignedRollup>>),
    /// To [`Request::Attest`].
    Attestation(Box<Attestation>),
    /// To [`Request::SeedShares`].
    SeedShares(Vec<SeedShare>),
    /// To [`Request::OpenEpoch`].
    EpochOpening(Box<EpochOpening>),
    /// To [`Request::RejectSeed`].
    SeedRejected(SeedRejected),
    /// To [`Request::Prove`]: a stripped quote.
    Proof(Bytes),
    /// To [`Request::ProveExecution`].
    Executed(ExecutionProof),
    /// To [`Request::Rollup`].
    Rollup(Option<Box<RollupHeader>>),
    /// To [`Request::Withdrawals`].
    Withdrawals(Vec<Withdrawal>),
    /// The request was refused; the enclave is as it was.
    Refused(DoorError),
}

/// The enclave is ready to be fed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Started {
    /// Its signing address.
    pub enclave: Address,
    /// Sealed identity, for the host to keep.
    pub identity: Bytes,
    /// The L1 block whose children it expects first.
    pub position: L1BlockId,
    /// Whether it holds the network's seed.
    pub has_seed: bool,
}

/// What `NetworkManagement.register` needs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Registration {
    /// The attestation, stripped of its certificates.
    pub quote: Bytes,
    /// The machine's certificate, its issuer, the root (DER): L1 must know them first.
    pub certificates: Vec<Bytes>,
    /// Signing address.
    pub enclave: Address,
    /// X-Wing key that is to receive the seed.
    pub encryption_key: Bytes,
    /// BLS key that proves its lots.
    pub lottery_key: Bytes,
    /// Network key, at genesis.
    pub network_key: Bytes,
    /// Seed encrypted to itself, at genesis.
    pub encrypted_seed: Bytes,
    /// Sealed identity, for the host to keep in place of the former one.
    pub identity: Bytes,
}

/// What `NetworkManagement.reattest` needs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Attestation {
    /// The attestation, stripped of its certificates.
    pub quote: Bytes,
    /// The machine's certificate, its issuer, the root (DER): L1 must know them first.
    pub certificates: Vec<Bytes>,
    /// Signing address.
    pub enclave: Address,
    /// keccak256 of the key that receives the seed and the lottery key.
    pub keys_hash: B256,
    /// The L1 block that the quote names.
    pub l1_block: u64,
    /// Why enclaves do not accept it, by what L1 says at the head: not worth paying for.
    pub refused: Option<String>,
}

/// An L1 block was verified and folded.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Folded {
    /// The block.
    pub block: L1BlockId,
    /// Present when the enclave obtained a seed in this block, or lost one: the new sealed identity,
    /// for the host to keep in place of the former one.
    pub identity: Option<Bytes>,
    /// Whether the enclave has to be fed again from the checkpoint: there was something that it
    /// could not read.
    pub is_start_over: bool,
    /// A snapshot for the host to keep in place of the former one.
    pub snapshot: Option<Bytes>,
}

/// The network as seen from the L1 head.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The L1 head.
    pub l1: L1BlockId,
    /// Canonical rollup.
    pub rollup: B256,
    /// Its number.
    pub number: u64,
    /// L1 block that included it.
    pub included: u64,
    /// Its round: its parent, and the L1 block that proves that.
    pub round: (B256, B256),
    /// Its nonce.
    pub nonce: U256,
    /// Whether this enclave is an aggregator now.
    pub is_aggregator: bool,
    /// Whether it is registered, even if it left.
    pub is_registered: bool,
    /// Where L1 tells peers that its host listens.
    pub host_address: String,
    /// What the network expects of it now.
    pub duties: Vec<Duty>,
    /// Whether the enclave holds the seeds up to the current epoch.
    pub has_seed: bool,
    /// Network key of the current epoch, once published.
    pub network_key: Bytes,
    /// RANDAO mix of the L1 head: what lots of the round that it opens are drawn by.
    pub randao: B256,
    /// The other aggregators.
    pub peers: Vec<Peer>,
    /// Host addresses of the other nodes that may ask for content: they have not left and are
    /// admitted, even if they have to attest again.
    pub readers: Vec<String>,
    /// keccak256 of accepted transactions, as encrypted for the host to keep, that are settled or can
    /// never be: the host may forget them.
    pub forget: Vec<B256>,
}

/// Another aggregator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Its enclave.
    pub enclave: Address,
    /// The key that draws its lots.
    pub lottery_key: Bytes,
    /// Where its host listens, as registered.
    pub host_address: String,
}

/// What the network expects of an enclave; its host asks for what is needed and sends it to L1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Duty {
    /// Its last quote ages: [`Request::Attest`].
    Attest,
    /// Members wait for the seed: [`Request::SeedShares`].
    ShareSeed,
    /// The contract's owner asks for a new seed epoch: [`Request::OpenEpoch`].
    OpenEpoch,
    /// It was given something that is not the network's seed: [`Request::RejectSeed`].
    RejectSeed,
}

/// The seeds for one member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeedShare {
    /// As L1 takes it.
    pub answer: SeedAnswer,
    /// How many other enclaves should have answered before this one (protocol 3.5).
    pub rank: u64,
    /// L1 block since which the member waits.
    pub waits_since: u64,
}

/// What `NetworkManagement.openSeedEpoch` needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochOpening {
    /// The epoch.
    pub epoch: u32,
    /// This enclave.
    pub responder: Address,
    /// The epoch's network key.
    pub network_key: Bytes,
    /// The seeds for each member.
    pub shares: Vec<EpochShare>,
    /// Signature of this enclave.
    pub signature: Bytes,
    /// How many other enclaves should have opened it before this one.
    pub rank: u64,
    /// L1 block of the request.
    pub since: u64,
}

/// What `NetworkManagement.rejectSeed` needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeedRejected {
    /// This enclave.
    pub enclave: Address,
    /// Who gave it no seed.
    pub responder: Address,
    /// The epoch.
    pub epoch: u32,
    /// Signature of this enclave.
    pub signature: Bytes,
}

/// What the pool of fees on L2 pays a prize for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutionProof {
    /// This enclave.
    pub enclave: Address,
    /// Its signature over `Executed(rollup)` for the pool (EIP-712), 65 bytes.
    pub signature: Bytes,
}

/// Why the enclave refused. Sorted by what the host does next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum DoorError {
    /// Do something else first, then ask again.
    #[error("not ready: {0}")]
    Retry(Retry),
    /// What was presented is bad and will stay bad: drop it.
    #[error("rejected: {0}")]
    Rejected(String),
    /// The store was tampered with, or the configuration is wrong: the node cannot go on.
    #[error("fatal: {0}")]
    Fatal(String),
}

/// What must come first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Retry {
    /// [`Request::Start`].
    #[error("the enclave is not started")]
    Start,
    /// The parent of this L1 block.
    #[error("L1 block {0} is not known")]
    L1Block(B256),
    /// The receipts of the block.
    #[error("the block may concern the management contract: its receipts are needed")]
    Receipts,
    /// The payload of this rollup.
    #[error("the payload of rollup {0} is needed")]
    Payload(B256),
    /// This rollup on L1: its aggregator made more candidates in one round than are judged before.
    #[error("rollup {0} is one of too many candidates: it is judged when L1 has it")]
    Rollup(B256),
    /// The seed.
    #[error("the enclave does not hold the seed yet")]
    Seed,
    /// The store failed to answer.
    #[error("the store is unavailable: {0}")]
    Store(String),
    /// The same from the enclave that encrypted it, anew.
    #[error("the message is too old: whoever made it may send it again")]
    Sender,
}

/// A frame from host to enclave.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum ToEnclave {
    /// A new request; only when the enclave has replied to the former.
    Request(Box<Request>),
    /// Answer to [`FromEnclave::Get`]: the records, in order.
    Records(Vec<Option<Bytes>>),
    /// Answer to [`FromEnclave::Put`]: the records are durable.
    Stored,
    /// The store failed.
    StoreFailed(String),
}

/// A frame from enclave to host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum FromEnclave {
    /// The reply, which ends the request.
    Reply(Box<Reply>),
    /// Asks for records of the store.
    Get(Vec<B256>),
    /// Asks to keep records.
    Put(Vec<(B256, Bytes)>),
}

/// Encodes a door message.
pub fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    wire::encode(message)
}

/// Decodes a door message, bounded by [`DOOR_BYTES_MAX`].
pub fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, WireError> {
    wire::decode(bytes, DOOR_BYTES_MAX)
}
