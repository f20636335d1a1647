//! Forced inclusion through the enclave's door (protocol 6.6): what is due, what becomes of it, and what
//! a rollup may not do about it. Here, a broken TEE signs what no enclave would. Not here: the
//! contract (`contracts`), the user's command (`cli`), new seed epochs (`joining`).

#[path = "harness/mod.rs"]
#[allow(dead_code, reason = "made for several test files")]
mod harness;

use alloy_primitives::{Address, B256, Bytes, Log, TxKind, U256, hex, keccak256};
use harness::*;
use obscuro_enclave::{device::Entropy, identity::Identity};
use obscuro_protocol::{
    door::{DoorError, Duty, Reply, Request, Retry},
    forced as protocol_forced, keys,
    limits::{FORCED_ENVELOPE_BYTES_MAX, FORCED_OPENED_MAX},
    payload::{self, Item},
    query::{Query, Reply as Answer},
    rollup::{RollupHeader, SignedRollup, signing_domain},
};
use std::slice::from_ref;

const BOB: TxKind = TxKind::Call(Address::repeat_byte(0xb0));

fn pay(user: &User, nonce: u64) -> Bytes {
    user.transaction(nonce, BOB, 1, Bytes::new())
}

/// Logs that force these transactions, the first with this index.
fn forcing(node: &Node, first: u64, raws: &[Bytes]) -> Vec<Log> {
    let envelope = |raw: &Bytes| sealed_to(&node.registration.network_key, 1, raw);
    raws.iter().zip(first..).map(|(raw, index)| forced(index, envelope(raw))).collect()
}

/// The transactions in a rollup.
fn transactions(rollup: &SignedRollup) -> Vec<Bytes> {
    let items = payload::open(&rollup.payload, broken(1).seeds().first().unwrap()).unwrap().items;
    items.into_iter().map(|item| item.transaction).collect()
}

/// The keys that a broken TEE gives away: entropy is repeatable here.
fn broken(seed: u64) -> Identity {
    let node = Node::start(seed, true);
    let identity = node.registration.identity.clone();
    Identity::unseal(&TestDevice::new(seed, 0), config().hash(), &identity).unwrap()
}

/// A rollup like a genuine one with other transactions and another cursor, well signed.
fn forge(like: &SignedRollup, raws: &[Bytes], forced_cursor: u64) -> SignedRollup {
    let (identity, option) = (broken(1), config().default_reveal());
    let mut payload = payload::open(&like.payload, &identity.seeds()[0]).unwrap();
    payload.items =
        raws.iter().map(|raw| Item { option, transaction: raw.clone() }).collect::<Vec<_>>();
    let interval = |option| config().reveal_interval(option, like.header.l1ProofNumber);
    let device = TestDevice::new(99, 0);
    let bytes =
        payload::seal(&payload, &identity.seeds()[0], interval, &mut Entropy(&device)).unwrap();
    let header = RollupHeader {
        forcedCursor: forced_cursor,
        payloadHash: keccak256(&bytes),
        ..like.header.clone()
    };
    let domain = signing_domain(config().l1ChainId, config().contracts.rollupManagement);
    let signature = identity.sign(header.signing_hash(&domain));
    SignedRollup { header, signature, payload: bytes, ..like.clone() }
}

#[test]
fn executed_in_the_next_rollup_with_a_later_proof() {
    let (node, mut l1, alice) = network();
    let reader = Reader::new(&node, 7, &[&alice]);
    node.follow(&l1.block(vec![], vec![]));
    assert_eq!(node.seal(), None, "nothing to publish");
    // Sealed before, published in the same block.
    reader.ask(&node, Query::SendTransaction(pay(&alice, 0)));
    let earlier = node.seal().unwrap();
    let raw = pay(&alice, 1);
    let logs = forcing(&node, 0, from_ref(&raw));
    let head = node.follow(&l1.publish_before(&earlier, logs));
    assert_eq!(head.rollup, earlier.header.hash(), "its proof is older than what was forced");
    assert_eq!(reader.ask(&node, Query::Receipt(keccak256(&raw))), Answer::Receipt(None));
    let rollup = round(&node, &mut l1);
    assert_eq!((transactions(&rollup), rollup.header.forcedCursor), (vec![raw.clone()], 1));
    let Answer::Receipt(Some(receipt)) = reader.ask(&node, Query::Receipt(keccak256(&raw))) else {
        panic!()
    };
    assert!(receipt.success);
    assert_eq!(receipt.position.number, rollup.header.number);
    assert_eq!(node.seal(), None, "applied once");
    // From L1 alone.
    let verifier = follower_of(&node, &l1);
    assert_eq!(verifier.set_head(l1.tip.hash), node.set_head(l1.tip.hash));
    assert_eq!(
        reader.ask(&verifier, Query::Receipt(keccak256(&raw))),
        Answer::Receipt(Some(receipt))
    );
}

