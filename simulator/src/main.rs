//! `simulator`: a table of contents; runs are in `run`, scenarios in `scenario`, many seeds in `many`.

mod many;

use clap::Parser;
use many::Played;
use simulator::{
    page,
    run::{self, Outcome},
    scenario::{GENERAL, Scenario},
};
use std::{fs, ops::Range, path::PathBuf, process::ExitCode, time::Instant};

/// A run is one thread that makes and drops many small things: a tenth less time than with the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Plays a whole Obscuro network under virtual time, from one seed: the real enclave, the real host logic,
/// an L1 with the real contracts; only sockets, disks and clocks are replaced. Every invariant is checked
/// after every event. The same seed and commit give the same run, bit for bit.
///
/// Begin with `--seed 1`, go on with `--scenario faults`, and leave `--scenario any --seeds 0..10000` to the
/// night. A failure prints what led to it and the command that plays it again.
#[derive(Parser)]
#[command(name = "simulator", version, after_help = after_help())]
struct Arguments {
    /// The seed of the one run to play
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Many runs, one for each seed; stops at the first failure unless there is a log
    #[arg(long, value_name = "A..B", value_parser = range, conflicts_with = "seed")]
    seeds: Option<Range<u64>>,
    /// What is played
    #[arg(long, default_value = "steady", value_name = "NAME", value_parser = known)]
    scenario: String,
    /// L1 blocks to play after the network is set up; the scenario's own number by default
    #[arg(long, value_name = "N")]
    rounds: Option<u64>,
    /// Aggregators; the scenario's own number by default
    #[arg(long, value_name = "N")]
    nodes: Option<usize>,
    /// Seeds that are played at the same time, each on a thread of its own
    #[arg(long, default_value_t = 1, value_name = "N")]
    jobs: usize,
    /// Begin no further run after so many seconds
    #[arg(long, value_name = "SECONDS")]
    budget: Option<u64>,
    /// A line of JSON for each seed of many; what it holds already is not played again
    #[arg(long, value_name = "FILE", requires = "seeds")]
    log: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    /// Draw the report as one self-contained page
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// Print every event
    #[arg(long)]
    loud: bool,
}

fn after_help() -> String {
    let names = Scenario::names();
    format!(
        "Scenarios:\n  steady       a steady L1, nobody cheats\n  quiet        little to publish\n  forks        latencies of a fifteenth of the block time, L1 proposers compete\n  race         the same, L1 blocks at exponentially distributed times\n  race-2022    the same, with the block times of the simulation of 2022\n  archive      L1 prunes the blobs that carry payloads, and disks are lost\n  faults       everything breaks now and then\n  adversaries  one to three cheat: the seed decides who and how\n  everything   faults and adversaries together\n  any          one of all these and the following: the seed decides\n\nAnd one of its own for each fault and adversary:\n  {}",
        names[GENERAL.len()..].join(", ")
    )
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let parse = |part: &str| part.parse::<u64>().map_err(|error| error.to_string());
    let (from, to) = text.split_once("..").ok_or("write it as A..B, such as 0..100")?;
    let range = parse(from)?..parse(to)?;
    if range.is_empty() { Err("no seed is in that range".to_owned()) } else { Ok(range) }
}

fn known(name: &str) -> Result<String, String> {
    match Scenario::named(name, 0) {
        Some(_) => Ok(name.to_owned()),
        None => Err(format!("no such scenario; there are {}", Scenario::names().join(", "))),
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match &arguments.seeds {
        Some(seeds) => many::play_all(&arguments, seeds.clone()),
        None => one(&arguments),
    }
}

fn scenario(arguments: &Arguments, seed: u64) -> Option<Scenario> {
    let mut scenario = Scenario::named(&arguments.scenario, seed)?;
    scenario.rounds = arguments.rounds.unwrap_or(scenario.rounds);
    if let Some(nodes) = arguments.nodes {
        scenario.aggregators = nodes.max(1);
        scenario.adversaries.retain(|(node, _)| *node < nodes);
    }
    Some(scenario)
}

fn play(arguments: &Arguments, seed: u64) -> Result<Outcome, String> {
    let scenario = scenario(arguments, seed).ok_or("no such scenario")?;
    run::play(seed, scenario, arguments.loud).map_err(|error| error.to_string())
}

fn one(arguments: &Arguments) -> ExitCode {
    let began = Instant::now();
    let outcome = match play(arguments, arguments.seed) {
        Ok(outcome) => outcome,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    if arguments.json {
        println!("{}", json(&outcome));
    } else {
        println!("seed {}, commit {}\n", outcome.seed, commit());
        print!("{}", outcome.report.text());
        println!("\n  journal {}, played in {:.1?}", outcome.hash, began.elapsed());
    }
    if let Some(path) = &arguments.report {
        let html = page::draw(&outcome, &commit());
        if let Err(error) = fs::write(path, html) {
            eprintln!("error: cannot write {}: {error}", path.display());
            return ExitCode::FAILURE;
        }
        eprintln!("the report is in {}", path.display());
    }
    conclude(arguments, &outcome)
}

/// Says what was wrong, if anything was.
fn conclude(arguments: &Arguments, outcome: &Outcome) -> ExitCode {
    let Some(violation) = &outcome.violation else { return ExitCode::SUCCESS };
    eprintln!("\nWhat led to it:");
    for line in &outcome.account {
        eprintln!("{line}");
    }
    eprintln!("\nWhere the nodes stood:");
    for line in &outcome.nodes {
        eprintln!("  {line}");
    }
    eprintln!("\nFAILED {violation}");
    eprintln!("seed {}, commit {}", outcome.seed, commit());
    eprintln!("play it again: {}", again(arguments, outcome.seed));
    ExitCode::FAILURE
}

/// The command that plays a seed again.
fn again(arguments: &Arguments, seed: u64) -> String {
    let Arguments { scenario, rounds, nodes, .. } = arguments;
    let mut command =
        format!("cargo run --release -p simulator -- --seed {seed} --scenario {scenario}");
    if let Some(rounds) = rounds {
        command += &format!(" --rounds {rounds}");
    }
    if let Some(nodes) = nodes {
        command += &format!(" --nodes {nodes}");
    }
    command
}

fn json(outcome: &Outcome) -> serde_json::Value {
    serde_json::json!(Played::of(outcome, &commit()))
}

/// The commit that was built, as far as it is known.
fn commit() -> String {
    option_env!("SIMULATOR_COMMIT").unwrap_or("unknown").to_owned()
}
