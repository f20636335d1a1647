//! L1 headers and receipts as a host presents them.

#![no_main]

use alloy_primitives::Bytes;
use libfuzzer_sys::fuzz_target;
use obscuro_enclave::l1;
use obscuro_protocol::door::L1Block;

fuzz_target!(|parts: (Vec<u8>, Vec<Vec<u8>>, u64)| {
    let (header, receipts, parent) = parts;
    let _ = l1::parent_of(&header);
    let receipts = receipts.into_iter().map(Bytes::from).collect();
    let block = L1Block { header: header.into(), receipts: Some(receipts), payloads: Vec::new() };
    let _ = l1::verify(&block, parent, &Default::default());
});
