//! Seed epochs (protocol 2.5): who opens them, who can read what, and what becomes of everything that
//! was under way.

use crate::*;
use obscuro_enclave::{
    device::Entropy,
    epochs::{EPOCHS_MAX, EpochKeys},
};
use obscuro_protocol::{
    door::Retry,
    keys::MasterSeed,
    l1::{
        self,
        IAttestationVerifier::{MachineReadmitted, MachineRemoved},
        SeedEpoch,
    },
    payload,
};

/// Two aggregators, and a verifier that is a member too.
fn three() -> ([Node; 3], L1, User, Reader) {
    let (first, mut l1, alice) = network();
    let second = join(&[&first], &mut l1, TestDevice::new(2, 0), 1_000);
    let third = join(&[&first, &second], &mut l1, TestDevice::new(3, 0), 0);
    let reader = Reader::new(&first, 7, &[&alice]);
    all_follow(&[&first, &second, &third], &mut l1, vec![]);
    ([first, second, third], l1, alice, reader)
}

/// The owner asks, a node opens, L1 takes it.
fn new_epoch(epoch: u32, by: &Node, nodes: &[&Node], l1: &mut L1) -> EpochOpening {
    all_follow(nodes, l1, vec![epoch_begun(epoch, Address::ZERO)]);
    let made = opening(by).unwrap();
    all_follow(nodes, l1, opened(&made));
    made
}

#[test]
fn who_opens_an_epoch_and_what_it_signs() {
    let ([first, second, third], mut l1, _, _) = three();
    let nodes = [&first, &second, &third];
    let none = DoorError::Rejected("this enclave may not open a seed epoch".into());
    assert_eq!(opening(&first), Err(none.clone()));
    let named = second.registration.enclave;
    for (case, opener, may) in [
        ("any", Address::ZERO, [true, true, true]),
        ("a named one", named, [false, true, false]),
        ("somebody unknown", Address::repeat_byte(9), [false; 3]),
    ] {
        let heads = all_follow(&nodes, &mut l1, vec![epoch_begun(2, opener)]);
        for ((node, head), may) in nodes.iter().zip(&heads).zip(may) {
            assert_eq!(has(head, Duty::OpenEpoch), may, "{case}");
            assert_eq!(opening(node).is_ok(), may, "{case}");
            assert!(may || opening(node) == Err(none.clone()), "{case}");
        }
    }
    all_follow(&nodes, &mut l1, vec![epoch_begun(2, Address::ZERO)]);
    let made = opening(&third).unwrap();
    assert_eq!((made.epoch, made.responder), (2, third.registration.enclave));
    assert_eq!(made.since, l1.tip.number);
    assert_eq!(made.shares.len(), 3, "itself too");
    let signed = SeedEpoch {
        epoch: 2,
        networkKeyHash: alloy_primitives::keccak256(&made.network_key),
        shares: made
            .shares
            .iter()
            .map(|share| l1::SeedShare {
                enclave: share.enclave,
                epoch: 2,
                encryptedSeedHash: alloy_primitives::keccak256(&share.encryptedSeed),
            })
            .collect(),
    };
    assert_eq!(signer(&signed, &made.signature), Some(made.responder));
    let mut ranks: Vec<u64> = nodes.iter().map(|node| opening(node).unwrap().rank).collect();
    ranks.sort();
    assert_eq!(ranks, [0, 1, 2], "they take turns");
    // What was made and not taken leaves nothing behind.
    assert_ne!(opening(&third).unwrap().network_key, made.network_key);
    let heads = all_follow(&nodes, &mut l1, opened(&made));
    for head in heads {
        assert_eq!((head.duties.len(), head.has_seed), (0, true));
        assert_eq!(head.network_key, made.network_key);
    }
    assert_eq!(opening(&third), Err(none));
}

