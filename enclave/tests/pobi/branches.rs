//! Protocol 5.6 and 5.8: rounds that are replayed, bets on a branch of L1 that loses, and transactions of
//! orphaned rollups, which wait again.

use super::*;
use alloy_primitives::U256;
use obscuro_protocol::query::At;

/// Seals what waits on a branch, and publishes it there.
fn round_on(node: &Node, branch: &mut L1) -> SignedRollup {
    head_of(node, branch);
    let rollup = node.seal().expect("something waits");
    node.follow(&branch.publish(&rollup));
    rollup
}

/// What the user has sent on the branch that a node follows.
fn executed(scene: &Scene, node: &Node) -> u64 {
    let query = Query::Nonce { account: scene.alice.address(), at: At::Latest, pooled: false };
    match scene.reader.ask(node, query) {
        Answer::Count(nonce) => nonce,
        other => panic!("{other:?}"),
    }
}

/// 5.6: as long as L1 brings no rollup, each L1 block is a new round on the same parent, with a nonce of its
/// own; the rollup of an earlier one may still come in.
#[test]
fn rounds_are_replayed() {
    for late in [None, Some(0), Some(1)] {
        let mut scene = Scene::new();
        scene.pay(0);
        let parent = scene.l1.tip.clone();
        let mut rounds: Vec<SignedRollup> = Vec::new();
        for _ in 0..3 {
            rounds.push(scene.first.seal().unwrap());
            scene.idle();
        }
        let newest = scene.first.seal().unwrap();
        let mut proofs: Vec<u64> = rounds.iter().map(|r| r.header.l1ProofNumber).collect();
        proofs.push(newest.header.l1ProofNumber);
        assert_eq!(proofs, [0, 1, 2, 3].map(|later| parent.number + later));
        let mut nonces: Vec<U256> = rounds.iter().map(|r| r.header.nonce).collect();
        nonces.push(newest.header.nonce);
        nonces.sort();
        nonces.dedup();
        assert_eq!(nonces.len(), 4, "each round is another draw");
        assert!(rounds.iter().all(|r| r.header.parent == newest.header.parent));
        let published = late.map_or(&newest, |late: usize| &rounds[late]);
        let block = scene.l1.publish(published);
        for node in [&scene.first, &scene.second] {
            assert_eq!(node.follow(&block).rollup, published.header.hash(), "{late:?}");
            assert_eq!(executed(&scene, node), 1, "{late:?}");
            assert_eq!(node.seal(), None, "{late:?}: executed once, nothing waits");
        }
    }
}

/// 5.8: a rollup is bound to the branch that its proof is on.
#[test]
fn a_bet_on_a_branch() {
    // The bet, on which branch it is published, and whether it is won.
    let cases = [
        ("the branch wins", false, true),
        ("the other branch wins, the rollup goes there all the same", true, false),
    ];
    for (what, is_elsewhere, is_won) in cases {
        let mut scene = Scene::new();
        scene.pay(0);
        let mut other = fork(&scene.l1);
        scene.idle();
        let bet = scene.first.seal().unwrap();
        assert_eq!(bet.header.l1Proof, scene.l1.tip.hash);
        other.block(vec![], vec![]);
        let branch = if is_elsewhere { &mut other } else { &mut scene.l1 };
        branch.publish(&bet);
        let branch = branch.clone();
        for node in [&scene.first, &scene.second, &follower_of(&scene.first, &branch)] {
            let head = head_of(node, &branch);
            assert_eq!(head.rollup == bet.header.hash(), is_won, "{what}");
            assert_eq!(executed(&scene, node), u64::from(is_won), "{what}");
        }
        if is_won {
            continue;
        }
        // The round is replayed on the winning branch, from the common ancestor.
        let again = scene.first.seal().expect("the payment waits again");
        assert_eq!(again.header.parent, bet.header.parent, "{what}");
        assert_eq!(again.header.l1Proof, branch.tip.hash, "{what}");
        assert_ne!(again.header.nonce, bet.header.nonce, "{what}");
        // And when L1 turns back, the bet is won after all.
        scene.l1.publish(&bet);
        assert_eq!(head_of(&scene.second, &scene.l1).rollup, bet.header.hash(), "{what}");
    }
}

/// 5.8: transactions of orphaned rollups return to the pool, in their order, without those that the winning
/// branch has executed.
#[test]
fn orphaned_transactions_wait_again() {
    // Rollups with one payment each on the losing branch; payments already made on the winning one.
    let cases = [
        ("one rollup", 1, 0),
        ("several rollups", 3, 0),
        ("the winning branch has some", 3, 1),
        ("the winning branch has all", 2, 2),
    ];
    for (what, orphans, already) in cases {
        let scene = Scene::new();
        let (mut losing, mut winning) = (scene.l1.clone(), fork(&scene.l1));
        for nonce in 0..orphans {
            scene.pay_at(&[&scene.first], nonce);
            round_on(&scene.first, &mut losing);
        }
        assert_eq!(executed(&scene, &scene.first), orphans, "{what}");
        head_of(&scene.second, &winning);
        for nonce in 0..already {
            scene.pay_at(&[&scene.second], nonce);
            round_on(&scene.second, &mut winning);
        }
        while winning.tip.number <= losing.tip.number {
            winning.block(vec![], vec![]);
        }
        head_of(&scene.first, &winning);
        assert_eq!(executed(&scene, &scene.first), already, "{what}: rolled back");
        if orphans == already {
            assert_eq!(scene.first.seal(), None, "{what}: nothing is left over");
            continue;
        }
        let rollup = round_on(&scene.first, &mut winning);
        assert_eq!(rollup.header.gasUsed, 21_000 * (orphans - already), "{what}");
        assert_eq!(executed(&scene, &scene.first), orphans, "{what}: each once");
        let third = follower_of(&scene.first, &winning);
        assert_eq!(third.set_head(winning.tip.hash).rollup, rollup.header.hash(), "{what}");
        // Back on the former branch all is as it was there.
        losing.block(vec![], vec![]);
        losing.block(vec![], vec![]);
        head_of(&scene.first, &losing);
        assert_eq!(executed(&scene, &scene.first), orphans, "{what}: back");
        assert_eq!(scene.first.seal(), None, "{what}: back, nothing waits");
    }
}
