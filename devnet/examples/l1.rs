//! Serves an embedded L1 on a given port until interrupted: for trying other clients by hand.
//!
//! `cargo run -p obscuro-devnet --example l1 -- [port] [block time in ms, 0 = on demand] [directory]`

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use alloy_primitives::U256;
use alloy_signer_local::MnemonicBuilder;
use obscuro_devnet::l1::{Chain, Config, Mining, ServeOptions, serve};

#[tokio::main]
async fn main() -> eyre::Result<()> {
    let mut args = std::env::args().skip(1);
    let port = args.next().map_or(Ok(8545), |port| port.parse())?;
    let period_ms = args.next().map_or(Ok(0), |period| period.parse())?;
    let directory = args.next();

    let phrase = "test test test test test test test test test test test junk";
    let mut accounts = Vec::new();
    for index in 0..10 {
        let key = MnemonicBuilder::from_phrase(phrase).index(index)?.build()?;
        accounts.push(key.address());
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let config = Config { genesis_timestamp: now, ..Config::default() };
    let config = config.fund(accounts, U256::from(10u64).pow(U256::from(22)));
    let chain = match directory {
        Some(directory) => Chain::open(config, directory.as_ref())?,
        None => Chain::new(config)?,
    };

    let mining = match period_ms {
        0 => Mining::OnDemand,
        period_ms => Mining::Interval(Duration::from_millis(period_ms)),
    };
    let listen = SocketAddr::from(([127, 0, 0, 1], port));
    let handle = serve(chain, ServeOptions { listen, mining }).await?;
    println!("{}", handle.http_url());
    tokio::signal::ctrl_c().await?;
    handle.stop().await;
    Ok(())
}
