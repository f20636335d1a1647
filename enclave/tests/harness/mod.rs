//! An enclave behind its door, on an L1 made of headers and receipts alone, for several test files and
//! benches. Here: the network and its nodes. Not here: any case.

mod device;
mod l1;
mod user;

pub use device::*;
pub use l1::*;
pub use user::*;

use alloy_primitives::{Address, B256, Bytes, keccak256};
use obscuro_enclave::Enclave;
use obscuro_protocol::{
    config::{Contracts, L1BlockId, NetworkConfig, RevealOption},
    door::{self, DoorError, Folded, Head, L1Block, Registration, Reply, Request},
    rollup::SignedRollup,
};
use obscuro_software_tee::Authority;
use std::{cell::Cell, sync::Mutex};

/// When the L1 began, seconds since 1970: certificates are valid then.
pub const GENESIS_TIME: u64 = 1_750_000_000;
pub const OWNER: Address = Address::repeat_byte(0xaa);
thread_local! {
    /// The L1 account that registers nodes from now on.
    pub static REGISTRANT: Cell<Address> = const { Cell::new(OWNER) };
    /// [`NetworkConfig::rewardMarginPercent`] of networks from now on.
    pub static MARGIN_PERCENT: Cell<u8> = const { Cell::new(50) };
}

/// One OBX in its smallest unit.
pub const OBX: u128 = 1_000_000_000_000_000_000;

/// A network of one aggregator, its seed published, `alice` endowed by a deposit in rollup 1.
pub fn network() -> (Node, L1, User) {
    network_on(L1::new())
}

/// The same, where L1 has prices of its own.
pub fn network_on(mut l1: L1) -> (Node, L1, User) {
    let (node, alice) = (Node::start(1, true), User::new("alice"));
    let head = node.follow(&l1.block(registered(&node.registration, 1_000), vec![]));
    assert!(head.has_seed && head.is_registered && !head.is_aggregator);
    let obx = config().contracts.obscuroToken;
    let deposit = deposited(0, obx, alice.address(), 100 * OBX);
    let next = node.follow(&l1.block(vec![deposit], vec![]));
    assert!(!next.is_aggregator, "who made the block before knows this one's RANDAO");
    assert!(node.follow(&l1.block(vec![], vec![])).is_aggregator);
    assert_eq!(round(&node, &mut l1).header.number, 1);
    (node, l1, alice)
}

/// Seals and publishes what waits.
pub fn round(node: &Node, l1: &mut L1) -> SignedRollup {
    let rollup = node.seal().expect("something waits");
    assert_eq!(node.follow(&l1.publish(&rollup)).rollup, rollup.header.hash());
    rollup
}

/// The next life of `node` after its disk was lost, at the same L1 block.
pub fn follower_of(node: &Node, l1: &L1) -> Node {
    let follower = Node::restart(1, TestStore::default(), Some(node.registration.identity.clone()));
    follower.catch_up(l1);
    follower
}

pub fn config() -> NetworkConfig {
    NetworkConfig {
        version: 1,
        l1ChainId: 31_337,
        l2ChainId: 2_908,
        checkpoint: L1BlockId { number: 10, hash: keccak256("checkpoint") },
        contracts: Contracts {
            obscuroToken: Address::repeat_byte(1),
            attestationVerifier: Address::repeat_byte(2),
            networkManagement: Address::repeat_byte(3),
            rollupManagement: Address::repeat_byte(4),
            bridgeManagement: Address::repeat_byte(5),
        },
        attestationRoot: Authority::development().root_hash(),
        gasLimit: 300_000_000,
        computePrice: 1_000_000_000,
        obxPerEth: 1_000_000_000_000,
        rewardMarginPercent: MARGIN_PERCENT.get(),
        poolReserve: 1_000_000,
        revealDefault: RevealOption::XL as u8,
        revealPeriods: [1, 300, 7_200, 216_000, 2_628_000],
        idleBlocksMax: 5,
        startupHashes: 10,
        withdrawalBlocks: 8,
        forkTimeoutBlocks: 8,
    }
}

/// An enclave with its store.
pub struct Node {
    pub enclave: Enclave<TestDevice>,
    pub store: TestStore,
    pub registration: Registration,
    /// All that the host was told.
    pub replies: Mutex<Vec<Vec<u8>>>,
    /// What the host has to keep for the enclave's next life.
    pub kept: Mutex<Kept>,
    /// The L1 block whose children it expected when it started.
    pub position: L1BlockId,
}

