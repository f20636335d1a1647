//! The fold: what one L1 block, on top of its ancestors, says about the network (protocol 4.2). A
//! reorganisation is another view, never an undo. Not here: whether a rollup is valid (`ledger`)
//! and the tree of views (`chain`).

use crate::{
    fees::Fees,
    l1::{Event, VerifiedBlock},
    rewards::{Around, Rewards},
};
use alloy_primitives::{Address, B256, Bytes, U256};
use obscuro_protocol::{
    attestation::{Registry, ReportData},
    canonical,
    config::{L1BlockId, NetworkConfig},
    forced::ForcedEnvelope,
    l1::{
        IBridgeManagement::Deposited,
        INetworkManagement::{
            INetworkManagementEvents, NodeLeft, NodeReattested, NodeRegistered, NodeSlashed,
            SeedShared,
        },
        IRollupManagement::{RollupPublished, TransactionForced},
        RollupHeader,
    },
    limits::CANDIDATES_JUDGED_MAX,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

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
    /// What L1 and L2 cost lately.
    pub fees: Fees,
    /// What nodes earned and L2 does not know of.
    pub rewards: Rewards,
    /// What is demanded of quotes, and everything to verify them with.
    pub attestation: Arc<Registry>,
    /// Registered enclaves that have not left.
    pub nodes: Arc<BTreeMap<Address, RegisteredNode>>,
    /// Those that left or were slashed. Only their addresses are kept: the contract registers no
    /// enclave twice.
    pub departed: Arc<BTreeSet<Address>>,
    /// The network keys of all seed epochs so far, that of epoch 1 first; empty for lost epochs.
    pub network_keys: Arc<Vec<Bytes>>,
    /// The seed epoch that the contract's owner asks for.
    pub epoch_begun: Option<EpochBegun>,
    /// Deposits that the canonical rollup has not applied, by index.
    pub deposits: Arc<Vec<Deposit>>,
    /// Number of all deposits so far.
    pub deposit_count: u64,
    /// Forced transactions that the canonical rollup has not applied, by index; without those that
    /// have not the form of one. One rollup takes more than one L1 block can bring, so they are few
    /// while rollups come.
    pub forced: Arc<Vec<Forced>>,
    /// Number of all forced transactions so far.
    pub forced_count: u64,
    /// The canonical rollup.
    pub head: Arc<Rollup>,
    /// How many rollups of an aggregator and round (parent, L1 proof) were published, of rounds in which one
    /// may still count.
    pub published: Arc<BTreeMap<(B256, B256, Address), u8>>,
    /// Whether rollups up to here could not be read when this view was folded: its head is then only
    /// the last one known.
    pub is_blind: bool,
    /// L1 block that included it.
    pub included: u64,
    /// Newest L1 block with a rollup that is not canonical. Until the canonical chain progresses
    /// after it, L1 may see no head but the other: somebody has to publish, even nothing.
    pub contested: u64,
}

/// A registered enclave.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RegisteredNode {
    /// L1 account that registered it.
    pub owner: Address,
    /// X-Wing key that receives the seed.
    pub encryption_key: Bytes,
    /// BLS key that proves its lots.
    pub lottery_key: Bytes,
    /// Where its host listens.
    pub host_address: String,
    /// OBX at stake.
    pub stake: U256,
    /// L1 block of its registration.
    pub registered: u64,
    /// What its last quote proves, if this enclave accepts it (protocol 3.4).
    pub attestation: Option<Attestation>,
    /// The last epoch of which L1 holds a share for it.
    pub epoch: u32,
    /// The one before that: what it holds if it rejects that share.
    pub held: u32,
    /// Who gave it that share.
    pub answered_by: Option<Address>,
    /// L1 block since which it waits for the seed.
    pub waits_since: u64,
    /// Whose shares it rejected in the current epoch.
    pub rejected: Vec<Address>,
}

impl RegisteredNode {
    /// Notes the share that L1 took for it.
    fn take(&mut self, epoch: u32, responder: Address) {
        if self.epoch != epoch {
            self.held = self.epoch;
        }
        (self.epoch, self.answered_by) = (epoch, Some(responder));
    }
}

/// What a quote proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attestation {
    /// The program.
    pub measurement: B256,
    /// The machine.
    pub machine: B256,
    /// The L1 block that the quote names.
    pub block: u64,
}

