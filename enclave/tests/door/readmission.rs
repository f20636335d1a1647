//! Transactions that a host brings back to the next life of its enclave.

use crate::*;

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
        other.follow(&l1.block(vec![], vec![]));
        round(&other, &mut l1);
        let reader = Reader::new(&other, 7, &[&alice]);
        let raw = alice.transaction(0, TxKind::Call(alice.address()), 0, Bytes::new());
        kept(&other, &reader.seal(Query::SendTransaction(raw)).1).expect("accepted")
    };
    for sealed in [sealed, Bytes::new(), Bytes::from_static(b"junk")] {
        assert!(matches!(node.ask(Request::Readmit(sealed)), Err(DoorError::Rejected(_))));
    }
}
