//! Blobs as a publisher may fill them. The commitments, which prove that these are the blobs of L1,
//! cost too much here: the tests of the enclave check them.

#![no_main]

use alloy_eips::eip4844::{
    Blob,
    builder::{SidecarBuilder, SidecarCoder, SimpleCoder},
};
use libfuzzer_sys::{arbitrary, fuzz_target};
use obscuro_enclave::blobs;
use obscuro_protocol::limits::ROLLUP_BLOBS_MAX;

#[derive(arbitrary::Arbitrary, Debug)]
struct Input {
    payload: Vec<u8>,
    blobs: u8,
    /// Bytes to change: blob, position, value.
    changes: Vec<(u8, u32, u8)>,
}

fuzz_target!(|input: Input| {
    let mut all = SidecarBuilder::<SimpleCoder>::from_slice(&input.payload).take();
    let decoded = SimpleCoder::default().decode_all(&all).expect("an honest payload");
    assert_eq!(decoded.concat(), input.payload);
    all.resize(usize::from(input.blobs) % (ROLLUP_BLOBS_MAX + 1), Blob::ZERO);
    for (blob, position, value) in &input.changes {
        let count = all.len();
        if let Some(blob) = all.get_mut(usize::from(*blob) % count.max(1)) {
            let length = blob.len();
            blob[*position as usize % length] = *value;
        }
    }
    let _ = SimpleCoder::default().decode_all(&all);
    // Of the wrong size or number: refused before any commitment.
    assert!(blobs::payload(&[input.payload.into()], &[]).is_err());
});
