//! The network key as `NetworkManagement` published it: users encrypt to nothing else, and to the
//! newest alone once a seed epoch begins. Not here: what is encrypted (`sealed`).

use crate::sealed::Sealed;
use alloy_primitives::Bytes;
use alloy_provider::{Provider, RootProvider, transport::TransportError};
use alloy_rpc_types_eth::Filter;
use alloy_sol_types::SolEvent;
use obscuro_protocol::{
    config::NetworkConfig, keys::kem_public_key, l1::INetworkManagement::NetworkKeyPublished,
};
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;
use tracing::{info, warn};

/// How often L1 is asked for a newer key. Enclaves accept the key before the current one too.
const POLL: Duration = Duration::from_secs(4);

/// The network key cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum NetworkKeyError {
    /// L1 does not answer.
    #[error("cannot read the network key from L1: {0}")]
    L1(#[from] TransportError),
    /// Nobody has founded the network.
    #[error("the network has no key yet: its first node must register")]
    Missing,
}

/// The newest network key, from the contract's events.
pub async fn read(
    l1: &impl Provider,
    config: &NetworkConfig,
) -> Result<Published, NetworkKeyError> {
    since(l1, config, config.checkpoint.number).await?.ok_or(NetworkKeyError::Missing)
}

/// A network key on L1.
pub struct Published {
    /// X-Wing, on the wire.
    pub key: Bytes,
    /// Its seed epoch.
    pub epoch: u32,
    /// The L1 block that brought it.
    pub block: u64,
}

/// The newest key published in or after an L1 block.
async fn since(
    l1: &impl Provider,
    config: &NetworkConfig,
    block: u64,
) -> Result<Option<Published>, TransportError> {
    let filter = Filter::new()
        .address(config.contracts.networkManagement)
        .event_signature(NetworkKeyPublished::SIGNATURE_HASH)
        .from_block(block);
    let logs = l1.get_logs(&filter).await?;
    Ok(logs.iter().rev().find_map(|log| {
        let event = NetworkKeyPublished::decode_log(&log.inner).ok()?;
        let NetworkKeyPublished { networkKey: key, epoch, .. } = event.data;
        Some(Published { key, epoch, block: log.block_number.unwrap_or(block) })
    }))
}

/// Gives every newer key to those who seal, for ever. L1 is asked and not the node, whose operator may
/// be the one whom the new epoch leaves out.
pub async fn follow(l1: RootProvider, config: Arc<NetworkConfig>, sealed: Arc<Sealed>) {
    let mut from = config.checkpoint.number;
    loop {
        match since(&l1, &config, from).await {
            Ok(Some(Published { key, block, .. })) => {
                from = block;
                let is_new =
                    kem_public_key(&key).map(|parsed| sealed.set_network_key(&key, parsed));
                match is_new {
                    Some(true) => info!("the network has a new key"),
                    Some(false) => {}
                    None => warn!("the network key on L1 is malformed"),
                }
            }
            // A reorganisation of L1 took the key that was known.
            Ok(None) => from = config.checkpoint.number,
            Err(error) => warn!(%error, "cannot read the network key from L1"),
        }
        sleep(POLL).await;
    }
}
