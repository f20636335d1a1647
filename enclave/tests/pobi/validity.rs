//! Protocol 5.4: what makes a rollup valid. Every invalid one here is signed with the enclave's own key, as
//! if its TEE were broken; enclaves refuse it as a candidate and ignore it on L1, and the round goes on.

use super::*;
use alloy_primitives::{B256, U256, keccak256};
use obscuro_enclave::{device::Entropy, identity::Identity};
use obscuro_protocol::{
    door::{DoorError, Retry},
    l1::INetworkManagement::NodeLeft,
    limits::PROOF_AGE_BLOCKS_MAX,
    payload,
};

/// What an enclave says of a rollup before L1 has it.
fn opinion(node: &Node, rollup: &SignedRollup) -> String {
    match node.ask(Request::Candidate(Box::new(rollup.clone()))) {
        Ok(Reply::Accepted) => "valid".to_owned(),
        Err(DoorError::Rejected(reason)) => reason,
        Err(DoorError::Retry(Retry::L1Block(_))) => "unknown proof".to_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_field_and_the_payload_are_judged() {
    type Change = fn(&mut SignedRollup);
    let cases: Vec<(&str, Change, &str)> = vec![
        ("parent canonical at the proof", |r| r.header.parent.0[0] ^= 1, "not canonical"),
        ("the proof's number is its own", |r| r.header.l1ProofNumber -= 1, "not canonical"),
        ("the proof is an ancestor", |r| r.header.l1Proof.0[0] ^= 1, "unknown proof"),
        ("the number follows", |r| r.header.number += 1, "wrong number"),
        ("version", |r| r.header.version += 1, "wrong version"),
        ("timestamp: the proof's time", |r| r.header.timestamp += 1, "wrong timestamp"),
        ("gas used", |r| r.header.gasUsed += 1, "wrong gas used"),
        ("gas limit", |r| r.header.gasLimit += 1, "wrong gas limit"),
        ("base fee", |r| r.header.baseFee += 1, "wrong base fee"),
        ("deposits up to the proof", |r| r.header.depositCursor -= 1, "wrong deposit cursor"),
        ("deposits after the proof", |r| r.header.depositCursor += 1, "wrong deposit cursor"),
        ("forced transactions", |r| r.header.forcedCursor += 1, "wrong forced cursor"),
        ("state", |r| r.header.stateRoot.0[0] ^= 1, "wrong state root"),
        ("transactions", |r| r.header.transactionsRoot.0[0] ^= 1, "wrong transactions root"),
        ("receipts", |r| r.header.receiptsRoot.0[0] ^= 1, "wrong receipts root"),
        ("withdrawals", |r| r.header.withdrawalsRoot.0[0] ^= 1, "wrong withdrawals root"),
        ("public events", |r| r.header.publicEventsRoot.0[0] ^= 1, "wrong public events root"),
        ("the payload is the header's", |r| r.payload = vec![1; 9].into(), "does not match"),
        (
            "the payload decodes",
            |r| {
                r.payload = vec![1; 900].into();
                r.header.payloadHash = keccak256(&r.payload);
            },
            "payload",
        ),
        (
            "the payload decrypts",
            |r| {
                let mut payload = r.payload.to_vec();
                *payload.last_mut().unwrap() ^= 1;
                r.payload = payload.into();
                r.header.payloadHash = keccak256(&r.payload);
            },
            "payload",
        ),
    ];
    let mut scene = Scene::new();
    let obx = config().contracts.obscuroToken;
    let deposit = deposited(1, obx, scene.alice.address(), OBX);
    let block = scene.l1.block(vec![deposit], vec![]);
    scene.follow(&block);
    scene.pay(0);
    let genuine = scene.first.seal().unwrap();
    for (rule, change, reason) in cases {
        let mut rollup = genuine.clone();
        change(&mut rollup);
        rollup.signature = sign_as(1, &scene.first, &rollup.header);
        // One that has judged no other in this round.
        let said = opinion(&follower_of(&scene.first, &scene.l1), &rollup);
        assert!(said.contains(reason), "{rule}: {said}");
        // L1 takes it, as long as nobody compares the payload with the header.
        if keccak256(&rollup.payload) != rollup.header.payloadHash {
            continue;
        }
        let mut branch = scene.l1.clone();
        branch.publish(&rollup);
        let next = branch.publish(&genuine);
        for node in [&scene.first, &scene.second, &follower_of(&scene.first, &branch)] {
            let head = head_of(node, &branch);
            assert_eq!(head.rollup, genuine.header.hash(), "{rule}: the valid one is canonical");
            assert_eq!(head.l1.hash, keccak256(&next.header), "{rule}");
        }
    }
    assert_eq!(opinion(&scene.second, &genuine), "valid");
}

/// A broken TEE could encrypt with a key that everybody has already, or that nobody will ever have.
#[test]
fn groups_are_of_the_interval_of_the_proof() {
    let scene = Scene::new();
    scene.pay(0);
    let genuine = scene.first.seal().unwrap();
    let device = TestDevice::new(1, 0);
    let identity = &scene.first.registration.identity;
    let identity = Identity::unseal(&device, config().hash(), identity).unwrap();
    let seed = &identity.seeds()[0];
    let content = payload::open(&genuine.payload, seed).unwrap();
    for (later, expected) in [(0, "valid"), (1, "malformed payload: interval")] {
        let number = genuine.header.l1ProofNumber;
        let interval = |option| config().reveal_interval(option, number) + later;
        let payload = payload::seal(&content, seed, interval, &mut Entropy(&device)).unwrap();
        let header = RollupHeader { payloadHash: keccak256(&payload), ..genuine.header.clone() };
        let signature = sign_as(1, &scene.first, &header);
        let rollup = SignedRollup { header, signature, payload, ..genuine.clone() };
        let said = opinion(&follower_of(&scene.first, &scene.l1), &rollup);
        assert_eq!(said, expected, "{later} intervals later");
    }
}

#[test]
fn the_signature_is_the_aggregators() {
    let mut scene = Scene::new();
    scene.pay(0);
    let genuine = scene.first.seal().unwrap();
    let by_another = sign_as(2, &scene.second, &genuine.header);
    let high_s = {
        // n - s, with the other recovery id, recovers the same key.
        let signature = alloy_primitives::Signature::try_from(&genuine.signature[..]).unwrap();
        let order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
        let s = U256::from_str_radix(order, 16).unwrap() - signature.s();
        let twin = alloy_primitives::Signature::new(signature.r(), s, !signature.v());
        Bytes::from(twin.as_bytes().to_vec())
    };
    let cases = [
        ("another aggregator's", by_another),
        ("none", Bytes::new()),
        ("one byte short", genuine.signature.slice(..64)),
        ("high s", high_s),
    ];
    for (what, signature) in cases {
        let rollup = SignedRollup { signature, ..genuine.clone() };
        assert!(opinion(&scene.second, &rollup).contains("signature"), "{what}");
        let mut branch = scene.l1.clone();
        branch.publish(&rollup);
        assert_eq!(head_of(&scene.second, &branch).number, 1, "{what}");
    }
    let block = scene.l1.publish(&genuine);
    assert_eq!(scene.second.follow(&block).number, 2);
}

#[test]
fn only_who_is_attested_and_staked_at_the_proof() {
    let left = |enclave| log(config().contracts.networkManagement, NodeLeft { enclave });
    // What L1 says of the third node before the proof.
    type Tell = Box<dyn Fn(&Node, &Node, &mut L1)>;
    let cases: Vec<(&str, Tell, bool)> = vec![
        ("not registered", Box::new(|_, _, _| {}), false),
        ("registered without a stake", Box::new(|one, third, l1| join(one, third, 0, l1)), false),
        (
            "registered without the seed",
            Box::new(|one, third, l1| {
                one.follow(&l1.block(registered(&third.registration, 1_000), vec![]));
            }),
            false,
        ),
        (
            "left",
            Box::new(move |one, third, l1| {
                join(one, third, 1_000, l1);
                one.follow(&l1.block(vec![left(third.registration.enclave)], vec![]));
            }),
            false,
        ),
        ("attested and staked", Box::new(|one, third, l1| join(one, third, 1_000, l1)), true),
    ];
    let scene = Scene::new();
    scene.pay_at(&[&scene.first], 0);
    for (what, tell, is_valid) in cases {
        let mut branch = scene.l1.clone();
        branch.salt = keccak256(what).0[0] as u64;
        head_of(&scene.first, &branch);
        scene.first.follow(&branch.block(vec![], vec![]));
        let third = Node::start(3, false);
        tell(&scene.first, &third, &mut branch);
        let rollup = match is_valid {
            true => {
                third.catch_up(&branch);
                scene.pay_at(&[&third], 0);
                third.seal().unwrap()
            }
            false => {
                let mut rollup = scene.first.seal().unwrap();
                rollup.header.aggregator = third.registration.enclave;
                rollup.signature = sign_as(3, &third, &rollup.header);
                rollup
            }
        };
        let said = opinion(&scene.first, &rollup);
        assert_eq!(said == "valid", is_valid, "{what}: {said}");
        assert!(is_valid || said.contains("not attested and staked"), "{what}: {said}");
        branch.publish(&rollup);
        let head = head_of(&scene.second, &branch);
        assert_eq!(head.rollup == rollup.header.hash(), is_valid, "{what}");
        // Whoever joins, returns or leaves after the proof changes nothing.
        let mut later = branch.clone();
        later.block(vec![left(scene.second.registration.enclave)], vec![]);
        assert_eq!(head_of(&scene.first, &later).rollup, head.rollup, "{what}");
    }
}

#[test]
fn a_proof_is_at_most_so_old() {
    for (age, is_valid) in [(PROOF_AGE_BLOCKS_MAX, true), (PROOF_AGE_BLOCKS_MAX + 1, false)] {
        let mut scene = Scene::new();
        scene.pay(0);
        let rollup = scene.first.seal().unwrap();
        for _ in 1..age {
            let block = scene.l1.block(vec![], vec![]);
            scene.first.feed(&block).unwrap();
        }
        let head = scene.first.follow(&scene.l1.publish(&rollup));
        assert_eq!(head.l1.number - rollup.header.l1ProofNumber, age);
        assert_eq!(head.rollup == rollup.header.hash(), is_valid, "{age} blocks");
        let follower = follower_of(&scene.first, &scene.l1).set_head(head.l1.hash);
        assert_eq!(follower.rollup, head.rollup, "{age} blocks");
    }
}

/// A broken TEE could sign without end, and every enclave would execute it all.
#[test]
fn of_an_aggregator_and_round_two_count() {
    for (forgeries, is_judged) in [(1, true), (2, false)] {
        let scene = Scene::new();
        scene.pay(0);
        let [genuine, other] = [&scene.first, &scene.second].map(|node| node.seal().unwrap());
        let forged: Vec<SignedRollup> = (1..=forgeries)
            .map(|gas| {
                let header = RollupHeader { gasUsed: gas, ..genuine.header.clone() };
                let signature = sign_as(1, &scene.first, &header);
                SignedRollup { header, signature, ..genuine.clone() }
            })
            .collect();
        let mut branch = scene.l1.clone();
        let (last, earlier) = forged.split_last().unwrap();
        publish_all(&mut branch, &earlier.iter().collect::<Vec<_>>());
        publish_all(&mut branch, &[last, &genuine]);
        let before = branch.clone();
        branch.publish(&other);
        let canonical = if is_judged { &genuine } else { &other }.header.hash();
        for node in [&scene.first, &scene.second, &follower_of(&scene.first, &branch)] {
            let head = head_of(node, &before);
            assert_eq!(head.rollup == genuine.header.hash(), is_judged, "{forgeries} forged");
            assert_eq!(head_of(node, &branch).rollup, canonical, "others are not hindered");
        }
    }
}

/// Protocol 5.1 and 5.9: a candidate is executed when it is gossiped, so that nothing is left to do when L1
/// brings it; whoever has not met it needs the payload from L1, and ends at the same place.
#[test]
fn a_gossiped_winner_is_executed_before_l1_has_it() {
    let mut scene = Scene::new();
    scene.pay_at(&[&scene.first], 0);
    let winner = scene.first.seal().unwrap();
    assert_eq!(opinion(&scene.second, &winner), "valid");
    let third =
        Node::restart(2, TestStore::default(), scene.second.kept.lock().unwrap().identity.clone());
    third.catch_up(&scene.l1);
    let whole = scene.l1.publish(&winner);
    let mut bare = whole.clone();
    bare.payloads.clear();
    assert_eq!(
        third.feed(&bare).unwrap_err(),
        DoorError::Retry(Retry::Payload(winner.header.hash()))
    );
    let head = scene.second.follow(&bare);
    assert_eq!(head.rollup, winner.header.hash(), "nothing is left to execute");
    assert_eq!(third.follow(&whole), head);
    // The next rollup begins at once: on the winner, proven by the block that brought it.
    scene.pay_at(&[&scene.second], 1);
    let next = scene.second.seal().unwrap().header;
    assert_eq!((next.parent, next.l1Proof), (winner.header.hash(), scene.l1.tip.hash));
    assert_ne!(next.parent, B256::ZERO);
}
