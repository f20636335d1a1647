//! `obscuro rewards`: what a node's owner has earned, and its payment from the pool on L2 (protocol
//! 10.3). Not here: who earned what, which enclaves decide.

use crate::{
    account::{Gateway, Key},
    bridge::{NodeUrl, send},
};
use alloy_network::TransactionBuilder;
use alloy_primitives::{Address, B256, U256, utils::format_ether};
use alloy_provider::{Provider, ProviderBuilder};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_sol_types::SolCall;
use clap::Subcommand;
use eyre::{Context, OptionExt, Result};
use obscuro_protocol::{contracts::FEE_POOL, door::ExecutionProof, l1::IRewardPool};
use serde_json::json;

/// Rollups for which the pool pays a prize.
const PRIZE_ROLLUPS: u64 = 16;

#[derive(Subcommand)]
pub enum Command {
    /// What the owner of nodes can claim
    Status {
        #[command(flatten)]
        gateway: Gateway,
        #[command(flatten)]
        node: NodeUrl,
        #[command(flatten)]
        key: Key,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Claim what publishing earned, and open prizes of a node
    Claim {
        #[command(flatten)]
        gateway: Gateway,
        #[command(flatten)]
        node: NodeUrl,
        #[command(flatten)]
        key: Key,
    },
}

pub async fn run(command: Command) -> Result<()> {
    match command {
        Command::Status { gateway, node, key, json } => status(&gateway, &node, &key, json).await,
        Command::Claim { gateway, node, key } => claim(&gateway, &node, &key).await,
    }
}

/// A prize that can be claimed now.
struct OpenPrize {
    rollup: B256,
    amount: U256,
    proof: ExecutionProof,
}

async fn status(gateway: &Gateway, node: &NodeUrl, key: &Key, as_json: bool) -> Result<()> {
    let signer = key.signer()?;
    let l2 = gateway.connect_as(&signer).await?;
    let owed = owed(&l2, signer.address()).await?;
    let prizes = prizes(&l2, node).await?;
    if as_json {
        let prizes: Vec<_> = prizes
            .iter()
            .map(|prize| json!({ "rollup": prize.rollup, "amount": prize.amount.to_string() }))
            .collect();
        println!("{}", json!({ "owed": owed.to_string(), "prizes": prizes }));
        return Ok(());
    }
    println!("{} OBX owed to {}", format_ether(owed), signer.address());
    for prize in prizes {
        println!("{} OBX for having executed {}", format_ether(prize.amount), prize.rollup);
    }
    Ok(())
}

async fn claim(gateway: &Gateway, node: &NodeUrl, key: &Key) -> Result<()> {
    let signer = key.signer()?;
    let l2 = gateway.connect_as(&signer).await?;
    for prize in prizes(&l2, node).await? {
        let OpenPrize { rollup, amount, proof: ExecutionProof { enclave, signature } } = prize;
        let call = IRewardPool::claimPrizeCall { rollup, enclave, signature };
        send(&l2, FEE_POOL, call.abi_encode(), U256::ZERO).await?;
        println!("claimed {} OBX for having executed {rollup}", format_ether(amount));
    }
    let owner = signer.address();
    let owed = owed(&l2, owner).await?;
    if !owed.is_zero() {
        let call = IRewardPool::claimCall { owner };
        send(&l2, FEE_POOL, call.abi_encode(), U256::ZERO).await?;
        println!("claimed up to {} OBX for publishing", format_ether(owed));
    }
    Ok(())
}

async fn owed(l2: &impl Provider, owner: Address) -> Result<U256> {
    let call = IRewardPool::owedCall { owner };
    let request = request(call.abi_encode()).with_from(owner);
    Ok(IRewardPool::owedCall::abi_decode_returns(&l2.call(request).await?)?)
}

/// Prizes that the node's enclave can prove to have earned, oldest first. A rollup that it did not
/// execute yields none.
async fn prizes(l2: &impl Provider, node: &NodeUrl) -> Result<Vec<OpenPrize>> {
    let url = node.url.parse().wrap_err_with(|| format!("{} is not a URL", node.url))?;
    let node = ProviderBuilder::new().connect_http(url);
    let newest = l2.get_block_number().await?;
    let mut prizes = Vec::new();
    for number in newest.saturating_sub(2 * PRIZE_ROLLUPS).max(1)..=newest {
        let block = l2.get_block_by_number(number.into()).await?;
        let rollup = block.ok_or_eyre("the gateway does not know a rollup of its own")?.header.hash;
        let asked = node.raw_request("obscuro_executed".into(), (rollup,)).await;
        let Ok::<ExecutionProof, _>(proof) = asked else { continue };
        let call = IRewardPool::prizeOfCall { rollup, enclave: proof.enclave };
        let output = l2.call(request(call.abi_encode())).await?;
        let amount = IRewardPool::prizeOfCall::abi_decode_returns(&output)?;
        if !amount.is_zero() {
            prizes.push(OpenPrize { rollup, amount, proof });
        }
    }
    Ok(prizes)
}

fn request(data: Vec<u8>) -> TransactionRequest {
    TransactionRequest::default().with_to(FEE_POOL).with_input(data)
}
