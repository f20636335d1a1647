//! What concerns the network as a whole, and what a gateway leaves to wallets. Not here: blocks and
//! accounts.

use super::{
    Context,
    error::{Answer, server_error, unsupported},
    params::Positional,
};
use alloy_primitives::{Address, B256, Bytes, U64, keccak256};
use jsonrpsee::types::Params;

/// `eth_chainId`.
pub async fn chain_id(context: &Context, _: Params<'_>) -> Answer<U64> {
    Ok(U64::from(context.config.l2ChainId))
}

/// `net_version`.
pub async fn net_version(context: &Context, _: Params<'_>) -> Answer<String> {
    Ok(context.config.l2ChainId.to_string())
}

/// `net_listening`.
pub async fn net_listening(_: &Context, _: Params<'_>) -> Answer<bool> {
    Ok(true)
}

/// `net_peerCount`: the one node behind this gateway.
pub async fn net_peer_count(_: &Context, _: Params<'_>) -> Answer<U64> {
    Ok(U64::ONE)
}

/// `web3_clientVersion`.
pub async fn client_version(_: &Context, _: Params<'_>) -> Answer<&'static str> {
    Ok(concat!("obscuro-gateway/v", env!("CARGO_PKG_VERSION")))
}

/// `web3_sha3`.
pub async fn sha3(_: &Context, params: Params<'_>) -> Answer<B256> {
    let data: Bytes = Positional::new(&params).required()?;
    Ok(keccak256(data))
}

/// `eth_syncing`: a node that is behind refuses to answer instead.
pub async fn syncing(_: &Context, _: Params<'_>) -> Answer<bool> {
    Ok(false)
}

/// `eth_accounts`: those that this gateway may read.
pub async fn accounts(context: &Context, _: Params<'_>) -> Answer<Vec<Address>> {
    Ok(context.accounts.readable(context.clock.now()))
}

/// Methods that need an account's private key.
pub async fn wallet_only(_: &Context, _: Params<'_>) -> Answer<()> {
    Err(server_error(
        "a gateway holds no account keys: sign with a wallet and use eth_sendRawTransaction",
    ))
}

/// `eth_getProof`.
pub async fn no_proofs(_: &Context, _: Params<'_>) -> Answer<()> {
    Err(unsupported("not supported: account proofs are confidential"))
}