#[test]
fn a_rollup_that_treats_them_otherwise_is_invalid() {
    let (node, mut l1, alice) = network();
    let reader = Reader::new(&node, 7, &[&alice]);
    let carol = User::new("carol");
    let obx = config().contracts.obscuroToken;
    node.follow(&l1.block(vec![deposited(1, obx, carol.address(), OBX)], vec![]));
    round(&node, &mut l1);
    let (a, b, c) = (pay(&alice, 0), pay(&alice, 1), pay(&carol, 0));
    let junk = forced(2, vec![1; 2_000]);
    let logs = [forcing(&node, 0, &[a.clone(), b.clone()]), vec![junk]].concat();
    let answer = reader.ask(&node, Query::SendTransaction(c.clone()));
    assert!(matches!(answer, Answer::Accepted(_)));
    node.follow(&l1.block(logs, vec![]));
    let good = node.seal().unwrap();
    assert_eq!(transactions(&good), [a.clone(), b.clone(), c.clone()], "before the pool's");
    assert_eq!(good.header.forcedCursor, 3);
    let order = "the forced transactions due do not come first";
    let cases: [(&str, &[&Bytes], u64, &str); 9] = [
        ("all omitted", &[&c], 0, order),
        ("all omitted, as if applied", &[&c], 3, order),
        ("empty", &[], 3, order),
        ("the first omitted", &[&b, &c], 3, order),
        ("the last omitted", &[&a, &c], 3, order),
        ("reordered", &[&b, &a, &c], 3, order),
        ("behind another", &[&c, &a, &b], 3, order),
        ("applied, and again later", &[&a, &b, &c], 0, "wrong forced cursor"),
        ("more than there are", &[&a, &b, &c], 4, "wrong forced cursor"),
    ];
    for (case, raws, cursor, reason) in cases {
        // One each: an enclave judges two candidates of an aggregator and round.
        let verifier = follower_of(&node, &l1);
        let raws: Vec<Bytes> = raws.iter().map(|raw| (*raw).clone()).collect();
        let forged = forge(&good, &raws, cursor);
        let judged = verifier.ask(Request::Candidate(Box::new(forged.clone())));
        assert_eq!(judged.unwrap_err(), DoorError::Rejected(reason.into()), "{case}");
        let before = verifier.set_head(l1.tip.hash).rollup;
        assert_eq!(verifier.follow(&l1.clone().publish(&forged)).rollup, before, "{case}");
    }
    // The forger changed nothing else.
    let same = forge(&good, &transactions(&good), good.header.forcedCursor);
    let verifier = follower_of(&node, &l1);
    assert_eq!(verifier.follow(&l1.publish(&same)).rollup, same.header.hash());
}

