//! Read-only execution: `eth_call` and `eth_estimateGas` with geth's rules. Nothing is kept.

use super::{
    BlockEnv, ExecutionError, Failure, Fatal, FeeRule, Reject,
    block::{self, Evm},
    database::{self, BlockHashAnswer, BlockHashes, BlockState},
    outcome::Parts,
    transaction,
};
use crate::{state::State, trie::NodeStore};
use alloy_eips::{eip2930::AccessList, eip7825::MAX_TX_GAS_LIMIT_OSAKA};
use alloy_primitives::{Address, Bytes, Log, TxKind, U256};
use revm::{ExecuteEvm, context::TxEnv, context_interface::result::EVMError};

/// Gas a call may use at most; geth's default.
pub const CALL_GAS_CAP: u64 = 50_000_000;

/// Call data accepted at most.
pub const MAX_CALL_DATA_BYTES: usize = 1 << 20;

/// Data returned, and data in logs, handed out at most.
pub const MAX_RETURN_BYTES: usize = 1 << 20;

/// Gas of a transfer that runs no code.
const TRANSFER_GAS: u64 = 21_000;

/// Gas given to a callee with value for free (yellow paper, `G_callstipend`).
const CALL_STIPEND: u64 = 2_300;

/// An estimate may exceed the least sufficient limit by 1.5 %, as in geth: saves several executions.
const ESTIMATE_ERROR_PER_MILLE: u64 = 15;

/// A message to execute, as in `eth_call`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallRequest {
    /// Sender; the zero address by default.
    pub from: Option<Address>,
    /// Callee; `None` creates a contract.
    pub to: Option<Address>,
    /// Gas limit; the cap by default.
    pub gas: Option<u64>,
    /// Wei per gas. Absent or zero: gas is free and `BASEFEE` reads zero, as in geth.
    pub gas_price: Option<u128>,
    /// Wei to transfer; the sender must have it.
    pub value: U256,
    /// Call data or init code.
    pub data: Bytes,
    /// Addresses and slots to warm up (EIP-2930).
    pub access_list: AccessList,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallOutcome {
    /// What came back.
    pub result: CallResult,
    /// Gas used, after refunds.
    pub gas_used: u64,
    /// Logs emitted; none if it failed.
    pub logs: Vec<Log>,
}

/// What came back from a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallResult {
    /// It succeeded and returned this.
    Return(Bytes),
    /// It reverted with this.
    Revert(Bytes),
    /// The EVM stopped it, for this reason in geth's words.
    Halt(&'static str),
}

/// Executes a message on top of `state` and forgets its effects (`eth_call`).
pub fn call<'a, S: NodeStore, A: BlockHashAnswer>(
    state: State<'a, S>,
    env: &BlockEnv,
    block_hashes: impl Fn(u64) -> A + 'a,
    request: &CallRequest,
) -> Result<CallOutcome, ExecutionError> {
    let mut session = Session::new(state, env, database::block_hashes(block_hashes), request)?;
    let gas = request.gas.unwrap_or(CALL_GAS_CAP).min(CALL_GAS_CAP);
    let parts = session.run(gas)?;
    outcome(parts)
}

/// The gas limit that makes the message succeed (`eth_estimateGas`), or how it fails with as much gas as the
/// request, the block, the caps and the sender's funds allow.
pub fn estimate_gas<'a, S: NodeStore, A: BlockHashAnswer>(
    state: State<'a, S>,
    env: &BlockEnv,
    block_hashes: impl Fn(u64) -> A + 'a,
    request: &CallRequest,
) -> Result<Result<u64, CallOutcome>, ExecutionError> {
    let mut session = Session::new(state, env, database::block_hashes(block_hashes), request)?;
    let mut high = session.most_gas(state)?;
    if high >= TRANSFER_GAS
        && session.is_plain_transfer(state)?
        && session.suffices(TRANSFER_GAS)?
    {
        return Ok(Ok(TRANSFER_GAS));
    }
    let parts = session.run(high)?;
    if parts.failure.is_some() {
        return outcome(parts).map(Err);
    }
    // Less than was used cannot do. What is used and refunded, with the 1/64 that calls hold back, often does.
    let mut low = parts.gas_used.saturating_sub(1);
    let needed = parts.gas_used.saturating_add(parts.refunded).saturating_add(CALL_STIPEND);
    let optimistic = needed.saturating_mul(64) / 63;
    if optimistic < high {
        if session.suffices(optimistic)? { high = optimistic } else { low = optimistic }
    }
    while low.saturating_add(1) < high {
        if (high - low).saturating_mul(1000) < high.saturating_mul(ESTIMATE_ERROR_PER_MILLE) {
            break;
        }
        // Most need little more than they use: look near the low end first, as geth does.
        let middle = (low + (high - low) / 2).min(low.saturating_mul(2)).max(low + 1);
        if session.suffices(middle)? { high = middle } else { low = middle }
    }
    Ok(Ok(high))
}

/// One message executed again and again on the same state, which is read once.
struct Session<'a, S: NodeStore> {
    evm: Evm<'a, S>,
    env: BlockEnv,
    tx: TxEnv,
}

