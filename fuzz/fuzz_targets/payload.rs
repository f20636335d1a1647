//! Payloads: any bytes, and what an aggregator with a broken TEE could seal: any map and any groups
//! under the right keys.

#![no_main]

use libfuzzer_sys::{arbitrary, fuzz_target};
use obscuro_protocol::{
    config::RevealOption,
    envelope,
    keys::{Label, MasterSeed},
    limits::{GROUP_BYTES_MAX, ROLLUP_TRANSACTIONS_MAX},
    padding,
    payload::{self, Payload},
    secret::Secret,
    wire,
};
use std::sync::LazyLock;

#[path = "../../protocol/tests/support/mod.rs"]
mod support;

static SEED: LazyLock<MasterSeed> = LazyLock::new(|| MasterSeed::new(Secret::new([7; 32])));

#[derive(arbitrary::Arbitrary, Debug)]
enum Input {
    Bytes(Vec<u8>),
    Sealed { withdrawals: Vec<u8>, map: Map, groups: Vec<Group>, rest: Vec<u8> },
}

#[derive(arbitrary::Arbitrary, Debug)]
enum Map {
    Bytes(Vec<u8>),
    /// The groups as they are, in this order.
    Order(Vec<(u8, u32)>),
}

#[derive(arbitrary::Arbitrary, Debug)]
struct Group {
    option: u8,
    interval: u64,
    content: Content,
}

#[derive(arbitrary::Arbitrary, Debug)]
enum Content {
    Transactions(Vec<Vec<u8>>),
    Plain(Vec<u8>),
    Compressed(Vec<u8>),
    /// Many times the same byte.
    Bomb(u8, u32),
}

fn compressed(content: &Content) -> Vec<u8> {
    let plain = match content {
        Content::Compressed(bytes) => return bytes.clone(),
        Content::Plain(bytes) => bytes.clone(),
        Content::Bomb(byte, length) => vec![*byte; *length as usize % (2 * GROUP_BYTES_MAX)],
        Content::Transactions(transactions) => {
            let mut plain = Vec::new();
            let transactions: Vec<_> = transactions.iter().map(|t| t.as_slice()).collect();
            alloy_rlp::encode_list::<_, [u8]>(&transactions, &mut plain);
            plain
        }
    };
    zstd::bulk::compress(&plain, 1).expect("compresses")
}

fn sealed_group(group: &Group) -> (RevealOption, Vec<u8>) {
    let option = RevealOption::ALL[group.option as usize % 5];
    let mut aad = [1; 10];
    aad[1] = option as u8;
    aad[2..].copy_from_slice(&group.interval.to_be_bytes());
    let key = SEED.reveal_key(option, group.interval);
    let padded = padding::pad(&compressed(&group.content));
    (option, envelope::seal(&key, &padded, &aad, &mut support::Counter(0)).expect("seals"))
}

fn sealed(withdrawals: &[u8], map: &Map, groups: &[Group], rest: &[u8]) -> Vec<u8> {
    let sealed: Vec<_> = groups.iter().take(6).map(sealed_group).collect();
    let map = match map {
        Map::Bytes(bytes) => bytes.clone(),
        Map::Order(order) => {
            let positions: Vec<_> = sealed
                .iter()
                .zip(groups)
                .map(|((option, bytes), group)| (*option, group.interval, bytes.len() as u32))
                .collect();
            wire::encode(&(positions, order))
        }
    };
    let key = SEED.derive(Label::PositionMap);
    let map =
        envelope::seal(&key, &padding::pad(&map), &[1], &mut support::Counter(0)).expect("seals");
    let mut bytes = vec![1];
    for section in [withdrawals, &map] {
        bytes.extend((section.len() as u32).to_be_bytes());
        bytes.extend(section);
    }
    bytes.extend(sealed.iter().flat_map(|(_, group)| group));
    bytes.extend(rest);
    bytes
}

/// What opens can be sealed again, and then opens to the same.
fn check(payload: &Payload) {
    assert!(payload.items.len() <= ROLLUP_TRANSACTIONS_MAX);
    if let Ok(bytes) = payload::seal(payload, &SEED, |_| 0, &mut support::Counter(0)) {
        assert_eq!(payload::open(&bytes, &SEED).as_ref(), Ok(payload));
    }
}

fuzz_target!(|input: Input| {
    let bytes = match &input {
        Input::Bytes(bytes) => bytes.clone(),
        Input::Sealed { withdrawals, map, groups, rest } => sealed(withdrawals, map, groups, rest),
    };
    let clear = payload::withdrawals(&bytes);
    if let Ok(payload) = payload::open(&bytes, &SEED) {
        assert_eq!(clear.as_ref(), Ok(&payload.withdrawals));
        check(&payload);
    }
});