/// A seed epoch that waits to be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochBegun {
    /// Its number.
    pub epoch: u32,
    /// The only node that may open it; any responder if zero.
    pub opener: Address,
    /// L1 block of the request.
    pub since: u64,
}

/// An executed rollup, as far as its children need it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Rollup {
    /// Its hash; the config hash for the genesis.
    pub hash: B256,
    /// Its header.
    pub header: RollupHeader,
    /// Root of the trie from numbers to hashes and the digests of bodies, this rollup included.
    pub history_root: B256,
    /// Length of its payload.
    pub payload_bytes: u64,
    /// Gas that its transactions were charged for their data.
    pub data_gas: u64,
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

/// A transaction that L1 demands to be applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forced {
    /// Position among all forced transactions.
    pub index: u64,
    /// As posted: see `obscuro_protocol::forced`.
    pub envelope: Bytes,
}

/// The network key and seed that the first registration published with itself; its quote binds
/// them, but the contract reports them after it.
fn genesis_secrets(events: &[Event]) -> (Bytes, Bytes) {
    let (mut key, mut seed) = (Bytes::new(), Bytes::new());
    for event in events {
        let Event::Network(event) = event else { continue };
        match &**event {
            INetworkManagementEvents::NetworkKeyPublished(event) if event.epoch == 1 => {
                key = event.networkKey.clone();
            }
            INetworkManagementEvents::SeedShared(share)
                if share.epoch == 1 && share.enclave == share.responder =>
            {
                seed = share.encryptedSeed.clone();
            }
            _ => {}
        }
    }
    (key, seed)
}

/// The seed shares that a block held for one enclave.
pub type Shares = Vec<SeedShared>;

/// The parts of a view that need no execution, with what is left to decide.
pub struct Folded {
    view: View,
    /// Rollups on top of the parent's canonical one, in the order of L1.
    pub published: Vec<RollupPublished>,
    /// Rollups that cannot be canonical any more, but prove another to be a front-runner.
    pub late: Vec<RollupPublished>,
    /// Seeds handed over in this block.
    pub shares: Shares,
    has_published: bool,
    proposer: Address,
}

impl View {
    /// The view at the checkpoint.
    pub fn checkpoint(config: &NetworkConfig, genesis: Rollup) -> Self {
        Self {
            block: config.checkpoint.clone(),
            parent: B256::ZERO,
            timestamp: 0,
            randao: B256::ZERO,
            fees: Fees::default(),
            rewards: Rewards::default(),
            attestation: Arc::default(),
            nodes: Arc::default(),
            departed: Arc::default(),
            network_keys: Arc::default(),
            epoch_begun: None,
            deposits: Arc::default(),
            deposit_count: 0,
            forced: Arc::default(),
            forced_count: 0,
            head: Arc::new(genesis),
            published: Arc::default(),
            is_blind: false,
            included: config.checkpoint.number,
            contested: 0,
        }
    }

    /// The current seed epoch; 0 before the network is founded.
    pub fn epoch(&self) -> u32 {
        self.network_keys.len() as u32
    }

    /// The network keys with which the next epoch begins. Epochs newer than any that a member holds,
    /// by L1, are lost: a broken TEE opened them and gave nobody a share, or all who had one are gone.
    pub fn lasting_keys(&self) -> Vec<Bytes> {
        let held = self.members().map(|(_, member)| member.epoch).max().unwrap_or_default().max(1);
        let lasting = |(epoch, key): (u32, &Bytes)| match epoch <= held {
            true => key.clone(),
            false => Bytes::new(),
        };
        (1..).zip(&*self.network_keys).map(lasting).collect()
    }

    /// Whether an enclave ever registered.
    pub fn is_registered(&self, enclave: Address) -> bool {
        self.nodes.contains_key(&enclave) || self.departed.contains(&enclave)
    }

    /// A node that counts: registered, not left, attested lately, its program and machine admitted.
    pub fn member(&self, enclave: Address) -> Option<&RegisteredNode> {
        self.nodes.get(&enclave).filter(|node| self.is_member(node))
    }

    /// All nodes that count.
    pub fn members(&self) -> impl Iterator<Item = (Address, &RegisteredNode)> {
        let counts = |(_, node): &(&Address, &RegisteredNode)| self.is_member(node);
        self.nodes.iter().filter(counts).map(|(enclave, node)| (*enclave, node))
    }