#[test]
fn members_go_on_without_a_break() {
    let ([first, second, third], mut l1, alice, reader) = three();
    let nodes = [&first, &second, &third];
    pay(&reader, &first, &alice, 0);
    publish(&first, &nodes, &mut l1);
    // Under way: gossip from before, and what a host keeps of an accepted transaction.
    let raw =
        |nonce| alice.transaction(nonce, TxKind::Call(Address::repeat_byte(8)), OBX, Bytes::new());
    let (_, envelope) = reader.seal(Query::SendTransaction(raw(1)));
    let Ok(Reply::Envelope { accepted: Some(kept), .. }) =
        first.ask(Request::Envelope(envelope.into()))
    else {
        panic!()
    };
    let Ok(Reply::Transactions(gossip)) = first.ask(Request::TakeTransactions) else { panic!() };

    all_follow(&nodes, &mut l1, vec![epoch_begun(2, Address::ZERO)]);
    let made = opening(&first).unwrap();
    let block = l1.block(opened(&made), vec![]);
    for node in nodes {
        let folded = node.feed(&block).unwrap();
        assert!(!folded.is_start_over && folded.identity.is_some());
        assert!(node.set_head(l1.tip.hash).has_seed);
    }
    // The transaction of the former epoch reaches the other, and goes into a rollup of the new one.
    second.ask(Request::PeerTransactions(gossip)).unwrap();
    let rollup = publish(&second, &nodes, &mut l1);
    assert_eq!(rollup.header.gasUsed, 21_000);
    // Users with the former key and users with the new one.
    let new_reader = Reader::to(&made.network_key, 8, &[&alice]);
    for (reader, nonce) in [(&reader, 2), (&new_reader, 3)] {
        pay(reader, &first, &alice, nonce);
        publish(&first, &nodes, &mut l1);
    }
    for node in nodes {
        assert_eq!(paid(&reader, node), Answer::Count(4));
        assert_eq!(paid(&new_reader, node), Answer::Count(4));
        let early = Query::Nonce { account: alice.address(), at: At::Number(1), pooled: false };
        assert_eq!(new_reader.ask(node, early), Answer::Count(0), "old state is readable");
    }
    // The next life: from the sealed identity, with what the host kept under the former epoch.
    let again = next_life(1, &first, first.store.clone());
    assert_eq!(again.catch_up(&l1).rollup, second.set_head(l1.tip.hash).rollup);
    again.ask(Request::Readmit(kept)).unwrap();
    assert_eq!(paid(&reader, &again), Answer::Count(4));
}

#[test]
fn forced_transactions_open_under_the_key_they_were_sealed_to() {
    let ([first, second, third], mut l1, alice, _) = three();
    let nodes = [&first, &second, &third];
    let raw =
        |nonce| alice.transaction(nonce, TxKind::Call(Address::repeat_byte(8)), OBX, Bytes::new());
    let to = |key: &Bytes, epoch, nonce| sealed_to(key, epoch, &raw(nonce));
    let founding = &first.registration.network_key;
    // Forced before the epochs begin, applied afterwards; and sealed to a key of long ago.
    all_follow(&nodes, &mut l1, vec![forced(0, to(founding, 1, 0))]);
    new_epoch(2, &first, &nodes, &mut l1);
    let third_key = new_epoch(3, &second, &nodes, &mut l1).network_key;
    let wrong = forced(1, to(founding, 3, 1));
    let logs = vec![wrong, forced(2, to(founding, 1, 1)), forced(3, to(&third_key, 3, 2))];
    all_follow(&nodes, &mut l1, logs);
    let rollup = publish(&second, &nodes, &mut l1);
    assert_eq!((rollup.header.gasUsed, rollup.header.forcedCursor), (3 * 21_000, 4));
    let reader = Reader::to(&third_key, 8, &[&alice]);
    for node in nodes {
        assert_eq!(paid(&reader, node), Answer::Count(3));
    }
    assert_eq!(follower_of(&first, &l1).set_head(l1.tip.hash).number, rollup.header.number);
}

