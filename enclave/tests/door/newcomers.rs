//! A newcomer gets the seed, or does not. Not here: every attack on it (`joining`).

use crate::*;

#[test]
fn a_newcomer_gets_the_seed_from_l1_and_agrees() {
    let (node, mut l1, alice) = network();
    let reader = Reader::new(&node, 7, &[&alice]);
    let second = Node::start(2, false);
    let head = node.follow(&l1.block(registered(&second.registration, 0), vec![]));
    assert_eq!(head.duties, [Duty::ShareSeed]);
    let Ok(Reply::SeedShares(shares)) = node.ask(Request::SeedShares) else { panic!() };
    assert_eq!(
        (shares.len(), shares[0].answer.enclave, shares[0].rank),
        (1, second.registration.enclave, 0)
    );
    // A share of another seed first: refused, another awaited.
    let impostor = Node::start(3, true);
    impostor.catch_up(&L1::new());
    let wrong = impostor.registration.encrypted_seed.clone();
    let responder = node.registration.enclave;
    node.follow(&l1.block(vec![shared(second.registration.enclave, responder, 1, wrong)], vec![]));
    assert!(!second.catch_up(&l1).has_seed);
    node.follow(&l1.block(vec![answered(&shares[0])], vec![]));
    send(&reader, &node, alice.transaction(0, TxKind::Call(alice.address()), 0, Bytes::new()));
    round(&node, &mut l1);
    let head = second.catch_up(&l1);
    assert!(head.has_seed && !head.is_aggregator);
    assert_eq!(head.rollup, node.set_head(l1.tip.hash).rollup);
    // It answers as the first does.
    let balance = Query::Balance(alice.address(), At::Latest);
    assert_eq!(reader.ask(&second, balance.clone()), reader.ask(&node, balance));
    // But nobody would hear of a transaction that it took.
    let raw = alice.transaction(1, TxKind::Call(alice.address()), 0, Bytes::new());
    match reader.ask(&second, Query::SendTransaction(raw)) {
        Answer::Refused(refusal) => assert!(refusal.message.contains("an aggregator's node")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn unattested_nodes_get_nothing() {
    let (node, mut l1, _) = network();
    let other_owner = {
        let mut registration = Node::start(2, false).registration;
        registration.quote = Node::start(3, false).registration.quote;
        registration
    };
    let head = node.follow(&l1.block(registered(&other_owner, 1_000), vec![]));
    assert!(head.duties.is_empty() && head.peers.is_empty(), "another node's quote");
}
