//! Staying a member: attesting again, upgrades of the program (protocol 11.3), leaving.

use crate::*;
use alloy_primitives::U256;
use obscuro_enclave::device::Device;
use obscuro_protocol::l1::IAttestationVerifier::{MachineRemoved, MeasurementApproved};
use obscuro_software_tee::SoftwareDevice;

/// Lifetime of attestations in these tests, in L1 blocks.
const LIFETIME: u64 = 20;

/// Two aggregators and the lifetime; the second attested at the block that is returned.
fn pair() -> (Node, Node, L1, User, u64) {
    let (first, mut l1, alice) = network();
    let attested = l1.tip.number;
    let second = join(&[&first], &mut l1, TestDevice::new(2, 0), 1_000);
    let policy = new_policy(|policy| policy.attestationLifetimeBlocks = LIFETIME as u32);
    let fresh = reattested(&first, &l1);
    all_follow(&[&first, &second], &mut l1, vec![policy, fresh]);
    (first, second, l1, alice, attested)
}

/// Lets blocks pass up to one.
fn pass_until(nodes: &[&Node], l1: &mut L1, block: u64) -> Vec<Head> {
    let mut heads = Vec::new();
    while l1.tip.number < block {
        heads = all_follow(nodes, l1, vec![]);
    }
    heads
}

#[test]
fn attestations_lapse_and_are_renewed() {
    let (first, second, mut l1, alice, attested) = pair();
    let nodes = [&first, &second];
    let heads = pass_until(&nodes, &mut l1, attested + LIFETIME / 2);
    assert!(!has(&heads[1], Duty::Attest), "half of the lifetime");
    let heads = pass_until(&nodes, &mut l1, attested + LIFETIME / 2 + 1);
    assert!(has(&heads[1], Duty::Attest));
    // In time.
    let log = reattested(&second, &l1);
    let attested = l1.tip.number;
    let heads = all_follow(&nodes, &mut l1, vec![log]);
    assert!(!has(&heads[1], Duty::Attest));

    // The first renews, the second does not: it counts until the last block of its lifetime.
    let log = reattested(&first, &l1);
    all_follow(&nodes, &mut l1, vec![log]);
    let heads = pass_until(&nodes, &mut l1, attested + LIFETIME);
    assert!(heads[1].is_aggregator && is_peer(&heads[0], &second));
    let reader = Reader::new(&first, 7, &[&alice]);
    let waiting = Node::start_on(TestDevice::new(3, 0), config(), &l1.tip, false);
    let named = l1.tip.clone();
    let logs = vec![
        platform(&waiting.registration.certificates),
        registering(&waiting.registration, 0, &named),
    ];
    let heads = all_follow(&nodes, &mut l1, logs);
    assert!(!heads[1].is_aggregator && heads[1].has_seed && !is_peer(&heads[0], &second));
    assert_eq!(heads[1].duties, [Duty::Attest]);
    let refused = DoorError::Rejected("this enclave may not answer registrations".into());
    assert_eq!(shares(&second), Err(refused));
    pay(&reader, &first, &alice, 0);
    let Ok(Reply::Transactions(sealed)) = first.ask(Request::TakeTransactions) else { panic!() };
    second.ask(Request::PeerTransactions(sealed)).unwrap();
    assert_eq!(second.seal(), None);
    // The contract does the same at the same blocks; a rollup that it let through is none.
    let rollup = publish(&first, &nodes, &mut l1);

    // Any time later it comes back.
    let log = reattested(&second, &l1);
    let heads = all_follow(&nodes, &mut l1, vec![log]);
    assert!(heads[1].is_aggregator && is_peer(&heads[0], &second));
    assert_eq!(heads[1].duties, [Duty::ShareSeed]);
    assert_eq!(heads[1].rollup, rollup.header.hash());
    assert_eq!(shares(&second).unwrap().len(), 1);
}

#[test]
fn whoever_lapsed_while_an_epoch_was_opened_catches_up() {
    let (first, second, mut l1, alice, attested) = pair();
    let nodes = [&first, &second];
    pass_until(&nodes, &mut l1, attested + LIFETIME / 2);
    let log = reattested(&first, &l1);
    all_follow(&nodes, &mut l1, vec![log]);
    pass_until(&nodes, &mut l1, attested + LIFETIME + 1);
    all_follow(&nodes, &mut l1, vec![epoch_begun(2, Address::ZERO)]);
    let made = opening(&first).unwrap();
    assert_eq!(made.shares.len(), 1);
    let heads = all_follow(&nodes, &mut l1, opened(&made));
    assert_eq!((heads[1].has_seed, heads[1].duties.clone()), (false, vec![Duty::Attest]));
    let reader = Reader::to(&made.network_key, 8, &[&alice]);
    pay(&reader, &first, &alice, 0);
    let block = l1.publish(&first.seal().unwrap());
    nodes.iter().for_each(|node| drop(node.follow(&block)));
    // Its next life knows as little, whatever it was given before.
    let second = next_life(2, &second, second.store.clone());
    assert_eq!(second.catch_up(&l1), Head { forget: vec![], ..second.set_head(l1.tip.hash) });
    let log = reattested(&second, &l1);
    assert!(has(&first.follow(&l1.block(vec![log], vec![])), Duty::ShareSeed));
    be_answered(&[&first], &mut l1, &second);
    assert!(second.set_head(l1.tip.hash).is_aggregator);
    assert_eq!(paid(&reader, &second), Answer::Count(1));
}

