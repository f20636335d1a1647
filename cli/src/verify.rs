//! `obscuro verify`: what something proves, in plain words. Not here: how it is verified
//! (`obscuro_protocol::attestation`).

mod node;

pub use node::window;

use crate::date;
use alloy_primitives::{B256, Bytes, hex};
use clap::{Args, Subcommand};
use eyre::{Context, Result, eyre};
use obscuro_protocol::{
    attestation::{Admitted, Attested, Collateral, INTEL_ROOT, Policy, TcbStatus, Tee, verify},
    limits::{COLLATERAL_BYTES_MAX, QUOTE_BYTES_MAX},
};
use serde_json::json;
use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

#[derive(Subcommand)]
pub enum Command {
    /// Verify the quote of an SGX enclave or a TDX trust domain, and say what it proves
    Quote(Quote),
    /// Verify what a node runs, against the network's contract on L1, and say what it proves
    Node(node::Arguments),
}

#[derive(Args)]
pub struct Quote {
    /// The quote, as the device made it or as L1 carries it; binary or hexadecimal
    #[arg(value_name = "FILE")]
    quote: PathBuf,
    /// Certificates, revocation lists, TCB info and QE identity, as JSON: of a caching service, or
    /// as Obscuro writes it
    #[arg(long, value_name = "FILE")]
    collateral: PathBuf,
    /// When to judge: 2025-06-20 or 2025-06-20T12:00:00Z [default: now]
    #[arg(long, value_name = "DATE", value_parser = date::parse)]
    at: Option<u64>,
    /// The root certificate to trust: `intel`, or a file (DER or PEM)
    #[arg(long, value_name = "intel|FILE", default_value = "intel")]
    root: String,
    /// Demand this program; several are alternatives [default: say which it is]
    #[arg(long, value_name = "HEX")]
    measurement: Vec<B256>,
    /// Demand at least this security version of an SGX enclave
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    security_version: u16,
    /// Admit platforms in these states [default: all but out of date and revoked]
    #[arg(long, value_name = "STATUS", value_delimiter = ',')]
    tcb_status: Vec<TcbStatus>,
    /// Demand collateral with at least this TCB evaluation number
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    evaluation: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub async fn run(command: Command) -> Result<()> {
    match command {
        Command::Quote(arguments) => quote(&arguments),
        Command::Node(arguments) => node::run(arguments).await,
    }
}

fn quote(arguments: &Quote) -> Result<()> {
    let quote = binary(&read(&arguments.quote, 3 * QUOTE_BYTES_MAX)?);
    let collateral = String::from_utf8(read(&arguments.collateral, 3 * COLLATERAL_BYTES_MAX)?)
        .wrap_err_with(|| format!("{} is not JSON", arguments.collateral.display()))?;
    let root = match arguments.root.as_str() {
        "intel" => INTEL_ROOT.to_vec(),
        path => certificate(Path::new(path))?,
    };
    let time = arguments.at.map_or_else(date::now, Ok)?;
    let verdict = Collateral::from_json(&collateral, &quote)
        .and_then(|collateral| verify(&quote, &collateral, &root, &arguments.policy(), time));
    match verdict {
        Ok(attested) if arguments.json => print_json(&json!({
            "accepted": true,
            "isIntelRoot": root == INTEL_ROOT,
            "time": time,
            "attested": attested,
        })),
        Ok(attested) => print(&attested, &root, time, arguments),
        Err(refusal) => {
            if arguments.json {
                print_json(&json!({
                    "accepted": false,
                    "time": time,
                    "reason": refusal.to_string(),
                }));
            }
            return Err(eyre!("refused: {refusal}"));
        }
    }
    Ok(())
}

impl Quote {
    fn policy(&self) -> Policy {
        use TcbStatus::*;
        let measurements = match &self.measurement[..] {
            [] => Admitted::Any,
            list => Admitted::Only(list.to_vec()),
        };
        let statuses = match &self.tcb_status[..] {
            [] => vec![
                UpToDate,
                SWHardeningNeeded,
                ConfigurationNeeded,
                ConfigurationAndSWHardeningNeeded,
            ],
            list => list.to_vec(),
        };
        Policy {
            measurements,
            security_version_min: self.security_version,
            statuses,
            evaluation_number_min: self.evaluation,
        }
    }
}

fn print(attested: &Attested, root: &[u8], time: u64, arguments: &Quote) {
    let (what, measured) = match attested.tee {
        Tee::Sgx => ("an SGX enclave", "MRENCLAVE"),
        Tee::Tdx => ("a TDX trust domain", "hash of MRTD and RTMR0 to RTMR3"),
    };
    let at = date::format(time);
    if root == INTEL_ROOT {
        println!("This is a genuine quote of {what}, at {at} under Intel's root.");
    } else {
        println!("This is a quote of {what}, at {at} under a root that is NOT Intel's:");
        println!("it says nothing about hardware, and protects nobody's data.");
    }
    println!();
    line("program", format!("{} ({measured})", attested.measurement));
    if let Some(version) = attested.security_version {
        line("security version", version.to_string());
    }
    line("debug mode", "off: the operator cannot look inside".into());
    line("says", Bytes::copy_from_slice(&attested.report_data).to_string());
    line("machine", attested.machine.to_string());
    line("kind of machine", hex::encode(attested.fmspc));
    line("firmware", format!("{}: {}", attested.tcb_status, meaning(attested.tcb_status)));
    if !attested.advisories.is_empty() {
        line("advisories", attested.advisories.join(", "));
    }
    line("TCB evaluation", attested.evaluation_number.to_string());
    line("collateral until", date::format(attested.expires));
    if arguments.measurement.is_empty() {
        println!();
        println!("Whether this is the program you expect was not asked: pass --measurement.");
    }
}

fn line(name: &str, value: String) {
    println!("  {name:<18}{value}");
}

fn meaning(status: TcbStatus) -> &'static str {
    match status {
        TcbStatus::UpToDate => "nothing is known against it",
        TcbStatus::SWHardeningNeeded => "the program must work around flaws of the CPU",
        TcbStatus::ConfigurationNeeded => "the BIOS allows what it should not",
        TcbStatus::ConfigurationAndSWHardeningNeeded => {
            "the BIOS allows what it should not, and the program must work around flaws of the CPU"
        }
        TcbStatus::OutOfDate => "it has known holes",
        TcbStatus::OutOfDateConfigurationNeeded => {
            "it has known holes, and the BIOS allows what it should not"
        }
        TcbStatus::TDRelaunchAdvised => "it was updated below the running trust domain",
        TcbStatus::TDRelaunchAdvisedConfigurationNeeded => {
            "it was updated below the running trust domain, and the BIOS allows what it should not"
        }
        TcbStatus::Revoked => "its keys are out",
    }
}

fn print_json(value: &serde_json::Value) {
    println!("{value:#}");
}

/// Reads a file that must not be longer than `limit` bytes.
pub fn read(path: &Path, limit: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit as u64 + 1).read_to_end(&mut bytes))
        .wrap_err_with(|| format!("cannot read {}", path.display()))?;
    if bytes.len() > limit {
        return Err(eyre!("{} is longer than {limit} bytes", path.display()));
    }
    Ok(bytes)
}

/// Hexadecimal text as the bytes that it stands for; other bytes as they are.
fn binary(bytes: &[u8]) -> Vec<u8> {
    hex::decode(bytes.trim_ascii()).unwrap_or_else(|_| bytes.to_vec())
}

fn certificate(path: &Path) -> Result<Vec<u8>> {
    const CERTIFICATE_FILE_BYTES_MAX: usize = 16 * 1024;
    let bytes = read(path, CERTIFICATE_FILE_BYTES_MAX)?;
    if !bytes.starts_with(b"-----") {
        return Ok(bytes);
    }
    let pem =
        pem::parse(&bytes).wrap_err_with(|| format!("{} is not a certificate", path.display()))?;
    Ok(pem.into_contents())
}
