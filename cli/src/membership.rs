//! A network as L1 shows it: the events of `AttestationVerifier` and `NetworkManagement`, folded as
//! enclaves fold them, with the last quote of every node verified again. The L1 node that is asked is
//! believed. Not here: what is printed (`network`, `verify`).

use crate::{account::Key, setup};
use alloy_network::TransactionBuilder;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_provider::{Provider, ProviderBuilder};
use alloy_rpc_types_eth::{BlockNumberOrTag, Filter, Log, TransactionRequest};
use alloy_sol_types::{SolCall, SolEventInterface};
use clap::Args;
use eyre::{Context, OptionExt, Result, ensure, eyre};
use obscuro_protocol::{
    attestation::{
        AttestationError, Attested, INTEL_ROOT, Registry, ReportData, Statement, Subject, Tee,
    },
    config::NetworkConfig,
    l1::{
        IAttestationVerifier::IAttestationVerifierEvents,
        INetworkManagement::{INetworkManagementEvents, networkConfigHashCall},
        IRollupManagement::isSuspendedCall,
    },
};
use std::{collections::BTreeMap, path::PathBuf};

/// L1 blocks whose events are asked for at once: public L1 nodes refuse more.
pub const BLOCKS_AT_ONCE: u64 = 10_000;

/// The network and its L1.
#[derive(Args)]
pub struct Source {
    /// The network's configuration, as `obscuro devnet` writes it or as the founders hand it out
    #[arg(long, value_name = "FILE", default_value = "network.json")]
    network: PathBuf,
    /// An L1 node that you trust
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8545")]
    l1: String,
}

impl Source {
    /// Reads the network from L1.
    pub async fn read(&self) -> Result<Network> {
        let config = setup::network(&self.network)?;
        let l1 = setup::l1(&self.l1, &config).await?;
        Network::read(&l1, config).await
    }

    /// The configuration, and L1 for an account that sends transactions.
    pub async fn as_account(&self, key: &Key) -> Result<(NetworkConfig, impl Provider + use<>)> {
        let config = setup::network(&self.network)?;
        setup::l1(&self.l1, &config).await?;
        let client = obscuro_host::l1::connect(&self.l1).await?;
        Ok((config, ProviderBuilder::new().wallet(key.signer()?).connect_client(client)))
    }
}

/// A network at an L1 block.
pub struct Network {
    /// Everything that affects trust.
    pub config: NetworkConfig,
    /// Its hash.
    pub config_hash: B256,
    /// The newest L1 block.
    pub block: u64,
    /// Its time, seconds since 1970.
    pub time: u64,
    /// What is demanded of quotes, and everything to verify them with.
    pub registry: Registry,
    /// Every node that ever registered.
    pub nodes: BTreeMap<Address, Node>,
    /// L1 block in which each seed epoch began, the first first.
    pub epochs: Vec<u64>,
    /// The epoch that the owner asks for: since which L1 block, and of whom (zero: anybody).
    pub asked: Option<(u64, Address)>,
    /// When what enclaves verify quotes with expires, seconds since 1970.
    pub collateral: BTreeMap<String, u64>,
    /// Whether a deep fork is alive, so that L1 pays no withdrawal.
    pub is_suspended: bool,
}

/// A node as registered.
pub struct Node {
    /// The L1 account that registered it.
    pub owner: Address,
    /// Where its host listens.
    pub host_address: String,
    /// OBX at stake, in its smallest unit.
    pub stake: U256,
    /// L1 block of its registration.
    pub registered: u64,
    /// Its last quote.
    pub quote: Bytes,
    /// What that must say.
    pub report_data: B256,
    /// The L1 block that it names.
    pub attested: u64,
    /// What it proves, or why enclaves do not accept it.
    pub proven: Result<Attested, AttestationError>,
    /// The last epoch of which L1 holds a share for it; 0 if none.
    pub epoch: u32,
    /// Who made that share.
    pub answered_by: Address,
    /// Whether it ever had a share that it did not reject.
    pub had_seed: bool,
    /// L1 block since which it waits for the current seed.
    pub waits_since: u64,
    /// L1 block in which it left.
    pub left: Option<u64>,
    /// L1 block in which it was slashed.
    pub slashed: Option<u64>,
    encryption_key: Bytes,
    lottery_key: Bytes,
    /// Which event brought the quote.
    position: usize,
}

