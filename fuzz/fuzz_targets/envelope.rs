//! What arrives sealed: from users (a known session, or any bytes), from other enclaves, and keys.

#![no_main]

use alloy_primitives::B256;
use libfuzzer_sys::fuzz_target;
use obscuro_protocol::{
    attestation::{Quote, Registry},
    envelope::{self, Received, Session, SessionKeys},
    keys::{KemPrivateKey, kem_key_pair, kem_public_key},
    padding,
    secret::Secret,
};
use std::sync::LazyLock;

#[path = "../../protocol/tests/support/mod.rs"]
mod support;

struct Ends {
    private: KemPrivateKey,
    session: Session,
    enclave: SessionKeys,
    /// Version and encapsulation of the session.
    header: Vec<u8>,
}

static ENDS: LazyLock<Ends> = LazyLock::new(|| {
    let (private, public) = kem_key_pair(&Secret::new([7; 32]));
    let mut rng = support::Counter(0);
    let session = Session::new(&public, B256::ZERO, &mut rng).expect("a session");
    let (_, envelope) = session.seal(b"", &mut rng).expect("an envelope");
    let received = Received::parse(&envelope).expect("an envelope");
    let encapsulation = received.encapsulation();
    let enclave = SessionKeys::recover(&private, B256::ZERO, encapsulation).expect("keys");
    let header = [&[1], encapsulation].concat();
    Ends { private, session, enclave, header }
});

fuzz_target!(|bytes: &[u8]| {
    let ends = &*ENDS;
    if let Ok(received) = Received::parse(bytes) {
        let keys = SessionKeys::recover(&ends.private, B256::ZERO, received.encapsulation());
        let _ = keys.and_then(|keys| keys.open(&received));
    }
    let in_session = [&ends.header, bytes].concat();
    let received = Received::parse(&in_session).expect("a session's envelope");
    assert!(ends.enclave.open(&received).is_err(), "nobody can forge a request");
    assert!(ends.session.open_reply(received.tag, bytes).is_err(), "nor a reply");
    let _ = envelope::open_from(&ends.private, b"context", bytes);
    let _ = kem_public_key(bytes);
    let _ = Quote::parse_stripped(bytes);
    let _ = Registry::default().verify(bytes, 0, 0);
    if let Some(data) = padding::unpad(bytes) {
        assert_eq!(padding::unpad(&padding::pad(data)), Some(data));
    }
});