/// The seed that a founder made: its entropy is repeatable.
pub fn founding_seed(network_key: &Bytes) -> MasterSeed {
    let device = TestDevice::new(1, 0);
    let found = (0..16).find_map(|_| {
        let seed = MasterSeed::new(Entropy(&device).secret());
        (EpochKeys::new(seed.duplicate()).network_public == *network_key).then_some(seed)
    });
    found.expect("the founder's entropy")
}

#[test]
fn whoever_was_removed_reads_nothing_that_comes_after() {
    let ([first, second, third], mut l1, alice, reader) = three();
    let nodes = [&first, &second, &third];
    pay(&reader, &first, &alice, 0);
    let before = publish(&first, &nodes, &mut l1);
    let stolen = founding_seed(&first.registration.network_key);
    assert!(payload::open(&before.payload, &stolen).is_ok());
    let machine = membership::machine_of(&second);
    let event = IAttestationVerifierEvents::MachineRemoved(MachineRemoved { machine });
    all_follow(&nodes, &mut l1, vec![attesting(event)]);
    let made = new_epoch(2, &first, &nodes, &mut l1);
    let given: Vec<Address> = made.shares.iter().map(|share| share.enclave).collect();
    assert!(!given.contains(&second.registration.enclave) && given.len() == 2);

    pay(&reader, &first, &alice, 1);
    let rollup = first.seal().unwrap();
    let candidate = second.ask(Request::Candidate(Box::new(rollup.clone())));
    assert_eq!(candidate.unwrap_err(), DoorError::Retry(Retry::Seed));
    let block = l1.publish(&rollup);
    let heads = nodes.map(|node| node.follow(&block));
    assert_eq!(heads[2].rollup, rollup.header.hash());
    assert_eq!((heads[1].rollup, heads[1].has_seed), (before.header.hash(), false));
    assert!(heads[1].duties.is_empty() && !heads[1].is_aggregator);
    assert!(payload::open(&rollup.payload, &stolen).is_err(), "its seed opens nothing new");
    // What it is asked, it cannot answer.
    let seedless = DoorError::Retry(Retry::Seed);
    let (_, envelope) = reader.seal(Query::Balance(alice.address(), At::Latest));
    for request in [
        Request::Envelope(envelope.into()),
        Request::Seal,
        Request::SeedShares,
        Request::OpenEpoch,
        Request::TakeTransactions,
    ] {
        assert_eq!(second.ask(request).unwrap_err(), seedless);
    }
    // Readmitted and attested, it is answered and reads all of it.
    let event = MachineReadmitted { machine };
    let event = IAttestationVerifierEvents::MachineReadmitted(event);
    let heads = all_follow(&nodes, &mut l1, vec![attesting(event)]);
    assert!(has(&heads[0], Duty::ShareSeed));
    be_answered(&[&first, &third], &mut l1, &second);
    assert_eq!(paid(&reader, &second), Answer::Count(2));
}

#[test]
fn a_member_left_out_asks_and_starts_over() {
    let ([first, second, third], mut l1, alice, reader) = three();
    let nodes = [&first, &second, &third];
    all_follow(&nodes, &mut l1, vec![epoch_begun(2, Address::ZERO)]);
    let mut made = opening(&first).unwrap();
    made.shares.retain(|share| share.enclave != third.registration.enclave);
    let heads = all_follow(&nodes, &mut l1, opened(&made));
    assert!(!heads[2].has_seed && heads[2].duties.is_empty());
    assert!(has(&heads[0], Duty::ShareSeed) && has(&heads[1], Duty::ShareSeed));
    pay(&reader, &first, &alice, 0);
    let rollup = first.seal().unwrap();
    let block = l1.publish(&rollup);
    nodes.iter().for_each(|node| drop(node.follow(&block)));
    let share = shares(&second).unwrap().remove(0);
    assert_eq!(share.answer.epoch, 2);
    let block = l1.block(vec![answered(&share)], vec![]);
    first.follow(&block);
    second.follow(&block);
    let folded = third.feed(&block).unwrap();
    assert!(folded.is_start_over && folded.identity.is_some());
    assert_eq!(third.catch_up(&l1).rollup, rollup.header.hash());
    assert_eq!(paid(&reader, &third), Answer::Count(1));
}

