//! The fold: what one L1 block, on top of its ancestors, says about the network (protocol 4.2). A
//! reorganisation is another view, never an undo. Not here: whether a rollup is valid (`ledger`)
//! and the tree of views (`chain`).

use crate::l1::{Event, VerifiedBlock};
use alloy_primitives::{Address, B256, Bytes, U256};
use obscuro_protocol::{
    attestation::{ReportData, verify_development},
    canonical,
    config::{L1BlockId, NetworkConfig},
    l1::{
        IBridgeManagement::Deposited,
        INetworkManagement::{NodeRegistered, SeedShared},
        IRollupManagement::RollupPublished,
        RollupHeader,
    },
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};

/// The network as of one L1 block.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct View {
    /// The L1 block.
    pub block: L1BlockId,
    /// Its parent.
    pub parent: B256,
    /// Its time, seconds since 1970: the time of rollups proven by it.
    pub timestamp: u64,
    /// Its RANDAO mix.
    pub randao: B256,
    /// Registered enclaves.
    pub members: Arc<BTreeMap<Address, Member>>,
    /// The network key that the first node published.
    pub network_key: Option<Bytes>,
    /// Deposits that the canonical rollup has not applied, by index.
    pub deposits: Arc<Vec<Deposit>>,
    /// Number of all deposits so far.
    pub deposit_count: u64,
    /// The canonical rollup.
    pub head: Arc<Rollup>,
    /// L1 block that included it.
    pub included: u64,
    /// Newest L1 block with a rollup that is not canonical. Until the canonical chain progresses
    /// after it, L1 may see no head but the other: somebody has to publish, even nothing.
    pub contested: u64,
}

/// A registered enclave.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Member {
    /// L1 account that registered it.
    pub owner: Address,
    /// X-Wing key that receives the seed.
    pub encryption_key: Bytes,
    /// Where its host listens.
    pub host_address: String,
    /// OBX at stake.
    pub stake: U256,
    /// L1 block of its registration.
    pub registered: u64,
    /// Whether this enclave accepts its quote.
    pub attested: bool,
    /// Whether it was given the seed.
    pub has_seed: bool,
    /// Whether it left.
    pub left: bool,
}

impl Member {
    /// Whether it may publish rollups. The contract has checked the amount of the stake.
    pub fn is_aggregator(&self) -> bool {
        self.attested && self.has_seed && !self.left && !self.stake.is_zero()
    }

    /// Whether it should be given the seed.
    pub fn awaits_seed(&self) -> bool {
        self.attested && !self.has_seed && !self.left
    }
}

/// An executed rollup, as far as its children need it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rollup {
    /// Its hash; the config hash for the genesis.
    pub hash: B256,
    /// Its header.
    pub header: RollupHeader,
    /// Root of the trie from numbers to hashes, this rollup included.
    pub history_root: B256,
}

/// Assets that arrived on L1 and are owed on L2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deposit {
    /// Position among all deposits.
    pub index: u64,
    /// L1 address of the asset; zero for ETH.
    pub asset: Address,
    /// Who receives it on L2.
    pub to: Address,
    /// In the asset's smallest unit.
    pub amount: U256,
    /// Name, at the asset's first deposit.
    pub name: String,
    /// Symbol, at the asset's first deposit.
    pub symbol: String,
    /// Decimals, at the asset's first deposit.
    pub decimals: u8,
}

/// The network key and seed that the first registration published with itself; its quote binds
/// them, but the contract reports them after it.
fn genesis_secrets(events: &[Event]) -> (Bytes, Bytes) {
    let key = events.iter().find_map(|event| match event {
        Event::NetworkKey(key) => Some(key.clone()),
        _ => None,
    });
    let seed = events.iter().find_map(|event| match event {
        Event::SeedShared(share) if share.enclave == share.responder => {
            Some(share.encryptedSeed.clone())
        }
        _ => None,
    });
    (key.unwrap_or_default(), seed.unwrap_or_default())
}

/// The seed shares that a block held for one enclave.
pub type Shares = Vec<SeedShared>;

/// The parts of a view that need no execution, with what is left to decide.
pub struct Folded {
    view: View,
    /// Rollups on top of the parent's canonical one, in the order of L1.
    pub published: Vec<RollupPublished>,
    /// Seeds handed over in this block.
    pub shares: Shares,
    has_published: bool,
}

impl View {
    /// The view at the checkpoint.
    pub fn checkpoint(config: &NetworkConfig, genesis: Rollup) -> Self {
        Self {
            block: config.checkpoint.clone(),
            parent: B256::ZERO,
            timestamp: 0,
            randao: B256::ZERO,
            members: Arc::default(),
            network_key: None,
            deposits: Arc::default(),
            deposit_count: 0,
            head: Arc::new(genesis),
            included: config.checkpoint.number,
            contested: 0,
        }
    }

