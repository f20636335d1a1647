//! What a run is made of: how many of whom, how L1 behaves, what breaks and who cheats. Named scenarios
//! are values of one type, so that a new one is a few lines. Not here: what the parts do.

use crate::adversaries::Kind;
use std::time::Duration;

/// Scenarios that are not of one fault or adversary.
pub const GENERAL: [&str; 10] = [
    "steady",
    "quiet",
    "forks",
    "race",
    "race-2022",
    "archive",
    "faults",
    "adversaries",
    "everything",
    "any",
];

/// How L1 blocks come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rhythm {
    /// One proposer per slot, in turn by lot; now and then a second one proposes for the same slot.
    Slots {
        /// So many slots in a thousand have two proposers.
        rivals_per_mille: u64,
    },
    /// All L1 nodes race, each block after an exponentially distributed time.
    Race,
    /// All L1 nodes race as in the simulation of 2022: each draws a time between a share of the block time
    /// and a multiple of it.
    Race2022,
}

/// A fault and how often it strikes: once in so many L1 blocks on average.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recurring {
    /// What.
    pub kind: FaultKind,
    /// How seldom.
    pub every_blocks: u64,
}

/// What can break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// A node's process dies and restarts; writes that were not durable are lost.
    Crash,
    /// The same, and the disk is empty: the node joins anew.
    DiskLost,
    /// The records go back, the sealed state stays.
    DiskRolledBack,
    /// The node restarts from an older sealed identity.
    IdentityRolledBack,
    /// The disk does not answer for a while.
    DiskFails,
    /// The aggregators fall into two halves for some blocks.
    Partition,
    /// A node answers slowly for some blocks.
    Slow,
    /// Messages among nodes are lost, doubled, late and out of order for some blocks.
    BadLines,
    /// L1 reorganises: a few blocks, seldom up to finality.
    Reorg,
    /// Half of the L1 nodes do not hear the others for some blocks.
    L1Split,
    /// L1's base fee multiplies.
    FeeSpike,
    /// L1's proposers leave a node's transactions out for some blocks.
    Censorship,
    /// All nodes die at once, and come back one by one.
    Blackout,
}

/// A run.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// L1 blocks to play after the network is set up.
    pub rounds: u64,
    /// Nodes that publish.
    pub aggregators: usize,
    /// Nodes that only follow.
    pub verifiers: usize,
    /// L1 nodes.
    pub l1_nodes: usize,
    /// Users.
    pub users: usize,
    /// Transactions per L1 block, from all users together.
    pub transactions_per_block: f64,
    /// L1's block time.
    pub block_time: Duration,
    /// How its blocks come about.
    pub rhythm: Rhythm,
    /// The time of a message among nodes, at least and at most.
    pub gossip_latency: (Duration, Duration),
    /// The time of a message among L1 nodes.
    pub l1_latency: (Duration, Duration),
    /// L1 blocks after which L1 forgets blobs, in which payloads travel then; none: they travel in calldata.
    pub blob_blocks: Option<u64>,
    /// So many gossiped messages in a thousand are lost.
    pub loss_per_mille: u64,
    /// So many arrive twice.
    pub duplication_per_mille: u64,
    /// What breaks.
    pub faults: Vec<Recurring>,
    /// Who cheats, by number of the aggregator.
    pub adversaries: Vec<(usize, Kind)>,
    /// L1 blocks at the end in which nothing breaks and nothing new is sent: what was sent must arrive.
    pub calm_blocks: u64,
}

impl Scenario {
    /// A steady L1, no faults, nobody cheats.
    pub fn steady() -> Self {
        let ms = Duration::from_millis;
        Self {
            name: "steady".to_owned(),
            rounds: 200,
            aggregators: 7,
            verifiers: 0,
            l1_nodes: 3,
            users: 10,
            transactions_per_block: 4.0,
            block_time: Duration::from_secs(12),
            rhythm: Rhythm::Slots { rivals_per_mille: 0 },
            gossip_latency: (ms(20), ms(120)),
            l1_latency: (ms(50), ms(250)),
            blob_blocks: None,
            loss_per_mille: 0,
            duplication_per_mille: 0,
            faults: Vec::new(),
            adversaries: Vec::new(),
            calm_blocks: 12,
        }
    }

    /// Realistic latencies (a fifteenth of the block time on average) and L1 nodes that compete for blocks.
    pub fn forks() -> Self {
        let steady = Self::steady();
        let latency = steady.block_time / 15;
        Self {
            name: "forks".to_owned(),
            rhythm: Rhythm::Slots { rivals_per_mille: 100 },
            gossip_latency: (latency / 2, latency * 3 / 2),
            l1_latency: (latency / 2, latency * 3 / 2),
            l1_nodes: 5,
            calm_blocks: 20,
            ..steady
        }
    }

    /// As `forks`, but L1 nodes race for blocks without slots.
    pub fn race() -> Self {
        Self { name: "race".to_owned(), rhythm: Rhythm::Race, ..Self::forks() }
    }

    /// As `forks`, with the block times of the simulation of 2022.
    pub fn race_2022() -> Self {
        Self { name: "race-2022".to_owned(), rhythm: Rhythm::Race2022, ..Self::forks() }
    }

