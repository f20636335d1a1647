//! `enclaved`: the enclave inside a TEE, as a process of its own. Its arguments are part of what is
//! measured: the host does not choose them.

use clap::{Parser, ValueEnum};
use eyre::{Context, Result};
use obscuro_enclave::{Enclave, device::Device};
use obscuro_enclaved::{Gramine, Tdx, end_with_stdin, gramine, run, serve, tdx};
use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Run an Obscuro enclave inside a TEE.
///
/// Arguments stand in Gramine's manifest or in the image of the trust domain, and are measured with
/// it.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The TEE that this program runs in
    #[arg(long)]
    tee: Tee,
    #[command(flatten)]
    door: Door,
    /// End when standard input does: a supervisor that holds the other end of the pipe takes this
    /// process with it, however it dies.
    #[arg(long)]
    until_stdin_ends: bool,
}

/// Where the host comes in.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Door {
    /// Unix socket to listen on: for a host on the same kernel. An existing one is replaced.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// TCP address to listen on: Gramine does not show Unix sockets outside, and a trust domain has
    /// a kernel of its own.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Tee {
    /// SGX under Gramine
    Gramine,
    /// A TDX trust domain
    Tdx,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if arguments.until_stdin_ends {
        end_with_stdin();
    }
    match arguments.tee {
        Tee::Gramine => open(Gramine::open(Path::new(gramine::DIRECTORY))?, &arguments.door),
        Tee::Tdx => open(Tdx::open(Path::new(tdx::DIRECTORY), tdx::TIMEOUT)?, &arguments.door),
    }
}

fn open<D: Device>(device: D, door: &Door) -> Result<()> {
    if let Some(socket) = &door.socket {
        return run(device, socket).wrap_err_with(|| format!("{} failed", socket.display()));
    }
    if let Some(address) = door.listen {
        let listener = TcpListener::bind(address).wrap_err_with(|| format!("{address}"))?;
        return serve(Arc::new(Enclave::new(device)), &listener).wrap_err("the socket failed");
    }
    Ok(())
}
