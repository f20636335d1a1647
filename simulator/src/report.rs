//! What a run measured, as numbers and as text. Not here: the page (`page`).

use crate::{chi_square, node::Node, scenario::Scenario, world::World};
use alloy_consensus::{Transaction, transaction::Recovered};
use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::SolCall;
use obscuro_devnet::l1::{Block, Outcome, Tx};
use obscuro_protocol::l1::IRollupManagement::publishCall;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write,
};

/// The numbers. Times are virtual, in seconds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// The scenario's name.
    pub scenario: String,
    /// Aggregators.
    pub aggregators: usize,
    /// L1 nodes.
    pub l1_nodes: usize,
    /// L1 blocks on the canonical chain while users were active.
    pub rounds: u64,
    /// Of them, those that carry a rollup on the canonical chain.
    pub rounds_with_rollup: u64,
    /// Of them, those that do not, in percent.
    pub rounds_wasted_percent: f64,
    /// Virtual time of the play.
    pub seconds: f64,
    /// Events simulated.
    pub events: u64,
    /// Transactions on L1 that published or tried to.
    pub publications: u64,
    /// Of them, those whose rollup is not canonical, and those that reverted.
    pub publications_wasted: u64,
    /// Of the wasted ones, those that reverted: bets on an L1 branch that lost, mostly.
    pub publications_reverted: u64,
    /// Of the wasted ones, those of aggregators that cheat.
    pub publications_wasted_by_cheats: u64,
    /// Wasted ones in percent.
    pub publications_wasted_percent: f64,
    /// Of all, those that were wasted although nobody cheated, in percent.
    pub publications_wasted_honestly_percent: f64,
    /// Rollups that ran ahead of the winner of their round and earned nothing.
    pub overtaken: u64,
    /// What publishing has earned each node, in percent of the gas that it burned for it, at base fees.
    pub earned_percent: Vec<u64>,
    /// Gas of canonical rollups' publications.
    pub gas_used: u64,
    /// Gas of the others.
    pub gas_wasted: u64,
    /// Rollups that enclaves sealed.
    pub candidates: u64,
    /// Candidates that enclaves executed because others sealed them.
    pub candidates_checked: u64,
    /// Payloads that each aggregator received from others in a round, on average.
    pub payloads_per_node_and_round: f64,
    /// Announcements of candidates that it received.
    pub announcements_per_node_and_round: f64,
    /// Bytes of payloads and gossip that it received.
    pub bytes_per_node_and_round: f64,
    /// Reorganisations of L1 nodes, by depth.
    pub reorgs: BTreeMap<usize, u64>,
    /// Blobs that L1 had pruned and other nodes gave.
    pub blobs_from_peers: u64,
    /// What other nodes gave for such blobs, and was something else.
    pub blobs_refused: u64,
    /// Restarts of enclaves.
    pub restarts: u64,
    /// Nodes that stopped and were mended.
    pub mended: u64,
    /// Gossiped messages that were lost, doubled, cut off by a partition, held up by slow nodes, or overtook
    /// earlier ones.
    pub messages: BTreeMap<String, u64>,
    /// How often disks did not answer.
    pub disk_refusals: u64,
    /// Transactions that L1 proposers left out on purpose, each once for every block.
    pub left_out: u64,
    /// L1 blocks that were full.
    pub full_blocks: u64,
    /// The highest base fee of an L1 block, gwei.
    pub base_fee_max_gwei: f64,
    /// Faults that struck, by name.
    pub faults: BTreeMap<String, u64>,
    /// What adversaries did.
    pub attacks: BTreeMap<String, u64>,
    /// Enclaves slashed.
    pub slashed: u64,
    /// What became of orders to publish.
    pub orders: BTreeMap<String, u64>,
    /// Transactions of users.
    pub transactions: u64,
    /// Of them, those on the canonical chain.
    pub transactions_included: u64,
    /// Posted to L1, for nobody took them.
    pub forced: u64,
    /// Seconds from the first sending to the L1 block, in percentiles 50, 90, 99 and 100.
    pub latency: [f64; 4],
    /// Who cheats, and how.
    pub cheats: BTreeMap<usize, String>,
    /// Canonical rollups by node.
    pub wins: Vec<u64>,
    /// Chi-square over the wins of honest nodes.
    pub chi_square: f64,
    /// Its p-value; above 0.01 the lottery passes.
    pub chi_square_p: f64,
    /// Longest undisturbed time without a rollup, L1 blocks.
    pub longest_gap: u64,
    /// L1 blocks without a rollup in a row, by how many.
    pub gaps: BTreeMap<u64, u64>,
    /// Every round: whether it has a rollup, and of which node; for the page.
    #[serde(skip)]
    pub strip: Vec<Option<usize>>,
    /// Latencies, sorted, for the page.
    #[serde(skip)]
    pub latencies: Vec<f64>,
}