#[test]
fn what_is_not_valid_at_its_turn_is_skipped() {
    let (node, mut l1, alice) = network();
    let key = &node.registration.network_key;
    let (good, poor) = (pay(&alice, 0), User::new("poor"));
    let reader = Reader::new(&node, 7, &[&alice]);
    let request = reader.seal(Query::SendTransaction(good.clone())).1;
    let elsewhere = {
        let (key, device) = (keys::kem_public_key(key).unwrap(), TestDevice::new(98, 0));
        let mut entropy = Entropy(&device);
        protocol_forced::seal(&key, 1, B256::ZERO, &good, &mut entropy).unwrap()
    };
    let cut = |bytes: Vec<u8>| bytes[..bytes.len() - 1].to_vec();
    let cases = [
        ("empty", vec![]),
        ("no envelope", vec![9; 2_000]),
        ("too long", vec![1; FORCED_ENVELOPE_BYTES_MAX + 1]),
        ("a point of low order", [&[1, 0, 0, 0, 1][..], &[0; 2_000]].concat()),
        ("truncated", cut(sealed_to(key, 1, &good))),
        ("another version", [&[2], &sealed_to(key, 1, &good)[1..]].concat()),
        ("an epoch that never was", sealed_to(key, 0, &good)),
        ("an epoch to come", sealed_to(key, 2, &good)),
        ("another network's", elsewhere),
        ("a request to an enclave", request),
        ("no transaction", sealed_to(key, 1, b"hello")),
        ("bytes left over", sealed_to(key, 1, &[&good[..], &[0]].concat())),
        (
            "a signature of nobody",
            sealed_to(key, 1, &[&good[..good.len() - 64], &[0; 64]].concat()),
        ),
        ("a nonce to come", sealed_to(key, 1, &pay(&alice, 1))),
        ("no money", sealed_to(key, 1, &pay(&poor, 0))),
        ("too little gas", sealed_to(key, 1, &alice.transaction_with_gas(0, BOB, 20_000, vec![]))),
        ("any chain's", sealed_to(key, 1, &alice.unprotected(0))),
        ("another chain's", sealed_to(key, 1, &alice.of_chain(0, 1))),
    ];
    let verifier = follower_of(&node, &l1);
    for (index, (case, envelope)) in (0..).zip(cases) {
        // Junk by its form alone is not worth a rollup; the deposit is.
        let obx = config().contracts.obscuroToken;
        let logs = vec![forced(index, envelope), deposited(1 + index, obx, Address::ZERO, 1)];
        let block = l1.block(logs, vec![]);
        node.follow(&block);
        verifier.follow(&block);
        let rollup = round(&node, &mut l1);
        assert_eq!(transactions(&rollup), Vec::<Bytes>::new(), "{case}");
        let RollupHeader { gasUsed, forcedCursor, .. } = rollup.header;
        assert_eq!((gasUsed, forcedCursor), (0, index + 1), "{case}");
        assert_eq!(
            verifier.follow(l1.blocks.last().unwrap()).rollup,
            rollup.header.hash(),
            "{case}"
        );
    }
    // A copycat posts the same ciphertext first, and again afterwards: once is all.
    let index = 18;
    let envelope = sealed_to(key, 1, &good);
    let logs = (index..index + 3).map(|index| forced(index, envelope.clone())).collect();
    node.follow(&l1.block(logs, vec![]));
    let rollup = round(&node, &mut l1);
    assert_eq!((transactions(&rollup), rollup.header.forcedCursor), (vec![good], index + 3));
}

#[test]
fn junk_that_looks_well_makes_a_rollup_like_the_rest() {
    let (node, mut l1, _) = network();
    let junk = [&[1, 0, 0, 0, 1][..], &[7; 2_000]].concat();
    node.follow(&l1.block(vec![forced(0, junk)], vec![]));
    assert_eq!(round(&node, &mut l1).header.forcedCursor, 1);
    node.follow(&l1.block(vec![forced(1, vec![])], vec![]));
    assert_eq!(node.seal(), None, "anybody sees that this is nothing");
}

#[test]
fn only_the_contract_forces() {
    let (node, mut l1, alice) = network();
    let mut logs = forcing(&node, 0, &[pay(&alice, 0)]);
    logs[0].address = config().contracts.bridgeManagement;
    node.follow(&l1.block(logs, vec![]));
    assert_eq!(node.seal(), None);
}

