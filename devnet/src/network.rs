//! A whole network in one process: L1, contracts, nodes with their enclaves, gateway. Real sockets
//! between all of them. Not here: the L1 (`l1`), the contracts' deployment (`deploy`).

use crate::{
    accounts,
    deploy::{self, Parameters, STAKE_OBX},
    enclave::InProcessEnclave,
    l1,
};
use alloy_primitives::{Address, U256, utils::parse_ether};
use alloy_provider::{Provider, ProviderBuilder};
use alloy_signer_local::PrivateKeySigner;
use eyre::{Context, OptionExt, Result, ensure};
use futures::future::try_join_all;
use obscuro_gateway::{GatewayHandle, GatewayOptions};
use obscuro_host::{
    claims::ClaimOptions,
    node::{Node, NodeHandle, NodeOptions, Role},
    publisher::CarrierPolicy,
};
use obscuro_protocol::config::NetworkConfig;
use obscuro_software_tee::SoftwareDevice;
use serde::{Serialize, Serializer};
use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroU64,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;

/// EIP-155 id of the embedded L1, the usual one of development chains.
const L1_CHAIN_ID: u64 = 31_337;
/// ETH of each account on the embedded L1.
const ACCOUNT_ETH: &str = "10000";
/// EIP-155 id of the development L2.
pub const L2_CHAIN_ID: u64 = 2_908;
/// L1 blocks before a development withdrawal is executed.
const WITHDRAWAL_BLOCKS: u64 = 8;
/// L1 blocks that may pass without a rollup when there is nothing to publish.
const IDLE_BLOCKS_MAX: u64 = 5;
/// Block time while the network is set up on the embedded L1.
const SETUP_BLOCK_TIME: Duration = Duration::from_millis(200);
/// How long the network may take to be ready before something is wrong.
const READY_TIMEOUT: Duration = Duration::from_secs(180);
const CONFIG_FILE: &str = "network.json";

/// What to build.
#[derive(Clone, Debug)]
pub struct DevnetOptions {
    /// Nodes that publish rollups; at least one.
    pub aggregators: u32,
    /// Nodes that only follow.
    pub verifiers: u32,
    /// Time between blocks of the embedded L1.
    pub l1_block_time: Duration,
    /// An external L1 in place of the embedded one; its ten development accounts must be funded.
    pub l1_url: Option<String>,
    /// How payloads travel to L1.
    pub carrier: CarrierPolicy,
    /// Whether aggregators accuse who publishes on forks.
    pub prosecutes: bool,
    /// Port of the embedded L1; 0 chooses one.
    pub l1_port: u16,
    /// Port of the gateway; 0 chooses one.
    pub gateway_port: u16,
    /// Where everything is kept; a temporary directory if absent.
    pub data_dir: Option<PathBuf>,
    /// Aggregators claim what they earned at rollups whose number this divides; never if absent.
    pub claim_every: Option<NonZeroU64>,
}

impl Default for DevnetOptions {
    fn default() -> Self {
        Self {
            aggregators: 3,
            verifiers: 1,
            l1_block_time: Duration::from_secs(2),
            l1_url: None,
            // Gas costs nothing here, but proofs for blobs cost seconds of CPU.
            carrier: CarrierPolicy::Calldata,
            prosecutes: true,
            l1_port: 0,
            gateway_port: 0,
            data_dir: None,
            claim_every: Some(ClaimOptions::default().every),
        }
    }
}

/// A running network.
pub struct Devnet {
    /// Network and addresses, as printed.
    pub summary: Summary,
    /// The network's configuration.
    pub config: NetworkConfig,
    /// The network key, as published on L1.
    pub network_key: Vec<u8>,
    /// The nodes, aggregators first.
    pub nodes: Vec<NodeHandle>,
    /// The embedded L1.
    pub l1: Option<l1::Handle>,
    gateway: GatewayHandle,
    directory: PathBuf,
    l1_url: String,
    _temporary: Option<TempDir>,
}

/// Where everything is; the form of `obscuro devnet --json`.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The L1.
    pub l1: Endpoint,
    /// The gateway, which speaks for the L2.
    pub gateway: Endpoint,
    /// The nodes.
    pub nodes: Vec<NodeSummary>,
    /// The management contract.
    pub contracts: ContractsSummary,
    /// Accounts funded on both layers.
    pub accounts: Vec<AccountSummary>,
    /// Where everything is kept.
    #[serde(rename = "dataDir")]
    pub data_dir: PathBuf,
}

