//! `obscuro devnet`. Not here: the network itself (`obscuro_devnet`).

use crate::setup;
use clap::Args;
use eyre::{Result, WrapErr};
use obscuro_devnet::{Devnet, DevnetOptions, Summary};
use obscuro_host::claims::plan::EVERY as CLAIM_EVERY;
use std::{num::NonZeroU64, path::PathBuf, time::Duration};

#[derive(Args)]
pub struct Arguments {
    /// Nodes that publish rollups
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=50))]
    aggregators: u32,
    /// Nodes that only follow L1
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=50))]
    verifiers: u32,
    /// Seconds between blocks of the embedded L1
    #[arg(long, default_value_t = 2.0, value_parser = block_time)]
    l1_block_time: f64,
    /// Use this L1 instead of the embedded one, for example anvil; the ten development accounts
    /// must be funded on it
    #[arg(long, value_name = "URL")]
    l1: Option<String>,
    /// Port of the embedded L1; 0 chooses a free one
    #[arg(long, default_value_t = 8545)]
    l1_port: u16,
    /// Port of the gateway; 0 chooses a free one
    #[arg(long, default_value_t = 8546)]
    gateway_port: u16,
    /// Keep everything here; a restart continues where it stopped [default: a temporary directory]
    #[arg(long, value_name = "DIRECTORY")]
    data_dir: Option<PathBuf>,
    /// Aggregators claim their rewards at rollups whose number this divides; 0: they do not
    #[arg(long, value_name = "ROLLUPS", default_value_t = CLAIM_EVERY.get())]
    claim_every: u64,
    /// Print one machine-readable line when the network is ready
    #[arg(long)]
    json: bool,
}

fn block_time(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.1..=3_600.0).contains(&seconds) => Ok(seconds),
        _ => Err("expected seconds between 0.1 and 3600".into()),
    }
}

pub async fn run(arguments: Arguments) -> Result<()> {
    let json = arguments.json;
    let options = DevnetOptions {
        aggregators: arguments.aggregators,
        verifiers: arguments.verifiers,
        l1_block_time: Duration::from_secs_f64(arguments.l1_block_time),
        l1_url: arguments.l1,
        l1_port: arguments.l1_port,
        gateway_port: arguments.gateway_port,
        data_dir: arguments.data_dir,
        claim_every: NonZeroU64::new(arguments.claim_every),
        ..Default::default()
    };
    let start = Devnet::start(options, |step| eprintln!("{step} ..."));
    let devnet = tokio::select! {
        devnet = start => devnet?,
        stopped = setup::until_stopped() => return stopped,
    };
    if json {
        println!("{}", serde_json::to_string(&devnet.summary).wrap_err("summary")?);
    } else {
        print(&devnet.summary);
    }
    setup::until_stopped().await?;
    eprintln!("stopping ...");
    devnet.stop().await;
    Ok(())
}

fn print(summary: &Summary) {
    println!("\nObscuro development network. It protects nothing: every key in it is known.\n");
    println!("  L1       {}   chain id {}", summary.l1.rpc, summary.l1.chain_id);
    println!(
        "  gateway  {}   chain id {}   (point your wallet here)",
        summary.gateway.rpc, summary.gateway.chain_id
    );
    for node in &summary.nodes {
        println!("  {:<10} {}", node.role, node.rpc);
    }
    println!("\nContracts on L1");
    let contracts = &summary.contracts;
    println!("  ObscuroToken       {}", contracts.obscuro_token);
    println!("  NetworkManagement  {}", contracts.network_management);
    println!("  RollupManagement   {}", contracts.rollup_management);
    println!("  BridgeManagement   {}", contracts.bridge_management);
    println!("\nAccounts, funded on both layers");
    for account in &summary.accounts {
        println!("  {}  {}", account.address, account.private_key);
    }
    let (Some(first), Some(second)) = (summary.accounts.first(), summary.accounts.get(1)) else {
        return;
    };
    println!("\nTry next");
    println!("  cast balance {} --rpc-url {}", first.address, summary.gateway.rpc);
    println!(
        "  cast send {} --value 1ether --private-key {} --rpc-url {}",
        second.address, first.private_key, summary.gateway.rpc
    );
    println!(
        "  obscuro bridge deposit --asset ETH --amount 1 --private-key {} --network {}/network.json --l1 {}",
        first.private_key,
        summary.data_dir.display(),
        summary.l1.rpc
    );
    println!("\nCtrl-C stops the network. Data in {}", summary.data_dir.display());
}
