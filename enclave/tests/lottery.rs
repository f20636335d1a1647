//! The lottery through the door (protocol 5.5): neither a restart, nor another attempt, nor a chosen L1
//! block, nor a stolen enclave key gives a second draw. Not here: proofs by themselves
//! (`protocol/tests/lottery.rs`).

#[path = "harness/mod.rs"]
#[allow(dead_code, reason = "made for several test files")]
mod harness;

use alloy_primitives::{Address, B256, Bytes, TxKind};
use harness::*;
use k256::ecdsa::SigningKey;
use obscuro_enclave::device::Device;
use obscuro_protocol::{
    config::NetworkConfig,
    door::{DoorError, Reply, Request, Retry},
    envelope,
    lottery::{self, Draw, LotteryKey},
    query::{Query, Reply as Answer},
    rollup::{RollupHeader, SignedRollup, signing_domain},
    secret::Secret,
    wire,
};
use serde::Deserialize;
use std::{
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

/// The clear form of a sealed identity, as `enclave/src/identity.rs` writes it.
#[derive(Deserialize)]
struct Stolen {
    signing: [u8; 32],
    #[expect(dead_code, reason = "only the places of the others matter")]
    encryption: [u8; 32],
    lottery: [u8; 32],
    #[expect(dead_code, reason = "only the places of the others matter")]
    seeds: Vec<[u8; 32]>,
}

/// What the broken TEE of the machine with this seed gives away.
fn steal(seed: u64, node: &Node) -> Stolen {
    let sealed = &node.registration.identity;
    let key = TestDevice::new(seed, 0).sealing_key();
    let plain = envelope::open(&key, sealed, config().hash().as_slice()).unwrap();
    wire::decode(&plain, plain.len()).unwrap()
}

impl Stolen {
    fn sign(&self, header: &RollupHeader) -> Bytes {
        let domain = signing_domain(config().l1ChainId, config().contracts.rollupManagement);
        User(SigningKey::from_slice(&self.signing).unwrap()).sign(header.signing_hash(&domain))
    }

    /// A rollup with another lot, signed all the same.
    fn with_lot(&self, rollup: &SignedRollup, proof: Bytes) -> SignedRollup {
        let header = RollupHeader { nonce: lottery::nonce(&proof), ..rollup.header.clone() };
        SignedRollup {
            signature: self.sign(&header),
            lottery_proof: proof,
            header,
            payload: rollup.payload.clone(),
        }
    }
}

/// Lets alice send a transaction to a node of the network that `founder` founded.
fn send(founder: &Node, node: &Node, nonce: u64) {
    let alice = User::new("alice");
    let raw = alice.transaction(nonce, TxKind::Call(alice.address()), 1, Bytes::new());
    let answer = Reader::new(founder, 7, &[&alice]).ask(node, Query::SendTransaction(raw));
    assert!(matches!(answer, Answer::Accepted(_)), "{answer:?}");
}

fn reject(node: &Node, rollup: &SignedRollup) -> String {
    match node.ask(Request::Candidate(Box::new(rollup.clone()))) {
        Err(DoorError::Rejected(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

/// What the round of an L1 branch is drawn by.
fn draw(node: &Node, l1: &L1) -> Draw {
    let head = node.set_head(l1.tip.hash);
    Draw { config_hash: config().hash(), number: head.number + 1, randao: head.randao }
}

#[test]
fn neither_a_restart_nor_another_attempt_draws_again() {
    let (node, l1, _) = network();
    let other_life = follower_of(&node, &l1);
    send(&node, &node, 0);
    let first = node.seal().unwrap();
    assert_eq!(node.seal(), Some(first.clone()));
    send(&node, &other_life, 0);
    send(&node, &other_life, 1);
    let second = other_life.seal().unwrap();
    assert_ne!(first.header, second.header, "other transactions");
    assert_eq!(first.header.nonce, second.header.nonce);
    assert_eq!(first.lottery_proof, second.lottery_proof);
    let key = &node.registration.lottery_key;
    let nonce = lottery::verify(key, &draw(&node, &l1), &first.lottery_proof);
    assert_eq!(nonce, Some(first.header.nonce), "anybody can check it");
}

/// An aggregator that also makes the L1 block with its rollup, and so knows the RANDAO mix, could otherwise
/// choose among its candidates the one after which it draws well.
#[test]
fn what_a_rollup_holds_does_not_change_the_next_draw() {
    let (node, l1, _) = network();
    let other_life = follower_of(&node, &l1);
    let lots = [&node, &other_life].map(|life| {
        // Each has its own salt for what it encrypts: two rollups.
        send(&node, life, 0);
        let mut branch = l1.clone();
        life.follow(&branch.publish(&life.seal().unwrap()));
        send(&node, life, 1);
        life.seal().unwrap()
    });
    assert_ne!(lots[0].header.parent, lots[1].header.parent);
    assert_eq!(lots[0].lottery_proof, lots[1].lottery_proof);
}

/// A host asks many times at once.
#[test]
fn attempts_at_the_same_time_give_one_candidate() {
    let (node, _, _) = network();
    send(&node, &node, 0);
    let start = Barrier::new(4);
    let seal = || {
        start.wait();
        node.seal().unwrap()
    };
    let sealed: Vec<SignedRollup> = thread::scope(|scope| {
        let attempts: Vec<_> = (0..4).map(|_| scope.spawn(seal)).collect();
        attempts.into_iter().map(|attempt| attempt.join().unwrap()).collect()
    });
    assert!(sealed.iter().all(|rollup| *rollup == sealed[0]));
}

#[test]
fn another_l1_block_with_the_same_randao_is_the_same_draw() {
    let (node, mut l1, _) = network();
    let mut other = L1 { delay: 1, ..l1.clone() };
    node.follow(&l1.block(vec![], vec![]));
    send(&node, &node, 0);
    let first = node.seal().unwrap();
    node.follow(&other.block(vec![], vec![]));
    assert_eq!(draw(&node, &l1), draw(&node, &other));
    let second = node.seal().unwrap();
    assert_ne!(first.header.l1Proof, second.header.l1Proof);
    assert_eq!(first.lottery_proof, second.lottery_proof);
}

#[test]
fn a_block_of_the_hosts_own_makes_no_rollup_that_others_take() {
    let (node, mut l1, _) = network();
    let honest = follower_of(&node, &l1);
    let mut invented = L1 { salt: 7, ..l1.clone() };
    node.follow(&invented.block(vec![], vec![]));
    send(&node, &node, 0);
    let lured = node.seal().unwrap();
    let real = honest.follow(&l1.block(vec![], vec![]));
    assert_ne!(draw(&node, &invented).randao, real.randao);
    assert_eq!(
        honest.ask(Request::Candidate(Box::new(lured.clone()))).unwrap_err(),
        DoorError::Retry(Retry::L1Block(invented.tip.hash))
    );
    assert_eq!(honest.follow(&l1.publish(&lured)).rollup, real.rollup);
    // Nor when it claims the block that L1 has: that one draws another lot.
    let header = RollupHeader { l1Proof: real.l1.hash, ..lured.header.clone() };
    let forged = SignedRollup { signature: steal(1, &node).sign(&header), header, ..lured };
    assert_eq!(reject(&honest, &forged), "the aggregator did not draw this nonce");
}

#[test]
fn a_thief_of_the_enclave_key_draws_what_the_enclave_draws() {
    let (node, mut l1, _) = network();
    let honest = follower_of(&node, &l1);
    let stolen = steal(1, &node);
    send(&node, &node, 0);
    let genuine = node.seal().unwrap();
    let draw = draw(&node, &l1);
    let own = LotteryKey::new(&Secret::new(stolen.lottery));
    assert_eq!(own.prove(&draw), genuine.lottery_proof);
    let other = LotteryKey::new(&Secret::new([7; 32]));
    let infinity = [&[0xc0][..], &[0; 47]].concat();
    let lots: [(&str, Bytes); 6] = [
        ("made up", Bytes::from_static(&[0x80; 48])),
        ("nothing", Bytes::new()),
        ("infinity", infinity.into()),
        ("another key's", other.prove(&draw)),
        ("by another RANDAO", own.prove(&Draw { randao: B256::ZERO, ..draw })),
        ("by another number", own.prove(&Draw { number: draw.number + 1, ..draw })),
    ];
    let before = honest.set_head(l1.tip.hash).rollup;
    for (lot, proof) in lots {
        let forged = stolen.with_lot(&genuine, proof);
        let asked = follower_of(&node, &l1);
        assert_eq!(reject(&asked, &forged), "the aggregator did not draw this nonce", "{lot}");
        let block = l1.clone().publish(&forged);
        assert_eq!(honest.follow(&block).rollup, before, "{lot}");
    }
    honest.set_head(l1.tip.hash);
    // A low nonce over the genuine proof, and the genuine nonce over another proof.
    let header = RollupHeader { nonce: Default::default(), ..genuine.header.clone() };
    let low = SignedRollup { signature: stolen.sign(&header), header, ..genuine.clone() };
    let swapped = SignedRollup { lottery_proof: other.prove(&draw), ..genuine.clone() };
    for forged in [low, swapped] {
        let reason = reject(&honest, &forged);
        assert_eq!(reason, "the nonce is not that of the lottery proof");
        let block = l1.clone().publish(&forged);
        assert_eq!(honest.follow(&block).rollup, before);
    }
    // None of this says anything about the genuine one.
    assert_eq!(honest.follow(&l1.publish(&genuine)).rollup, genuine.header.hash());
}

#[test]
fn nobody_takes_part_in_rounds_whose_randao_the_registrant_could_know() {
    let (node, mut l1, _) = network();
    let second = Node::start_on(TestDevice::new(2, 0), config(), &l1.tip, false);
    let mut logs = vec![platform(&second.registration.certificates)];
    logs.push(registering(&second.registration, 1_000, &l1.tip.clone()));
    logs.push(deposited(1, Address::ZERO, OWNER, OBX));
    // The seed comes in the same block. Whoever makes it knows its RANDAO mix, and the next one's.
    node.follow(&l1.clone().block(logs.clone(), vec![]));
    let Ok(Reply::SeedShares(shares)) = node.ask(Request::SeedShares) else { panic!() };
    logs.push(answered(&shares[0]));
    node.follow(&l1.block(logs, vec![]));
    let stolen = steal(2, &second);
    for blocks in 0..2 {
        let head = second.catch_up(&l1);
        assert!(head.has_seed && !head.is_aggregator, "{blocks} blocks later");
        assert_eq!(second.seal(), None);
        // Nor does a broken TEE.
        let genuine = node.seal().expect("a deposit waits");
        let proof = LotteryKey::new(&Secret::new(stolen.lottery)).prove(&draw(&node, &l1));
        let aggregator = second.registration.enclave;
        let header = RollupHeader { aggregator, ..genuine.header.clone() };
        let forged = stolen.with_lot(&SignedRollup { header, ..genuine }, proof);
        assert!(reject(&node, &forged).contains("not attested and staked"));
        node.follow(&l1.block(vec![], vec![]));
    }
    assert!(second.catch_up(&l1).is_aggregator);
    let candidate = second.seal().expect("the next round is open to it");
    node.ask(Request::Candidate(Box::new(candidate))).unwrap();
}

/// A broken TEE signs as many candidates as it likes.
#[test]
fn of_many_candidates_two_are_judged_before_l1_has_them() {
    let (node, mut l1, _) = network();
    let honest = follower_of(&node, &l1);
    send(&node, &node, 0);
    let genuine = node.seal().unwrap();
    let stolen = steal(1, &node);
    let candidate = |rollup: &SignedRollup| honest.ask(Request::Candidate(rollup.clone().into()));
    for gas in 1..=2 {
        let header = RollupHeader { gasUsed: gas, ..genuine.header.clone() };
        let forged = SignedRollup { signature: stolen.sign(&header), header, ..genuine.clone() };
        assert!(matches!(candidate(&forged), Err(DoorError::Rejected(_))));
    }
    let later = DoorError::Retry(Retry::Rollup(genuine.header.hash()));
    assert_eq!(candidate(&genuine).unwrap_err(), later);
    assert_eq!(honest.follow(&l1.publish(&genuine)).rollup, genuine.header.hash());
    candidate(&genuine).unwrap();
    // The next round is another.
    send(&node, &node, 1);
    node.follow(l1.blocks.last().unwrap());
    candidate(&node.seal().unwrap()).unwrap();
}

/// An enclave does nothing with its keys before the start-up chain is done, in any life.
#[test]
fn every_start_takes_its_time() {
    // No processor does a SHA-256 of 32 bytes in less than 20 ns.
    let hashes = 500_000;
    let least = Duration::from_nanos(20) * hashes;
    let config = NetworkConfig { startupHashes: u64::from(hashes), ..config() };
    let mut kept = Kept::default();
    for _ in 0..2 {
        let device = TestDevice::new(1, 0);
        let first_use = device.first_use.clone();
        let began = Instant::now();
        let life = Node::live(device, config.clone(), TestStore::default(), kept);
        let waited = *first_use.get().expect("it seals its identity") - began;
        assert!(waited >= least, "{waited:?}");
        kept = life.kept.lock().unwrap().clone();
    }
}