/// Whether a node counts, and why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It counts.
    Member,
    /// It left in this L1 block.
    Left(u64),
    /// It was slashed in this L1 block.
    Slashed(u64),
    /// Enclaves do not accept its quote.
    Refused(String),
    /// It should have attested again before this L1 block.
    Lapsed(u64),
    /// Its program is not approved now.
    Program(B256),
    /// Its machine was removed.
    Machine(B256),
}

impl Network {
    /// The network at the head of L1.
    pub async fn read(l1: &impl Provider, config: NetworkConfig) -> Result<Self> {
        let config_hash = config.hash();
        check_contract(l1, &config, config_hash).await?;
        let head = l1.get_block_by_number(BlockNumberOrTag::Latest).await?;
        let head = head.ok_or_eyre("the L1 has no blocks")?.header;
        let logs = logs(l1, &config, head.number).await?;
        let mut network = Self {
            config_hash,
            block: head.number,
            time: head.timestamp,
            registry: Registry::default(),
            nodes: BTreeMap::new(),
            epochs: Vec::new(),
            asked: None,
            collateral: BTreeMap::new(),
            is_suspended: is_suspended(l1, &config).await?,
            config,
        };
        network.fold(&logs);
        network.verify(l1, &logs).await?;
        Ok(network)
    }

    /// Whether the root of attestation is Intel's: otherwise this protects nothing.
    pub fn is_production(&self) -> bool {
        self.config.attestationRoot == keccak256(INTEL_ROOT)
    }

    /// The current seed epoch; 0 before the network is founded.
    pub fn epoch(&self) -> u32 {
        self.epochs.len() as u32
    }

    /// Whether a node counts.
    pub fn standing(&self, node: &Node) -> Standing {
        let attested = match &node.proven {
            _ if node.slashed.is_some() => {
                return Standing::Slashed(node.slashed.unwrap_or_default());
            }
            _ if node.left.is_some() => return Standing::Left(node.left.unwrap_or_default()),
            Err(error) => return Standing::Refused(error.to_string()),
            Ok(attested) => attested,
        };
        if self.block > self.counts_until(node) {
            return Standing::Lapsed(self.counts_until(node));
        }
        let approval = self.registry.approval(attested.measurement);
        if !approval.is_some_and(|approval| approval.is_active(self.block)) {
            return Standing::Program(attested.measurement);
        }
        match self.registry.is_admitted(attested.measurement, attested.machine, self.block) {
            true => Standing::Member,
            false => Standing::Machine(attested.machine),
        }
    }

    /// The last L1 block in which a node's quote counts.
    pub fn counts_until(&self, node: &Node) -> u64 {
        node.attested.saturating_add(self.registry.lifetime_blocks())
    }

    /// Whether a node was given the current seed.
    pub fn holds_seed(&self, node: &Node) -> bool {
        node.epoch != 0 && node.epoch == self.epoch()
    }

