//! Quotes, certificates, revocation lists and statements: honest ones with bytes changed, and bytes
//! that have nothing to do with any.

#![no_main]

use alloy_primitives::Bytes;
use libfuzzer_sys::fuzz_target;
use obscuro_protocol::attestation::{
    Admitted, Collateral, Policy, Quote, Statement, platform_id, restore, strip, verify,
};
use serde_json::Value;
use std::sync::LazyLock;

/// 20 June 2025.
const TIME: u64 = 1_750_377_600;

struct Honest {
    quote: Bytes,
    stripped: Bytes,
    collateral: Collateral,
}

static HONEST: LazyLock<[Honest; 2]> = LazyLock::new(|| {
    let texts = [
        include_str!("../../vectors/attestation/sgx.json"),
        include_str!("../../vectors/attestation/tdx.json"),
    ];
    texts.map(|text| {
        let vector: Value = serde_json::from_str(text).unwrap();
        let bytes = |name: &str| serde_json::from_value(vector[name].clone()).unwrap();
        let collateral = serde_json::from_value(vector["collateral"].clone()).unwrap();
        Honest { quote: bytes("quote"), stripped: bytes("stripped"), collateral }
    })
});

fuzz_target!(|input: (bool, u8, Vec<(u16, u8)>, Vec<u8>)| {
    let (is_tdx, piece, patches, other) = input;
    let Honest { quote, stripped, collateral } = &HONEST[usize::from(is_tdx)];
    let altered = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        for (offset, mask) in &patches {
            let offset = usize::from(*offset) % bytes.len();
            bytes[offset] ^= mask;
        }
        bytes
    };
    let text = |text: &str| String::from_utf8_lossy(&altered(text.as_bytes())).into_owned();
    let (mut quote, mut spoilt) = (quote.to_vec(), collateral.clone());
    match piece {
        0 => quote = altered(&quote),
        1 => quote = altered(stripped),
        2 => spoilt.pck_certificate = altered(&spoilt.pck_certificate).into(),
        3 => spoilt.pck_ca_certificate = altered(&spoilt.pck_ca_certificate).into(),
        4 => spoilt.tcb_signer_certificate = altered(&spoilt.tcb_signer_certificate).into(),
        5 => spoilt.root_crl = altered(&spoilt.root_crl).into(),
        6 => spoilt.pck_crl = altered(&spoilt.pck_crl).into(),
        7 => spoilt.tcb_info = text(&spoilt.tcb_info),
        8 => spoilt.qe_identity = text(&spoilt.qe_identity),
        9 => quote = other.clone(),
        _ => spoilt.pck_certificate = other.clone().into(),
    }
    let policy = Policy { measurements: Admitted::Any, ..Policy::admitting(Vec::new()) };
    let _ = verify(&quote, &spoilt, &collateral.root_certificate, &policy, TIME);
    let _ = strip(&quote).map(|stripped| restore(&stripped.quote, &spoilt.pck_chain()));
    let _ = Quote::parse(&quote).map(|quote| quote.measurement());
    let _ = platform_id(&spoilt.pck_certificate);
    let _ = (Statement::read(&spoilt.tcb_info), Statement::read(&spoilt.qe_identity));
    let _ = Collateral::decode(&other);
    let _ = Collateral::from_json(&String::from_utf8_lossy(&other), &quote);
});
