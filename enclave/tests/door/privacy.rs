//! Who sees what: other users, and the host. Not here: the rules of single queries (`executor`).

use crate::*;
use std::collections::HashSet;

#[test]
fn another_user_sees_nothing() {
    let (node, mut l1, alice) = network();
    let own = Reader::new(&node, 7, &[&alice]);
    // Init code that stores a word, emits an event without topics, and deploys "00".
    let init = hex!("602a60005560aa60005260206000a0600160005360016000f3");
    let hash = send(&own, &node, alice.transaction(0, TxKind::Create, 0, init.to_vec()));
    round(&node, &mut l1);
    let contract = alice.address().create(0);
    let other = Reader::new(&node, 8, &[&User::new("eve")]);
    let empty = [
        (Query::Balance(alice.address(), At::Latest), Answer::Value(U256::ZERO)),
        (Query::Nonce { account: alice.address(), at: At::Latest, pooled: true }, Answer::Count(0)),
        (Query::Storage(contract, U256::ZERO, At::Latest), Answer::Value(U256::ZERO)),
        (Query::Transaction(hash), Answer::Transaction(None)),
        (Query::Receipt(hash), Answer::Receipt(None)),
        (Query::Logs(LogFilter { from: 0, to: 9, ..Default::default() }), Answer::Logs(vec![])),
        (Query::RollupTransactions(At::Latest), Answer::Hashes(vec![])),
    ];
    for (query, answer) in empty {
        assert_eq!(other.ask(&node, query.clone()), answer, "{query:?}");
    }
    let call =
        CallRequest { from: Some(alice.address()), to: Some(contract), ..Default::default() };
    assert!(matches!(other.ask(&node, Query::Call(call, At::Latest)), Answer::Refused(_)));
    assert!(
        matches!(own.ask(&node, Query::Receipt(hash)), Answer::Receipt(Some(receipt)) if receipt.logs.len() == 1)
    );
    assert_eq!(own.ask(&node, Query::RollupTransactions(At::Latest)), Answer::Hashes(vec![hash]));
}

/// Whether eight bytes of a secret stand anywhere, as they are, backwards or in hexadecimal.
fn shows(bytes: &[u8], secret: &[u8]) -> bool {
    let backwards: Vec<u8> = secret.iter().rev().copied().collect();
    let parts = secret.windows(8).chain(backwards.windows(8));
    let parts: HashSet<Vec<u8>> =
        parts.flat_map(|part| [part.to_vec(), hex::encode(part).into_bytes()]).collect();
    bytes.windows(8).chain(bytes.windows(16)).any(|window| parts.contains(window))
}

#[test]
fn what_the_host_is_given_shows_nothing_of_a_user() {
    let (node, mut l1, alice) = network();
    let reader = Reader::new(&node, 7, &[&alice]);
    let marker = keccak256("a marker");
    // Init code that keeps the marker, tells it in an event, and reverts with it or deploys it.
    let push = [&[0x7f], marker.as_slice()].concat();
    let keep = [&push[..], &hex!("600055")].concat();
    let tell = [&push[..], &hex!("60005260206000a0")].concat();
    let fail = [&push[..], &hex!("60005260206000fd")].concat();
    let deploy = [&push[..], &hex!("60005260206000f3")].concat();
    let sent = [
        alice.transaction(0, TxKind::Create, 0, [keep, tell, deploy].concat()),
        alice.transaction(1, TxKind::Create, 0, fail.clone()),
        alice.transaction(2, TxKind::Call(Address::repeat_byte(8)), 7, marker.to_vec()),
    ]
    .map(|raw| send(&reader, &node, raw));
    assert!(matches!(node.ask(Request::TakeTransactions), Ok(Reply::Transactions(_))));
    let rollup = round(&node, &mut l1);
    let follower = follower_of(&node, &l1);
    let contract = alice.address().create(0);
    let data = fail.into();
    let failing = CallRequest { from: Some(alice.address()), data, ..Default::default() };
    let queries = [
        Query::SendTransaction(marker.to_vec().into()),
        Query::Code(contract, At::Latest),
        Query::Call(failing, At::Latest),
        Query::Transaction(sent[2]),
        Query::Receipt(sent[0]),
        Query::Logs(LogFilter { from: 0, to: 9, ..Default::default() }),
    ];
    let mut told = 0;
    for node in [&node, &follower] {
        for query in &queries {
            let answer = reader.ask(node, query.clone());
            told += usize::from(shows(&obscuro_protocol::wire::encode(&answer), &marker[..]));
        }
    }
    assert_eq!(told, 2 * 5, "the user is told it, by all but the garbled transaction");
    assert!(node.replies.lock().unwrap().iter().any(|reply| shows(reply, &rollup.payload)));
    for node in [&node, &follower] {
        let (replies, store) = (node.replies.lock().unwrap(), node.store.0.lock().unwrap());
        let given = replies.iter().map(Vec::as_slice);
        let stored = store.iter().flat_map(|(key, value)| [key.as_slice(), value]);
        for bytes in given.chain(stored) {
            assert!(!shows(bytes, marker.as_slice()));
            assert!(sent.iter().all(|hash| !shows(bytes, hash.as_slice())), "nor which they are");
        }
    }
}
