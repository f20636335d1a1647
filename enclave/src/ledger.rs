//! Executing rollups: the L2 state, history and bodies over the encrypted store. Building and
//! checking a rollup are the same execution. Not here: which rollup is executed and signed (`node`).

use crate::{
    device::{self, Device, Task},
    epochs::NetworkKeys,
    executor::{self, Block, BlockEnv, ExecutionError, Fatal, FeeRule, Reject},
    forced::Due,
    pool::Pooled,
    rewards::Rewards,
    state::{AccountUpdate, Changes, State, StateError},
    store::{Domain, EncryptedStore, MAX_RECORD_BYTES, StoreError},
    trie::{self, EMPTY_CODE_HASH, EMPTY_ROOT, NodeCache, TrieError},
    view::{Deposit, Rollup, View},
};
use alloy_consensus::{Transaction, TxEnvelope};
use alloy_eips::Typed2718;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_sol_types::{SolCall, SolEvent};
use obscuro_protocol::{
    config::NetworkConfig,
    contracts::{
        CREATE2_DEPLOYER, CREATE2_DEPLOYER_CODE, Contract, FEE_POOL, L2_BRIDGE, SYSTEM_ADDRESS,
    },
    keys::{self, Label},
    l1::{IL2Bridge, IRewardPool, Prize, Reward},
    limits::{FORCED_EXECUTED_BYTES_MAX, ROLLUP_TRANSACTIONS_MAX, ROLLUP_WITHDRAWALS_MAX},
    rollup::{HEADER_VERSION, RollupHeader, Withdrawal, withdrawals_root},
    secret::Secret,
    wire,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::sync::Arc;

const BODY: Domain = Domain("rollup body");
const BODY_BYTES_MAX: usize = MAX_RECORD_BYTES;
/// Withdrawals after which no further transaction is tried: one transaction cannot order as many
/// again.
const WITHDRAWALS_STOP: usize = ROLLUP_WITHDRAWALS_MAX / 2;
/// Bytes of transactions and events after which no further transaction is tried. One transaction
/// adds at most a fraction of what is left of a record, by its size and gas limits.
const BODY_BYTES_STOP: usize = MAX_RECORD_BYTES / 2;
/// What a transaction or an event adds to a body beyond its own bytes, at most.
const BODY_ENTRY_BYTES: usize = 256;
/// The smallest units of an OBX.
const OBX: U256 = U256::from_limbs([1_000_000_000_000_000_000, 0, 0, 0]);
/// Gas left in a rollup below which no further transaction is tried.
const GAS_LEFT_MIN: u64 = 21_000;

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

/// An executed transaction with what users may ask about it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BodyTransaction {
    /// EIP-2718 encoding.
    pub raw: Bytes,
    /// Its hash.
    pub hash: B256,
    /// Its sender.
    pub sender: Address,
    /// Its recipient; absent for a creation.
    pub to: Option<Address>,
    /// Its EIP-2718 type.
    pub transaction_type: u8,
    /// Whether it succeeded.
    pub success: bool,
    /// Gas used by it alone.
    pub gas_used: u64,
    /// Contract that it created.
    pub contract: Option<Address>,
    /// Events of the transactions before it.
    pub first_log: u64,
    /// Events, in order.
    pub logs: Vec<BodyLog>,
}

/// An event.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BodyLog {
    /// Emitting contract.
    pub address: Address,
    /// Topics.
    pub topics: Vec<B256>,
    /// Data.
    pub data: Bytes,
}

/// Everything about a rollup beyond its header.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Body {
    /// The header.
    pub header: RollupHeader,
    /// In the order of execution.
    pub transactions: Vec<BodyTransaction>,
    /// Ordered by this rollup.
    pub withdrawals: Vec<Withdrawal>,
}

/// A transaction to execute.
#[derive(Clone, Copy)]
pub struct Candidate<'a> {
    /// Decoded.
    pub transaction: &'a TxEnvelope,
    /// EIP-2718 encoding.
    pub raw: &'a Bytes,
    /// Its sender.
    pub sender: Address,
}

impl<'a> From<&'a Pooled> for Candidate<'a> {
    fn from(pooled: &'a Pooled) -> Self {
        let Pooled { transaction, raw, sender, .. } = pooled;
        Self { transaction, raw, sender: *sender }
    }
}

