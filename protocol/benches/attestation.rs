//! How long it takes to verify a quote, as an enclave does for each registration. Prints, asserts
//! nothing about time.

use alloy_primitives::Bytes;
use obscuro_protocol::attestation::{Admitted, Collateral, Policy, verify};
use serde_json::Value;
use std::{fs, hint::black_box, path::Path, time::Instant};

const ROUNDS: u32 = 500;

fn main() {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors/attestation");
    for name in ["sgx.json", "tdx.json"] {
        let vector: Value =
            serde_json::from_slice(&fs::read(vectors.join(name)).expect("vector")).expect("JSON");
        let quote: Bytes = serde_json::from_value(vector["stripped"].clone()).expect("quote");
        let collateral: Collateral =
            serde_json::from_value(vector["collateral"].clone()).expect("collateral");
        let time = vector["time"].as_u64().expect("time");
        let policy = Policy { measurements: Admitted::Any, ..Policy::admitting(Vec::new()) };
        let start = Instant::now();
        for _ in 0..ROUNDS {
            let root = &collateral.root_certificate;
            black_box(verify(black_box(&quote), &collateral, root, &policy, time)).expect("valid");
        }
        println!("{name}: {:?} per quote", start.elapsed() / ROUNDS);
    }
}
