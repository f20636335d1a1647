//! What hosts send each other: gossip with a candidate's header and signature, requests for content and
//! their answers.

#![no_main]

use libfuzzer_sys::fuzz_target;
use obscuro_protocol::{
    gossip::{Found, Gossip, Wanted},
    payload,
    rollup::recover,
};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(wanted) = Wanted::decode(bytes) {
        assert_eq!(Wanted::decode(&wanted.encode()).as_ref(), Ok(&wanted));
    }
    if let Ok(found) = Found::decode(bytes) {
        assert_eq!(Found::decode(&found.encode()).as_ref(), Ok(&found));
        if let Found::Content(content) = found {
            let _ = payload::withdrawals(&content);
        }
    }
    let Ok(message) = Gossip::decode(bytes) else { return };
    assert_eq!(Gossip::decode(&message.encode()).as_ref(), Ok(&message));
    if let Gossip::Candidate(candidate) = message {
        let _ = recover(&candidate.header.hash(), &candidate.signature);
    }
});
