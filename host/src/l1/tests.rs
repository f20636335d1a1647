//! The follower against an L1 that reorganises and an enclave that forgets.

use super::{
    L1Header,
    block::Fetched,
    follower::{Effect, Follower, Input},
};
use alloy_consensus::Header;
use alloy_primitives::{B256, U256};
use obscuro_protocol::{config::L1BlockId, door::L1Block};
use std::collections::{HashMap, VecDeque};

/// As much as the real enclave keeps.
const RETAINED: u64 = 320;

/// A tree of L1 blocks with a canonical branch.
struct L1 {
    blocks: HashMap<B256, Fetched>,
    canonical: Vec<B256>,
}

impl L1 {
    fn new() -> Self {
        let mut l1 = Self { blocks: HashMap::new(), canonical: Vec::new() };
        l1.mine(1, 0);
        l1
    }

    /// Mines on the canonical branch; `salt` makes branches differ.
    fn mine(&mut self, count: usize, salt: u64) {
        for _ in 0..count {
            let fields = Header {
                number: self.canonical.len() as u64,
                parent_hash: self.canonical.last().copied().unwrap_or_default(),
                difficulty: U256::from(salt),
                ..Default::default()
            };
            let hash = fields.hash_slow();
            let id = L1BlockId { number: fields.number, hash };
            let block = L1Block {
                header: alloy_rlp::encode(&fields).into(),
                receipts: None,
                payloads: Vec::new(),
            };
            let fetched = Fetched {
                id,
                parent: fields.parent_hash,
                header: L1Header { hash, fields },
                block,
                blobs: Vec::new(),
            };
            self.blocks.insert(hash, fetched);
            self.canonical.push(hash);
        }
    }

    fn reorganise(&mut self, depth: usize, count: usize, salt: u64) {
        self.canonical.truncate(self.canonical.len() - depth);
        self.mine(count, salt);
    }

    fn head(&self) -> L1BlockId {
        self.blocks[self.canonical.last().unwrap()].id.clone()
    }

    fn id_at(&self, number: usize) -> L1BlockId {
        self.blocks[&self.canonical[number]].id.clone()
    }
}

/// What an enclave knows of L1.
struct Enclave {
    views: HashMap<B256, u64>,
    head: Option<B256>,
    lives: usize,
    calls: usize,
}

impl Enclave {
    fn new(position: &L1BlockId) -> Self {
        Self {
            views: HashMap::from([(position.hash, position.number)]),
            head: None,
            lives: 1,
            calls: 0,
        }
    }

    fn feed(&mut self, block: &Fetched) -> Input {
        self.calls += 1;
        if !self.views.contains_key(&block.id.hash) {
            if !self.views.contains_key(&block.parent) {
                return Input::Unknown;
            }
            self.views.insert(block.id.hash, block.id.number);
        }
        Input::Fed(block.id.clone())
    }

    fn set_head(&mut self, hash: B256) -> Input {
        self.calls += 1;
        let Some(&number) = self.views.get(&hash) else {
            return Input::Unknown;
        };
        self.views.retain(|_, view| *view >= number.saturating_sub(RETAINED));
        self.head = Some(hash);
        Input::HeadSet(hash)
    }
}

/// Follower, L1 and enclave.
struct World {
    l1: L1,
    checkpoint: L1BlockId,
    enclave: Enclave,
    follower: Follower,
    inputs: VecDeque<Input>,
    is_wrong_chain: bool,
}

impl World {
    fn new(mut l1: L1, blocks: usize) -> Self {
        let checkpoint = l1.head();
        l1.mine(blocks, 0);
        Self {
            enclave: Enclave::new(&checkpoint),
            follower: Follower::new(checkpoint.clone()),
            inputs: VecDeque::from([Input::Started(checkpoint.clone())]),
            checkpoint,
            l1,
            is_wrong_chain: false,
        }
    }

    fn announce(&mut self) {
        self.inputs.push_back(Input::Head(self.l1.head()));
    }

    /// Handles one input and everything that follows at once.
    fn step(&mut self) -> bool {
        let Some(input) = self.inputs.pop_front() else {
            return false;
        };
        for effect in self.follower.handle(input) {
            let input = self.perform(effect);
            self.inputs.extend(input);
        }
        true
    }

    fn perform(&mut self, effect: Effect) -> Option<Input> {
        let blocks = &self.l1.blocks;
        Some(match effect {
            Effect::FetchAt(number) => {
                let hash = self.l1.canonical.get(number as usize);
                Input::At(number, hash.map(|hash| Box::new(blocks[hash].clone())))
            }
            Effect::Fetch(hash) => Input::Block(hash, blocks.get(&hash).cloned().map(Box::new)),
            Effect::Feed(block) => self.enclave.feed(&block),
            Effect::SetHead(hash) => self.enclave.set_head(hash),
            Effect::Restart => {
                let lives = self.enclave.lives + 1;
                self.enclave = Enclave::new(&self.checkpoint);
                self.enclave.lives = lives;
                Input::Started(self.checkpoint.clone())
            }
            Effect::WrongChain => {
                self.is_wrong_chain = true;
                return None;
            }
        })
    }

    fn settle(&mut self) {
        self.announce();
        let mut steps = 0;
        while self.step() {
            steps += 1;
            assert!(steps < 100_000, "the follower does not come to rest");
        }
    }

