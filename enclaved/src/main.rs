//! `enclaved`: the enclave as a process of its own, which `obscuro node` starts and talks to over a
//! Unix socket.

use clap::Parser;
use eyre::{Context, Result, ensure};
use obscuro_enclave::Enclave;
use obscuro_enclaved::{SoftwareDevice, serve};
use obscuro_protocol::secret::Secret;
use std::{
    fs,
    io::Write,
    os::unix::{fs::OpenOptionsExt, net::UnixListener},
    path::{Path, PathBuf},
    sync::Arc,
};

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
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let device = SoftwareDevice::new(sealing_key(&arguments.sealing_key)?)?;
    if arguments.socket.exists() {
        fs::remove_file(&arguments.socket)
            .with_context(|| format!("cannot replace {}", arguments.socket.display()))?;
    }
    let listener = UnixListener::bind(&arguments.socket)
        .with_context(|| format!("cannot listen on {}", arguments.socket.display()))?;
    serve(Arc::new(Enclave::new(device)), &listener).context("the socket failed")
}

fn sealing_key(path: &Path) -> Result<Secret> {
    if !path.exists() {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .and_then(|mut file| file.write_all(&key).and_then(|()| file.sync_all()))
            .with_context(|| format!("cannot create {}", path.display()))?;
    }
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    ensure!(bytes.len() == 32, "{} is not a 32-byte sealing key: delete it to start anew", path.display());
    let mut key = [0; 32];
    key.copy_from_slice(&bytes);
    Ok(Secret::new(key))
}
