//! `obscuro verify quote` on development quotes, and on Intel's samples, which are read beside the
//! repository: where they are not, their tests are reported as ignored. Not here: each refusal
//! (`software-tee/tests`).

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Output},
};

type Test = fn() -> Result<(), Failed>;

fn main() -> ExitCode {
    let development: [(&str, Test); 3] = [
        ("a_development_quote_is_shown_as_what_it_is", a_development_quote_is_shown_as_what_it_is),
        ("a_development_quote_is_refused_under_intels_root", under_intels_root),
        ("unusable_input_is_named", unusable_input_is_named),
    ];
    let intel: [(&str, Test); 4] = [
        ("intels_sgx_quote", intels_sgx_quote),
        ("intels_tdx_quote", intels_tdx_quote),
        ("demands_are_enforced", demands_are_enforced),
        ("another_date_is_refused", another_date_is_refused),
    ];
    let missing = !samples().exists();
    if missing {
        eprintln!("no quotes at {}", samples().display());
    }
    let trials = development
        .map(|(name, test)| Trial::test(name, test))
        .into_iter()
        .chain(intel.map(|(name, test)| Trial::test(name, test).with_ignored_flag(missing)));
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors/dcap")
}

fn verify(quote: &Path, collateral: &Path, extra: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_obscuro"))
        .args(["verify", "quote"])
        .arg(quote)
        .arg("--collateral")
        .arg(collateral)
        .args(extra)
        .output()
        .expect("obscuro runs")
}

fn sample(name: &str, extra: &[&str]) -> Output {
    let folder = samples();
    verify(&folder.join(name), &folder.join(format!("{name}_collateral.json")), extra)
}