/// A JSON-RPC endpoint.
#[derive(Clone, Debug, Serialize)]
pub struct Endpoint {
    /// HTTP.
    pub rpc: String,
    /// WebSocket.
    pub ws: String,
    /// EIP-155 id.
    #[serde(rename = "chainId")]
    pub chain_id: u64,
}

/// A node.
#[derive(Clone, Debug, Serialize)]
pub struct NodeSummary {
    /// `aggregator` or `verifier`.
    pub role: &'static str,
    /// Its JSON-RPC.
    pub rpc: String,
}

/// The management contract's addresses.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the names are the contracts'")]
pub struct ContractsSummary {
    #[serde(serialize_with = "checksummed")]
    pub obscuro_token: Address,
    #[serde(serialize_with = "checksummed")]
    pub network_management: Address,
    #[serde(serialize_with = "checksummed")]
    pub rollup_management: Address,
    #[serde(serialize_with = "checksummed")]
    pub bridge_management: Address,
}

/// Summaries are for people too: they get the checksum of EIP-55.
fn checksummed<S: Serializer>(address: &Address, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(address)
}

/// A funded account.
#[derive(Clone, Debug, Serialize)]
pub struct AccountSummary {
    /// Its address.
    #[serde(serialize_with = "checksummed")]
    pub address: Address,
    /// Its key, known to everybody.
    #[serde(rename = "privateKey")]
    pub private_key: String,
}

/// What a new data directory is given and an old one remembers.
struct Prepared {
    config: NetworkConfig,
    is_new: bool,
}

impl Devnet {
    /// Starts everything and returns when the first rollup is on L1 and every node holds the seed.
    /// `progress` is told what happens.
    pub async fn start(options: DevnetOptions, progress: impl Fn(&str)) -> Result<Self> {
        ensure!(options.aggregators > 0, "a network needs at least one aggregator");
        let temporary = match options.data_dir {
            Some(_) => None,
            None => Some(tempfile::Builder::new().prefix("obscuro-devnet-").tempdir()?),
        };
        let directory = match (&options.data_dir, &temporary) {
            (Some(directory), _) => directory.clone(),
            (None, Some(temporary)) => temporary.path().to_path_buf(),
            (None, None) => unreachable!("one of the two was made above"),
        };
        fs::create_dir_all(&directory)
            .wrap_err_with(|| format!("cannot create {}", directory.display()))?;
        progress("starting L1");
        let l1 = start_l1(&options, &directory).await?;
        // Nodes hear of blocks at once over a WebSocket.
        let (l1_url, node_l1_url) = match (&l1, &options.l1_url) {
            (Some(handle), _) => (handle.http_url(), handle.ws_url()),
            (None, Some(url)) => (url.clone(), url.clone()),
            (None, None) => unreachable!("an embedded L1 was started"),
        };
        progress("deploying the contracts");
        let prepared = prepare(&options, &directory, &l1_url).await?;
        let config = prepared.config;
        progress("starting nodes");
        let nodes =
            start_nodes(&options, &directory, &node_l1_url, &config, prepared.is_new).await?;
        progress("waiting for the first rollup");
        let network_key = await_ready(&nodes).await?;
        if let Some(l1) = &l1 {
            l1.set_interval(options.l1_block_time);
        }
        let gateway = obscuro_gateway::start(GatewayOptions {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, options.gateway_port)),
            node_url: format!("http://{}", nodes[0].rpc_addr()),
            config: config.clone(),
            network_key: network_key.clone(),
            l1: Some(funder_provider(&l1_url).await?.root().clone()),
            data_dir: Some(directory.join("gateway")),
            unlocked: accounts::accounts(),
            origins: Vec::new(),
        })
        .await?;
        let summary = summary(&config, &l1_url, &gateway, &nodes, &options, &directory);
        Ok(Self {
            summary,
            config,
            network_key,
            nodes,
            l1,
            gateway,
            directory,
            l1_url,
            _temporary: temporary,
        })
    }

    /// Adds a verifier to the running network.
    pub async fn add_verifier(&mut self) -> Result<()> {
        let number = self.nodes.len() as u32;
        let operator = accounts::operator(number);
        let l1 = funder_provider(&self.l1_url).await?;
        deploy::fund(&l1, &self.config, &[operator.address()], &[]).await?;
        let node = start_node(
            number,
            operator,
            verifier(),
            Site {
                directory: &self.directory,
                l1_url: &self.l1_url,
                config: &self.config,
                carrier: CarrierPolicy::Calldata,
                prosecutes: true,
                claim_every: None,
            },
            false,
        )
        .await?;
        self.nodes.push(node);
        Ok(())
    }

    /// A second gateway, which holds no keys.
    pub async fn start_gateway(
        &self,
        node: usize,
        unlocked: Vec<PrivateKeySigner>,
    ) -> Result<GatewayHandle> {
        Ok(obscuro_gateway::start(GatewayOptions {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            node_url: format!("http://{}", self.nodes[node].rpc_addr()),
            config: self.config.clone(),
            network_key: self.network_key.clone(),
            l1: Some(funder_provider(&self.l1_url).await?.root().clone()),
            data_dir: None,
            unlocked,
            origins: Vec::new(),
        })
        .await?)
    }

    /// Stops everything, users' side first.
    pub async fn stop(self) {
        self.gateway.stop().await;
        for node in self.nodes {
            node.stop().await;
        }
        if let Some(l1) = self.l1 {
            l1.stop().await;
        }
    }
}

