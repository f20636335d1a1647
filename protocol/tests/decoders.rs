//! Every decoder of this crate against arbitrary, truncated and altered bytes: an error or the
//! original, never a panic.

mod support;

use alloy_primitives::{Address, B256, Bytes, U256};
use obscuro_protocol::{
    attestation,
    config::RevealOption,
    door,
    envelope::{self, EnvelopeError, Received, Session, SessionKeys},
    forced::{self, ForcedEnvelope},
    gossip::{Announcement, Found, Gossip, Wanted},
    keys::{MasterSeed, kem_key_pair},
    limits::{
        ANNOUNCEMENT_BYTES_MAX, CONTENT_BYTES_MAX, ENVELOPE_BYTES_MAX, FORCED_ENVELOPE_BYTES_MAX,
        FORCED_TRANSACTION_BYTES_MAX, PAYLOAD_BYTES_MAX, ROLLUP_TRANSACTIONS_MAX,
    },
    padding,
    payload::{self, Item, Payload, PayloadError},
    query,
    rollup::{Withdrawal, recover},
    secret::Secret,
    wire,
};
use proptest::prelude::*;
use rand_core::TryRng;
use support::Counter;

/// EIP-4844.
const BYTES_PER_BLOB: usize = 131_072;

fn seed() -> MasterSeed {
    MasterSeed::new(Secret::new([7; 32]))
}

fn item() -> impl Strategy<Value = Item> {
    (0u8..5, prop::collection::vec(any::<u8>(), 0..200)).prop_map(|(option, transaction)| Item {
        option: RevealOption::from_u8(option).unwrap(),
        transaction: transaction.into(),
    })
}

fn withdrawal() -> impl Strategy<Value = Withdrawal> {
    (any::<u64>(), any::<[u8; 20]>(), any::<[u8; 20]>(), any::<[u8; 32]>()).prop_map(
        |(index, asset, to, amount)| Withdrawal {
            index,
            asset: Address::from(asset),
            to: Address::from(to),
            amount: U256::from_be_bytes(amount),
        },
    )
}

proptest! {
    #[test]
    fn arbitrary_bytes_panic_nowhere(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        let _ = wire::decode::<door::Request>(&bytes, 1 << 20);
        let _ = wire::decode::<door::Reply>(&bytes, 1 << 20);
        let _ = wire::decode::<door::ToEnclave>(&bytes, 1 << 20);
        let _ = wire::decode::<door::FromEnclave>(&bytes, 1 << 20);
        let _ = wire::decode::<query::Request>(&bytes, 1 << 20);
        let _ = wire::decode::<query::Reply>(&bytes, 1 << 20);
        if let Ok(message) = Gossip::decode(&bytes) {
            prop_assert_eq!(Gossip::decode(&message.encode()), Ok(message));
        }
        if let Ok(message) = Wanted::decode(&bytes) {
            prop_assert_eq!(Wanted::decode(&message.encode()), Ok(message));
        }
        if let Ok(message) = Found::decode(&bytes) {
            prop_assert_eq!(Found::decode(&message.encode()), Ok(message));
        }
        let _ = Received::parse(&bytes);
        let _ = payload::open(&bytes, &seed());
        let _ = payload::withdrawals(&bytes);
        let _ = attestation::Registry::default().verify(&bytes, 0, 0);
        let _ = recover(&B256::ZERO, &bytes);
        let _ = envelope::open(&Secret::new([1; 32]), &bytes, &[]);
        let _ = envelope::open_from(&kem_key_pair(&Secret::new([1; 32])).0, &[], &bytes);
        let _ = ForcedEnvelope::parse(&bytes).map(|forced| forced.open(&seed().network_key().0, B256::ZERO));
        let _ = obscuro_protocol::keys::kem_public_key(&bytes);
        let _ = obscuro_protocol::padding::unpad(&bytes);
    }

    #[test]
    fn payloads_round_trip(
        items in prop::collection::vec(item(), 0..40),
        withdrawals in prop::collection::vec(withdrawal(), 0..5),
        flip in any::<prop::sample::Index>(),
    ) {
        let original = Payload { items, withdrawals };
        let interval = |option| option as u64 * 10 + 1;
        let bytes = payload::seal(&original, &seed(), interval, &mut Counter(1)).unwrap();
        prop_assert_eq!(payload::open(&bytes, &seed()).unwrap(), original.clone());
        prop_assert_eq!(payload::withdrawals(&bytes).unwrap(), original.withdrawals);
        let other = MasterSeed::new(Secret::new([8; 32]));
        prop_assert_eq!(payload::open(&bytes, &other), Err(PayloadError::Undecryptable));
        let mut altered = bytes.to_vec();
        altered[flip.index(bytes.len())] ^= 1;
        if let Ok(opened) = payload::open(&altered, &seed()) {
            // Only the clear part is not authenticated here: the header's payload hash covers it.
            prop_assert_eq!(opened.items, original.items);
        }
        for length in [0, 1, 5, bytes.len() / 2, bytes.len() - 1] {
            prop_assert!(payload::open(&bytes[..length], &seed()).is_err());
        }
    }

    #[test]
    fn envelopes_round_trip(request in prop::collection::vec(any::<u8>(), 0..3_000), entropy: u64) {
        let (private, public) = seed().network_key();
        let mut rng = Counter(entropy % (1 << 60));
        let session = Session::new(&public, B256::ZERO, &mut rng).unwrap();
        let (tag, envelope) = session.seal(&request, &mut rng).unwrap();
        let received = Received::parse(&envelope).unwrap();
        prop_assert_eq!(received.session(), session.id());
        let keys = SessionKeys::recover(&private, B256::ZERO, received.encapsulation()).unwrap();
        prop_assert_eq!(keys.open(&received).unwrap(), request.clone());
        let reply = keys.seal_reply(received.tag, &request, &mut rng).unwrap();
        prop_assert_eq!(session.open_reply(tag, &reply).unwrap(), request);
        // Neither to another request, nor in another network.
        prop_assert_eq!(session.open_reply(B256::ZERO, &reply), Err(EnvelopeError::Unopenable));
        let elsewhere = SessionKeys::recover(&private, B256::repeat_byte(1), received.encapsulation()).unwrap();
        prop_assert_eq!(elsewhere.open(&received), Err(EnvelopeError::Unopenable));
    }
}

