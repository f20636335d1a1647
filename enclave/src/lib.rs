//! The trusted state machine: everything that sees secrets or decides what is true.
//!
//! Requires: a [`device::Device`] (the TEE) and a [`store::Store`] (the host's, untrusted).
//! Provides: one door, [`Enclave::handle`]: serialised request in, serialised reply out.
//! Does not provide: I/O, a clock, threads, randomness of its own, any network.

pub mod admission;
pub mod answer;
pub mod blobs;
pub mod chain;
pub mod device;
pub mod epochs;
pub mod executor;
pub mod fees;
pub mod forced;
pub mod identity;
pub mod index;
pub mod l1;
pub mod ledger;
pub mod membership;
pub mod node;
pub mod pool;
pub mod rewards;
pub mod rollups;
pub mod state;
pub mod store;
pub mod trie;
pub mod view;

use crate::{
    device::Device,
    node::{Node, Surroundings},
    store::Store,
};
use alloy_primitives::B256;
use obscuro_protocol::{
    config::NetworkConfig,
    door::{self, DoorError, Reply, Request, Retry, RollupId},
};
use parking_lot::RwLock;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Longest start-up chain that a configuration may ask for: about a quarter of an hour.
const STARTUP_HASHES_MAX: u64 = 16_000_000_000;

/// The enclave. Requests may be handled concurrently.
pub struct Enclave<D> {
    device: D,
    node: RwLock<Option<Arc<Node>>>,
}

impl<D: Device> Enclave<D> {
    /// An enclave that awaits [`Request::Start`].
    pub fn new(device: D) -> Self {
        Self { device, node: RwLock::new(None) }
    }

    /// The door. Never panics and never blocks on anything but the store.
    pub fn handle(&self, request: &[u8], store: &dyn Store) -> Vec<u8> {
        let reply = match door::decode::<Request>(request) {
            Ok(request) => self.serve(request, store).unwrap_or_else(Reply::Refused),
            Err(error) => Reply::Refused(DoorError::Rejected(error.to_string())),
        };
        door::encode(&reply)
    }

    fn serve(&self, request: Request, store: &dyn Store) -> Result<Reply, DoorError> {
        let around = Surroundings { device: &self.device, store };
        if let Request::Start { config, identity, snapshot } = request {
            return self.start(
                *config,
                identity.as_ref().map(|b| &b[..]),
                snapshot.as_ref().map(|b| &b[..]),
                around,
            );
        }
        let node = self.node.read().clone().ok_or(DoorError::Retry(Retry::Start))?;
        Ok(match request {
            Request::Start { .. } => return Err(DoorError::Rejected("already handled".into())),
            Request::Register { owner, l1_block, genesis } => {
                Reply::Registration(Box::new(node.register(owner, &l1_block, genesis, around)?))
            }
            Request::L1Block(block) => Reply::Folded(Box::new(node.l1_block(&block, around)?)),
            Request::SetHead(block) => Reply::Head(Box::new(node.set_head(block, around)?)),
            Request::Envelope(envelope) => node.envelope(&envelope, around)?,
            Request::PeerTransactions(sealed) => {
                node.peer_transactions(&sealed, around)?;
                Reply::Accepted
            }
            Request::Readmit(sealed) => {
                node.readmit(&sealed, around)?;
                Reply::Accepted
            }
            Request::TakeTransactions => Reply::Transactions(node.take_transactions(around)?),
            Request::Candidate(rollup) => {
                node.candidate(&rollup, around)?;
                Reply::Accepted
            }
            Request::Seal => Reply::Sealed(node.seal(around)?.map(Box::new)),
            Request::Attest => Reply::Attestation(Box::new(node.attest(around)?)),
            Request::SeedShares => Reply::SeedShares(node.seed_shares(around)?),
            Request::OpenEpoch => Reply::EpochOpening(Box::new(node.open_epoch(around)?)),
            Request::RejectSeed => Reply::SeedRejected(node.reject_seed()?),
            Request::Prove(challenge) => Reply::Proof(node.prove(challenge, around)?),
            Request::ProveExecution(rollup) => {
                Reply::Executed(node.prove_execution(rollup, around)?)
            }
            Request::Rollup(id) => Reply::Rollup(
                public_body(&node, id, around)?.map(|body| Box::new(body.header.clone())),
            ),
            Request::Withdrawals(rollup) => Reply::Withdrawals(
                public_body(&node, RollupId::Hash(rollup), around)?
                    .map_or_else(Vec::new, |body| body.withdrawals.clone()),
            ),
        })
    }

    /// Runs the start-up chain and takes the network up. Once per life: a second start could
    /// change the configuration under a running enclave.
    fn start(
        &self,
        config: NetworkConfig,
        identity: Option<&[u8]>,
        snapshot: Option<&[u8]>,
        around: Surroundings<'_>,
    ) -> Result<Reply, DoorError> {
        let mut slot = self.node.write();
        if slot.is_some() {
            return Err(DoorError::Rejected("the enclave is already started".into()));
        }
        if config.version != NetworkConfig::VERSION || config.startupHashes > STARTUP_HASHES_MAX {
            return Err(DoorError::Fatal("the network configuration is not supported".into()));
        }
        if !config.outlives_idleness() {
            return Err(DoorError::Fatal(
                "idleBlocksMax must be below withdrawalBlocks and forkTimeoutBlocks".into(),
            ));
        }
        startup_chain(config.hash(), config.startupHashes);
        let node = Node::start(config, identity, snapshot, around)?;
        let started = node.started(&self.device);
        *slot = Some(Arc::new(node));
        Ok(Reply::Started(started))
    }
}

/// A serial chain of SHA-256 that no CPU shortens: a restart costs time (S2 "Preventing repeated
/// random number generation").
fn startup_chain(seed: B256, length: u64) -> B256 {
    let mut hash: [u8; 32] = seed.into();
    for _ in 0..length {
        hash = Sha256::digest(hash).into();
    }
    // Without this the optimiser could drop the loop.
    std::hint::black_box(hash.into())
}

/// A canonical rollup, of which the host may show the public parts.
fn public_body(
    node: &Node,
    id: RollupId,
    around: Surroundings<'_>,
) -> Result<Option<Arc<ledger::Body>>, DoorError> {
    let keys = node.keys()?;
    let ledger = node.ledger(&keys, around.store);
    let head = node.chain.read().head().head.clone();
    let hash = match id {
        RollupId::Latest => Some(head.hash),
        RollupId::Number(number) => ledger.rollup_hash(head.history_root, number)?,
        RollupId::Hash(hash) => Some(hash),
    };
    match hash {
        Some(hash) => Ok(node.canonical_body(hash, &head, &ledger)?),
        None => Ok(None),
    }
}
