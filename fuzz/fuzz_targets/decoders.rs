//! Messages at every boundary: the door, gossip, envelopes, queries, transactions.

#![no_main]

use libfuzzer_sys::fuzz_target;
use obscuro_enclave::rollups::decode_transaction;
use obscuro_protocol::{attestation, door, envelope::Received, gossip::Gossip, query, wire};

fuzz_target!(|bytes: &[u8]| {
    let _ = door::decode::<door::Request>(bytes);
    let _ = door::decode::<door::Reply>(bytes);
    let _ = door::decode::<door::ToEnclave>(bytes);
    let _ = door::decode::<door::FromEnclave>(bytes);
    let _ = wire::decode::<query::Request>(bytes, 1 << 20);
    let _ = wire::decode::<query::Reply>(bytes, 1 << 20);
    let _ = Gossip::decode(bytes);
    let _ = Received::parse(bytes);
    let _ = decode_transaction(bytes.to_vec().into());
    let _ = attestation::verify_development(bytes, Default::default(), Default::default());
});