#[test]
fn a_bad_share_of_an_epoch_is_rejected() {
    let ([first, second, third], mut l1, _, _) = three();
    let nodes = [&first, &second, &third];
    all_follow(&nodes, &mut l1, vec![epoch_begun(2, Address::ZERO)]);
    let mut made = opening(&first).unwrap();
    let stolen = made.shares[0].encryptedSeed.clone();
    for share in &mut made.shares {
        if share.enclave == second.registration.enclave {
            share.encryptedSeed = stolen.clone();
        }
    }
    let heads = all_follow(&nodes, &mut l1, opened(&made));
    assert_eq!((heads[1].duties.clone(), heads[1].has_seed), (vec![Duty::RejectSeed], false));
    let Ok(Reply::SeedRejected(rejected)) = second.ask(Request::RejectSeed) else { panic!() };
    assert_eq!((rejected.responder, rejected.epoch), (first.registration.enclave, 2));
    let log = network_log(INetworkManagement::SeedRejected {
        enclave: rejected.enclave,
        responder: rejected.responder,
        epoch: 2,
    });
    let heads = all_follow(&nodes, &mut l1, vec![log]);
    assert!(!has(&heads[0], Duty::ShareSeed) && has(&heads[2], Duty::ShareSeed));
    be_answered(&[&third, &first], &mut l1, &second);
}

#[test]
fn a_reorganisation_across_an_opening_works_both_ways() {
    let ([first, second, third], mut l1, alice, reader) = three();
    let nodes = [&first, &second, &third];
    all_follow(&nodes, &mut l1, vec![epoch_begun(2, Address::ZERO)]);
    let mut fork = L1 { salt: 1, ..l1.clone() };
    let (of_first, of_second) = (opening(&first).unwrap(), opening(&second).unwrap());

    all_follow(&nodes, &mut l1, opened(&of_first));
    pay(&reader, &first, &alice, 0);
    let rollup = publish(&first, &nodes, &mut l1);
    // The other branch, where the second was taken.
    all_follow(&nodes, &mut fork, opened(&of_second));
    let heads = all_follow(&nodes, &mut fork, vec![]);
    for (node, head) in nodes.iter().zip(&heads) {
        assert!(head.has_seed && head.network_key == of_second.network_key);
        assert_eq!(paid(&reader, node), Answer::Count(0));
    }
    // What was orphaned waits again, and is read under the other seed.
    let other_rollup = publish(&first, &nodes, &mut fork);
    assert_eq!(other_rollup.header.number, rollup.header.number);
    for node in nodes {
        assert_eq!(paid(&reader, node), Answer::Count(1));
    }
    // And back.
    for _ in 0..3 {
        all_follow(&nodes, &mut l1, vec![]);
    }
    for node in nodes {
        let head = node.set_head(l1.tip.hash);
        assert_eq!((head.rollup, &head.network_key), (rollup.header.hash(), &of_first.network_key));
        assert_eq!(paid(&reader, node), Answer::Count(1));
    }
    pay(&reader, &second, &alice, 1);
    publish(&second, &nodes, &mut l1);
    // A life later it still reads both.
    let again = next_life(2, &second, TestStore::default());
    let head = again.catch_up(&fork);
    assert_eq!((head.rollup, head.has_seed), (other_rollup.header.hash(), true));
    assert_eq!(again.catch_up(&l1).rollup, second.set_head(l1.tip.hash).rollup);
}