impl<'a, S: NodeStore> Session<'a, S> {
    fn new(
        state: State<'a, S>,
        env: &BlockEnv,
        block_hashes: BlockHashes<'a>,
        request: &CallRequest,
    ) -> Result<Self, ExecutionError> {
        if request.data.len() > MAX_CALL_DATA_BYTES {
            let size = request.data.len();
            return Err(Reject::CallDataTooLong { size, max: MAX_CALL_DATA_BYTES }.into());
        }
        let mut env = env.clone();
        let tx = message(request, &mut env)?;
        let mut evm = block::evm(BlockState::new(state, block_hashes), &env);
        let cfg = &mut evm.ctx.cfg;
        cfg.disable_nonce_check = true;
        cfg.disable_eip3607 = true;
        cfg.disable_block_gas_limit = true;
        cfg.tx_gas_limit_cap = Some(u64::MAX);
        Ok(Self { evm, env, tx })
    }

    /// Executes with this gas limit and undoes the effects.
    fn run(&mut self, gas_limit: u64) -> Result<Parts, ExecutionError> {
        let result = self.evm.transact_one(TxEnv { gas_limit, ..self.tx.clone() });
        let _ = self.evm.finalize();
        match result {
            Ok(result) => Ok(result.into()),
            Err(EVMError::Transaction(error)) => {
                Err(transaction::rejection(error, &self.evm.ctx.tx, &self.env).into())
            }
            Err(error) => Err(block::fatal(error).into()),
        }
    }

    /// Whether this gas limit is enough; too little even to start counts as not.
    fn suffices(&mut self, gas_limit: u64) -> Result<bool, Fatal> {
        match self.run(gas_limit) {
            Ok(parts) => Ok(parts.failure.is_none()),
            Err(ExecutionError::Rejected(_)) => Ok(false),
            Err(ExecutionError::Fatal(fatal)) => Err(fatal),
        }
    }

    /// The most gas an estimate may try.
    fn most_gas(&self, state: State<'a, S>) -> Result<u64, ExecutionError> {
        let requested = match self.tx.gas_limit {
            gas if gas >= TRANSFER_GAS => gas,
            _ => self.env.gas_limit,
        };
        let cap = requested.min(CALL_GAS_CAP).min(MAX_TX_GAS_LIMIT_OSAKA);
        if self.tx.gas_price == 0 {
            return Ok(cap);
        }
        let address = self.tx.caller;
        let have = state.account(address).map_err(Fatal::from)?.unwrap_or_default().balance;
        let Some(funds) = have.checked_sub(self.tx.value) else {
            return Err(Reject::InsufficientFunds { address, have, want: self.tx.value }.into());
        };
        let affordable = funds / U256::from(self.tx.gas_price);
        Ok(cap.min(u64::try_from(affordable).unwrap_or(u64::MAX)))
    }

    fn is_plain_transfer(&self, state: State<'a, S>) -> Result<bool, ExecutionError> {
        let TxKind::Call(to) = self.tx.kind else {
            return Ok(false);
        };
        if !self.tx.data.is_empty() || !self.tx.access_list.is_empty() {
            return Ok(false);
        }
        let account = state.account(to).map_err(Fatal::from)?.unwrap_or_default();
        Ok(account.code_hash == crate::trie::EMPTY_CODE_HASH)
    }
}

/// The transaction to run. Free gas makes the base fee read zero, as in geth.
fn message(request: &CallRequest, env: &mut BlockEnv) -> Result<TxEnv, Reject> {
    let address = request.from.unwrap_or_default();
    let offered = request.gas_price.unwrap_or_default();
    let gas_price = match env.fees {
        _ if offered == 0 => {
            env.base_fee = 0;
            0
        }
        _ if offered < u128::from(env.base_fee) => {
            return Err(Reject::FeeTooLow { address, max_fee: offered, base_fee: env.base_fee });
        }
        FeeRule::Ethereum => offered,
        FeeRule::Pool { .. } => env.base_fee.into(),
    };
    if gas_price.checked_mul(CALL_GAS_CAP.into()).is_none() {
        return Err(Reject::CostOverflow { address });
    }
    Ok(TxEnv {
        tx_type: if request.access_list.is_empty() { 0 } else { 1 },
        caller: address,
        gas_limit: request.gas.unwrap_or_default(),
        gas_price,
        kind: request.to.map_or(TxKind::Create, TxKind::Call),
        value: request.value,
        data: request.data.clone(),
        nonce: 0,
        chain_id: Some(env.chain_id),
        access_list: request.access_list.clone(),
        gas_priority_fee: None,
        blob_hashes: Vec::new(),
        max_fee_per_blob_gas: 0,
        authorization_list: Vec::new(),
    })
}

fn outcome(parts: Parts) -> Result<CallOutcome, ExecutionError> {
    let logged: usize = parts.logs.iter().map(|log| log.data.data.len()).sum();
    if parts.output.len().max(logged) > MAX_RETURN_BYTES {
        let result = CallResult::Halt("return data too long");
        return Ok(CallOutcome { result, gas_used: parts.gas_used, logs: Vec::new() });
    }
    let result = match parts.failure {
        None => CallResult::Return(parts.output),
        Some(Failure::Revert) => CallResult::Revert(parts.output),
        Some(Failure::Halt(reason)) => CallResult::Halt(reason),
    };
    Ok(CallOutcome { result, gas_used: parts.gas_used, logs: parts.logs })
}
