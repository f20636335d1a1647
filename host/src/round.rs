//! The POBI round as one aggregator's host plays it (protocol 5.1, 5.5–5.7; S2 "Proof of Block
//! Inclusion"): a state machine without I/O or clock. A round is one parent rollup and one L1 block
//! that proves it. The enclave seals one candidate in it; hosts announce candidates without their
//! payloads, pass on only those that beat all they have seen, and ask for the payload of the best one
//! alone. The lowest nonce among those announced within a window wins, and only the winner publishes.
//! The next L1 block, with or without the winner in it, opens the next round. Not here: what makes a
//! candidate valid (the enclave's), who is asked for a payload (`pull`), gossip, L1 and timers
//! (`rounds`).

mod candidates;
pub mod rhythm;
#[cfg(test)]
mod tests;

use alloy_primitives::{Address, B256, Bytes};
use candidates::{Aggregator, Candidates, Refused, Standing};
use obscuro_protocol::{
    canonical::precedence,
    checks::Checks,
    config::NetworkConfig,
    door::{Head, Peer},
    gossip::Announcement,
    lottery::Draw,
    rollup::{RollupHeader, SignedRollup},
};
use std::{cmp::Ordering, collections::HashSet};

/// Announcements of rounds that this node has not reached yet.
const EARLY_MAX: usize = 256;
/// Candidates of one aggregator in one round. A second one proves that it cheats or has lost its
/// disk; a third is not worth anybody's traffic.
const PER_AGGREGATOR_MAX: usize = 2;
/// L1 blocks after which a winner that has not published loses its precedence.
const ABSENT_AFTER_BLOCKS: u64 = 2;
/// How often a round begins to compete anew because its best candidate turned out to be none.
const REOPENED_MAX: u32 = 1;

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
    Head(Box<Head>),
    /// Transactions have arrived since the enclave had nothing to seal.
    Work,
    /// Answer to [`Effect::Seal`].
    Sealed(RoundId, Option<Box<SignedRollup>>),
    /// A peer's announcement.
    Candidate(M, Box<Announcement>),
    /// A share of the time of [`Effect::OpenWindow`] is up: most announcements have arrived.
    Gathered(RoundId),
    /// Answer to [`Effect::Pull`], by the candidate's hash: its payload, if anybody gave it.
    Pulled(B256, Option<Bytes>),
    /// Answer to [`Effect::Check`], by the candidate's hash.
    Checked(B256, Judgement),
    /// The time of [`Effect::OpenWindow`] is up.
    WindowClosed(RoundId),
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
    /// Ask for a candidate's payload: whoever brought the message first, then its aggregator.
    Pull(Box<Announcement>, M),
    /// Ask the enclave to judge a candidate.
    Check(Box<SignedRollup>),
    /// Announce this node's candidate, and give its payload to whoever asks.
    Gossip(Box<SignedRollup>),
    /// Say when a share of the gossip window is over, and when all of it is.
    OpenWindow(RoundId),
    /// Publish on L1.
    Publish(Box<SignedRollup>),
    /// Take this rollup back if L1 has not included it: a better one of its round has turned up since.
    TakeBack(B256),
    /// Pass the message on to other peers.
    Forward(M),
    /// Peers that were passed an announcement may ask for this payload before it is here.
    Expect(B256),
    /// Do not pass it on.
    Ignore(M),
    /// Do not pass it on, and think less of who sent it.
    Reject(M),
}