    fn assert_at_head(&self, case: &str) {
        assert_eq!(self.enclave.head, Some(self.l1.head().hash), "{case}");
    }
}

#[test]
fn catches_up_and_follows() {
    for blocks in [0, 1, 2, 31, 33, 1_000] {
        let mut world = World::new(L1::new(), blocks);
        world.settle();
        world.assert_at_head(&format!("{blocks} blocks"));
        // One call for each block, and few to set the head.
        assert!(world.enclave.calls <= blocks + blocks / 200 + 1);
        for _ in 0..3 {
            world.l1.mine(1, 0);
            world.settle();
            world.assert_at_head("one by one");
        }
        assert_eq!(world.enclave.lives, 1);
    }
}

#[test]
fn follows_reorganisations_of_any_depth() {
    // Depth, length of the new branch, lives of the enclave that it takes.
    let cases = [
        (1, 1, 1),
        (1, 2, 1),
        (3, 4, 1),
        (3, 2, 1),
        (100, 101, 1),
        (319, 321, 1),
        (400, 401, 2),
        (800, 1_000, 2),
        (899, 900, 2),
    ];
    for (depth, count, lives) in cases {
        let mut world = World::new(L1::new(), 900);
        world.settle();
        world.l1.reorganise(depth, count, 7);
        world.settle();
        let case = format!("{depth} blocks replaced by {count}");
        world.assert_at_head(&case);
        assert_eq!(world.enclave.lives, lives, "{case}");
        world.l1.mine(1, 0);
        world.settle();
        world.assert_at_head(&case);
    }
}

#[test]
fn switches_back_to_a_branch_it_knows() {
    let mut world = World::new(L1::new(), 10);
    world.settle();
    let original = world.l1.canonical.clone();
    world.l1.reorganise(2, 3, 7);
    world.settle();
    let calls = world.enclave.calls;
    world.l1.canonical = original;
    world.settle();
    world.assert_at_head("back");
    assert_eq!(world.enclave.calls, calls + 1, "only the head is set");
}

#[test]
fn a_node_that_lags_is_waited_for() {
    let mut world = World::new(L1::new(), 700);
    world.settle();
    let full = world.l1.canonical.clone();
    world.l1.canonical.truncate(50);
    world.settle();
    assert_eq!(world.enclave.lives, 1);
    world.l1.canonical = full;
    world.l1.mine(1, 0);
    world.settle();
    world.assert_at_head("caught up");
    assert_eq!(world.enclave.lives, 1);
}

#[test]
fn another_chain_is_noticed() {
    let mut world = World::new(L1::new(), 0);
    world.l1 = L1::new();
    world.l1.reorganise(1, 20, 9);
    world.settle();
    assert!(world.is_wrong_chain);
}

#[test]
fn an_enclave_that_goes_back_is_fed_again() {
    let mut world = World::new(L1::new(), 40);
    world.settle();
    // A new life from a snapshot.
    let snapshot = world.l1.id_at(30);
    world.enclave = Enclave::new(&snapshot);
    world.inputs.push_back(Input::Started(snapshot));
    world.settle();
    world.assert_at_head("from a snapshot");

    // It went to the checkpoint without saying so.
    world.enclave = Enclave::new(&world.checkpoint);
    world.l1.mine(1, 0);
    world.settle();
    world.assert_at_head("from the checkpoint");
    assert_eq!(world.enclave.lives, 1);

    // It says so.
    world.enclave = Enclave::new(&world.checkpoint);
    world.inputs.push_back(Input::StartedOver);
    world.settle();
    world.assert_at_head("told");
}

#[test]
fn a_snapshot_on_an_abandoned_branch_costs_a_life() {
    let mut world = World::new(L1::new(), 40);
    let snapshot = world.l1.id_at(30);
    world.l1.reorganise(20, 30, 7);
    world.enclave = Enclave::new(&snapshot);
    world.inputs = VecDeque::from([Input::Started(snapshot)]);
    world.settle();
    world.assert_at_head("restarted");
    assert_eq!(world.enclave.lives, 2);
}

/// Pseudo-random schedules: heads, reorganisations and answers interleave; blocks vanish.
#[test]
fn random_schedules_end_at_the_head() {
    for seed in 1..200_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut random = move |bound: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % bound
        };
        let mut world = World::new(L1::new(), 20);
        for round in 0..30 {
            match random(6) {
                0 => {
                    let depth = 1 + random(15) as usize;
                    let count = depth + random(3) as usize;
                    world.l1.reorganise(depth, count, seed * 100 + round);
                }
                1 => {
                    // L1 forgets its side branches.
                    let canonical = world.l1.canonical.clone();
                    world.l1.blocks.retain(|hash, _| canonical.contains(hash));
                }
                2 => world.inputs.push_back(Input::NotFed),
                _ => world.l1.mine(1 + random(3) as usize, 0),
            }
            world.announce();
            for _ in 0..random(40) {
                let len = world.inputs.len().max(1);
                world.inputs.rotate_left(random(len as u64) as usize);
                world.step();
            }
        }
        world.settle();
        // A fetch may have failed after the last announcement; the driver announces again.
        world.settle();
        world.settle();
        world.assert_at_head(&format!("seed {seed}"));
    }
}
