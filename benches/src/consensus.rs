//! What consensus costs: the time in which an enclave verifies and folds an L1 block without rollups
//! (goal: 1 ms), and 10,000 rounds of a simulated network of seven (goal: 60 s on two cores). Not here:
//! building and replaying rollups (`build`).

use crate::harness::{L1, Node, OBX, User, config, deposited, network};
use alloy_consensus::{Eip658Value, Header, Receipt, ReceiptEnvelope};
use alloy_eips::Encodable2718;
use alloy_primitives::{Address, Bytes, Log, LogData, keccak256};
use eyre::{Result, bail, eyre};
use obscuro_enclave::trie;
use obscuro_protocol::{
    config::L1BlockId,
    door::{self, L1Block, Reply, Request},
};
use std::{
    env,
    hint::black_box,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// L1 blocks of each kind.
const BLOCKS: u32 = 200;
/// Transactions in a full L1 block.
const RECEIPTS: usize = 300;
/// Rounds of the simulation, as so many runs at once.
const ROUNDS: u64 = 10_000;
const RUNS: u64 = 2;

/// Prints the tables.
pub fn run() -> Result<()> {
    fold()?;
    rounds()
}

fn fold() -> Result<()> {
    println!(
        "\nverifying and folding an L1 block without rollups, best and mean of {BLOCKS} (goal: 1 ms)\n"
    );
    let obx = config().contracts.obscuroToken;
    let bob = User::new("bob").address();
    type Logs = Box<dyn Fn(u64) -> Vec<Log>>;
    let kinds: [(&str, Option<usize>, Logs); 3] = [
        ("nothing that concerns the network", None, Box::new(|_| vec![])),
        ("300 receipts, none of ours", Some(RECEIPTS), Box::new(|_| vec![])),
        (
            "300 receipts, one deposit",
            Some(RECEIPTS),
            Box::new(move |index| vec![deposited(index, obx, bob, OBX)]),
        ),
    ];
    for (name, receipts, logs) in kinds {
        let (node, mut l1, _) = network();
        let (mut best, mut all) = (Duration::MAX, Duration::ZERO);
        for index in 1..=u64::from(BLOCKS) {
            let block = block(&mut l1, receipts, logs(index));
            let request = door::encode(&Request::L1Block(Box::new(block)));
            let begun = Instant::now();
            let reply = node.enclave.handle(black_box(&request), &node.store);
            let one = begun.elapsed();
            let Reply::Folded(folded) = door::decode(&reply)? else { bail!("not folded") };
            set_head(&node, &folded.block)?;
            (best, all) = (best.min(one), all + one);
        }
        println!("{name:<36} {best:>10.2?} {:>10.2?}", all / BLOCKS);
    }
    Ok(())
}

fn set_head(node: &Node, block: &L1BlockId) -> Result<()> {
    let reply = node.ask(Request::SetHead(block.hash)).map_err(|error| eyre!("{error}"))?;
    if !matches!(reply, Reply::Head(head) if head.l1 == *block) {
        bail!("the head is another");
    }
    Ok(())
}

/// The next L1 block: without receipts, as a host presents it when the bloom excludes the contracts, or with
/// all of them, of which the last has these logs.
fn block(l1: &mut L1, receipts: Option<usize>, logs: Vec<Log>) -> L1Block {
    let Some(count) = receipts else {
        let mut block = l1.block(vec![], vec![]);
        block.receipts = None;
        return block;
    };
    let foreign = |index: usize| {
        let topic = keccak256(index.to_be_bytes());
        let data = LogData::new_unchecked(vec![topic; 3], vec![7; 64].into());
        vec![Log { address: Address::repeat_byte(0x99), data }; 3]
    };
    let all = (1..count).map(foreign).chain([logs]);
    let all: Vec<_> = all.map(receipt).collect();
    let bloom = all.iter().fold(Default::default(), |bloom, receipt| bloom | *receipt.logs_bloom());
    let raw: Vec<Bytes> = all.iter().map(|receipt| receipt.encoded_2718().into()).collect();
    let header = Header {
        parent_hash: l1.tip.hash,
        number: l1.tip.number + 1,
        timestamp: crate::harness::GENESIS_TIME + 12 * l1.tip.number,
        mix_hash: l1.tip.hash,
        receipts_root: trie::ordered_root(raw.iter()),
        logs_bloom: bloom,
        ..Default::default()
    };
    let header: Bytes = alloy_rlp::encode(&header).into();
    l1.tip = L1BlockId { number: l1.tip.number + 1, hash: keccak256(&header) };
    L1Block { header, receipts: Some(raw), payloads: Vec::new() }
}

fn receipt(logs: Vec<Log>) -> ReceiptEnvelope<Log> {
    let receipt: Receipt<Log> =
        Receipt { status: Eip658Value::success(), cumulative_gas_used: 100_000, logs };
    ReceiptEnvelope::Eip1559(receipt.with_bloom())
}

fn rounds() -> Result<()> {
    println!("\n{ROUNDS} rounds of seven simulated nodes, as {RUNS} runs at once (goal: 60 s)\n");
    // Built before the time counts.
    if !simulator().arg("--version").stdout(Stdio::null()).status()?.success() {
        bail!("the simulator cannot be built");
    }
    let begun = Instant::now();
    let play = |seed: u64| {
        let (seed, rounds) = (seed.to_string(), (ROUNDS / RUNS).to_string());
        let arguments = ["--scenario", "steady", "--seed", &seed, "--rounds", &rounds];
        simulator().args(arguments).stdout(Stdio::piped()).spawn()
    };
    let runs: Vec<Child> = (1..=RUNS).map(play).collect::<Result<_, _>>()?;
    // All of them are waited for, whatever becomes of one.
    let outputs: Vec<_> = runs.into_iter().map(Child::wait_with_output).collect();
    for output in outputs {
        let output = output?;
        let report = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            bail!("a run failed:\n{report}");
        }
        let told = ["  rounds ", "  transactions "];
        let lines = report.lines().filter(|line| told.iter().any(|told| line.starts_with(told)));
        lines.for_each(|line| println!("{line}"));
    }
    println!("{:>6.1} s by the clock", begun.elapsed().as_secs_f64());
    Ok(())
}

/// The simulator as its users run it, with its own allocator.
fn simulator() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    // What `cargo run` tells of this program would have build scripts run again, each time.
    let told =
        |name: &str| ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|told| name.starts_with(told));
    env::vars().filter(|(name, _)| told(name)).for_each(|(name, _)| {
        cargo.env_remove(name);
    });
    cargo.args(["run", "--release", "--quiet", "-p", "simulator", "--"]);
    cargo
}