    fn is_member(&self, node: &RegisteredNode) -> bool {
        let lifetime = self.attestation.lifetime_blocks();
        let is_recent =
            |attested: Attestation| self.block.number <= attested.block.saturating_add(lifetime);
        self.is_admitted(node) && node.attestation.is_some_and(is_recent)
    }

    /// Members, and those that would be if they attested again.
    pub fn admitted(&self) -> impl Iterator<Item = (Address, &RegisteredNode)> {
        let admitted = self.nodes.iter().filter(|(_, node)| self.is_admitted(node));
        admitted.map(|(enclave, node)| (*enclave, node))
    }

    fn is_admitted(&self, node: &RegisteredNode) -> bool {
        node.attestation.is_some_and(|Attestation { measurement, machine, .. }| {
            self.attestation.is_admitted(measurement, machine, self.block.number)
        })
    }

    /// Whether a node holds the current seed, so that it may answer others.
    pub fn is_responder(&self, enclave: Address) -> bool {
        self.member(enclave).is_some_and(|member| self.holds_seed(member))
    }

    /// A node whose enclave may take part in the round proven by this block. The contract has checked
    /// the amount of the stake. Not in the block after its registration: its RANDAO mix is known to whoever
    /// made the one before (EIP-4399), who could have chosen a lottery key that suits it.
    pub fn aggregator(&self, enclave: Address) -> Option<&RegisteredNode> {
        self.member(enclave).filter(|member| {
            self.holds_seed(member)
                && !member.stake.is_zero()
                && member.registered.saturating_add(1) < self.block.number
        })
    }

    /// Whether there is such a node.
    pub fn is_aggregator(&self, enclave: Address) -> bool {
        self.aggregator(enclave).is_some()
    }

    /// Members that wait for the current seed.
    pub fn awaiting_seed(&self) -> impl Iterator<Item = (Address, &RegisteredNode)> {
        self.members().filter(|(_, member)| !self.holds_seed(member))
    }

    fn holds_seed(&self, member: &RegisteredNode) -> bool {
        member.epoch != 0 && member.epoch == self.epoch()
    }

    /// Whether a child of this rollup may become canonical, or show that another one ran ahead of it.
    fn may_still_count(&self, parent: B256) -> bool {
        parent == self.head.hash || self.rewards.is_open(parent)
    }

    /// Applies a block's events.
    pub fn fold(&self, block: VerifiedBlock, config: &NetworkConfig) -> Folded {
        let mut folded = Folded {
            view: Self {
                block: block.id,
                parent: block.parent,
                timestamp: block.timestamp,
                randao: block.randao,
                is_blind: false,
                fees: self.fees.clone(),
                ..self.clone()
            },
            published: Vec::new(),
            late: Vec::new(),
            proposer: block.proposer,
            shares: Vec::new(),
            has_published: false,
        };
        folded.view.fees.follow(block.prices);
        let genesis = genesis_secrets(&block.events);
        for event in block.events {
            folded.apply(event, &genesis, config);
        }
        folded
    }
}

impl Folded {
    /// The L1 block.
    pub fn block(&self) -> L1BlockId {
        self.view.block.clone()
    }

    /// The network keys of all epochs.
    pub fn network_keys(&self) -> &[Bytes] {
        &self.view.network_keys
    }

    /// The network keys of the parent's epochs that are lost from here on.
    pub fn lost_keys(&self, parent: &View) -> Vec<Bytes> {
        let keys = parent.network_keys.iter();
        keys.filter(|key| !self.view.network_keys.contains(key)).cloned().collect()
    }

    /// The view of an enclave that cannot read rollups.
    pub fn unread(mut self, config: &NetworkConfig) -> View {
        self.view.is_blind = !self.view.network_keys.is_empty();
        self.decide(Vec::new(), Vec::new(), &[], config)
    }