/// All rounds of one aggregator.
pub struct Rounds<M> {
    enclave: Address,
    config: NetworkConfig,
    config_hash: B256,
    checks: Checks,
    current: Option<Round<M>>,
    early: Vec<(M, Box<Announcement>)>,
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
    is_sealing: bool,
    /// Whether transactions arrived while the enclave was being asked.
    has_work: bool,
    own: Option<Box<SignedRollup>>,
    /// Whether peers know of it.
    is_told: bool,
    /// What others announced.
    candidates: Candidates<M>,
    window: Window,
    /// Windows whose time is not up.
    running: u32,
    /// How often it began to compete anew.
    reopened: u32,
    /// Whether the best candidate's payload is worth asking for now.
    is_gathered: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Window {
    /// No candidate yet.
    NotOpen,
    /// Candidates compete.
    Open,
    /// Time is up, but this node's candidate is still being sealed.
    Closing,
    /// The same, and one that would beat it has not been judged: as much time again for its payload.
    Grace,
    /// This node's candidate has won, as far as it knows.
    Published,
    /// Lost or nothing to publish.
    Closed,
}

impl<M: Clone> Rounds<M> {
    /// The rounds of the host of this enclave in this network.
    pub fn new(enclave: Address, config: NetworkConfig) -> Self {
        Self {
            enclave,
            config_hash: config.hash(),
            config,
            checks: Checks::default(),
            current: None,
            early: Vec::new(),
            has_listened: false,
            winners: Vec::new(),
        }
    }

    /// Whose host's rounds they are.
    pub fn enclave(&self) -> Address {
        self.enclave
    }

    /// The same, with something else that checks signatures.
    pub fn checking_with(self, checks: Checks) -> Self {
        Self { checks, ..self }
    }

    /// Takes note, and says what to do next.
    pub fn handle(&mut self, input: Input<M>) -> Vec<Effect<M>> {
        match input {
            Input::Head(head) => self.open_round(&head),
            Input::Work => self.take_work(),
            Input::Sealed(id, rollup) => self.take_sealed(id, rollup),
            Input::Candidate(message, candidate) => self.take_candidate(message, candidate),
            Input::Gathered(id) => self.gathered(id),
            Input::Pulled(hash, payload) => self.take_payload(hash, payload),
            Input::Checked(hash, judgement) => self.take_judgement(hash, judgement),
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
        let late = self.winners.iter().filter(|(number, _)| is_late(*number));
        let absent: HashSet<Address> = late.map(|(_, winner)| *winner).collect();
        let aggregator = |peer: &Peer| {
            let counts = !absent.contains(&peer.enclave);
            (peer.enclave, Aggregator { counts, lottery_key: peer.lottery_key.clone() })
        };
        let aggregators = head.peers.iter().map(aggregator).collect();
        let (config_hash, number) = (self.config_hash, head.number.saturating_add(1));
        let draw = Draw { config_hash, number, randao: head.randao };
        self.current = Some(Round {
            id,
            number: head.l1.number,
            is_aggregator: head.is_aggregator && may_seal,
            has_peers: !head.peers.is_empty(),
            is_sealing: false,
            has_work: false,
            own: None,
            is_told: false,
            candidates: Candidates::new(aggregators, draw, self.checks),
            window: Window::NotOpen,
            running: 0,
            reopened: 0,
            is_gathered: false,
        });
        effects.extend(self.seal());
        for (message, candidate) in std::mem::take(&mut self.early) {
            effects.extend(self.take_candidate(message, candidate));
        }
        effects
    }

    /// Forgets the current round, but not who should have published in it.
    fn end_round(&mut self, next_parent: B256) -> Vec<Effect<M>> {
        let Some(mut round) = self.current.take() else {
            return Vec::new();
        };
        if round.id.parent == next_parent {
            let own = round.own.as_ref().map(|own| &own.header);
            let best = round.candidates.best().map(|best| &best.announcement.header);
            let winner = best.into_iter().chain(own).min_by(|a, b| precedence(a, b));
            let other = winner.filter(|winner| winner.aggregator != self.enclave);
            self.winners.extend(other.map(|winner| (round.number, winner.aggregator)));
        } else {
            self.winners.clear();
        }
        round.candidates.take_held().map(Effect::Ignore).collect()
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
            return if round.has_work { self.seal() } else { round.decide() };
        };
        round.own = Some(rollup.clone());
        if !round.has_peers {
            round.window = Window::Closed;
            return vec![Effect::Publish(rollup)];
        }
        let mut effects = round.tell();
        effects.extend(round.open_window());
        effects.extend(round.decide());
        effects
    }

