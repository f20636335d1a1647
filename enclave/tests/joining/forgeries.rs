//! Whoever holds the seed of a former epoch, and a host that helps them, forge what an enclave reads
//! from its host's disk (protocol 6.3).

use crate::*;
use obscuro_enclave::{
    identity::Identity,
    ledger::Body,
    store::{Domain, EncryptedStore},
    view::View,
};
use obscuro_protocol::{
    envelope,
    keys::{self, LABEL_SNAPSHOT, Label, MasterSeed},
    secret::Secret,
    wire,
};

/// An aggregator whose newest snapshot lies behind a transaction of the first epoch, the seed of that
/// epoch, and the transaction.
fn aged() -> (Node, L1, Reader, MasterSeed, SignedRollup) {
    let (first, mut l1, alice) = network();
    let reader = Reader::new(&first, 7, &[&alice]);
    pay(&reader, &first, &alice, 0);
    let rollup = publish(&first, &[&first], &mut l1);
    all_follow(&[&first], &mut l1, vec![epoch_begun(2, Address::ZERO)]);
    let made = opening(&first).unwrap();
    all_follow(&[&first], &mut l1, opened(&made));
    while first.kept.lock().unwrap().snapshot.is_none() {
        all_follow(&[&first], &mut l1, vec![]);
    }
    let seed = epochs::founding_seed(&first.registration.network_key);
    let reader = Reader::to(&made.network_key, 8, &[&alice]);
    (first, l1, reader, seed, rollup)
}

/// Brings a new life to the tip from where it began.
fn resume(node: &Node, l1: &L1) {
    let done = node.position.number - config().checkpoint.number;
    l1.blocks.iter().skip(done as usize).for_each(|block| drop(node.feed(block).unwrap()));
    node.set_head(l1.tip.hash);
}

#[test]
fn bodies_under_a_former_seed_are_those_of_their_rollups() {
    let (first, l1, reader, stolen, rollup) = aged();
    let (hash, domain) = (rollup.header.hash(), Domain("rollup body"));
    let first = next_life(1, &first, first.store.clone());
    assert!(first.position.number > rollup.header.l1ProofNumber, "it is not executed again");
    resume(&first, &l1);
    let records = EncryptedStore::new(&first.store, stolen.derive(Label::State).expose());
    let record = records.get_record(domain, hash).unwrap().expect("the record");
    let mut body: Body = wire::decode(&record, record.len()).unwrap();
    let transaction = body.transactions[0].hash;
    assert!(body.transactions[0].success);
    body.transactions[0].success = false;
    records.put_record(domain, hash, &wire::encode(&body)).unwrap();
    // In the header is what it always was.
    for query in [
        Query::Receipt(transaction),
        Query::Transaction(transaction),
        Query::RollupTransactions(At::Hash(hash)),
        Query::Logs(obscuro_protocol::query::LogFilter { to: u64::MAX, ..Default::default() }),
    ] {
        let (_, envelope) = reader.seal(query);
        let refused = first.ask(Request::Envelope(envelope.into())).unwrap_err();
        assert!(matches!(&refused, DoorError::Fatal(why) if why.contains("forged")), "{refused:?}");
    }
    // A record that says it is of another rollup is none.
    body.header.number += 1;
    records.put_record(domain, hash, &wire::encode(&body)).unwrap();
    assert_eq!(reader.ask(&first, Query::Receipt(transaction)), Answer::Receipt(None));
    records.put_record(domain, hash, &record).unwrap();
    let Answer::Receipt(Some(receipt)) = reader.ask(&first, Query::Receipt(transaction)) else {
        panic!()
    };
    assert!(receipt.success);
}

#[test]
fn snapshots_are_an_enclaves_own() {
    let (first, l1, _, stolen, _) = aged();
    let kept = first.kept.lock().unwrap().clone();
    let aad = config().hash();
    let identity =
        Identity::unseal(&TestDevice::new(1, 0), aad, &kept.identity.clone().unwrap()).unwrap();
    let own = identity.snapshot_key();
    let plain = envelope::open(&own, &kept.snapshot.clone().unwrap(), aad.as_slice()).unwrap();
    let (mut view, proofs): (View, Vec<View>) = wire::decode(&plain, plain.len()).unwrap();
    let begun_at = |key: &Secret, view: &View| {
        let mut entropy = obscuro_enclave::device::Entropy(&TestDevice::new(666, 0));
        let plain = wire::encode(&(view, &proofs));
        let forged = envelope::seal(key, &plain, aad.as_slice(), &mut entropy).unwrap();
        let snapshot = Some(forged.into());
        Node::restart_with(1, first.store.clone(), kept.identity.clone(), snapshot).position
    };
    view.block = l1.tip.clone();
    assert_eq!(begun_at(&own, &view), view.block, "made with its own key: a test of the test");
    let labels = [
        Label::Network,
        Label::Reveal,
        Label::PositionMap,
        Label::Gossip,
        Label::State,
        Label::Randomness,
    ];
    let mut forgers: Vec<Secret> = labels.map(|label| stolen.derive(label)).into();
    forgers.push(keys::derive(stolen.secret(), LABEL_SNAPSHOT, &[]));
    forgers.push(keys::derive(&stolen.derive(Label::State), LABEL_SNAPSHOT, &[]));
    forgers.push(stolen.secret().duplicate());
    // Another enclave, with a key of its own.
    forgers.push(Identity::generate(&TestDevice::new(666, 0)).snapshot_key());
    for forger in forgers {
        assert_eq!(begun_at(&forger, &view), config().checkpoint);
    }
}