#[test]
fn a_branch_that_left_a_node_out_is_left_again() {
    let ([first, second, third], mut l1, alice, reader) = three();
    let nodes = [&first, &second, &third];
    all_follow(&nodes, &mut l1, vec![epoch_begun(2, Address::ZERO)]);
    let mut fork = L1 { salt: 1, ..l1.clone() };
    let made = opening(&first).unwrap();
    let mut partial = made.clone();
    partial.shares.retain(|share| share.enclave != third.registration.enclave);
    // On one branch the third waits, on the other it was given the seed at once.
    let heads = all_follow(&nodes, &mut l1, opened(&partial));
    assert!(!heads[2].has_seed);
    pay(&reader, &first, &alice, 0);
    let block = l1.publish(&first.seal().unwrap());
    nodes.iter().for_each(|node| drop(node.follow(&block)));
    let unreadable = l1.tip.hash;
    let heads = all_follow(&nodes, &mut fork, opened(&made));
    assert!(heads.iter().all(|head| head.has_seed));
    // The first has taken its orphaned transaction back.
    let rollup = publish(&first, &nodes, &mut fork);
    assert_eq!(third.set_head(fork.tip.hash).rollup, rollup.header.hash());
    // The same seed stands on the branch that it could not read: it can now.
    all_follow(&nodes[..2], &mut l1, vec![]);
    let unread = third.ask(Request::SetHead(unreadable)).unwrap_err();
    assert!(matches!(unread, DoorError::Retry(Retry::L1Block(_))), "not from what it saw blindly");
    assert_eq!(third.catch_up(&l1).rollup, first.set_head(l1.tip.hash).rollup);
    assert_eq!(paid(&reader, &third), Answer::Count(1));
    assert!(!third.set_head(l1.tip.hash).is_aggregator, "a verifier");
}

#[test]
fn transactions_survive_a_branch_that_cannot_be_read() {
    let ([first, second, third], mut l1, alice, reader) = three();
    let nodes = [&first, &second, &third];
    all_follow(&nodes, &mut l1, vec![epoch_begun(2, Address::ZERO)]);
    let mut forks = [1, 2].map(|salt| L1 { salt, ..l1.clone() });
    pay(&reader, &second, &alice, 0);
    publish(&second, &nodes, &mut l1);
    // L1 turns to a branch where the second was left out, and on to one where it was not.
    let made = opening_at(&first, &mut forks[0].clone());
    let mut partial = made.clone();
    partial.shares.retain(|share| share.enclave != second.registration.enclave);
    assert!(!all_follow(&nodes, &mut forks[0], opened(&partial))[1].has_seed);
    assert!(all_follow(&nodes, &mut forks[1], opened(&made))[1].has_seed);
    let rollup = publish(&second, &nodes, &mut forks[1]);
    assert_eq!(rollup.header.gasUsed, 21_000);
}

/// The opening that a node makes at the tip of a branch.
fn opening_at(node: &Node, l1: &mut L1) -> EpochOpening {
    node.follow(&l1.block(vec![], vec![]));
    opening(node).unwrap()
}

#[test]
fn an_epoch_of_somebody_who_holds_no_seed_is_not_followed() {
    let ([first, second, third], mut l1, alice, reader) = three();
    let nodes = [&first, &second, &third];
    pay(&reader, &first, &alice, 0);
    // A forged L1, or a broken contract. Whoever makes a seed of their own does not know the first.
    let device = TestDevice::new(666, 0);
    let mut seeds = [(); 2].map(|()| MasterSeed::new(Entropy(&device).secret()));
    let network_key = EpochKeys::new(seeds[1].duplicate()).network_public;
    for known in [false, true] {
        let mut fork = L1 { salt: 1 + u64::from(known), ..l1.clone() };
        if known {
            seeds[0] = founding_seed(&first.registration.network_key);
        }
        let made = EpochOpening {
            epoch: 2,
            responder: third.registration.enclave,
            network_key: network_key.clone(),
            shares: vec![l1::EpochShare {
                enclave: first.registration.enclave,
                encryptedSeed: seed_theft::share_of(&seeds, &first, third.registration.enclave),
            }],
            signature: Bytes::new(),
            rank: 0,
            since: 0,
        };
        // Made by somebody who does know it, the same share is taken: a test of the test.
        let head = first.follow(&fork.block(opened(&made), vec![]));
        assert_eq!(head.has_seed, known);
        if !known {
            let seedless = DoorError::Retry(Retry::Seed);
            assert_eq!(first.ask(Request::TakeTransactions).unwrap_err(), seedless);
            assert_eq!(first.ask(Request::Seal).unwrap_err(), seedless);
        }
    }
    // The true L1 is as it was.
    all_follow(&nodes, &mut l1, vec![]);
    publish(&first, &nodes, &mut l1);
}

