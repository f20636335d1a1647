//! Network configurations: from files and nodes (JSON), and at the door of an enclave.

#![no_main]

use libfuzzer_sys::fuzz_target;
use obscuro_protocol::{
    config::{NetworkConfig, RevealOption},
    wire,
};

fn check(config: &NetworkConfig) {
    let json = serde_json::to_vec(config).expect("encodes");
    let again: NetworkConfig = serde_json::from_slice(&json).expect("decodes");
    assert_eq!(again.hash(), config.hash());
    let _ = (config.outlives_idleness(), config.default_reveal());
    for option in RevealOption::ALL {
        let _ = config.reveal_interval(option, u64::MAX);
    }
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(config) = serde_json::from_slice::<NetworkConfig>(bytes) {
        check(&config);
    }
    if let Ok(config) = wire::decode::<NetworkConfig>(bytes, bytes.len()) {
        check(&config);
    }
});
