//! What lies below all that an enclave remembers, after a restart from a snapshot or a deep reorganisation of
//! L1, is decided as by those that saw it (protocol 4.2).

use super::*;
use obscuro_protocol::door::{DoorError, Retry};

const GWEI: u64 = 1_000_000_000;

/// Feeds what a new life does not have of a branch.
fn feed_rest(node: &Node, l1: &L1) -> obscuro_protocol::door::Head {
    for block in &l1.blocks {
        match node.feed(block) {
            Ok(folded) => assert!(!folded.is_start_over),
            Err(DoorError::Retry(Retry::L1Block(_))) => {}
            Err(error) => panic!("{error}"),
        }
    }
    node.set_head(l1.tip.hash)
}

/// The rollup in the block of the snapshot turns out to be a front-runner afterwards: that is judged by a
/// proof below the snapshot, and decides what nodes earn, and so the state.
#[test]
fn a_latecomer_after_a_snapshot() {
    let mut scene = Scene::new();
    scene.l1.base_fee = GWEI;
    scene.pay(0);
    while scene.l1.tip.number < 60 {
        scene.idle();
    }
    let mut sealed = [&scene.first, &scene.second].map(|node| node.seal().unwrap());
    sealed.sort_by_key(|rollup| rollup.header.nonce);
    let [winner, runner] = sealed;
    let block = scene.l1.publish(&runner);
    scene.follow(&block);
    let position = scene.l1.tip.clone();
    let block = scene.l1.publish(&winner);
    scene.follow(&block);
    while scene.first.kept.lock().unwrap().snapshot.is_none() {
        scene.idle();
    }
    scene.pay(1);
    let paying = scene.first.seal().unwrap();
    let block = scene.l1.publish(&paying);
    scene.follow(&block);
    let kept = scene.first.kept.lock().unwrap().clone();
    let again =
        Node::live(TestDevice::new(1, 1_000_000), config(), scene.first.store.clone(), kept);
    assert_eq!(again.position, position, "the snapshot is of the block with the front-runner");
    assert_eq!(feed_rest(&again, &scene.l1).rollup, paying.header.hash());
}

/// L1 goes back further than views are kept for proofs, and brings a rollup that was sealed long before.
#[test]
fn an_old_proof_after_a_deep_reorganisation() {
    let mut scene = Scene::new();
    scene.pay(0);
    let held_back = scene.first.seal().unwrap();
    for _ in 0..200 {
        scene.l1.block(vec![], vec![]);
    }
    let mut branch = fork(&scene.l1);
    for _ in 0..150 {
        scene.l1.block(vec![], vec![]);
    }
    head_of(&scene.first, &scene.l1);
    let block = branch.publish(&held_back);
    let folded = scene.first.feed(&block).unwrap();
    assert!(folded.is_start_over, "it cannot tell by what it remembers");
    for node in [&scene.first, &scene.second] {
        assert_eq!(head_of(node, &branch).rollup, held_back.header.hash());
    }
}