/// Where the candidates come from, and so what to do with one that cannot be executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnReject {
    /// Leave it out: this enclave builds, from its pool.
    Skip,
    /// The rollup is invalid: somebody else built it, and these are all that its payload holds.
    Fail,
}

/// Executed transactions, before their roots are known.
pub struct Draft<'l, 'a> {
    /// With a header that lacks what is computed from all of them.
    pub body: Body,
    /// Candidates, by position, that were left out and will never be valid.
    pub rejected: Vec<usize>,
    data_gas: u64,
    block: Block<'l, EncryptedStore<'a>>,
}

/// An execution, before there is a header for it.
pub struct Outcome {
    /// Without hash-dependent parts.
    pub body: Body,
    /// Gas that its transactions were charged for their data.
    data_gas: u64,
    nodes: Vec<(B256, Bytes)>,
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

    /// The block that a child of `parent` proven by `proof` is executed in; `prevrandao` is set for each
    /// transaction.
    fn env(&self, parent: &Rollup, proof: &View) -> BlockEnv {
        let base_fee = proof.fees.base_fee(parent.header.baseFee, self.config);
        BlockEnv {
            chain_id: self.config.l2ChainId,
            number: parent.header.number + 1,
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

    /// Executes rewards, deposits, then the forced transactions that are due, then the candidates, on
    /// top of `parent` at `proof`. `Ok(Err(_))`: the payload is not what [`OnReject::Fail`] demands.
    pub fn execute<'l>(
        &'l self,
        parent: &Rollup,
        proof: &View,
        nonce: U256,
        forced: &Due,
        candidates: &[Candidate<'_>],
        on_reject: OnReject,
    ) -> Result<Result<Draft<'l, 'a>, String>, LedgerError> {
        let history_root = parent.history_root;
        let hashes = move |number| self.block_hash(history_root, number);
        let mut block =
            Block::new(self.state(parent.header.stateRoot), self.env(parent, proof), hashes);
        apply_rewards(&mut block, &proof.rewards)?;
        apply_deposits(&mut block, &proof.deposits, self.config)?;
        let chance = self.chance(parent.hash, proof.block.hash, nonce);
        let mut execution = Execution::new(block, chance);
        let forced_cursor = execution.force(forced)?;
        let candidates = match on_reject {
            OnReject::Skip => candidates,
            OnReject::Fail => match execution.behind_forced(candidates) {
                Some(candidates) => candidates,
                None => return Ok(Err("the forced transactions due do not come first".into())),
            },
        };
        let mut rejected = Vec::new();
        for (position, candidate) in candidates.iter().enumerate() {
            if execution.is_full() {
                match on_reject {
                    OnReject::Skip => break,
                    OnReject::Fail => return Ok(Err("the rollup exceeds a limit".into())),
                }
            }
            match execution.transact(candidate) {
                Ok(()) => {}
                Err(ExecutionError::Rejected(reject)) if on_reject == OnReject::Skip => {
                    if !may_wait(&reject) {
                        rejected.push(position);
                    }
                }
                // The words of the reason are for the sender; this goes to the host.
                Err(ExecutionError::Rejected(_)) => {
                    return Ok(Err("a transaction cannot be executed".into()));
                }
                Err(ExecutionError::Fatal(fatal)) => return Err(fatal.into()),
            }
        }
        let Execution { block, transactions, withdrawals, data_gas, .. } = execution;
        let header = RollupHeader {
            version: HEADER_VERSION,
            parent: parent.hash,
            number: parent.header.number + 1,
            l1Proof: proof.block.hash,
            l1ProofNumber: proof.block.number,
            timestamp: proof.timestamp,
            withdrawalsRoot: withdrawals_root(&withdrawals),
            nonce,
            forcedCursor: forced_cursor,
            depositCursor: proof.deposit_count,
            gasUsed: block.gas_used(),
            gasLimit: self.config.gasLimit,
            baseFee: block.env().base_fee,
            ..Default::default()
        };
        let body = Body { header, transactions, withdrawals };
        Ok(Ok(Draft { body, rejected, data_gas, block }))
    }

    /// Computes the roots. `beside` is done meanwhile.
    pub fn conclude(
        draft: Draft<'_, '_>,
        device: &dyn Device,
        beside: impl FnOnce(&Body) + Send,
    ) -> Result<Outcome, LedgerError> {
        let Draft { mut body, data_gas, block, .. } = draft;
        let (mut transactions_root, read) = (None, &body);
        let others: Vec<Task<'_>> = vec![
            Box::new(|| beside(read)),
            Box::new(|| {
                let raws = read.transactions.iter().map(|transaction| &transaction.raw);
                transactions_root = Some(trie::ordered_root(raws));
            }),
        ];
        let finished = block.finish_beside(others, |tasks| device.run(tasks))?;
        let unfinished = || LedgerError::Fatal("the transactions' root was not computed".into());
        body.header.stateRoot = finished.applied.root;
        body.header.transactionsRoot = transactions_root.ok_or_else(unfinished)?;
        body.header.receiptsRoot = finished.receipts_root;
        Ok(Outcome { body, data_gas, nodes: finished.applied.nodes })
    }

    /// Keeps an executed rollup under its final header.
    pub fn commit(
        &self,
        parent: &Rollup,
        outcome: Outcome,
        header: RollupHeader,
        payload_bytes: usize,
        device: &dyn Device,
    ) -> Result<(Rollup, Body), LedgerError> {
        let (hash, payload_bytes) = (header.hash(), payload_bytes as u64);
        let Outcome { body, data_gas, nodes } = outcome;
        let body = Body { header: header.clone(), ..body };
        let history_root = self.finish(&body, hash, parent.history_root, nodes, device)?;
        Ok((Rollup { hash, header, history_root, payload_bytes, data_gas }, body))
    }

    /// Stores a rollup; the root of the history with it.
    fn finish(
        &self,
        body: &Body,
        hash: B256,
        parent_history: B256,
        nodes: Vec<(B256, Bytes)>,
        device: &dyn Device,
    ) -> Result<B256, LedgerError> {
        let seal = |(hash, node): &(B256, Bytes)| self.store.seal_node(*hash, node);
        let mut record = None;
        let seal_body: Task<'_> = Box::new(|| {
            let encoded = wire::encode(body);
            let sealed = self.store.seal_record(BODY, hash, &encoded);
            record = Some((Sha256::digest(&encoded), sealed));
        });
        let sealed = device::map(device, vec![seal_body], &nodes, seal).into_iter();
        let undone = || LedgerError::Fatal("the body was not sealed".into());
        let (digest, record) = record.ok_or_else(undone)?;
        let entry = Bytes::from([hash.as_slice(), &digest].concat());
        let entry = vec![(history_key(body.header.number), Some(entry))];
        let mut history = Vec::new();
        let history_root =
            trie::update(&self.store, self.cache, parent_history, entry, &mut history)?;
        let sealed = sealed.chain(history.iter().map(seal)).chain([record]);
        self.store.put(sealed.collect::<Result<_, _>>()?)?;
        Ok(history_root)
    }

    /// The hash of an ancestor by number.
    pub fn rollup_hash(
        &self,
        history_root: B256,
        number: u64,
    ) -> Result<Option<B256>, LedgerError> {
        Ok(self.block_hash(history_root, number)?)
    }

    /// `BLOCKHASH`; an entry that the host withholds is an error, not a zero.
    pub fn block_hash(&self, history_root: B256, number: u64) -> Result<Option<B256>, StateError> {
        Ok(self.history_entry(history_root, number)?.map(|(hash, _)| hash))
    }

    /// The hash of an ancestor and the digest of its body.
    fn history_entry(
        &self,
        history_root: B256,
        number: u64,
    ) -> Result<Option<(B256, B256)>, StateError> {
        let entry = trie::get(&self.store, self.cache, history_root, history_key(number))?;
        Ok(entry.and_then(|entry| {
            let (hash, digest) = entry.split_first_chunk::<32>()?;
            Some((B256::new(*hash), B256::try_from(digest).ok()?))
        }))
    }

    /// What is kept of a rollup of a history; `None` if it is of another one, or the host has nothing.
    pub fn body(&self, history_root: B256, rollup: B256) -> Result<Option<Arc<Body>>, LedgerError> {
        let Some(record) = self.store.get_record(BODY, rollup)? else {
            return Ok(None);
        };
        let body: Body = wire::decode(&record, BODY_BYTES_MAX)
            .map_err(|error| LedgerError::Fatal(format!("rollup body {rollup}: {error}")))?;
        // Whoever holds the seed of an earlier epoch can make records, but not the history's.
        let digest = B256::new(Sha256::digest(&record).into());
        match self.history_entry(history_root, body.header.number)? {
            Some((hash, true_digest)) if hash == rollup && digest == true_digest => {
                Ok(Some(Arc::new(body)))
            }
            Some((hash, _)) if hash == rollup => {
                Err(LedgerError::Fatal(format!("rollup body {rollup} is forged")))
            }
            _ => Ok(None),
        }
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
        let env = self.env(&view.head, view);
        executor::check(self.state(view.head.header.stateRoot), &env, transaction, sender)
    }
}