#[test]
fn a_quote_that_enclaves_refuse_proves_nothing_and_takes_nothing() {
    let (first, second, mut l1, _, _) = pair();
    let nodes = [&first, &second];
    let foreign = {
        let Ok(Reply::Attestation(of_first)) = first.ask(Request::Attest) else { panic!() };
        network_log(INetworkManagement::NodeReattested {
            enclave: second.registration.enclave,
            quote: of_first.quote,
            keysHash: of_first.keys_hash,
            l1Block: l1.tip.number,
            l1BlockHash: l1.tip.hash,
        })
    };
    let heads = all_follow(&nodes, &mut l1, vec![foreign]);
    assert!(heads[1].is_aggregator && is_peer(&heads[0], &second));
    assert_eq!(heads[1].duties, []);
}

#[test]
fn an_enclave_says_what_is_wrong_with_its_own_quote() {
    let (first, _, mut l1, _, _) = pair();
    let refused = || match first.ask(Request::Attest) {
        Ok(Reply::Attestation(made)) => made.refused,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(), None);
    let program = SoftwareDevice::program_measurement();
    let machine = machine_of(&first);
    let removed = IAttestationVerifierEvents::MachineRemoved(MachineRemoved { machine });
    for (case, wrong) in [
        ("evaluation", new_policy(|policy| policy.minimumTcbEvaluation = 1_000)),
        // From the next block on, where the quote would be judged.
        ("measurement", approved(program, 0, l1.tip.number + 2)),
        ("removed", attesting(removed)),
    ] {
        let mut branch = L1 { salt: case.len() as u64, ..l1.clone() };
        first.follow(&branch.block(vec![wrong], vec![]));
        let reason = refused().expect(case);
        assert!(reason.contains(case), "{case}: {reason}");
    }
    first.follow(&l1.block(vec![], vec![]));
    assert_eq!(refused(), None);
}

#[test]
fn an_enclave_attests_for_the_registration_that_l1_holds() {
    let (first, mut l1, _) = network();
    let second = Node::start(2, false);
    second.catch_up(&l1);
    assert_eq!(
        second.ask(Request::Attest).unwrap_err(),
        DoorError::Rejected("not registered on L1".into())
    );
    // A registration too old to count is renewed like any other, and then answered.
    let policy = new_policy(|policy| policy.attestationLifetimeBlocks = LIFETIME as u32);
    let mut logs = registered(&second.registration, 0);
    logs.push(policy);
    let block = l1.block(logs, vec![]);
    first.follow(&block);
    pass_until(&[&first], &mut l1, config().checkpoint.number + LIFETIME + 1);
    assert_eq!(second.catch_up(&l1).duties, [Duty::Attest]);
    let logs = vec![reattested(&first, &l1), reattested(&second, &l1)];
    first.follow(&l1.block(logs, vec![]));
    be_answered(&[&first], &mut l1, &second);
}

fn approved(measurement: B256, activation_block: u64, sunset_block: u64) -> Log {
    attesting(IAttestationVerifierEvents::MeasurementApproved(MeasurementApproved {
        measurement,
        activationBlock: activation_block,
        sunsetBlock: sunset_block,
    }))
}

