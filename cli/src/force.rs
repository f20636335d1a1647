//! `obscuro force-transaction`: past all nodes and gateways (protocol 6.6); only L1 is needed. Not
//! here: the envelope (`obscuro_protocol::forced`) and what enclaves make of it.

use crate::{
    account::Key,
    bridge::{self, Network},
};
use alloy_consensus::{Transaction, TxEnvelope, transaction::SignerRecoverable};
use alloy_eips::Decodable2718;
use alloy_primitives::{Address, B256, Bytes, U256, hex};
use alloy_rpc_types_eth::TransactionReceipt;
use alloy_sol_types::{SolCall, SolEvent};
use clap::Args;
use eyre::{Context, OptionExt, Result, ensure, eyre};
use getrandom::SysRng;
use obscuro_gateway::network_key;
use obscuro_protocol::{
    config::NetworkConfig,
    forced,
    keys::kem_public_key,
    l1::IRollupManagement::{TransactionForced, forceTransactionCall},
    limits::FORCED_TRANSACTION_BYTES_MAX,
};
use rand_core::UnwrapErr;
use serde_json::json;
use std::{fs, path::Path};

/// Post a signed L2 transaction to L1, where no node can withhold it
///
/// The transaction is encrypted to the network key, and the next rollup that is built on the L1 block
/// must execute it: if it can be executed at its turn; otherwise it is skipped. Nobody sees what is in
/// it, but everybody sees the L1 account that posts it: use one that nobody connects with you. It need
/// not be the transaction's sender.
#[derive(Args)]
pub struct Arguments {
    /// The signed L2 transaction (EIP-2718, hexadecimal), or a file that holds it; `cast mktx` makes one
    #[arg(value_name = "RAWTX|FILE")]
    transaction: String,
    #[command(flatten)]
    network: Network,
    #[command(flatten)]
    key: Key,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub async fn run(arguments: Arguments) -> Result<()> {
    let config = arguments.network.config()?;
    let raw = read(&arguments.transaction)?;
    let (hash, sender) = check(&raw, &config)?;
    let poster = arguments.key.signer()?.address();
    if poster == sender {
        eprintln!("warning: {sender} pays on L1: everybody sees that it forced a transaction");
    }
    let l1 = arguments.network.l1_as(&config, &arguments.key).await?;
    let published = network_key::read(&l1, &config).await?;
    let key = kem_public_key(&published.key).ok_or_eyre("the network key on L1 is malformed")?;
    let envelope =
        forced::seal(&key, published.epoch, config.hash(), &raw, &mut UnwrapErr(SysRng))?;
    let call = forceTransactionCall { envelope: envelope.into() };
    let contract = config.contracts.rollupManagement;
    let receipt = bridge::send(&l1, contract, call.abi_encode(), U256::ZERO).await?;
    let (index, block) = (index(&receipt, contract)?, receipt.block_number.unwrap_or_default());
    if arguments.json {
        println!(
            "{}",
            json!({
                "index": index,
                "transaction": hash,
                "l1Block": block,
                "l1Transaction": receipt.transaction_hash,
            })
        );
    } else {
        println!(
            "forced {hash} in L1 block {block}, index {index}: due in the first rollup built on that block or a later one"
        );
    }
    Ok(())
}

fn read(transaction: &str) -> Result<Bytes> {
    let text = match Path::new(transaction).is_file() {
        true => fs::read_to_string(transaction)
            .wrap_err_with(|| format!("cannot read the transaction {transaction}"))?,
        false => transaction.to_string(),
    };
    let bytes = hex::decode(text.trim());
    bytes.map(Bytes::from).map_err(|_| eyre!("neither a signed transaction (0x…) nor a file"))
}

/// What enclaves would skip whatever the state is, before it costs gas: the hash and the sender of
/// anything else.
fn check(raw: &Bytes, config: &NetworkConfig) -> Result<(B256, Address)> {
    ensure!(
        raw.len() <= FORCED_TRANSACTION_BYTES_MAX,
        "the transaction has {} bytes: at most {FORCED_TRANSACTION_BYTES_MAX} can be forced",
        raw.len()
    );
    let transaction = TxEnvelope::decode_2718_exact(raw).wrap_err("not a signed transaction")?;
    let (chain, expected) = (transaction.chain_id(), config.l2ChainId);
    ensure!(
        chain == Some(expected),
        "the transaction is for {}, but this network is chain {expected}",
        chain.map_or("any chain".into(), |chain| format!("chain {chain}")),
    );
    let sender = transaction.recover_signer().wrap_err("the transaction's signature is wrong")?;
    Ok((*transaction.tx_hash(), sender))
}

fn index(receipt: &TransactionReceipt, contract: Address) -> Result<u64> {
    let logs = receipt.logs().iter().filter(|log| log.address() == contract);
    let event = logs.filter_map(|log| TransactionForced::decode_log(&log.inner).ok()).next();
    Ok(event.ok_or_eyre("the contract has not taken the transaction")?.data.index)
}
