//! `obscuro node`. Not here: the node (`obscuro_host`) and its enclave (`enclaved`, `software-tee`).

use crate::setup;
use alloy_primitives::{Address, U256, utils::parse_ether};
use alloy_signer_local::PrivateKeySigner;
use clap::Args;
use eyre::{Context, OptionExt, Result};
use obscuro_host::{
    claims::{ClaimOptions, plan::EVERY as CLAIM_EVERY},
    enclave::{Enclave, Listening, SocketEnclave, Supervisor},
    gossip::Multiaddr,
    node::{Node, NodeOptions, Role},
};
use std::{net::SocketAddr, num::NonZeroU64, path::PathBuf, sync::Arc};

#[derive(Args)]
pub struct Arguments {
    /// The network's configuration, as `obscuro devnet` writes it
    #[arg(long, value_name = "FILE")]
    network: PathBuf,
    /// An L1 node: http://, https://, ws:// or wss://
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8545")]
    l1: String,
    /// A beacon node for blobs [default: the L1 node's own address]
    #[arg(long, value_name = "URL")]
    beacon: Option<String>,
    /// Where the node keeps its database
    #[arg(long, value_name = "DIRECTORY")]
    data_dir: PathBuf,
    /// File with the key of the L1 account that registers the node and pays for publishing
    #[arg(long, value_name = "FILE")]
    operator_key: PathBuf,
    /// Publish rollups: pledge this many OBX (held by the operator's account)
    #[arg(long, value_name = "OBX")]
    stake: Option<String>,
    /// Create the network: only its very first node does
    #[arg(long)]
    genesis: bool,
    /// Where to listen for other nodes, as a multiaddr; port 0 chooses one [default: an aggregator
    /// listens on this machine, a verifier only dials]
    #[arg(long, value_name = "MULTIADDR")]
    gossip: Option<Multiaddr>,
    /// Where other nodes reach this one, as told to L1 [default: where it listens]
    #[arg(long, value_name = "MULTIADDR")]
    address: Option<Multiaddr>,
    /// Another node to ask for what L1 has pruned, beside those that L1 lists: a multiaddr that ends
    /// with /p2p/ and its identity; may be repeated
    #[arg(long, value_name = "MULTIADDR")]
    peer: Vec<Multiaddr>,
    /// Leave it to others to accuse who publishes on forks, and to acquit this node
    #[arg(long)]
    no_prosecution: bool,
    /// Claim what the node earned at rollups whose number this divides; 0 leaves it to `obscuro rewards claim`
    #[arg(long, value_name = "ROLLUPS", default_value_t = CLAIM_EVERY.get())]
    claim_every: u64,
    /// Who is paid on L2 when the node claims [default: the operator's account]
    #[arg(long, value_name = "ADDRESS")]
    claim_to: Option<Address>,
    /// An aggregator's node that passes claims on; without one, a verifier makes none
    #[arg(long, value_name = "URL")]
    claim_through: Option<String>,
    /// Where gateways reach this node
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8547")]
    rpc: SocketAddr,
    /// The enclave's program [default: `enclaved-software` beside this one]
    #[arg(long, value_name = "FILE")]
    enclaved: Option<PathBuf>,
    /// An enclave that runs already, and where it listens: a TCP address, or the path of a Unix socket
    #[arg(long, value_name = "ADDRESS", conflicts_with = "enclaved")]
    enclave: Option<Listening>,
}

pub async fn run(arguments: Arguments) -> Result<()> {
    let config = setup::network(&arguments.network)?;
    setup::l1(&arguments.l1, &config).await?;
    let operator: PrivateKeySigner = setup::private_key(&arguments.operator_key)?;
    let role = match &arguments.stake {
        Some(stake) => Role::Aggregator { stake: obx(stake)? },
        None => Role::Verifier,
    };
    std::fs::create_dir_all(&arguments.data_dir)
        .wrap_err_with(|| format!("cannot create {}", arguments.data_dir.display()))?;
    let enclave: Arc<dyn Enclave> = match (arguments.enclave, arguments.enclaved) {
        (Some(listening), _) => Arc::new(SocketEnclave::new(listening)),
        (None, Some(program)) => Arc::new(Supervisor::start(program, &arguments.data_dir)?),
        (None, None) => {
            let program = beside_this_program("enclaved-software")?;
            Arc::new(Supervisor::start(program, &arguments.data_dir)?)
        }
    };
    let may_claim = role != Role::Verifier || arguments.claim_through.is_some();
    let claims = NonZeroU64::new(arguments.claim_every).filter(|_| may_claim);
    let claims = claims.map(|every| ClaimOptions {
        every,
        recipient: arguments.claim_to,
        through: arguments.claim_through,
    });
    let options = NodeOptions {
        claims,
        beacon_url: arguments.beacon,
        genesis: arguments.genesis,
        gossip_listen: arguments.gossip,
        host_address: arguments.address,
        peers: arguments.peer,
        prosecutes: !arguments.no_prosecution,
        rpc_listen: arguments.rpc,
        ..NodeOptions::new(config, arguments.l1, arguments.data_dir, operator, role)
    };
    let node = Node::start(options, enclave).await?;
    eprintln!("node of enclave {} serves gateways at http://{}", node.enclave(), node.rpc_addr());
    setup::until_stopped().await?;
    node.stop().await;
    Ok(())
}

fn obx(amount: &str) -> Result<U256> {
    parse_ether(amount).wrap_err_with(|| format!("{amount} is not an amount of OBX"))
}

fn beside_this_program(name: &str) -> Result<PathBuf> {
    let this = std::env::current_exe()?;
    let program = this.parent().ok_or_eyre("this program has no directory")?.join(name);
    if program.exists() {
        return Ok(program);
    }
    Err(eyre::eyre!(
        "{} does not exist: build it with `cargo build --release -p obscuro-software-tee`, or pass --enclaved",
        program.display()
    ))
}
