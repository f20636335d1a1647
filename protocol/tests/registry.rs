//! What a registry of L1's events makes of a quote: the order of events, who is refused and why, and
//! that no events harm. From the frozen vectors. Not here: quotes and collateral that are bad in
//! themselves (`software-tee/tests/refusals`).

use alloy_primitives::{B256, Bytes, FixedBytes, aliases::U40, keccak256};
use obscuro_protocol::{
    attestation::{Approval, AttestationError, Attested, Registry, TcbStatus, Tee},
    l1::{
        AttestationPolicy,
        IAttestationVerifier::{
            AuthorityRegistered, CollateralPublished, CrlPublished,
            IAttestationVerifierEvents as Event, MachineReadmitted, MachineRemoved,
            MeasurementApproved, PlatformRegistered, PolicyChanged, RootCertificate,
        },
    },
    wire,
};
use proptest::{prelude::*, sample::Index};
use serde_json::Value;
use std::{fs, path::PathBuf, sync::LazyLock};

/// 20 June 2025.
const TIME: u64 = 1_750_377_600;
const BLOCK: u64 = 1_000;

fn vector(name: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../vectors/attestation").join(name);
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn field<T: serde::de::DeserializeOwned>(value: &Value, path: &str) -> T {
    let found = value.pointer(path).unwrap_or_else(|| panic!("no {path}"));
    serde_json::from_value(found.clone()).unwrap()
}

struct Vectors {
    authority: Value,
    other_authority: Value,
    machine: Value,
    outdated: Value,
    lists: Value,
    quotes: [Value; 2],
}

static VECTORS: LazyLock<Vectors> = LazyLock::new(|| Vectors {
    authority: vector("authority.json"),
    other_authority: vector("other_authority.json"),
    machine: vector("machine.json"),
    outdated: vector("outdated_machine.json"),
    lists: vector("revocation_lists.json"),
    quotes: [vector("sgx.json"), vector("tdx.json")],
});

fn root_hash() -> B256 {
    keccak256(field::<Bytes>(&VECTORS.authority, "/root/certificate"))
}

fn quote(tee: usize) -> Bytes {
    field(&VECTORS.quotes[tee], "/stripped")
}

fn attested(tee: usize) -> Attested {
    field(&VECTORS.quotes[tee], "/attested")
}

fn measurement() -> B256 {
    attested(0).measurement
}

fn machine() -> B256 {
    attested(0).machine
}

fn root(authority: &Value) -> Event {
    let der = field(authority, "/root/certificate");
    Event::RootCertificate(RootCertificate { der, development: true })
}

fn policy(change: impl FnOnce(&mut AttestationPolicy)) -> Event {
    let mut policy = AttestationPolicy {
        minimumSecurityVersion: 1,
        minimumTcbEvaluation: 17,
        allowedTcbStatuses: 1,
        attestationLifetimeBlocks: 7_200,
    };
    change(&mut policy);
    Event::PolicyChanged(PolicyChanged { policy })
}

fn approval(measurement: B256, from: u64, to: u64) -> Event {
    Event::MeasurementApproved(MeasurementApproved {
        measurement,
        activationBlock: from,
        sunsetBlock: to,
    })
}

fn certified(authority: &Value, name: &str) -> Event {
    Event::AuthorityRegistered(AuthorityRegistered {
        authority: field(authority, &format!("/{name}/key/hash")),
        tcbSigner: name == "tcbSigner",
        der: field(authority, &format!("/{name}/certificate")),
    })
}

/// A revocation list by the root or the PCK CA.
fn crl(issuer: &str, der: Bytes) -> Event {
    Event::CrlPublished(CrlPublished {
        authority: field(&VECTORS.authority, &format!("/{issuer}/key/hash")),
        thisUpdate: U40::ZERO,
        nextUpdate: U40::MAX,
        der,
    })
}

fn list(name: &str) -> Bytes {
    field(&VECTORS.lists, name)
}

fn statement(signer: B256, json: &str, signature: Bytes) -> Event {
    let json = Bytes::copy_from_slice(json.as_bytes());
    Event::CollateralPublished(CollateralPublished { authority: signer, json, signature })
}

fn signer() -> B256 {
    field(&VECTORS.authority, "/tcbSigner/key/hash")
}

/// TCB info or the QE identity of a TEE.
fn published(tee: usize, name: &str) -> Event {
    let of = |suffix: &str| format!("/collateral/{name}{suffix}");
    let (json, signature): (String, Bytes) =
        (field(&VECTORS.quotes[tee], &of("")), field(&VECTORS.quotes[tee], &of("Signature")));
    statement(signer(), &json, signature)
}

fn platform(machine: &Value) -> Event {
    Event::PlatformRegistered(PlatformRegistered {
        platform: field(machine, "/platform"),
        machine: field(machine, "/machine"),
        authority: field(&VECTORS.authority, "/pckCa/key/hash"),
        fmspc: field(machine, "/fmspc"),
        der: field(machine, "/pck/certificate"),
    })
}

fn removed(machine: B256) -> Event {
    Event::MachineRemoved(MachineRemoved { machine })
}

fn readmitted(machine: B256) -> Event {
    Event::MachineReadmitted(MachineReadmitted { machine })
}

/// What L1 says of a network in which both quotes count.
fn honest() -> Vec<Event> {
    let authority = &VECTORS.authority;
    let mut events = vec![
        root(authority),
        policy(|_| {}),
        certified(authority, "pckCa"),
        certified(authority, "tcbSigner"),
        crl("root", field(authority, "/rootCrl")),
        crl("pckCa", field(authority, "/pckCrl")),
        platform(&VECTORS.machine),
    ];
    for tee in 0..2 {
        events.push(approval(attested(tee).measurement, 0, 0));
        events.extend(["tcbInfo", "qeIdentity"].map(|name| published(tee, name)));
    }
    events
}

fn fold(events: impl IntoIterator<Item = Event>) -> Registry {
    let mut registry = Registry::default();
    events.into_iter().for_each(|event| registry.apply(event, root_hash()));
    registry
}

/// The honest network, to which something else happens.
fn then(events: impl IntoIterator<Item = Event>) -> Registry {
    fold(honest().into_iter().chain(events))
}

/// The honest network without what `is_missing` finds.
fn without(is_missing: impl Fn(&Event) -> bool) -> Registry {
    fold(honest().into_iter().filter(|event| !is_missing(event)))
}

#[test]
fn quotes_verify_from_events_alone() {
    let registry = then([]);
    for tee in 0..2 {
        assert_eq!(registry.verify(&quote(tee), BLOCK, TIME), Ok(attested(tee)));
    }
    assert!(registry.is_development());
    assert_eq!(registry.lifetime_blocks(), 7_200);
    assert!(registry.is_admitted(measurement(), machine(), BLOCK));
    assert_eq!(registry.platform(attested(0).platform).unwrap().machine, machine());
    let (platform, tee) = (attested(1).platform, Tee::Tdx);
    let collateral = serde_json::to_value(registry.collateral(platform, tee).unwrap()).unwrap();
    assert_eq!(collateral, VECTORS.quotes[1]["collateral"]);
}

#[test]
fn refusals() {
    use AttestationError as Error;
    let missing = |what: &str| Error::Collateral(format!("L1 has no {what}"));
    let no_root = || missing("attestation root that this network trusts");
    let later = |event| then([event]);
    let cases = [
        ("removed machine", later(removed(machine())), Error::Machine(machine())),
        ("sunset", later(approval(measurement(), 0, BLOCK)), Error::Measurement(measurement())),
        (
            "not yet active",
            later(approval(measurement(), BLOCK + 1, 0)),
            Error::Measurement(measurement()),
        ),
        (
            "withdrawn approval",
            later(approval(measurement(), 1, 1)),
            Error::Measurement(measurement()),
        ),
        (
            "other measurement",
            fold(honest().into_iter().map(|event| match event {
                Event::MeasurementApproved(_) => approval(keccak256("other"), 0, 0),
                event => event,
            })),
            Error::Measurement(measurement()),
        ),
        ("revoked PCK", later(crl("pckCa", list("/machine"))), Error::Revoked),
        ("revoked PCK CA", later(crl("root", list("/pckCa"))), Error::Revoked),
        ("revoked TCB signer", later(crl("root", list("/tcbSigner"))), Error::Revoked),
        (
            "security version",
            later(policy(|policy| policy.minimumSecurityVersion = 2)),
            Error::SecurityVersion { found: 1, minimum: 2 },
        ),
        (
            "TCB evaluation number",
            later(policy(|policy| policy.minimumTcbEvaluation = 18)),
            Error::EvaluationNumber { found: 17, minimum: 18 },
        ),
        (
            "TCB status",
            later(policy(|policy| policy.allowedTcbStatuses = !1)),
            Error::TcbStatus(TcbStatus::UpToDate),
        ),
        ("no events", Registry::default(), missing("such platform")),
        (
            "missing platform",
            without(|event| matches!(event, Event::PlatformRegistered(_))),
            missing("such platform"),
        ),
        (
            "another platform",
            fold(honest().into_iter().map(|event| match event {
                Event::PlatformRegistered(_) => platform(&VECTORS.outdated),
                event => event,
            })),
            missing("such platform"),
        ),
        (
            "another certificate under the platform's name",
            later({
                let Event::PlatformRegistered(mut event) = platform(&VECTORS.outdated) else {
                    unreachable!()
                };
                event.platform = attested(0).platform;
                Event::PlatformRegistered(event)
            }),
            Error::Platform,
        ),
        ("missing root", without(|event| matches!(event, Event::RootCertificate(_))), no_root()),
        (
            "another root",
            fold(honest().into_iter().map(|event| match event {
                Event::RootCertificate(_) => root(&VECTORS.other_authority),
                event => event,
            })),
            no_root(),
        ),
        (
            "missing PCK CA",
            without(|event| matches!(event, Event::AuthorityRegistered(of) if !of.tcbSigner)),
            missing("PCK CA"),
        ),
        (
            "missing TCB signer",
            without(|event| matches!(event, Event::AuthorityRegistered(of) if of.tcbSigner)),
            missing("TCB signer"),
        ),
        (
            "missing lists",
            without(|event| matches!(event, Event::CrlPublished(_))),
            missing("root CRL"),
        ),
        (
            "missing statements",
            without(|event| matches!(event, Event::CollateralPublished(_))),
            missing("TCB info for this kind of platform"),
        ),
    ];
    for (name, registry, refusal) in cases {
        assert_eq!(registry.verify(&quote(0), BLOCK, TIME), Err(refusal), "{name}");
    }
    // All is valid from 2024 to 2049.
    for time in [0, 1_704_067_199, 2_524_608_000, u64::MAX] {
        assert_eq!(then([]).verify(&quote(0), BLOCK, time), Err(Error::Expired), "{time}");
    }
    // A configuration that names another root.
    let mut registry = Registry::default();
    honest().into_iter().for_each(|event| registry.apply(event, keccak256("another root")));
    assert_eq!(registry.verify(&quote(0), BLOCK, TIME), Err(no_root()));
}

#[test]
fn the_trusted_root_comes_once() {
    let Event::RootCertificate(mut again) = root(&VECTORS.authority) else { unreachable!() };
    again.development = false;
    let other = root(&VECTORS.other_authority);
    let registry = fold([other.clone()].into_iter().chain(honest()));
    assert_eq!(registry, then([]));
    assert_eq!(then([other, Event::RootCertificate(again)]), then([]));
}

#[test]
fn readmission_undoes_removal() {
    let registry = then([removed(machine()), removed(machine()), readmitted(machine())]);
    assert_eq!(registry, then([]));
    assert_eq!(then([readmitted(machine())]), then([]));
    let registry = then([readmitted(machine()), removed(machine())]);
    assert!(!registry.is_admitted(measurement(), machine(), BLOCK));
    assert!(registry.is_admitted(measurement(), keccak256("another machine"), BLOCK));
}

#[test]
fn approval_windows() {
    for (activation, sunset, first, last) in
        [(0, 0, 0, u64::MAX), (100, 0, 100, u64::MAX), (0, 100, 0, 99), (100, 200, 100, 199)]
    {
        let registry = then([approval(measurement(), activation, sunset)]);
        assert_eq!(registry.approval(measurement()), Some(Approval { activation, sunset }));
        for block in [0, 99, 100, 101, 199, 200, u64::MAX] {
            let is_active = (first..=last).contains(&block);
            let verdict = registry.verify(&quote(0), block, TIME);
            assert_eq!(verdict.is_ok(), is_active, "{activation}..{sunset} at {block}");
            assert_eq!(registry.is_admitted(measurement(), machine(), block), is_active);
        }
    }
    // The last word counts, and each measurement has its own.
    let registry = then([approval(measurement(), 1, 1), approval(measurement(), 0, 0)]);
    assert_eq!(registry, then([]));
    assert_eq!(registry.approval(keccak256("never")), None);
    assert_eq!(registry.approvals().count(), 2);
}

/// TCB info of 1 January of a year with an evaluation number, under the signature of nobody.
fn aged(year: u16, number: u32) -> String {
    let json: String = field(&VECTORS.quotes[0], "/collateral/tcbInfo");
    let issued = json.replace("2024-01-01T", &format!("{year}-01-01T"));
    let numbered = issued.replace(
        "\"tcbEvaluationDataNumber\":17",
        &format!("\"tcbEvaluationDataNumber\":{number}"),
    );
    assert!(numbered.contains(&format!("\"tcbEvaluationDataNumber\":{number}")));
    assert!(numbered.contains(&format!("\"issueDate\":\"{year}-01-01T")));
    numbered
}

fn tcb_info(registry: &Registry) -> Result<String, AttestationError> {
    registry.collateral(attested(0).platform, Tee::Sgx).map(|collateral| collateral.tcb_info)
}

#[test]
fn of_what_the_policy_admits_the_younger_statement_counts_then_the_higher_number() {
    // Each counts more than those before it: the policy demands 17.
    let ages = [(2024, 16), (2025, 1), (2025, 2), (2023, 99), (2024, 17), (2024, 18), (2025, 17)];
    let ages = ages.map(|(year, number)| aged(year, number));
    let of = |json: &str| statement(signer(), json, Bytes::new());
    for (i, older) in ages.iter().enumerate() {
        for younger in &ages[i..] {
            // The honest one is there before.
            let counts = if ages[..4].contains(younger) { &ages[4] } else { younger };
            for pair in [[older, younger], [younger, older]] {
                assert_eq!(tcb_info(&then(pair.map(|json| of(json)))).as_ref(), Ok(counts));
            }
        }
    }
    // A renewal of the same age takes the place of the former.
    let registry = then([statement(signer(), &ages[4], Bytes::from_static(b"renewed"))]);
    let collateral = registry.collateral(attested(0).platform, Tee::Sgx).unwrap();
    assert_eq!(collateral.tcb_info_signature, Bytes::from_static(b"renewed"));
    // The other TEE's stays.
    assert_eq!(then([of(&ages[5])]).verify(&quote(1), BLOCK, TIME), Ok(attested(1)));
}

#[test]
fn both_statements_are_of_the_signer_of_the_newest() {
    let another = keccak256("another signer");
    let by_another = |json: &str| statement(another, json, Bytes::new());
    assert_eq!(then([by_another(&aged(2023, 99))]).verify(&quote(0), BLOCK, TIME), Ok(attested(0)));
    let refusal = tcb_info(&then([by_another(&aged(2025, 17))]));
    let reason = "L1 has no QE identity by that signer".into();
    assert_eq!(refusal, Err(AttestationError::Collateral(reason)));
}

#[test]
fn unreadable_statements_are_ignored() {
    let long = format!("{}{}", aged(2025, 18), " ".repeat(100_000));
    for json in ["", "{}", "[]", "null", &"[".repeat(10_000), &aged(2025, 18)[1..], &long] {
        assert_eq!(then([statement(signer(), json, Bytes::new())]), then([]), "{json:.20}");
    }
    let json = Bytes::from_static(&[0xff; 10]);
    let event = CollateralPublished { authority: signer(), json, signature: Bytes::new() };
    assert_eq!(then([Event::CollateralPublished(event)]), then([]));
}

/// Identifiers of all kinds, which events may mix up.
fn identifiers() -> Vec<B256> {
    let authority = |path| field(&VECTORS.authority, path);
    vec![
        attested(0).platform,
        machine(),
        measurement(),
        attested(1).measurement,
        signer(),
        authority("/pckCa/key/hash"),
        authority("/root/key/hash"),
        B256::ZERO,
    ]
}

/// All strings of bytes of the vectors, honest and other; certificates, lists, statements.
fn contents() -> Vec<Bytes> {
    fn below(value: &Value, found: &mut Vec<Bytes>) {
        match value {
            Value::String(text) if text.starts_with('{') => {
                found.push(Bytes::copy_from_slice(text.as_bytes()));
            }
            Value::String(text) => found.extend(text.parse::<Bytes>()),
            Value::Array(parts) => parts.iter().for_each(|part| below(part, found)),
            Value::Object(parts) => parts.values().for_each(|part| below(part, found)),
            _ => {}
        }
    }
    let Vectors { authority, other_authority, machine, outdated, lists, quotes: [sgx, tdx] } =
        &*VECTORS;
    let mut found = Vec::new();
    for value in [authority, other_authority, machine, outdated, lists, sgx, tdx] {
        below(value, &mut found);
    }
    found
}

fn identifier() -> impl Strategy<Value = B256> {
    prop_oneof![
        9 => prop::sample::select(identifiers()),
        1 => any::<[u8; 32]>().prop_map(B256::from),
    ]
}

fn content() -> impl Strategy<Value = Bytes> {
    let known = prop::sample::select(contents());
    let altered = (known.clone(), any::<Index>(), 1u8..).prop_map(|(bytes, at, mask)| {
        let mut bytes = bytes.to_vec();
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] ^= mask;
        }
        Bytes::from(bytes)
    });
    let random = prop::collection::vec(any::<u8>(), 0..300).prop_map(Bytes::from);
    prop_oneof![3 => known, 1 => altered, 1 => random]
}

