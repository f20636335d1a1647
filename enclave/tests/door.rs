//! The enclave through its door: the life of a rollup, what users see, and what the enclave
//! refuses (protocol 12). Not here: real contracts and sockets (`devnet`, `cli`).

#[path = "door/harness.rs"]
#[allow(dead_code, reason = "made for several test files")]
mod harness;

use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex, keccak256};
use harness::*;
use obscuro_protocol::{
    door::{CarriedPayload, Carrier, DoorError, Duty, L1Block, Reply, Request, Retry, RollupId},
    query::{At, CallRequest, LogFilter, Query, Reply as Answer},
    rollup::SignedRollup,
};
use std::collections::HashSet;

fn send(reader: &Reader, node: &Node, raw: Bytes) -> B256 {
    match reader.ask(node, Query::SendTransaction(raw)) {
        Answer::Accepted(hash) => hash,
        other => panic!("{other:?}"),
    }
}

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

#[test]
fn refuses_what_l1_does_not_prove() {
    let (node, mut l1, alice) = network();
    let before = node.set_head(l1.tip.hash);
    let obx = config().contracts.obscuroToken;
    let genuine = l1.clone().block(vec![], vec![]);
    let forged = l1.clone().block(vec![deposited(1, obx, alice.address(), OBX)], vec![]);
    let cases: [(&str, L1Block, DoorError); 5] = [
        (
            "a forged deposit under a genuine header",
            L1Block { receipts: forged.receipts.clone(), ..genuine.clone() },
            DoorError::Rejected("receipts do not match the header's receipts root".into()),
        ),
        (
            "receipts withheld",
            L1Block { receipts: None, ..forged.clone() },
            DoorError::Retry(Retry::Receipts),
        ),
        (
            "a receipt left out",
            L1Block { receipts: Some(vec![]), ..forged.clone() },
            DoorError::Rejected("receipts do not match the header's receipts root".into()),
        ),
        (
            "a block off the chain",
            {
                let mut off = L1 { salt: 9, ..L1::new() };
                off.tip.hash = B256::repeat_byte(9);
                off.block(vec![], vec![])
            },
            DoorError::Retry(Retry::L1Block(B256::repeat_byte(9))),
        ),
        (
            "a header with bytes left over",
            L1Block { header: [genuine.header.as_ref(), &[0]].concat().into(), ..genuine.clone() },
            DoorError::Rejected("malformed L1 header".into()),
        ),
    ];
    for (case, block, expected) in cases {
        assert_eq!(node.feed(&block).unwrap_err(), expected, "{case}");
    }
    assert_eq!(node.set_head(l1.tip.hash), before, "the state is unchanged");
    node.follow(&l1.block(vec![], vec![]));
}

#[test]
fn a_rollup_with_a_wrong_root_never_becomes_canonical() {
    let (node, mut l1, alice) = network();
    let reader = Reader::new(&node, 7, &[&alice]);
    send(&reader, &node, alice.transaction(0, TxKind::Call(alice.address()), 0, Bytes::new()));
    let good = node.seal().unwrap();
    let mut bad = good.clone();
    bad.header.stateRoot = B256::repeat_byte(7);
    // Even correctly signed: as by a broken TEE.
    assert!(matches!(
        node.ask(Request::Candidate(Box::new(bad.clone()))),
        Err(DoorError::Rejected(_))
    ));
    let before = node.set_head(l1.tip.hash).rollup;
    assert_eq!(node.follow(&l1.publish(&bad)).rollup, before);
    // The round goes on.
    round(&node, &mut l1);
}

#[test]
fn a_forged_head_is_answered_although_there_is_nothing_to_publish() {
    let (node, mut l1, _) = network();
    node.follow(&l1.block(vec![], vec![]));
    assert_eq!(node.seal(), None, "nothing to publish");
    // A broken TEE publishes on the idle head: as long as L1 sees no other head, it could withdraw.
    let mut forged = round_of_another_life(&node, &l1);
    forged.header.withdrawalsRoot = B256::repeat_byte(7);
    node.follow(&l1.publish(&forged));
    let answer = node.seal().expect("a sibling of the forged rollup");
    assert_eq!(answer.header.parent, forged.header.parent);
    node.follow(&l1.publish(&answer));
    assert_eq!(node.seal(), None, "once is enough until the other head moves");
    // A child of the forged rollup does move it.
    forged.header.parent = forged.header.hash();
    node.follow(&l1.publish(&forged));
    assert!(node.seal().is_some());
}

