//! JSON-RPC errors: the standard codes, and geth's wording where tools match on it.

use alloy_primitives::{Bytes, hex};
use jsonrpsee::types::{
    ErrorObjectOwned,
    error::{CALL_EXECUTION_FAILED_CODE, INTERNAL_ERROR_CODE, INVALID_PARAMS_CODE},
};
use obscuro_enclave::{
    executor::{CallOutcome, CallResult, ExecutionError, Fatal, revert_reason},
    state::StateError,
};

use crate::l1::{chain::ChainError, incoming::Refusal};

/// Code of a reverted call, with the revert data.
pub const REVERTED_CODE: i32 = 3;

/// Code of a request that asks for too much.
pub const LIMIT_EXCEEDED_CODE: i32 = -32005;

/// An answer or the reason why there is none.
pub type Reply<T> = Result<T, ErrorObjectOwned>;

/// Something was wrong with the request in this situation.
pub fn server(message: impl Into<String>) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(CALL_EXECUTION_FAILED_CODE, message, None::<()>)
}

/// The parameters make no sense.
pub fn invalid(message: impl Into<String>) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(INVALID_PARAMS_CODE, message, None::<()>)
}

/// More was asked for than is given.
pub fn limit(message: impl Into<String>) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(LIMIT_EXCEEDED_CODE, message, None::<()>)
}

/// The named block is not known.
pub fn no_block() -> ErrorObjectOwned {
    server("header not found")
}

/// There is no such filter, or it has expired.
pub fn no_filter() -> ErrorObjectOwned {
    server("filter not found")
}

fn internal(message: impl Into<String>) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(INTERNAL_ERROR_CODE, message, None::<()>)
}

/// The state could not be read.
pub fn state(error: StateError) -> ErrorObjectOwned {
    internal(error.to_string())
}

/// A transaction was not taken.
pub fn refusal(refusal: Refusal) -> ErrorObjectOwned {
    match refusal {
        Refusal::Fatal(fatal) => fatal_error(fatal),
        refusal => server(refusal.to_string()),
    }
}

/// The chain did not do what it was asked.
pub fn chain(error: ChainError) -> ErrorObjectOwned {
    server(error.to_string())
}

/// A call could not be executed at all.
pub fn execution(error: ExecutionError) -> ErrorObjectOwned {
    match error {
        ExecutionError::Rejected(reject) => server(reject.to_string()),
        ExecutionError::Fatal(fatal) => fatal_error(fatal),
    }
}

fn fatal_error(error: Fatal) -> ErrorObjectOwned {
    internal(error.to_string())
}

/// The data that a call returned, or how it failed.
pub fn returned(outcome: CallOutcome) -> Reply<Bytes> {
    match outcome.result {
        CallResult::Return(data) => Ok(data),
        CallResult::Halt(reason) => Err(server(reason)),
        CallResult::Revert(data) => {
            let message = match revert_reason(&data) {
                Some(reason) => format!("execution reverted: {reason}"),
                None => "execution reverted".to_owned(),
            };
            let data = hex::encode_prefixed(&data);
            Err(ErrorObjectOwned::owned(REVERTED_CODE, message, Some(data)))
        }
    }
}
