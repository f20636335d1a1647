//! `obscuro network accuse`, `slash` and `acquit`: what aggregators do by themselves about forks of the
//! rollup chain (protocol 10.4), for people. Any account may. Not here: whom to accuse
//! (`obscuro_host::docket`), and whether L1 takes it, which the contract decides.

use crate::{
    account::Key,
    bridge,
    membership::{BLOCKS_AT_ONCE, Source},
};
use alloy_network::TransactionBuilder;
use alloy_primitives::{B256, U256};
use alloy_provider::Provider;
use alloy_rpc_types_eth::{Filter, TransactionRequest};
use alloy_sol_types::SolEvent;
use clap::Args;
use eyre::{Context, Result, bail, eyre};
use obscuro_host::{docket::Motion, publisher::revert};
use obscuro_protocol::{
    config::NetworkConfig, l1::IRollupManagement::RollupPublished, rollup::RollupHeader,
};
use serde_json::json;

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    key: Key,
    /// The rollup of which it is said
    #[arg(value_name = "ROLLUP")]
    rollup: B256,
    /// A rollup of the other branch: its sibling if one passed the other over, else one as far above the
    /// fork
    #[arg(value_name = "RIVAL")]
    rival: B256,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What to tell L1 of the rollup.
#[derive(Clone, Copy)]
pub enum Verdict {
    Accuse,
    Slash,
    Acquit,
}

pub async fn run(verdict: Verdict, arguments: Arguments) -> Result<()> {
    let (config, l1) = arguments.source.as_account(&arguments.key).await?;
    let header = published(&l1, &config, arguments.rollup).await?;
    let enclave = header.aggregator;
    let (header, rival) = (Box::new(header), arguments.rival);
    let (motion, done) = match verdict {
        Verdict::Accuse => (Motion::Accuse(header, rival), "accused"),
        Verdict::Slash => (Motion::Slash(header, rival), "slashed"),
        Verdict::Acquit => (Motion::Acquit(header, rival), "acquitted"),
    };
    let (contract, input) = (config.contracts.rollupManagement, motion.input());
    let call = TransactionRequest::default().with_to(contract).with_input(input.clone());
    if let Err(error) = l1.call(call).await {
        let refused = error.as_error_resp().and_then(|refused| refused.as_revert_data());
        let Some(data) = refused else { return Err(error).wrap_err("L1 does not answer") };
        bail!("L1 would not take it: {}", revert::describe("refused", &data));
    }
    let receipt = bridge::send(&l1, contract, input.into(), U256::ZERO).await?;
    let block = receipt.block_number.unwrap_or_default();
    if arguments.json {
        println!(
            "{}",
            json!({
                "rollup": arguments.rollup,
                "enclave": enclave,
                "outcome": done,
                "l1Block": block,
                "l1Transaction": receipt.transaction_hash,
            })
        );
    } else {
        println!("{done} enclave {enclave} for rollup {} in L1 block {block}", arguments.rollup);
    }
    Ok(())
}

/// The header of a published rollup, newest blocks first.
async fn published(
    l1: &impl Provider,
    config: &NetworkConfig,
    rollup: B256,
) -> Result<RollupHeader> {
    let mut to = l1.get_block_number().await?;
    while to > config.checkpoint.number {
        let from = to.saturating_sub(BLOCKS_AT_ONCE - 1).max(config.checkpoint.number + 1);
        let filter = Filter::new()
            .address(config.contracts.rollupManagement)
            .event_signature(RollupPublished::SIGNATURE_HASH)
            .topic1(rollup)
            .from_block(from)
            .to_block(to);
        let logs = l1.get_logs(&filter).await.wrap_err("cannot read rollups from L1")?;
        if let Some(log) = logs.first() {
            return Ok(RollupPublished::decode_log(&log.inner)?.data.header);
        }
        to = from - 1;
    }
    Err(eyre!("rollup {rollup} was never published on this L1"))
}
