//! The network loses nodes and disks (protocol 3.7): as long as one enclave can recreate its keys and
//! L1 is there, everything is recoverable.

use crate::*;

/// Two aggregators and a verifier, with a state.
fn three() -> (Vec<Node>, L1, User, Reader) {
    let (first, mut l1, alice) = network();
    let second = join(&[&first], &mut l1, TestDevice::new(2, 0), 1_000);
    let third = join(&[&first, &second], &mut l1, TestDevice::new(3, 0), 0);
    let reader = Reader::new(&first, 7, &[&alice]);
    pay(&reader, &first, &alice, 0);
    publish(&first, &[&first, &second, &third], &mut l1);
    (vec![first, second, third], l1, alice, reader)
}

#[test]
fn all_stop_and_one_returns_long_after() {
    let (nodes, mut l1, alice, reader) = three();
    let policy = new_policy(|policy| policy.attestationLifetimeBlocks = 20);
    let before = all_follow(&nodes.iter().collect::<Vec<_>>(), &mut l1, vec![policy]);
    // Nobody attests meanwhile: all lapse. L1 goes on, and somebody makes a deposit.
    let obx = config().contracts.obscuroToken;
    l1.block(vec![deposited(1, obx, alice.address(), OBX)], vec![]);
    for _ in 0..40 {
        l1.block(vec![], vec![]);
    }
    let store = nodes[1].store.clone();
    let returned = next_life(2, &nodes[1], store);
    drop(nodes);
    let head = returned.catch_up(&l1);
    assert_eq!((head.rollup, head.has_seed), (before[1].rollup, true));
    assert!(!head.is_aggregator && head.duties == [Duty::Attest]);
    let log = reattested(&returned, &l1);
    assert!(returned.follow(&l1.block(vec![log], vec![])).is_aggregator);
    // The deposit, and then users.
    publish(&returned, &[&returned], &mut l1);
    pay(&reader, &returned, &alice, 1);
    publish(&returned, &[&returned], &mut l1);
    assert_eq!(paid(&reader, &returned), Answer::Count(2));
}

#[test]
fn the_last_sealed_copy_and_l1_restore_everything() {
    let (nodes, mut l1, alice, reader) = three();
    let head = nodes[2].set_head(l1.tip.hash);
    // Every disk is lost but the verifier's identity: no store, no snapshot.
    let sealed = nodes[2].kept.lock().unwrap().identity.clone();
    drop(nodes);
    let last = Node::restart(3, TestStore::default(), sealed);
    let now = last.catch_up(&l1);
    assert_eq!((now.rollup, now.number, now.has_seed), (head.rollup, head.number, true));
    assert_eq!(paid(&reader, &last), Answer::Count(1));
    // A verifier publishes nothing, but it answers: the machines that lost their disks come back with
    // new keys, as if they were new.
    let first = Node::start_on(TestDevice::new(1, 5_000), config(), &l1.tip, false);
    let logs = vec![registering(&first.registration, 1_000, &l1.tip)];
    assert_eq!(last.follow(&l1.block(logs, vec![])).duties, [Duty::ShareSeed]);
    be_answered(&[&last], &mut l1, &first);
    pay(&reader, &first, &alice, 1);
    publish(&first, &[&first, &last], &mut l1);
    assert_eq!(paid(&reader, &last), Answer::Count(2));
}

#[test]
fn the_founders_keys_alone_bring_the_seed_back() {
    let (nodes, l1, _, reader) = three();
    // As sealed before anything was on L1, and without the seed that it made: L1 holds it.
    let head = nodes[0].set_head(l1.tip.hash);
    let sealed = nodes[0].registration.identity.clone();
    let again = Node::restart(1, TestStore::default(), Some(sealed));
    assert_eq!(again.catch_up(&l1).rollup, head.rollup);
    assert_eq!(paid(&reader, &again), Answer::Count(1));
}
