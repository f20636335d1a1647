//! `simulator`: plays scenarios from seeds.

use clap::Parser;
use simulator::{run, scenario::Scenario};

#[derive(Parser)]
struct Arguments {
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[arg(long, default_value = "steady")]
    scenario: String,
    #[arg(long)]
    rounds: Option<u64>,
    #[arg(long)]
    loud: bool,
}

fn main() {
    let arguments = Arguments::parse();
    let mut scenario = Scenario::named(&arguments.scenario, arguments.seed).expect("scenario");
    scenario.rounds = arguments.rounds.unwrap_or(scenario.rounds);
    let start = std::time::Instant::now();
    let outcome = run::play(arguments.seed, scenario, arguments.loud).expect("set-up");
    for line in &outcome.account {
        println!("{line}");
    }
    for line in &outcome.nodes {
        println!("{line}");
    }
    println!("{:?} {} in {:?}", outcome.violation, outcome.hash, start.elapsed());
    println!("{}", outcome.report.text());
}
