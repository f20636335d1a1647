//! The development root, one machine and its quotes, compared with what is frozen in
//! `vectors/attestation`, which forge reads too. A difference makes every development network
//! distrust the other: run with `FREEZE=1` only on purpose.

use alloy_primitives::{B256, Bytes, keccak256};
use obscuro_protocol::attestation::{
    AttestationError, Collateral, Policy, Quote, Tee, strip, td_measurement, verify,
};
use obscuro_software_tee::{
    Authority, CollateralOptions, Enclave, Machine, Profile, TrustDomain,
    pki::{Certified, FMSPC, Key, VALID_FROM, VALID_UNTIL},
};
use serde_json::{Value, json};
use std::{fs, path::PathBuf};

/// 20 June 2025.
const TIME: u64 = 1_750_377_600;
const DAY: u64 = 86_400;

fn compare(name: &str, value: Value) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../vectors/attestation");
    let path = folder.join(name);
    if std::env::var_os("FREEZE").is_some() {
        fs::create_dir_all(&folder).unwrap();
        fs::write(&path, serde_json::to_string_pretty(&value).unwrap() + "\n").unwrap();
    }
    let frozen: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(frozen, value, "{name} differs from what is frozen");
}

fn authority() -> Authority {
    Authority::development()
}

fn machine() -> Machine {
    authority().machine(&B256::repeat_byte(1), Profile::CURRENT)
}

fn program() -> Enclave {
    Enclave::new(keccak256("program"))
}

fn domain() -> TrustDomain {
    TrustDomain::new([1; 48], [[2; 48], [3; 48], [4; 48], [5; 48]])
}

fn policy() -> Policy {
    let measurements = vec![program().measurement, td_measurement(&domain().mrtd, &domain().rtmr)];
    Policy { security_version_min: 1, ..Policy::admitting(measurements) }
}

fn report_data() -> [u8; 64] {
    let mut report_data = [0; 64];
    report_data[..32].copy_from_slice(keccak256("report data").as_slice());
    report_data
}

