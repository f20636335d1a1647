//! Which L1 blocks to fetch, to feed and to make the head: a state machine without I/O. The enclave
//! keeps a tree of recent blocks, so a reorganisation is nothing special: the new branch is walked back
//! to a block that the enclave knows, then fed. Far from the head, blocks are fetched ahead by number.
//! Not here: fetching and feeding (`feed`).

use super::block::Fetched;
use alloy_primitives::B256;
use obscuro_protocol::config::L1BlockId;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Blocks fetched ahead of the enclave.
const AHEAD_MAX: u64 = 32;
/// Blocks below the tip that the enclave is taken to know. It forgets earlier than that and says so.
const KNOWN_BLOCKS: u64 = 512;
/// While far behind, the head is set only once in so many blocks.
const HEAD_EVERY_BLOCKS: u64 = 256;
/// Blocks that the enclave may be behind L1 and still take part in rounds.
const NEAR_BLOCKS: u64 = 2;

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// The enclave was started and stands at this block.
    Started(L1BlockId),
    /// L1 has a new head.
    Head(L1BlockId),
    /// Answer to [`Effect::FetchAt`].
    At(u64, Option<Box<Fetched>>),
    /// Answer to [`Effect::Fetch`].
    Block(B256, Option<Box<Fetched>>),
    /// The enclave folded the block.
    Fed(L1BlockId),
    /// The enclave folded the block and went back to the checkpoint.
    StartedOver,
    /// The enclave does not know the parent of the block fed, or the block that was to be the head.
    Unknown,
    /// The block could not be fed for another reason: it may be gone from L1.
    NotFed,
    /// The block is the enclave's head.
    HeadSet(B256),
}

/// What to do.
#[derive(Debug)]
pub enum Effect {
    /// Fetch the canonical block of this number.
    FetchAt(u64),
    /// Fetch the block with this hash.
    Fetch(B256),
    /// Feed the block to the enclave.
    Feed(Box<Fetched>),
    /// Make the block the enclave's head.
    SetHead(B256),
    /// Start the enclave anew without its snapshot: L1 reorganised deeper than it remembers.
    Restart,
    /// Give up: L1's blocks do not descend from the checkpoint.
    WrongChain,
}

/// The state machine. At most one of [`Effect::Feed`], [`Effect::SetHead`] and [`Effect::Restart`] is
/// under way at a time.
pub struct Follower {
    checkpoint: L1BlockId,
    /// Where the enclave stood when it was started.
    anchor: L1BlockId,
    /// Blocks that the enclave knows, with their numbers.
    known: HashMap<B256, u64>,
    /// The newest block fed.
    tip: L1BlockId,
    /// The newest head of L1.
    target: Option<L1BlockId>,
    /// The enclave's head, with its number.
    head: Option<L1BlockId>,
    /// A branch walked back from L1's head, newest first.
    branch: Vec<Fetched>,
    /// Blocks above the tip, by number.
    ahead: BTreeMap<u64, Box<Fetched>>,
    wanted: HashSet<Wanted>,
    /// Whether the enclave is being asked something, or is not started.
    is_busy: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Wanted {
    At(u64),
    Block(B256),
}

impl Follower {
    /// A follower of an enclave that is not started yet.
    pub fn new(checkpoint: L1BlockId) -> Self {
        Self {
            anchor: checkpoint.clone(),
            known: HashMap::new(),
            tip: checkpoint.clone(),
            target: None,
            head: None,
            branch: Vec::new(),
            ahead: BTreeMap::new(),
            wanted: HashSet::new(),
            is_busy: true,
            checkpoint,
        }
    }

    /// Whether a block known to the enclave is L1's head or close to it.
    pub fn is_near_target(&self, block: &L1BlockId) -> bool {
        let distance = |target: &L1BlockId| target.number.saturating_sub(block.number);
        self.target.as_ref().is_some_and(|target| distance(target) <= NEAR_BLOCKS)
    }

    fn is_target(&self, block: B256) -> bool {
        self.target.as_ref().is_some_and(|target| target.hash == block)
    }

    /// Takes note, and says what to do next.
    pub fn handle(&mut self, input: Input) -> Vec<Effect> {
        match input {
            Input::Started(position) => self.stand_at(position),
            Input::StartedOver => self.stand_at(self.checkpoint.clone()),
            Input::Head(head) => self.target = Some(head),
            Input::At(number, block) => self.take_at(number, block),
            Input::Block(hash, block) => self.take_block(hash, block),
            Input::Fed(block) => self.take_fed(block),
            Input::Unknown => return self.fall_back(),
            Input::NotFed => {
                self.is_busy = false;
                self.forget_plan();
            }
            Input::HeadSet(hash) => {
                self.is_busy = false;
                let number = self.known.get(&hash).copied().unwrap_or(self.tip.number);
                self.head = Some(L1BlockId { number, hash });
            }
        }
        self.plan()
    }

    /// The enclave stands at a block and knows no other.
    fn stand_at(&mut self, position: L1BlockId) {
        self.known = HashMap::from([(position.hash, position.number)]);
        self.anchor = position.clone();
        self.tip = position;
        self.head = None;
        self.branch.clear();
        self.ahead.clear();
        self.is_busy = false;
    }