#[test]
fn whoever_opened_an_epoch_holds_its_seed_for_l1() {
    let ([first, second, third], mut l1, _, _) = three();
    let nodes = [&first, &second, &third];
    // A number that does not follow is nothing that anybody opens.
    let heads = all_follow(&nodes, &mut l1, vec![epoch_begun(3, Address::ZERO)]);
    assert!(heads.iter().all(|head| head.duties.is_empty()) && opening(&first).is_err());
    all_follow(&nodes, &mut l1, vec![epoch_begun(2, Address::ZERO)]);
    // A broken TEE leaves its own share out: L1 takes no answer for it, and no rejection.
    let mut made = opening(&first).unwrap();
    made.shares.retain(|share| share.enclave != first.registration.enclave);
    let heads = all_follow(&nodes, &mut l1, opened(&made));
    assert!(heads.iter().all(|head| head.duties.is_empty()));
    let held: Vec<bool> = heads.iter().map(|head| head.has_seed).collect();
    assert_eq!(held, [false, true, true]);
    assert_eq!(shares(&second), Ok(vec![]));
    let refused = DoorError::Rejected("there is no share to reject".into());
    assert_eq!(first.ask(Request::RejectSeed).unwrap_err(), refused);
}

#[test]
fn a_restart_with_a_snapshot_reads_across_epochs() {
    let (first, mut l1, alice) = network();
    let second = join(&[&first], &mut l1, TestDevice::new(2, 0), 1_000);
    let nodes = [&first, &second];
    let reader = Reader::new(&first, 7, &[&alice]);
    let mut nonce = 0;
    let mut positions = Vec::new();
    // Snapshots come at blocks 128 and 192, of views before and after the epoch.
    for number in [40, 60, 90, 120, 130, 180, 195] {
        while l1.tip.number < number {
            all_follow(&nodes, &mut l1, vec![]);
        }
        if number == 90 {
            new_epoch(2, &first, &nodes, &mut l1);
        }
        pay(&reader, &first, &alice, nonce);
        let rollup = publish(&first, &nodes, &mut l1);
        nonce += 1;
        if number < 130 {
            continue;
        }
        for (seed, node) in [(1, &first), (2, &second)] {
            let again = next_life(seed, node, node.store.clone());
            let position = again.position.number;
            assert!(position > config().checkpoint.number, "at {number}");
            positions.push(position);
            for block in l1.blocks.iter().skip((position - config().checkpoint.number) as usize) {
                assert!(!again.feed(block).unwrap().is_start_over);
            }
            assert_eq!(again.set_head(l1.tip.hash).rollup, rollup.header.hash());
            assert_eq!(paid(&reader, &again), Answer::Count(nonce));
        }
    }
    assert!(positions[0] <= 64 && *positions.last().unwrap() > 90, "{positions:?}");
}