/// Measures a run as it stands.
pub fn measure(world: &World, nodes: &[Node], longest_gap: u64) -> Report {
    let Scenario { name, aggregators, l1_nodes, .. } = world.scenario.clone();
    let counts = &world.counts;
    let mut report = Report {
        scenario: name,
        aggregators,
        l1_nodes,
        events: counts.events,
        candidates: counts.sealed,
        candidates_checked: counts.checked,
        reorgs: counts.reorgs.clone(),
        blobs_from_peers: counts.blobs_from_peers,
        blobs_refused: counts.blobs_refused,
        restarts: counts.restarts,
        mended: counts.mended,
        messages: names(&counts.messages),
        faults: names(&counts.faults),
        attacks: names(&counts.attacks),
        orders: counts.publications.clone(),
        disk_refusals: nodes.iter().map(|node| node.disk.refused()).sum(),
        left_out: world.l1.left_out,
        transactions: counts.transactions,
        forced: counts.forced,
        wins: vec![0; aggregators],
        longest_gap,
        ..Report::default()
    };
    let cast = world.scenario.adversaries.iter();
    report.cheats = cast.map(|(node, kind)| (*node, kind.name().to_owned())).collect();
    walk(world, &mut report);
    let honest = nodes.iter().filter(|node| node.is_honest() && node.is_aggregator());
    let wins: Vec<u64> = honest.filter_map(|node| report.wins.get(node.id).copied()).collect();
    if let Some(test) = chi_square::test(&wins) {
        report.chi_square = test.statistic;
        report.chi_square_p = test.p_value;
    }
    let node_rounds = (report.rounds * aggregators as u64).max(1) as f64;
    let share = |count: u64| count as f64 / node_rounds;
    report.payloads_per_node_and_round = share(counts.payload_copies);
    report.announcements_per_node_and_round = share(counts.announcement_copies);
    report.bytes_per_node_and_round = share(counts.gossip_bytes);
    report
}