    fn take_candidate(&mut self, message: M, candidate: Box<Announcement>) -> Vec<Effect<M>> {
        let header = &candidate.header;
        let reached = self.current.as_ref().map_or(0, |round| round.number);
        if header.l1ProofNumber > reached {
            return self.keep_early(message, candidate);
        }
        let current = self.current.as_mut();
        let Some(round) = current.filter(|round| round.id == RoundId::of(header)) else {
            return vec![Effect::Ignore(message)];
        };
        if header.aggregator == self.enclave {
            return vec![Effect::Ignore(message)];
        }
        match round.candidates.add(message, candidate, &self.config) {
            Ok(()) => {}
            Err((message, Refused::Useless)) => return vec![Effect::Ignore(message)],
            Err((message, Refused::Wrong)) => return vec![Effect::Reject(message)],
        }
        let mut effects = round.tell();
        effects.extend(round.open_window());
        effects.extend(round.pull());
        effects
    }

    /// A peer has seen an L1 block before this node.
    fn keep_early(&mut self, message: M, candidate: Box<Announcement>) -> Vec<Effect<M>> {
        let aggregator = candidate.header.aggregator;
        let of_same = |(_, other): &&(M, Box<Announcement>)| other.header.aggregator == aggregator;
        let is_worth_keeping = self.early.len() < EARLY_MAX
            && self.early.iter().filter(of_same).count() < PER_AGGREGATOR_MAX
            && self.current.as_ref().is_none_or(|round| round.candidates.is_known(aggregator));
        if !is_worth_keeping {
            return vec![Effect::Ignore(message)];
        }
        if !candidates::is_signed(&candidate, &self.config, &self.checks) {
            return vec![Effect::Reject(message)];
        }
        self.early.push((message, candidate));
        Vec::new()
    }

    fn gathered(&mut self, id: RoundId) -> Vec<Effect<M>> {
        match &mut self.current {
            Some(round) if round.id == id => {
                round.is_gathered = true;
                round.pull()
            }
            _ => Vec::new(),
        }
    }

    fn take_payload(&mut self, hash: B256, payload: Option<Bytes>) -> Vec<Effect<M>> {
        let Some(round) = &mut self.current else { return Vec::new() };
        let Some(candidate) = round.candidates.get(hash, Standing::Pulling) else {
            return Vec::new();
        };
        let Some(payload) = payload else { return round.rule_out(hash) };
        candidate.standing = Standing::Judging;
        vec![Effect::Check(Box::new(candidate.announcement.clone().with_payload(payload)))]
    }

    fn take_judgement(&mut self, hash: B256, judgement: Judgement) -> Vec<Effect<M>> {
        let Some(round) = &mut self.current else { return Vec::new() };
        let Some(candidate) = round.candidates.get(hash, Standing::Judging) else {
            return Vec::new();
        };
        match judgement {
            // An enclave signed it: that is enough for whoever cannot tell.
            Judgement::Valid | Judgement::Unknown => {
                candidate.standing = Standing::Stands;
                match (round.window, judgement) {
                    (Window::Published, Judgement::Valid) => round.take_back(hash),
                    _ => round.decide(),
                }
            }
            Judgement::Invalid => round.rule_out(hash),
        }
    }

    fn close_window(&mut self, id: RoundId) -> Vec<Effect<M>> {
        let Some(round) = self.current.as_mut().filter(|round| round.id == id) else {
            return Vec::new();
        };
        round.running = round.running.saturating_sub(1);
        match round.window {
            Window::Open if round.running == 0 => {
                round.window = Window::Closing;
                round.decide()
            }
            Window::Grace => round.decide(),
            _ => Vec::new(),
        }
    }
}

impl<M: Clone> Round<M> {
    fn can_seal(&self) -> bool {
        self.is_aggregator
            && !self.is_sealing
            && self.own.is_none()
            && matches!(self.window, Window::NotOpen | Window::Open)
    }

