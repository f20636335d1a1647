//! Pre-signed ERC-20 transfers over JSON-RPC until the last receipt: through the gateway into a
//! one-aggregator network, encrypted, beside anvil with the same load when anvil is found.

use alloy_network::{EthereumWallet, NetworkTransactionBuilder, TransactionBuilder};
use alloy_primitives::{Address, Bytes, U256, keccak256};
use alloy_provider::{Provider, ProviderBuilder};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::{SolCall, SolValue};
use eyre::{OptionExt, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use obscuro_devnet::{Devnet, DevnetOptions, accounts};
use obscuro_protocol::{contracts::Contract, l1::IERC20};
use serde_json::{Value, json};
use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const SENDERS: usize = 10;
const TRANSFERS: usize = 20_000;
/// Requests under way at once.
const CONCURRENCY: usize = 64;
const BLOCK_TIME: Duration = Duration::from_secs(1);

/// How often a receipt that is not there is asked for again.
const POLL: Duration = Duration::from_millis(50);
/// After this a peer counts as too slow to be compared with.
const PATIENCE: Duration = Duration::from_secs(180);

/// How anvil makes blocks: as often as our L1. A block per transaction, its default, does not finish
/// within minutes, and `--order fifo` changes nothing.
const ANVIL: [&str; 8] =
    ["--hardfork", "osaka", "--port", "0", "--gas-limit", "300000000", "--block-time", "1"];

/// Prints the table.
pub fn run() -> Result<()> {
    tokio::runtime::Runtime::new()?.block_on(async {
        println!(
            "\n{TRANSFERS} pre-signed ERC-20 transfers of {SENDERS} accounts over JSON-RPC, {CONCURRENCY} requests at \
             once; transfers/s until all are accepted, the last receipt is there, every receipt is fetched\n"
        );
        let ours = ours().await?;
        let Some((mut child, url)) = anvil() else {
            println!("anvil was not found: run `npm ci` in cli/tests/clients");
            return Ok(());
        };
        let theirs = load(&url).await;
        let _ = child.kill();
        let _ = child.wait();
        row("anvil, a block each second", &theirs?, Some(&ours));
        Ok(())
    })
}

async fn ours() -> Result<Rates> {
    let options = DevnetOptions {
        aggregators: 1,
        verifiers: 0,
        l1_block_time: BLOCK_TIME,
        ..Default::default()
    };
    let devnet = Devnet::start(options, |_| {}).await?;
    let rates = load(&devnet.summary.gateway.rpc).await?;
    devnet.stop().await;
    row("obscuro, through the gateway", &rates, None);
    Ok(rates)
}

fn row(name: &str, rates: &Rates, ours: Option<&Rates>) {
    let Rates { accepted, included, fetched } = rates;
    print!("{name:<34} {accepted:>8.0} {included:>8.0} {fetched:>8.0}");
    if let Some(ours) = ours {
        print!(
            "   ours is {:.2} and {:.2} of it",
            ours.included / included,
            ours.fetched / fetched
        );
    }
    println!();
}

/// Transfers per second, until different things.
struct Rates {
    /// All were accepted.
    accepted: f64,
    /// The last of every sender had a receipt, and so, by their nonces, had all others.
    included: f64,
    /// Every receipt was fetched and told of success.
    fetched: f64,
}

async fn load(url: &str) -> Result<Rates> {
    let token = deploy(url).await?;
    let chain_id = ProviderBuilder::new().connect_http(url.parse()?).get_chain_id().await?;
    let transactions = sign(url, token, chain_id).await?;
    let client = reqwest::Client::new();
    let start = Instant::now();
    let rate = || TRANSFERS as f64 / start.elapsed().as_secs_f64();
    let hashes: Vec<String> = stream::iter(transactions)
        .map(|raw| {
            let client = client.clone();
            async move {
                let reply = ask(&client, url, "eth_sendRawTransaction", json!([raw])).await?;
                reply.as_str().map(String::from).ok_or_eyre("no hash")
            }
        })
        .buffered(CONCURRENCY)
        .try_collect()
        .await?;
    let accepted = rate();
    for last in hashes.iter().rev().take(SENDERS) {
        while receipt(&client, url, last).await?.is_null() {
            ensure!(start.elapsed() < PATIENCE, "no receipt after {PATIENCE:?}");
            tokio::time::sleep(POLL).await;
        }
    }
    let included = rate();
    stream::iter(hashes)
        .map(|hash| {
            let client = client.clone();
            async move {
                let receipt = receipt(&client, url, &hash).await?;
                ensure!(receipt["status"] == "0x1", "a transfer failed: {receipt}");
                ensure!(start.elapsed() < PATIENCE, "not all receipts after {PATIENCE:?}");
                Ok(())
            }
        })
        .buffered(CONCURRENCY)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(Rates { accepted, included, fetched: rate() })
}

async fn receipt(client: &reqwest::Client, url: &str, hash: &str) -> Result<Value> {
    ask(client, url, "eth_getTransactionReceipt", json!([hash])).await
}

async fn ask(client: &reqwest::Client, url: &str, method: &str, params: Value) -> Result<Value> {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    let response =
        client.post(url).header("content-type", "application/json").body(body).send().await?;
    let reply: Value = serde_json::from_str(&response.text().await?)?;
    ensure!(reply.get("error").is_none(), "{method}: {}", reply["error"]);
    Ok(reply["result"].clone())
}

fn senders() -> Vec<PrivateKeySigner> {
    accounts::accounts().into_iter().take(SENDERS).collect()
}

/// A token (OBX itself: OpenZeppelin's ERC-20 with votes), of which every sender holds plenty.
async fn deploy(url: &str) -> Result<Address> {
    let owner = senders().remove(0);
    let supply = U256::from(10).pow(U256::from(27));
    let arguments = (owner.address(), supply, Address::ZERO).abi_encode_params();
    let code = [Contract::ObscuroToken.creation_code().as_ref(), &arguments].concat();
    let provider = ProviderBuilder::new().wallet(owner.clone()).connect_http(url.parse()?);
    let deployment = TransactionRequest::default().with_deploy_code(code);
    let receipt = provider.send_transaction(deployment).await?.get_receipt().await?;
    let token = receipt.contract_address.ok_or_eyre("no token")?;
    for sender in senders().iter().skip(1) {
        let amount = U256::from(10).pow(U256::from(21));
        let call = IERC20::transferCall { to: sender.address(), amount }.abi_encode();
        let request = TransactionRequest::default().with_to(token).with_input(call);
        provider.send_transaction(request).await?.get_receipt().await?;
    }
    Ok(token)
}

/// All transfers, senders in turn.
async fn sign(url: &str, token: Address, chain_id: u64) -> Result<Vec<Bytes>> {
    use alloy_eips::Encodable2718;
    let provider = ProviderBuilder::new().connect_http(url.parse()?);
    let mut prepared = Vec::new();
    for signer in senders() {
        let nonce = provider.get_transaction_count(signer.address()).await?;
        prepared.push((EthereumWallet::from(signer), nonce));
    }
    let mut transactions = Vec::with_capacity(TRANSFERS);
    for index in 0..TRANSFERS {
        let (wallet, nonce) = &mut prepared[index % SENDERS];
        let to = Address::from_word(keccak256((index % 1_000).to_be_bytes()));
        let call = IERC20::transferCall { to, amount: U256::from(index + 1) }.abi_encode();
        let request = TransactionRequest::default()
            .with_to(token)
            .with_input(call)
            .with_nonce(*nonce)
            .with_chain_id(chain_id)
            .with_gas_limit(100_000)
            .with_max_fee_per_gas(20_000_000_000)
            .with_max_priority_fee_per_gas(1);
        *nonce += 1;
        transactions.push(request.build(wallet).await?.encoded_2718().into());
    }
    Ok(transactions)
}

/// Anvil from the client tests' packages, and its address.
fn anvil() -> Option<(Child, String)> {
    use std::io::{BufRead, BufReader};
    let program = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../cli/tests/clients/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil");
    let mut child = Command::new(program)
        .args(ANVIL)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut lines = BufReader::new(child.stdout.take()?).lines();
    let address =
        lines.find_map(|line| line.ok()?.trim().strip_prefix("Listening on ").map(String::from))?;
    // Keep reading: a full pipe would stop it.
    std::thread::spawn(move || lines.for_each(drop));
    Some((child, format!("http://{address}")))
}
