//! Looking for secrets in bytes, in every disguise in which one would get there by mistake. Not
//! here: which bytes there are to look at.

use alloy_primitives::{U256, hex};
use std::collections::HashMap;

/// What is recognised by itself of a secret, bytes.
const PART_BYTES: usize = 8;

/// Secrets, ready to be looked for.
pub struct Traces {
    disguises: Vec<Disguise>,
    /// The disguises by their first bytes.
    by_start: HashMap<[u8; PART_BYTES], Vec<usize>>,
    /// The same by two bytes, so that most of what is searched is passed over quickly.
    is_start: Vec<bool>,
}

struct Disguise {
    bytes: Vec<u8>,
    what: String,
}

impl Traces {
    /// Secrets by name, each of eight bytes or more.
    pub fn of(secrets: &[(&str, &[u8])]) -> Self {
        let disguises: Vec<_> =
            secrets.iter().flat_map(|(name, secret)| disguises(name, secret)).collect();
        let mut by_start: HashMap<_, Vec<usize>> = HashMap::new();
        let mut is_start = vec![false; 1 << 16];
        for (index, disguise) in disguises.iter().enumerate() {
            let start =
                *disguise.bytes.first_chunk().expect("a disguise is no shorter than a part");
            is_start[short(&start)] = true;
            by_start.entry(start).or_default().push(index);
        }
        Self { disguises, by_start, is_start }
    }

    /// The first trace found, with what surrounds it.
    pub fn find(&self, bytes: &[u8]) -> Option<String> {
        bytes.windows(PART_BYTES).enumerate().find_map(|(at, start)| {
            if !self.is_start[short(start)] {
                return None;
            }
            let candidates = self.by_start.get(start)?.iter().map(|index| &self.disguises[*index]);
            let found = candidates.clone().find(|it| bytes[at..].starts_with(&it.bytes))?;
            let around = &bytes[at.saturating_sub(60)..bytes.len().min(at + 120)];
            Some(format!("{} at {at}: {}", found.what, around.escape_ascii()))
        })
    }
}

fn short(start: &[u8]) -> usize {
    usize::from(start[0]) << 8 | usize::from(start[1])
}

/// Every part of a secret, forwards and backwards, as bytes and as text, and that as hexadecimal again
/// (text within calldata that is shown as JSON).
fn disguises(name: &str, secret: &[u8]) -> Vec<Disguise> {
    assert!(secret.len() >= PART_BYTES, "{name} is too short to be looked for");
    let backwards: Vec<u8> = secret.iter().rev().copied().collect();
    let mut all = Vec::new();
    for (direction, form) in [("", secret), ("reversed ", backwards.as_slice())] {
        let mut plain: Vec<_> = form.windows(PART_BYTES).flat_map(spellings).collect();
        if let Ok(number) = <[u8; 32]>::try_from(form) {
            plain.push(("a number", U256::from_be_bytes(number).to_string().into_bytes()));
        }
        for (spelling, bytes) in plain {
            let what = format!("{direction}{name} as {spelling}");
            all.push(Disguise {
                bytes: hex::encode(&bytes).into_bytes(),
                what: format!("{what}, in hex"),
            });
            all.push(Disguise { bytes, what });
        }
    }
    all
}

fn spellings(part: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let list = |separator| {
        let numbers: Vec<String> = part.iter().map(u8::to_string).collect();
        numbers.join(separator).into_bytes()
    };
    let mut all = vec![
        ("bytes", part.to_vec()),
        ("hex", hex::encode(part).into_bytes()),
        ("HEX", hex::encode_upper(part).into_bytes()),
        ("a list", list(", ")),
        ("a list", list(",")),
    ];
    for offset in 0..3 {
        let standard = base64(part, offset);
        let url = standard.iter().map(|c| match c {
            b'+' => b'-',
            b'/' => b'_',
            c => *c,
        });
        all.push(("base64", url.collect()));
        all.push(("base64", standard));
    }
    all
}

/// What is certain of the base64 of text in which a part stands, when `offset` bytes of its group of
/// three precede it.
fn base64(part: &[u8], offset: usize) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bit = |at: usize| usize::from(part[at / 8 - offset] >> (7 - at % 8) & 1);
    let (first, end) = ((8 * offset).div_ceil(6), 8 * (offset + part.len()) / 6);
    (first..end)
        .map(|c| ALPHABET[(6 * c..6 * c + 6).fold(0, |sum, at| sum * 2 + bit(at))])
        .collect()
}

#[test]
fn every_disguise_is_found() {
    let secret: Vec<u8> = (0..32u8).map(|n| n.wrapping_mul(37).wrapping_add(201)).collect();
    let traces = Traces::of(&[("the secret", &secret)]);
    let backwards: Vec<u8> = secret.iter().rev().copied().collect();
    let reason = format!("because of 0x{}", hex::encode(&secret));
    let number = U256::from_be_slice(&secret).to_string();
    // As any encoder makes it: "any carnal pleas" is the usual example of the three alignments.
    let base64s = [(0, "YW55IGNhcm5h"), (1, "FueSBjYXJuYW"), (2, "hbnkgY2Fybm")];
    for (offset, expected) in base64s {
        let made = base64(b"any carn", offset);
        assert!(expected.as_bytes().starts_with(&made) && made.len() >= 9, "{offset}");
    }
    let planted = [
        secret.clone(),
        secret[12..20].to_vec(),
        secret[24..].to_vec(),
        backwards[3..11].to_vec(),
        hex::encode(&secret).into(),
        hex::encode_upper(&secret[5..13]).into(),
        hex::encode(&backwards).into(),
        hex::encode(&reason).into(),
        reason.into(),
        number.into(),
        format!("{secret:?}").into(),
        format!("{:?}", &secret[1..9]).replace(' ', "").into(),
        base64(&secret[2..], 1),
    ];
    for (case, planted) in planted.into_iter().enumerate() {
        for around in [0, 1, 7, 10_000] {
            let hay = [vec![0x20; around], planted.clone(), vec![0x20; around]].concat();
            assert!(traces.find(&hay).is_some(), "case {case} within {around}");
        }
    }
    for clean in [&secret[..7], b"", &[0; 100], hex::encode(&secret[1..8]).as_bytes()] {
        assert_eq!(traces.find(clean), None);
    }
}