/// Bound to the network, to the purpose and to the epoch that it names.
#[test]
fn a_forced_transaction_opens_with_its_own_keys_only() {
    let (private, public) = seed().network_key();
    let config_hash = B256::repeat_byte(1);
    let transaction = incompressible(FORCED_TRANSACTION_BYTES_MAX);
    let seal = |bytes: &[u8]| forced::seal(&public, 2, config_hash, bytes, &mut Counter(1));
    assert_eq!(
        seal(&incompressible(FORCED_TRANSACTION_BYTES_MAX + 1)),
        Err(EnvelopeError::Malformed)
    );
    let envelope = seal(&transaction).unwrap();
    assert!(envelope.len() <= FORCED_ENVELOPE_BYTES_MAX);
    let parsed = ForcedEnvelope::parse(&envelope).unwrap();
    assert_eq!((parsed.epoch, parsed.open(&private, config_hash)), (2, Ok(transaction)));
    assert!(parsed.open(&private, B256::repeat_byte(2)).is_err(), "another network");
    let other = MasterSeed::new(Secret::new([8; 32])).network_key().0;
    assert!(parsed.open(&other, config_hash).is_err(), "another epoch's key");
    // 0: version, 4: epoch, then the encapsulation; the last: the ciphertext's tag.
    for position in [0, 4, 5, 1_200, envelope.len() - 1] {
        let mut altered = envelope.clone();
        altered[position] ^= 1;
        let opened = ForcedEnvelope::parse(&altered)
            .and_then(|parsed| parsed.open(&private, config_hash).ok());
        assert_eq!(opened, None, "byte {position}");
    }
    // Sizes say little, and a request or a seed share is no forced transaction.
    assert_eq!(seal(b"").unwrap().len(), seal(&[1; 200]).unwrap().len());
    assert!(ForcedEnvelope::parse(&seal(b"").unwrap()[1..]).is_none(), "too short");
    let too_long = [envelope, vec![0; FORCED_ENVELOPE_BYTES_MAX]].concat();
    assert!(ForcedEnvelope::parse(&too_long).is_none(), "too long");
    let share = envelope::seal_to(&public, config_hash.as_slice(), &[1; 300], &mut Counter(1));
    let share = [&[1, 0, 0, 0, 2], share.unwrap().as_slice()].concat();
    assert!(ForcedEnvelope::parse(&share).unwrap().open(&private, config_hash).is_err());
}

