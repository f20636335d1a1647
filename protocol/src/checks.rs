//! The checks of signatures that every node makes of the same rollups and transactions. A simulation, which
//! runs many nodes, gives them its own, with the same answers; nothing else has a reason to. Not here: the
//! checks themselves ([`crate::rollup::recover`], [`crate::lottery::verify`]).

use crate::{lottery, lottery::Draw, rollup};
use alloy_primitives::{Address, B256, U256};

/// What checks signatures.
#[derive(Clone, Copy, Debug)]
pub struct Checks {
    /// The address that made a 65-byte signature over a digest.
    pub signer: fn(&B256, &[u8]) -> Option<Address>,
    /// The nonce that a public key drew, given the proof.
    pub lot: fn(&[u8], &Draw, &[u8]) -> Option<U256>,
}

impl Default for Checks {
    fn default() -> Self {
        Self { signer: rollup::recover, lot: lottery::verify }
    }
}
