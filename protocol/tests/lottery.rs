//! Proofs of the lottery: one encoding of one proof for a key and a draw, and nothing else. Not here: whose
//! key counts in which round (`enclave/tests/lottery.rs`).

use alloy_primitives::{B256, U512, keccak256};
use obscuro_protocol::{
    lottery::{Draw, LotteryKey, PROOF_BYTES, PUBLIC_KEY_BYTES, nonce, verify},
    secret::Secret,
};
use proptest::prelude::*;

/// Modulus of the field of BLS12-381, big-endian.
const MODULUS: &str = "0x1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab";
/// The three bits of an encoding that are not a coordinate's.
const FLAGS: u8 = 0xe0;

fn key(number: u8) -> LotteryKey {
    LotteryKey::new(&Secret::new([number; 32]))
}

fn draw(number: u64) -> Draw {
    let hash = |what: &str| keccak256([what.as_bytes(), &number.to_be_bytes()].concat());
    Draw { config_hash: keccak256("config"), number, randao: hash("randao") }
}

fn infinity(length: usize) -> Vec<u8> {
    [vec![0xc0], vec![0; length - 1]].concat()
}

#[test]
fn a_proof_is_for_one_key_and_one_draw() {
    let (draw, public) = (draw(1), key(1).public_key());
    let proof = key(1).prove(&draw);
    assert_eq!((public.len(), proof.len()), (PUBLIC_KEY_BYTES, PROOF_BYTES));
    assert_eq!(key(1).prove(&draw), proof, "there is one");
    assert_eq!(verify(&public, &draw, &proof), Some(nonce(&proof)));
    let others = [
        ("network", Draw { config_hash: B256::ZERO, ..draw }),
        ("number", Draw { number: 2, ..draw }),
        ("RANDAO", Draw { randao: B256::ZERO, ..draw }),
    ];
    for (what, other) in others {
        assert_eq!(verify(&public, &other, &proof), None, "another {what}");
        assert_ne!(key(1).prove(&other), proof, "another {what}");
    }
    assert_eq!(verify(&key(2).public_key(), &draw, &proof), None, "another key");
}

#[test]
fn no_other_bytes_are_a_proof() {
    let (draw, public) = (draw(1), key(1).public_key());
    let proof = key(1).prove(&draw);
    for bit in 0..PROOF_BYTES * 8 {
        let mut other = proof.to_vec();
        other[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(verify(&public, &draw, &other), None, "proof with bit {bit} flipped");
    }
    for bit in 0..PUBLIC_KEY_BYTES * 8 {
        let mut other = public.to_vec();
        other[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(verify(&other, &draw, &proof), None, "key with bit {bit} flipped");
    }
    let lengths = [vec![], proof[..47].to_vec(), [&proof[..], &[0]].concat(), vec![0; 96]];
    for other in lengths {
        assert_eq!(verify(&public, &draw, &other), None, "{} bytes", other.len());
    }
    // Infinity signs everything for the key of nobody.
    let (no_key, no_proof) = (infinity(PUBLIC_KEY_BYTES), infinity(PROOF_BYTES));
    for (key, proof) in [(&no_key[..], &no_proof[..]), (&public, &no_proof), (&no_key, &proof)] {
        assert_eq!(verify(key, &draw, proof), None, "infinity");
    }
}

#[test]
fn a_coordinate_has_one_encoding() {
    let modulus: U512 = MODULUS.parse().unwrap();
    let public = key(1).public_key();
    let mut tried = 0;
    for number in 0..64 {
        let draw = draw(number);
        let proof = key(1).prove(&draw);
        let mut coordinate = proof.to_vec();
        coordinate[0] &= !FLAGS;
        let larger = (U512::from_be_slice(&coordinate) + modulus).to_be_bytes::<64>();
        let mut other = larger[16..].to_vec();
        if other[0] & FLAGS == 0 {
            other[0] |= proof[0] & FLAGS;
            assert_eq!(verify(&public, &draw, &other), None);
            tried += 1;
        }
    }
    assert!(tried > 0);
}

proptest! {
    /// Also points that are on the curve and not in the group: nearly all of those with these flags.
    #[test]
    fn what_was_not_proven_is_refused(
        mut key_bytes in prop::collection::vec(any::<u8>(), PUBLIC_KEY_BYTES),
        mut proof in prop::collection::vec(any::<u8>(), PROOF_BYTES),
        number: u64,
    ) {
        key_bytes[0] = 0x80 | key_bytes[0] & 0x2f;
        proof[0] = 0x80 | proof[0] & 0x2f;
        let (draw, public) = (draw(number), key(1).public_key());
        prop_assert_eq!(verify(&public, &draw, &proof), None);
        prop_assert_eq!(verify(&key_bytes, &draw, &key(1).prove(&draw)), None);
        prop_assert_eq!(verify(&key_bytes, &draw, &proof), None);
    }

    #[test]
    fn anything_can_be_asked(
        key_bytes in prop::collection::vec(any::<u8>(), 0..200),
        proof in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        prop_assert_eq!(verify(&key_bytes, &draw(0), &proof), None);
    }
}