    /// The view once the valid ones among [`Self::published`] are known: the canonical rule picks
    /// one (protocol 5.3); a sibling in a later block never competes. `late` are the valid ones among
    /// [`Self::late`]; of the `members` before this block, with their owners, one is drawn for a prize: whoever
    /// made the block could have changed those after it until the draw suited them.
    pub fn decide(
        mut self,
        valid: Vec<Arc<Rollup>>,
        late: Vec<Arc<Rollup>>,
        members: &[(Address, Address)],
        config: &NetworkConfig,
    ) -> View {
        if valid.is_empty() && self.has_published {
            self.view.contested = self.view.block.number;
        }
        let nodes = self.view.nodes.clone();
        let (block, prices) = (self.view.block.number, self.view.fees.l1);
        let around = Around { block, prices, nodes: &nodes, config };
        late.iter().for_each(|late| self.view.rewards.overtake(late, around));
        let winner =
            valid.iter().min_by(|a, b| canonical::precedence(&a.header, &b.header)).cloned();
        if let Some(winner) = winner {
            self.view.rewards.include(&winner, &valid, around);
            let chance = (self.view.randao, self.proposer);
            self.view.rewards.draw(&winner, chance, members, around);
            let RollupHeader { depositCursor, forcedCursor, .. } = winner.header;
            Arc::make_mut(&mut self.view.deposits).retain(|deposit| deposit.index >= depositCursor);
            Arc::make_mut(&mut self.view.forced).retain(|forced| forced.index >= forcedCursor);
            self.view.included = self.view.block.number;
            self.view.fees.include(&winner, config);
            self.view.head = winner;
        }
        self.view.rewards.settle(block);
        let is_past = |(parent, ..): &(B256, B256, Address)| !self.view.may_still_count(*parent);
        if self.view.published.keys().any(is_past) {
            let mut published = (*self.view.published).clone();
            published.retain(|round, _| !is_past(round));
            self.view.published = Arc::new(published);
        }
        self.view
    }

    fn apply(&mut self, event: Event, genesis: &(Bytes, Bytes), config: &NetworkConfig) {
        match event {
            Event::Attestation(event) => {
                Arc::make_mut(&mut self.view.attestation).apply(*event, config.attestationRoot);
            }
            Event::Network(event) => self.network(*event, genesis, config),
            Event::Published(event) if event.header.parent == self.view.head.hash => {
                self.has_published = true;
                if self.may_count(&event.header) {
                    self.published.push(*event);
                }
            }
            // A sibling of an older rollup: it lost when that one was included first.
            Event::Published(event) => {
                self.view.contested = self.view.block.number;
                let (header, block) = (&event.header, self.view.block.number);
                if self.may_count(header) && self.view.rewards.concern(header, block) {
                    self.late.push(*event);
                }
            }
            Event::Deposited(event) => self.deposit(*event),
            Event::Forced(event) => self.force(*event),
        }
    }

    /// Notes that a rollup was published, and whether it is among the first of its aggregator and round: a
    /// broken TEE could otherwise keep every enclave busy at the price of L1's gas.
    fn may_count(&mut self, header: &RollupHeader) -> bool {
        if !self.view.may_still_count(header.parent) {
            return false;
        }
        let (parent, proof) = header.round();
        let published = Arc::make_mut(&mut self.view.published);
        let count = published.entry((parent, proof, header.aggregator)).or_default();
        *count = count.saturating_add(1);
        *count <= CANDIDATES_JUDGED_MAX
    }

    fn network(
        &mut self,
        event: INetworkManagementEvents,
        genesis: &(Bytes, Bytes),
        config: &NetworkConfig,
    ) {
        use INetworkManagementEvents as Network;
        let block = self.view.block.number;
        match event {
            Network::NodeRegistered(event) => self.register(event, genesis, config),
            Network::NodeReattested(event) => self.reattest(event, config),
            Network::SeedEpochBegun(event) if event.epoch == self.view.epoch() + 1 => {
                let (epoch, opener) = (event.epoch, event.opener);
                self.view.epoch_begun = Some(EpochBegun { epoch, opener, since: block });
            }
            Network::NetworkKeyPublished(event) if event.epoch == self.view.epoch() + 1 => {
                let mut keys = self.view.lasting_keys();
                keys.push(event.networkKey);
                self.view.network_keys = Arc::new(keys);
                self.view.epoch_begun = None;
                for node in Arc::make_mut(&mut self.view.nodes).values_mut() {
                    node.rejected.clear();
                    node.waits_since = block;
                }
                // For L1, who made a seed holds it.
                self.update_node(event.responder, |node| node.take(event.epoch, event.responder));
            }
            // Epochs follow each other: the contract sees to it.
            Network::NetworkKeyPublished(_) | Network::SeedEpochBegun(_) => {}
            Network::SeedShared(event) => {
                self.update_node(event.enclave, |node| node.take(event.epoch, event.responder));
                self.shares.push(event);
            }
            Network::SeedRejected(event) => {
                self.update_node(event.enclave, |node| {
                    node.epoch = node.held;
                    node.rejected.push(event.responder);
                    node.waits_since = block;
                });
            }
            Network::HostAddressChanged(event) => {
                self.update_node(event.enclave, |node| node.host_address = event.hostAddress);
            }
            Network::NodeLeft(NodeLeft { enclave })
            | Network::NodeSlashed(NodeSlashed { enclave, .. }) => {
                Arc::make_mut(&mut self.view.nodes).remove(&enclave);
                Arc::make_mut(&mut self.view.departed).insert(enclave);
            }
        }
    }

