//! The L2 over the encrypted store: its genesis, the blocks that rollups, queries and estimates run in, and
//! the secrets of a round. Executing a rollup is `execution`'s, what is kept of one `body`'s and `history`'s.
//! Not here: which rollup is executed and signed (`rollups`).

mod body;
mod execution;
mod history;

pub use body::{Body, BodyLog, BodyTransaction};
pub use execution::{Candidate, Draft, OnReject, Outcome};

use crate::{
    device::Device,
    epochs::NetworkKeys,
    executor::{self, BlockEnv, ExecutionError, Fatal, FeeRule},
    state::{AccountUpdate, Changes, State, StateError},
    store::{EncryptedStore, StoreError},
    trie::{EMPTY_CODE_HASH, EMPTY_ROOT, NodeCache, TrieError},
    view::{Rollup, View},
};
use alloy_consensus::TxEnvelope;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use obscuro_protocol::{
    config::NetworkConfig,
    contracts::{CREATE2_DEPLOYER, CREATE2_DEPLOYER_CODE, Contract, FEE_POOL, L2_BRIDGE},
    keys::{self, Label},
    rollup::{HEADER_VERSION, RollupHeader},
    secret::Secret,
};

/// The smallest units of an OBX.
const OBX: U256 = U256::from_limbs([1_000_000_000_000_000_000, 0, 0, 0]);

/// A rollup that could not be executed.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The store did not answer; try again.
    #[error("store unavailable: {0}")]
    Unavailable(String),
    /// The store answered wrongly, or the state is corrupt: stop.
    #[error("{0}")]
    Fatal(String),
}

impl From<StoreError> for LedgerError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(reason) => Self::Unavailable(reason),
            other => Self::Fatal(other.to_string()),
        }
    }
}

impl From<TrieError> for LedgerError {
    fn from(error: TrieError) -> Self {
        match error {
            TrieError::Store(error) => error.into(),
            other => Self::Fatal(other.to_string()),
        }
    }
}

impl From<StateError> for LedgerError {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Trie(error) => error.into(),
            other => Self::Fatal(other.to_string()),
        }
    }
}

impl From<Fatal> for LedgerError {
    fn from(error: Fatal) -> Self {
        match error {
            Fatal::State(error) => error.into(),
            other => Self::Fatal(other.to_string()),
        }
    }
}

/// The L2 over one store.
pub struct Ledger<'a> {
    config: &'a NetworkConfig,
    store: EncryptedStore<'a>,
    cache: &'a NodeCache,
    randomness: Secret,
}

impl<'a> Ledger<'a> {
    /// Opens the ledger with the keys of the network.
    pub fn new(
        config: &'a NetworkConfig,
        keys: &NetworkKeys,
        store: &'a dyn crate::store::Store,
        cache: &'a NodeCache,
    ) -> Self {
        Self {
            config,
            store: keys.store(store),
            cache,
            randomness: keys.current().seed.derive(Label::Randomness),
        }
    }

    /// The state at a root.
    pub fn state(&self, root: B256) -> State<'_, EncryptedStore<'a>> {
        State::new(&self.store, self.cache, root)
    }

    /// Rollup 0: the bridge, the pool and the deterministic deployer, nothing else. Its hash is the
    /// config's.
    pub fn genesis(&self, device: &dyn Device) -> Result<Rollup, LedgerError> {
        let applied = self.state(EMPTY_ROOT).apply(&genesis_changes(self.config))?;
        let hash = self.config.hash();
        let header = RollupHeader {
            version: HEADER_VERSION,
            parent: hash,
            l1Proof: self.config.checkpoint.hash,
            l1ProofNumber: self.config.checkpoint.number,
            stateRoot: applied.root,
            transactionsRoot: EMPTY_ROOT,
            receiptsRoot: EMPTY_ROOT,
            gasLimit: self.config.gasLimit,
            baseFee: self.config.computePrice,
            ..Default::default()
        };
        let body = Body { header: header.clone(), ..Default::default() };
        let history_root = self.finish(&body, hash, EMPTY_ROOT, applied.nodes, device)?;
        Ok(Rollup { hash, header, history_root, payload_bytes: 0, data_gas: 0 })
    }

