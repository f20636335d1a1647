//! Quotes that Intel's platforms made, with Intel's collateral of June 2025, which are read beside
//! the repository and never copied into it. Where they are not, the tests are reported as ignored.
//! Not here: development quotes (`software-tee/tests`).

use alloy_primitives::{B256, Bytes, hex};
use libtest_mimic::{Arguments, Failed, Trial};
use obscuro_protocol::attestation::{
    Admitted, AttestationError, Attested, Collateral, INTEL_ROOT, Policy, TcbStatus, Tee, restore,
    strip, verify,
};
use serde_json::Value;
use std::{fs, path::PathBuf, process::ExitCode};

/// 20 June 2025, within the validity of the samples' collateral.
const JUNE_2025: u64 = 1_750_377_600;
/// 25 February 2026, within the validity of the outdated sample's.
const FEBRUARY_2026: u64 = 1_772_000_000;
const YEAR: u64 = 365 * 86_400;

type Test = fn() -> Result<(), Failed>;

fn main() -> ExitCode {
    let missing = !folder().exists();
    if missing {
        eprintln!("no quotes at {}", folder().display());
    }
    let tests: [(&str, Test); 6] = [
        ("an_sgx_quote_verifies", an_sgx_quote_verifies),
        ("a_tdx_quote_verifies", a_tdx_quote_verifies),
        ("an_outdated_tdx_quote_is_refused", an_outdated_tdx_quote_is_refused),
        ("stripping_is_undone_by_restoring", stripping_is_undone_by_restoring),
        ("another_time_root_or_collateral_is_refused", another_time_root_or_collateral_is_refused),
        ("no_flipped_byte_goes_unnoticed", no_flipped_byte_goes_unnoticed),
    ];
    let trials = tests.map(|(name, test)| Trial::test(name, test).with_ignored_flag(missing));
    libtest_mimic::run(&Arguments::from_args(), trials.into()).exit_code()
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors/dcap")
}

fn sample(name: &str) -> Result<(Vec<u8>, Collateral), Failed> {
    let quote = fs::read(folder().join(name))?;
    let json = fs::read_to_string(folder().join(format!("{name}_collateral.json")))?;
    let collateral = Collateral::from_json(&json, &quote)?;
    Ok((quote, collateral))
}

fn development_root() -> Result<Bytes, Failed> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../vectors/attestation");
    let authority: Value = serde_json::from_slice(&fs::read(path.join("authority.json"))?)?;
    Ok(serde_json::from_value(authority["root"]["certificate"].clone())?)
}

/// Admits every program and status.
fn lenient() -> Policy {
    Policy {
        measurements: Admitted::Any,
        statuses: TcbStatus::ALL.to_vec(),
        ..Policy::admitting(Vec::new())
    }
}

fn judge(quote: &[u8], collateral: &Collateral) -> Result<Attested, AttestationError> {
    verify(quote, collateral, INTEL_ROOT, &lenient(), JUNE_2025)
}

fn equal<T: PartialEq + std::fmt::Debug>(have: T, want: T) -> Result<(), Failed> {
    if have == want { Ok(()) } else { Err(format!("{have:?}, expected {want:?}").into()) }
}

fn an_sgx_quote_verifies() -> Result<(), Failed> {
    let (quote, collateral) = sample("sgx_quote")?;
    let attested = judge(&quote, &collateral)?;
    equal(attested.tee, Tee::Sgx)?;
    equal(attested.report_data.starts_with(b"Hello, world!\0"), true)?;
    equal(attested.measurement, B256::from_slice(&quote[112..144]))?;
    equal(attested.tcb_status, TcbStatus::ConfigurationAndSWHardeningNeeded)?;
    equal(attested.evaluation_number, 17)?;
    equal(hex::encode(attested.fmspc), "00a067110000".into())?;
    let strict = Policy::admitting(vec![attested.measurement]);
    let refusal = verify(&quote, &collateral, INTEL_ROOT, &strict, JUNE_2025);
    equal(refusal, Err(AttestationError::TcbStatus(attested.tcb_status)))
}