fn bytes(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

fn key(key: &Key) -> Value {
    json!({
        "private": key.private(),
        "public": bytes(&key.public()),
        "hash": keccak256(key.public()),
    })
}

fn certified(certified: &Certified) -> Value {
    json!({
        "certificate": bytes(&certified.certificate),
        "serial": bytes(&certified.serial),
        "key": key(&certified.key),
    })
}

fn authority_json(authority: &Authority) -> Value {
    json!({
        "validFrom": VALID_FROM,
        "validUntil": VALID_UNTIL,
        "root": certified(&authority.root),
        "pckCa": certified(&authority.pck_ca),
        "tcbSigner": certified(&authority.tcb_signer),
        "rootCrl": bytes(&authority.root_crl(&[], VALID_FROM, VALID_UNTIL)),
        "pckCrl": bytes(&authority.pck_crl(&[], VALID_FROM, VALID_UNTIL)),
    })
}

fn machine_json(machine: &Machine) -> Value {
    json!({
        "pck": certified(&machine.pck),
        "attestationKey": key(&machine.attestation_key),
        "platform": keccak256(machine.pck.key.public()),
        "machine": machine.id(),
        "ppid": bytes(&machine.ppid),
        "fmspc": bytes(&FMSPC),
        "cpuSvn": bytes(&machine.profile.cpu_svn),
        "pceSvn": machine.profile.pce_svn,
        "teeTcbSvn": bytes(&machine.profile.tee_tcb_svn),
    })
}

#[test]
fn authority_of_development_networks() {
    compare("authority.json", authority_json(&authority()));
}

#[test]
fn another_authority() {
    let other = Authority::from_seed(keccak256("nobody's root"));
    let machine = other.machine(&B256::repeat_byte(4), Profile::CURRENT);
    let quote = machine.sgx_quote(&program(), &report_data());
    let mut value = authority_json(&other);
    value["machine"] = machine_json(&machine);
    value["stripped"] = json!(strip(&quote).unwrap().quote);
    compare("other_authority.json", value);
}

#[test]
fn machines() {
    compare("machine.json", machine_json(&machine()));
    let outdated = authority().machine(&B256::repeat_byte(3), Profile::OUTDATED);
    compare("outdated_machine.json", machine_json(&outdated));
}

#[test]
fn revocation_lists() {
    let authority = authority();
    let (from, until) = (TIME - DAY, VALID_UNTIL);
    let lists = json!({
        "thisUpdate": from,
        "nextUpdate": until,
        "empty": bytes(&authority.pck_crl(&[], from, until)),
        "machine": bytes(&authority.pck_crl(&[machine().pck.serial], from, until)),
        "pckCa": bytes(&authority.root_crl(&[authority.pck_ca.serial], from, until)),
        "tcbSigner": bytes(&authority.root_crl(&[authority.tcb_signer.serial], from, until)),
    });
    compare("revocation_lists.json", lists);
}

#[test]
fn an_sgx_quote() {
    let report = program().report(&machine(), &report_data());
    compare("sgx.json", quote_json(Tee::Sgx, &report));
}

#[test]
fn a_tdx_quote() {
    let report = domain().report(&machine(), &report_data());
    let mut value = quote_json(Tee::Tdx, &report);
    value["mrtd"] = json!(bytes(&domain().mrtd));
    value["rtmr"] = json!(domain().rtmr.map(|rtmr| bytes(&rtmr)));
    compare("tdx.json", value);
}

fn quote_json(tee: Tee, report: &[u8]) -> Value {
    let quote = machine().quote(tee, report);
    let stripped = machine().stripped_quote(tee, report);
    assert_eq!(strip(&quote).unwrap().quote, stripped);
    let collateral = authority().collateral(&machine(), tee, &CollateralOptions::default());
    let root = authority().root.certificate;
    let attested = verify(&stripped, &collateral, &root, &policy(), TIME).unwrap();
    assert_eq!(Collateral::decode(&collateral.encode()), Ok(collateral.clone()));
    json!({
        "time": TIME,
        "reportData": keccak256("report data"),
        "attested": attested,
        "quote": bytes(&quote),
        "stripped": bytes(&stripped),
        "collateral": collateral,
        "collateralWire": bytes(&collateral.encode()),
    })
}

/// Quotes, stripped, that are properly signed and to be refused for what they say.
#[test]
fn refused_quotes() {
    let mut cases: Vec<(&str, Tee, Vec<u8>)> = Vec::new();
    let sgx = |offset: usize, bytes: &[u8]| {
        let mut report = program().report(&machine(), &report_data());
        report[offset..offset + bytes.len()].copy_from_slice(bytes);
        report
    };
    let tdx = |offset: usize, bytes: &[u8]| {
        let mut report = domain().report(&machine(), &report_data());
        report[offset..offset + bytes.len()].copy_from_slice(bytes);
        report
    };
    cases.push(("sgx debug", Tee::Sgx, sgx(48, &[0x07])));
    cases.push(("sgx other measurement", Tee::Sgx, sgx(64, &[0xee; 32])));
    cases.push(("sgx low security version", Tee::Sgx, sgx(258, &[0])));
    cases.push(("sgx other report data", Tee::Sgx, sgx(320, &[0xee])));
    cases.push(("sgx more report data", Tee::Sgx, sgx(383, &[1])));
    cases.push(("tdx debug", Tee::Tdx, tdx(120, &[1])));
    cases.push(("tdx profiling", Tee::Tdx, tdx(120, &[0x10])));
    cases.push(("tdx migratable", Tee::Tdx, tdx(123, &[0x30])));
    cases.push(("tdx without SEPT_VE_DISABLE", Tee::Tdx, tdx(123, &[0])));
    cases.push(("tdx service domain", Tee::Tdx, tdx(122, &[0x02])));
    cases.push(("tdx reserved attribute", Tee::Tdx, tdx(125, &[0x01])));
    cases.push(("tdx unknown feature", Tee::Tdx, tdx(135, &[1])));
    cases.push(("tdx without SSE", Tee::Tdx, tdx(128, &[0xe5])));
    cases.push(("tdx foreign module", Tee::Tdx, tdx(64, &[1])));
    cases.push(("tdx module attributes", Tee::Tdx, tdx(112, &[1])));
    cases.push(("tdx old module", Tee::Tdx, tdx(0, &[5])));
    cases.push(("tdx other rtmr3", Tee::Tdx, tdx(472, &[9])));
    cases.push(("tdx more report data", Tee::Tdx, tdx(583, &[1])));
    let root = authority().root.certificate;
    let cases: Vec<Value> = cases
        .into_iter()
        .map(|(name, tee, report)| {
            let stripped = machine().stripped_quote(tee, &report);
            let collateral = authority().collateral(&machine(), tee, &CollateralOptions::default());
            let refusal = verify(&stripped, &collateral, &root, &policy(), TIME)
                .and_then(|attested| attested.check_report_data(keccak256("report data")))
                .expect_err(name);
            let measurement = Quote::parse_stripped(&stripped).unwrap().1.measurement();
            json!({
                "name": name,
                "tee": tee,
                "stripped": bytes(&stripped),
                "measurement": measurement,
                "refusal": variant(&refusal),
            })
        })
        .collect();
    compare("refused.json", json!(cases));
}

/// The name of an error without what it carries.
fn variant(error: &AttestationError) -> String {
    let text = format!("{error:?}");
    text.split([' ', '(', '{']).next().unwrap_or_default().into()
}