/// A rollup under execution.
struct Execution<'a, S: trie::NodeStore> {
    block: Block<'a, S>,
    transactions: Vec<BodyTransaction>,
    withdrawals: Vec<Withdrawal>,
    log_count: u64,
    body_bytes: usize,
    data_gas: u64,
    /// What `prevrandao` comes from.
    chance: Secret,
    /// A hash over all transactions so far.
    history: B256,
}

impl<'a, S: trie::NodeStore> Execution<'a, S> {
    fn new(block: Block<'a, S>, chance: Secret) -> Self {
        Self {
            block,
            transactions: Vec::new(),
            withdrawals: Vec::new(),
            log_count: 0,
            body_bytes: 0,
            data_gas: 0,
            chance,
            history: B256::ZERO,
        }
    }

    /// Whether no further transaction is tried.
    fn is_full(&self) -> bool {
        self.block.env().gas_limit.saturating_sub(self.block.gas_used()) < GAS_LEFT_MIN
            || self.body_bytes >= BODY_BYTES_STOP
            || self.withdrawals.len() >= WITHDRAWALS_STOP
            || self.transactions.len() >= ROLLUP_TRANSACTIONS_MAX
    }

    /// Each transaction has a `prevrandao` of its own, which depends on all up to it: what a host learns of
    /// one by having a rollup sealed is of no use for another.
    fn transact(&mut self, candidate: &Candidate<'_>) -> Result<(), ExecutionError> {
        let hash = candidate.transaction.tx_hash();
        let history = keccak256([self.history.as_slice(), hash.as_slice()].concat());
        let prevrandao = keys::derive(&self.chance, b"transaction", history.as_slice());
        self.block.set_prevrandao(B256::new(*prevrandao.expose()));
        let executed = self.block.transact(candidate.transaction, candidate.sender)?;
        self.history = history;
        self.withdrawals.extend(executed.logs.iter().filter_map(withdrawal));
        let logs = executed.logs.len() as u64;
        self.body_bytes += body_bytes_of(candidate, &executed);
        self.data_gas = self.data_gas.saturating_add(executed.data_gas);
        self.transactions.push(body_transaction(candidate, executed, self.log_count));
        self.log_count += logs;
        Ok(())
    }