#[test]
fn too_much_at_once_is_due_in_the_next_rollups() {
    // Init code that loops until its gas is gone.
    let burn = |nonce| {
        User::new("alice").transaction_with_gas(
            nonce,
            TxKind::Create,
            16_000_000,
            hex!("5b600056").to_vec(),
        )
    };
    let long =
        |nonce| User::new("alice").transaction_with_gas(nonce, BOB, 2_000_000, vec![0; 60_000]);
    let cases: [(&str, Vec<Bytes>, &[u64]); 2] = [
        // Half of 300 million gas is reached by the tenth.
        ("gas", (0..11).map(burn).collect(), &[10, 11]),
        ("bytes", (0..5).map(long).collect(), &[2, 4, 5]),
    ];
    for (case, raws, cursors) in cases {
        let (node, mut l1, _) = network();
        let verifier = follower_of(&node, &l1);
        let block = l1.block(forcing(&node, 0, &raws), vec![]);
        node.follow(&block);
        verifier.follow(&block);
        let mut applied = Vec::new();
        for cursor in cursors {
            let rollup = round(&node, &mut l1);
            assert_eq!(rollup.header.forcedCursor, *cursor, "{case}");
            applied.extend(transactions(&rollup));
            assert_eq!(verifier.follow(l1.blocks.last().unwrap()).rollup, rollup.header.hash());
        }
        assert!(applied == raws, "{case}: all of them, in order");
        assert_eq!(node.seal(), None, "{case}");
    }
}

#[test]
fn a_flood_of_junk_delays_by_rollups_and_loses_nothing() {
    let (node, mut l1, alice) = network();
    let reader = Reader::new(&node, 7, &[&alice]);
    let max = FORCED_OPENED_MAX as u64;
    let junk = |index: u64| {
        let mut junk = [&[1, 0, 0, 0, 1][..], &[0; 2_000]].concat();
        junk[5..37].copy_from_slice(keccak256(index.to_be_bytes()).as_slice());
        forced(index, junk)
    };
    let raw = pay(&alice, 1);
    let logs = (0..max + 3).map(junk).chain(forcing(&node, max + 3, from_ref(&raw))).collect();
    reader.ask(&node, Query::SendTransaction(pay(&alice, 0)));
    node.follow(&l1.block(logs, vec![]));
    let first = round(&node, &mut l1);
    assert_eq!(first.header.forcedCursor, max);
    assert_eq!(transactions(&first), [pay(&alice, 0)], "others go on");
    let second = round(&node, &mut l1);
    assert_eq!((transactions(&second), second.header.forcedCursor), (vec![raw], max + 4));
    assert_eq!(follower_of(&node, &l1).set_head(l1.tip.hash).rollup, second.header.hash());
}

/// Data that no compression makes shorter.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let chunk = |number: u64| keccak256([seed.to_be_bytes(), number.to_be_bytes()].concat());
    (0..).flat_map(|number| chunk(number).0).take(length).collect()
}

#[test]
fn the_bytes_of_a_flood_leave_a_rollup_possible() {
    let (node, mut l1, alice) = network();
    let carol = User::new("carol");
    let obx = config().contracts.obscuroToken;
    node.follow(&l1.block(vec![deposited(1, obx, carol.address(), 100 * OBX)], vec![]));
    round(&node, &mut l1);
    // As much as a rollup takes of each, and none of it compresses.
    let long =
        |user: &User, nonce| user.transaction_with_gas(nonce, BOB, 3_000_000, noise(nonce, 60_000));
    let reader = Reader::new(&node, 7, &[&carol]);
    for nonce in 0..8 {
        let raw = carol.transaction_with_gas(nonce, BOB, 3_000_000, noise(1_000 + nonce, 60_000));
        let answer = reader.ask(&node, Query::SendTransaction(raw));
        assert!(matches!(answer, Answer::Accepted(_)), "{answer:?}");
    }
    let raws: Vec<Bytes> = (0..2).map(|nonce| long(&alice, nonce)).collect();
    let verifier = follower_of(&node, &l1);
    let block = l1.block(forcing(&node, 0, &raws), vec![]);
    node.follow(&block);
    verifier.follow(&block);
    let rollup = round(&node, &mut l1);
    assert_eq!(rollup.header.forcedCursor, 2);
    assert_eq!(transactions(&rollup)[..2], raws);
    assert!(transactions(&rollup).len() > 2, "others go on");
    assert_eq!(verifier.follow(l1.blocks.last().unwrap()).rollup, rollup.header.hash());
}