    /// Waits for news of L1: what was planned has become impossible.
    fn forget_plan(&mut self) {
        self.target = None;
        self.branch.clear();
        self.ahead.clear();
    }

    fn take_at(&mut self, number: u64, block: Option<Box<Fetched>>) {
        self.wanted.remove(&Wanted::At(number));
        match block {
            Some(block) if number > self.tip.number => drop(self.ahead.insert(number, block)),
            Some(_) => {}
            None if self.branch.is_empty() => self.forget_plan(),
            None => {}
        }
    }

    fn take_block(&mut self, hash: B256, block: Option<Box<Fetched>>) {
        self.wanted.remove(&Wanted::Block(hash));
        let is_next = match self.branch.last() {
            Some(oldest) => oldest.parent == hash,
            None => self.is_target(hash),
        };
        match block {
            Some(block) if is_next => self.branch.push(*block),
            None if is_next => self.forget_plan(),
            _ => {}
        }
    }

    fn take_fed(&mut self, block: L1BlockId) {
        self.is_busy = false;
        if self.branch.last().is_some_and(|oldest| oldest.id == block) {
            self.branch.pop();
        }
        self.ahead.retain(|number, _| *number > block.number);
        self.known.insert(block.hash, block.number);
        let oldest = block.number.saturating_sub(KNOWN_BLOCKS);
        self.known.retain(|_, number| *number >= oldest);
        self.tip = block;
    }

    /// The enclave knows less than was thought: back to where it was started, then to the checkpoint,
    /// then to a new life.
    fn fall_back(&mut self) -> Vec<Effect> {
        self.is_busy = false;
        let stood_at_anchor = self.known.len() == 1 && self.known.contains_key(&self.anchor.hash);
        if !stood_at_anchor {
            self.stand_at(self.anchor.clone());
        } else if self.anchor != self.checkpoint {
            self.stand_at(self.checkpoint.clone());
        } else {
            return self.restart();
        }
        self.plan()
    }

    fn restart(&mut self) -> Vec<Effect> {
        self.is_busy = true;
        self.branch.clear();
        self.ahead.clear();
        vec![Effect::Restart]
    }

    fn plan(&mut self) -> Vec<Effect> {
        let Some(target) = self.target.clone() else { return Vec::new() };
        if self.known.is_empty() {
            return Vec::new();
        }
        if self.known.contains_key(&target.hash) {
            self.branch.clear();
            self.ahead.clear();
            self.tip = target;
            return self.set_head();
        }
        let head = self.head.as_ref().unwrap_or(&self.anchor);
        if self.tip.number >= head.number + HEAD_EVERY_BLOCKS {
            return self.set_head();
        }
        if !self.branch.is_empty() {
            return self.walk(&target);
        }
        if target.number <= self.tip.number + 1 {
            return self.want(Wanted::Block(target.hash));
        }
        self.extend(&target)
    }

    fn set_head(&mut self) -> Vec<Effect> {
        let is_set = self.head.as_ref().is_some_and(|head| head.hash == self.tip.hash);
        if self.is_busy || is_set {
            return Vec::new();
        }
        self.is_busy = true;
        vec![Effect::SetHead(self.tip.hash)]
    }

    /// Walks the branch back, or feeds it once it meets what the enclave knows.
    fn walk(&mut self, target: &L1BlockId) -> Vec<Effect> {
        let Some(oldest) = self.branch.last() else { return Vec::new() };
        if self.known.contains_key(&oldest.parent) {
            let block = Box::new(oldest.clone());
            return self.feed(block);
        }
        let lowest = self.known.values().copied().min().unwrap_or_default();
        if oldest.id.number > lowest + 1 {
            return self.want(Wanted::Block(oldest.parent));
        }
        if target.number <= self.tip.number {
            // A node that lags behind shows the past; if the branch is real, it will grow.
            self.forget_plan();
            return Vec::new();
        }
        if lowest <= self.checkpoint.number {
            return vec![Effect::WrongChain];
        }
        if self.is_busy { Vec::new() } else { self.restart() }
    }

    /// Fetches by number towards a distant head, and feeds in order.
    fn extend(&mut self, target: &L1BlockId) -> Vec<Effect> {
        let mut effects = Vec::new();
        let next = self.tip.number + 1;
        if let Some(block) = self.ahead.get(&next) {
            if block.parent != self.tip.hash {
                let block = block.clone();
                self.ahead.clear();
                self.branch.push(*block);
                return self.walk(target);
            }
            let block = block.clone();
            effects.extend(self.feed(block));
        }
        for number in next..=target.number.min(self.tip.number + AHEAD_MAX) {
            if !self.ahead.contains_key(&number) {
                effects.extend(self.want(Wanted::At(number)));
            }
        }
        effects
    }

    fn feed(&mut self, block: Box<Fetched>) -> Vec<Effect> {
        if self.is_busy {
            return Vec::new();
        }
        self.is_busy = true;
        vec![Effect::Feed(block)]
    }

    fn want(&mut self, wanted: Wanted) -> Vec<Effect> {
        if !self.wanted.insert(wanted) {
            return Vec::new();
        }
        vec![match wanted {
            Wanted::At(number) => Effect::FetchAt(number),
            Wanted::Block(hash) => Effect::Fetch(hash),
        }]
    }
}
