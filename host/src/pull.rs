//! Content by its hash, from peers and for peers (protocol 6.2, 7.4): a state machine without I/O or
//! clock. Whoever brought word of a payload is asked first, then others, a few at once when they are
//! slow; content of another hash is held against who sent it. Peers are served what this node offers,
//! what it is about to get (they wait for it), or what it archives; within bounds. Not here: sockets
//! (`gossip`), the archive (`storage`), and what content is wanted for (`round`, `l1`).

#[cfg(test)]
mod tests;

use alloy_eips::eip4844::{BYTES_PER_BLOB, kzg_to_versioned_hash};
use alloy_primitives::{Bytes, keccak256};
use obscuro_protocol::{gossip::Wanted, limits::PAYLOAD_BYTES_MAX};
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    hash::Hash,
    time::Duration,
};

/// Pieces of content that are asked for, or expected, at once.
const CONTENTS_MAX: usize = 512;
/// Peers that are asked for one piece of content, one after the other.
const PEERS_ASKED_MAX: usize = 16;
/// Requests of peers that wait for content which is on its way, of one peer and of all.
const WAITING_PER_PEER_MAX: usize = 16;
const WAITING_MAX: usize = 1_024;
/// Content that is offered from memory, bytes.
const OFFERED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Content that all peers are given in one period, bytes; each has an equal share of it.
const SERVED_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Where there are fewer peers, the share is as if there were so many.
const SHARES_MIN: usize = 4;
/// Periods after which content that has not come is given up.
const PERIODS_MAX: u64 = 3;
/// How often the driver says [`Input::Period`].
pub const PERIOD: Duration = Duration::from_secs(5);

/// What happened. `P` is a peer, `R` a request of one.
#[derive(Clone, Debug)]
pub enum Input<P, R> {
    /// Content is wanted, from these peers first; others are asked as well whenever one has taken this
    /// long.
    Want(Wanted, Vec<P>, Duration),
    /// Peers may ask for it before it is here.
    Expect(Wanted),
    /// Peers may have it from here.
    Offer(Wanted, Bytes),
    /// Answer to [`Effect::Ask`].
    Answered(P, Wanted, Answer),
    /// The time of [`Effect::Patience`] is up.
    Impatient(Wanted),
    /// A peer asks.
    Asked(P, R, Wanted),
    /// Answer to [`Effect::LookUp`].
    LookedUp(P, R, Option<Bytes>),
    /// Who can be asked.
    Neighbours(Vec<P>),
    /// Another [`PERIOD`] has passed.
    Period,
}

/// What a peer answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The content.
    Right(Bytes),
    /// Something else: see [`Answer::of`].
    Wrong(Mismatch),
    /// It does not have it, or does not answer.
    Nothing,
}

/// Bytes that are not what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// Longer than any.
    #[error("the content is too long")]
    TooLong,
    /// Its keccak256 is another.
    #[error("the payload does not have the hash that was asked for")]
    Payload,
    /// It is no answer to any question, or one without end.
    #[error("the answer has not the form of one")]
    Malformed,
    /// Its versioned hash is another, or it is no blob.
    #[error("the blob does not have the versioned hash that was asked for")]
    Blob,
}

impl Answer {
    /// Holds what a peer sent against what it was asked for. Takes milliseconds for a blob, and seconds
    /// for the first.
    pub fn of(wanted: Wanted, bytes: Bytes) -> Self {
        match verify(wanted, &bytes) {
            Ok(()) => Self::Right(bytes),
            Err(mismatch) => Self::Wrong(mismatch),
        }
    }
}

