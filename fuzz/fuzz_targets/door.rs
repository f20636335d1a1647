//! Frames between host and enclave, in both directions.

#![no_main]

use libfuzzer_sys::fuzz_target;
use obscuro_protocol::door::{self, FromEnclave, Reply, Request, ToEnclave};
use serde::{Serialize, de::DeserializeOwned};

fn check<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
    if let Ok(message) = door::decode::<T>(bytes) {
        let again = door::encode(&message);
        let decoded = door::decode::<T>(&again).expect("what is encoded decodes");
        assert_eq!(door::encode(&decoded), again);
    }
}

fuzz_target!(|bytes: &[u8]| {
    check::<Request>(bytes);
    check::<Reply>(bytes);
    check::<ToEnclave>(bytes);
    check::<FromEnclave>(bytes);
});