#[test]
fn a_newcomer_gets_all_seeds_and_replays_everything() {
    let ([first, second, third], mut l1, alice, mut reader) = three();
    let nodes = [&first, &second, &third];
    for (opener, nonce) in [(&first, 0), (&second, 1)] {
        let epoch = 2 + nonce as u32;
        pay(&reader, &first, &alice, nonce);
        publish(&first, &nodes, &mut l1);
        let made = new_epoch(epoch, opener, &nodes, &mut l1);
        reader = Reader::to(&made.network_key, 8, &[&alice]);
    }
    pay(&reader, &first, &alice, 2);
    let rollup = publish(&first, &nodes, &mut l1);
    let fourth = join(&nodes, &mut l1, TestDevice::new(4, 0), 1_000);
    let head = fourth.set_head(l1.tip.hash);
    assert_eq!((head.rollup, head.is_aggregator), (rollup.header.hash(), true));
    assert_eq!(paid(&reader, &fourth), Answer::Count(3));
    let all = [&first, &second, &third, &fourth];
    pay(&reader, &fourth, &alice, 3);
    publish(&fourth, &all, &mut l1);
    // An answer with the seeds of an earlier epoch alone is none.
    let fifth = Node::start_on(TestDevice::new(5, 0), config(), &l1.tip, false);
    let enclave = fifth.registration.enclave;
    let logs = vec![
        platform(&fifth.registration.certificates),
        registering(&fifth.registration, 0, &l1.tip),
    ];
    all_follow(&all, &mut l1, logs);
    let late = shares(&first).unwrap().remove(0);
    all_follow(&all, &mut l1, vec![epoch_begun(4, Address::ZERO)]);
    let mut made = opening(&first).unwrap();
    made.shares.retain(|share| share.enclave != enclave);
    all_follow(&all, &mut l1, opened(&made));
    all_follow(&all, &mut l1, vec![answered(&late)]);
    let head = fifth.catch_up(&l1);
    assert_eq!((head.has_seed, head.duties), (false, vec![]), "it waits for the current one");
    be_answered(&all, &mut l1, &fifth);
}

#[test]
fn seeds_of_abandoned_branches_make_room() {
    use obscuro_enclave::identity::Identity;
    let device = TestDevice::new(1, 0);
    let mut identity = Identity::generate(&device);
    let mut network = vec![MasterSeed::new(Entropy(&device).secret())];
    for _ in 0..2 * EPOCHS_MAX + 5 {
        network.truncate(1);
        network.push(MasterSeed::new(Entropy(&device).secret()));
        identity.adopt(network.iter().map(MasterSeed::duplicate).collect());
        assert!(identity.seeds().len() <= 2 * EPOCHS_MAX);
        let sealed = identity.seal(&device, config().hash());
        let read = Identity::unseal(&device, config().hash(), &sealed).expect("it fits");
        for seed in &network {
            let is_held = |held: &MasterSeed| held.secret().expose() == seed.secret().expose();
            assert!(read.seeds().iter().any(is_held));
        }
    }
}

#[test]
fn epochs_end_where_their_seeds_fill_a_share() {
    let (node, mut l1, alice) = network();
    for epoch in 2..=EPOCHS_MAX as u32 {
        assert_eq!(new_epoch(epoch, &node, &[&node], &mut l1).epoch, epoch);
    }
    let next = EPOCHS_MAX as u32 + 1;
    let head = node.follow(&l1.block(vec![epoch_begun(next, Address::ZERO)], vec![]));
    assert!(head.duties.is_empty() && opening(&node).is_err());
    // A newcomer's share still fits what L1 takes, and the founder starts again from all of them.
    let second = join(&[&node], &mut l1, TestDevice::new(2, 0), 0);
    let head = second.set_head(l1.tip.hash);
    let sealed = node.kept.lock().unwrap().identity.clone();
    let again = Node::restart(1, TestStore::default(), sealed);
    let now = again.catch_up(&l1);
    assert_eq!((now.rollup, now.network_key.clone()), (head.rollup, head.network_key));
    let reader = Reader::to(&now.network_key, 7, &[&alice]);
    assert_eq!(paid(&reader, &again), Answer::Count(0));
}