/// The canonical L1 chain from the beginning of the play to its end.
fn walk(world: &World, report: &mut Report) {
    let (first, last) = (world.first_block, world.last_block);
    let head = world.l1.highest();
    let mut blocks = Vec::new();
    let mut next = Some(head.clone());
    while let Some(block) = next.filter(|block| block.number() > first && first > 0) {
        next = world.l1.block(block.header.parent_hash).cloned();
        blocks.push(block);
    }
    blocks.reverse();
    let mut times: HashMap<B256, f64> = HashMap::new();
    let mut burned: BTreeMap<Address, U256> = BTreeMap::new();
    let (mut began, mut ended, mut gap) = (None, 0.0, 0);
    for block in &blocks {
        let Some(view) = world.reference.view(block.hash) else { continue };
        report.slashed += view.slashed.len() as u64;
        add_burned(world, block, &mut burned);
        let made = view.made.as_secs_f64();
        let has_rollup = view.included == view.number;
        let winner = world.reference.rollup(view.rollup).filter(|_| has_rollup);
        if let Some(rollup) = winner {
            for transaction in &world.reference.contents(rollup).transactions {
                if let Some(sent) = world.counts.sent.get(transaction) {
                    times.insert(*transaction, made - sent.as_secs_f64());
                }
            }
        }
        if last > 0 && block.number() > last {
            continue;
        }
        began.get_or_insert(made);
        ended = made;
        report.rounds += 1;
        report.strip.push(winner.map(|rollup| rollup.node));
        if let Some(rollup) = winner {
            report.rounds_with_rollup += 1;
            if let Some(wins) = report.wins.get_mut(rollup.node) {
                *wins += 1;
            }
            if gap > 0 {
                *report.gaps.entry(gap).or_default() += 1;
            }
            gap = 0;
        } else {
            gap += 1;
        }
        let base_fee = block.header.base_fee_per_gas.unwrap_or_default() as f64 / 1e9;
        report.full_blocks += u64::from(block.header.gas_used > block.header.gas_limit / 10 * 9);
        report.base_fee_max_gwei = report.base_fee_max_gwei.max(base_fee);
        add_publications(world, block, view.rollup, report);
    }
    report.seconds = ended - began.unwrap_or(ended);
    report.transactions_included = times.len() as u64;
    let mut latencies: Vec<f64> = times.into_values().collect();
    latencies.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let last = latencies.len().saturating_sub(1);
        latencies.get((share * last as f64).round() as usize).copied().unwrap_or_default()
    };
    report.latency = [at(0.5), at(0.9), at(0.99), at(1.0)];
    report.latencies = latencies;
    report.rounds_wasted_percent =
        percent(report.rounds - report.rounds_with_rollup, report.rounds);
    report.publications_wasted_percent = percent(report.publications_wasted, report.publications);
    let honest = report.publications_wasted - report.publications_wasted_by_cheats;
    report.publications_wasted_honestly_percent = percent(honest, report.publications);
    let Some(view) = world.reference.view(head.hash) else { return };
    let before = world.reference.ancestor(head.hash, first).map(|(_, view)| &*view.rewards.earned);
    report.overtaken = view.rewards.overtaken.len() as u64;
    report.earned_percent = (0..report.aggregators)
        .map(|node| {
            let owner = World::operator(node);
            let of = |sums: &BTreeMap<Address, U256>| sums.get(&owner).copied().unwrap_or_default();
            let earned = of(&view.rewards.earned) - before.map_or(U256::ZERO, of);
            let percent = (earned * U256::from(100)).checked_div(of(&burned));
            percent.unwrap_or_default().saturating_to()
        })
        .collect();
}

/// Adds what publishing in a block has cost whom, at its base fee, in OBX.
fn add_burned(world: &World, block: &Block, burned: &mut BTreeMap<Address, U256>) {
    let base_fee = block.header.base_fee_per_gas.unwrap_or_default();
    for (tx, outcome) in publications(world, block) {
        let cost = world.config.obx(u128::from(outcome.gas_used) * u128::from(base_fee));
        *burned.entry(tx.signer()).or_default() += U256::from(cost);
    }
}

/// The transactions that publish, or try to.
fn publications<'a>(
    world: &World,
    block: &'a Block,
) -> impl Iterator<Item = (&'a Recovered<Tx>, &'a Outcome)> {
    let contract = world.config.contracts.rollupManagement;
    block.included().filter(move |(tx, _)| {
        tx.inner().to() == Some(contract) && tx.inner().input().starts_with(&publishCall::SELECTOR)
    })
}

