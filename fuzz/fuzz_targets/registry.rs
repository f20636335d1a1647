//! Events of `AttestationVerifier` in any order: those of a network that admits two quotes, some of
//! them altered, and others that carry anything.

#![no_main]

use alloy_primitives::{B256, Bytes, Log, LogData, keccak256};
use alloy_sol_types::{SolEvent, SolEventInterface};
use libfuzzer_sys::{arbitrary, fuzz_target};
use obscuro_protocol::{
    attestation::{Attested, Registry},
    l1::{
        AttestationPolicy,
        IAttestationVerifier::{
            AuthorityRegistered, CollateralPublished, CrlPublished,
            IAttestationVerifierEvents as Event, MeasurementApproved, PlatformRegistered,
            PolicyChanged, RootCertificate,
        },
    },
    wire,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::LazyLock;

/// 20 June 2025.
const TIME: u64 = 1_750_377_600;

#[derive(arbitrary::Arbitrary, Debug)]
enum Said {
    /// One of the honest events, with bytes of its data changed.
    Honest(u8, Vec<(u16, u8)>),
    Anything {
        event: u8,
        topics: Vec<Topic>,
        data: Vec<u8>,
    },
}

#[derive(arbitrary::Arbitrary, Debug)]
enum Topic {
    Known(u8),
    Any([u8; 32]),
}

struct Honest {
    root_hash: B256,
    events: Vec<LogData>,
    quotes: [(Bytes, Attested); 2],
}

fn read<T: DeserializeOwned>(value: &Value, path: &str) -> T {
    serde_json::from_value(value.pointer(path).expect("a field").clone()).expect("its type")
}

static HONEST: LazyLock<Honest> = LazyLock::new(|| {
    let parse = |text: &str| -> Value { serde_json::from_str(text).expect("JSON") };
    let authority = parse(include_str!("../../vectors/attestation/authority.json"));
    let machine = parse(include_str!("../../vectors/attestation/machine.json"));
    let tees = [
        parse(include_str!("../../vectors/attestation/sgx.json")),
        parse(include_str!("../../vectors/attestation/tdx.json")),
    ];
    let root: Bytes = read(&authority, "/root/certificate");
    let root_hash = keccak256(&root);
    let policy = AttestationPolicy {
        minimumSecurityVersion: 1,
        minimumTcbEvaluation: 17,
        allowedTcbStatuses: 1,
        attestationLifetimeBlocks: 7_200,
    };
    let platform = PlatformRegistered {
        platform: read(&machine, "/platform"),
        machine: read(&machine, "/machine"),
        authority: read(&authority, "/pckCa/key/hash"),
        fmspc: read(&machine, "/fmspc"),
        der: read(&machine, "/pck/certificate"),
    };
    let mut events = vec![
        RootCertificate { der: root, development: true }.encode_log_data(),
        PolicyChanged { policy }.encode_log_data(),
        platform.encode_log_data(),
    ];
    for name in ["pckCa", "tcbSigner"] {
        let certified = AuthorityRegistered {
            authority: read(&authority, &format!("/{name}/key/hash")),
            tcbSigner: name == "tcbSigner",
            der: read(&authority, &format!("/{name}/certificate")),
        };
        events.push(certified.encode_log_data());
    }
    for (issuer, list) in [("root", "rootCrl"), ("pckCa", "pckCrl")] {
        let published = CrlPublished {
            authority: read(&authority, &format!("/{issuer}/key/hash")),
            der: read(&authority, &format!("/{list}")),
            ..no_list()
        };
        events.push(published.encode_log_data());
    }
    for tee in &tees {
        let approved = MeasurementApproved {
            measurement: read(tee, "/attested/measurement"),
            activationBlock: 0,
            sunsetBlock: 0,
        };
        events.push(approved.encode_log_data());
        for name in ["tcbInfo", "qeIdentity"] {
            let published = CollateralPublished {
                authority: read(&authority, "/tcbSigner/key/hash"),
                json: read::<String>(tee, &format!("/collateral/{name}")).into_bytes().into(),
                signature: read(tee, &format!("/collateral/{name}Signature")),
            };
            events.push(published.encode_log_data());
        }
    }
    let quotes = tees.map(|tee| (read(&tee, "/stripped"), read(&tee, "/attested")));
    Honest { root_hash, events, quotes }
});

fn no_list() -> CrlPublished {
    CrlPublished {
        authority: B256::ZERO,
        thisUpdate: Default::default(),
        nextUpdate: Default::default(),
        der: Bytes::new(),
    }
}

fn log(said: &Said) -> LogData {
    let honest = &HONEST.events;
    match said {
        Said::Honest(index, patches) => {
            let event = &honest[usize::from(*index) % honest.len()];
            let mut data = event.data.to_vec();
            for (at, mask) in patches.iter().filter(|_| !event.data.is_empty()) {
                let at = usize::from(*at) % data.len();
                data[at] ^= mask;
            }
            LogData::new_unchecked(event.topics().to_vec(), data.into())
        }
        Said::Anything { event, topics, data } => {
            let known = Event::SELECTORS;
            let first = B256::from(known[usize::from(*event) % known.len()]);
            let rest = topics.iter().take(3).map(|topic| match topic {
                Topic::Any(topic) => B256::from(*topic),
                Topic::Known(index) => {
                    let topics = honest.iter().flat_map(|event| &event.topics()[1..]);
                    let topics: Vec<B256> = topics.copied().collect();
                    topics[usize::from(*index) % topics.len()]
                }
            });
            let topics = [first].into_iter().chain(rest).collect();
            LogData::new_unchecked(topics, data.clone().into())
        }
    }
}

fuzz_target!(|input: (bool, Vec<Said>, Vec<u8>)| {
    let (begins_honestly, said, quote) = input;
    let mut logs = if begins_honestly { HONEST.events.clone() } else { Vec::new() };
    logs.extend(said.iter().map(log));
    let (mut registry, mut again) = (Registry::default(), Registry::default());
    for data in logs {
        let log = Log { address: Default::default(), data };
        if let Ok(event) = Event::decode_log(&log) {
            again.apply(event.data.clone(), HONEST.root_hash);
            registry.apply(event.data, HONEST.root_hash);
        }
    }
    assert_eq!(registry, again);
    let bytes = wire::encode(&registry);
    assert_eq!(wire::decode::<Registry>(&bytes, bytes.len()).expect("decodes"), registry);
    for (quote, expected) in &HONEST.quotes {
        if let Ok(attested) = registry.verify(quote, 1, TIME) {
            assert!(registry.is_admitted(attested.measurement, attested.machine, 1));
            assert_eq!(&attested, expected);
        }
    }
    let _ = registry.verify(&quote, 1, TIME);
});