    /// What a node may do.
    pub fn role(&self, node: &Node) -> &'static str {
        if node.stake.is_zero() { "verifier" } else { "aggregator" }
    }

    /// Everything but the quotes.
    fn fold(&mut self, logs: &[Log]) {
        let mut statements = BTreeMap::<String, Statement>::new();
        let genesis = genesis_secrets(logs);
        for (position, log) in logs.iter().enumerate() {
            let block = log.block_number.unwrap_or_default();
            match Event::read(log, &self.config) {
                Some(Event::Network(event)) => self.network(event, block, position, &genesis),
                Some(Event::Attestation(event)) => self.expiry(event, &mut statements),
                None => {}
            }
        }
        let expiries = statements.into_iter().map(|(name, statement)| (name, statement.expires));
        self.collateral.extend(expiries);
    }

    fn network(
        &mut self,
        event: INetworkManagementEvents,
        block: u64,
        position: usize,
        genesis: &(Bytes, Bytes),
    ) {
        use INetworkManagementEvents as Event;
        match event {
            Event::NodeRegistered(event) => {
                let secrets = match self.nodes.is_empty() {
                    true => genesis.clone(),
                    false => Default::default(),
                };
                let report_data = ReportData {
                    l1_chain_id: self.config.l1ChainId,
                    contract: self.config.contracts.networkManagement,
                    enclave: event.enclave,
                    owner: event.owner,
                    encryption_key: &event.encryptionKey,
                    lottery_key: &event.lotteryKey,
                    config_hash: self.config_hash,
                    l1_block: event.l1Block,
                    l1_block_hash: event.l1BlockHash,
                    network_key: &secrets.0,
                    encrypted_seed: &secrets.1,
                };
                self.nodes.entry(event.enclave).or_insert(Node {
                    report_data: report_data.hash(),
                    owner: event.owner,
                    host_address: event.hostAddress,
                    stake: event.stake,
                    registered: block,
                    quote: event.quote,
                    attested: event.l1Block,
                    proven: Err(AttestationError::Malformed),
                    epoch: 0,
                    answered_by: Address::ZERO,
                    had_seed: false,
                    waits_since: block,
                    left: None,
                    slashed: None,
                    encryption_key: event.encryptionKey,
                    lottery_key: event.lotteryKey,
                    position,
                });
            }
            Event::NodeReattested(event) => {
                let Some(node) = self.nodes.get_mut(&event.enclave) else { return };
                node.report_data = ReportData {
                    l1_chain_id: self.config.l1ChainId,
                    contract: self.config.contracts.networkManagement,
                    enclave: event.enclave,
                    owner: node.owner,
                    encryption_key: &node.encryption_key,
                    lottery_key: &node.lottery_key,
                    config_hash: self.config_hash,
                    l1_block: event.l1Block,
                    l1_block_hash: event.l1BlockHash,
                    network_key: &[],
                    encrypted_seed: &[],
                }
                .hash();
                (node.quote, node.attested) = (event.quote, event.l1Block);
                node.position = position;
            }
            Event::SeedEpochBegun(event) => self.asked = Some((block, event.opener)),
            Event::NetworkKeyPublished(_) => {
                self.epochs.push(block);
                self.asked = None;
                self.nodes.values_mut().for_each(|node| node.waits_since = block);
            }
            Event::SeedShared(event) => self.update(event.enclave, |node| {
                (node.epoch, node.answered_by) = (event.epoch, event.responder);
                node.had_seed = true;
            }),
            Event::SeedRejected(event) => self.update(event.enclave, |node| {
                node.epoch = event.epoch.saturating_sub(1);
                node.had_seed = node.epoch > 0;
                node.waits_since = block;
            }),
            Event::HostAddressChanged(event) => {
                self.update(event.enclave, |node| node.host_address = event.hostAddress);
            }
            Event::NodeLeft(event) => self.update(event.enclave, |node| node.left = Some(block)),
            Event::NodeSlashed(event) => self.update(event.enclave, |node| {
                node.slashed = Some(block);
                node.left.get_or_insert(block);
            }),
        }
    }

    fn update(&mut self, enclave: Address, change: impl FnOnce(&mut Node)) {
        if let Some(node) = self.nodes.get_mut(&enclave) {
            change(node);
        }
    }

    /// Remembers when a piece of collateral expires.
    fn expiry(
        &mut self,
        event: IAttestationVerifierEvents,
        statements: &mut BTreeMap<String, Statement>,
    ) {
        use IAttestationVerifierEvents as Event;
        match event {
            Event::CrlPublished(event) => {
                let name = format!("revocation list of {}", event.authority);
                self.collateral.insert(name, event.nextUpdate.to());
            }
            Event::CollateralPublished(event) => {
                let Ok(json) = std::str::from_utf8(&event.json) else { return };
                let Ok(statement) = Statement::read(json) else { return };
                let name = subject(statement.subject);
                let is_newer = |known: &Statement| statement.precedence(known).is_ge();
                if statements.get(&name).is_none_or(is_newer) {
                    statements.insert(name, statement);
                }
            }
            _ => {}
        }
    }

    /// Verifies the last quote of every node as of the block that brought it, as enclaves do.
    async fn verify(&mut self, l1: &impl Provider, logs: &[Log]) -> Result<()> {
        let mut times = BTreeMap::new();
        let mut quotes = BTreeMap::new();
        for (enclave, node) in &self.nodes {
            let block = logs.get(node.position).and_then(|log| log.block_number);
            let block = block.ok_or_eyre("the L1 does not say in which block an event was")?;
            if let std::collections::btree_map::Entry::Vacant(entry) = times.entry(block) {
                let found = l1.get_block_by_number(block.into()).await?;
                let found = found.ok_or_else(|| eyre!("the L1 does not know its block {block}"))?;
                entry.insert(found.header.timestamp);
            }
            quotes.insert(node.position, (*enclave, block));
        }
        for (position, log) in logs.iter().enumerate() {
            if let Some(Event::Attestation(event)) = Event::read(log, &self.config) {
                self.registry.apply(event, self.config.attestationRoot);
            }
            let Some((enclave, block)) = quotes.get(&position) else { continue };
            let time = times.get(block).copied().unwrap_or_default();
            let Some(node) = self.nodes.get_mut(enclave) else { continue };
            let proven = self.registry.verify(&node.quote, *block, time);
            node.proven = proven.and_then(|attested| {
                attested.check_report_data(node.report_data)?;
                Ok(attested)
            });
        }
        Ok(())
    }
}