fn add_publications(world: &World, block: &Block, canonical: B256, report: &mut Report) {
    let contract = world.config.contracts.rollupManagement;
    for (tx, outcome) in publications(world, block) {
        report.publications += 1;
        let is_canonical = outcome
            .logs()
            .iter()
            .any(|log| log.address == contract && log.topics().get(1) == Some(&canonical));
        if is_canonical {
            report.gas_used += outcome.gas_used;
        } else {
            report.publications_wasted += 1;
            let is_cheat = |node: &usize| World::operator(*node) == tx.signer();
            report.publications_wasted_by_cheats += u64::from(report.cheats.keys().any(is_cheat));
            report.publications_reverted += u64::from(!outcome.receipt.is_success());
            report.gas_wasted += outcome.gas_used;
        }
    }
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

fn names(counts: &BTreeMap<&'static str, u64>) -> BTreeMap<String, u64> {
    counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

impl Report {
    /// As text.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let mut row = |name: &str, value: String| {
            let _ = writeln!(out, "  {name:<28} {value}");
        };
        row(
            "scenario",
            format!(
                "{}, {} aggregators, {} L1 nodes",
                self.scenario, self.aggregators, self.l1_nodes
            ),
        );
        row(
            "rounds",
            format!("{} L1 blocks in {:.0} s, {} events", self.rounds, self.seconds, self.events),
        );
        row(
            "with a canonical rollup",
            format!("{} ({:.2} % wasted)", self.rounds_with_rollup, self.rounds_wasted_percent),
        );
        if !self.gaps.is_empty() {
            row("gaps (length: times)", list(&self.gaps));
        }
        row("longest undisturbed gap", format!("{} L1 blocks", self.longest_gap));
        row(
            "L1 publications",
            format!(
                "{}, {} wasted ({:.2} %), of them {} reverted, {} by those who cheat ({:.2} % by others)",
                self.publications,
                self.publications_wasted,
                self.publications_wasted_percent,
                self.publications_reverted,
                self.publications_wasted_by_cheats,
                self.publications_wasted_honestly_percent
            ),
        );
        row(
            "earned of the gas burned",
            format!("{:?} %, {} rollups were overtaken", self.earned_percent, self.overtaken),
        );
        row("L1 gas", format!("{} used, {} wasted", self.gas_used, self.gas_wasted));
        row("orders to publish", list(&self.orders));
        row(
            "candidates",
            format!("{} sealed, {} checked by others", self.candidates, self.candidates_checked),
        );
        row(
            "gossip per node and round",
            format!(
                "{:.2} payloads, {:.1} announcements, {:.0} bytes",
                self.payloads_per_node_and_round,
                self.announcements_per_node_and_round,
                self.bytes_per_node_and_round
            ),
        );
        row("L1 reorgs (depth: times)", list(&self.reorgs));
        row(
            "transactions",
            format!(
                "{} of {} on the canonical chain, {} forced through L1",
                self.transactions_included, self.transactions, self.forced
            ),
        );
        let [half, ninety, most, all] = self.latency;
        row(
            "latency to inclusion",
            format!(
                "{half:.1} s median, {ninety:.1} s for 90 %, {most:.1} s for 99 %, {all:.1} s at most"
            ),
        );
        row(
            "lottery",
            format!(
                "{:?}, chi-square {:.2}, p = {:.4}",
                self.wins, self.chi_square, self.chi_square_p
            ),
        );
        row(
            "L1 base fee",
            format!(
                "{:.2} gwei at most, {} blocks full, {} transactions left out",
                self.base_fee_max_gwei, self.full_blocks, self.left_out
            ),
        );
        row("gossip", list(&self.messages));
        let (restarts, mended, refusals) = (self.restarts, self.mended, self.disk_refusals);
        row(
            "enclave starts",
            format!("{restarts}, {mended} nodes mended, {refusals} times no answer from a disk"),
        );
        if self.blobs_from_peers > 0 {
            let (given, refused) = (self.blobs_from_peers, self.blobs_refused);
            row("pruned blobs from others", format!("{given}, {refused} refused"));
        }
        if !self.faults.is_empty() {
            row("faults", list(&self.faults));
        }
        if !self.cheats.is_empty() {
            row("who cheats", list(&self.cheats));
        }
        if !self.attacks.is_empty() {
            row("attacks", format!("{}; {} stakes slashed", list(&self.attacks), self.slashed));
        }
        out
    }
}

fn list<K: std::fmt::Display, V: std::fmt::Display>(counts: &BTreeMap<K, V>) -> String {
    let items: Vec<String> =
        counts.iter().map(|(name, count)| format!("{name}: {count}")).collect();
    items.join(", ")
}
