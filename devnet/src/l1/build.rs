//! Building a block: system calls, transactions, requests, header, in the order of the Osaka rules.
//!
//! A pure function of its plan; choosing the parent and keeping the block is the chain's affair.

use std::sync::Arc;

use alloy_consensus::{
    Header, Transaction as _,
    constants::{EMPTY_OMMER_ROOT_HASH, EMPTY_WITHDRAWALS},
    proofs::calculate_transaction_root,
    transaction::Recovered,
};
use alloy_eips::{
    Encodable2718,
    eip2935::HISTORY_STORAGE_ADDRESS,
    eip4788::{BEACON_ROOTS_ADDRESS, SYSTEM_ADDRESS},
    eip4844::DATA_GAS_PER_BLOB,
    eip7002::{WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, WITHDRAWAL_REQUEST_TYPE},
    eip7251::{CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS, CONSOLIDATION_REQUEST_TYPE},
    eip7685::Requests,
};
use alloy_primitives::{Address, B256, Bytes};
use obscuro_enclave::{
    executor::{
        self, BlockEnv, Executed, ExecutionError, Fatal, FeeRule, Finished, Reject, SystemOutcome,
    },
    state::StateError,
    store::MemoryStore,
};

use super::{
    block::{Block, Outcome, Tx, blob_hashes},
    config::Config,
    fees::{self, BLOBS},
    genesis::{beacon_root, prev_randao},
    pool::Pool,
    world::World,
};

/// Ancestors that BLOCKHASH can name.
pub const BLOCK_HASHES: usize = 256;

/// Bytes of a block's RLP (EIP-7934), less room for its header.
const BLOCK_BYTES_MAX: usize = (10 << 20) - (2 << 20) - 4096;

/// Why no block could be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The state of the parent cannot be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// Execution broke down.
    #[error(transparent)]
    Fatal(#[from] Fatal),
    /// A transaction that must be in the block cannot be.
    #[error("transaction {index}: {reason}")]
    Transaction {
        /// Its index.
        index: usize,
        /// Why.
        reason: Reject,
    },
    /// The transactions do not fit into one block.
    #[error("transaction {0} does not fit into the block")]
    TooLarge(usize),
    /// A contract that the rules call failed.
    #[error("system contract {address} failed: {reason}")]
    SystemCall {
        /// The contract.
        address: Address,
        /// What it said.
        reason: String,
    },
}

/// Where and when a block is built.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The block below.
    pub parent: Arc<Block>,
    /// Seconds since 1970, later than the parent's.
    pub timestamp: u64,
    /// Free bytes of the header.
    pub extra_data: Bytes,
    /// Heights and hashes of recent ancestors, the parent first.
    pub hashes: Vec<(u64, B256)>,
}

/// What may go into a block.
#[derive(Debug)]
pub enum Candidates<'a> {
    /// The best paying transactions of the pool, as many as fit.
    Pool(&'a Pool),
    /// Exactly these, in this order.
    Exactly(Vec<Recovered<Tx>>),
}

/// A new block with what must be kept for it.
#[derive(Debug)]
pub struct Built {
    /// The sealed block.
    pub block: Block,
    /// State nodes and codes that did not exist before.
    pub nodes: Vec<(B256, Bytes)>,
    /// Transactions of the pool that can never be included.
    pub dead: Vec<B256>,
}

/// Builds and seals a block.
///
/// # Errors
/// When the state cannot be read, or a transaction of [`Candidates::Exactly`] is refused.
pub fn block(
    config: &Config,
    world: &World,
    plan: Plan,
    candidates: Candidates<'_>,
) -> Result<Built, BuildError> {
    let mut draft = Draft::open(config, world, plan)?;
    match candidates {
        Candidates::Exactly(transactions) => draft.include_exactly(transactions)?,
        Candidates::Pool(pool) => draft.include_best(pool, world)?,
    }
    draft.seal(config)
}