async fn start_l1(options: &DevnetOptions, directory: &Path) -> Result<Option<l1::Handle>> {
    if options.l1_url.is_some() {
        return Ok(None);
    }
    let users: Vec<Address> = accounts::accounts().iter().map(PrivateKeySigner::address).collect();
    let config = l1::Config { chain_id: L1_CHAIN_ID, ..Default::default() }
        .fund(users, parse_ether(ACCOUNT_ETH)?);
    let chain = l1::Chain::open(config, &directory.join("l1"))?;
    let is_new = chain.head().header.number == 0;
    let interval = if is_new { SETUP_BLOCK_TIME } else { options.l1_block_time };
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, options.l1_port));
    let mining = l1::Mining::Interval(interval);
    Ok(Some(l1::serve(chain, l1::ServeOptions { listen, mining }).await?))
}

async fn funder_provider(l1_url: &str) -> Result<impl Provider + use<>> {
    let client = obscuro_host::l1::connect(l1_url)
        .await
        .wrap_err_with(|| format!("cannot reach the L1 at {l1_url}: is it running?"))?;
    let provider = ProviderBuilder::new().wallet(accounts::funder()).connect_client(client);
    provider.client().set_poll_interval(Duration::from_millis(100));
    Ok(provider)
}

/// The config in the data directory, or a new deployment.
async fn prepare(options: &DevnetOptions, directory: &Path, l1_url: &str) -> Result<Prepared> {
    let path = directory.join(CONFIG_FILE);
    let l1 = funder_provider(l1_url).await?;
    let chain_id = l1
        .get_chain_id()
        .await
        .wrap_err_with(|| format!("cannot reach the L1 at {l1_url}: is it running?"))?;
    if path.exists() {
        let config: NetworkConfig = serde_json::from_slice(&fs::read(&path)?)
            .wrap_err_with(|| format!("{} is not a network configuration", path.display()))?;
        ensure!(
            config.l1ChainId == chain_id,
            "{} is for L1 chain {}, but {l1_url} is chain {chain_id}",
            path.display(),
            config.l1ChainId
        );
        return Ok(Prepared { config, is_new: false });
    }
    let parameters = Parameters {
        l2_chain_id: L2_CHAIN_ID,
        measurements: vec![SoftwareDevice::program_measurement()],
        withdrawal_blocks: WITHDRAWAL_BLOCKS,
        idle_blocks_max: IDLE_BLOCKS_MAX,
    };
    let config = deploy::deploy(&l1, accounts::funder().address(), &parameters).await?;
    let count = options.aggregators + options.verifiers;
    let operators: Vec<Address> =
        (0..count).map(|node| accounts::operator(node).address()).collect();
    let users: Vec<Address> = accounts::accounts().iter().map(PrivateKeySigner::address).collect();
    deploy::fund(&l1, &config, &operators, &users).await?;
    fs::write(&path, serde_json::to_vec_pretty(&config)?)?;
    Ok(Prepared { config, is_new: true })
}

