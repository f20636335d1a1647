//! `enclaved`: the enclave as a process of its own, which `obscuro node` starts and talks to over a
//! Unix socket.

use clap::Parser;
use eyre::{Context, Result};
use obscuro_enclave::Enclave;
use obscuro_enclaved::{SoftwareDevice, serve};
use std::{fs, io, os::unix::net::UnixListener, path::PathBuf, sync::Arc, thread};

/// Run an Obscuro enclave behind a Unix socket.
///
/// With the software device it protects nothing from the operator of this machine: it is for
/// development networks only, and a production network refuses its attestation.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen. An existing socket of a former run is replaced.
    #[arg(long)]
    socket: PathBuf,
    /// File with the 32-byte sealing key of the software device; created if it does not exist.
    #[arg(long)]
    sealing_key: PathBuf,
    /// End when standard input does: a supervisor that holds the other end of the pipe takes this
    /// process with it, however it dies.
    #[arg(long)]
    until_stdin_ends: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if arguments.until_stdin_ends {
        thread::spawn(end_with_stdin);
    }
    let device = SoftwareDevice::open(&arguments.sealing_key)
        .with_context(|| format!("sealing key {}", arguments.sealing_key.display()))?;
    if arguments.socket.exists() {
        fs::remove_file(&arguments.socket)
            .with_context(|| format!("cannot replace {}", arguments.socket.display()))?;
    }
    let listener = UnixListener::bind(&arguments.socket)
        .with_context(|| format!("cannot listen on {}", arguments.socket.display()))?;
    serve(Arc::new(Enclave::new(device)), &listener).context("the socket failed")
}

fn end_with_stdin() {
    // What comes is ignored; an error ends the pipe as well.
    let _ = io::copy(&mut io::stdin(), &mut io::sink());
    // Nothing is lost: whatever must survive is with the host already.
    std::process::exit(0);
}
