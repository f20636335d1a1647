//! `block.prevrandao`: who can know it, and who can choose. Not here: the lottery (`lottery`).

use crate::*;

/// Another aggregator, which was given the seed and stands where `node` stands.
fn second_aggregator(node: &Node, l1: &mut L1) -> Node {
    let second = Node::start(2, false);
    node.follow(&l1.block(registered(&second.registration, 1_000), vec![]));
    let Ok(Reply::SeedShares(shares)) = node.ask(Request::SeedShares) else { panic!() };
    node.follow(&l1.block(vec![answered(&shares[0])], vec![]));
    node.follow(&l1.block(vec![], vec![]));
    let head = second.catch_up(l1);
    assert!(head.has_seed && head.is_aggregator);
    second
}

/// Init code that emits `block.prevrandao` as the data of an event.
const TELL_PREVRANDAO: [u8; 9] = hex!("4460005260206000a0");

/// The data of the only event of a transaction.
fn event_data(reader: &Reader, node: &Node, transaction: B256) -> Bytes {
    match reader.ask(node, Query::Receipt(transaction)) {
        Answer::Receipt(Some(receipt)) => receipt.logs[0].data.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn prevrandao_is_another_with_another_nonce() {
    let (first, mut l1, alice) = network();
    let second = second_aggregator(&first, &mut l1);
    let reader = Reader::new(&first, 7, &[&alice]);
    let raw = alice.transaction(0, TxKind::Create, 0, TELL_PREVRANDAO);
    let hash = send(&reader, &first, raw.clone());
    assert_eq!(send(&reader, &second, raw), hash);
    // The same round, transactions and time; only who seals differs.
    let sealed = [&first, &second].map(|node| node.seal().expect("a transaction waits"));
    assert_eq!(sealed[0].header.round(), sealed[1].header.round());
    assert_ne!(sealed[0].header.nonce, sealed[1].header.nonce);
    let mut seen: Vec<Bytes> = Vec::new();
    for rollup in &sealed {
        let mut branch = l1.clone();
        let block = branch.publish(rollup);
        for node in [&first, &second] {
            // Who did not seal it executes it with the nonce of its header, or refuses it.
            assert_eq!(node.follow(&block).rollup, rollup.header.hash());
            seen.push(event_data(&reader, node, hash));
        }
    }
    assert_eq!((&seen[0], &seen[2]), (&seen[1], &seen[3]), "all nodes agree");
    assert_ne!(seen[0], seen[2], "who sees a candidate does not know the other's randomness");
    // The round is replayed on another block: another nonce, and other randomness.
    first.follow(&l1.block(vec![], vec![]));
    let replayed = round(&first, &mut l1);
    assert_ne!(replayed.header.nonce, sealed[0].header.nonce);
    let later = event_data(&reader, &first, hash);
    assert!(later.iter().any(|byte| *byte != 0) && !seen.contains(&later));
}

/// A host that has a round sealed in two lives of its enclave learns nothing in one that it could bet on in the
/// other.
#[test]
fn prevrandao_is_another_with_other_transactions() {
    let (node, l1, alice) = network();
    let other_life = follower_of(&node, &l1);
    let reader = Reader::new(&node, 7, &[&alice]);
    let tell = |nonce, gas| {
        alice.transaction_with_gas(nonce, TxKind::Create, gas, TELL_PREVRANDAO.to_vec())
    };
    let mut seen = Vec::new();
    let mut nonces = Vec::new();
    for (life, raws) in [
        (&node, [tell(0, 90_000), tell(1, 90_000)]),
        (&other_life, [tell(0, 90_001), tell(1, 90_000)]),
    ] {
        let hashes = raws.map(|raw| send(&reader, life, raw));
        let sealed = life.seal().unwrap();
        nonces.push(sealed.header.nonce);
        life.follow(&l1.clone().publish(&sealed));
        seen.extend(hashes.map(|hash| event_data(&reader, life, hash)));
    }
    assert_eq!(nonces[0], nonces[1]);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 4, "each transaction has its own, also the one that both lives execute");
}