/// Whether a deep fork is alive (protocol 9.4).
pub async fn is_suspended(l1: &impl Provider, config: &NetworkConfig) -> Result<bool> {
    let request = TransactionRequest::default()
        .with_to(config.contracts.rollupManagement)
        .with_input(isSuspendedCall {}.abi_encode());
    Ok(isSuspendedCall::abi_decode_returns(&l1.call(request).await?)?)
}

fn subject(subject: Subject) -> String {
    let tee = |tee| match tee {
        Tee::Sgx => "SGX",
        Tee::Tdx => "TDX",
    };
    match subject {
        Subject::TcbInfo(of, fmspc) => {
            format!("{} TCB info of {}", tee(of), alloy_primitives::hex::encode(fmspc))
        }
        Subject::QeIdentity(of) => format!("{} QE identity", tee(of)),
    }
}

/// An event of one of the two contracts.
enum Event {
    Attestation(IAttestationVerifierEvents),
    Network(INetworkManagementEvents),
}

impl Event {
    /// Events that nobody here needs are none.
    fn read(log: &Log, config: &NetworkConfig) -> Option<Self> {
        if log.address() == config.contracts.attestationVerifier {
            let event = IAttestationVerifierEvents::decode_log(&log.inner).ok()?;
            return Some(Self::Attestation(event.data));
        }
        Some(Self::Network(INetworkManagementEvents::decode_log(&log.inner).ok()?.data))
    }
}

/// The network key and seed that the quote of the first registration binds.
fn genesis_secrets(logs: &[Log]) -> (Bytes, Bytes) {
    let (mut key, mut seed) = (Bytes::new(), Bytes::new());
    for log in logs {
        match INetworkManagementEvents::decode_log(&log.inner).map(|event| event.data) {
            Ok(INetworkManagementEvents::NetworkKeyPublished(event)) if event.epoch == 1 => {
                key = event.networkKey;
            }
            Ok(INetworkManagementEvents::SeedShared(share))
                if share.epoch == 1 && share.enclave == share.responder =>
            {
                seed = share.encryptedSeed;
            }
            _ => {}
        }
    }
    (key, seed)
}

/// All events of both contracts, in their order.
async fn logs(l1: &impl Provider, config: &NetworkConfig, head: u64) -> Result<Vec<Log>> {
    let contracts = &config.contracts;
    let mut logs = Vec::new();
    let mut from = config.checkpoint.number;
    while from <= head {
        let to = head.min(from.saturating_add(BLOCKS_AT_ONCE - 1));
        let filter = Filter::new()
            .address(vec![contracts.attestationVerifier, contracts.networkManagement])
            .from_block(from)
            .to_block(to);
        logs.extend(l1.get_logs(&filter).await.wrap_err("cannot read the network from L1")?);
        from = to + 1;
    }
    Ok(logs)
}

/// The contract must name this configuration: enclaves of another network prove nothing here.
async fn check_contract(
    l1: &impl Provider,
    config: &NetworkConfig,
    config_hash: B256,
) -> Result<()> {
    let contract = config.contracts.networkManagement;
    let call = TransactionRequest::default()
        .with_to(contract)
        .with_input(networkConfigHashCall {}.abi_encode());
    let answer = l1.call(call).await.wrap_err("cannot ask NetworkManagement on L1")?;
    let found = networkConfigHashCall::abi_decode_returns(&answer)
        .map_err(|_| eyre!("there is no NetworkManagement at {contract} on this L1"))?;
    ensure!(
        found == config_hash,
        "the contract at {contract} is for network {found}, but the configuration is that of \
         {config_hash}: use the file of this network"
    );
    Ok(())
}
