//! Whether a transaction could be executed on a state, without executing it. Not here: execution.

use super::{
    BlockEnv, ExecutionError,
    block::{self, Evm},
    database::BlockState,
    transaction::{self, Remaining},
};
use crate::{
    state::{State, StateError},
    trie::NodeStore,
};
use alloy_consensus::Transaction;
use alloy_primitives::Address;
use revm::{
    context_interface::{
        ContextSetters,
        result::{EVMError, InvalidTransaction},
    },
    handler::{EthFrame, Handler, MainnetHandler},
};

type Checker<'a, S> =
    MainnetHandler<Evm<'a, S>, EVMError<StateError, InvalidTransaction>, EthFrame>;

/// All checks that precede execution: signature-independent form, intrinsic gas, nonce, funds.
pub fn check<'a, S: NodeStore, T: Transaction>(
    state: State<'a, S>,
    env: &BlockEnv,
    tx: &T,
    sender: Address,
) -> Result<(), ExecutionError> {
    let remaining = Remaining { gas: env.gas_limit, blob_gas: env.max_blob_gas() };
    let prepared = transaction::prepare(tx, sender, env, remaining)?;
    let mut evm = block::evm(BlockState::new(state, Box::new(|_| Ok(None))), env);
    evm.ctx.set_tx(prepared.env);
    match (Checker { _phantom: Default::default() }).validate(&mut evm) {
        Ok(_) => Ok(()),
        Err(EVMError::Transaction(error)) => {
            Err(transaction::rejection(error, &evm.ctx.tx, env).into())
        }
        Err(error) => Err(block::fatal(error).into()),
    }
}
