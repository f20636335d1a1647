//! The life of a rollup: from a transaction to its receipt, across restarts and reorganisations of L1.
//! Not here: whose rollup counts (`pobi`).

use crate::*;

#[test]
fn deposit_transfer_and_receipt() {
    let (node, mut l1, alice) = network();
    let (bob, reader) =
        (User::new("bob"), Reader::new(&node, 7, &[&User::new("alice"), &User::new("bob")]));
    assert_eq!(
        reader.ask(&node, Query::Balance(alice.address(), At::Latest)),
        Answer::Value(U256::from(100 * OBX))
    );
    let hash =
        send(&reader, &node, alice.transaction(0, TxKind::Call(bob.address()), OBX, Bytes::new()));
    // Nothing shows before L1 includes the rollup.
    assert_eq!(reader.ask(&node, Query::Receipt(hash)), Answer::Receipt(None));
    let rollup = node.seal().unwrap();
    assert_eq!(
        reader.ask(&node, Query::Balance(bob.address(), At::Latest)),
        Answer::Value(U256::ZERO)
    );
    node.follow(&l1.publish(&rollup));
    assert_eq!(
        reader.ask(&node, Query::Balance(bob.address(), At::Latest)),
        Answer::Value(U256::from(OBX))
    );
    let fee = 21_000 * 1_000_000_000u128;
    assert_eq!(
        reader.ask(&node, Query::Balance(alice.address(), At::Latest)),
        Answer::Value(U256::from(99 * OBX - fee)),
        "the priority fee is ignored"
    );
    match reader.ask(&node, Query::Receipt(hash)) {
        Answer::Receipt(Some(receipt)) => {
            assert!(receipt.success);
            assert_eq!((receipt.position.number, receipt.gas_used), (2, 21_000));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(
        reader.ask(&node, Query::Balance(bob.address(), At::Number(1))),
        Answer::Value(U256::ZERO)
    );
}

#[test]
fn senders_recovered_side_by_side_keep_their_order() {
    let (node, mut l1, alice) = network();
    let follower = follower_of(&node, &l1);
    let reader = Reader::new(&node, 7, &[]);
    // More than one core's least share.
    for nonce in 0..150 {
        let to = TxKind::Call(Address::with_last_byte(1 + nonce as u8));
        send(&reader, &node, alice.transaction_with_gas(nonce, to, 21_000, vec![]));
    }
    let rollup = node.seal().unwrap();
    assert_eq!(rollup.header.gasUsed, 150 * 21_000);
    assert_eq!(follower.follow(&l1.publish(&rollup)).rollup, rollup.header.hash());
}

#[test]
fn a_round_is_sealed_once() {
    let (node, mut l1, alice) = network();
    let reader = Reader::new(&node, 7, &[&alice]);
    send(&reader, &node, alice.transaction(0, TxKind::Call(alice.address()), 0, Bytes::new()));
    let first = node.seal().unwrap();
    send(&reader, &node, alice.transaction(1, TxKind::Call(alice.address()), 0, Bytes::new()));
    assert_eq!(node.seal().unwrap(), first, "no second draw in a round");
    // A newer L1 block replays the round with another nonce.
    node.follow(&l1.block(vec![], vec![]));
    let replayed = node.seal().unwrap();
    assert_ne!(replayed.header.nonce, first.header.nonce);
}

#[test]
fn l1_reorganisation_returns_transactions_and_deposits() {
    let (node, mut l1, alice) = network();
    let reader = Reader::new(&node, 7, &[&alice]);
    let mut fork = L1 { salt: 1, ..l1.clone() };
    let hash = send(
        &reader,
        &node,
        alice.transaction(0, TxKind::Call(Address::repeat_byte(8)), OBX, Bytes::new()),
    );
    let orphan = round(&node, &mut l1);
    // The other branch wins, without the rollup.
    node.feed(&fork.block(vec![], vec![])).unwrap();
    let head = node.follow(&fork.block(vec![], vec![]));
    assert_eq!(head.number, 1);
    assert!(matches!(reader.ask(&node, Query::Receipt(hash)), Answer::Receipt(None)));
    let again = node.seal().expect("the orphaned transaction waits again");
    assert_eq!((again.header.number, again.header.parent), (2, orphan.header.parent));
    node.follow(&fork.publish(&again));
    assert!(matches!(reader.ask(&node, Query::Receipt(hash)), Answer::Receipt(Some(_))));
}

#[test]
fn a_restart_continues_from_the_sealed_identity() {
    let (node, l1, _) = network();
    let head = node.set_head(l1.tip.hash);
    let again = follower_of(&node, &l1);
    assert_eq!(again.set_head(l1.tip.hash), head, "with an empty disk");
    let Ok(Reply::Rollup(Some(header))) = again.ask(Request::Rollup(RollupId::Number(1))) else {
        panic!()
    };
    assert_eq!(header.hash(), head.rollup);
    // A sealed identity of another machine is none: a new identity, not a stuck node.
    let elsewhere =
        Node::restart(9, TestStore::default(), Some(node.registration.identity.clone()));
    assert!(!elsewhere.catch_up(&l1).has_seed);
}

#[test]
fn a_rollup_ends_before_its_events_outgrow_a_record() {
    let (node, mut l1, alice) = network();
    let reader = Reader::new(&node, 7, &[&alice]);
    // Three events of half a megabyte: six such transactions exceed eight megabytes, half of what a
    // record holds, while there is gas for a seventh.
    let event = hex!("620800006000a0");
    let (gas, sent) = (15_000_000, 7);
    for nonce in 0..sent {
        let raw = alice.transaction_with_gas(nonce, TxKind::Create, gas, event.repeat(3));
        send(&reader, &node, raw);
    }
    let rollup = round(&node, &mut l1);
    assert!(config().gasLimit - rollup.header.gasUsed > gas, "it was not the gas");
    let transactions = |node: &Node| match reader.ask(node, Query::RollupTransactions(At::Latest)) {
        Answer::Hashes(hashes) => hashes.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(transactions(&node), 6);
    let follower = follower_of(&node, &l1);
    assert_eq!(follower.set_head(l1.tip.hash).rollup, rollup.header.hash());
    assert_eq!(transactions(&follower), 6);
    round(&node, &mut l1);
    assert_eq!(transactions(&node), 1, "the rest goes into the next");
}
