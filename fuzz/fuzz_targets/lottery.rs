//! Proofs of the lottery: any key and any proof in any draw. A key has one proof for a draw, and a proof has
//! one key.

#![no_main]

use alloy_primitives::{B256, Bytes, keccak256};
use libfuzzer_sys::fuzz_target;
use obscuro_protocol::{
    lottery::{Draw, LotteryKey, PUBLIC_KEY_BYTES, nonce, verify},
    secret::Secret,
};
use std::sync::LazyLock;

/// The key of the frozen vector.
static OWN: LazyLock<(LotteryKey, Bytes)> = LazyLock::new(|| {
    let key = LotteryKey::new(&Secret::new([9; 32]));
    let public_key = key.public_key();
    (key, public_key)
});

// number u64 | RANDAO | key, if there are as many bytes | proof
fuzz_target!(|bytes: &[u8]| {
    let Some((number, rest)) = bytes.split_first_chunk::<8>() else { return };
    let Some((randao, rest)) = rest.split_first_chunk::<32>() else { return };
    let (key, proof) = rest.split_at(rest.len().min(PUBLIC_KEY_BYTES));
    let draw = Draw {
        config_hash: keccak256("config"),
        number: u64::from_be_bytes(*number),
        randao: B256::from(*randao),
    };
    let (own, public_key) = &*OWN;
    let genuine = own.prove(&draw);
    let expected = |is_genuine: bool| is_genuine.then(|| nonce(&genuine));
    assert_eq!(verify(public_key, &draw, &genuine), Some(nonce(&genuine)));
    assert_eq!(verify(public_key, &draw, proof), expected(*proof == *genuine));
    assert_eq!(verify(key, &draw, &genuine), expected(*key == **public_key));
    if let Some(drawn) = verify(key, &draw, proof) {
        assert_eq!(drawn, nonce(proof));
        let next = Draw { number: draw.number.wrapping_add(1), ..draw };
        assert_eq!(verify(key, &next, proof), None, "one proof for one draw");
    }
});
