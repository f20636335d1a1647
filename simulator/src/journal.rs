//! What happened in a run, in order: a hash over all of it, which two runs of one seed must share, and
//! the last of it in words, for whoever must understand a failure. Not here: what is counted (`report`).

use alloy_primitives::{B256, Keccak256};
use std::{collections::VecDeque, time::Duration};

/// Lines kept for the account of a failure.
const LINES_KEPT: usize = 4_000;

/// A line.
#[derive(Clone, Debug)]
pub struct Line {
    /// When.
    pub at: Duration,
    /// To whom; `None` for the world.
    pub node: Option<usize>,
    /// What.
    pub text: String,
}

/// The journal.
#[derive(Default)]
pub struct Journal {
    hasher: Keccak256,
    lines: VecDeque<Line>,
    /// Events so far.
    pub count: u64,
    /// Whether every line is printed as it comes.
    pub is_loud: bool,
}

impl Journal {
    /// Something happened.
    pub fn say(&mut self, at: Duration, node: Option<usize>, text: String) {
        self.hasher.update(at.as_micros().to_be_bytes());
        self.hasher.update(node.map_or(u64::MAX, |node| node as u64).to_be_bytes());
        self.hasher.update(text.as_bytes());
        self.count += 1;
        if self.is_loud {
            println!("{}", show(&Line { at, node, text: text.clone() }));
        }
        if self.lines.len() == LINES_KEPT {
            self.lines.pop_front();
        }
        self.lines.push_back(Line { at, node, text });
    }

    /// Bytes passed: they count for the hash, not for readers.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.hasher.update((bytes.len() as u64).to_be_bytes());
        self.hasher.update(bytes);
    }

    /// The hash over everything so far.
    pub fn hash(&self) -> B256 {
        self.hasher.clone().finalize()
    }

    /// The last lines that concern any of these nodes or the world, oldest first.
    pub fn account(&self, nodes: &[usize], most: usize) -> Vec<String> {
        let concerns =
            |line: &&Line| nodes.is_empty() || line.node.is_none_or(|node| nodes.contains(&node));
        let mut last: Vec<String> =
            self.lines.iter().rev().filter(concerns).take(most).map(show).collect();
        last.reverse();
        last
    }
}

fn show(line: &Line) -> String {
    let who = line.node.map_or_else(|| "world".to_owned(), |node| format!("node {node}"));
    format!("{:>12.3}s  {who:<8} {}", line.at.as_secs_f64(), line.text)
}