/// Execution parameters of the block that a plan describes.
pub fn environment(config: &Config, plan: &Plan) -> BlockEnv {
    let parent = &plan.parent.header;
    BlockEnv {
        chain_id: config.chain_id,
        number: parent.number + 1,
        timestamp: plan.timestamp,
        beneficiary: config.beneficiary,
        gas_limit: config.gas_limit,
        base_fee: fees::next_base_fee(parent),
        prevrandao: prev_randao(config.seed, plan.parent.hash),
        excess_blob_gas: Some(fees::next_excess_blob_gas(parent)),
        fees: FeeRule::Ethereum,
    }
}

/// Execution parameters of an existing block, for calls on top of it.
pub fn environment_of(config: &Config, header: &Header) -> BlockEnv {
    BlockEnv {
        chain_id: config.chain_id,
        number: header.number,
        timestamp: header.timestamp,
        beneficiary: header.beneficiary,
        gas_limit: header.gas_limit,
        base_fee: header.base_fee_per_gas.unwrap_or_default(),
        prevrandao: header.mix_hash,
        excess_blob_gas: header.excess_blob_gas,
        fees: FeeRule::Ethereum,
    }
}

/// A block that is being filled.
struct Draft<'a> {
    plan: Plan,
    env: BlockEnv,
    beacon_root: B256,
    executor: executor::Block<'a, MemoryStore>,
    transactions: Vec<Recovered<Tx>>,
    executed: Vec<Executed>,
    dead: Vec<B256>,
    gas_left: u64,
    blobs_left: u64,
    bytes_left: usize,
}

impl<'a> Draft<'a> {
    fn open(config: &Config, world: &'a World, plan: Plan) -> Result<Self, BuildError> {
        let env = environment(config, &plan);
        let state = world.state(plan.parent.header.state_root);
        let hashes = plan.hashes.clone();
        let hash = move |number| hash_of(&hashes, number);
        let mut executor = executor::Block::new(state, env.clone(), hash);
        let beacon_root = beacon_root(config.seed, plan.parent.hash);
        system_call(&mut executor, BEACON_ROOTS_ADDRESS, beacon_root.into())?;
        system_call(&mut executor, HISTORY_STORAGE_ADDRESS, plan.parent.hash.into())?;
        Ok(Self {
            gas_left: env.gas_limit,
            blobs_left: BLOBS.max_blob_count,
            bytes_left: BLOCK_BYTES_MAX,
            plan,
            env,
            beacon_root,
            executor,
            transactions: Vec::new(),
            executed: Vec::new(),
            dead: Vec::new(),
        })
    }

    fn include_exactly(&mut self, transactions: Vec<Recovered<Tx>>) -> Result<(), BuildError> {
        for (index, tx) in transactions.into_iter().enumerate() {
            if !self.fits(&tx) {
                return Err(BuildError::TooLarge(index));
            }
            match self.execute(&tx) {
                Ok(()) => {}
                Err(ExecutionError::Rejected(reason)) => {
                    return Err(BuildError::Transaction { index, reason });
                }
                Err(ExecutionError::Fatal(fatal)) => return Err(fatal.into()),
            }
        }
        Ok(())
    }

    fn include_best(&mut self, pool: &Pool, world: &World) -> Result<(), BuildError> {
        let blob_fee = executor::blob_base_fee(self.env.excess_blob_gas.unwrap_or_default());
        let root = self.plan.parent.header.state_root;
        let nonce = |sender| world.account(root, sender).unwrap_or_default().nonce;
        let mut best = pool.best(self.env.base_fee, blob_fee, nonce);
        while let Some(tx) = best.next() {
            if !self.fits(tx) {
                continue;
            }
            match self.execute(tx) {
                Ok(()) => best.follow(tx),
                Err(ExecutionError::Rejected(reason)) if reason.may_become_valid() => {}
                Err(ExecutionError::Rejected(_)) => self.dead.push(*tx.inner().tx_hash()),
                Err(ExecutionError::Fatal(fatal)) => return Err(fatal.into()),
            }
        }
        Ok(())
    }

    fn fits(&self, tx: &Recovered<Tx>) -> bool {
        tx.gas_limit() <= self.gas_left
            && blob_hashes(tx.inner()).len() as u64 <= self.blobs_left
            && tx.inner().encode_2718_len() <= self.bytes_left
    }

