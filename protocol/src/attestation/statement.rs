//! What a signed statement of Intel's is about, so that an enclave can sort those that L1 events
//! carry: the newest of its kind counts. Not here: whether to believe it (`verify`), what it says
//! about platforms (`dcap`).

use super::{AttestationError, Tee, collateral::STATEMENT_BYTES_MAX, dcap};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// The subject and the age of TCB info or a QE identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// What it is about.
    pub subject: Subject,
    /// Its TCB evaluation number.
    pub evaluation_number: u32,
    /// When it was issued, seconds since 1970.
    pub issued: u64,
    /// When it expires.
    pub expires: u64,
}

/// What a statement is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Subject {
    /// Platforms of one kind (FMSPC).
    TcbInfo(Tee, [u8; 6]),
    /// The quoting enclave.
    QeIdentity(Tee),
}

impl Statement {
    /// Reads the JSON text of a statement.
    pub fn read(json: &str) -> Result<Self, AttestationError> {
        if json.len() > STATEMENT_BYTES_MAX {
            let what = "statement";
            return Err(AttestationError::TooLong { what, limit: STATEMENT_BYTES_MAX });
        }
        dcap::statement(json)
    }

    /// Which of two statements about the same counts: the younger one, then the one with the higher
    /// evaluation number. Not the other way round: Intel issues two numbers at a time, and whoever
    /// published the higher one once would let it expire in the way of the lower.
    pub fn precedence(&self, other: &Self) -> Ordering {
        (self.issued, self.evaluation_number).cmp(&(other.issued, other.evaluation_number))
    }
}