/// Any event, of things that exist and things that do not.
fn event() -> impl Strategy<Value = Event> {
    let block = || prop_oneof![Just(0), Just(BLOCK), Just(BLOCK + 1), any::<u64>()];
    let parts = (identifier(), identifier(), identifier(), content(), content());
    (0..9, parts, (block(), block()), any::<[u16; 3]>(), any::<bool>()).prop_map(
        |(kind, (a, b, c, der, other), (from, to), numbers, flag)| match kind {
            0 => Event::RootCertificate(RootCertificate { der, development: flag }),
            1 => Event::AuthorityRegistered(AuthorityRegistered {
                authority: a,
                tcbSigner: flag,
                der,
            }),
            2 => Event::PlatformRegistered(PlatformRegistered {
                platform: a,
                machine: b,
                authority: c,
                fmspc: FixedBytes(attested(0).fmspc),
                der,
            }),
            3 => Event::CrlPublished(CrlPublished {
                authority: a,
                thisUpdate: U40::ZERO,
                nextUpdate: U40::MAX,
                der,
            }),
            4 => Event::CollateralPublished(CollateralPublished {
                authority: a,
                json: der,
                signature: other,
            }),
            5 => approval(a, from, to),
            6 => policy(|policy| {
                let [version, number, statuses] = numbers;
                policy.minimumSecurityVersion = version % 3;
                policy.minimumTcbEvaluation = (number % 20).into();
                policy.allowedTcbStatuses = statuses;
            }),
            7 => removed(a),
            _ => readmitted(a),
        },
    )
}

