//! Rollup payloads and the blobs that carry them. Compression may differ between versions of the
//! library, so a payload with transactions is frozen for opening only, step by step.

use super::{
    compare,
    envelope::bytes,
    keys::{SEED, seed},
    support::Counter,
    thaw,
};
use alloy_eips::eip4844::builder::{SidecarBuilder, SidecarCoder, SimpleCoder};
use alloy_primitives::{Address, Bytes, U256, keccak256};
use obscuro_protocol::{
    config::RevealOption,
    envelope::open,
    keys::Label,
    padding::unpad,
    payload::{self, Item, Payload},
    rollup::Withdrawal,
    wire,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const VERSION: u8 = 1;

/// The map of positions, as the wire has it.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct PositionMap {
    groups: Vec<(RevealOption, u64, u32)>,
    order: Vec<(u8, u32)>,
}

fn withdrawals() -> Vec<Withdrawal> {
    (5..7)
        .map(|index| Withdrawal {
            index,
            asset: Address::repeat_byte(0x31),
            to: Address::repeat_byte(0x32),
            amount: U256::from(1_000_000 + index),
        })
        .collect()
}

/// Two groups that interleave, one of them large enough to be compressed.
fn items() -> Vec<Item> {
    use RevealOption::{S, XL};
    let item = |option, transaction: Vec<u8>| Item { option, transaction: transaction.into() };
    vec![
        item(XL, b"first".to_vec()),
        item(XL, vec![0x5a; 700]),
        item(S, b"third".to_vec()),
        item(XL, keccak256("fourth").to_vec()),
    ]
}

fn interval(option: RevealOption) -> u64 {
    1_000 + option as u64
}

#[test]
fn payload_with_transactions() {
    let payload = Payload { items: items(), withdrawals: withdrawals() };
    let sealed = payload::seal(&payload, &seed(), interval, &mut Counter(400)).unwrap();
    let items = payload.items.iter().map(|item| {
        json!({ "option": item.option as u8, "interval": interval(item.option), "transaction": item.transaction })
    });
    let fresh = json!({
        "seed": SEED,
        "withdrawals": payload.withdrawals,
        "items": items.collect::<Vec<_>>(),
        "payload": sealed,
    });
    let frozen = thaw("payload.json", &fresh);
    for field in ["seed", "withdrawals", "items"] {
        assert_eq!(frozen[field], fresh[field], "{field} differs from what is frozen");
    }
    let frozen = bytes(&frozen["payload"]);
    assert_eq!(payload::open(&frozen, &seed()).unwrap(), payload);
    assert_eq!(payload::withdrawals(&frozen).unwrap(), payload.withdrawals);
    by_hand(&frozen, &payload);
    by_hand(&sealed, &payload);
}

/// Opens a payload as its description says, with nothing of `payload` but the revealing of a group.
fn by_hand(bytes: &[u8], expected: &Payload) {
    assert_eq!(bytes[0], VERSION);
    let (_, rest) = section(&bytes[1..]);
    let (map, mut groups) = section(rest);
    let map = open(&seed().derive(Label::PositionMap), map, &[VERSION]).unwrap();
    let map: PositionMap = wire::decode(unpad(&map).unwrap(), 1_000).unwrap();
    assert_eq!(map.order, [(1, 2), (0, 1), (1, 1)], "runs, by the order of options");
    let options: Vec<_> = map.groups.iter().map(|group| group.0).collect();
    assert_eq!(options, [RevealOption::S, RevealOption::XL], "shortest first");
    for (option, number, length) in map.groups {
        assert_eq!(number, interval(option));
        let (group, rest) = groups.split_at(length as usize);
        groups = rest;
        // What anyone can do once the key is revealed.
        let key = seed().reveal_key(option, number);
        let transactions = payload::open_group(group, &key, option, number).unwrap();
        let of_option = expected.items.iter().filter(|item| item.option == option);
        let of_option: Vec<_> = of_option.map(|item| item.transaction.clone()).collect();
        assert_eq!(transactions, of_option);
    }
    assert!(groups.is_empty());
}

fn section(bytes: &[u8]) -> (&[u8], &[u8]) {
    let (length, rest) = bytes.split_first_chunk::<4>().unwrap();
    rest.split_at(u32::from_be_bytes(*length) as usize)
}

/// Nothing in it is compressed: made anew to the byte.
#[test]
fn payload_without_transactions() {
    let payload = Payload { items: vec![], withdrawals: withdrawals() };
    let sealed = payload::seal(&payload, &seed(), interval, &mut Counter(500)).unwrap();
    assert_eq!(payload::open(&sealed, &seed()).unwrap(), payload);
    compare(
        "payload_empty.json",
        json!({ "seed": SEED, "withdrawals": payload.withdrawals, "entropy": 500, "payload": sealed }),
    );
}

/// How host and enclave lay a payload out in blobs: whole blobs are large, so their hashes stand for
/// them, and the first bytes for whoever compares by eye.
#[test]
fn blobs() {
    let example = |length: usize| {
        let payload: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        let blobs = SidecarBuilder::<SimpleCoder>::from_slice(&payload).take();
        let decoded = SimpleCoder::default().decode_all(&blobs).expect("a payload");
        assert_eq!(decoded.concat(), payload);
        let shown = |blob: &[u8]| json!({ "begins": Bytes::copy_from_slice(&blob[..96]), "keccak256": keccak256(blob) });
        let blobs: Vec<Value> = blobs.iter().map(|blob| shown(blob.as_slice())).collect();
        json!({ "length": length, "payload": keccak256(&payload), "blobs": blobs })
    };
    // One field element, some of them, exactly one blob, one byte more.
    let full = 31 * 4_095;
    compare("blobs.json", json!([31, 100, full, full + 1].map(example)));
}
