//! The rollup payload (protocol 7.2, 7.3; S2 "Symmetric key revealing"): withdrawals in clear, then
//! the transactions grouped by reveal option, each group compressed, padded and encrypted with
//! `EncryptionKey(option, interval)`, concatenated without delimiter; where each group lies stands
//! in a map that is encrypted with a key never revealed.
//!
//! ```text
//! version u8 | withdrawals u32 length, ABI | map u32 length, sealed | groups ...
//! ```
//!
//! Not here: how a payload travels (calldata or blobs) and who may learn a group's key.

use crate::{
    config::RevealOption,
    envelope::{self, EnvelopeError},
    keys::{Label, MasterSeed},
    limits::{GROUP_BYTES_MAX, PAYLOAD_BYTES_MAX, ROLLUP_TRANSACTIONS_MAX, ROLLUP_WITHDRAWALS_MAX},
    padding,
    rollup::Withdrawal,
    wire,
};
use alloy_primitives::{Address, Bytes, U256};
use alloy_rlp::Decodable;
use alloy_sol_types::SolValue;
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use std::{cell::RefCell, io};
use zstd::bulk::{Compressor, Decompressor};

const VERSION: u8 = 1;
const COMPRESSION_LEVEL: i32 = 3;

/// A payload that cannot be made or read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PayloadError {
    /// Not of the form above, or over a limit.
    #[error("malformed payload: {0}")]
    Malformed(&'static str),
    /// Encrypted with another key, or altered.
    #[error("payload does not decrypt")]
    Undecryptable,
    /// More than [`PAYLOAD_BYTES_MAX`].
    #[error("payload of {0} bytes exceeds {PAYLOAD_BYTES_MAX}")]
    TooLong(usize),
}

impl From<EnvelopeError> for PayloadError {
    fn from(_: EnvelopeError) -> Self {
        Self::Undecryptable
    }
}

/// A transaction with the reveal option that decides its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// How long it stays encrypted.
    pub option: RevealOption,
    /// EIP-2718 encoding.
    pub transaction: Bytes,
}

/// What a payload holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payload {
    /// In the order of execution.
    pub items: Vec<Item>,
    /// In the order of their indices.
    pub withdrawals: Vec<Withdrawal>,
}

/// Where the groups lie and how their transactions interleave. Encrypted, never revealed.
#[derive(Serialize, Deserialize)]
struct PositionMap {
    groups: Vec<GroupPosition>,
    /// Runs of transactions of one group, in the order of execution: (index into `groups`, count).
    order: Vec<(u8, u32)>,
}

#[derive(Serialize, Deserialize)]
struct GroupPosition {
    option: RevealOption,
    interval: u64,
    length: u32,
}

/// Encodes and encrypts. `interval` gives the current interval of an option.
pub fn seal(
    payload: &Payload,
    seed: &MasterSeed,
    interval: impl Fn(RevealOption) -> u64,
    rng: &mut impl CryptoRng,
) -> Result<Bytes, PayloadError> {
    let mut map = PositionMap { groups: Vec::new(), order: runs(&payload.items) };
    let mut groups = Vec::new();
    for option in options(&payload.items) {
        let sealed = seal_group(&payload.items, option, seed, interval(option), rng)?;
        map.groups.push(GroupPosition {
            option,
            interval: interval(option),
            length: sealed.len() as u32,
        });
        groups.extend_from_slice(&sealed);
    }
    let map = envelope::seal(
        &seed.derive(Label::PositionMap),
        &padding::pad(&wire::encode(&map)),
        &[VERSION],
        rng,
    )?;
    let mut out = vec![VERSION];
    put_section(&mut out, &encode_withdrawals(&payload.withdrawals));
    put_section(&mut out, &map);
    out.extend_from_slice(&groups);
    if out.len() > PAYLOAD_BYTES_MAX {
        return Err(PayloadError::TooLong(out.len()));
    }
    Ok(out.into())
}

/// Decrypts and decodes.
pub fn open(bytes: &[u8], seed: &MasterSeed) -> Result<Payload, PayloadError> {
    open_if(bytes, seed, |_| true)
}

/// The same, if `interval` gives the interval of each group: nothing is encrypted with a key that is already
/// revealed, or that will be too late.
pub fn open_in(
    bytes: &[u8],
    seed: &MasterSeed,
    interval: impl Fn(RevealOption) -> u64,
) -> Result<Payload, PayloadError> {
    open_if(bytes, seed, |group| group.interval == interval(group.option))
}

