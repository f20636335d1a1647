//! What is derived from the master seed, and padding.

use super::compare;
use alloy_primitives::{B256, Bytes, keccak256};
use obscuro_protocol::{
    config::RevealOption,
    keys::{
        LABEL_STORE_ENCRYPTION, LABEL_STORE_LOOKUP, Label, MasterSeed, derive, kem_key_pair,
        kem_public_key_bytes,
    },
    lottery::{self, Draw, LotteryKey},
    padding::{pad, padded_len, unpad},
    secret::Secret,
};
use serde_json::{Value, json};

pub const SEED: B256 = B256::repeat_byte(7);

/// The seed of all vectors.
pub fn seed() -> MasterSeed {
    MasterSeed::new(Secret::new(SEED.0))
}

fn shown(secret: &Secret) -> B256 {
    B256::from(*secret.expose())
}

/// The name in the vectors. A new label is to be added to the list below too.
fn name(label: Label) -> &'static str {
    match label {
        Label::Network => "network",
        Label::Reveal => "reveal",
        Label::PositionMap => "positionMap",
        Label::Gossip => "gossip",
        Label::State => "state",
        Label::Randomness => "randomness",
    }
}

#[test]
fn key_derivation() {
    let labels = [
        Label::Network,
        Label::Reveal,
        Label::PositionMap,
        Label::Gossip,
        Label::State,
        Label::Randomness,
    ];
    let seed = seed();
    let derived = labels.map(|label| (name(label).to_string(), json!(shown(&seed.derive(label)))));
    let reveal: Vec<Value> = RevealOption::ALL
        .into_iter()
        .flat_map(|option| [0, 1, 0x0102_0304].map(|interval| (option, interval)))
        .map(|(option, interval)| {
            let key = shown(&seed.reveal_key(option, interval));
            json!({ "option": option as u8, "interval": interval, "key": key })
        })
        .collect();
    let state = seed.derive(Label::State);
    let (_, public) = kem_key_pair(&Secret::new([8; 32]));
    compare(
        "keys.json",
        json!({
            "seed": SEED,
            "labels": Value::Object(derived.into_iter().collect()),
            "revealKeys": reveal,
            "storeLookup": shown(&derive(&state, LABEL_STORE_LOOKUP, &[])),
            "storeEncryption": shown(&derive(&state, LABEL_STORE_ENCRYPTION, &[])),
            "networkKey": Bytes::from(kem_public_key_bytes(&seed.network_key().1)),
            "encryptionKey": {
                "entropy": B256::repeat_byte(8),
                "publicKey": Bytes::from(kem_public_key_bytes(&public)),
            },
        }),
    );
}

/// A lottery key, its proof for a draw, and the nonce.
#[test]
fn lottery() {
    let secret = Secret::new([9; 32]);
    let (config_hash, number, randao) = (keccak256("config"), 7, keccak256("randao"));
    let draw = Draw { config_hash, number, randao };
    let key = LotteryKey::new(&secret);
    let (public_key, proof) = (key.public_key(), key.prove(&draw));
    let nonce = lottery::verify(&public_key, &draw, &proof).expect("its own proof");
    compare(
        "lottery.json",
        json!({
            "secret": shown(&secret),
            "publicKey": public_key,
            "configHash": config_hash,
            "number": number,
            "randao": randao,
            "proof": proof,
            "nonce": B256::from(nonce),
        }),
    );
}

#[test]
fn padding() {
    let lengths = [0, 1, 255, 256, 257, 300, 1_000, 4_095, 4_096, 4_097, 100_000, 1 << 20];
    let sizes = lengths.map(|length| json!({ "length": length, "padded": padded_len(length) }));
    let padded = pad(b"obscuro");
    assert_eq!(unpad(&padded), Some(&b"obscuro"[..]));
    compare(
        "padding.json",
        json!({
            "sizes": sizes,
            "example": { "data": Bytes::from_static(b"obscuro"), "padded": Bytes::from(padded) },
        }),
    );
}