    /// Whether this enclave may publish.
    pub fn is_aggregator(&self, enclave: Address) -> bool {
        self.members.get(&enclave).is_some_and(Member::is_aggregator)
    }

    /// Applies a block's events; `measurement` is what quotes must show.
    pub fn fold(&self, block: VerifiedBlock, config: &NetworkConfig, measurement: B256) -> Folded {
        let mut folded = Folded {
            view: Self {
                block: block.id,
                parent: block.parent,
                timestamp: block.timestamp,
                randao: block.randao,
                ..self.clone()
            },
            published: Vec::new(),
            shares: Vec::new(),
            has_published: false,
        };
        let genesis = genesis_secrets(&block.events);
        for event in block.events {
            folded.apply(event, &genesis, config, measurement);
        }
        folded
    }
}

impl Folded {
    /// The L1 block.
    pub fn block(&self) -> L1BlockId {
        self.view.block.clone()
    }

    /// The network key, once published.
    pub fn network_key(&self) -> Option<&Bytes> {
        self.view.network_key.as_ref()
    }

    /// The view once the valid ones among [`Self::published`] are known: the canonical rule picks
    /// one (protocol 5.3); a sibling in a later block never competes.
    pub fn decide(mut self, valid: Vec<Arc<Rollup>>) -> View {
        if valid.is_empty() && self.has_published {
            self.view.contested = self.view.block.number;
        }
        let winner = valid.into_iter().min_by(|a, b| canonical::precedence(&a.header, &b.header));
        if let Some(winner) = winner {
            let cursor = winner.header.depositCursor;
            Arc::make_mut(&mut self.view.deposits).retain(|deposit| deposit.index >= cursor);
            self.view.included = self.view.block.number;
            self.view.head = winner;
        }
        self.view
    }

    fn apply(
        &mut self,
        event: Event,
        genesis: &(Bytes, Bytes),
        config: &NetworkConfig,
        measurement: B256,
    ) {
        match event {
            Event::Registered(event) => self.register(*event, genesis, config, measurement),
            Event::NetworkKey(key) => {
                self.view.network_key.get_or_insert(key);
            }
            Event::SeedShared(event) => {
                self.update_member(event.enclave, |member| member.has_seed = true);
                self.shares.push(event);
            }
            Event::HostAddress(event) => {
                self.update_member(event.enclave, |member| member.host_address = event.hostAddress);
            }
            Event::Left(enclave) => self.update_member(enclave, |member| member.left = true),
            Event::Published(event) if event.header.parent == self.view.head.hash => {
                self.published.push(*event);
                self.has_published = true;
            }
            // A sibling of an older rollup: it lost when that one was included first.
            Event::Published(_) => self.view.contested = self.view.block.number,
            Event::Deposited(event) => self.deposit(*event),
        }
    }

    fn register(
        &mut self,
        event: NodeRegistered,
        genesis: &(Bytes, Bytes),
        config: &NetworkConfig,
        measurement: B256,
    ) {
        let attested = event.l1Block < self.view.block.number
            && self.attested(&event, genesis, config) == Some(measurement);
        Arc::make_mut(&mut self.view.members).entry(event.enclave).or_insert(Member {
            owner: event.owner,
            encryption_key: event.encryptionKey,
            host_address: event.hostAddress,
            stake: event.stake,
            registered: self.view.block.number,
            attested,
            has_seed: false,
            left: false,
        });
    }

    /// Verifies the quote again, whatever the contract said (protocol 3.4). Only the first
    /// registration of all binds a network key and a seed.
    fn attested(
        &self,
        event: &NodeRegistered,
        (network_key, encrypted_seed): &(Bytes, Bytes),
        config: &NetworkConfig,
    ) -> Option<B256> {
        let (network_key, encrypted_seed) = match self.view.members.is_empty() {
            true => (&network_key[..], &encrypted_seed[..]),
            false => Default::default(),
        };
        let report_data = ReportData {
            l1_chain_id: config.l1ChainId,
            contract: config.contracts.networkManagement,
            enclave: event.enclave,
            owner: event.owner,
            encryption_key: &event.encryptionKey,
            config_hash: config.hash(),
            l1_block: event.l1Block,
            l1_block_hash: event.l1BlockHash,
            network_key,
            encrypted_seed,
        };
        verify_development(&event.quote, report_data.hash(), config.attestationRoot).ok()
    }

    fn update_member(&mut self, enclave: Address, update: impl FnOnce(&mut Member)) {
        if let Some(member) = Arc::make_mut(&mut self.view.members).get_mut(&enclave) {
            update(member);
        }
    }

    fn deposit(&mut self, event: Deposited) {
        self.view.deposit_count = event.index.saturating_add(1);
        Arc::make_mut(&mut self.view.deposits).push(Deposit {
            index: event.index,
            asset: event.asset,
            to: event.to,
            amount: event.amount,
            name: event.name,
            symbol: event.symbol,
            decimals: event.decimals,
        });
    }
}
