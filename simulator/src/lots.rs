//! Verifies lots as every enclave and every host does, but each only once in this process: all nodes of a
//! run ask the same, and a lot takes a millisecond. What is remembered follows from what is asked alone,
//! so that runs repeat whatever was asked before. Not here: the lottery (`obscuro_protocol::lottery`).

use alloy_primitives::U256;
use obscuro_protocol::lottery::{self, Draw};
use std::{cell::RefCell, collections::HashMap};

/// Lots remembered: those of many rounds.
const REMEMBERED_MAX: usize = 4_096;

/// By key, draw and proof.
type Verified = HashMap<(Vec<u8>, Draw, Vec<u8>), Option<U256>>;

thread_local! {
    static VERIFIED: RefCell<Verified> = RefCell::default();
}

/// [`lottery::verify`].
pub fn verify(public_key: &[u8], draw: &Draw, proof: &[u8]) -> Option<U256> {
    VERIFIED.with_borrow_mut(|verified| {
        if verified.len() >= REMEMBERED_MAX {
            verified.clear();
        }
        let asked = (public_key.to_vec(), *draw, proof.to_vec());
        *verified.entry(asked).or_insert_with(|| lottery::verify(public_key, draw, proof))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::B256;
    use obscuro_protocol::{lottery::LotteryKey, secret::Secret};

    #[test]
    fn answers_are_those_of_the_lottery_the_first_time_and_the_second() {
        let key = LotteryKey::new(&Secret::new([7; 32]));
        let [config_hash, randao, other] = [1, 2, 3].map(B256::repeat_byte);
        let draw = Draw { config_hash, number: 1, randao };
        let (public_key, proof) = (key.public_key(), key.prove(&draw));
        let others = [
            Draw { config_hash: other, ..draw },
            Draw { number: 2, ..draw },
            Draw { randao: other, ..draw },
        ];
        for _ in 0..2 {
            assert_eq!(verify(&public_key, &draw, &proof), Some(lottery::nonce(&proof)));
            for other in &others {
                assert_eq!(verify(&public_key, other, &proof), None);
                assert_eq!(verify(&public_key, &draw, &key.prove(other)), None);
            }
            assert_eq!(verify(&[0; 96], &draw, &proof), None);
        }
    }
}