fn accepted(output: &Output) -> Result<String, Failed> {
    let errors = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("refused: {errors}").into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Exit code 1, nothing on stdout, and one line that says why.
fn refused(output: &Output, reason: &str) -> Result<(), Failed> {
    let errors = String::from_utf8_lossy(&output.stderr);
    let is_fine = output.status.code() == Some(1)
        && output.stdout.is_empty()
        && errors.lines().count() == 1
        && errors.contains(reason);
    if is_fine { Ok(()) } else { Err(format!("{:?}: {errors}", output.status).into()) }
}

fn says(text: &str, parts: &[&str]) -> Result<(), Failed> {
    match parts.iter().find(|part| !text.contains(**part)) {
        Some(part) => Err(format!("{part:?} is missing in:\n{text}").into()),
        None => Ok(()),
    }
}

/// A frozen development quote as files: the quote, its collateral, the root.
fn development(name: &str) -> Result<(tempfile::TempDir, [PathBuf; 3], Value), Failed> {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors/attestation");
    let vector: Value = serde_json::from_slice(&fs::read(vectors.join(name))?)?;
    let directory = tempfile::tempdir()?;
    let files = ["quote", "collateral.json", "root.der"].map(|file| directory.path().join(file));
    fs::write(&files[0], vector["stripped"].as_str().ok_or("no quote")?)?;
    fs::write(&files[1], vector["collateral"].to_string())?;
    let root = vector["collateral"]["rootCertificate"].as_str().ok_or("no root")?;
    fs::write(&files[2], alloy_primitives::hex::decode(root)?)?;
    Ok((directory, files, vector))
}

fn a_development_quote_is_shown_as_what_it_is() -> Result<(), Failed> {
    for name in ["sgx.json", "tdx.json"] {
        let (_directory, [quote, collateral, root], vector) = development(name)?;
        let root = root.to_str().ok_or("path")?;
        let measurement = vector["attested"]["measurement"].as_str().ok_or("no measurement")?;
        let demands = ["--at", "2025-06-20", "--root", root, "--measurement", measurement];
        let text = accepted(&verify(&quote, &collateral, &demands))?;
        says(&text, &["NOT Intel's", measurement, "UpToDate: nothing is known against it"])?;
        let json = accepted(&verify(&quote, &collateral, &[&demands[..], &["--json"]].concat()))?;
        let json: Value = serde_json::from_str(&json)?;
        if json["attested"] != vector["attested"] || json["isIntelRoot"] != false {
            return Err(format!("{json:#}").into());
        }
    }
    Ok(())
}

fn under_intels_root() -> Result<(), Failed> {
    let (_directory, [quote, collateral, _], _) = development("sgx.json")?;
    let output = verify(&quote, &collateral, &["--at", "2025-06-20"]);
    refused(&output, "error: refused: quote is not signed by the attestation root")
}

fn unusable_input_is_named() -> Result<(), Failed> {
    let (_directory, [quote, collateral, root], _) = development("sgx.json")?;
    let nowhere = Path::new("/nowhere");
    refused(&verify(nowhere, &collateral, &[]), "cannot read /nowhere")?;
    refused(&verify(&quote, &root, &[]), "not JSON")?;
    refused(&verify(&quote, &quote, &[]), "error: refused: collateral")?;
    let output = verify(&quote, &collateral, &["--at", "yesterday"]);
    says(&String::from_utf8_lossy(&output.stderr), &["yesterday is not a date"])
}

fn intels_sgx_quote() -> Result<(), Failed> {
    let text = accepted(&sample("sgx_quote", &["--at", "2025-06-20"]))?;
    let parts = [
        "This is a genuine quote of an SGX enclave, at 2025-06-20T00:00:00Z under Intel's root.",
        "says              0x48656c6c6f2c20776f726c6421",
        "ConfigurationAndSWHardeningNeeded: the BIOS allows",
        "INTEL-SA-00289",
        "collateral until  2025-07-19T",
        "pass --measurement",
    ];
    says(&text, &parts)
}

fn intels_tdx_quote() -> Result<(), Failed> {
    let text = accepted(&sample("tdx_quote", &["--at", "2025-06-20T12:00:00Z"]))?;
    says(&text, &["genuine quote of a TDX trust domain", "UpToDate", "RTMR3"])?;
    let json = accepted(&sample("tdx_quote", &["--at", "2025-06-20", "--json"]))?;
    let json: Value = serde_json::from_str(&json)?;
    if json["isIntelRoot"] != true || json["attested"]["tee"] != "tdx" {
        return Err(format!("{json:#}").into());
    }
    Ok(())
}

fn demands_are_enforced() -> Result<(), Failed> {
    let june = ["--at", "2025-06-20"];
    let demand = |name: &str, extra: &[&str]| sample(name, &[&june[..], extra].concat());
    let other = "0x1111111111111111111111111111111111111111111111111111111111111111";
    refused(&demand("sgx_quote", &["--measurement", other]), "is not admitted")?;
    refused(&demand("sgx_quote", &["--security-version", "1"]), "version 0 is below 1")?;
    refused(&demand("sgx_quote", &["--tcb-status", "UpToDate"]), "TCB status Config")?;
    refused(&demand("tdx_quote", &["--evaluation", "18"]), "number 17 is below 18")?;
    accepted(&demand("tdx_quote", &["--tcb-status", "UpToDate,OutOfDate"])).map(|_| ())
}

fn another_date_is_refused() -> Result<(), Failed> {
    for date in ["2024-06-20", "2026-06-20"] {
        refused(&sample("sgx_quote", &["--at", date]), "not valid at this time")?;
    }
    refused(&sample("tdx_quote_outdated", &["--at", "2026-02-25"]), "below every known TCB level")?;
    // In JSON too, with the same exit code.
    let output = sample("sgx_quote", &["--at", "2024-06-20", "--json"]);
    let json: Value = serde_json::from_slice(&output.stdout)?;
    if json["accepted"] != false || output.status.code() != Some(1) {
        return Err(format!("{json:#}").into());
    }
    Ok(())
}
