//! One run: the network is set up as on a development machine, then played under virtual time, event by
//! event, with every invariant checked after each. Not here: what the parts do.

use crate::{
    adversaries::Kind,
    checkers::{Checkers, Violation},
    events::Event,
    faults::Faults,
    l1::{BEGINNING, L1, whole},
    node::Node,
    reference::Reference,
    report::{self, Report},
    scenario::Scenario,
    users::User,
    world::World,
};
use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy_eips::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use alloy_signer::SignerSync;
use alloy_sol_types::SolCall;
use obscuro_devnet::{
    accounts,
    deploy::{self, Parameters, STAKE_OBX},
    l1::Config,
    network::L2_CHAIN_ID,
};
use obscuro_protocol::{
    config::{L1BlockId, NetworkConfig},
    l1::IERC20,
};
use obscuro_software_tee::{Authority, SoftwareDevice};
use std::time::Duration;

/// EIP-155 id of the simulated L1.
const L1_CHAIN_ID: u64 = 31_337;
/// L1 blocks that the set-up may take.
const SETUP_BLOCKS_MAX: u64 = 150;
/// Stakes that an operator has: a lost disk costs one.
const STAKES: u64 = 50;
/// L1 blocks before a withdrawal is executed.
const WITHDRAWAL_BLOCKS: u64 = 8;
/// L1 blocks that may pass without a rollup when there is nothing to publish.
const IDLE_BLOCKS_MAX: u64 = 5;
/// Gas of creating one contract.
const CREATION_GAS: u64 = 12_000_000;
/// When the first block is made.
const SETUP_AT: Duration = Duration::from_secs(1);

/// How a run ended.
pub struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// The scenario's name.
    pub scenario: String,
    /// What was found wrong.
    pub violation: Option<Violation>,
    /// What led to it, oldest first.
    pub account: Vec<String>,
    /// How every node stood.
    pub nodes: Vec<String>,
    /// The hash over the whole journal.
    pub hash: B256,
    /// What was measured.
    pub report: Report,
}

/// A run.
pub struct Run {
    seed: u64,
    /// What surrounds the nodes.
    pub world: World,
    /// The nodes.
    pub nodes: Vec<Node>,
    users: Vec<User>,
    /// What must hold.
    pub checkers: Checkers,
    faults: Faults,
}

/// A run that cannot begin.
#[derive(Debug, thiserror::Error)]
#[error("the network cannot be set up: {0}")]
pub struct SetupError(pub String);

/// Plays a scenario from a seed to its end.
pub fn play(seed: u64, scenario: Scenario, is_loud: bool) -> Result<Outcome, SetupError> {
    let mut run = Run::new(seed, scenario)?;
    run.world.journal.is_loud = is_loud;
    let violation = run.to_the_end().err();
    Ok(run.outcome(violation))
}

impl Run {
    /// Sets L1 up, with the contracts on it and everybody funded.
    pub fn new(seed: u64, scenario: Scenario) -> Result<Self, SetupError> {
        let fail = |text: &str| SetupError(text.to_owned());
        let made = (0..scenario.users).map(|id| User::new(seed, id));
        let mut users: Vec<User> = made.collect::<Option<_>>().ok_or_else(|| fail("no users"))?;
        let addresses: Vec<Address> = users.iter().map(User::address).collect();
        let mut funded = addresses.clone();
        funded.extend(accounts::accounts().iter().map(|account| account.address()));
        let config = Config {
            chain_id: L1_CHAIN_ID,
            genesis_timestamp: BEGINNING,
            seed: keccak256(seed.to_be_bytes()),
            ..Config::default()
        };
        let config = config.fund(funded, whole(1_000_000_000));
        let l1 = L1::new(config, scenario.l1_nodes).map_err(|error| fail(&error.to_string()))?;
        let (network, creations) = plan(&l1);
        let reference = Reference::new(network.clone());
        let stake = whole(STAKE_OBX);
        let count = scenario.aggregators + scenario.verifiers;
        let nodes: Option<Vec<Node>> = (0..count)
            .map(|id| {
                let stake = if id < scenario.aggregators { stake } else { U256::ZERO };
                Node::new(seed, id, stake, id == 0)
            })
            .collect();
        let nodes = nodes.ok_or_else(|| fail("no nodes"))?;
        let owners = (0..count).map(|node| User::operator(seed, scenario.users + node, node));
        users.extend(owners.collect::<Option<Vec<_>>>().ok_or_else(|| fail("no operators"))?);
        let mut world = World::new(seed, scenario, network, l1, reference);
        world.accounts = addresses.clone();
        let operators: Vec<Address> = (0..count).map(World::operator).collect();
        let mut calls = creations;
        calls.extend(gifts(&world.config, &operators, &addresses));
        world.now = SETUP_AT;
        let (checkers, faults) = (Checkers::default(), Faults::new(seed));
        let mut run = Self { seed, world, nodes, users, checkers, faults };
        run.send_all(calls)?;
        Ok(run)
    }

