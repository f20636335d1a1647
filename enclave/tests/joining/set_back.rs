//! A host sets its enclave back to an L1 block from before a seed epoch, whose seed a removed enclave
//! holds (protocol 2.5): what came later is not encrypted under the former one.

use crate::*;
use obscuro_protocol::{config::L1BlockId, door::Retry, payload};

/// Two aggregators in the second epoch, and the last L1 block of the first.
struct SetBack {
    first: Node,
    second: Node,
    l1: L1,
    before: B256,
    alice: User,
    reader: Reader,
}

impl SetBack {
    fn new() -> Self {
        let (first, mut l1, alice) = network();
        let second = join(&[&first], &mut l1, TestDevice::new(2, 0), 1_000);
        let nodes = [&first, &second];
        all_follow(&nodes, &mut l1, vec![epoch_begun(2, Address::ZERO)]);
        let before = l1.tip.hash;
        let made = opening(&first).unwrap();
        all_follow(&nodes, &mut l1, opened(&made));
        let reader = Reader::to(&made.network_key, 8, &[&alice]);
        Self { first, second, l1, before, alice, reader }
    }

    /// A transfer as a user sends it to the first node, and what its host keeps of it.
    fn send(&self, nonce: u64) -> Bytes {
        let to = TxKind::Call(Address::repeat_byte(8));
        let raw = self.alice.transaction(nonce, to, OBX, Bytes::new());
        let envelope = self.reader.seal(Query::SendTransaction(raw)).1;
        match self.first.ask(Request::Envelope(envelope.into())) {
            Ok(Reply::Envelope { accepted: Some(kept), .. }) => kept,
            other => panic!("{other:?}"),
        }
    }

    /// Nothing waits that could go under the former epoch, and all of it under the new one.
    fn assert_waits(&self, node: &Node, transactions: u64) {
        node.set_head(self.before);
        assert_eq!(node.seal(), None, "sealed under the former seed");
        assert_eq!(taken(node), Bytes::new(), "passed on under the former seed");
        node.set_head(self.l1.tip.hash);
        assert_eq!(node.seal().map_or(0, |rollup| rollup.header.gasUsed), transactions * 21_000);
    }
}