    /// Whether the best candidate of others beats this node's.
    fn is_beaten(&self) -> bool {
        match (&self.own, self.candidates.best()) {
            (Some(own), Some(best)) => {
                precedence(&best.announcement.header, &own.header) == Ordering::Less
            }
            (own, _) => own.is_none(),
        }
    }

    /// Passes on what beats all that is known; a candidate that has lost is not worth anybody's
    /// traffic.
    fn tell(&mut self) -> Vec<Effect<M>> {
        if self.is_beaten() {
            let Some(best) = self.candidates.best_mut() else { return Vec::new() };
            let payload = best.announcement.header.payloadHash;
            let held = best.held.take();
            return held.map_or(Vec::new(), |m| vec![Effect::Forward(m), Effect::Expect(payload)]);
        }
        match &self.own {
            Some(own) if !std::mem::replace(&mut self.is_told, true) => {
                vec![Effect::Gossip(own.clone())]
            }
            _ => Vec::new(),
        }
    }

    /// Asks for the payload of the best candidate, when it is time.
    fn pull(&mut self) -> Vec<Effect<M>> {
        if !self.is_gathered || !self.is_beaten() {
            return Vec::new();
        }
        match self.candidates.best_mut() {
            Some(best) if best.standing == Standing::Announced => {
                best.standing = Standing::Pulling;
                vec![Effect::Pull(Box::new(best.announcement.clone()), best.message.clone())]
            }
            _ => Vec::new(),
        }
    }

    /// A candidate is none. What it suppressed comes to light, here and at peers, and competes.
    fn rule_out(&mut self, hash: B256) -> Vec<Effect<M>> {
        let best = self.candidates.best().map(|best| best.announcement.header.hash());
        self.candidates.rule_out(hash);
        if best != Some(hash) {
            return Vec::new();
        }
        let mut effects = self.tell();
        effects.extend(self.pull());
        let is_open = matches!(self.window, Window::Open | Window::Closing | Window::Grace);
        if is_open && self.reopened < REOPENED_MAX {
            self.reopened += 1;
            self.window = Window::Open;
            effects.push(self.start_window());
        }
        effects.extend(self.decide());
        effects
    }

    fn open_window(&mut self) -> Option<Effect<M>> {
        if self.window != Window::NotOpen {
            return None;
        }
        self.window = Window::Open;
        Some(self.start_window())
    }

    fn start_window(&mut self) -> Effect<M> {
        self.running += 1;
        Effect::OpenWindow(self.id)
    }

    /// A candidate that is valid has come after this node's was published: it may be better.
    fn take_back(&mut self, valid: B256) -> Vec<Effect<M>> {
        let other = self.candidates.get(valid, Standing::Stands);
        let (Some(own), Some(other)) = (&self.own, other) else { return Vec::new() };
        if precedence(&other.announcement.header, &own.header) != Ordering::Less {
            return Vec::new();
        }
        self.window = Window::Closed;
        vec![Effect::TakeBack(own.header.hash())]
    }

    /// Once time is up and nothing is under way that matters: publish or not.
    fn decide(&mut self) -> Vec<Effect<M>> {
        if self.window != Window::Closing && self.window != Window::Grace || self.is_sealing {
            return Vec::new();
        }
        let Some(own) = &self.own else {
            self.window = Window::Closed;
            return Vec::new();
        };
        let best = self.candidates.best().filter(|_| self.is_beaten());
        let Some(best) = best else {
            self.window = Window::Published;
            return vec![Effect::Publish(own.clone())];
        };
        match (best.standing, self.window) {
            (Standing::Judging, _) => Vec::new(),
            (Standing::Stands, _) => {
                self.window = Window::Closed;
                Vec::new()
            }
            (_, Window::Closing) => {
                self.window = Window::Grace;
                vec![self.start_window()]
            }
            (_, _) if self.running > 0 => Vec::new(),
            // Whoever announces what nobody can have delays a round, and does not stop it.
            (_, _) => self.rule_out(best.announcement.header.hash()),
        }
    }
}
