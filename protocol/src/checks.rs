//! The checks of signatures that every node makes of the same rollups and transactions, and the proof that
//! whoever holds a lottery key can check by making it again. A simulation, which runs many nodes, gives them
//! its own, with the same answers; nothing else has a reason to. Not here: the checks themselves
//! ([`crate::rollup::recover`], [`crate::lottery::verify`]).

use crate::{
    lottery::{self, Draw, LotteryKey},
    rollup,
    secret::Secret,
};
use alloy_primitives::{Address, B256, Bytes, U256};

/// What checks signatures, and draws lots.
#[derive(Clone, Copy, Debug)]
pub struct Checks {
    /// The address that made a 65-byte signature over a digest.
    pub signer: fn(&B256, &[u8]) -> Option<Address>,
    /// The nonce that a public key drew, given the proof.
    pub lot: fn(&[u8], &Draw, &[u8]) -> Option<U256>,
    /// The one proof of the lottery key that a secret yields.
    pub prove: fn(&Secret, &Draw) -> Bytes,
}

impl Default for Checks {
    fn default() -> Self {
        let prove = |secret: &Secret, draw: &Draw| LotteryKey::new(secret).prove(draw);
        Self { signer: rollup::recover, lot: lottery::verify, prove }
    }
}
