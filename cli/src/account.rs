//! `obscuro account`: keys without a wallet, and letting a gateway read an account (protocol 8.1).
//! Not here: moving assets between the layers (`bridge`).

use crate::setup;
use alloy_network::TransactionBuilder;
use alloy_primitives::{
    Address, B256, Bytes, U256,
    utils::{format_ether, parse_ether},
};
use alloy_provider::{Provider, ProviderBuilder};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use clap::{Args, Subcommand};
use eyre::{Context, Result, ensure};
use obscuro_protocol::viewing::ViewingKey;
use serde_json::{Value, json};
use std::{fs, io::Write, os::unix::fs::OpenOptionsExt, path::PathBuf, time::Duration};

const SECONDS_PER_DAY: u64 = 86_400;
/// How long to wait for a transaction on L2.
pub const RECEIPT_TIMEOUT: Duration = Duration::from_secs(180);

#[derive(Subcommand)]
pub enum Command {
    /// Make a new key and write it to a file
    New {
        /// The file; must not exist
        #[arg(long, value_name = "FILE", default_value = "account.key")]
        out: PathBuf,
    },
    /// Let a gateway read the account: sign its viewing key
    Authorise {
        #[command(flatten)]
        key: Key,
        #[command(flatten)]
        gateway: Gateway,
        /// For how many days
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3_650))]
        days: u64,
    },
    /// Accounts that a gateway may read
    List {
        #[command(flatten)]
        gateway: Gateway,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Balance and nonce of an account on L2, as far as the gateway may read it
    Show {
        /// The account
        address: Address,
        #[command(flatten)]
        gateway: Gateway,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Send OBX on L2
    Send {
        #[command(flatten)]
        key: Key,
        #[command(flatten)]
        gateway: Gateway,
        /// Who receives it
        #[arg(long)]
        to: Address,
        /// How much, in OBX
        #[arg(long, value_name = "OBX")]
        amount: String,
    },
}

/// The key of the account.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct Key {
    /// File with the account's private key
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// The private key itself; visible to others on this machine: for development only
    #[arg(long, value_name = "HEX")]
    private_key: Option<String>,
}

impl Key {
    /// The key, wherever it was given.
    pub fn signer(&self) -> Result<PrivateKeySigner> {
        match (&self.key_file, &self.private_key) {
            (Some(path), _) => setup::private_key(path),
            (None, Some(hex)) => {
                hex.parse().wrap_err("--private-key is not a key: expected 64 hexadecimal digits")
            }
            (None, None) => Err(eyre::eyre!("pass --key-file or --private-key")),
        }
    }
}

/// Where the gateway is.
#[derive(Args)]
pub struct Gateway {
    /// The gateway
    #[arg(id = "gateway", long, value_name = "URL", default_value = "http://127.0.0.1:8546")]
    pub url: String,
}

impl Gateway {
    fn parsed(&self) -> Result<reqwest::Url> {
        self.url
            .parse()
            .wrap_err_with(|| format!("{} is not a URL: expected http://HOST:PORT", self.url))
    }

    /// For reading.
    pub async fn connect(&self) -> Result<impl Provider + use<>> {
        let provider = ProviderBuilder::new().connect_http(self.parsed()?);
        provider.get_chain_id().await.wrap_err_with(|| {
            format!(
                "cannot reach the gateway at {}: start it, or pass --gateway with its address",
                self.url
            )
        })?;
        Ok(provider)
    }

    /// For sending; the gateway is allowed to read the account, or it could not tell its nonce.
    pub async fn connect_as(&self, signer: &PrivateKeySigner) -> Result<impl Provider + use<>> {
        let gateway = self.connect().await?;
        if !readable(&gateway).await?.contains(&signer.address()) {
            authorise(&gateway, signer, 1).await?;
        }
        Ok(ProviderBuilder::new().wallet(signer.clone()).connect_http(self.parsed()?))
    }
}