fn a_tdx_quote_verifies() -> Result<(), Failed> {
    let (quote, collateral) = sample("tdx_quote")?;
    let attested = judge(&quote, &collateral)?;
    equal(attested.tee, Tee::Tdx)?;
    equal(attested.tcb_status, TcbStatus::UpToDate)?;
    equal(attested.security_version, None)?;
    let strict = Policy::admitting(vec![attested.measurement]);
    equal(verify(&quote, &collateral, INTEL_ROOT, &strict, JUNE_2025)?, attested)
}

fn an_outdated_tdx_quote_is_refused() -> Result<(), Failed> {
    let (quote, collateral) = sample("tdx_quote_outdated")?;
    let refusal = verify(&quote, &collateral, INTEL_ROOT, &lenient(), FEBRUARY_2026);
    equal(refusal, Err(AttestationError::UnknownTcbLevel))?;
    equal(judge(&quote, &collateral), Err(AttestationError::Expired))?;
    // Version 5 has no stripped form: L1 does not read it.
    equal(strip(&quote), Err(AttestationError::Unsupported))
}

fn stripping_is_undone_by_restoring() -> Result<(), Failed> {
    for name in ["sgx_quote", "tdx_quote"] {
        let (quote, collateral) = sample(name)?;
        let stripped = strip(&quote)?;
        let certificates: Vec<&[u8]> = stripped.certificates.iter().map(AsRef::as_ref).collect();
        equal(&certificates[..], &collateral.pck_chain())?;
        let restored = restore(&stripped.quote, &certificates)?;
        // Some devices hand out their whole buffer, with zeros behind the quote.
        equal(&restored[..], &quote[..restored.len()])?;
        equal(judge(&stripped.quote, &collateral), judge(&quote, &collateral))?;
    }
    Ok(())
}

fn another_time_root_or_collateral_is_refused() -> Result<(), Failed> {
    let (sgx, sgx_collateral) = sample("sgx_quote")?;
    let (tdx, tdx_collateral) = sample("tdx_quote")?;
    for time in [0, JUNE_2025 - YEAR, JUNE_2025 + YEAR, u64::MAX] {
        let refusal = verify(&sgx, &sgx_collateral, INTEL_ROOT, &lenient(), time);
        equal(refusal, Err(AttestationError::Expired))?;
    }
    let root = development_root()?;
    let refusal = verify(&sgx, &sgx_collateral, &root, &lenient(), JUNE_2025);
    equal(refusal, Err(AttestationError::Root))?;
    let swapped = Collateral { root_certificate: root.clone(), ..sgx_collateral.clone() };
    let refusal = verify(&sgx, &swapped, &root, &lenient(), JUNE_2025);
    equal(refusal, Err(AttestationError::Chain))?;
    equal(judge(&tdx, &sgx_collateral), Err(AttestationError::OtherCollateral))?;
    equal(judge(&sgx, &tdx_collateral), Err(AttestationError::OtherCollateral))?;
    let stripped = strip(&tdx)?.quote;
    equal(judge(&stripped, &sgx_collateral), Err(AttestationError::Platform))
}

fn no_flipped_byte_goes_unnoticed() -> Result<(), Failed> {
    for name in ["sgx_quote", "tdx_quote"] {
        let (quote, collateral) = sample(name)?;
        let stripped = strip(&quote)?.quote;
        // Lengths are written anew when the certificates are put back.
        for index in (1..stripped.len()).step_by(7) {
            let mut altered = stripped.to_vec();
            altered[index] ^= 0x10;
            let verdict = judge(&altered, &collateral);
            if let Ok(attested) = verdict {
                let untouched = restore(&altered, &collateral.pck_chain())?;
                equal(quote.starts_with(&untouched), true)
                    .map_err(|_| format!("{name}: byte {index} was altered: {attested:?}"))?;
            }
        }
    }
    Ok(())
}
