//! Attacks of protocol 12 that need more than one step, each against nodes that must agree
//! afterwards. Not here: single malformed inputs (`hostile_host`), the normal life (`door`).

#[path = "harness/mod.rs"]
#[allow(dead_code, reason = "made for several test files")]
mod harness;

use alloy_eips::eip4844::kzg_to_versioned_hash;
use alloy_primitives::{Address, Bytes, TxKind, U256, hex};
use harness::*;
use obscuro_protocol::{
    door::{CarriedPayload, Carrier, DoorError, Reply, Request, Retry},
    query::{At, CallRequest, Query, Reply as Answer},
};

fn refusal(answer: Answer) -> String {
    match answer {
        Answer::Refused(refusal) => refusal.message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn blobs_without_the_payload_split_nobody() {
    let (node, mut l1, alice) = network();
    let reader = Reader::new(&node, 7, &[&alice]);
    reader.ask(
        &node,
        Query::SendTransaction(alice.transaction(
            0,
            TxKind::Call(alice.address()),
            1,
            Bytes::new(),
        )),
    );
    // Gossip brought the good rollup; its publisher puts another payload into the blobs.
    let rollup = node.seal().unwrap();
    let junk = vec![0; 131_072];
    let blob = c_kzg::Blob::from_bytes(&junk).unwrap();
    let commitment = c_kzg::ethereum_kzg_settings(0).blob_to_kzg_commitment(&blob).unwrap();
    let hash = kzg_to_versioned_hash(commitment.to_bytes().as_slice());
    let carrier = Carrier::Blobs(vec![junk.into()]);
    let payload = CarriedPayload { rollup: rollup.header.hash(), carrier };
    let block = l1.block(vec![published_in_blobs(&rollup, vec![hash])], vec![payload]);
    // A lying host presents the right payload as if L1 had carried it.
    let mut lie = block.clone();
    lie.payloads[0].carrier = Carrier::Calldata(rollup.payload.clone());
    assert!(matches!(node.feed(&lie), Err(DoorError::Retry(Retry::Payload(_)))));
    let head = node.follow(&block);
    assert_eq!(head.number, 1, "not on L1, not canonical, although executed");
    assert_eq!(follower_of(&node, &l1).set_head(l1.tip.hash), head);
    // On a branch that publishes it properly it is valid.
    let mut branch = L1::new();
    for block in &l1.blocks[..l1.blocks.len() - 1] {
        branch.blocks.push(block.clone());
    }
    branch.tip = obscuro_protocol::config::L1BlockId {
        number: l1.tip.number - 1,
        hash: rollup.header.l1Proof,
    };
    assert_eq!(node.follow(&branch.publish(&rollup)).number, 2);
}

#[test]
fn a_late_inclusion_survives_a_restart_from_a_snapshot() {
    let (node, mut l1, alice) = network();
    let reader = Reader::new(&node, 7, &[&alice]);
    let mut snapshot = None;
    let mut late = None;
    while snapshot.is_none() || late.is_some() {
        let block = l1.block(vec![], vec![]);
        snapshot = node.feed(&block).unwrap().snapshot.or(snapshot);
        node.set_head(l1.tip.hash);
        if l1.tip.number == 63 {
            let raw = alice.transaction(0, TxKind::Call(alice.address()), 1, Bytes::new());
            reader.ask(&node, Query::SendTransaction(raw));
            late = node.seal();
        }
        if l1.tip.number == 66
            && let Some(rollup) = late.take()
        {
            node.follow(&l1.publish(&rollup));
        }
    }
    let honest = node.set_head(l1.tip.hash);
    let device_life = Node::restart_with(
        1,
        node.store.clone(),
        Some(node.registration.identity.clone()),
        snapshot,
    );
    for block in &l1.blocks {
        match device_life.feed(block) {
            Ok(_) | Err(DoorError::Retry(Retry::L1Block(_))) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(device_life.set_head(l1.tip.hash).rollup, honest.rollup);
}

#[test]
fn receipts_survive_a_losing_candidate_and_a_restart() {
    let (node, mut l1, alice) = network();
    let reader = Reader::new(&node, 7, &[&alice]);
    let raw = alice.transaction(0, TxKind::Call(alice.address()), 1, Bytes::new());
    let Answer::Accepted(hash) = reader.ask(&node, Query::SendTransaction(raw)) else { panic!() };
    let winner = node.seal().unwrap();
    // The round is replayed on a newer block, then the first candidate is included after all.
    node.follow(&l1.block(vec![], vec![]));
    node.seal().unwrap();
    node.follow(&l1.publish(&winner));
    let again = Node::restart(1, node.store.clone(), Some(node.registration.identity.clone()));
    again.catch_up(&l1);
    assert!(matches!(reader.ask(&again, Query::Receipt(hash)), Answer::Receipt(Some(_))));
}

/// Transactions are indexed when the head is followed, so a snapshot must not be ahead of that.
#[test]
fn receipts_survive_a_restart_before_the_head_was_followed() {
    let (node, mut l1, alice) = network();
    let reader = Reader::new(&node, 7, &[&alice]);
    let raw = alice.transaction(0, TxKind::Call(alice.address()), 1, Bytes::new());
    let Answer::Accepted(hash) = reader.ask(&node, Query::SendTransaction(raw)) else { panic!() };
    let rollup = node.seal().unwrap();
    node.feed(&l1.publish(&rollup)).unwrap();
    while l1.tip.number < 200 {
        node.feed(&l1.block(vec![], vec![])).unwrap();
    }
    let kept = node.kept.lock().unwrap().clone();
    assert!(kept.snapshot.is_some());
    let again = Node::restart_with(1, node.store.clone(), kept.identity, kept.snapshot);
    for block in &l1.blocks {
        match again.feed(block) {
            Ok(_) | Err(DoorError::Retry(Retry::L1Block(_))) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(again.set_head(l1.tip.hash).rollup, rollup.header.hash());
    assert!(matches!(reader.ask(&again, Query::Receipt(hash)), Answer::Receipt(Some(_))));
}

#[test]
fn the_pool_cannot_be_filled_for_nothing() {
    let (node, _, alice) = network();
    let reader = Reader::new(&node, 7, &[&alice]);
    let to = TxKind::Call(Address::repeat_byte(8));
    let poor = User::new("poor");
    let early = refusal(
        reader.ask(&node, Query::SendTransaction(poor.transaction(1, to, 0, Bytes::new()))),
    );
    assert!(early.contains("insufficient funds"), "{early}");
    let far = refusal(
        reader.ask(&node, Query::SendTransaction(alice.transaction(1_000, to, 0, Bytes::new()))),
    );
    assert!(far.contains("nonce too high"), "{far}");
    let near = reader.ask(&node, Query::SendTransaction(alice.transaction(3, to, 0, Bytes::new())));
    assert!(matches!(near, Answer::Accepted(_)));
    assert_eq!(node.seal(), None, "what waits for others makes no rollup");
}

#[test]
fn a_replayed_transaction_tells_a_stranger_no_numbers() {
    let (node, mut l1, alice) = network();
    let own = Reader::new(&node, 7, &[&alice]);
    let raw = alice.transaction(0, TxKind::Call(alice.address()), 1, Bytes::new());
    own.ask(&node, Query::SendTransaction(raw.clone()));
    round(&node, &mut l1);
    let stranger = Reader::new(&node, 8, &[&User::new("eve")]);
    assert_eq!(refusal(stranger.ask(&node, Query::SendTransaction(raw.clone()))), "nonce too low");
    assert!(refusal(own.ask(&node, Query::SendTransaction(raw))).contains("state: 1"));
}

#[test]
fn a_call_that_returns_too_much_is_the_users_problem() {
    let (node, _, alice) = network();
    let reader = Reader::new(&node, 7, &[&alice]);
    // Reverts with two megabytes.
    let data = hex!("622000005ffd").to_vec().into();
    let call = CallRequest { data, gas: Some(40_000_000), value: U256::ZERO, ..Default::default() };
    assert!(refusal(reader.ask(&node, Query::Call(call, At::Latest))).contains("too long"));
}

#[test]
fn gossip_is_taken_in_parts() {
    let (node, _, alice) = network();
    let reader = Reader::new(&node, 7, &[&alice]);
    for nonce in 0..12 {
        let data = vec![nonce as u8; 100_000];
        let raw =
            alice.transaction_with_gas(nonce, TxKind::Call(alice.address()), 15_000_000, data);
        let reply = reader.ask(&node, Query::SendTransaction(raw));
        assert!(matches!(reply, Answer::Accepted(_)), "{reply:?}");
    }
    let mut parts = 0;
    loop {
        let Ok(Reply::Transactions(sealed)) = node.ask(Request::TakeTransactions) else { panic!() };
        if sealed.is_empty() {
            break;
        }
        assert!(sealed.len() < obscuro_protocol::limits::GOSSIP_BYTES_MAX);
        parts += 1;
    }
    assert_eq!(parts, 2);
}