/// A rollup on the head that another life of the node seals, with a deposit of its own.
fn round_of_another_life(node: &Node, l1: &L1) -> SignedRollup {
    let other = follower_of(node, l1);
    let mut idle = l1.clone();
    for _ in 0..config().idleBlocksMax {
        other.follow(&idle.block(vec![], vec![]));
    }
    let mut rollup = other.seal().expect("idle for too long");
    rollup.header.l1Proof = l1.tip.hash;
    rollup.header.l1ProofNumber = l1.tip.number;
    rollup
}

#[test]
fn payloads_are_demanded_and_checked() {
    let (node, mut l1, alice) = network();
    let reader = Reader::new(&node, 7, &[&alice]);
    send(&reader, &node, alice.transaction(0, TxKind::Call(alice.address()), 0, Bytes::new()));
    // This node knows its own rollup; one that restarts needs the payload.
    let rollup = node.seal().unwrap();
    let follower = follower_of(&node, &l1);
    let mut block = l1.publish(&rollup);
    let payloads = std::mem::take(&mut block.payloads);
    assert_eq!(
        follower.feed(&block).unwrap_err(),
        DoorError::Retry(Retry::Payload(rollup.header.hash()))
    );
    block.payloads = vec![CarriedPayload {
        rollup: rollup.header.hash(),
        carrier: Carrier::Calldata(b"junk".as_slice().into()),
    }];
    assert_eq!(
        follower.feed(&block).unwrap_err(),
        DoorError::Retry(Retry::Payload(rollup.header.hash()))
    );
    block.payloads = payloads;
    assert_eq!(follower.follow(&block).rollup, rollup.header.hash());
}

#[test]
fn a_tampered_store_is_fatal_and_never_believed() {
    let (node, l1, alice) = network();
    let fresh = follower_of(&node, &l1);
    let reader = Reader::new(&node, 7, &[&alice]);
    for value in fresh.store.0.lock().unwrap().values_mut() {
        if let Some(byte) = value.last_mut() {
            *byte ^= 1;
        }
    }
    let (_, envelope) = reader.seal(Query::Balance(alice.address(), At::Number(0)));
    assert!(matches!(fresh.ask(Request::Envelope(envelope.into())), Err(DoorError::Fatal(_))));
}

