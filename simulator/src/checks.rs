//! Checks signatures as every enclave and every host does, but in less time: all nodes of a run ask the same
//! of the same bytes, and of a lottery key that is at hand the one proof for a draw is remembered from when it
//! was made, or made again in a fifth of the millisecond that verifying it takes. What is remembered follows
//! from what is asked alone, so that runs repeat whatever was asked before. Not here: the checks
//! (`obscuro_protocol::checks`), and what must hold in a run (`checkers`).

use alloy_primitives::{Address, B256, Bytes, U256};
use obscuro_protocol::{
    checks::Checks,
    lottery::{self, Draw, LotteryKey},
    rollup,
    secret::Secret,
};
use std::{cell::RefCell, collections::HashMap, hash::Hash};

/// Answers remembered of each kind: those of many rounds.
const ANSWERS_MAX: usize = 4_096;
/// Keys remembered: those of many networks.
const KEYS_MAX: usize = 1_024;

/// What all nodes of a run check signatures with.
pub const REMEMBERED: Checks = Checks { signer, lot, prove };

#[derive(Default)]
struct Memory {
    /// By public key.
    keys: HashMap<Bytes, Secret>,
    /// By secret and draw.
    proofs: HashMap<([u8; 32], Draw), Bytes>,
    /// By public key, draw and proof.
    lots: HashMap<(Bytes, Draw, Bytes), Option<U256>>,
    /// By digest and signature.
    signers: HashMap<(B256, Bytes), Option<Address>>,
}

thread_local! {
    static MEMORY: RefCell<Memory> = RefCell::default();
}

/// An enclave's key, with which its proofs are made again.
pub fn know(secret: &Secret) {
    let key = LotteryKey::new(secret).public_key();
    MEMORY.with_borrow_mut(|memory| {
        bounded(&mut memory.keys, KEYS_MAX).insert(key, secret.duplicate())
    });
}

fn lot(public_key: &[u8], draw: &Draw, proof: &[u8]) -> Option<U256> {
    let asked = (Bytes::copy_from_slice(public_key), *draw, Bytes::copy_from_slice(proof));
    MEMORY.with_borrow_mut(|Memory { keys, proofs, lots, .. }| {
        let check = || match keys.get(public_key) {
            Some(key) => (*proved(proofs, key, draw) == *proof).then(|| lottery::nonce(proof)),
            None => lottery::verify(public_key, draw, proof),
        };
        *bounded(lots, ANSWERS_MAX).entry(asked).or_insert_with(check)
    })
}

fn prove(secret: &Secret, draw: &Draw) -> Bytes {
    MEMORY.with_borrow_mut(|memory| proved(&mut memory.proofs, secret, draw))
}

fn proved(proofs: &mut HashMap<([u8; 32], Draw), Bytes>, secret: &Secret, draw: &Draw) -> Bytes {
    let known = bounded(proofs, ANSWERS_MAX).entry((*secret.expose(), *draw));
    known.or_insert_with(|| LotteryKey::new(secret).prove(draw)).clone()
}

fn signer(digest: &B256, signature: &[u8]) -> Option<Address> {
    let asked = (*digest, Bytes::copy_from_slice(signature));
    MEMORY.with_borrow_mut(|memory| {
        let known = bounded(&mut memory.signers, ANSWERS_MAX).entry(asked);
        *known.or_insert_with(|| rollup::recover(digest, signature))
    })
}

/// The map, emptied if it is full.
fn bounded<K: Eq + Hash, V>(map: &mut HashMap<K, V>, most: usize) -> &mut HashMap<K, V> {
    if map.len() >= most {
        map.clear();
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_those_of_the_lottery_whether_or_not_the_key_is_known() {
        let secret = Secret::new([7; 32]);
        let key = LotteryKey::new(&secret);
        let [config_hash, randao, other] = [1, 2, 3].map(B256::repeat_byte);
        let draw = Draw { config_hash, number: 1, randao };
        let (public_key, proof) = (key.public_key(), key.prove(&draw));
        let others = [
            Draw { config_hash: other, ..draw },
            Draw { number: 2, ..draw },
            Draw { randao: other, ..draw },
        ];
        for _ in ["unknown", "remembered"] {
            assert_eq!(lot(&public_key, &draw, &proof), Some(lottery::nonce(&proof)));
            for other in &others {
                assert_eq!(lot(&public_key, other, &proof), None);
                assert_eq!(lot(&public_key, &draw, &key.prove(other)), None);
            }
            assert_eq!(lot(&[0; 96], &draw, &proof), None);
            assert_eq!(prove(&secret, &draw), proof);
        }
        know(&secret);
        let later = Draw { number: 3, ..draw };
        let right = key.prove(&later);
        assert_eq!(lot(&public_key, &later, &right), lottery::verify(&public_key, &later, &right));
        assert_eq!(lot(&public_key, &later, &proof), None);
        assert_eq!(lot(&public_key, &later, &right[1..]), None);
    }
}
