//! What the enclave refuses: from L1, from users, from the host's store. Not here: bytes without a
//! meaning (`hostile_host`).

use crate::*;

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
