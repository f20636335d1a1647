//! Executing the transactions of a rollup. Building and checking one are the same execution. Not here: what is
//! due (`forced`, `rewards`, `view`), the EVM (`executor`).

use super::{
    Ledger, LedgerError,
    body::{self, Body, BodyTransaction},
};
use crate::{
    device::{Device, Task},
    executor::{Block, ExecutionError, Fatal, Reject},
    forced::Due,
    pool::Pooled,
    rewards::Rewards,
    store::{EncryptedStore, MAX_RECORD_BYTES},
    trie::{self, ordered},
    view::{Deposit, Rollup, View},
};
use alloy_consensus::TxEnvelope;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_sol_types::SolCall;
use obscuro_protocol::{
    config::NetworkConfig,
    contracts::{FEE_POOL, L2_BRIDGE, SYSTEM_ADDRESS},
    keys::Deriver,
    l1::{IL2Bridge, IRewardPool, Prize, Reward},
    limits::{FORCED_EXECUTED_BYTES_MAX, ROLLUP_TRANSACTIONS_MAX, ROLLUP_WITHDRAWALS_MAX},
    rollup::{HEADER_VERSION, RollupHeader, Withdrawal, withdrawals_root},
    secret::Secret,
};

/// Withdrawals after which no further transaction is tried: one transaction cannot order as many
/// again.
const WITHDRAWALS_STOP: usize = ROLLUP_WITHDRAWALS_MAX / 2;
/// Bytes of transactions and events after which no further transaction is tried. One transaction
/// adds at most a fraction of what is left of a record, by its size and gas limits.
const BODY_BYTES_STOP: usize = MAX_RECORD_BYTES / 2;

/// Gas left in a rollup below which no further transaction is tried.
const GAS_LEFT_MIN: u64 = 21_000;

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
    /// Without events, and with a header that lacks what is computed from all transactions.
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
    pub(super) data_gas: u64,
    /// New nodes of the state's trie.
    pub(super) nodes: Vec<(B256, Bytes)>,
}

impl<'a> Ledger<'a> {
    /// The block of a child of the head at `proof`.
    pub fn block<'l>(&'l self, proof: &View) -> Block<'l, EncryptedStore<'a>> {
        let Rollup { header, history_root, .. } = &*proof.head;
        let (state, history_root) = (self.state(header.stateRoot), *history_root);
        Block::new(state, self.env(proof), move |number| self.block_hash(history_root, number))
    }

    /// Executes rewards, deposits, then the forced transactions that are due, then the candidates, in
    /// the block of `proof`. `Ok(Err(_))`: the payload is not what [`OnReject::Fail`] demands.
    pub fn execute<'l>(
        &self,
        mut block: Block<'l, EncryptedStore<'a>>,
        proof: &View,
        nonce: U256,
        forced: &Due,
        candidates: &[Candidate<'_>],
        on_reject: OnReject,
    ) -> Result<Result<Draft<'l, 'a>, String>, LedgerError> {
        let parent = &proof.head;
        apply_rewards(&mut block, &proof.rewards)?;
        apply_deposits(&mut block, &proof.deposits, self.config)?;
        let chance = self.chance(parent.hash, proof.block.hash, nonce);
        let mut execution = Execution::new(block, &chance);
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
        let (read, cores) = (&body, device.cores());
        let length = ordered::part_length(body.transactions.len(), cores);
        let chunks = || read.transactions.chunks(length);
        let mut parts: Vec<Option<ordered::Part>> = chunks().map(|_| None).collect();
        let mut tasks: Vec<Task<'_>> = Vec::new();
        for (first, (chunk, part)) in (0..).step_by(length).zip(chunks().zip(&mut parts)) {
            let raw =
                |transaction: &BodyTransaction, out: &mut Vec<u8>| out.extend(&transaction.raw);
            tasks.push(Box::new(move || *part = Some(ordered::Part::new(first, chunk, raw))));
        }
        // The longest first: whoever has few cores is done earliest.
        let run = |longer: Vec<Task<'_>>| {
            let mut all: Vec<Task<'_>> = vec![Box::new(|| beside(read))];
            all.extend(longer);
            all.extend(tasks);
            device.run(all);
        };
        let finished = block.finish_with(cores, run)?;
        let unfinished = || LedgerError::Fatal("the transactions' root was not computed".into());
        let parts: Option<Vec<ordered::Part>> = parts.into_iter().collect();
        body.header.stateRoot = finished.applied.root;
        body.header.transactionsRoot = ordered::root(parts.ok_or_else(unfinished)?);
        body.header.receiptsRoot = finished.receipts_root;
        for (transaction, receipt) in body.transactions.iter_mut().zip(finished.receipts) {
            transaction.logs = body::logs(receipt);
        }
        Ok(Outcome { body, data_gas, nodes: finished.applied.nodes })
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
    chance: Deriver,
    /// A hash over all transactions so far.
    history: B256,
}

impl<'a, S: trie::NodeStore> Execution<'a, S> {
    fn new(block: Block<'a, S>, chance: &Secret) -> Self {
        Self {
            block,
            transactions: Vec::new(),
            withdrawals: Vec::new(),
            log_count: 0,
            body_bytes: 0,
            data_gas: 0,
            chance: Deriver::new(chance),
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
        let prevrandao = self.chance.derive(b"transaction", history.as_slice());
        self.block.set_prevrandao(B256::new(*prevrandao.expose()));
        let executed = self.block.transact(candidate.transaction, candidate.sender)?;
        self.history = history;
        let logs = self.block.logs();
        self.withdrawals.extend(logs.iter().filter_map(body::withdrawal));
        self.body_bytes += body::bytes_of(candidate, logs);
        self.data_gas = self.data_gas.saturating_add(executed.data_gas);
        self.transactions.push(body::transaction(candidate, &executed, self.log_count));
        self.log_count += logs.len() as u64;
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
