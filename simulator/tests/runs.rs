//! Whole runs: the same seed is the same run, and every invariant holds in a few seeds of every scenario.
//! Hundreds of seeds are the release command in `scripts/test`. Not here: checkers that must fail (theirs).

use simulator::{
    adversaries::Kind,
    run::{Outcome, play},
    scenario::{FaultKind, Scenario},
};

/// Blocks of calm at the end of a short run: enough for everything to arrive.
const CALM_BLOCKS_MAX: u64 = 22;

/// A short run of a scenario.
fn short(name: &str, seed: u64, rounds: u64) -> Outcome {
    let scenario = Scenario::named(name, seed).expect("a scenario");
    let calm_blocks = scenario.calm_blocks.min(CALM_BLOCKS_MAX);
    let scenario = Scenario { rounds, calm_blocks, ..scenario };
    play(seed, scenario, false).expect("the network can be set up")
}

fn holds(name: &str, seed: u64, rounds: u64) -> Outcome {
    let outcome = short(name, seed, rounds);
    assert!(
        outcome.violation.is_none(),
        "{name}, seed {seed}: {:?}\n{}",
        outcome.violation,
        outcome.account.join("\n")
    );
    outcome
}

#[test]
fn the_same_seed_is_the_same_run() {
    let first = short("faults", 3, 12);
    let second = short("faults", 3, 12);
    assert_eq!(first.hash, second.hash);
    assert_ne!(first.hash, short("faults", 4, 12).hash);
}

#[test]
fn a_steady_l1() {
    let report = holds("steady", 1, 25).report;
    assert_eq!(report.rounds_with_rollup, report.rounds);
    assert_eq!(report.publications_wasted, 0);
    assert_eq!(report.transactions_included, report.transactions);
}

#[test]
fn forks_of_l1() {
    holds("forks", 1, 15);
    holds("race", 1, 15);
    holds("race-2022", 1, 15);
}

#[test]
fn faults() {
    for seed in 0..2 {
        holds("faults", seed, 15);
    }
}

#[test]
fn little_to_publish() {
    let report = holds("quiet", 1, 15).report;
    assert!(report.rounds_with_rollup < report.rounds);
}

#[test]
fn faults_and_adversaries_together() {
    holds("everything", 2, 12);
}

#[test]
fn each_fault_alone() {
    for kind in FaultKind::ALL {
        let report = holds(kind.name(), 1, 10).report;
        assert!(report.rounds > 0, "{}", kind.name());
    }
}

#[test]
fn each_adversary_alone() {
    for kind in Kind::ALL {
        // An empty-roller does what it does by not doing something.
        let has_attacked =
            |outcome: &Outcome| !outcome.report.attacks.is_empty() || kind == Kind::EmptyRoller;
        let outcome = holds(kind.name(), 1, 14);
        assert!(has_attacked(&outcome), "{} has done nothing", kind.name());
    }
}
