//! What is sealed to a key: user envelopes and their replies, seed shares. Made with repeatable
//! entropy, so that making is frozen as well as opening.

use super::{compare, config, keys::SEED, keys::seed, support::Counter};
use alloy_primitives::{Address, B256, Bytes, keccak256};
use obscuro_protocol::{
    envelope::{Received, Session, SessionKeys, open, open_from, seal, seal_to},
    forced::{self, ForcedEnvelope},
    keys::{kem_key_pair, kem_public_key_bytes},
    secret::Secret,
};
use serde_json::{Value, json};

/// A field of a vector, as bytes.
pub fn bytes(value: &Value) -> Bytes {
    value.as_str().and_then(|text| text.parse().ok()).expect("a field of bytes")
}

#[test]
fn user_envelope() {
    let (private, public) = seed().network_key();
    let config_hash = keccak256("config");
    let (request, reply) = (&b"a request"[..], &b"a reply"[..]);
    let mut entropy = Counter(100);
    let session = Session::new(&public, config_hash, &mut entropy).unwrap();
    let (tag, envelope) = session.seal(request, &mut entropy).unwrap();
    let received = Received::parse(&envelope).unwrap();
    let enclave = SessionKeys::recover(&private, config_hash, received.encapsulation()).unwrap();
    let sealed_reply = enclave.seal_reply(tag, reply, &mut entropy).unwrap();
    let made = json!({
        "seed": SEED,
        "configHash": config_hash,
        "entropy": 100,
        "session": session.id(),
        "request": Bytes::from(request),
        "envelope": Bytes::from(envelope),
        "tag": tag,
        "reply": Bytes::from(reply),
        "sealedReply": Bytes::from(sealed_reply),
    });
    compare("envelope.json", made.clone());
    let envelope = bytes(&made["envelope"]);
    let received = Received::parse(&envelope).unwrap();
    assert_eq!((received.tag, received.session()), (tag, session.id()));
    assert_eq!(enclave.open(&received).unwrap(), request);
    assert_eq!(session.open_reply(tag, &bytes(&made["sealedReply"])).unwrap(), reply);
}

#[test]
fn forced_transaction() {
    let (private, public) = seed().network_key();
    let (config_hash, epoch) = (keccak256("config"), 3);
    let transaction = &b"a signed transaction"[..];
    let envelope =
        forced::seal(&public, epoch, config_hash, transaction, &mut Counter(150)).unwrap();
    let made = json!({
        "seed": SEED,
        "configHash": config_hash,
        "entropy": 150,
        "epoch": epoch,
        "transaction": Bytes::from(transaction),
        "envelope": Bytes::from(envelope),
    });
    compare("forced.json", made.clone());
    let envelope = bytes(&made["envelope"]);
    let parsed = ForcedEnvelope::parse(&envelope).unwrap();
    assert_eq!(parsed.epoch, epoch);
    assert_eq!(parsed.open(&private, config_hash).unwrap(), transaction);
}

/// The seeds of all epochs, oldest first, one behind the other. The context names network, responder,
/// requester and the newest epoch.
#[test]
fn seed_share() {
    let (private, public) = kem_key_pair(&Secret::new([8; 32]));
    let (responder, requester) = (Address::repeat_byte(0x11), Address::repeat_byte(0x12));
    let seeds = [SEED, B256::repeat_byte(6)];
    let epoch = seeds.len() as u64;
    let config = config();
    let context = [
        &config.l1ChainId.to_be_bytes()[..],
        config.contracts.networkManagement.as_slice(),
        responder.as_slice(),
        requester.as_slice(),
        &epoch.to_be_bytes(),
    ]
    .concat();
    let share = seal_to(&public, &context, &seeds.concat(), &mut Counter(200)).unwrap();
    assert_eq!(open_from(&private, &context, &share).unwrap(), seeds.concat());
    assert!(open_from(&private, b"another", &share).is_err());
    compare(
        "seed_share.json",
        json!({
            "recipientEntropy": B256::repeat_byte(8),
            "recipient": Bytes::from(kem_public_key_bytes(&public)),
            "l1ChainId": config.l1ChainId,
            "networkManagement": config.contracts.networkManagement,
            "responder": responder,
            "requester": requester,
            "epoch": epoch,
            "context": Bytes::from(context),
            "entropy": 200,
            "seeds": seeds,
            "share": Bytes::from(share),
        }),
    );
}

#[test]
fn sealed_with_a_key() {
    let key = Secret::new([5; 32]);
    let sealed = seal(&key, b"plain", b"bound", &mut Counter(300)).unwrap();
    assert_eq!(open(&key, &sealed, b"bound").unwrap(), b"plain");
    compare(
        "sealed.json",
        json!({
            "key": B256::repeat_byte(5),
            "aad": Bytes::from_static(b"bound"),
            "entropy": 300,
            "plain": Bytes::from_static(b"plain"),
            "sealed": Bytes::from(sealed),
        }),
    );
}