/// The newest of what an enclave sealed for itself.
#[derive(Clone, Default)]
pub struct Kept {
    pub identity: Option<Bytes>,
    pub snapshot: Option<Bytes>,
}

impl Node {
    pub fn start(seed: u64, genesis: bool) -> Self {
        Self::start_on(TestDevice::new(seed, 0), config(), &config().checkpoint, genesis)
    }

    /// A new node that asks for its registration, over an L1 block.
    pub fn start_on(
        device: TestDevice,
        config: NetworkConfig,
        l1_block: &L1BlockId,
        genesis: bool,
    ) -> Self {
        let mut node = Self::live(device, config, TestStore::default(), Kept::default());
        let request =
            Request::Register { owner: REGISTRANT.get(), l1_block: l1_block.clone(), genesis };
        match node.ask(request) {
            Ok(Reply::Registration(registration)) => node.registration = *registration,
            other => panic!("{other:?}"),
        }
        node.kept.get_mut().unwrap().identity = Some(node.registration.identity.clone());
        node
    }

    /// A new life on the same machine, with what was sealed in the last.
    pub fn restart(seed: u64, store: TestStore, identity: Option<Bytes>) -> Self {
        Self::restart_with(seed, store, identity, None)
    }

    /// A new life with a snapshot, too.
    pub fn restart_with(
        seed: u64,
        store: TestStore,
        identity: Option<Bytes>,
        snapshot: Option<Bytes>,
    ) -> Self {
        // Another life has other entropy.
        let counter = identity.is_some() as u64 * 1_000_000;
        Self::live(TestDevice::new(seed, counter), config(), store, Kept { identity, snapshot })
    }

    /// A life with what its host kept of the last.
    pub fn live(device: TestDevice, config: NetworkConfig, store: TestStore, kept: Kept) -> Self {
        let enclave = Enclave::new(device);
        let Kept { identity, snapshot } = kept.clone();
        let mut node = Self {
            enclave,
            store,
            registration: empty_registration(),
            replies: Mutex::default(),
            kept: Mutex::new(kept),
            position: config.checkpoint.clone(),
        };
        let start = Request::Start { config: Box::new(config), identity, snapshot };
        match node.ask(start) {
            Ok(Reply::Started(started)) => {
                node.kept.get_mut().unwrap().identity = Some(started.identity);
                node.position = started.position;
                node
            }
            other => panic!("{other:?}"),
        }
    }

    /// Feeds a whole branch from the checkpoint, again if the seed came with it.
    pub fn catch_up(&self, l1: &L1) -> Head {
        for block in &l1.blocks {
            if self.feed(block).unwrap().is_start_over {
                return self.catch_up(l1);
            }
        }
        self.set_head(l1.tip.hash)
    }

    pub fn ask(&self, request: Request) -> Result<Reply, DoorError> {
        let reply = self.enclave.handle(&door::encode(&request), &self.store);
        self.replies.lock().unwrap().push(reply.clone());
        match door::decode(&reply).unwrap() {
            Reply::Refused(error) => Err(error),
            reply => Ok(reply),
        }
    }

    pub fn feed(&self, block: &L1Block) -> Result<Folded, DoorError> {
        match self.ask(Request::L1Block(Box::new(block.clone())))? {
            Reply::Folded(folded) => {
                let mut kept = self.kept.lock().unwrap();
                kept.identity = folded.identity.clone().or(kept.identity.take());
                kept.snapshot = folded.snapshot.clone().or(kept.snapshot.take());
                Ok(*folded)
            }
            other => panic!("{other:?}"),
        }
    }

    /// Feeds a block and makes it the head.
    pub fn follow(&self, block: &L1Block) -> Head {
        let folded = self.feed(block).unwrap();
        self.set_head(folded.block.hash)
    }

    pub fn set_head(&self, hash: B256) -> Head {
        match self.ask(Request::SetHead(hash)).unwrap() {
            Reply::Head(head) => *head,
            other => panic!("{other:?}"),
        }
    }

    pub fn seal(&self) -> Option<SignedRollup> {
        match self.ask(Request::Seal).unwrap() {
            Reply::Sealed(sealed) => sealed.map(|rollup| *rollup),
            other => panic!("{other:?}"),
        }
    }
}

fn empty_registration() -> Registration {
    Registration {
        quote: Bytes::new(),
        certificates: Vec::new(),
        enclave: Address::ZERO,
        encryption_key: Bytes::new(),
        lottery_key: Bytes::new(),
        network_key: Bytes::new(),
        encrypted_seed: Bytes::new(),
        identity: Bytes::new(),
    }
}