    /// Executes the forced transactions that are due, leaving out what is not valid at its turn, and
    /// returns the cursor behind them. They take about half of a rollup's gas and a third of its
    /// payload at most: so a flood of them delays others', but stops nobody else. The first one finds
    /// the rollup empty, so that each is reached.
    fn force(&mut self, due: &Due) -> Result<u64, Fatal> {
        let mut bytes = 0;
        for (index, forced) in &due.transactions {
            let is_over = self.block.gas_used() >= self.block.env().gas_limit / 2
                || bytes + forced.raw.len() > FORCED_EXECUTED_BYTES_MAX;
            if is_over || self.is_full() {
                return Ok(*index);
            }
            match self.transact(&(&**forced).into()) {
                Ok(()) => bytes += forced.raw.len(),
                Err(ExecutionError::Rejected(Reject::BlockFull { .. })) => return Ok(*index),
                Err(ExecutionError::Rejected(_)) => {}
                Err(ExecutionError::Fatal(fatal)) => return Err(fatal),
            }
        }
        Ok(due.end)
    }

    /// What a payload holds behind the forced transactions just executed; `None` if it does not begin
    /// with them.
    fn behind_forced<'c>(&self, payload: &'c [Candidate<'c>]) -> Option<&'c [Candidate<'c>]> {
        let (forced, rest) = payload.split_at_checked(self.transactions.len())?;
        let is_same = forced.iter().zip(&self.transactions).all(|(a, b)| *a.raw == b.raw);
        is_same.then_some(rest)
    }
}

/// Whether a transaction that was left out may be tried again. One that its sender cannot pay is
/// dropped: accounts could otherwise fill rollups' room with what is never executed. A nonce may have
/// been used by a forced transaction; the pool forgets it once that is canonical. What offers too
/// little is not even tried until gas is cheaper.
fn may_wait(reject: &Reject) -> bool {
    use Reject::{BlockFull, FeeTooLow, NonceTooHigh, NonceTooLow};
    matches!(reject, NonceTooHigh { .. } | NonceTooLow { .. } | BlockFull { .. } | FeeTooLow { .. })
}

fn pool_fees(data_gas_per_token: u64) -> FeeRule {
    FeeRule::Pool { address: FEE_POOL, data_gas_per_token }
}

fn history_key(number: u64) -> B256 {
    keccak256(number.to_be_bytes())
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

/// Tells the pool what nodes earned since the parent's proof. No coin is made: it is paid from fees when
/// it is claimed.
fn apply_rewards<S: trie::NodeStore>(
    block: &mut Block<'_, S>,
    rewards: &Rewards,
) -> Result<(), LedgerError> {
    if rewards.is_empty() {
        return Ok(());
    }
    let due = rewards.due().map(|due| Reward { owner: due.owner, amount: U256::from(due.amount) });
    let prizes = rewards.prizes().map(|prize| Prize {
        rollup: prize.rollup,
        enclave: prize.enclave,
        owner: prize.reward.owner,
        amount: U256::from(prize.reward.amount),
    });
    let call = IRewardPool::creditCall { rewards: due.collect(), prizes: prizes.collect() };
    match block.system_call(SYSTEM_ADDRESS, FEE_POOL, call.abi_encode().into()) {
        Ok(_) | Err(ExecutionError::Rejected(_)) => Ok(()),
        Err(ExecutionError::Fatal(fatal)) => Err(fatal.into()),
    }
}

/// Credits deposits: OBX as native coin, everything else through the bridge contract, which wraps
/// it. The L1 bridge lets nothing through that could fail here.
fn apply_deposits<S: trie::NodeStore>(
    block: &mut Block<'_, S>,
    deposits: &[Deposit],
    config: &NetworkConfig,
) -> Result<(), LedgerError> {
    for deposit in deposits {
        let result = if deposit.asset == config.contracts.obscuroToken {
            block.credit(deposit.to, deposit.amount)
        } else {
            let call = IL2Bridge::creditCall {
                asset: deposit.asset,
                to: deposit.to,
                amount: deposit.amount,
                name: deposit.name.clone(),
                symbol: deposit.symbol.clone(),
                decimals: deposit.decimals,
            };
            block.system_call(SYSTEM_ADDRESS, L2_BRIDGE, call.abi_encode().into()).map(|_| ())
        };
        match result {
            Ok(()) | Err(ExecutionError::Rejected(_)) => {}
            Err(ExecutionError::Fatal(fatal)) => return Err(fatal.into()),
        }
    }
    Ok(())
}

/// What a transaction adds to a rollup's body.
fn body_bytes_of(candidate: &Candidate<'_>, executed: &executor::Executed) -> usize {
    let log = |log: &alloy_primitives::Log| BODY_ENTRY_BYTES + log.data.data.len();
    BODY_ENTRY_BYTES + candidate.raw.len() + executed.logs.iter().map(log).sum::<usize>()
}

fn withdrawal(log: &alloy_primitives::Log) -> Option<Withdrawal> {
    if log.address != L2_BRIDGE {
        return None;
    }
    let event = IL2Bridge::Withdrawal::decode_log(log).ok()?.data;
    Some(Withdrawal { index: event.index, asset: event.asset, to: event.to, amount: event.amount })
}

fn body_transaction(
    candidate: &Candidate<'_>,
    executed: executor::Executed,
    first_log: u64,
) -> BodyTransaction {
    BodyTransaction {
        raw: candidate.raw.clone(),
        hash: *candidate.transaction.tx_hash(),
        sender: candidate.sender,
        to: candidate.transaction.to(),
        transaction_type: candidate.transaction.ty(),
        success: executed.success,
        gas_used: executed.gas_used,
        contract: executed.contract_address.filter(|_| candidate.transaction.kind().is_create()),
        first_log,
        logs: executed
            .logs
            .into_iter()
            .map(|log| BodyLog {
                address: log.address,
                topics: log.topics().to_vec(),
                data: log.data.data,
            })
            .collect(),
    }
}
