//! Errors as Ethereum's tools expect them: JSON-RPC and EIP-1474 codes, geth's wording, revert
//! reasons decoded. Not here: what is refused (the enclave decides, the methods check parameters).

use crate::{accounts::AccountsError, node::NodeError, sealed::AskError};
use alloy_primitives::Bytes;
use alloy_sol_types::{Panic, Revert, SolError};
use jsonrpsee::types::ErrorObjectOwned;
use obscuro_protocol::query::Refusal;

/// What a method returns.
pub type Answer<T> = Result<T, ErrorObjectOwned>;

/// Code of a reverted execution, and of nothing else.
const CODE_REVERTED: i32 = 3;
/// geth's code for whatever has no better one.
pub const CODE_SERVER: i32 = -32_000;
const CODE_UNAVAILABLE: i32 = -32_002;
const CODE_UNSUPPORTED: i32 = -32_004;
const CODE_LIMIT: i32 = -32_005;
const CODE_INVALID_PARAMS: i32 = -32_602;
const CODE_INTERNAL: i32 = -32_603;

/// An error without data.
fn error(code: i32, message: impl Into<String>) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(code, message, None::<()>)
}

/// The caller's parameters are wrong.
pub fn invalid_params(message: impl Into<String>) -> ErrorObjectOwned {
    error(CODE_INVALID_PARAMS, message)
}

/// It exists elsewhere, but not here.
pub fn unsupported(message: impl Into<String>) -> ErrorObjectOwned {
    error(CODE_UNSUPPORTED, message)
}

/// Too much at once.
pub fn over_limit(message: impl Into<String>) -> ErrorObjectOwned {
    error(CODE_LIMIT, message)
}

/// Refused for the reason that geth would give.
pub fn server_error(message: impl Into<String>) -> ErrorObjectOwned {
    error(CODE_SERVER, message)
}

/// A reply of the wrong kind: enclave and gateway disagree on the protocol.
pub fn unexpected_reply() -> ErrorObjectOwned {
    error(CODE_INTERNAL, "the enclave's reply is not an answer to this query")
}

impl From<AskError> for ErrorObjectOwned {
    fn from(failure: AskError) -> Self {
        match failure {
            AskError::Refused(refusal) => refused(refusal),
            AskError::Node(failure) => failure.into(),
            AskError::TooLarge => error(CODE_INVALID_PARAMS, failure.to_string()),
            AskError::Forged | AskError::Untimely(_) | AskError::Session(_) => {
                error(CODE_INTERNAL, failure.to_string())
            }
        }
    }
}

impl From<NodeError> for ErrorObjectOwned {
    fn from(failure: NodeError) -> Self {
        let code = match &failure {
            NodeError::Unreachable(_) => CODE_UNAVAILABLE,
            NodeError::Refused { code, .. } if *code == CODE_UNAVAILABLE => CODE_UNAVAILABLE,
            NodeError::Refused { .. } | NodeError::Malformed(_) => CODE_INTERNAL,
        };
        error(code, failure.to_string())
    }
}

impl From<AccountsError> for ErrorObjectOwned {
    fn from(failure: AccountsError) -> Self {
        let code = match failure {
            AccountsError::Expired | AccountsError::Signature => CODE_INVALID_PARAMS,
            AccountsError::Full => CODE_LIMIT,
            AccountsError::File { .. } | AccountsError::Key(_) => CODE_INTERNAL,
        };
        error(code, failure.to_string())
    }
}

fn refused(refusal: Refusal) -> ErrorObjectOwned {
    let message = match (&refusal.data, refusal.code) {
        (Some(data), CODE_REVERTED) => revert_message(data),
        _ => refusal.message,
    };
    ErrorObjectOwned::owned(refusal.code, message, refusal.data)
}

/// geth's message for revert data.
fn revert_message(data: &Bytes) -> String {
    let reason = if let Ok(revert) = Revert::abi_decode(data) {
        revert.reason
    } else if let Ok(panic) = Panic::abi_decode(data) {
        panic_reason(&panic)
    } else {
        return "execution reverted".to_owned();
    };
    format!("execution reverted: {reason}")
}

fn panic_reason(panic: &Panic) -> String {
    match u32::try_from(panic.code).unwrap_or(u32::MAX) {
        0x00 => "generic panic".to_owned(),
        0x01 => "assert(false)".to_owned(),
        0x11 => "arithmetic underflow or overflow".to_owned(),
        0x12 => "division or modulo by zero".to_owned(),
        0x21 => "enum overflow".to_owned(),
        0x22 => "invalid encoded storage byte array accessed".to_owned(),
        0x31 => "out-of-bounds array access; popping on an empty array".to_owned(),
        0x32 => "out-of-bounds access of an array or bytesN".to_owned(),
        0x41 => "out of memory".to_owned(),
        0x51 => "uninitialized function".to_owned(),
        _ => format!("unknown panic code: {:#x}", panic.code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::U256;

    #[test]
    fn reverts_read_as_geth_writes_them() {
        let reason = Revert::from("not enough").abi_encode();
        let panic = Panic { code: U256::from(0x11) }.abi_encode();
        let unknown = Panic { code: U256::MAX }.abi_encode();
        let cases = [
            (reason, "execution reverted: not enough".to_owned()),
            (panic, "execution reverted: arithmetic underflow or overflow".to_owned()),
            (unknown, format!("execution reverted: unknown panic code: {:#x}", U256::MAX)),
            (vec![1, 2, 3, 4], "execution reverted".to_owned()),
            (vec![], "execution reverted".to_owned()),
            (vec![0x08, 0xc3, 0x79, 0xa0, 0xff], "execution reverted".to_owned()),
        ];
        for (data, message) in cases {
            let refusal = Refusal {
                code: CODE_REVERTED,
                message: "ignored".to_owned(),
                data: Some(data.clone().into()),
            };
            let error = ErrorObjectOwned::from(AskError::Refused(refusal));
            assert_eq!((error.code(), error.message()), (3, message.as_str()));
            let expected = serde_json::to_string(&Bytes::from(data)).unwrap();
            assert_eq!(error.data().map(|data| data.get()), Some(expected.as_str()));
        }
    }

    #[test]
    fn other_refusals_pass_unchanged() {
        let refusal =
            Refusal { code: CODE_SERVER, message: "nonce too low".to_owned(), data: None };
        let error = ErrorObjectOwned::from(AskError::Refused(refusal));
        assert_eq!((error.code(), error.message()), (-32_000, "nonce too low"));
        assert!(error.data().is_none());
    }
}