    fn register(
        &mut self,
        event: NodeRegistered,
        (network_key, encrypted_seed): &(Bytes, Bytes),
        config: &NetworkConfig,
    ) {
        // Only the first registration of all binds a network key and a seed.
        let (network_key, encrypted_seed) = match self.view.network_keys.is_empty() {
            true => (&network_key[..], &encrypted_seed[..]),
            false => Default::default(),
        };
        let report_data = ReportData {
            l1_chain_id: config.l1ChainId,
            contract: config.contracts.networkManagement,
            enclave: event.enclave,
            owner: event.owner,
            encryption_key: &event.encryptionKey,
            lottery_key: &event.lotteryKey,
            config_hash: config.hash(),
            l1_block: event.l1Block,
            l1_block_hash: event.l1BlockHash,
            network_key,
            encrypted_seed,
        };
        let attestation = self.attest(&event.quote, &report_data);
        let block = self.view.block.number;
        Arc::make_mut(&mut self.view.nodes).entry(event.enclave).or_insert(RegisteredNode {
            owner: event.owner,
            encryption_key: event.encryptionKey,
            lottery_key: event.lotteryKey,
            host_address: event.hostAddress,
            stake: event.stake,
            registered: block,
            attestation,
            epoch: 0,
            held: 0,
            answered_by: None,
            waits_since: block,
            rejected: Vec::new(),
        });
    }

    fn reattest(&mut self, event: NodeReattested, config: &NetworkConfig) {
        let Some(node) = self.view.nodes.get(&event.enclave) else { return };
        let report_data = ReportData {
            l1_chain_id: config.l1ChainId,
            contract: config.contracts.networkManagement,
            enclave: event.enclave,
            owner: node.owner,
            encryption_key: &node.encryption_key,
            lottery_key: &node.lottery_key,
            config_hash: config.hash(),
            l1_block: event.l1Block,
            l1_block_hash: event.l1BlockHash,
            network_key: &[],
            encrypted_seed: &[],
        };
        // What was proven before does not become untrue: collateral that is out of date must not end
        // the membership of all who attest again in time.
        if let Some(attestation) = self.attest(&event.quote, &report_data) {
            self.update_node(event.enclave, |node| node.attestation = Some(attestation));
        }
    }

    /// Verifies a quote again, whatever the contract said (protocol 3.4).
    fn attest(&self, quote: &[u8], report_data: &ReportData<'_>) -> Option<Attestation> {
        let View { block, timestamp, attestation, .. } = &self.view;
        if report_data.l1_block >= block.number {
            return None;
        }
        let attested = attestation.verify(quote, block.number, *timestamp).ok()?;
        attested.check_report_data(report_data.hash()).ok()?;
        let (measurement, machine) = (attested.measurement, attested.machine);
        Some(Attestation { measurement, machine, block: report_data.l1_block })
    }

    fn update_node(&mut self, enclave: Address, change: impl FnOnce(&mut RegisteredNode)) {
        if let Some(node) = Arc::make_mut(&mut self.view.nodes).get_mut(&enclave) {
            change(node);
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
    fn force(&mut self, TransactionForced { index, envelope, .. }: TransactionForced) {
        self.view.forced_count = index.saturating_add(1);
        if ForcedEnvelope::parse(&envelope).is_some() {
            Arc::make_mut(&mut self.view.forced).push(Forced { index, envelope });
        }
    }
}
