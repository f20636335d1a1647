//! Many seeds, several at a time, with or without a log from which an interrupted run goes on. Not here: a
//! run, which has no threads (`simulator::run`).

use super::{Arguments, again, commit, conclude, play};
use serde::{Deserialize, Serialize};
use simulator::{report::Report, run::Outcome};
use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    process::ExitCode,
    sync::Mutex,
    time::{Duration, Instant},
};

/// Seeds between two lines about progress.
const PROGRESS_EVERY: usize = 10;

/// What is kept of a run.
#[derive(Serialize, Deserialize)]
pub struct Played {
    seed: u64,
    commit: String,
    journal: String,
    violation: Option<String>,
    report: Report,
}

impl Played {
    /// What is kept of this one.
    pub fn of(outcome: &Outcome, commit: &str) -> Self {
        Self {
            seed: outcome.seed,
            commit: commit.to_owned(),
            journal: outcome.hash.to_string(),
            violation: outcome.violation.as_ref().map(ToString::to_string),
            report: outcome.report.clone(),
        }
    }
}

/// What several threads work on.
struct Work {
    /// What is left to play, next one last.
    seeds: Vec<u64>,
    log: Option<File>,
    played: BTreeMap<u64, Played>,
    /// The first failure.
    first: Option<Outcome>,
    /// Runs that came to no end.
    broken: Vec<String>,
    is_over: bool,
}

/// Plays them all, as long as time allows, and sums up.
pub fn play_all(arguments: &Arguments, seeds: Range<u64>) -> ExitCode {
    let mut work = match Work::new(arguments, seeds) {
        Ok(work) => work,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    let (began, left, known) = (Instant::now(), work.seeds.len(), work.played.len());
    if known > 0 {
        eprintln!("{known} seeds are in the log, {left} are left");
    }
    let deadline = arguments.budget.map(|budget| began + Duration::from_secs(budget));
    let shared = Mutex::new(&mut work);
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let is_late = deadline.is_some_and(|deadline| Instant::now() > deadline);
                    let Ok(Some(seed)) = shared.lock().map(|mut work| work.next(is_late)) else {
                        return;
                    };
                    let outcome = catch_unwind(AssertUnwindSafe(|| play(arguments, seed)));
                    let outcome = outcome.unwrap_or_else(|_| Err("it panicked".to_owned()));
                    let Ok(mut work) = shared.lock() else { return };
                    work.take(seed, outcome);
                    let done = work.played.len() - known;
                    if done.is_multiple_of(PROGRESS_EVERY) && done > 0 && !arguments.json {
                        eprintln!("{}", work.progress(done, left, began.elapsed()));
                    }
                }
            });
        }
    });
    work.sum_up(arguments, began.elapsed())
}

impl Work {
    fn new(arguments: &Arguments, seeds: Range<u64>) -> Result<Self, String> {
        let mut played = BTreeMap::new();
        let mut log = None;
        if let Some(path) = &arguments.log {
            let opened = open(path).map_err(|error| format!("{}: {error}", path.display()));
            let (file, runs) = opened?;
            log = Some(file);
            for run in runs {
                if run.commit != commit() {
                    return Err(format!("{} is of commit {}", path.display(), run.commit));
                }
                if seeds.contains(&run.seed) {
                    played.insert(run.seed, run);
                }
            }
        }
        let seeds = seeds.rev().filter(|seed| !played.contains_key(seed)).collect();
        Ok(Self { seeds, log, played, first: None, broken: Vec::new(), is_over: false })
    }

    fn next(&mut self, is_late: bool) -> Option<u64> {
        if is_late || self.is_over { None } else { self.seeds.pop() }
    }

    fn take(&mut self, seed: u64, outcome: Result<Outcome, String>) {
        let has_failed = outcome.as_ref().map_or(true, |outcome| outcome.violation.is_some());
        // With a log, all failures are worth knowing.
        self.is_over |= has_failed && self.log.is_none();
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(error) => {
                self.broken.push(format!("seed {seed}: {error}"));
                return;
            }
        };
        let run = Played::of(&outcome, &commit());
        if let Some(log) = &mut self.log
            && let Err(error) = writeln!(log, "{}", serde_json::json!(run))
        {
            eprintln!("error: cannot write the log: {error}");
            self.is_over = true;
        }
        self.played.insert(seed, run);
        if has_failed && self.first.is_none() {
            self.first = Some(outcome);
        }
    }

    fn failures(&self) -> impl Iterator<Item = &Played> {
        self.played.values().filter(|run| run.violation.is_some())
    }

    fn progress(&self, done: usize, of: usize, elapsed: Duration) -> String {
        let left = elapsed / done as u32 * (of - done) as u32;
        let failures = self.failures().count() + self.broken.len();
        format!("{done} of {of} seeds, {failures} failures, {elapsed:.0?}, {left:.0?} left")
    }

    fn sum_up(self, arguments: &Arguments, elapsed: Duration) -> ExitCode {
        if arguments.json {
            for run in self.played.values() {
                println!("{}", serde_json::json!(run));
            }
        } else {
            println!("{}, commit {}, played in {elapsed:.1?}", arguments.scenario, commit());
            println!("{}", table(self.played.values()));
        }
        for error in &self.broken {
            eprintln!("BROKEN {error}");
        }
        for run in self.failures() {
            let what = run.violation.as_deref().unwrap_or_default();
            eprintln!("FAILED {what}\n  {}", again(arguments, run.seed));
        }
        if let Some(outcome) = &self.first {
            return conclude(arguments, outcome);
        }
        let is_good = self.broken.is_empty() && self.failures().next().is_none();
        if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// The log, and what it holds. A last line that was cut short is dropped.
fn open(path: &Path) -> io::Result<(File, Vec<Played>)> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
    file.set_len(text.len() as u64)?;
    let runs = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    Ok((file, runs))
}

/// Sums by scenario, and over all.
fn table<'a>(runs: impl Iterator<Item = &'a Played>) -> String {
    let mut by_name: BTreeMap<&str, Vec<&Played>> = BTreeMap::new();
    let mut all = Vec::new();
    for run in runs {
        by_name.entry(&run.report.scenario).or_default().push(run);
        all.push(run);
    }
    if by_name.len() > 1 {
        by_name.insert("all", all);
    }
    let heads = ["seeds", "rounds", "wasted", "published", "wasted", "by cheats"];
    let more = ["transactions", "restarts", "failures"];
    let mut out = format!("{:<20}", "");
    for head in heads.iter().chain(&more) {
        out += &format!("{head:>13}");
    }
    for (name, runs) in by_name {
        let sum = |of: fn(&Report) -> u64| runs.iter().map(|run| of(&run.report)).sum::<u64>();
        let share =
            |part: u64, whole: u64| format!("{:.2} %", part as f64 * 100.0 / whole.max(1) as f64);
        let rounds = sum(|report| report.rounds);
        let sent = sum(|report| report.publications);
        let cheats = sum(|report| report.publications_wasted_by_cheats);
        let honest = sum(|report| report.publications_wasted) - cheats;
        let cells = [
            runs.len().to_string(),
            rounds.to_string(),
            share(rounds - sum(|report| report.rounds_with_rollup), rounds),
            sent.to_string(),
            share(honest, sent),
            share(cheats, sent),
            sum(|report| report.transactions).to_string(),
            sum(|report| report.restarts).to_string(),
            runs.iter().filter(|run| run.violation.is_some()).count().to_string(),
        ];
        out += &format!("\n{name:<20}");
        for cell in cells {
            out += &format!("{cell:>13}");
        }
    }
    out
}
