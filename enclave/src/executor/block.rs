//! Executing a block: one `revm` context, and one journal, for all of its transactions.

mod privacy;

use super::{
    BlockEnv, Executed, ExecutionError, Fatal, FeeRule, Fees, Finished, SystemOutcome,
    database::{self, BlockHashAnswer, BlockState},
    outcome::Parts,
    receipts::Receipts,
    transaction::{self, Prepared, Remaining},
};
use crate::{
    device::Task,
    state::{State, StateError},
    trie::NodeStore,
};
use alloy_consensus::{Receipt, Transaction};
use alloy_primitives::{Address, B256, Bytes, Log, TxKind, U256};
use revm::{
    ExecuteEvm, MainnetEvm, SystemCallEvm,
    context_interface::{
        FrameStack, JournalTr,
        either::Either,
        journaled_state::account::JournaledAccountTr,
        result::{EVMError, InvalidTransaction},
    },
    handler::{EthPrecompiles, MainnetContext, instructions::EthInstructions},
    state::AccountStatus,
};

pub(super) type Evm<'a, S> = MainnetEvm<MainnetContext<BlockState<'a, S>>>;

/// A block being executed.
pub struct Block<'a, S: NodeStore> {
    evm: Evm<'a, S>,
    env: BlockEnv,
    receipts: Receipts,
    gas_used: u64,
    blob_gas_used: u64,
    fees: Fees,
    /// Set by the first fatal error: nothing that follows can be right.
    poisoned: bool,
}

impl<S: NodeStore> std::fmt::Debug for Block<'_, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Block").field("env", &self.env).finish_non_exhaustive()
    }
}

/// An EVM over this state, for these block parameters.
pub(super) fn evm<'a, S: NodeStore>(state: BlockState<'a, S>, env: &BlockEnv) -> Evm<'a, S> {
    let ctx = MainnetContext::new(state, super::env::SPEC)
        .with_cfg(env.revm_cfg())
        .with_block(env.revm());
    let mut evm = Evm {
        ctx,
        inspector: (),
        instruction: EthInstructions::new_mainnet_with_spec(super::env::SPEC),
        precompiles: EthPrecompiles::new(super::env::SPEC),
        // Made as calls nest: eight, which `revm` makes beforehand, are more work than a short call.
        frame_stack: FrameStack::new(),
    };
    if let FeeRule::Pool { .. } = env.fees {
        privacy::hide_others(evm.instruction.instruction_table_mut());
    }
    evm
}

impl<'a, S: NodeStore> Block<'a, S> {
    /// Starts a block on top of `state`. `block_hashes` answers `BLOCKHASH` for the last 256 blocks; it may fail,
    /// which is fatal.
    pub fn new<A: BlockHashAnswer>(
        state: State<'a, S>,
        env: BlockEnv,
        block_hashes: impl Fn(u64) -> A + 'a,
    ) -> Self {
        Self {
            evm: evm(BlockState::new(state, database::block_hashes(block_hashes)), &env),
            env,
            receipts: Receipts::default(),
            gas_used: 0,
            blob_gas_used: 0,
            fees: Fees::default(),
            poisoned: false,
        }
    }

    /// The parameters of this block.
    pub fn env(&self) -> &BlockEnv {
        &self.env
    }

    /// Changes what `PREVRANDAO` yields from here on.
    pub fn set_prevrandao(&mut self, prevrandao: B256) {
        self.env.prevrandao = prevrandao;
        self.evm.ctx.block.prevrandao = Some(prevrandao);
    }

    /// Gas used by the transactions so far.
    pub fn gas_used(&self) -> u64 {
        self.gas_used
    }

    /// Blob gas used by the transactions so far.
    pub fn blob_gas_used(&self) -> u64 {
        self.blob_gas_used
    }

    /// An account's nonce before the block. What is read for it need not be read again in the block.
    pub fn nonce_before(&mut self, address: Address) -> Result<u64, Fatal> {
        let before = &mut self.evm.ctx.journaled_state.database;
        before.nonce(address).map_err(Fatal::State)
    }

    /// The logs of the last transaction.
    pub fn logs(&self) -> &[Log] {
        self.receipts.last_logs()
    }

    /// Executes a transaction from its recovered sender. A rejected one leaves no trace.
    pub fn transact<T: Transaction>(
        &mut self,
        tx: &T,
        sender: Address,
    ) -> Result<Executed, ExecutionError> {
        self.check_alive()?;
        let remaining = Remaining {
            gas: self.env.gas_limit.saturating_sub(self.gas_used),
            blob_gas: self.env.max_blob_gas().saturating_sub(self.blob_gas_used),
        };
        let prepared = transaction::prepare(tx, sender, &self.env, remaining)?;
        self.forget_emptied_authorities(&prepared);
        let Prepared { env, ty, gas_price, blob_gas } = prepared;
        let parts = match self.evm.transact_one(env) {
            Ok(result) => Parts::from(result),
            Err(EVMError::Transaction(error)) => {
                return Err(transaction::rejection(error, &self.evm.ctx.tx, &self.env).into());
            }
            Err(error) => return Err(self.poison(error)),
        };
        self.account(&parts, gas_price, blob_gas);
        let executed = Executed {
            success: parts.failure.is_none(),
            failure: parts.failure,
            gas_used: parts.gas_used,
            data_gas: self.env.data_gas(tx),
            cumulative_gas_used: self.gas_used,
            effective_gas_price: gas_price,
            blob_gas_used: blob_gas,
            contract_address: match tx.kind() {
                TxKind::Create => Some(sender.create(tx.nonce())),
                TxKind::Call(_) => None,
            },
            output: parts.output,
        };
        let receipt = Receipt {
            status: executed.success.into(),
            cumulative_gas_used: self.gas_used,
            logs: parts.logs,
        };
        self.receipts.push(ty, receipt);
        Ok(executed)
    }