#[test]
fn old_and_new_programs_run_side_by_side_until_the_sunset() {
    let (first, mut l1, alice) = network();
    let reader = Reader::new(&first, 7, &[&alice]);
    pay(&reader, &first, &alice, 0);
    round(&first, &mut l1);
    let (old, new) = (SoftwareDevice::program_measurement(), other(0xb));
    let activation = l1.tip.number + 5;
    // Too early: refused, and not admitted later without another quote.
    let device = TestDevice::new(2, 0).with_measurement(new);
    let second = Node::start_on(device, config(), &l1.tip, false);
    let named = l1.tip.clone();
    let logs = vec![
        approved(new, activation, 0),
        platform(&second.registration.certificates),
        registering(&second.registration, 1_000, &named),
    ];
    assert!(first.follow(&l1.block(logs, vec![])).duties.is_empty());
    let heads = pass_until(&[&first], &mut l1, activation);
    assert!(heads[0].duties.is_empty());
    second.catch_up(&l1);
    let log = reattested(&second, &l1);
    assert_eq!(first.follow(&l1.block(vec![log], vec![])).duties, [Duty::ShareSeed]);
    be_answered(&[&first], &mut l1, &second);

    // Both publish, and state carries over.
    let nodes = [&first, &second];
    pay(&reader, &first, &alice, 1);
    publish(&first, &nodes, &mut l1);
    pay(&reader, &second, &alice, 2);
    let rollup = publish(&second, &nodes, &mut l1);
    assert_eq!(paid(&reader, &first), Answer::Count(3));
    assert_eq!(paid(&reader, &second), Answer::Count(3));

    // The sunset of the old one.
    let sunset = l1.tip.number + 3;
    all_follow(&nodes, &mut l1, vec![approved(old, 0, sunset)]);
    let heads = pass_until(&nodes, &mut l1, sunset - 1);
    assert!(heads[0].is_aggregator && is_peer(&heads[1], &first));
    let third =
        Node::start_on(TestDevice::new(3, 0).with_measurement(new), config(), &l1.tip, false);
    let named = l1.tip.clone();
    let logs = vec![
        platform(&third.registration.certificates),
        registering(&third.registration, 1_000, &named),
        epoch_begun(2, Address::ZERO),
    ];
    let heads = all_follow(&nodes, &mut l1, logs);
    assert_eq!(l1.tip.number, sunset);
    assert!(!heads[0].is_aggregator && !is_peer(&heads[1], &first));
    assert_eq!(heads[0].duties, [], "it neither answers nor opens epochs");
    assert!(shares(&first).is_err() && opening(&first).is_err());
    let Ok(Reply::Head(head)) = first.ask(Request::SetHead(l1.tip.hash)) else { panic!() };
    assert_eq!(head.rollup, rollup.header.hash(), "but it follows");
    assert_eq!(first.seal(), None);
    assert_eq!(heads[1].duties, [Duty::ShareSeed, Duty::OpenEpoch]);
    be_answered(&nodes[1..], &mut l1, &third);
    pay(&reader, &third, &alice, 3);
    publish(&third, &[&second, &third], &mut l1);
    assert_eq!(paid(&reader, &second), Answer::Count(4));
}

#[test]
fn whoever_left_or_was_slashed_or_removed_does_not_count() {
    let leave = |node: &Node| {
        network_log(INetworkManagement::NodeLeft { enclave: node.registration.enclave })
    };
    let (first, second, mut l1, alice, _) = pair();
    let nodes = [&first, &second];
    let reader = Reader::new(&first, 7, &[&alice]);
    let waiting = Node::start_on(TestDevice::new(3, 0), config(), &l1.tip, false);
    let named = l1.tip.clone();
    let logs = vec![
        platform(&waiting.registration.certificates),
        registering(&waiting.registration, 1_000, &named),
        epoch_begun(2, Address::ZERO),
    ];
    let heads = all_follow(&nodes, &mut l1, logs);
    assert_eq!(heads[1].duties, [Duty::ShareSeed, Duty::OpenEpoch]);
    let fresh = reattested(&second, &l1);
    // One that waits leaves, and one that answers is slashed.
    let slashed = network_log(INetworkManagement::NodeSlashed {
        enclave: second.registration.enclave,
        accuser: Address::ZERO,
        amount: U256::ZERO,
        reward: U256::ZERO,
    });
    let heads = all_follow(&nodes, &mut l1, vec![leave(&waiting), slashed]);
    assert_eq!(heads[0].duties, [Duty::OpenEpoch]);
    assert!(!is_peer(&heads[0], &second));
    assert_eq!(shares(&first), Ok(vec![]));
    assert!(heads[1].is_registered && !heads[1].is_aggregator && heads[1].duties.is_empty());
    assert!(shares(&second).is_err() && opening(&second).is_err());
    pay(&reader, &first, &alice, 0);
    publish(&first, &nodes, &mut l1);
    assert_eq!(second.seal(), None);
    // A fresh quote of its does not bring it back.
    let heads = all_follow(&nodes, &mut l1, vec![fresh]);
    assert!(heads[1].duties.is_empty() && !is_peer(&heads[0], &second));

    // The owner removes the first's machine: nobody is left, and readmits it.
    let machine = machine_of(&first);
    let event = IAttestationVerifierEvents::MachineRemoved(MachineRemoved { machine });
    let heads = all_follow(&nodes, &mut l1, vec![attesting(event)]);
    assert!(!heads[0].is_aggregator && heads[0].duties.is_empty());
    assert!(shares(&first).is_err() && opening(&first).is_err());
}

/// How L1 names the machine that an enclave runs on.
pub fn machine_of(node: &Node) -> B256 {
    let certificate = &node.registration.certificates[0];
    let machines = (1..10).map(|seed| TestDevice::new(seed, 0));
    let mut made =
        machines.filter(|device| device.quote(B256::ZERO).unwrap().certificates[0] == *certificate);
    made.next().expect("a machine of these tests").machine()
}