    /// The funder's transactions, in as many blocks as they need.
    fn send_all(&mut self, calls: Vec<(TxKind, Bytes, U256, u64)>) -> Result<(), SetupError> {
        let funder = accounts::funder();
        let world = &mut self.world;
        for (nonce, (to, input, value, gas_limit)) in (0..).zip(calls) {
            let transaction = TxEip1559 {
                chain_id: L1_CHAIN_ID,
                nonce,
                gas_limit,
                max_fee_per_gas: 100_000_000_000,
                max_priority_fee_per_gas: 1_000_000_000,
                to,
                value,
                input,
                ..Default::default()
            };
            let signature = funder.sign_hash_sync(&transaction.signature_hash());
            let signature = signature.map_err(|error| SetupError(error.to_string()))?;
            let raw = TxEnvelope::from(transaction.into_signed(signature)).encoded_2718();
            world.send_raw(0, &raw).map_err(SetupError)?;
        }
        while !world.l1.waiting(0, funder.address()).is_empty() {
            world.now += Duration::from_secs(1);
            world.propose(0);
            if world.l1.head(0).number() > 40 {
                return Err(SetupError("the contracts are not deployed".to_owned()));
            }
        }
        let head = world.l1.head(0).clone();
        let failed = head.outcomes.iter().any(|outcome| !outcome.receipt.is_success());
        if failed {
            return Err(SetupError("a transaction of the set-up reverted".to_owned()));
        }
        Ok(())
    }

    /// Plays it to the end.
    pub fn to_the_end(&mut self) -> Result<(), Violation> {
        self.set_up()?;
        self.begin();
        let last = self.world.first_block + self.world.scenario.rounds;
        self.until(|run| run.number() >= last)?;
        let last = self.number();
        self.world.last_block = last;
        self.faults.calm(&mut self.nodes, &mut self.world);
        let calm = last + self.world.scenario.calm_blocks;
        self.until(|run| run.number() >= calm)?;
        self.checkers.finish(&self.nodes, &mut self.world)
    }

    /// The first node creates the network, the others join.
    pub fn set_up(&mut self) -> Result<(), Violation> {
        self.world.start_mining();
        self.nodes[0].start(&mut self.world);
        let limit = SETUP_BLOCKS_MAX;
        self.until(|run| run.nodes[0].is_ready() || run.number() > limit)?;
        for node in &mut self.nodes[1..] {
            node.start(&mut self.world);
        }
        self.until(|run| run.is_set_up() || run.number() > limit)?;
        if !self.is_set_up() {
            let text = "not all nodes could join".to_owned();
            return Err(Violation::new("set-up", text, []));
        }
        Ok(())
    }

    fn is_set_up(&self) -> bool {
        let stands = |node: &Node| {
            node.head()
                .is_some_and(|head| head.has_seed && (head.is_aggregator || !node.is_aggregator()))
        };
        let peers = self.world.scenario.aggregators.saturating_sub(1);
        let meets = |node: &Node| {
            !node.is_aggregator() || node.head().is_some_and(|head| head.peers.len() >= peers)
        };
        self.nodes.iter().all(|node| node.is_ready() && stands(node) && meets(node))
    }

    /// Users, faults and adversaries begin.
    pub fn begin(&mut self) {
        let cast = self.world.scenario.adversaries.clone();
        let colluders: Vec<usize> = cast
            .iter()
            .filter(|(_, kind)| *kind == Kind::ColludingMajority)
            .map(|(node, _)| *node)
            .collect();
        for (node, kind) in cast {
            if let Some(node) = self.nodes.get_mut(node) {
                node.adversary = Some(kind.make(self.seed, node.id, &colluders));
            }
        }
        self.world.first_block = self.number();
        self.world.say(None, "the play begins");
        self.faults.begin(&mut self.world);
        let (users, step) = (self.users.len() as u32, self.world.scenario.block_time);
        for user in 0..users {
            self.world.after(step * user / users.max(1), Event::User(user as usize));
        }
    }

    /// L1's height.
    pub fn number(&self) -> u64 {
        self.world.l1.highest().number()
    }

