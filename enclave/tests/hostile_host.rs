//! A host that sends anything: altered, truncated and random requests never panic the enclave,
//! always get a reply, and leave an honest node's view as it was. Not here: attacks with a
//! meaning (`door`).

#[path = "harness/mod.rs"]
#[allow(dead_code, reason = "made for several test files")]
mod harness;

use alloy_primitives::{Bytes, TxKind};
use harness::*;
use obscuro_protocol::{
    door::{self, Reply, Request},
    query::Query,
};
use proptest::{prelude::*, test_runner::Config};

struct Fixture {
    node: Node,
    l1: L1,
    requests: Vec<Vec<u8>>,
}

/// A node with a rollup, and one honest example of every kind of request.
fn fixture() -> Fixture {
    let (node, l1, alice) = network();
    let reader = Reader::new(&node, 7, &[&alice]);
    let raw = alice.transaction(0, TxKind::Call(alice.address()), 1, Bytes::new());
    let envelope = reader.seal(Query::SendTransaction(raw)).1;
    let Ok(Reply::Envelope { accepted: Some(kept), .. }) =
        node.ask(Request::Envelope(envelope.clone().into()))
    else {
        panic!()
    };
    let Ok(Reply::Transactions(gossiped)) = node.ask(Request::TakeTransactions) else { panic!() };
    let candidate = node.seal().unwrap();
    let next = l1.clone().publish(&candidate);
    let requests = [
        Request::Start { config: Box::new(config()), identity: None, snapshot: Some(Bytes::new()) },
        Request::Register { owner: OWNER, l1_block: l1.tip.clone(), genesis: false },
        Request::L1Block(Box::new(next)),
        Request::SetHead(l1.tip.hash),
        Request::Envelope(envelope.into()),
        Request::PeerTransactions(gossiped),
        Request::Candidate(Box::new(candidate)),
        Request::Withdrawals(node.set_head(l1.tip.hash).rollup),
        Request::Readmit(kept),
    ];
    Fixture { node, l1, requests: requests.iter().map(door::encode).collect() }
}

fn handle(fixture: &Fixture, request: &[u8]) -> Reply {
    let reply = fixture.node.enclave.handle(request, &fixture.node.store);
    door::decode(&reply).expect("every request gets a reply")
}

#[test]
fn altered_requests_are_answered_and_change_nothing() {
    let fixture = fixture();
    let honest = fixture.node.set_head(fixture.l1.tip.hash).rollup;
    let mut runner = proptest::test_runner::TestRunner::new(Config::with_cases(400));
    let strategy = (
        0..fixture.requests.len(),
        prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        prop::option::of(any::<prop::sample::Index>()),
        prop::collection::vec(any::<u8>(), 0..8),
    );
    runner
        .run(&strategy, |(kind, changes, cut, tail)| {
            let mut request = fixture.requests[kind].clone();
            for (position, value) in changes {
                let position = position.index(request.len());
                request[position] = value;
            }
            if let Some(cut) = cut {
                request.truncate(cut.index(request.len()));
            }
            request.extend(tail);
            handle(&fixture, &request);
            Ok(())
        })
        .unwrap();
    assert_eq!(fixture.node.set_head(fixture.l1.tip.hash).rollup, honest);
}

proptest! {
    #[test]
    fn random_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let node = Node::restart(1, TestStore::default(), None);
        let reply = node.enclave.handle(&bytes, &node.store);
        prop_assert!(door::decode::<Reply>(&reply).is_ok());
    }
}
