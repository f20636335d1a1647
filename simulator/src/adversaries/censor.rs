//! Keeps everything that one user sends from its enclave. When all aggregators do it, only L1 is left to
//! that user: its transactions must be executed all the same (protocol 6.6).

use super::Adversary;
use crate::world::World;

/// The user who is censored.
const VICTIM: usize = 0;

/// See above.
pub struct Censor;

impl Adversary for Censor {
    fn censors(&self, user: usize, world: &mut World) -> bool {
        if user == VICTIM {
            *world.counts.attacks.entry("envelopes withheld").or_default() += 1;
        }
        user == VICTIM
    }
}
