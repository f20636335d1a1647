//! Keeps every transaction from its enclave, so that its rollups are empty: censorship by one. Others must
//! include what it leaves out.

use super::Adversary;

/// See above.
pub struct EmptyRoller;

impl Adversary for EmptyRoller {
    fn ignores_transactions(&self) -> bool {
        true
    }
}
