//! `enclaved-software`: the shell of `enclaved` with the software TEE, which `obscuro node` starts
//! on development networks and talks to over a Unix socket.

use alloy_primitives::B256;
use clap::Parser;
use eyre::{Context, Result};
use obscuro_enclaved::{end_with_stdin, run};
use obscuro_software_tee::SoftwareDevice;
use std::path::PathBuf;

/// Run an Obscuro enclave without a TEE behind a Unix socket.
///
/// It protects nothing from the operator of this machine: it is for development networks only, and
/// a production network refuses its attestation.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen; an existing socket of a former run is replaced
    #[arg(long)]
    socket: PathBuf,
    /// File with the 32-byte seed of the machine that is played: its identity and its sealing keys;
    /// created if it does not exist.
    #[arg(long)]
    sealing_key: PathBuf,
    /// End when standard input does: a supervisor that holds the other end of the pipe takes this
    /// process with it, however it dies
    #[arg(long)]
    until_stdin_ends: bool,
    /// Measurement of the program that is played [default: of this version]
    #[arg(long)]
    measurement: Option<B256>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if arguments.until_stdin_ends {
        end_with_stdin();
    }
    let mut device = SoftwareDevice::open(&arguments.sealing_key)
        .with_context(|| format!("sealing key {}", arguments.sealing_key.display()))?;
    if let Some(measurement) = arguments.measurement {
        device = device.with_measurement(measurement);
    }
    run(device, &arguments.socket)
        .with_context(|| format!("the socket {} failed", arguments.socket.display()))
}
