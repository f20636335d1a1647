//! The clear parts of a payload, and a group whose key has been revealed.

#![no_main]

use libfuzzer_sys::fuzz_target;
use obscuro_protocol::{keys::MasterSeed, payload, secret::Secret};

fuzz_target!(|bytes: &[u8]| {
    let _ = payload::withdrawals(bytes);
    let _ = payload::open(bytes, &MasterSeed::new(Secret::new([7; 32])));
});
