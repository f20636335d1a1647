//! What hosts send each other, and a candidate's header and signature.

#![no_main]

use libfuzzer_sys::fuzz_target;
use obscuro_protocol::{gossip::Gossip, payload, rollup::recover};

fuzz_target!(|bytes: &[u8]| {
    let Ok(message) = Gossip::decode(bytes) else { return };
    assert_eq!(Gossip::decode(&message.encode()).as_ref(), Ok(&message));
    if let Gossip::Candidate(rollup) = message {
        let _ = recover(&rollup.header.hash(), &rollup.signature);
        let _ = payload::withdrawals(&rollup.payload);
    }
});
