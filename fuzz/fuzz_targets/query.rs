//! What is in a user's envelope, and in the reply.

#![no_main]

use alloy_primitives::B256;
use libfuzzer_sys::fuzz_target;
use obscuro_protocol::query::{Reply, Request};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(request) = Request::decode(bytes) {
        assert_eq!(Request::decode(&request.encode()).as_ref(), Ok(&request));
        let _ = request.credentials.verify(B256::ZERO, B256::ZERO, 1, request.expires_at);
    }
    if let Ok(reply) = Reply::decode(bytes) {
        assert_eq!(Reply::decode(&reply.encode()).as_ref(), Ok(&reply));
    }
});