    /// Calls a contract as the protocol itself (as in EIP-4788 and EIP-2935): no fee, no nonce, no receipt, a gas
    /// limit of its own of 30 million. If the call fails, it has changed nothing.
    pub fn system_call(
        &mut self,
        from: Address,
        to: Address,
        data: Bytes,
    ) -> Result<SystemOutcome, ExecutionError> {
        self.check_alive()?;
        match self.evm.system_call_one_with_caller(from, to, data) {
            Ok(result) => {
                let Parts { failure, gas_used, logs, output, .. } = Parts::from(result);
                Ok(SystemOutcome { failure, gas_used, logs, output })
            }
            Err(error) => Err(self.poison(error)),
        }
    }

    /// Adds native coin to an account, from nowhere: a bridge deposit, a consensus-layer withdrawal, a faucet.
    pub fn credit(&mut self, to: Address, amount: U256) -> Result<(), ExecutionError> {
        self.check_alive()?;
        let journal = &mut self.evm.ctx.journaled_state;
        let credited = journal.load_account_mut(to).map(|mut account| account.incr_balance(amount));
        journal.commit_tx();
        match credited {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.poison_with(Fatal::Overflow(to))),
            Err(error) => Err(self.poison_with(error.into())),
        }
    }

    /// Ends the block: pays the pool, computes the roots. Nothing is written: the caller stores the nodes.
    pub fn finish(self) -> Result<Finished, Fatal> {
        self.finish_with(1, |tasks| tasks.into_iter().for_each(|task| task()))
    }

    /// [`Self::finish`], where the state root and parts of the receipts are tasks for so many cores, the longest
    /// first, all of which `run` must do.
    pub fn finish_with(
        mut self,
        cores: usize,
        run: impl FnOnce(Vec<Task<'_>>),
    ) -> Result<Finished, Fatal> {
        if let FeeRule::Pool { address: pool, .. } = self.env.fees
            && !self.fees.base.is_zero()
        {
            self.credit(pool, self.fees.base).map_err(|error| match error {
                ExecutionError::Fatal(fatal) => fatal,
                ExecutionError::Rejected(reject) => Fatal::Evm(reject.to_string()),
            })?;
        }
        if self.poisoned {
            return Err(Fatal::Poisoned);
        }
        let accounts = self.evm.finalize();
        let before = &self.evm.ctx.journaled_state.database;
        let (state, read) = (before.state(), before.read());
        let apply = || {
            let changes = read.changes(accounts)?;
            let applied = state.apply_to_known(&changes, read)?;
            Ok::<_, Fatal>((changes, applied))
        };
        let (mut applied, mut parts) = (None, self.receipts.parts(cores));
        let mut tasks: Vec<Task<'_>> = vec![Box::new(|| applied = Some(apply()))];
        tasks.extend(parts.iter_mut().map(|part| Box::new(|| part.digest()) as Task<'_>));
        run(tasks);
        let unfinished = || Fatal::Evm("a root was not computed".into());
        let (receipts, receipts_root, logs_bloom) = Receipts::join(parts).ok_or_else(unfinished)?;
        let (changes, applied) = applied.ok_or_else(unfinished)??;
        Ok(Finished {
            applied,
            changes,
            receipts,
            receipts_root,
            logs_bloom,
            gas_used: self.gas_used,
            blob_gas_used: self.blob_gas_used,
            fees: self.fees,
        })
    }

    /// Adds an executed transaction to the totals.
    fn account(&mut self, parts: &Parts, gas_price: u128, blob_gas: u64) {
        let tip = gas_price.saturating_sub(self.env.base_fee.into());
        let gas_used = U256::from(parts.gas_used);
        self.fees.base += gas_used * U256::from(self.env.base_fee);
        self.fees.priority += gas_used * U256::from(tip);
        self.fees.blob += transaction::blob_fee(blob_gas, self.env.excess_blob_gas);
        self.gas_used = self.gas_used.saturating_add(parts.gas_used);
        self.blob_gas_used = self.blob_gas_used.saturating_add(blob_gas);
    }

    /// EIP-161 removes emptied accounts after each transaction. Here they stay in the block's journal, where the
    /// only rule that tells an emptied account from one that never existed is EIP-7702's refund: make them alike.
    fn forget_emptied_authorities(&mut self, prepared: &Prepared) {
        for authorization in &prepared.env.authorization_list {
            let Either::Right(authorization) = authorization else {
                continue;
            };
            let Some(authority) = authorization.authority() else {
                continue;
            };
            let accounts = &mut self.evm.ctx.journaled_state.inner.state;
            if let Some(account) = accounts.get_mut(&authority)
                && account.is_empty()
            {
                account.unmark_touch();
                account.status |= AccountStatus::LoadedAsNotExisting;
            }
        }
    }

    fn check_alive(&self) -> Result<(), Fatal> {
        if self.poisoned { Err(Fatal::Poisoned) } else { Ok(()) }
    }

    fn poison(&mut self, error: EVMError<StateError, InvalidTransaction>) -> ExecutionError {
        self.poison_with(fatal(error))
    }

    fn poison_with(&mut self, fatal: Fatal) -> ExecutionError {
        self.poisoned = true;
        fatal.into()
    }
}

/// What `revm` reports besides invalid transactions.
pub(super) fn fatal(error: EVMError<StateError, InvalidTransaction>) -> Fatal {
    match error {
        EVMError::Database(error) => Fatal::State(error),
        other => Fatal::Evm(other.to_string()),
    }
}
