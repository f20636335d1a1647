//! `simulator`: a table of contents; runs are in `run`, scenarios in `scenario`.

use clap::Parser;
use simulator::{
    page,
    run::{self, Outcome},
    scenario::{GENERAL, Scenario},
};
use std::{
    collections::BTreeMap,
    fs,
    ops::Range,
    path::PathBuf,
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Plays a whole Obscuro network under virtual time, from one seed: the real enclave, the real host logic,
/// an L1 with the real contracts; only sockets, disks and clocks are replaced. Every invariant is checked
/// after every event. The same seed and commit give the same run, bit for bit.
///
/// Begin with `--seed 1`, go on with `--scenario faults`, and leave `--scenario adversaries --seeds 0..200`
/// to the night. A failure prints what led to it and the command that plays it again.
#[derive(Parser)]
#[command(name = "simulator", version, after_help = after_help())]
struct Arguments {
    /// The seed of the one run to play
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Many runs, one for each seed; stops at the first failure
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
        "Scenarios:\n  steady       a steady L1, nobody cheats\n  quiet        little to publish\n  forks        latencies of a fifteenth of the block time, L1 proposers compete\n  race         the same, L1 blocks at exponentially distributed times\n  race-2022    the same, with the block times of the simulation of 2022\n  faults       everything breaks now and then\n  adversaries  one to three cheat: the seed decides who and how\n  everything   faults and adversaries together\n\nAnd one of its own for each fault and adversary:\n  {}",
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
        Some(seeds) => many(&arguments, seeds.clone()),
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
    eprintln!("\nFAILED {}: {}", violation.checker, violation.text);
    eprintln!("seed {}, commit {}", outcome.seed, commit());
    let mut command = format!("cargo run --release -p simulator -- --seed {}", outcome.seed);
    command += &format!(" --scenario {}", arguments.scenario);
    if let Some(rounds) = arguments.rounds {
        command += &format!(" --rounds {rounds}");
    }
    if let Some(nodes) = arguments.nodes {
        command += &format!(" --nodes {nodes}");
    }
    eprintln!("play it again: {command}");
    ExitCode::FAILURE
}

/// Plays many seeds, several at a time. A run itself has no threads.
fn many(arguments: &Arguments, seeds: Range<u64>) -> ExitCode {
    let began = Instant::now();
    let deadline = arguments.budget.map(|budget| began + Duration::from_secs(budget));
    let (next, is_over) = (AtomicU64::new(seeds.start), AtomicBool::new(false));
    let outcomes: Mutex<BTreeMap<u64, Outcome>> = Mutex::default();
    let errors: Mutex<Vec<String>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let is_late = deadline.is_some_and(|deadline| Instant::now() > deadline);
                    if seed >= seeds.end || is_late || is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    match play(arguments, seed) {
                        Ok(outcome) => {
                            if outcome.violation.is_some() {
                                is_over.store(true, Ordering::Relaxed);
                            }
                            let Ok(mut outcomes) = outcomes.lock() else { return };
                            outcomes.insert(seed, outcome);
                            let done = outcomes.len();
                            if done.is_multiple_of(10) && !arguments.json {
                                let elapsed = began.elapsed();
                                eprintln!(
                                    "{done} of {} seeds, {elapsed:.0?}",
                                    seeds.end - seeds.start
                                );
                            }
                        }
                        Err(error) => {
                            is_over.store(true, Ordering::Relaxed);
                            if let Ok(mut errors) = errors.lock() {
                                errors.push(format!("seed {seed}: {error}"));
                            }
                        }
                    }
                }
            });
        }
    });
    for error in errors.into_inner().unwrap_or_default() {
        eprintln!("error: {error}");
    }
    let outcomes = outcomes.into_inner().unwrap_or_default();
    if arguments.json {
        for outcome in outcomes.values() {
            println!("{}", json(outcome));
        }
    } else {
        println!("{}, commit {}: {}", arguments.scenario, commit(), summary(&outcomes));
        println!("played in {:.1?}", began.elapsed());
    }
    match outcomes.values().find(|outcome| outcome.violation.is_some()) {
        Some(outcome) => conclude(arguments, outcome),
        None if is_over.into_inner() => ExitCode::FAILURE,
        None => ExitCode::SUCCESS,
    }
}

fn summary(outcomes: &BTreeMap<u64, Outcome>) -> String {
    let sum = |of: fn(&Outcome) -> u64| outcomes.values().map(of).sum::<u64>();
    let percent = |part: u64, whole: u64| part as f64 * 100.0 / whole.max(1) as f64;
    let rounds = sum(|outcome| outcome.report.rounds);
    let full = sum(|outcome| outcome.report.rounds_with_rollup);
    let sent = sum(|outcome| outcome.report.publications);
    let wasted = sum(|outcome| outcome.report.publications_wasted);
    let made = sum(|outcome| outcome.report.transactions);
    format!(
        "{} seeds, {rounds} rounds ({:.2} % wasted), {sent} publications ({:.2} % wasted), {made} transactions, {} restarts, {} failures",
        outcomes.len(),
        percent(rounds - full, rounds),
        percent(wasted, sent),
        sum(|outcome| outcome.report.restarts),
        sum(|outcome| u64::from(outcome.violation.is_some())),
    )
}

fn json(outcome: &Outcome) -> serde_json::Value {
    let violation = outcome.violation.as_ref();
    serde_json::json!({
        "seed": outcome.seed,
        "commit": commit(),
        "journal": outcome.hash,
        "violation": violation.map(|found| format!("{}: {}", found.checker, found.text)),
        "report": outcome.report,
    })
}

/// The commit that was built, as far as it is known.
fn commit() -> String {
    option_env!("SIMULATOR_COMMIT").unwrap_or("unknown").to_owned()
}