    fn execute(&mut self, tx: &Recovered<Tx>) -> Result<(), ExecutionError> {
        let executed = self.executor.transact(tx.inner(), tx.signer())?;
        self.gas_left = self.gas_left.saturating_sub(executed.gas_used);
        self.blobs_left -= executed.blob_gas_used / DATA_GAS_PER_BLOB;
        self.bytes_left -= tx.inner().encode_2718_len();
        self.transactions.push(tx.clone());
        self.executed.push(executed);
        Ok(())
    }

    fn seal(mut self, config: &Config) -> Result<Built, BuildError> {
        let requests = self.requests()?;
        let finished = self.executor.finish()?;
        let header = Header {
            parent_hash: self.plan.parent.hash,
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            beneficiary: config.beneficiary,
            state_root: finished.applied.root,
            transactions_root: calculate_transaction_root(&self.transactions),
            receipts_root: finished.receipts_root,
            logs_bloom: finished.logs_bloom,
            number: self.env.number,
            gas_limit: self.env.gas_limit,
            gas_used: finished.gas_used,
            timestamp: self.plan.timestamp,
            extra_data: self.plan.extra_data,
            mix_hash: self.env.prevrandao,
            base_fee_per_gas: Some(self.env.base_fee),
            withdrawals_root: Some(EMPTY_WITHDRAWALS),
            blob_gas_used: Some(finished.blob_gas_used),
            excess_blob_gas: self.env.excess_blob_gas,
            parent_beacon_block_root: Some(self.beacon_root),
            requests_hash: Some(requests.requests_hash()),
            ..Header::default()
        };
        let Finished { applied, receipts, .. } = finished;
        let outcomes = outcomes(receipts, self.executed);
        let block = Block::seal(header, self.transactions, outcomes);
        Ok(Built { block, nodes: applied.nodes, dead: self.dead })
    }

    /// Requests to the consensus layer (EIP-7685). Nothing acts on them here, but the header
    /// commits to them. There is no deposit contract (EIP-6110).
    fn requests(&mut self) -> Result<Requests, BuildError> {
        let contracts = [
            (WITHDRAWAL_REQUEST_TYPE, WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS),
            (CONSOLIDATION_REQUEST_TYPE, CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS),
        ];
        let mut requests = Requests::default();
        for (kind, address) in contracts {
            let data = system_call(&mut self.executor, address, Bytes::new())?;
            if !data.is_empty() {
                requests.push_request_with_type(kind, data);
            }
        }
        Ok(requests)
    }
}

/// The hash of a height in a list of recent blocks.
pub fn hash_of(hashes: &[(u64, B256)], number: u64) -> Option<B256> {
    hashes.iter().find(|(known, _)| *known == number).map(|(_, hash)| *hash)
}

fn system_call(
    executor: &mut executor::Block<'_, MemoryStore>,
    address: Address,
    data: Bytes,
) -> Result<Bytes, BuildError> {
    let failed = |reason: String| BuildError::SystemCall { address, reason };
    match executor.system_call(SYSTEM_ADDRESS, address, data) {
        Ok(SystemOutcome { failure: None, output, .. }) => Ok(output),
        Ok(SystemOutcome { failure: Some(failure), .. }) => Err(failed(failure.to_string())),
        Err(ExecutionError::Rejected(reject)) => Err(failed(reject.to_string())),
        Err(ExecutionError::Fatal(fatal)) => Err(fatal.into()),
    }
}

fn outcomes(
    receipts: Vec<alloy_consensus::ReceiptEnvelope>,
    executed: Vec<Executed>,
) -> Vec<Outcome> {
    let mut first_log = 0;
    let both = receipts.into_iter().zip(executed);
    both.map(|(receipt, executed)| {
        let outcome = Outcome {
            gas_used: executed.gas_used,
            created: executed.contract_address,
            first_log,
            receipt,
        };
        first_log += outcome.logs().len() as u64;
        outcome
    })
    .collect()
}