fn open_if(
    bytes: &[u8],
    seed: &MasterSeed,
    is_right: impl Fn(&GroupPosition) -> bool,
) -> Result<Payload, PayloadError> {
    let (withdrawals, map, groups) = split(bytes)?;
    let map = envelope::open(&seed.derive(Label::PositionMap), map, &[VERSION])?;
    let map = padding::unpad(&map).ok_or(PayloadError::Malformed("map padding"))?;
    let map: PositionMap =
        wire::decode(map, PAYLOAD_BYTES_MAX).map_err(|_| PayloadError::Malformed("map"))?;
    if !map.groups.iter().all(is_right) {
        return Err(PayloadError::Malformed("interval"));
    }
    let groups = open_groups(&map, groups, seed)?;
    Ok(Payload { items: interleave(&map, groups)?, withdrawals })
}

/// The withdrawals, which anyone can read.
pub fn withdrawals(bytes: &[u8]) -> Result<Vec<Withdrawal>, PayloadError> {
    split(bytes).map(|(withdrawals, ..)| withdrawals)
}

/// The options that occur, shortest first.
fn options(items: &[Item]) -> Vec<RevealOption> {
    RevealOption::ALL.into_iter().filter(|o| items.iter().any(|i| i.option == *o)).collect()
}

/// The interleaving as runs, indexing the groups in the order of [`options`].
fn runs(items: &[Item]) -> Vec<(u8, u32)> {
    let options = options(items);
    let mut runs: Vec<(u8, u32)> = Vec::new();
    for item in items {
        let group = options.iter().position(|o| *o == item.option).unwrap_or_default() as u8;
        match runs.last_mut() {
            Some((last, count)) if *last == group => *count += 1,
            _ => runs.push((group, 1)),
        }
    }
    runs
}

fn seal_group(
    items: &[Item],
    option: RevealOption,
    seed: &MasterSeed,
    interval: u64,
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, PayloadError> {
    let transactions: Vec<&Bytes> =
        items.iter().filter(|i| i.option == option).map(|i| &i.transaction).collect();
    let mut plain = Vec::new();
    alloy_rlp::encode_list::<_, Bytes>(&transactions, &mut plain);
    if plain.len() > GROUP_BYTES_MAX {
        return Err(PayloadError::TooLong(plain.len()));
    }
    let compressed = compress(&plain).map_err(|_| PayloadError::Malformed("compression"))?;
    Ok(envelope::seal(
        &seed.reveal_key(option, interval),
        &padding::pad(&compressed),
        &group_aad(option, interval),
        rng,
    )?)
}

fn open_groups(
    map: &PositionMap,
    mut bytes: &[u8],
    seed: &MasterSeed,
) -> Result<Vec<std::vec::IntoIter<Item>>, PayloadError> {
    let mut groups = Vec::new();
    for position in map.groups.iter().take(RevealOption::ALL.len()) {
        let (sealed, rest) = bytes
            .split_at_checked(position.length as usize)
            .ok_or(PayloadError::Malformed("group position"))?;
        bytes = rest;
        let key = seed.reveal_key(position.option, position.interval);
        let transactions = open_group(sealed, &key, position.option, position.interval)?;
        let items: Vec<Item> = transactions
            .into_iter()
            .map(|transaction| Item { option: position.option, transaction })
            .collect();
        groups.push(items.into_iter());
    }
    if !bytes.is_empty() {
        return Err(PayloadError::Malformed("bytes after the last group"));
    }
    Ok(groups)
}

/// Decrypts one group with its revealed key: the transactions in it.
pub fn open_group(
    sealed: &[u8],
    key: &crate::secret::Secret,
    option: RevealOption,
    interval: u64,
) -> Result<Vec<Bytes>, PayloadError> {
    let padded = envelope::open(key, sealed, &group_aad(option, interval))?;
    let compressed = padding::unpad(&padded).ok_or(PayloadError::Malformed("group padding"))?;
    let plain = decompress(compressed).map_err(|_| PayloadError::Malformed("compression"))?;
    decode_transactions(&plain)
}

// To make a context costs more than to use it for a small rollup, so each thread keeps its own.
thread_local! {
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

fn compress(plain: &[u8]) -> io::Result<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|kept| match kept {
        Some(compressor) => compressor.compress(plain),
        None => kept.insert(Compressor::new(COMPRESSION_LEVEL)?).compress(plain),
    })
}

