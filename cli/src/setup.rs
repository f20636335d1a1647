//! What several commands share: logging, waiting for Ctrl-C, reading the network's configuration.
//! Not here: any command.

use alloy_provider::{Provider, ProviderBuilder};
use alloy_signer_local::PrivateKeySigner;
use eyre::{Context, Result, ensure};
use obscuro_protocol::config::NetworkConfig;
use std::{fs, path::Path};
use tracing_subscriber::EnvFilter;

/// Logs go to stderr: warnings by default, more with `RUST_LOG`.
pub fn logging() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

/// Returns on Ctrl-C or SIGTERM.
pub async fn until_stopped() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => Ok(result?),
        _ = terminate.recv() => Ok(()),
    }
}

/// The network's configuration from the file that `obscuro devnet` writes, or that a network's
/// founders hand out.
pub fn network(path: &Path) -> Result<NetworkConfig> {
    let json = fs::read(path)
        .wrap_err_with(|| format!("cannot read the network configuration {}", path.display()))?;
    serde_json::from_slice(&json)
        .wrap_err_with(|| format!("{} is not a network configuration", path.display()))
}

/// A private key from a file with 64 hexadecimal digits.
pub fn private_key(path: &Path) -> Result<PrivateKeySigner> {
    let text = fs::read_to_string(path)
        .wrap_err_with(|| format!("cannot read the private key {}", path.display()))?;
    text.trim().parse().wrap_err_with(|| {
        format!("{} does not hold a private key: expected 64 hexadecimal digits", path.display())
    })
}

/// A provider for an L1 that has this network's chain id.
pub async fn l1(url: &str, config: &NetworkConfig) -> Result<impl Provider + use<>> {
    let unreachable =
        || format!("cannot reach the L1 at {url}: start it, or pass --l1 with its address");
    let client = obscuro_host::l1::connect(url).await.wrap_err_with(unreachable)?;
    let provider = ProviderBuilder::new().connect_client(client);
    let chain_id = provider.get_chain_id().await.wrap_err_with(unreachable)?;
    ensure!(
        chain_id == config.l1ChainId,
        "the L1 at {url} is chain {chain_id}, but this network lives on chain {}",
        config.l1ChainId
    );
    Ok(provider)
}