    /// Everything breaks now and then.
    pub fn faults() -> Self {
        use FaultKind::*;
        let every = |kind, every_blocks| Recurring { kind, every_blocks };
        Self {
            name: "faults".to_owned(),
            verifiers: 1,
            loss_per_mille: 20,
            duplication_per_mille: 20,
            faults: vec![
                every(Crash, 12),
                every(DiskLost, 70),
                every(DiskRolledBack, 60),
                every(IdentityRolledBack, 60),
                every(DiskFails, 50),
                every(Partition, 40),
                every(Slow, 25),
                every(BadLines, 40),
                every(Reorg, 25),
                every(L1Split, 40),
                every(FeeSpike, 40),
                every(Censorship, 30),
                every(Blackout, 120),
            ],
            calm_blocks: 60,
            ..Self::forks()
        }
    }

    /// Some cheat, by lot: which ones, the seed decides.
    pub fn adversaries(seed: u64) -> Self {
        let mut random = crate::random::Random::new(seed, "cast");
        let mut kinds: Vec<Kind> =
            Kind::ALL.into_iter().filter(|kind| *kind != Kind::ColludingMajority).collect();
        let count = 1 + random.index(3);
        let places = random.choose(7, count);
        let cast = places.into_iter().map(|place| (place, kinds.remove(random.index(kinds.len()))));
        Self {
            adversaries: cast.collect(),
            name: "adversaries".to_owned(),
            calm_blocks: 40,
            ..Self::steady()
        }
    }

    /// Little to publish: rounds are skipped.
    pub fn quiet() -> Self {
        let name = "quiet".to_owned();
        Self { name, transactions_per_block: 0.2, ..Self::forks() }
    }

    /// L1 soon forgets what carried the payloads, and disks are lost: who begins anew has them from others, one
    /// of whom gives noise.
    pub fn archive() -> Self {
        Self {
            name: "archive".to_owned(),
            verifiers: 1,
            blob_blocks: Some(4),
            faults: vec![Recurring { kind: FaultKind::DiskLost, every_blocks: 8 }],
            adversaries: vec![(2, Kind::Flooder)],
            calm_blocks: 40,
            ..Self::steady()
        }
    }

    /// Some cheat while everything breaks.
    pub fn everything(seed: u64) -> Self {
        let adversaries = Self::adversaries(seed).adversaries;
        Self { name: "everything".to_owned(), adversaries, ..Self::faults() }
    }

    /// Any of the others, by lot; those that mix as often as all that are of one fault or adversary.
    pub fn any(seed: u64) -> Self {
        let mut random = crate::random::Random::new(seed, "scenario");
        let names = Self::names();
        let (general, single) = names.split_at(GENERAL.len());
        let names = if random.per_mille(500) { &general[..GENERAL.len() - 1] } else { single };
        let name = names[random.index(names.len())];
        Self::named(name, seed).unwrap_or_else(Self::steady)
    }

    /// One adversary, or a majority of them, or all.
    pub fn against(kind: Kind) -> Self {
        let adversaries = match kind {
            Kind::ColludingMajority => (1..6).map(|place| (place, kind)).collect(),
            Kind::Censor => (0..7).map(|place| (place, kind)).collect(),
            _ => vec![(2, kind)],
        };
        // Whom all aggregators censor still learns from a verifier what became of it.
        let verifiers = usize::from(kind == Kind::Censor);
        let name = kind.name().to_owned();
        Self { name, adversaries, verifiers, calm_blocks: 40, ..Self::steady() }
    }

    /// The scenario of a name.
    pub fn named(name: &str, seed: u64) -> Option<Self> {
        Some(match name {
            "steady" => Self::steady(),
            "forks" => Self::forks(),
            "race" => Self::race(),
            "race-2022" => Self::race_2022(),
            "archive" => Self::archive(),
            "faults" => Self::faults(),
            "quiet" => Self::quiet(),
            "adversaries" => Self::adversaries(seed),
            "everything" => Self::everything(seed),
            "any" => Self::any(seed),
            _ => match FaultKind::ALL.iter().find(|kind| kind.name() == name) {
                Some(kind) => Self {
                    name: name.to_owned(),
                    faults: vec![Recurring { kind: *kind, every_blocks: 15 }],
                    calm_blocks: 60,
                    ..Self::forks()
                },
                None => Self::against(Kind::ALL.into_iter().find(|kind| kind.name() == name)?),
            },
        })
    }

    /// All names.
    pub fn names() -> Vec<&'static str> {
        let mut names = GENERAL.to_vec();
        names.extend(FaultKind::ALL.iter().map(|kind| kind.name()));
        names.extend(Kind::ALL.iter().map(|kind| kind.name()));
        names
    }
}

impl FaultKind {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Crash,
        Self::DiskLost,
        Self::DiskRolledBack,
        Self::IdentityRolledBack,
        Self::DiskFails,
        Self::Partition,
        Self::Slow,
        Self::BadLines,
        Self::Reorg,
        Self::L1Split,
        Self::FeeSpike,
        Self::Censorship,
        Self::Blackout,
    ];

    /// As a scenario of its own is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::DiskLost => "disk-lost",
            Self::DiskRolledBack => "disk-rolled-back",
            Self::IdentityRolledBack => "identity-rolled-back",
            Self::DiskFails => "disk-fails",
            Self::Partition => "partition",
            Self::Slow => "slow",
            Self::BadLines => "bad-lines",
            Self::Reorg => "reorg",
            Self::L1Split => "l1-split",
            Self::FeeSpike => "fee-spike",
            Self::Censorship => "censorship",
            Self::Blackout => "blackout",
        }
    }
}