/// Whether the last approval of a measurement counts now.
fn is_approved(events: &[Event], measurement: B256) -> bool {
    let mut approvals = events.iter().rev().filter_map(|event| match event {
        Event::MeasurementApproved(event) if event.measurement == measurement => {
            Some((event.activationBlock, event.sunsetBlock))
        }
        _ => None,
    });
    approvals.next().is_some_and(|(from, to)| from <= BLOCK && (to == 0 || BLOCK < to))
}

/// Whether the last word on a machine was its removal.
fn is_removed(events: &[Event], machine: B256) -> bool {
    let mut words = events.iter().rev().filter_map(|event| match event {
        Event::MachineRemoved(event) => (event.machine == machine).then_some(true),
        Event::MachineReadmitted(event) => (event.machine == machine).then_some(false),
        _ => None,
    });
    words.next().unwrap_or(false)
}

proptest! {
    /// Whatever L1 said and in which order: no panic, the same from the same, and a quote proves
    /// nothing else than what it says.
    #[test]
    fn any_events(
        wild in prop::collection::vec((event(), any::<Index>()), 0..8),
        is_honest in any::<bool>(),
        other in content(),
    ) {
        let mut events = if is_honest { honest() } else { Vec::new() };
        for (event, at) in wild {
            events.insert(at.index(events.len() + 1), event);
        }
        let registry = fold(events.clone());
        prop_assert_eq!(&fold(events.clone()), &registry);
        let encoded = wire::encode(&registry);
        prop_assert_eq!(&wire::decode::<Registry>(&encoded, encoded.len()).unwrap(), &registry);
        for tee in 0..2 {
            let expected = attested(tee);
            let is_admitted = is_approved(&events, expected.measurement)
                && !is_removed(&events, expected.machine);
            prop_assert_eq!(
                registry.is_admitted(expected.measurement, expected.machine, BLOCK),
                is_admitted
            );
            if let Ok(attested) = registry.verify(&quote(tee), BLOCK, TIME) {
                prop_assert!(is_admitted && is_honest);
                prop_assert_eq!(attested, expected);
            }
        }
        let _ = registry.verify(&other, BLOCK, TIME);
        let stripped = [&quote(0)[..33], &other].concat();
        prop_assert!(registry.verify(&stripped, BLOCK, TIME).is_err());
    }

    /// What is said of different things may be said in any order.
    #[test]
    fn independent_events_in_any_order(events in Just(honest()).prop_shuffle()) {
        prop_assert_eq!(fold(events), then([]));
    }
}