pub async fn run(command: Command) -> Result<()> {
    match command {
        Command::New { out } => new(out),
        Command::Authorise { key, gateway, days } => {
            let signer = key.signer()?;
            authorise(&gateway.connect().await?, &signer, days).await?;
            println!("{} may be read through {} for {days} days", signer.address(), gateway.url);
            Ok(())
        }
        Command::List { gateway, json } => list(&gateway, json).await,
        Command::Show { address, gateway, json } => show(address, &gateway, json).await,
        Command::Send { key, gateway, to, amount } => send(&key, &gateway, to, &amount).await,
    }
}

fn new(out: PathBuf) -> Result<()> {
    let signer = PrivateKeySigner::random();
    let hex = alloy_primitives::hex::encode(signer.to_bytes());
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&out)
        .and_then(|mut file| writeln!(file, "{hex}"))
        .wrap_err_with(|| format!("cannot write {}", out.display()))?;
    println!("{}  {}", signer.address(), out.display());
    Ok(())
}

/// Accounts that the gateway may read.
async fn readable(gateway: &impl Provider) -> Result<Vec<Address>> {
    Ok(gateway.raw_request("eth_accounts".into(), ()).await?)
}

/// Signs the gateway's viewing key, after checking that it is what it says.
async fn authorise(gateway: &impl Provider, signer: &PrivateKeySigner, days: u64) -> Result<()> {
    let account = signer.address();
    let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    let expires_at = seconds + days * SECONDS_PER_DAY;
    let typed: Value =
        gateway.raw_request("obscuro_viewingKey".into(), (account, expires_at)).await?;
    let viewing_key: Address = serde_json::from_value(typed["message"]["viewingKey"].clone())
        .wrap_err("the gateway offered no viewing key")?;
    let l2_chain_id = gateway.get_chain_id().await?;
    let key = ViewingKey { account, viewingKey: viewing_key, expiresAt: expires_at };
    let digest: B256 = key.signing_hash(l2_chain_id);
    let signature: Bytes = signer.sign_hash_sync(&digest)?.as_bytes().to_vec().into();
    let _: Value =
        gateway.raw_request("obscuro_authorise".into(), (account, expires_at, signature)).await?;
    Ok(())
}

async fn list(gateway: &Gateway, as_json: bool) -> Result<()> {
    let accounts = readable(&gateway.connect().await?).await?;
    if as_json {
        // With the checksum of EIP-55, as people are shown them.
        let accounts: Vec<String> = accounts.iter().map(Address::to_string).collect();
        println!("{}", serde_json::to_string(&accounts)?);
    } else if accounts.is_empty() {
        println!("none: add one with `obscuro account authorise`");
    }
    for account in accounts.iter().filter(|_| !as_json) {
        println!("{account}");
    }
    Ok(())
}

async fn show(address: Address, gateway: &Gateway, as_json: bool) -> Result<()> {
    let provider = gateway.connect().await?;
    let known = readable(&provider).await?;
    ensure!(
        known.contains(&address),
        "the gateway may not read {address}: its owner lets it with `obscuro account authorise`"
    );
    let balance = provider.get_balance(address).await?;
    let nonce = provider.get_transaction_count(address).await?;
    if as_json {
        println!(
            "{}",
            json!({ "address": address.to_string(), "balance": balance.to_string(), "nonce": nonce })
        );
    } else {
        println!("{address}  {} OBX  nonce {nonce}", format_ether(balance));
    }
    Ok(())
}

async fn send(key: &Key, gateway: &Gateway, to: Address, amount: &str) -> Result<()> {
    let signer = key.signer()?;
    let value: U256 =
        parse_ether(amount).wrap_err_with(|| format!("{amount} is not an amount of OBX"))?;
    let provider = gateway.connect_as(&signer).await?;
    let request = TransactionRequest::default().with_to(to).with_value(value);
    let pending = provider.send_transaction(request).await?;
    eprintln!("sent {}, waiting for its rollup ...", pending.tx_hash());
    let receipt = pending.with_timeout(Some(RECEIPT_TIMEOUT)).get_receipt().await?;
    ensure!(receipt.status(), "transaction {} failed", receipt.transaction_hash);
    println!("{amount} OBX to {to} in rollup {}", receipt.block_number.unwrap_or_default());
    Ok(())
}