/// Whether these bytes are what was wanted; of a blob, without the zeros at its end.
pub fn verify(wanted: Wanted, bytes: &[u8]) -> Result<(), Mismatch> {
    match wanted {
        Wanted::Payload(_) if bytes.len() > PAYLOAD_BYTES_MAX => Err(Mismatch::TooLong),
        Wanted::Payload(hash) if keccak256(bytes) == hash => Ok(()),
        Wanted::Payload(_) => Err(Mismatch::Payload),
        Wanted::Blob(_) if bytes.len() > BYTES_PER_BLOB => Err(Mismatch::TooLong),
        Wanted::Blob(hash) => {
            let mut blob = bytes.to_vec();
            blob.resize(BYTES_PER_BLOB, 0);
            let blob = c_kzg::Blob::from_bytes(&blob).map_err(|_| Mismatch::Blob)?;
            let commitment = c_kzg::ethereum_kzg_settings(0).blob_to_kzg_commitment(&blob);
            let commitment = commitment.map_err(|_| Mismatch::Blob)?;
            let found = kzg_to_versioned_hash(commitment.to_bytes().as_slice());
            if found == hash { Ok(()) } else { Err(Mismatch::Blob) }
        }
    }
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect<P, R> {
    /// Ask a peer.
    Ask(P, Wanted),
    /// Say when this long has passed.
    Patience(Wanted, Duration),
    /// What was wanted is here.
    Arrived(Wanted, Bytes),
    /// Nobody who was asked has it.
    Missing(Wanted),
    /// The peer sent something else than it was asked for: have no more to do with it.
    Blame(P, Mismatch),
    /// Look into the archive.
    LookUp(P, R, Wanted),
    /// Answer a peer.
    Answer(R, Option<Bytes>),
}

/// All content that moves.
pub struct Pulls<P, R> {
    neighbours: Vec<P>,
    /// How often anybody was asked: each question begins with another neighbour, or those that the first
    /// one goes to could keep content from this node for ever.
    questions: usize,
    contents: BTreeMap<Wanted, Content<P, R>>,
    /// Newest last.
    offered: VecDeque<(Wanted, Bytes)>,
    offered_bytes: usize,
    /// Bytes given in this period.
    served: HashMap<P, usize>,
    waiting: usize,
    period: u64,
}

/// Content on its way.
struct Content<P, R> {
    /// The period in which it was first heard of.
    since: u64,
    /// Whether this node wants it; otherwise it may come to want it.
    is_wanted: bool,
    /// Whom to ask next; nobody twice.
    sources: VecDeque<P>,
    asked: Vec<P>,
    /// Who has not answered.
    asking: Vec<P>,
    patience: Duration,
    requests: Vec<(P, R)>,
}

impl<P: Clone + Eq + Hash, R> Default for Pulls<P, R> {
    fn default() -> Self {
        Self {
            neighbours: Vec::new(),
            questions: 0,
            contents: BTreeMap::new(),
            offered: VecDeque::new(),
            offered_bytes: 0,
            served: HashMap::new(),
            waiting: 0,
            period: 0,
        }
    }
}

impl<P: Clone + Eq + Hash, R> Pulls<P, R> {
    /// Takes note, and says what to do next.
    pub fn handle(&mut self, input: Input<P, R>) -> Vec<Effect<P, R>> {
        match input {
            Input::Want(wanted, sources, patience) => self.want(wanted, sources, patience),
            Input::Expect(wanted) => {
                self.entry(wanted);
                Vec::new()
            }
            Input::Offer(wanted, bytes) => self.arrived(wanted, bytes),
            Input::Answered(peer, wanted, answer) => self.take_answer(peer, wanted, answer),
            Input::Impatient(wanted) => self.ask_next(wanted),
            Input::Asked(peer, request, wanted) => self.take_request(peer, request, wanted),
            Input::LookedUp(peer, request, found) => vec![self.serve(peer, request, found)],
            Input::Neighbours(neighbours) => {
                self.neighbours = neighbours;
                Vec::new()
            }
            Input::Period => self.end_period(),
        }
    }

    fn entry(&mut self, wanted: Wanted) -> Option<&mut Content<P, R>> {
        if self.contents.len() >= CONTENTS_MAX && !self.contents.contains_key(&wanted) {
            return None;
        }
        let since = self.period;
        Some(self.contents.entry(wanted).or_insert_with(|| Content {
            since,
            is_wanted: false,
            sources: VecDeque::new(),
            asked: Vec::new(),
            asking: Vec::new(),
            patience: Duration::ZERO,
            requests: Vec::new(),
        }))
    }

    fn want(&mut self, wanted: Wanted, sources: Vec<P>, patience: Duration) -> Vec<Effect<P, R>> {
        if let Some(bytes) = self.offered(wanted) {
            return vec![Effect::Arrived(wanted, bytes)];
        }
        let mut others = self.neighbours.clone();
        let middle = self.questions % others.len().max(1);
        others.rotate_left(middle);
        let (since, Some(content)) = (self.period, self.entry(wanted)) else {
            return vec![Effect::Missing(wanted)];
        };
        content.since = since;
        content.is_wanted = true;
        content.patience = patience;
        for source in sources.into_iter().chain(others) {
            if !content.sources.contains(&source) && !content.asked.contains(&source) {
                content.sources.push_back(source);
            }
        }
        match content.asking.is_empty() {
            true => self.ask_next(wanted),
            false => Vec::new(),
        }
    }

    /// Asks one peer more; gives up when there is none and nobody is being asked.
    fn ask_next(&mut self, wanted: Wanted) -> Vec<Effect<P, R>> {
        let Some(content) = self.contents.get_mut(&wanted).filter(|content| content.is_wanted)
        else {
            return Vec::new();
        };
        let source = match content.asked.len() < PEERS_ASKED_MAX {
            true => content.sources.pop_front(),
            false => None,
        };
        let Some(source) = source else {
            return match content.asking.is_empty() {
                true => self.give_up(wanted),
                false => Vec::new(),
            };
        };
        self.questions = self.questions.wrapping_add(1);
        content.asked.push(source.clone());
        content.asking.push(source.clone());
        vec![Effect::Ask(source, wanted), Effect::Patience(wanted, content.patience)]
    }

    fn give_up(&mut self, wanted: Wanted) -> Vec<Effect<P, R>> {
        let Some(content) = self.contents.remove(&wanted) else { return Vec::new() };
        self.waiting -= content.requests.len();
        let missing = content.is_wanted.then_some(Effect::Missing(wanted));
        let unanswered = content.requests.into_iter();
        missing.into_iter().chain(unanswered.map(|(_, r)| Effect::Answer(r, None))).collect()
    }

    fn take_answer(&mut self, peer: P, wanted: Wanted, answer: Answer) -> Vec<Effect<P, R>> {
        if let Some(content) = self.contents.get_mut(&wanted) {
            content.asking.retain(|asked| *asked != peer);
        }
        match answer {
            Answer::Right(bytes) => self.arrived(wanted, bytes),
            Answer::Nothing => self.ask_next(wanted),
            Answer::Wrong(mismatch) => {
                let mut effects = vec![Effect::Blame(peer, mismatch)];
                effects.extend(self.ask_next(wanted));
                effects
            }
        }
    }

    /// Content is here: for this node, and for whoever waits.
    fn arrived(&mut self, wanted: Wanted, bytes: Bytes) -> Vec<Effect<P, R>> {
        self.offer(wanted, bytes.clone());
        let Some(content) = self.contents.remove(&wanted) else { return Vec::new() };
        self.waiting -= content.requests.len();
        let mut effects = Vec::new();
        if content.is_wanted {
            effects.push(Effect::Arrived(wanted, bytes.clone()));
        }
        for (peer, request) in content.requests {
            effects.push(self.serve(peer, request, Some(bytes.clone())));
        }
        effects
    }

    fn offer(&mut self, wanted: Wanted, bytes: Bytes) {
        if bytes.len() > OFFERED_BYTES_MAX || self.offered(wanted).is_some() {
            return;
        }
        self.offered_bytes += bytes.len();
        self.offered.push_back((wanted, bytes));
        while self.offered_bytes > OFFERED_BYTES_MAX {
            let Some((_, oldest)) = self.offered.pop_front() else { return };
            self.offered_bytes -= oldest.len();
        }
    }

    fn offered(&self, wanted: Wanted) -> Option<Bytes> {
        let mut newest_first = self.offered.iter().rev();
        newest_first.find(|(other, _)| *other == wanted).map(|(_, bytes)| bytes.clone())
    }

    fn take_request(&mut self, peer: P, request: R, wanted: Wanted) -> Vec<Effect<P, R>> {
        if self.given(&peer) >= self.share() {
            return vec![Effect::Answer(request, None)];
        }
        if let Some(bytes) = self.offered(wanted) {
            return vec![self.serve(peer, request, Some(bytes))];
        }
        let is_full = self.waiting >= WAITING_MAX || self.waits(&peer) >= WAITING_PER_PEER_MAX;
        match self.contents.get_mut(&wanted) {
            // Two that wait for each other wait for ever.
            Some(content) if !is_full && !content.asking.contains(&peer) => {
                content.requests.push((peer, request));
                self.waiting += 1;
                Vec::new()
            }
            _ => vec![Effect::LookUp(peer, request, wanted)],
        }
    }

    fn serve(&mut self, peer: P, request: R, found: Option<Bytes>) -> Effect<P, R> {
        let given = self.given(&peer);
        let found = found.filter(|_| given < self.share());
        if let Some(bytes) = &found {
            self.served.insert(peer, given + bytes.len());
        }
        Effect::Answer(request, found)
    }

    /// Bytes that a peer may be given in a period: many that take slowly must not fill the memory.
    fn share(&self) -> usize {
        SERVED_BYTES_MAX / self.neighbours.len().max(SHARES_MIN)
    }

    fn given(&self, peer: &P) -> usize {
        self.served.get(peer).copied().unwrap_or_default()
    }

    fn waits(&self, peer: &P) -> usize {
        let requests = self.contents.values().flat_map(|content| &content.requests);
        requests.filter(|(other, _)| other == peer).count()
    }

    fn end_period(&mut self) -> Vec<Effect<P, R>> {
        self.served.clear();
        self.period += 1;
        let is_old =
            |(_, content): &(&Wanted, &Content<P, R>)| content.since + PERIODS_MAX <= self.period;
        let old: Vec<Wanted> = self.contents.iter().filter(is_old).map(|(w, _)| *w).collect();
        old.into_iter().flat_map(|wanted| self.give_up(wanted)).collect()
    }
}