#[test]
fn garbled_envelopes_are_refused() {
    let (node, _, alice) = network();
    let reader = Reader::new(&node, 7, &[&alice]);
    let (_, envelope) = reader.seal(Query::Balance(alice.address(), At::Latest));
    for position in [0, 1, 500, 1_121, 1_150, envelope.len() - 1] {
        let mut garbled = envelope.clone();
        garbled[position] ^= 1;
        let error = node.ask(Request::Envelope(garbled.into())).unwrap_err();
        assert!(
            matches!(&error, DoorError::Rejected(reason) if reason.contains("envelope")),
            "{position}: {error}"
        );
    }
    for length in [0, 1, 100, 1_121, 1_144] {
        assert!(
            node.ask(Request::Envelope(envelope[..length].to_vec().into())).is_err(),
            "{length}"
        );
    }
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

/// Passes the time that any request lives.
fn let_requests_expire(node: &Node, l1: &mut L1) {
    for _ in 0..300 {
        node.follow(&l1.block(vec![], vec![]));
    }
}

/// What the host is to keep of an envelope.
fn kept(node: &Node, envelope: &[u8]) -> Option<Bytes> {
    match node.ask(Request::Envelope(envelope.to_vec().into())).unwrap() {
        Reply::Envelope { accepted, .. } => accepted,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_was_accepted_returns_to_the_pool_however_late() {
    let (node, mut l1, alice) = network();
    let reader = Reader::new(&node, 7, &[&alice]);
    let to = TxKind::Call(Address::repeat_byte(8));
    let envelope = |nonce, value| {
        reader.seal(Query::SendTransaction(alice.transaction(nonce, to, value, Bytes::new()))).1
    };
    let (affordable, too_dear) = (envelope(0, OBX), envelope(1, 1_000 * OBX));
    let first = kept(&node, &affordable).expect("accepted");
    let second = kept(&node, &envelope(1, OBX)).expect("accepted");
    assert_eq!(kept(&node, &too_dear), None);
    let_requests_expire(&node, &mut l1);

    let next = follower_of(&node, &l1);
    for late in [&affordable, &too_dear] {
        assert_eq!(kept(&next, late), None, "the host cannot bring back what it likes");
    }
    // In any order; a second time changes nothing.
    for sealed in [&second, &first, &second] {
        assert!(matches!(next.ask(Request::Readmit(sealed.clone())), Ok(Reply::Accepted)));
    }
    assert_eq!(round(&next, &mut l1).header.gasUsed, 2 * 21_000);

    // In yet another life both are settled: the host may forget them.
    let third = follower_of(&node, &l1);
    for sealed in [&first, &second] {
        assert!(matches!(third.ask(Request::Readmit(sealed.clone())), Ok(Reply::Accepted)));
    }
    let mut forgotten: Vec<B256> = Vec::new();
    for _ in 0..70 {
        forgotten.extend(third.follow(&l1.block(vec![], vec![])).forget);
    }
    let hash = |sealed: &Bytes| keccak256(sealed);
    assert_eq!(forgotten, [hash(&first), hash(&second)]);
}

#[test]
fn what_was_accepted_is_kept_while_l1_has_it_on_a_lost_branch_only() {
    let (node, mut l1, alice) = network();
    let reader = Reader::new(&node, 7, &[&alice]);
    let raw = alice.transaction(0, TxKind::Call(Address::repeat_byte(8)), OBX, Bytes::new());
    let sealed = kept(&node, &reader.seal(Query::SendTransaction(raw)).1).expect("accepted");
    let mut lost = l1.clone();
    assert_eq!(round(&node, &mut lost).header.gasUsed, 21_000);

    let mut forgotten: Vec<B256> = Vec::new();
    for _ in 0..70 {
        forgotten.extend(node.follow(&l1.block(vec![], vec![])).forget);
    }
    assert!(forgotten.is_empty(), "it waits for a rollup again");
    assert_eq!(round(&node, &mut l1).header.gasUsed, 21_000);
    for _ in 0..70 {
        forgotten.extend(node.follow(&l1.block(vec![], vec![])).forget);
    }
    assert_eq!(forgotten, [keccak256(&sealed)]);
}

#[test]
fn only_enclaves_of_the_network_say_what_was_accepted() {
    let (node, _, alice) = network();
    let other = Node::start(3, true);
    let sealed = {
        let mut l1 = L1::new();
        other.follow(&l1.block(registered(&other.registration, 1_000), vec![]));
        let obx = config().contracts.obscuroToken;
        other.follow(&l1.block(vec![deposited(0, obx, alice.address(), OBX)], vec![]));
        round(&other, &mut l1);
        let reader = Reader::new(&other, 7, &[&alice]);
        let raw = alice.transaction(0, TxKind::Call(alice.address()), 0, Bytes::new());
        kept(&other, &reader.seal(Query::SendTransaction(raw)).1).expect("accepted")
    };
    for sealed in [sealed, Bytes::new(), Bytes::from_static(b"junk")] {
        assert!(matches!(node.ask(Request::Readmit(sealed)), Err(DoorError::Rejected(_))));
    }
}

#[test]
fn refusals_are_geths() {
    let (node, _, alice) = network();
    let reader = Reader::new(&node, 7, &[&alice]);
    let poor = User::new("poor");
    let to = TxKind::Call(Address::repeat_byte(8));
    let mut wrong_chain = alice.transaction(0, to, 0, Bytes::new()).to_vec();
    let last = wrong_chain.len() - 1;
    wrong_chain[last] ^= 1;
    let cases = [
        ("insufficient funds for gas * price + value", poor.transaction(0, to, 1, Bytes::new())),
        ("invalid transaction", Bytes::from_static(b"\x02junk")),
        ("insufficient funds", wrong_chain.into()),
    ];
    for (expected, raw) in cases {
        match reader.ask(&node, Query::SendTransaction(raw)) {
            Answer::Refused(refusal) => {
                assert!(refusal.message.contains(expected), "{}", refusal.message)
            }
            other => panic!("{expected}: {other:?}"),
        }
    }
}

/// Another aggregator, which was given the seed and stands where `node` stands.
fn second_aggregator(node: &Node, l1: &mut L1) -> Node {
    let second = Node::start(2, false);
    node.follow(&l1.block(registered(&second.registration, 1_000), vec![]));
    let Ok(Reply::SeedShares(shares)) = node.ask(Request::SeedShares) else { panic!() };
    node.follow(&l1.block(vec![answered(&shares[0])], vec![]));
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
