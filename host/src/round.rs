//! The POBI round as one aggregator's host plays it (protocol 5.1, 5.5–5.7; S2 "Proof of Block
//! Inclusion"): a state machine without I/O or clock. A round is one parent rollup and one L1 block
//! that proves it. The enclave seals one candidate in it; the lowest nonce among the candidates that
//! are gossiped within a window wins, and only the winner publishes. The next L1 block, with or
//! without the winner in it, opens the next round. Not here: what makes a candidate valid (the
//! enclave's), gossip, L1 and timers (`rounds`).

pub mod rhythm;
#[cfg(test)]
mod tests;

use alloy_primitives::{Address, B256, Keccak256};
use obscuro_protocol::{
    canonical::precedence,
    door::Head,
    rollup::{RollupHeader, SignedRollup},
};
use std::{
    cmp::Ordering,
    collections::{HashMap, HashSet},
};

/// Candidates of one round that wait for the enclave's judgement.
const WAITING_MAX: usize = 64;
/// Candidates of rounds that this node has not reached yet.
const EARLY_MAX: usize = 64;
/// Valid candidates of one aggregator in one round. A second one proves that it cheats or has lost
/// its disk; a third is not worth executing.
const PER_AGGREGATOR_MAX: usize = 2;
/// L1 blocks after which a winner that has not published loses its precedence.
const ABSENT_AFTER_BLOCKS: u64 = 2;

/// A round: one parent, one L1 proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RoundId {
    /// The parent rollup.
    pub parent: B256,
    /// The L1 block that proves its inclusion.
    pub l1_proof: B256,
}

impl RoundId {
    /// The round of a candidate.
    pub fn of(header: &RollupHeader) -> Self {
        let (parent, l1_proof) = header.round();
        Self { parent, l1_proof }
    }
}

/// What happened. `M` names a gossiped message.
#[derive(Clone, Debug)]
pub enum Input<M> {
    /// The enclave has a new head, which is L1's.
    Head(Head),
    /// Transactions have arrived since the enclave had nothing to seal.
    Work,
    /// Answer to [`Effect::Seal`].
    Sealed(RoundId, Option<Box<SignedRollup>>),
    /// A peer's candidate.
    Candidate(M, Box<SignedRollup>),
    /// Answer to [`Effect::Check`], by the candidate's [`content`].
    Checked(B256, Judgement),
    /// The time of [`Effect::OpenWindow`] is up.
    WindowClosed(RoundId),
}