#[test]
fn a_reorganisation_takes_it_back_to_the_pool() {
    let (node, mut l1, alice) = network();
    let reader = Reader::new(&node, 7, &[&alice]);
    let (pooled, other) = (pay(&alice, 0), alice.transaction(0, BOB, 7, Bytes::new()));
    reader.ask(&node, Query::SendTransaction(pooled.clone()));
    let mut branch = L1 { salt: 1, ..l1.clone() };
    // Another transaction with the nonce of one that waits.
    node.follow(&l1.block(forcing(&node, 0, from_ref(&other)), vec![]));
    let sealed = node.seal().unwrap();
    assert_eq!(transactions(&sealed), [other], "once, although both are valid");
    // On the branch nothing was forced: the other is not lost.
    node.follow(&branch.block(vec![], vec![]));
    let rollup = node.seal().expect("the pool's");
    assert_eq!((transactions(&rollup), rollup.header.forcedCursor), (vec![pooled.clone()], 0));
    // The same transaction forced and in the pool: executed once; published, then reorganised away, it
    // waits again.
    let mut later = L1 { salt: 2, ..branch.clone() };
    node.follow(&branch.block(forcing(&node, 0, from_ref(&pooled)), vec![]));
    assert_eq!(transactions(&round(&node, &mut branch)), from_ref(&pooled));
    node.follow(&branch.block(vec![], vec![]));
    assert_eq!(node.seal(), None);
    node.follow(&later.block(vec![], vec![]));
    assert_eq!(transactions(&round(&node, &mut later)), [pooled]);
}

#[test]
fn a_snapshot_carries_what_is_due() {
    let (node, mut l1, alice) = network();
    let (mut snapshot, raw) = (None, pay(&alice, 0));
    let obx = config().contracts.obscuroToken;
    while snapshot.is_none() || l1.tip.number < 130 {
        // The snapshot is of the newest rollup's block that is deep enough: this one.
        if l1.tip.number == 60 {
            node.follow(&l1.block(vec![deposited(1, obx, alice.address(), 1)], vec![]));
            let rollup = node.seal().unwrap();
            node.follow(&l1.publish_before(&rollup, forcing(&node, 0, from_ref(&raw))));
        }
        let folded = node.feed(&l1.block(vec![], vec![])).unwrap();
        snapshot = folded.snapshot.or(snapshot);
        node.set_head(l1.tip.hash);
    }
    let identity = Some(node.registration.identity.clone());
    let again = Node::restart_with(1, node.store.clone(), identity, snapshot);
    assert_eq!(again.position.number, 62);
    for block in &l1.blocks {
        match again.feed(block) {
            Ok(_) | Err(DoorError::Retry(Retry::L1Block(_))) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(again.set_head(l1.tip.hash), node.set_head(l1.tip.hash));
    let rollup = again.seal().unwrap();
    assert_eq!((transactions(&rollup), rollup.header.forcedCursor), (vec![raw], 1));
}

#[test]
fn who_could_not_read_finds_the_same_when_the_seed_comes() {
    let (node, mut l1, alice) = network();
    let second = Node::start(2, false);
    let head = node.follow(&l1.block(registered(&second.registration, 0), vec![]));
    assert_eq!(head.duties, [Duty::ShareSeed]);
    let Ok(Reply::SeedShares(shares)) = node.ask(Request::SeedShares) else { panic!() };
    node.follow(&l1.block(forcing(&node, 0, &[pay(&alice, 0)]), vec![]));
    round(&node, &mut l1);
    node.follow(&l1.block(forcing(&node, 1, &[pay(&alice, 1)]), vec![]));
    assert!(!second.catch_up(&l1).has_seed, "it folds blindly");
    node.follow(&l1.block(vec![answered(&shares[0])], vec![]));
    round(&node, &mut l1);
    let (head, known) = (second.catch_up(&l1), node.set_head(l1.tip.hash));
    assert_eq!((head.has_seed, head.rollup), (true, known.rollup));
    let reader = Reader::new(&node, 7, &[&alice]);
    let balance = Query::Balance(alice.address(), obscuro_protocol::query::At::Latest);
    let fees = U256::from(2 * (21_000_000_000_000u128 + 1));
    assert_eq!(
        reader.ask(&second, balance),
        Answer::Value(U256::from(100 * OBX) - fees),
        "both transfers"
    );
}
