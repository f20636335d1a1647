//! The rules of POBI as tables, through the enclave's door: which rollup is canonical (`canonical`), which
//! are valid (`validity`), who is paid for publishing (`rewards`), what forks of L1 do to rollups and
//! transactions (`branches`), what an enclave decides about what it has forgotten (`forgotten`). Protocol 5.1
//! to 5.4, 5.6 to 5.9. Not here: who publishes in a round (`host::round`), whole networks (`simulator`).

#[path = "../harness/mod.rs"]
#[allow(dead_code, reason = "made for several test files")]
mod harness;

mod branches;
mod canonical;
mod forgotten;
mod rewards;
mod validity;

use alloy_primitives::{Address, Bytes, TxKind};
use harness::*;
use k256::ecdsa::SigningKey;
use obscuro_enclave::device::Device;
use obscuro_protocol::{
    door::{CarriedPayload, Carrier, L1Block, Reply, Request},
    envelope,
    query::{Query, Reply as Answer},
    rollup::{RollupHeader, SignedRollup, signing_domain},
};

/// Two aggregators that follow the same L1, and a user who sends through both.
struct Scene {
    first: Node,
    second: Node,
    l1: L1,
    alice: User,
    reader: Reader,
}

impl Scene {
    fn new() -> Self {
        Self::owned_by([OWNER, OWNER])
    }

    /// With an owner for each of the two.
    fn owned_by([one, other]: [Address; 2]) -> Self {
        REGISTRANT.set(one);
        let (first, mut l1, alice) = network();
        REGISTRANT.set(other);
        let second = Node::start(2, false);
        join(&first, &second, 1_000, &mut l1);
        second.catch_up(&l1);
        let reader = Reader::new(&first, 7, &[&alice]);
        Self { first, second, l1, alice, reader }
    }

    /// A payment of one OBX that waits at both.
    fn pay(&self, nonce: u64) {
        self.pay_at(&[&self.first, &self.second], nonce);
    }

    fn pay_at(&self, nodes: &[&Node], nonce: u64) {
        let to = TxKind::Call(Address::repeat_byte(8));
        for node in nodes {
            let raw = self.alice.transaction(nonce, to, OBX, Bytes::new());
            let answer = self.reader.ask(node, Query::SendTransaction(raw));
            assert!(matches!(answer, Answer::Accepted(_)), "{answer:?}");
        }
    }

    /// An L1 block that brings no rollup, seen by both.
    fn idle(&mut self) {
        let block = self.l1.block(vec![], vec![]);
        self.follow(&block);
    }

    fn follow(&self, block: &L1Block) {
        self.first.follow(block);
        self.second.follow(block);
    }
}

/// Registers a node, and lets a member give it the seed.
fn join(member: &Node, node: &Node, stake: u64, l1: &mut L1) {
    member.follow(&l1.block(registered(&node.registration, stake), vec![]));
    let Ok(Reply::SeedShares(shares)) = member.ask(Request::SeedShares) else { panic!() };
    member.follow(&l1.block(vec![answered(&shares[0])], vec![]));
    member.follow(&l1.block(vec![], vec![]));
}

/// An L1 block that publishes several rollups, in this order.
fn publish_all(l1: &mut L1, rollups: &[&SignedRollup]) -> L1Block {
    let payload = |rollup: &&SignedRollup| CarriedPayload {
        rollup: rollup.header.hash(),
        carrier: Carrier::Calldata(rollup.payload.clone()),
    };
    let payloads = rollups.iter().map(payload).collect();
    l1.block(rollups.iter().map(|rollup| published(rollup)).collect(), payloads)
}

/// Another branch of L1, from here.
fn fork(l1: &L1) -> L1 {
    L1 { salt: l1.salt + 1, ..l1.clone() }
}

/// Feeds a node a branch from the checkpoint, and makes its tip the head.
fn head_of(node: &Node, l1: &L1) -> obscuro_protocol::door::Head {
    node.catch_up(l1)
}

/// Signs a header with the key of a broken TEE.
fn sign_as(machine: u64, node: &Node, header: &RollupHeader) -> Bytes {
    let sealing = TestDevice::new(machine, 0).sealing_key();
    let identity = &node.registration.identity;
    let clear = envelope::open(&sealing, identity, config().hash().as_slice()).unwrap();
    // Behind the version, a sealed identity begins with the signing key.
    let key = User(SigningKey::from_slice(&clear[1..33]).unwrap());
    assert_eq!(key.address(), node.registration.enclave);
    let domain = signing_domain(config().l1ChainId, config().contracts.rollupManagement);
    key.sign(header.signing_hash(&domain))
}