/// Identifies a candidate as it came, with all that is beside the header. The header alone would not do:
/// anybody can put another signature under it, and a judgement on that says nothing about the real one.
pub fn content(rollup: &SignedRollup) -> B256 {
    let mut hasher = Keccak256::new();
    hasher.update(rollup.header.hash());
    for part in [&rollup.signature, &rollup.lottery_proof, &rollup.payload] {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize()
}

/// What the enclave says of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It is valid.
    Valid,
    /// It never will be.
    Invalid,
    /// The enclave cannot tell now.
    Unknown,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect<M> {
    /// Ask the enclave for its candidate.
    Seal(RoundId),
    /// Ask the enclave to judge a candidate.
    Check(Box<SignedRollup>),
    /// Tell the peers of this node's candidate.
    Gossip(Box<SignedRollup>),
    /// Say when the gossip window is over.
    OpenWindow(RoundId),
    /// Publish on L1.
    Publish(Box<SignedRollup>),
    /// Pass the message on to other peers.
    Forward(M),
    /// Do not pass it on.
    Ignore(M),
    /// Do not pass it on, and think less of who sent it.
    Reject(M),
}

/// All rounds of one aggregator.
pub struct Rounds<M> {
    enclave: Address,
    current: Option<Round<M>>,
    early: Vec<(M, Box<SignedRollup>)>,
    /// Whether a round was opened since the start.
    has_listened: bool,
    /// Winners of earlier rounds on the current parent, with the numbers of their L1 proofs.
    winners: Vec<(u64, Address)>,
}

/// The round that is being played.
struct Round<M> {
    id: RoundId,
    number: u64,
    /// Whether this node seals in it.
    is_aggregator: bool,
    has_peers: bool,
    /// Winners of earlier rounds on this parent that have not published: they do not count.
    absent: HashSet<Address>,
    is_sealing: bool,
    /// Whether transactions arrived while the enclave was being asked.
    has_work: bool,
    own: Option<Box<SignedRollup>>,
    /// Headers of valid candidates, this node's included.
    valid: Vec<RollupHeader>,
    /// Candidates that came, by content.
    seen: HashSet<B256>,
    /// Gossiped candidates that are being judged, by content.
    checking: HashMap<B256, (M, RollupHeader)>,
    window: Window,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Window {
    /// No candidate yet.
    NotOpen,
    /// Candidates compete.
    Open,
    /// Time is up, but this node's candidate is still being sealed, or one that would beat it is
    /// still being judged.
    Closing,
    /// Published, lost or nothing to publish.
    Closed,
}

impl<M: Clone> Rounds<M> {
    /// The rounds of the host of this enclave.
    pub fn new(enclave: Address) -> Self {
        Self { enclave, current: None, early: Vec::new(), has_listened: false, winners: Vec::new() }
    }

    /// Takes note, and says what to do next.
    pub fn handle(&mut self, input: Input<M>) -> Vec<Effect<M>> {
        match input {
            Input::Head(head) => self.open_round(&head),
            Input::Work => self.take_work(),
            Input::Sealed(id, rollup) => self.take_sealed(id, rollup),
            Input::Candidate(message, rollup) => self.take_candidate(message, rollup),
            Input::Checked(content, judgement) => self.take_judgement(content, judgement),
            Input::WindowClosed(id) => self.close_window(id),
        }
    }

    fn open_round(&mut self, head: &Head) -> Vec<Effect<M>> {
        let id = RoundId { parent: head.rollup, l1_proof: head.l1.hash };
        if self.current.as_ref().is_some_and(|round| round.id == id) {
            return Vec::new();
        }
        let mut effects = self.end_round(id.parent);
        // The round of the start is under way: its candidates passed before this node could hear them,
        // and whatever it sealed now would look to it as if it had won.
        let may_seal = std::mem::replace(&mut self.has_listened, true) || head.peers.is_empty();
        let is_late = |number: u64| number + ABSENT_AFTER_BLOCKS <= head.l1.number;
        let winners = self.winners.iter().filter(|(number, _)| is_late(*number));
        let others = winners.filter(|(_, winner)| *winner != self.enclave);
        self.current = Some(Round {
            absent: others.map(|(_, winner)| *winner).collect(),
            id,
            number: head.l1.number,
            is_aggregator: head.is_aggregator && may_seal,
            has_peers: !head.peers.is_empty(),
            is_sealing: false,
            has_work: false,
            own: None,
            valid: Vec::new(),
            seen: HashSet::new(),
            checking: HashMap::new(),
            window: Window::NotOpen,
        });
        effects.extend(self.seal());
        for (message, rollup) in std::mem::take(&mut self.early) {
            effects.extend(self.take_candidate(message, rollup));
        }
        effects
    }

    /// Forgets the current round, but not who should have published in it.
    fn end_round(&mut self, next_parent: B256) -> Vec<Effect<M>> {
        let Some(round) = self.current.take() else {
            return Vec::new();
        };
        if round.id.parent == next_parent {
            let winner = round.valid.iter().min_by(|a, b| precedence(a, b));
            self.winners.extend(winner.map(|winner| (round.number, winner.aggregator)));
        } else {
            self.winners.clear();
        }
        let messages = round.checking.into_values().map(|(message, _)| message);
        messages.map(Effect::Ignore).collect()
    }

    fn seal(&mut self) -> Vec<Effect<M>> {
        match &mut self.current {
            Some(round) if round.can_seal() => {
                round.is_sealing = true;
                round.has_work = false;
                vec![Effect::Seal(round.id)]
            }
            _ => Vec::new(),
        }
    }

    fn take_work(&mut self) -> Vec<Effect<M>> {
        if let Some(round) = &mut self.current {
            round.has_work = true;
        }
        self.seal()
    }

    fn take_sealed(&mut self, id: RoundId, rollup: Option<Box<SignedRollup>>) -> Vec<Effect<M>> {
        let Some(round) = self.current.as_mut().filter(|round| round.id == id) else {
            return Vec::new();
        };
        round.is_sealing = false;
        // The enclave may be at the next round already; then this one is over.
        let rollup = rollup.filter(|rollup| RoundId::of(&rollup.header) == id);
        let Some(rollup) = rollup else {
            let has_work = round.has_work;
            return if has_work { self.seal() } else { self.decide() };
        };
        round.own = Some(rollup.clone());
        if !round.has_peers {
            round.window = Window::Closed;
            return vec![Effect::Publish(rollup)];
        }
        let mut effects = Vec::new();
        // A candidate that has lost is not worth anybody's traffic.
        if !round.is_beaten(&rollup.header) {
            effects.push(Effect::Gossip(rollup.clone()));
        }
        round.valid.push(rollup.header);
        effects.extend(round.open_window());
        effects.extend(self.decide());
        effects
    }

    fn take_candidate(&mut self, message: M, rollup: Box<SignedRollup>) -> Vec<Effect<M>> {
        let header = &rollup.header;
        let reached = self.current.as_ref().map_or(0, |round| round.number);
        if header.l1ProofNumber > reached {
            return self.keep_early(message, rollup);
        }
        let current = self.current.as_mut();
        let Some(round) = current.filter(|round| round.id == RoundId::of(header)) else {
            return vec![Effect::Ignore(message)];
        };
        let content = content(&rollup);
        let is_worth_checking = header.aggregator != self.enclave
            && !round.absent.contains(&header.aggregator)
            && !round.seen.contains(&content)
            && !round.is_beaten(header)
            && round.valid_of(header.aggregator) < PER_AGGREGATOR_MAX
            && round.checking.len() < WAITING_MAX;
        if !is_worth_checking {
            return vec![Effect::Ignore(message)];
        }
        round.seen.insert(content);
        round.checking.insert(content, (message, header.clone()));
        vec![Effect::Check(rollup)]
    }

    /// A peer has seen an L1 block before this node.
    fn keep_early(&mut self, message: M, rollup: Box<SignedRollup>) -> Vec<Effect<M>> {
        if self.early.len() < EARLY_MAX {
            self.early.push((message, rollup));
            return Vec::new();
        }
        vec![Effect::Ignore(message)]
    }

    fn take_judgement(&mut self, content: B256, judgement: Judgement) -> Vec<Effect<M>> {
        let Some(round) = &mut self.current else {
            return Vec::new();
        };
        let Some((message, header)) = round.checking.remove(&content) else {
            return Vec::new();
        };
        let mut effects = Vec::new();
        match judgement {
            Judgement::Invalid => effects.push(Effect::Reject(message)),
            Judgement::Unknown => effects.push(Effect::Ignore(message)),
            Judgement::Valid => {
                effects.push(match round.is_beaten(&header) {
                    true => Effect::Ignore(message),
                    false => Effect::Forward(message),
                });
                round.valid.push(header);
                effects.extend(round.open_window());
            }
        }
        effects.extend(self.decide());
        effects
    }

    fn close_window(&mut self, id: RoundId) -> Vec<Effect<M>> {
        match &mut self.current {
            Some(round) if round.id == id && round.window == Window::Open => {
                round.window = Window::Closing;
            }
            _ => return Vec::new(),
        }
        self.decide()
    }

    /// Once time is up and nothing is under way that matters: publish or not.
    fn decide(&mut self) -> Vec<Effect<M>> {
        let Some(round) = &mut self.current else {
            return Vec::new();
        };
        if round.window != Window::Closing {
            return Vec::new();
        }
        if round.is_sealing {
            return Vec::new();
        }
        let Some(own) = &round.own else {
            round.window = Window::Closed;
            return Vec::new();
        };
        let beats_own = |header: &RollupHeader| precedence(header, &own.header) == Ordering::Less;
        if round.checking.values().any(|(_, header)| beats_own(header)) {
            return Vec::new();
        }
        let is_won = !round.valid.iter().any(beats_own);
        let publish = is_won.then(|| Effect::Publish(own.clone()));
        round.window = Window::Closed;
        publish.into_iter().collect()
    }
}

impl<M> Round<M> {
    fn can_seal(&self) -> bool {
        self.is_aggregator
            && !self.is_sealing
            && self.own.is_none()
            && matches!(self.window, Window::NotOpen | Window::Open)
    }

    fn is_beaten(&self, header: &RollupHeader) -> bool {
        let mut valid = self.valid.iter();
        valid.any(|other| precedence(other, header) == Ordering::Less)
    }

    fn valid_of(&self, aggregator: Address) -> usize {
        let valid = self.valid.iter();
        valid.filter(|header| header.aggregator == aggregator).count()
    }

    fn open_window(&mut self) -> Option<Effect<M>> {
        if self.window != Window::NotOpen {
            return None;
        }
        self.window = Window::Open;
        Some(Effect::OpenWindow(self.id))
    }
}
