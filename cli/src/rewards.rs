//! `obscuro rewards`: what a node's owner has earned, its payment from the pool on L2, and the end of what
//! the pool has too much (protocol 10.1, 10.3). Not here: who earned what, which enclaves decide, and the
//! claims that hosts make by themselves (`obscuro_host`).

use crate::{
    account::{Gateway, Key},
    bridge::{Network, NodeUrl, pay_out, send},
};
use alloy_network::TransactionBuilder;
use alloy_primitives::{Address, B256, U256, utils::format_ether};
use alloy_provider::{Provider, ProviderBuilder};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_sol_types::SolCall;
use clap::{Args, Subcommand};
use eyre::{Context, OptionExt, Result, ensure};
use obscuro_host::rpc::NodeStatus;
use obscuro_protocol::{
    contracts::FEE_POOL,
    door::ExecutionProof,
    l1::{IERC20, IObscuroToken, IRewardPool},
};
use serde_json::{Value, json};

/// The code of JSON-RPC with which nodes answer calls that revert.
const REVERTED: i64 = 3;

#[derive(Subcommand)]
pub enum Command {
    /// What the owner of nodes can claim, and whether its node claims by itself
    Status {
        #[command(flatten)]
        operator: Operator,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Claim what publishing earned, and open prizes of a node
    Claim {
        #[command(flatten)]
        operator: Operator,
        /// Who is paid on L2 [default: the owner]
        #[arg(long, value_name = "ADDRESS")]
        to: Option<Address>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Burn what the pool holds beyond what it owes and its reserve, and what came from it to L1 before;
    /// anybody may
    Burn {
        #[command(flatten)]
        operator: Operator,
        #[command(flatten)]
        network: Network,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// The owner of nodes, one of them, and the way to L2.
#[derive(Args)]
pub struct Operator {
    #[command(flatten)]
    gateway: Gateway,
    #[command(flatten)]
    node: NodeUrl,
    #[command(flatten)]
    key: Key,
}

pub async fn run(command: Command) -> Result<()> {
    match command {
        Command::Status { operator, json } => status(&operator, json).await,
        Command::Claim { operator, to, json } => claim(&operator, to, json).await,
        Command::Burn { operator, network, json } => burn(&operator, &network, json).await,
    }
}

/// A prize that can be claimed now.
struct OpenPrize {
    rollup: B256,
    amount: U256,
    proof: ExecutionProof,
}

async fn status(operator: &Operator, as_json: bool) -> Result<()> {
    let signer = operator.key.signer()?;
    let l2 = operator.gateway.connect_as(&signer).await?;
    let owner = signer.address();
    let owed = ask(&l2, Some(owner), IRewardPool::owedCall { owner }).await?;
    let balance = l2.get_balance(owner).await?;
    let node = connect(&operator.node)?;
    let every = node_status(&node, &operator.node).await?.claims_every;
    let prizes = prizes(&l2, &node).await?;
    if as_json {
        let prizes: Vec<_> =
            prizes.iter().map(|prize| listed(prize.rollup, prize.amount)).collect();
        let (owed, balance) = (owed.to_string(), balance.to_string());
        let status =
            json!({ "owed": owed, "balance": balance, "prizes": prizes, "claimsEvery": every });
        println!("{status}");
        return Ok(());
    }
    println!(
        "{} OBX owed to {owner}, which has {} on L2",
        format_ether(owed),
        format_ether(balance)
    );
    for prize in prizes {
        println!("{} OBX for having executed {}", format_ether(prize.amount), prize.rollup);
    }
    match every {
        0 => println!("the node does not claim by itself"),
        every => {
            println!("the node claims by itself, at every rollup whose number {every} divides")
        }
    }
    Ok(())
}

fn listed(rollup: B256, amount: U256) -> Value {
    json!({ "rollup": rollup, "amount": amount.to_string() })
}

async fn claim(operator: &Operator, to: Option<Address>, as_json: bool) -> Result<()> {
    let signer = operator.key.signer()?;
    let l2 = operator.gateway.connect_as(&signer).await?;
    let mut claimed = Vec::new();
    for prize in prizes(&l2, &connect(&operator.node)?).await? {
        let OpenPrize { rollup, amount, proof: ExecutionProof { enclave, signature } } = prize;
        let call = IRewardPool::claimPrizeCall { rollup, enclave, signature };
        send(&l2, FEE_POOL, call.abi_encode(), U256::ZERO).await?;
        if !as_json {
            println!("claimed {} OBX for having executed {rollup}", format_ether(amount));
        }
        claimed.push(listed(rollup, amount));
    }
    let owner = signer.address();
    let recipient = to.unwrap_or(owner);
    let owed = ask(&l2, Some(owner), IRewardPool::owedCall { owner }).await?;
    let mut paid = U256::ZERO;
    if !owed.is_zero() {
        let call = IRewardPool::claimCall { recipient };
        paid = ask(&l2, Some(owner), call.clone()).await.wrap_err("the pool does not pay")?;
        send(&l2, FEE_POOL, call.abi_encode(), U256::ZERO).await?;
    }
    if as_json {
        let (owed, paid) = (owed.to_string(), paid.to_string());
        println!("{}", json!({ "prizes": claimed, "owed": owed, "paid": paid, "to": recipient }));
    } else if !owed.is_zero() {
        println!("paid {} of {} OBX to {recipient}", format_ether(paid), format_ether(owed));
    }
    Ok(())
}

/// The whole way: out of the pool on L2, over the bridge, out of existence on L1; or the rest of it, if that
/// was interrupted.
async fn burn(operator: &Operator, network: &Network, as_json: bool) -> Result<()> {
    let config = network.config()?;
    let l1 = network.l1_as(&config, &operator.key).await?;
    let l2 = operator.gateway.connect_as(&operator.key.signer()?).await?;
    let call = IRewardPool::burnExcessCall {};
    let request = TransactionRequest::default().with_to(FEE_POOL).with_input(call.abi_encode());
    match l2.call(request).await {
        Ok(_) => {
            let ordered = send(&l2, FEE_POOL, call.abi_encode(), U256::ZERO).await?;
            pay_out(&l1, &config, &operator.node, &ordered).await?;
        }
        // The pool refuses: it has no excess.
        Err(error) if error.as_error_resp().is_some_and(|refused| refused.code == REVERTED) => {}
        Err(error) => return Err(error.into()),
    }
    let token = config.contracts.obscuroToken;
    let call = IERC20::balanceOfCall { account: token };
    let request = TransactionRequest::default().with_to(token).with_input(call.abi_encode());
    let burnt = IERC20::balanceOfCall::abi_decode_returns(&l1.call(request).await?)?;
    ensure!(!burnt.is_zero(), "the pool has no excess, and nothing came from it to L1");
    let call = IObscuroToken::burnExcessCall {};
    send(&l1, token, call.abi_encode(), U256::ZERO).await?;
    if as_json {
        println!("{}", json!({ "burnt": burnt.to_string() }));
    } else {
        println!("burnt {} OBX", format_ether(burnt));
    }
    Ok(())
}

/// What the pool answers.
async fn ask<C: SolCall>(l2: &impl Provider, from: Option<Address>, call: C) -> Result<C::Return> {
    let request = TransactionRequest { from, ..Default::default() };
    let request = request.with_to(FEE_POOL).with_input(call.abi_encode());
    Ok(C::abi_decode_returns(&l2.call(request).await?)?)
}

fn connect(node: &NodeUrl) -> Result<impl Provider + use<>> {
    let url = node.url.parse().wrap_err_with(|| format!("{} is not a URL", node.url))?;
    Ok(ProviderBuilder::new().connect_http(url))
}

async fn node_status(node: &impl Provider, at: &NodeUrl) -> Result<NodeStatus> {
    node.raw_request("obscuro_status".into(), ()).await.wrap_err_with(|| {
        format!("cannot ask the node at {}: pass --node with its address", at.url)
    })
}

/// Prizes that the node's enclave can prove to have earned, oldest first. A rollup that it did not
/// execute yields none.
async fn prizes(l2: &impl Provider, node: &impl Provider) -> Result<Vec<OpenPrize>> {
    let open_for: u64 = ask(l2, None, IRewardPool::PRIZE_ROLLUPSCall {}).await?.to();
    let newest = l2.get_block_number().await?;
    let mut prizes = Vec::new();
    // A prize is offered some rollups after the one that it is for.
    for number in newest.saturating_sub(2 * open_for).max(1)..=newest {
        let block = l2.get_block_by_number(number.into()).await?;
        let rollup = block.ok_or_eyre("the gateway does not know a rollup of its own")?.header.hash;
        let asked = node.raw_request("obscuro_executed".into(), (rollup,)).await;
        let Ok::<ExecutionProof, _>(proof) = asked else { continue };
        let call = IRewardPool::prizeOfCall { rollup, enclave: proof.enclave };
        let amount = ask(l2, None, call).await?;
        if !amount.is_zero() {
            prizes.push(OpenPrize { rollup, amount, proof });
        }
    }
    Ok(prizes)
}