#[test]
fn too_much_is_refused() {
    let item =
        Item { option: RevealOption::XS, transaction: incompressible(PAYLOAD_BYTES_MAX).into() };
    let payload = Payload { items: vec![item], withdrawals: vec![] };
    let sealed = payload::seal(&payload, &seed(), |_| 0, &mut Counter(1));
    assert!(matches!(sealed, Err(PayloadError::TooLong(_))));
    assert!(matches!(
        payload::open(&vec![1; PAYLOAD_BYTES_MAX + 1], &seed()),
        Err(PayloadError::TooLong(_))
    ));
    assert!(Received::parse(&vec![1; ENVELOPE_BYTES_MAX + 1]).is_err());
    let bomb = Gossip::Transactions(Bytes::from(vec![0; 3 << 20])).encode();
    assert!(matches!(Gossip::decode(&bomb), Err(wire::WireError::TooLong { .. })));
    let signature = |length| Bytes::from(vec![0; length]);
    let fat = |length| {
        let announcement = Announcement { signature: signature(length), ..Default::default() };
        Gossip::decode(&Gossip::Candidate(Box::new(announcement)).encode())
    };
    assert!(fat(65).is_ok());
    assert!(matches!(fat(ANNOUNCEMENT_BYTES_MAX), Err(wire::WireError::TooLong { .. })));
    assert!(Wanted::decode(&[Wanted::Payload(B256::ZERO).encode(), vec![0]].concat()).is_err());
    let largest = |length| Found::decode(&Found::Content(vec![1; length].into()).encode());
    assert!(largest(PAYLOAD_BYTES_MAX).is_ok() && largest(BYTES_PER_BLOB).is_ok());
    assert!(matches!(largest(CONTENT_BYTES_MAX), Err(wire::WireError::TooLong { .. })));
}

/// Empty transactions cost nothing to send and much to hold.
#[test]
fn a_group_holds_no_more_than_a_rollup() {
    let group = |count| {
        let transactions = vec![Bytes::new(); count];
        let mut plain = Vec::new();
        alloy_rlp::encode_list::<_, Bytes>(&transactions, &mut plain);
        let compressed = zstd::bulk::compress(&plain, 1).unwrap();
        let key = seed().reveal_key(RevealOption::XS, 0);
        let aad = [&[1, 0][..], &[0; 8]].concat();
        let padded = padding::pad(&compressed);
        let sealed = envelope::seal(&key, &padded, &aad, &mut Counter(1)).unwrap();
        payload::open_group(&sealed, &key, RevealOption::XS, 0)
            .map(|transactions| transactions.len())
    };
    assert_eq!(group(ROLLUP_TRANSACTIONS_MAX), Ok(ROLLUP_TRANSACTIONS_MAX));
    let too_many = Err(PayloadError::Malformed("too many transactions"));
    assert_eq!(group(ROLLUP_TRANSACTIONS_MAX + 1), too_many);
}

fn incompressible(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let Ok(()) = Counter(3).try_fill_bytes(&mut bytes);
    bytes
}

#[test]
fn trailing_and_missing_bytes_are_malformed() {
    let message = wire::encode(&door::Request::Seal);
    assert!(wire::decode::<door::Request>(&message, 100).is_ok());
    let longer = [message.as_slice(), &[0]].concat();
    assert!(matches!(wire::decode::<door::Request>(&longer, 100), Err(wire::WireError::Malformed)));
    assert!(matches!(wire::decode::<door::Request>(&[], 100), Err(wire::WireError::Malformed)));
    assert!(matches!(
        wire::decode::<door::Request>(&[9, 9], 100),
        Err(wire::WireError::Version(9))
    ));
}

#[test]
fn empty_lists_in_a_filter_take_no_memory() {
    let logs = query::Query::Logs(query::LogFilter::default());
    let request = query::Request { credentials: Default::default(), expires_at: 0, query: logs };
    let honest = request.encode();
    assert_eq!(query::Request::decode(&honest).as_ref(), Ok(&request));
    // Four million topics, each of any value.
    let (rest, topics) = honest.split_at(honest.len() - 4);
    assert_eq!(topics, [0; 4]);
    let mut bomb = [rest, &[0x80, 0x92, 0xf4, 0x01]].concat();
    bomb.resize(ENVELOPE_BYTES_MAX, 0);
    assert_eq!(query::Request::decode(&bomb), Err(wire::WireError::Malformed));
}