fn decompress(compressed: &[u8]) -> io::Result<Vec<u8>> {
    DECOMPRESSOR.with_borrow_mut(|kept| match kept {
        Some(decompressor) => decompressor.decompress(compressed, GROUP_BYTES_MAX),
        None => kept.insert(Decompressor::new()?).decompress(compressed, GROUP_BYTES_MAX),
    })
}

/// Reads no more than a rollup may hold: empty transactions would take many times their bytes.
fn decode_transactions(mut plain: &[u8]) -> Result<Vec<Bytes>, PayloadError> {
    let malformed = |_| PayloadError::Malformed("transaction list");
    let mut list = alloy_rlp::Header::decode_bytes(&mut plain, true).map_err(malformed)?;
    if !plain.is_empty() {
        return Err(PayloadError::Malformed("transaction list"));
    }
    let mut transactions = Vec::new();
    while !list.is_empty() {
        if transactions.len() == ROLLUP_TRANSACTIONS_MAX {
            return Err(PayloadError::Malformed("too many transactions"));
        }
        transactions.push(Bytes::decode(&mut list).map_err(malformed)?);
    }
    Ok(transactions)
}

fn interleave(
    map: &PositionMap,
    mut groups: Vec<std::vec::IntoIter<Item>>,
) -> Result<Vec<Item>, PayloadError> {
    let mut items = Vec::new();
    for &(group, count) in &map.order {
        let group = groups.get_mut(group as usize).ok_or(PayloadError::Malformed("group index"))?;
        for _ in 0..count {
            items.push(group.next().ok_or(PayloadError::Malformed("group too short"))?);
            if items.len() > ROLLUP_TRANSACTIONS_MAX {
                return Err(PayloadError::Malformed("too many transactions"));
            }
        }
    }
    if groups.iter_mut().any(|group| group.next().is_some()) {
        return Err(PayloadError::Malformed("transactions without a position"));
    }
    Ok(items)
}

fn group_aad(option: RevealOption, interval: u64) -> [u8; 10] {
    let mut aad = [VERSION; 10];
    aad[1] = option as u8;
    aad[2..].copy_from_slice(&interval.to_be_bytes());
    aad
}

fn put_section(out: &mut Vec<u8>, section: &[u8]) {
    out.extend_from_slice(&(section.len() as u32).to_be_bytes());
    out.extend_from_slice(section);
}

fn take_section(bytes: &[u8]) -> Result<(&[u8], &[u8]), PayloadError> {
    let (length, rest) =
        bytes.split_first_chunk::<4>().ok_or(PayloadError::Malformed("section length"))?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize)
        .ok_or(PayloadError::Malformed("section"))
}

/// Withdrawals, sealed map and sealed groups.
type Sections<'a> = (Vec<Withdrawal>, &'a [u8], &'a [u8]);

fn split(bytes: &[u8]) -> Result<Sections<'_>, PayloadError> {
    if bytes.len() > PAYLOAD_BYTES_MAX {
        return Err(PayloadError::TooLong(bytes.len()));
    }
    let (&version, rest) = bytes.split_first().ok_or(PayloadError::Malformed("empty"))?;
    if version != VERSION {
        return Err(PayloadError::Malformed("version"));
    }
    let (clear, rest) = take_section(rest)?;
    let (map, groups) = take_section(rest)?;
    Ok((decode_withdrawals(clear)?, map, groups))
}

type AbiWithdrawal = (u64, Address, Address, U256);

fn encode_withdrawals(withdrawals: &[Withdrawal]) -> Vec<u8> {
    if withdrawals.is_empty() {
        return Vec::new();
    }
    let abi: Vec<AbiWithdrawal> =
        withdrawals.iter().map(|w| (w.index, w.asset, w.to, w.amount)).collect();
    abi.abi_encode()
}

fn decode_withdrawals(bytes: &[u8]) -> Result<Vec<Withdrawal>, PayloadError> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    if bytes.len() > 64 + ROLLUP_WITHDRAWALS_MAX * 128 {
        return Err(PayloadError::Malformed("too many withdrawals"));
    }
    let abi = Vec::<AbiWithdrawal>::abi_decode(bytes)
        .map_err(|_| PayloadError::Malformed("withdrawals"))?;
    Ok(abi
        .into_iter()
        .map(|(index, asset, to, amount)| Withdrawal { index, asset, to, amount })
        .collect())
}