fn taken(node: &Node) -> Bytes {
    match node.ask(Request::TakeTransactions) {
        Ok(Reply::Transactions(sealed)) => sealed,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_users_sent_later_waits_for_its_epoch() {
    let set = SetBack::new();
    let kept = set.send(0);
    set.assert_waits(&set.first, 1);
    // It is still to be told to the peers.
    let gossip = taken(&set.first);
    assert!(!gossip.is_empty());
    // A peer that was set back itself, and one that is set back afterwards.
    set.second.set_head(set.before);
    set.second.ask(Request::PeerTransactions(gossip)).unwrap();
    set.assert_waits(&set.second, 1);
    // The next life begins where its host wants.
    let again = next_life(1, &set.first, set.first.store.clone());
    again.catch_up(&set.l1);
    again.set_head(set.before);
    again.ask(Request::Readmit(kept)).unwrap();
    set.assert_waits(&again, 1);
}

/// Whoever reaches an epoch first is no liar to the others; whoever only says so gains nothing.
#[test]
fn what_is_ahead_of_a_node_is_not_held_against_its_sender() {
    let (first, mut l1, alice) = network();
    let second = join(&[&first], &mut l1, TestDevice::new(2, 0), 1_000);
    let reader = Reader::new(&first, 7, &[&alice]);
    pay(&reader, &first, &alice, 0);
    let before = taken(&first);
    all_follow(&[&first, &second], &mut l1, vec![epoch_begun(2, Address::ZERO)]);
    let block = l1.block(opened(&opening(&first).unwrap()), vec![]);
    first.follow(&block);
    pay(&reader, &first, &alice, 1);
    let ahead = taken(&first);
    let ask = |sealed: &[u8]| second.ask(Request::PeerTransactions(sealed.to_vec().into()));
    assert!(matches!(ask(&ahead), Err(DoorError::Retry(Retry::Seed))));
    // To the host's keeping that is useless: it does not wait for what may never come.
    let readmitted = second.ask(Request::Readmit(ahead.clone()));
    assert!(matches!(readmitted, Err(DoorError::Rejected(_))), "{readmitted:?}");
    let garbage = [&[0, 0, 0, 1], &[7; 300][..]].concat();
    let renamed = [&[0, 0, 0, 1], &ahead[4..]].concat();
    for lie in [garbage, renamed, before[..3].to_vec(), vec![]] {
        let refused = ask(&lie);
        assert!(matches!(refused, Err(DoorError::Rejected(_))), "{refused:?}");
    }
    second.follow(&block);
    for sealed in [&before, &ahead] {
        ask(sealed).unwrap();
    }
    let renamed = [&[0, 0, 0, 2], &before[4..]].concat();
    assert!(matches!(ask(&renamed), Err(DoorError::Rejected(_))));
    assert_eq!(second.seal().expect("both").header.gasUsed, 42_000);
}

/// Garbage that claims to be ahead is nobody's fault, and must not cost a try of every seed there is.
#[test]
fn few_seeds_are_tried_for_what_is_ahead() {
    let (node, mut l1, alice) = network();
    let before = l1.tip.hash;
    let gossip: Vec<Bytes> = (2..=6)
        .map(|epoch| {
            node.follow(&l1.block(vec![epoch_begun(epoch, Address::ZERO)], vec![]));
            let opened = opened(&opening(&node).unwrap());
            node.follow(&l1.block(opened, vec![]));
            pay(&Reader::new(&node, 7, &[&alice]), &node, &alice, u64::from(epoch) - 2);
            taken(&node)
        })
        .collect();
    node.set_head(before);
    let ask = |sealed: &Bytes| node.ask(Request::PeerTransactions(sealed.clone())).map(|_| ());
    assert_eq!(ask(&gossip[0]), Err(DoorError::Retry(Retry::Seed)));
    for sealed in &gossip[1..] {
        assert_eq!(ask(sealed), Ok(()));
    }
}

/// Recorded gossip cannot be played again for ever.
#[test]
fn old_gossip_is_ignored() {
    let (node, mut l1, alice) = network();
    let reader = Reader::new(&node, 7, &[&alice]);
    pay(&reader, &node, &alice, 0);
    let sealed = taken(&node);
    let ask = || node.ask(Request::PeerTransactions(sealed.clone()));
    for _ in 0..64 {
        node.follow(&l1.block(vec![], vec![]));
        ask().unwrap();
    }
    node.follow(&l1.block(vec![], vec![]));
    // Not as a fault of who passes it on: the head there may be one block behind.
    assert_eq!(ask().unwrap_err(), DoorError::Retry(Retry::Sender));
}

#[test]
fn what_came_before_is_not_held_up() {
    let set = SetBack::new();
    set.first.set_head(set.before);
    let former = Reader::new(&set.first, 9, &[&set.alice]);
    pay(&former, &set.first, &set.alice, 0);
    set.first.set_head(set.l1.tip.hash);
    set.send(1);
    set.first.set_head(set.before);
    let rollup = set.first.seal().expect("the former transaction");
    assert_eq!(rollup.header.gasUsed, 21_000);
    assert!(!taken(&set.first).is_empty() && taken(&set.first).is_empty());
    set.first.set_head(set.l1.tip.hash);
    assert_eq!(set.first.seal().expect("both").header.gasUsed, 42_000);
    assert!(!taken(&set.first).is_empty());
}

#[test]
fn a_session_of_the_new_epoch_is_not_known_before_it() {
    let set = SetBack::new();
    let query = Query::Balance(set.alice.address(), At::Latest);
    let Answer::Value(balance) = set.reader.ask(&set.first, query.clone()) else { panic!() };
    assert!(!balance.is_zero());
    set.first.set_head(set.before);
    let to = TxKind::Call(Address::repeat_byte(8));
    let raw = set.alice.transaction(0, to, OBX, Bytes::new());
    let envelope = set.reader.seal(Query::SendTransaction(raw)).1;
    let refused = set.first.ask(Request::Envelope(envelope.into()));
    assert!(matches!(refused, Err(DoorError::Rejected(_))), "{refused:?}");
    assert_eq!(set.first.seal(), None);
    set.first.set_head(set.l1.tip.hash);
    assert_eq!(set.reader.ask(&set.first, query), Answer::Value(balance));
    set.assert_waits(&set.first, 0);
}

#[test]
fn what_returns_from_an_orphaned_rollup_waits_for_its_epoch() {
    let mut set = SetBack::new();
    set.send(0);
    let rollup = publish(&set.first, &[&set.first, &set.second], &mut set.l1);
    for node in [&set.first, &set.second] {
        node.set_head(set.before);
        assert_eq!(node.seal(), None, "sealed under the former seed");
        assert_eq!(taken(node), Bytes::new());
    }
    // On a branch with another opening it is wanted again.
    let mut fork = L1 { salt: 7, ..set.l1.clone() };
    while fork.tip.hash != set.before {
        fork.blocks.pop();
        let tip = alloy_primitives::keccak256(&fork.blocks.last().unwrap().header);
        fork.tip = L1BlockId { number: fork.tip.number - 1, hash: tip };
    }
    let nodes = [&set.first, &set.second];
    let made = opening(&set.second).unwrap();
    all_follow(&nodes, &mut fork, opened(&made));
    let again = set.first.seal().expect("the returned transaction");
    assert_eq!(again.header.gasUsed, 21_000);
    assert_ne!(again.header.hash(), rollup.header.hash());
    assert!(
        payload::open(&again.payload, &epochs::founding_seed(&set.first.registration.network_key))
            .is_err()
    );
}
