//! `obscuro gateway`. Not here: the gateway itself (`obscuro_gateway`).

use crate::setup;
use alloy_provider::Provider;
use clap::Args;
use eyre::Result;
use obscuro_gateway::{GatewayOptions, network_key};
use std::{net::SocketAddr, path::PathBuf};

#[derive(Args)]
pub struct Arguments {
    /// The network's configuration, as `obscuro devnet` writes it
    #[arg(long, value_name = "FILE")]
    network: PathBuf,
    /// An L1 node that you trust: the network key, to which everything is encrypted, is read there
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8545")]
    l1: String,
    /// The Obscuro node to ask; it need not be trusted
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8547")]
    node: String,
    /// Where wallets and tools connect
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8546")]
    listen: SocketAddr,
    /// Where the viewing key is kept [default: forgotten at the end]
    #[arg(long, value_name = "DIRECTORY")]
    data_dir: Option<PathBuf>,
    /// Web origin whose pages may use this gateway and see what its accounts see; repeatable
    #[arg(long, value_name = "ORIGIN")]
    origin: Vec<String>,
}

pub async fn run(arguments: Arguments) -> Result<()> {
    let config = setup::network(&arguments.network)?;
    let l1 = setup::l1(&arguments.l1, &config).await?;
    let network_key = network_key::read(&l1, &config).await?.key.to_vec();
    let chain_id = config.l2ChainId;
    let gateway = obscuro_gateway::start(GatewayOptions {
        listen: arguments.listen,
        node_url: arguments.node,
        config,
        network_key,
        l1: Some(l1.root().clone()),
        data_dir: arguments.data_dir,
        unlocked: Vec::new(),
        origins: arguments.origin,
    })
    .await?;
    eprintln!("gateway for chain {chain_id} at http://{0} and ws://{0}", gateway.addr);
    setup::until_stopped().await?;
    gateway.stop().await;
    Ok(())
}
