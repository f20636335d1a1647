//! Transactions of users and of peers.

#![no_main]

use alloy_primitives::Bytes;
use libfuzzer_sys::fuzz_target;
use obscuro_enclave::rollups::decode_transaction;
use obscuro_protocol::wire;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(pooled) = decode_transaction(Bytes::copy_from_slice(bytes), 1) {
        assert_eq!(&pooled.raw[..], bytes);
        let again = decode_transaction(pooled.raw.clone(), 1).expect("decodes again");
        assert_eq!(
            (again.hash, again.sender, again.nonce),
            (pooled.hash, pooled.sender, pooled.nonce)
        );
    }
    if let Ok(all) = wire::decode::<Vec<Bytes>>(bytes, bytes.len()) {
        for raw in all {
            let _ = decode_transaction(raw, 1);
        }
    }
});
