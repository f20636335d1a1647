//! `obscuro network publish`: brings to L1 what the maker of the TEEs renews every few weeks. Anybody
//! may: what counts is the maker's signature. Not here: fetching it, and what only the owner of
//! `AttestationVerifier` sets.

use crate::{
    account::{Key, RECEIPT_TIMEOUT},
    membership::Source,
    verify::read,
};
use alloy_network::TransactionBuilder;
use alloy_primitives::{Address, Bytes};
use alloy_provider::Provider;
use alloy_rpc_types_eth::TransactionRequest;
use alloy_sol_types::SolCall;
use clap::Args;
use eyre::{Context, Result, ensure};
use obscuro_host::publisher::revert;
use obscuro_protocol::{
    attestation::Collateral,
    l1::IAttestationVerifier::{publishCollateralCall, publishCrlCall, registerAuthorityCall},
    limits::{COLLATERAL_BYTES_MAX, QUOTE_BYTES_MAX},
};
use std::path::PathBuf;

#[derive(Args)]
pub struct Publish {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    key: Key,
    /// Collateral as JSON: Obscuro's own form, or the answer of a caching service
    #[arg(value_name = "FILE")]
    collateral: PathBuf,
    /// A quote of the machine, for the answer of a caching service that leaves its certificates out
    #[arg(long, value_name = "FILE")]
    quote: Option<PathBuf>,
}

pub async fn publish(arguments: Publish) -> Result<()> {
    let quote = arguments.quote.map(|path| read(&path, QUOTE_BYTES_MAX)).transpose()?;
    let json = read(&arguments.collateral, 2 * COLLATERAL_BYTES_MAX)?;
    let json = String::from_utf8(json).wrap_err("collateral is JSON")?;
    let collateral = Collateral::from_json(&json, &quote.unwrap_or_default())?;
    let (config, l1) = arguments.source.as_account(&arguments.key).await?;
    for (what, input) in pieces(collateral) {
        let outcome = bring(&l1, config.contracts.attestationVerifier, input).await?;
        println!("{what}: {outcome}");
    }
    Ok(())
}

/// What L1 takes, in the order in which one needs the other.
fn pieces(collateral: Collateral) -> [(&'static str, Vec<u8>); 6] {
    let authority = |der: Bytes| registerAuthorityCall { der }.abi_encode();
    let list = |der: Bytes| publishCrlCall { der }.abi_encode();
    let statement = |json: String, signature: Bytes| {
        publishCollateralCall { json: json.into_bytes().into(), signature }.abi_encode()
    };
    let Collateral { tcb_info, tcb_info_signature, qe_identity, qe_identity_signature, .. } =
        collateral;
    [
        ("root CRL", list(collateral.root_crl)),
        ("PCK CA", authority(collateral.pck_ca_certificate)),
        ("TCB signer", authority(collateral.tcb_signer_certificate)),
        ("PCK CRL", list(collateral.pck_crl)),
        ("TCB info", statement(tcb_info, tcb_info_signature)),
        ("QE identity", statement(qe_identity, qe_identity_signature)),
    ]
}

/// Sends a call that the contract would take, and waits until it has; otherwise why it would not.
async fn bring(l1: &impl Provider, verifier: Address, input: Vec<u8>) -> Result<String> {
    let request = TransactionRequest::default().with_to(verifier).with_input(input);
    if let Err(error) = l1.call(request.clone()).await {
        let refused = error.as_error_resp().and_then(|refused| refused.as_revert_data());
        let Some(data) = refused else { return Err(error).wrap_err("L1 does not answer") };
        let is_there = revert::is_registered_already(&data) || revert::is_old_list(&data);
        return Ok(match is_there {
            true => "L1 has this or a newer one".to_owned(),
            false => format!("not taken: {}", revert::describe("refused", &data)),
        });
    }
    let pending = l1.send_transaction(request).await?;
    let receipt = pending.with_timeout(Some(RECEIPT_TIMEOUT)).get_receipt().await?;
    ensure!(receipt.status(), "transaction {} failed", receipt.transaction_hash);
    Ok(format!("published in L1 block {}", receipt.block_number.unwrap_or_default()))
}
