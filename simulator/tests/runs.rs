//! Whole runs: the same seed is the same run, and every invariant holds in a few seeds of every scenario.
//! Hundreds of seeds are the release command in `scripts/test`. Not here: checkers that must fail (theirs).

use simulator::{
    adversaries::Kind,
    report::Report,
    run::{Outcome, play},
    scenario::{FaultKind, Recurring, Rhythm, Scenario},
};

/// Blocks of calm at the end of a short run: enough for everything to arrive.
const CALM_BLOCKS_MAX: u64 = 22;

/// A seed in which L1 once turns back by forty blocks.
const DEEP_SEED: u64 = 5;

/// A short run of a scenario.
fn quick(name: &str, seed: u64, rounds: u64) -> Scenario {
    let scenario = Scenario::named(name, seed).expect("a scenario");
    let calm_blocks = scenario.calm_blocks.min(CALM_BLOCKS_MAX);
    Scenario { rounds, calm_blocks, ..scenario }
}

fn short(name: &str, seed: u64, rounds: u64) -> Outcome {
    play(seed, quick(name, seed, rounds), false).expect("the network can be set up")
}

fn holds(name: &str, seed: u64, rounds: u64) -> Outcome {
    held(name, short(name, seed, rounds))
}

fn held(name: &str, outcome: Outcome) -> Outcome {
    assert!(
        outcome.violation.is_none(),
        "{name}, seed {}: {:?}\n{}",
        outcome.seed,
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

/// Who loses its disk begins anew with what others have kept; one of them gives noise.
#[test]
fn payloads_come_from_others_when_l1_has_pruned_its_blobs() {
    let report = holds("archive", 1, 20).report;
    assert!(report.faults["disk-lost"] > 0);
    assert!(report.blobs_from_peers > 0, "{report:?}");
    assert!(report.blobs_refused > 0, "{report:?}");
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

/// All aggregators keep one user's envelopes from their enclaves.
#[test]
fn a_censored_user_goes_through_l1() {
    let report = holds("censor", 2, 15).report;
    assert!(report.forced > 0);
    assert_eq!(report.transactions_included, report.transactions);
}

#[test]
fn faults_and_adversaries_together() {
    holds("everything", 2, 12);
}

/// L1 turns to a branch that nobody has seen, nearly as deep as what it calls final.
#[test]
fn l1_turns_back_deeply() {
    let mut scenario = quick("reorg", DEEP_SEED, 70);
    scenario.rhythm = Rhythm::Slots { rivals_per_mille: 0 };
    scenario.aggregators = 3;
    let report = held("reorg", play(DEEP_SEED, scenario, false).expect("a network")).report;
    assert!(report.reorgs.keys().any(|depth| *depth >= 40), "{:?}", report.reorgs);
    assert_eq!(report.transactions_included, report.transactions);
}

#[test]
fn each_fault_alone() {
    use FaultKind::*;
    // What shows, beside its count, that it struck.
    type Shows = fn(&Report) -> bool;
    let has_restarted: Shows = |report| report.restarts > report.aggregators as u64;
    let has_reorganised: Shows = |report| report.reorgs.keys().any(|depth| *depth > 0);
    let cases: [(FaultKind, Shows); FaultKind::ALL.len()] = [
        (Crash, has_restarted),
        (DiskLost, has_restarted),
        (DiskRolledBack, has_restarted),
        (IdentityRolledBack, has_restarted),
        (DiskFails, |report| report.disk_refusals > 0),
        (Partition, |report| report.messages["cut off"] > 0),
        (Slow, |report| report.messages["of slow nodes"] > 0),
        (BadLines, |report| {
            ["lost", "doubled", "overtaking"].iter().all(|what| report.messages[*what] > 0)
        }),
        (Reorg, has_reorganised),
        (L1Split, has_reorganised),
        (FeeSpike, |report| report.full_blocks > 0),
        (Censorship, |report| report.left_out > 0),
        (Blackout, has_restarted),
    ];
    for (kind, shows) in cases {
        let name = kind.name();
        let strikes = |seed| {
            let mut scenario = quick(name, seed, 10);
            // L1 is steady but for the fault, which strikes often.
            scenario.rhythm = Rhythm::Slots { rivals_per_mille: 0 };
            scenario.faults = vec![Recurring { kind, every_blocks: 4 }];
            let report = held(name, play(seed, scenario, false).expect("a network")).report;
            report.faults[name] > 0 && shows(&report)
        };
        // It may hit who has nothing to lose just then.
        assert!((1..=5).any(strikes), "{name} has left no trace");
    }
}

#[test]
fn each_adversary_alone() {
    use Kind::*;
    // What it is to have done.
    let cases: [(Kind, &[&str]); Kind::ALL.len()] = [
        (Equivocator, &["rounds with two candidates"]),
        (FrontRunner, &["rollups front-run"]),
        (NonPublisher, &["rollups not published"]),
        (EmptyRoller, &["messages with transactions kept out"]),
        (PayloadWithholder, &["payloads withheld"]),
        (BadPayload, &["bad payloads"]),
        (ReRoller, &["rounds drawn again"]),
        (NonceForger, &["nonces forged"]),
        (Forger, &["illegal withdrawals ordered", "rollups on forged ones"]),
        (ColludingMajority, &["illegal withdrawals ordered", "rollups on forged ones"]),
        (LyingHost, &["heads withheld", "old heads shown", "a receipt altered"]),
        (Flooder, &["junk messages"]),
        (Censor, &["envelopes withheld"]),
        (SilentAnnouncer, &["payloads not given"]),
    ];
    for (kind, deeds) in cases {
        let report = holds(kind.name(), 1, 14).report;
        for deed in deeds {
            assert!(report.attacks.contains_key(*deed), "{}: no {deed}", kind.name());
        }
    }
}

#[test]
fn a_forger_ends_in_suspended_withdrawals_and_a_slashed_stake() {
    let report = holds("forger", 1, 30).report;
    assert!(report.attacks["illegal withdrawals suspended"] > 0);
    assert_eq!(report.slashed, 1);
}

/// It burns more than it earns, whether it stands in one L1 block with the winner or in the one before.
#[test]
fn a_front_runner_is_overtaken_and_not_rewarded() {
    let report = holds("front-runner", 1, 40).report;
    let mut honest = report.earned_percent.clone();
    let cheat = honest.remove(2);
    assert!(report.overtaken > 0);
    // Some of the others have little luck in so few rounds.
    let average = honest.iter().sum::<u64>() / honest.len() as u64;
    assert!(cheat < average, "{report:?}");
}

/// Its branch never dies: that is for a verdict (protocol 9.4).
#[test]
fn a_majority_that_never_gives_up_is_not_paid_nor_gets_its_stake_back() {
    let report = holds("colluding-majority", 1, 15).report;
    assert!(report.attacks["illegal withdrawals suspended"] > 0);
    assert!(report.attacks["accusations"] > 0);
    assert_eq!(report.slashed, 0);
}