    /// The block that a child of the head, proven by `proof`, is executed in; `prevrandao` is set for
    /// each transaction.
    fn env(&self, proof: &View) -> BlockEnv {
        let base_fee = self.next_base_fee(proof);
        BlockEnv {
            chain_id: self.config.l2ChainId,
            number: proof.head.header.number + 1,
            timestamp: proof.timestamp,
            beneficiary: FEE_POOL,
            gas_limit: self.config.gasLimit,
            base_fee,
            prevrandao: B256::ZERO,
            excess_blob_gas: None,
            fees: pool_fees(proof.fees.data_gas_per_token(base_fee, self.config)),
        }
    }

    /// What gas will cost in the next rollup, if L1 has no further block.
    pub fn next_base_fee(&self, view: &View) -> u64 {
        view.fees.base_fee(view.head.header.baseFee, self.config)
    }

    /// The block that queries on `rollup` run in.
    pub fn query_env(&self, rollup: &RollupHeader) -> BlockEnv {
        BlockEnv {
            chain_id: self.config.l2ChainId,
            number: rollup.number,
            timestamp: rollup.timestamp,
            beneficiary: FEE_POOL,
            gas_limit: self.config.gasLimit,
            base_fee: rollup.baseFee,
            prevrandao: B256::ZERO,
            excess_blob_gas: None,
            fees: pool_fees(0),
        }
    }

    /// The block that estimates on `rollup` run in: the next one, because contracts that have
    /// already run in a block's second often need less gas than later. Gas costs what it will in the
    /// next rollup on `view`, and data a margin more.
    pub fn estimate_env(&self, rollup: &RollupHeader, view: &View) -> BlockEnv {
        let (env, base_fee) = (self.query_env(rollup), self.next_base_fee(view));
        let data_gas = view.fees.estimated_data_gas_per_token(base_fee, self.config);
        BlockEnv {
            number: env.number + 1,
            timestamp: env.timestamp + 1,
            base_fee,
            fees: pool_fees(data_gas),
            ..env
        }
    }

    /// The secret that orders the transactions of a round.
    pub fn order(&self, parent: B256, proof: B256) -> Secret {
        self.round_secret(b"order", parent, proof)
    }

    /// The secret that `prevrandao` comes from. It depends on the rollup's nonce: what a peer's candidate
    /// shows of it does not help to seal another.
    fn chance(&self, parent: B256, proof: B256, nonce: U256) -> Secret {
        let round = self.round_secret(b"prevrandao", parent, proof);
        keys::derive(&round, b"nonce", &nonce.to_be_bytes::<32>())
    }

    fn round_secret(&self, purpose: &[u8], parent: B256, proof: B256) -> Secret {
        keys::derive(&self.randomness, purpose, &[parent.as_slice(), proof.as_slice()].concat())
    }

    /// The encrypted store, for records of other modules.
    pub fn store(&self) -> &EncryptedStore<'a> {
        &self.store
    }

    /// Whether a transaction could be executed in the next rollup on `view`.
    pub fn check(
        &self,
        view: &View,
        transaction: &TxEnvelope,
        sender: Address,
    ) -> Result<(), ExecutionError> {
        let env = self.env(view);
        executor::check(self.state(view.head.header.stateRoot), &env, transaction, sender)
    }
}

fn pool_fees(data_gas_per_token: u64) -> FeeRule {
    FeeRule::Pool { address: FEE_POOL, data_gas_per_token }
}

fn genesis_changes(config: &NetworkConfig) -> Changes {
    let mut changes = Changes::default();
    let bridge = Contract::L2Bridge.runtime_code();
    let obx = U256::from_be_slice(config.contracts.obscuroToken.as_slice());
    changes.set(L2_BRIDGE, contract(&bridge, vec![(U256::ZERO, obx)]), bridge);
    let pool = Contract::RewardPool.runtime_code();
    let reserve = U256::from(config.poolReserve) * OBX;
    changes.set(FEE_POOL, contract(&pool, vec![(U256::ZERO, reserve)]), pool);
    let deployer = Bytes::from_static(&CREATE2_DEPLOYER_CODE);
    changes.set(CREATE2_DEPLOYER, contract(&deployer, Vec::new()), deployer);
    changes
}

fn contract(code: &Bytes, storage: Vec<(U256, U256)>) -> AccountUpdate {
    AccountUpdate {
        nonce: 1,
        balance: U256::ZERO,
        code_hash: if code.is_empty() { EMPTY_CODE_HASH } else { keccak256(code) },
        wipe_storage: false,
        storage,
    }
}