    /// Lets things happen until something is so.
    pub fn until(&mut self, is_over: impl Fn(&Self) -> bool) -> Result<(), Violation> {
        while !is_over(self) {
            if !self.step()? {
                return Err(Violation::new("set-up", "nothing happens any more".to_owned(), []));
            }
        }
        Ok(())
    }

    /// One event.
    pub fn step(&mut self) -> Result<bool, Violation> {
        let Some((now, event)) = self.world.queue.pop() else { return Ok(false) };
        self.world.now = now;
        self.world.counts.events += 1;
        self.happen(event);
        self.checkers.check(&self.nodes, &mut self.world)?;
        Ok(true)
    }

    fn happen(&mut self, event: Event) {
        let Self { world, nodes, users, faults, .. } = self;
        match event {
            Event::L1(event) => world.l1_event(event),
            Event::Node(node, life, event) => nodes[node].handle(life, event, world),
            Event::Gossip { to, from, message } => nodes[to].take_message(from, message, world),
            Event::Ask { to, from, wanted } => nodes[to].take_request(from, wanted, world),
            Event::Found { to, from, wanted, found } => {
                nodes[to].take_content(from, wanted, found, world);
            }
            Event::User(user) => {
                let addresses = world.accounts.clone();
                users[user].act(nodes, &addresses, faults.is_calm, world);
            }
            Event::Envelope { user, node, envelope, tag, about } => {
                let adversary = nodes[node].adversary.as_ref();
                let is_kept = adversary.is_some_and(|adversary| adversary.censors(user, world));
                if !is_kept && let Some(reply) = nodes[node].take_envelope(envelope, world) {
                    world.send_reply(user, tag, reply, about);
                }
            }
            Event::Reply { user, tag, reply, about } => {
                users[user].take_reply(tag, &reply, about, world);
            }
            Event::Fault(fault) => faults.handle(fault, nodes, world),
        }
    }

    /// What came of it.
    pub fn outcome(&self, violation: Option<Violation>) -> Outcome {
        let concerned = violation.as_ref().map(|found| found.nodes.clone()).unwrap_or_default();
        Outcome {
            seed: self.seed,
            scenario: self.world.scenario.name.clone(),
            account: self.world.journal.account(&concerned, 40),
            nodes: self
                .nodes
                .iter()
                .map(|node| format!("node {}: {}", node.id, node.status()))
                .collect(),
            hash: self.world.journal.hash(),
            report: report::measure(&self.world, &self.nodes, self.checkers.liveness.longest),
            violation,
        }
    }
}

/// The network's config, and the transactions that create its contracts, in the way of the devnet.
fn plan(l1: &L1) -> (NetworkConfig, Vec<(TxKind, Bytes, U256, u64)>) {
    let genesis = l1.head(0);
    let funder = accounts::funder().address();
    let parameters = Parameters {
        l2_chain_id: L2_CHAIN_ID,
        measurements: vec![SoftwareDevice::program_measurement()],
        withdrawal_blocks: WITHDRAWAL_BLOCKS,
        idle_blocks_max: IDLE_BLOCKS_MAX,
    };
    let checkpoint = L1BlockId { number: genesis.number(), hash: genesis.hash };
    let mut config = deploy::plan(checkpoint, L1_CHAIN_ID, funder, 0, &parameters);
    // Its time is virtual: see `node`.
    config.startupHashes = 1;
    let creations = deploy::creations(&config, funder, &parameters);
    let mut calls: Vec<_> = creations
        .into_iter()
        .map(|creation| (TxKind::Create, creation.code, U256::ZERO, CREATION_GAS))
        .collect();
    let verifier = TxKind::Call(config.contracts.attestationVerifier);
    for input in Authority::development().verifier_calls() {
        calls.push((verifier, input, U256::ZERO, deploy::GIFT_GAS));
    }
    (config, calls)
}

/// Everybody's funds, and spare stakes.
fn gifts(
    config: &NetworkConfig,
    operators: &[Address],
    users: &[Address],
) -> Vec<(TxKind, Bytes, U256, u64)> {
    let gifts = deploy::gifts(config, operators, users).into_iter();
    let mut calls: Vec<_> = gifts
        .map(|gift| (TxKind::Call(gift.to), gift.input, gift.value, deploy::GIFT_GAS))
        .collect();
    for operator in operators {
        let amount = whole(STAKE_OBX * STAKES);
        let call = IERC20::transferCall { to: *operator, amount };
        let token = TxKind::Call(config.contracts.obscuroToken);
        calls.push((token, call.abi_encode().into(), U256::ZERO, deploy::GIFT_GAS));
        let ether = whole(10_000);
        calls.push((TxKind::Call(*operator), Bytes::new(), ether, deploy::GIFT_GAS));
    }
    calls
}