fn aggregator() -> Role {
    let obx = U256::from(10).pow(U256::from(18));
    Role::Aggregator { stake: U256::from(STAKE_OBX) * obx }
}

fn verifier() -> Role {
    Role::Verifier
}

/// The first node creates a new network, then the others join it together.
async fn start_nodes(
    options: &DevnetOptions,
    directory: &Path,
    l1_url: &str,
    config: &NetworkConfig,
    is_new: bool,
) -> Result<Vec<NodeHandle>> {
    let DevnetOptions { carrier, prosecutes, claim_every, .. } = *options;
    let site = Site { directory, l1_url, config, carrier, prosecutes, claim_every };
    let start = |number: u32| {
        let role = if number < options.aggregators { aggregator() } else { verifier() };
        start_node(number, accounts::operator(number), role, site, is_new && number == 0)
    };
    let count = options.aggregators + options.verifiers;
    // Whoever still has the seed may have to give it to the first.
    if !is_new {
        return try_join_all((0..count).map(start)).await;
    }
    let mut nodes = vec![start(0).await?];
    nodes[0]
        .await_seed(READY_TIMEOUT)
        .await
        .ok_or_eyre("the first node did not create the network")?;
    nodes.extend(try_join_all((1..count).map(start)).await?);
    Ok(nodes)
}

/// What the nodes of a network have in common.
#[derive(Clone, Copy)]
struct Site<'a> {
    directory: &'a Path,
    l1_url: &'a str,
    config: &'a NetworkConfig,
    carrier: CarrierPolicy,
    prosecutes: bool,
    claim_every: Option<NonZeroU64>,
}

async fn start_node(
    number: u32,
    operator: PrivateKeySigner,
    role: Role,
    site: Site<'_>,
    genesis: bool,
) -> Result<NodeHandle> {
    let Site { directory, l1_url, config, carrier, prosecutes, claim_every } = site;
    // Nobody would pass on what a verifier sends.
    let claim_every = claim_every.filter(|_| role != Role::Verifier);
    let data_dir = directory.join(format!("node-{number}"));
    fs::create_dir_all(&data_dir)?;
    let enclave = Arc::new(InProcessEnclave::open(&data_dir)?);
    let options = NodeOptions {
        genesis,
        carrier,
        prosecutes,
        claims: claim_every.map(|every| ClaimOptions { every, ..Default::default() }),
        ..NodeOptions::new(config.clone(), l1_url.to_string(), data_dir, operator, role)
    };
    Ok(Node::start(options, enclave).await?)
}

/// Waits until every node holds the seed and sees a rollup; the network key.
async fn await_ready(nodes: &[NodeHandle]) -> Result<Vec<u8>> {
    for node in nodes {
        node.await_rollup(1, READY_TIMEOUT)
            .await
            .ok_or_eyre("a node did not become ready in time")?;
    }
    Ok(nodes[0].network_key().to_vec())
}

fn summary(
    config: &NetworkConfig,
    l1_url: &str,
    gateway: &GatewayHandle,
    nodes: &[NodeHandle],
    options: &DevnetOptions,
    directory: &Path,
) -> Summary {
    let role =
        |number| if number < options.aggregators as usize { "aggregator" } else { "verifier" };
    Summary {
        l1: Endpoint {
            rpc: l1_url.into(),
            ws: l1_url.replacen("http", "ws", 1),
            chain_id: config.l1ChainId,
        },
        gateway: Endpoint {
            rpc: format!("http://{}", gateway.addr),
            ws: format!("ws://{}", gateway.addr),
            chain_id: config.l2ChainId,
        },
        nodes: nodes
            .iter()
            .enumerate()
            .map(|(number, node)| NodeSummary {
                role: role(number),
                rpc: format!("http://{}", node.rpc_addr()),
            })
            .collect(),
        contracts: ContractsSummary {
            obscuro_token: config.contracts.obscuroToken,
            network_management: config.contracts.networkManagement,
            rollup_management: config.contracts.rollupManagement,
            bridge_management: config.contracts.bridgeManagement,
        },
        accounts: accounts::accounts()
            .iter()
            .map(|key| AccountSummary {
                address: key.address(),
                private_key: format!("0x{}", alloy_primitives::hex::encode(key.to_bytes())),
            })
            .collect(),
        data_dir: directory.to_path_buf(),
    }
}
