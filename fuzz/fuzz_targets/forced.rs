//! Envelopes of forced transactions as L1 brings them: any bytes, any plaintext well sealed, and a signed
//! transaction with bytes changed. Several are due at once; whoever opens them anew finds the same.

#![no_main]

use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy_eips::Encodable2718;
use alloy_primitives::{B256, Bytes, Signature, TxKind, keccak256};
use k256::ecdsa::SigningKey;
use libfuzzer_sys::fuzz_target;
use obscuro_enclave::{
    device::{Device, DeviceError},
    epochs::{KeyRing, NetworkKeys},
    forced::Opened,
    view::{Forced, Rollup, View},
};
use obscuro_protocol::{
    attestation::Stripped,
    config::NetworkConfig,
    forced::{self, ForcedEnvelope},
    keys::{MasterSeed, kem_public_key},
    limits::FORCED_TRANSACTION_BYTES_MAX,
    secret::Secret,
};
use std::sync::LazyLock;

#[path = "../../protocol/tests/support/mod.rs"]
mod support;

/// The epoch of the frozen vector; the one before it is lost.
const EPOCH: u32 = 3;

struct Network {
    keys: NetworkKeys,
    /// Where nothing is due.
    view: View,
    config_hash: B256,
    transaction: Bytes,
}

static NETWORK: LazyLock<Network> = LazyLock::new(|| {
    let seeds = [8, 7].map(|byte| MasterSeed::new(Secret::new([byte; 32])));
    let ring = KeyRing::new(&seeds);
    let [newest, oldest] = [0, 1]
        .map(|position| ring.newest_first().nth(position).expect("a seed").network_public.clone());
    let network_keys = vec![oldest, Bytes::new(), newest];
    let keys = ring.of(&network_keys).expect("all seeds");
    let checkpoint = View::checkpoint(&NetworkConfig::default(), Rollup::default());
    let view = View { network_keys: network_keys.into(), ..checkpoint };
    Network { keys, view, config_hash: keccak256("config"), transaction: transaction() }
});

/// A transaction that is right in every respect.
fn transaction() -> Bytes {
    let transaction =
        TxEip1559 { chain_id: 2, gas_limit: 21_000, to: TxKind::Create, ..Default::default() };
    let key = SigningKey::from_slice(&[7; 32]).expect("a key");
    let digest = transaction.signature_hash();
    let (signature, recovery) = key.sign_prehash_recoverable(digest.as_slice()).expect("signed");
    let signature = Signature::from((signature, recovery));
    TxEnvelope::from(transaction.into_signed(signature)).encoded_2718().into()
}

struct Alone;

impl Device for Alone {
    fn entropy(&self, _: &mut [u8]) {}

    fn quote(&self, _: B256) -> Result<Stripped, DeviceError> {
        Err(DeviceError("none".into()))
    }

    fn sealing_key(&self) -> Secret {
        Secret::new([0; 32])
    }
}

/// What a piece of the input stands for, and whether it must open.
fn envelope(piece: &[u8]) -> (Bytes, Option<Bytes>) {
    let network = &*NETWORK;
    let (kind, bytes) = piece.split_first().unwrap_or((&0, &[]));
    let plain = match kind % 3 {
        0 => return (bytes.to_vec().into(), None),
        1 => bytes.to_vec(),
        _ => {
            let mut plain = network.transaction.to_vec();
            for patch in bytes.chunks_exact(2) {
                let at = usize::from(patch[0]) % plain.len();
                plain[at] ^= patch[1];
            }
            plain
        }
    };
    let key = kem_public_key(&network.keys.current().network_public).expect("a key");
    let mut rng = support::Counter(1);
    match forced::seal(&key, EPOCH, network.config_hash, &plain, &mut rng) {
        Ok(envelope) => (envelope.into(), Some(plain.into())),
        Err(_) => {
            assert!(plain.len() > FORCED_TRANSACTION_BYTES_MAX);
            (Bytes::new(), None)
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let network = &*NETWORK;
    // Pieces end with two bytes that few others contain.
    let mut pieces = Vec::new();
    let mut rest = bytes;
    while let Some(end) = rest.windows(2).position(|pair| pair == b"\xf0\x0d")
        && pieces.len() < 8
    {
        pieces.push(&rest[..end]);
        rest = &rest[end + 2..];
    }
    pieces.push(rest);
    let mut view = network.view.clone();
    let mut waiting = Vec::new();
    for (index, piece) in (0..).zip(pieces) {
        let (envelope, plain) = envelope(piece);
        if let Some(parsed) = ForcedEnvelope::parse(&envelope) {
            let opened = parsed.open(&network.keys.current().network, network.config_hash);
            assert!(plain.is_none_or(|plain| opened == Ok(plain.to_vec())));
            waiting.push(Forced { index, envelope });
        }
        view.forced_count = index + 1;
    }
    view.forced = waiting.into();
    let opened = Opened::new();
    let due = |opened: &Opened| {
        let due = opened.due(&view, &network.keys, network.config_hash, &Alone);
        assert_eq!(due.end, view.forced_count);
        assert!(due.transactions.is_sorted_by_key(|(index, _)| *index));
        let found = due.transactions.iter();
        found.map(|(index, found)| (*index, found.hash, found.sender)).collect::<Vec<_>>()
    };
    let first = due(&opened);
    assert_eq!(due(&opened), first, "remembered");
    assert_eq!(due(&Opened::new()), first, "opened by somebody else");
});
