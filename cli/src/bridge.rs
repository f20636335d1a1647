//! `obscuro bridge`: deposits and withdrawals for people without a wallet (protocol 9). Not here:
//! the bridge itself (`contracts/`).

use crate::{
    account::{Gateway, Key, RECEIPT_TIMEOUT},
    membership::is_suspended,
    network::SUSPENDED,
    setup,
};
use alloy_network::TransactionBuilder;
use alloy_primitives::{
    Address, B256, Bytes, U256,
    utils::{format_units, parse_units},
};
use alloy_provider::{Provider, ProviderBuilder};
use alloy_rpc_types_eth::{TransactionReceipt, TransactionRequest};
use alloy_sol_types::{SolCall, SolEvent, sol};
use clap::{Args, Subcommand};
use eyre::{Context, OptionExt, Result, ensure};
use obscuro_protocol::{
    config::NetworkConfig,
    contracts::L2_BRIDGE,
    l1::{IBridgeManagement, IERC20, IL2Bridge, IRollupManagement},
};
use serde::Deserialize;
use serde_json::json;
use std::{path::PathBuf, time::Duration};

/// How often the chain is asked whether something has happened yet.
const POLL: Duration = Duration::from_millis(500);

sol! {
    function decimals() external view returns (uint8);
}

#[derive(Subcommand)]
pub enum Command {
    /// Move an asset from L1 to L2; usable in the next rollup
    Deposit {
        #[command(flatten)]
        transfer: Transfer,
    },
    /// Move an asset from L2 to L1: burns it, waits until the contract allows it, and pays it out
    Withdraw {
        #[command(flatten)]
        transfer: Transfer,
        #[command(flatten)]
        gateway: Gateway,
        #[command(flatten)]
        node: NodeUrl,
    },
    /// Pay out a withdrawal that was burned on L2 before, when the contract allows it; anybody may
    Pay {
        #[command(flatten)]
        network: Network,
        #[command(flatten)]
        key: Key,
        #[command(flatten)]
        node: NodeUrl,
        /// The rollup that burned it
        #[arg(value_name = "ROLLUP")]
        rollup: B256,
        /// The withdrawal's index
        #[arg(value_name = "INDEX")]
        index: u64,
    },
    /// What the bridge holds, and the withdrawals of a rollup with their state
    Status {
        #[command(flatten)]
        network: Network,
        #[command(flatten)]
        node: NodeUrl,
        /// An ERC-20 besides ETH and OBX, by its L1 address; repeatable
        #[arg(long, value_name = "ADDRESS")]
        asset: Vec<String>,
        /// A rollup whose withdrawals to list
        #[arg(long, value_name = "HASH")]
        rollup: Option<B256>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// What moves, and whose it is.
#[derive(Args)]
pub struct Transfer {
    #[command(flatten)]
    network: Network,
    #[command(flatten)]
    key: Key,
    /// ETH, OBX, or the L1 address of an ERC-20
    #[arg(long)]
    asset: String,
    /// How much, in whole units
    #[arg(long)]
    amount: String,
    /// Who receives it on the other layer [default: the sender]
    #[arg(long, value_name = "ADDRESS")]
    to: Option<Address>,
}

/// The network and its L1.
#[derive(Args)]
pub struct Network {
    /// The network's configuration, as `obscuro devnet` writes it
    #[arg(long, value_name = "FILE")]
    network: PathBuf,
    /// An L1 node
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8545")]
    l1: String,
}

/// An Obscuro node, for public data.
#[derive(Args)]
pub struct NodeUrl {
    /// An Obscuro node
    #[arg(id = "node", long, value_name = "URL", default_value = "http://127.0.0.1:8547")]
    pub url: String,
}

/// A withdrawal with the proof that L1 wants.
#[derive(Debug, Deserialize)]
struct ProvenWithdrawal {
    index: u64,
    asset: Address,
    to: Address,
    amount: U256,
    proof: Vec<B256>,
}

pub async fn run(command: Command) -> Result<()> {
    match command {
        Command::Deposit { transfer } => deposit(&transfer).await,
        Command::Withdraw { transfer, gateway, node } => withdraw(&transfer, &gateway, &node).await,
        Command::Pay { network, key, node, rollup, index } => {
            let config = network.config()?;
            let l1 = network.l1_as(&config, &key).await?;
            let receipt = pay(&l1, &config, &node, rollup, index).await?;
            let block = receipt.block_number.unwrap_or_default();
            println!("paid withdrawal {index} in L1 block {block}");
            Ok(())
        }
        Command::Status { network, node, asset, rollup, json } => {
            status(&network, &node, &asset, rollup, json).await
        }
    }
}

impl Network {
    /// What the file says.
    pub fn config(&self) -> Result<NetworkConfig> {
        setup::network(&self.network)
    }

    /// For sending on L1.
    pub async fn l1_as(&self, config: &NetworkConfig, key: &Key) -> Result<impl Provider + use<>> {
        setup::l1(&self.l1, config).await?;
        let client = obscuro_host::l1::connect(&self.l1).await?;
        Ok(ProviderBuilder::new().wallet(key.signer()?).connect_client(client))
    }
}

/// An asset by its name.
fn asset_address(name: &str, config: &NetworkConfig) -> Result<Address> {
    match name.to_ascii_uppercase().as_str() {
        "ETH" => Ok(Address::ZERO),
        "OBX" => Ok(config.contracts.obscuroToken),
        _ => name.parse().wrap_err_with(|| {
            format!("{name} is not an asset: expected ETH, OBX or the L1 address of an ERC-20")
        }),
    }
}

async fn decimals(l1: &impl Provider, asset: Address) -> Result<u8> {
    if asset.is_zero() {
        return Ok(18);
    }
    let request =
        TransactionRequest::default().with_to(asset).with_input(decimalsCall {}.abi_encode());
    let output =
        l1.call(request).await.wrap_err_with(|| format!("{asset} is not an ERC-20 on this L1"))?;
    decimalsCall::abi_decode_returns(&output)
        .wrap_err_with(|| format!("{asset} is not an ERC-20 on this L1"))
}

fn units(amount: &str, decimals: u8) -> Result<U256> {
    let parsed = parse_units(amount, decimals)
        .wrap_err_with(|| format!("{amount} is not an amount with {decimals} decimals"))?;
    ensure!(!parsed.is_negative(), "the amount is negative");
    Ok(parsed.get_absolute())
}

/// Sends a transaction and waits until it has succeeded.
pub async fn send(
    provider: &impl Provider,
    to: Address,
    data: Vec<u8>,
    value: U256,
) -> Result<TransactionReceipt> {
    let request = TransactionRequest::default().with_to(to).with_input(data).with_value(value);
    let pending = provider.send_transaction(request).await?;
    let receipt = pending.with_timeout(Some(RECEIPT_TIMEOUT)).get_receipt().await?;
    ensure!(receipt.status(), "transaction {} failed", receipt.transaction_hash);
    Ok(receipt)
}

async fn deposit(transfer: &Transfer) -> Result<()> {
    let Transfer { network, key, asset, amount, to } = transfer;
    let config = network.config()?;
    let l1 = network.l1_as(&config, key).await?;
    let asset_address = asset_address(asset, &config)?;
    let units = units(amount, decimals(&l1, asset_address).await?)?;
    let to = to.unwrap_or(key.signer()?.address());
    let bridge = config.contracts.bridgeManagement;
    let mut value = units;
    if !asset_address.is_zero() {
        value = U256::ZERO;
        let approval = IERC20::approveCall { spender: bridge, amount: units };
        send(&l1, asset_address, approval.abi_encode(), U256::ZERO).await?;
    }
    let call = IBridgeManagement::depositCall { asset: asset_address, amount: units, to };
    let receipt = send(&l1, bridge, call.abi_encode(), value).await?;
    println!(
        "deposited {amount} {asset} for {to} in L1 block {}: usable on L2 in the next rollup",
        receipt.block_number.unwrap_or_default()
    );
    Ok(())
}

async fn withdraw(transfer: &Transfer, gateway: &Gateway, node: &NodeUrl) -> Result<()> {
    let Transfer { network, key, asset, amount, to } = transfer;
    let config = network.config()?;
    let l1 = network.l1_as(&config, key).await?;
    let signer = key.signer()?;
    let l2 = gateway.connect_as(&signer).await?;
    let asset_address = asset_address(asset, &config)?;
    let units = units(amount, decimals(&l1, asset_address).await?)?;
    let to = to.unwrap_or(signer.address());
    let burnt = burn(&l2, &config, asset_address, units, to).await?;
    let receipt = pay_out(&l1, &config, node, &burnt).await?;
    println!(
        "withdrew {amount} {asset} to {to} in L1 block {}",
        receipt.block_number.unwrap_or_default()
    );
    Ok(())
}

/// Executes on L1 the withdrawal that a transaction on L2 ordered, once L1 allows it.
pub async fn pay_out(
    l1: &impl Provider,
    config: &NetworkConfig,
    node: &NodeUrl,
    ordered: &TransactionReceipt,
) -> Result<TransactionReceipt> {
    let rollup =
        ordered.block_hash.ok_or_eyre("the gateway returned a receipt without a rollup")?;
    let index = withdrawal_index(ordered)?;
    eprintln!(
        "burned in rollup {} ({rollup}), withdrawal {index}; waiting until L1 allows it ...\n\
         (if this ends before, go on with the same options for network, L1, node and key:\n \
         obscuro bridge pay {rollup} {index})",
        ordered.block_number.unwrap_or_default()
    );
    pay(l1, config, node, rollup, index).await
}

async fn pay(
    l1: &impl Provider,
    config: &NetworkConfig,
    node: &NodeUrl,
    rollup: B256,
    index: u64,
) -> Result<TransactionReceipt> {
    let withdrawal = proven(node, rollup, index).await?;
    await_confirmed(l1, config, rollup).await?;
    let call = IBridgeManagement::withdrawCall {
        rollup,
        index: withdrawal.index,
        asset: withdrawal.asset,
        to: withdrawal.to,
        amount: withdrawal.amount,
        proof: withdrawal.proof,
    };
    send(l1, config.contracts.bridgeManagement, call.abi_encode(), U256::ZERO).await
}

async fn burn(
    l2: &impl Provider,
    config: &NetworkConfig,
    asset: Address,
    amount: U256,
    to: Address,
) -> Result<TransactionReceipt> {
    if asset == config.contracts.obscuroToken {
        return send(l2, L2_BRIDGE, IL2Bridge::withdrawNativeCall { to }.abi_encode(), amount)
            .await;
    }
    send(l2, L2_BRIDGE, IL2Bridge::withdrawCall { asset, amount, to }.abi_encode(), U256::ZERO)
        .await
}

fn withdrawal_index(receipt: &TransactionReceipt) -> Result<u64> {
    receipt
        .logs()
        .iter()
        .filter(|log| log.address() == L2_BRIDGE)
        .find_map(|log| IL2Bridge::Withdrawal::decode_log(&log.inner).ok())
        .map(|event| event.data.index)
        .ok_or_eyre("the transaction ordered no withdrawal")
}

async fn withdrawals(node: &NodeUrl, rollup: B256) -> Result<Vec<ProvenWithdrawal>> {
    let url = node.url.parse().wrap_err_with(|| format!("{} is not a URL", node.url))?;
    let provider = ProviderBuilder::new().connect_http(url);
    provider.raw_request("obscuro_withdrawals".into(), (rollup,)).await.wrap_err_with(|| {
        format!("cannot ask the node at {}: pass --node with its address", node.url)
    })
}

/// The withdrawal once the node has seen its rollup on L1.
async fn proven(node: &NodeUrl, rollup: B256, index: u64) -> Result<ProvenWithdrawal> {
    let mut has_waited = false;
    loop {
        let ordered = withdrawals(node, rollup).await?;
        let is_known = !ordered.is_empty();
        if let Some(found) = ordered.into_iter().find(|withdrawal| withdrawal.index == index) {
            return Ok(found);
        }
        ensure!(!is_known, "rollup {rollup} orders no withdrawal {index}");
        if !std::mem::replace(&mut has_waited, true) {
            eprintln!(
                "waiting until the node has seen rollup {rollup} on L1, with withdrawals ..."
            );
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn is_confirmed(l1: &impl Provider, config: &NetworkConfig, rollup: B256) -> Result<bool> {
    let call =
        IRollupManagement::isConfirmedCall { rollup, blocks: U256::from(config.withdrawalBlocks) };
    let request = TransactionRequest::default()
        .with_to(config.contracts.rollupManagement)
        .with_input(call.abi_encode());
    Ok(IRollupManagement::isConfirmedCall::abi_decode_returns(&l1.call(request).await?)?)
}

async fn await_confirmed(l1: &impl Provider, config: &NetworkConfig, rollup: B256) -> Result<()> {
    let mut was_suspended = false;
    while !is_confirmed(l1, config, rollup).await? {
        let suspended = is_suspended(l1, config).await?;
        if suspended && !was_suspended {
            eprintln!("{SUSPENDED}");
        }
        was_suspended = suspended;
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

async fn status(
    network: &Network,
    node: &NodeUrl,
    assets: &[String],
    rollup: Option<B256>,
    as_json: bool,
) -> Result<()> {
    let config = network.config()?;
    let l1 = setup::l1(&network.l1, &config).await?;
    let mut locked = Vec::new();
    for name in ["ETH", "OBX"].into_iter().chain(assets.iter().map(String::as_str)) {
        let asset = asset_address(name, &config)?;
        let decimals = decimals(&l1, asset).await?;
        let call = IBridgeManagement::lockedCall { asset };
        let request = TransactionRequest::default()
            .with_to(config.contracts.bridgeManagement)
            .with_input(Bytes::from(call.abi_encode()));
        let amount = IBridgeManagement::lockedCall::abi_decode_returns(&l1.call(request).await?)?;
        locked.push((name, amount, decimals));
    }
    let suspended = is_suspended(&l1, &config).await?;
    let mut listed = Vec::new();
    if let Some(rollup) = rollup {
        let confirmed = is_confirmed(&l1, &config, rollup).await?;
        for withdrawal in withdrawals(node, rollup).await? {
            listed.push((withdrawal, confirmed));
        }
    }
    if as_json {
        let locked: serde_json::Map<_, _> = locked
            .iter()
            .map(|(name, amount, _)| ((*name).into(), json!(amount.to_string())))
            .collect();
        let listed: Vec<_> = listed
            .iter()
            .map(|(w, confirmed)| json!({ "index": w.index, "asset": w.asset.to_string(), "to": w.to.to_string(), "amount": w.amount.to_string(), "executable": confirmed }))
            .collect();
        println!("{}", json!({ "locked": locked, "suspended": suspended, "withdrawals": listed }));
        return Ok(());
    }
    for (name, amount, decimals) in locked {
        println!("{name}  {} locked on L1", format_units(amount, decimals)?);
    }
    if suspended {
        println!("{SUSPENDED}");
    }
    for (withdrawal, confirmed) in listed {
        let state = if confirmed { "executable, or executed" } else { "waiting for L1 blocks" };
        println!(
            "withdrawal {}  {} of {} to {}  {state}",
            withdrawal.index, withdrawal.amount, withdrawal.asset, withdrawal.to
        );
    }
    Ok(())
}
