//! A malicious host tries to get the seed, or to have its enclave take another. Each attempt fails
//! with a named error, or has no effect.

use crate::*;
use obscuro_enclave::{Enclave, device::Entropy};
use obscuro_protocol::{
    config::{L1BlockId, NetworkConfig},
    door::{self, L1Block, Retry, SeedRejected},
    envelope,
    keys::{self, MasterSeed},
    l1::{SeedAnswer, SeedRejection},
};

/// A second aggregator of a network.
fn pair() -> (Node, Node, L1, User) {
    let (first, mut l1, alice) = network();
    let second = join(&[&first], &mut l1, TestDevice::new(2, 0), 1_000);
    (first, second, l1, alice)
}

fn rejection(node: &Node) -> Result<SeedRejected, DoorError> {
    match node.ask(Request::RejectSeed)? {
        Reply::SeedRejected(rejected) => Ok(rejected),
        other => panic!("{other:?}"),
    }
}

fn rejected(made: &SeedRejected) -> Log {
    let SeedRejected { enclave, responder, epoch, .. } = *made;
    network_log(INetworkManagement::SeedRejected { enclave, responder, epoch })
}

/// The log of a newcomer's registration over the checkpoint.
fn newcomer(seed: u64) -> (Node, Vec<Log>) {
    let node = Node::start(seed, false);
    let logs = registered(&node.registration, 1_000);
    (node, logs)
}

#[test]
fn a_registration_that_l1_does_not_hold_is_none() {
    let (node, mut l1, _) = network();
    let (_, logs) = newcomer(2);
    let forged = l1.clone().block(logs.clone(), vec![]);
    let genuine = l1.clone().block(vec![], vec![]);
    let off_chain = {
        let mut off = L1 { salt: 9, ..L1::new() };
        off.tip = L1BlockId { hash: other(9), ..l1.tip.clone() };
        off.block(logs, vec![])
    };
    let wrong_root = DoorError::Rejected("receipts do not match the header's receipts root".into());
    let cases = [
        (L1Block { header: genuine.header, ..forged.clone() }, wrong_root),
        (L1Block { receipts: None, ..forged }, DoorError::Retry(Retry::Receipts)),
        (off_chain, DoorError::Retry(Retry::L1Block(other(9)))),
    ];
    for (block, expected) in cases {
        assert_eq!(node.feed(&block).unwrap_err(), expected);
        assert_eq!(shares(&node), Ok(vec![]));
    }
    let head = node.follow(&l1.block(vec![], vec![]));
    assert!(head.duties.is_empty());
}

#[test]
fn a_changed_configuration_is_another_network() {
    let (node, mut l1, _) = network();
    let changed = NetworkConfig { gasLimit: 1_000_000, ..config() };
    let device = TestDevice::new(2, 0);
    let second = Node::start_on(device, changed, &config().checkpoint, false);
    let logs = registered(&second.registration, 1_000);
    assert!(node.follow(&l1.block(logs, vec![])).duties.is_empty());
    assert_eq!(shares(&node), Ok(vec![]));
    // What was sealed under one configuration is not read under another.
    let before = second.registration.enclave;
    let again = Enclave::new(TestDevice::new(2, 9));
    let start = Request::Start {
        config: Box::new(config()),
        identity: Some(second.registration.identity.clone()),
        snapshot: None,
    };
    let reply = again.handle(&door::encode(&start), &TestStore::default());
    let Ok(Reply::Started(started)) = door::decode(&reply) else { panic!() };
    assert!(started.enclave != before && !started.has_seed);
    // And nobody changes it under a running enclave.
    let start = Request::Start { config: Box::new(config()), identity: None, snapshot: None };
    assert_eq!(
        node.ask(start).unwrap_err(),
        DoorError::Rejected("the enclave is already started".into())
    );
}

#[test]
fn ciphertexts_open_for_whom_and_from_whom_they_are() {
    let (first, second, mut l1, _) = pair();
    let nodes = [&first, &second];
    let (third, fourth) = (newcomer(3), newcomer(4));
    all_follow(&nodes, &mut l1, [third.1, fourth.1].concat());
    let (third, fourth) = (third.0, fourth.0);
    let share = |by: &Node, to: &Node| {
        let of = |share: &&SeedShare| share.answer.enclave == to.registration.enclave;
        shares(by).unwrap().iter().find(of).unwrap().answer.clone()
    };
    let (from, to) = (first.registration.enclave, third.registration.enclave);
    let cases = [
        ("for another", share(&first, &fourth).encryptedSeed, from),
        ("from another", share(&second, &third).encryptedSeed, from),
        ("empty", Bytes::new(), from),
        ("garbled", [&share(&first, &third).encryptedSeed[..], &[0]].concat().into(), from),
    ];
    for (case, encrypted, from) in cases {
        let mut branch = l1.clone();
        branch.block(vec![shared(to, from, 1, encrypted)], vec![]);
        let third = Node::start(3, false);
        let head = third.catch_up(&branch);
        assert!(!head.has_seed && head.duties == [Duty::RejectSeed], "a ciphertext {case}");
        let asked = third.ask(Request::Seal).unwrap_err();
        assert_eq!(asked, DoorError::Retry(Retry::Seed), "a ciphertext {case}");
    }
    // As if it had made the seed: nothing that L1 says of a newcomer.
    let mut branch = l1.clone();
    branch.block(vec![shared(to, to, 1, share(&first, &third).encryptedSeed)], vec![]);
    let head = Node::start(3, false).catch_up(&branch);
    assert!(!head.has_seed && head.duties.is_empty());
    all_follow(&nodes, &mut l1, vec![answered_as(share(&first, &third))]);
    assert!(third.catch_up(&l1).has_seed);
}

fn answered_as(answer: SeedAnswer) -> Log {
    shared(answer.enclave, answer.responder, answer.epoch, answer.encryptedSeed)
}

#[test]
fn an_answer_to_a_lost_key_is_lost() {
    let (first, mut l1, _) = network();
    let (lost, logs) = newcomer(2);
    first.follow(&l1.block(logs, vec![]));
    let share = shares(&first).unwrap().remove(0);
    // The machine has lost its disk, and its enclave has made other keys.
    let again = Node::start_on(TestDevice::new(2, 500), config(), &l1.tip, false);
    assert_ne!(again.registration.enclave, lost.registration.enclave);
    let logs = vec![registering(&again.registration, 0, &l1.tip)];
    first.follow(&l1.block(logs, vec![]));
    let encrypted = share.answer.encryptedSeed.clone();
    let from = first.registration.enclave;
    let replayed = vec![answered(&share), shared(again.registration.enclave, from, 1, encrypted)];
    first.follow(&l1.block(replayed, vec![]));
    let head = again.catch_up(&l1);
    assert!(!head.has_seed && head.duties == [Duty::RejectSeed]);
}

#[test]
fn a_seed_of_the_hosts_making_is_rejected_and_the_right_one_awaited() {
    let (first, second, mut l1, alice) = pair();
    let nodes = [&first, &second];
    let reader = Reader::new(&first, 7, &[&alice]);
    pay(&reader, &first, &alice, 0);
    publish(&first, &nodes, &mut l1);

    let (third, logs) = newcomer(3);
    all_follow(&nodes, &mut l1, logs);
    let no_share = DoorError::Rejected("there is no share to reject".into());
    third.catch_up(&l1);
    assert_eq!(rejection(&third), Err(no_share.clone()));
    // A broken TEE signs a share of a seed of its own: well formed, by the right one, for the right
    // one.
    let (from, to) = (first.registration.enclave, third.registration.enclave);
    let fake = fake_share(&third, from);
    all_follow(&nodes, &mut l1, vec![shared(to, from, 1, fake.clone())]);
    let head = third.catch_up(&l1);
    assert!(!head.has_seed && !head.is_aggregator && head.duties == [Duty::RejectSeed]);
    let made = rejection(&third).unwrap();
    assert_eq!((made.enclave, made.responder, made.epoch), (to, from, 1));
    let signed = SeedRejection { enclave: to, responder: from, epoch: 1 };
    assert_eq!(signer(&signed, &made.signature), Some(to));

    let heads = all_follow(&nodes, &mut l1, vec![rejected(&made)]);
    assert_eq!(third.catch_up(&l1).duties, []);
    assert_eq!(rejection(&third), Err(no_share));
    assert!(!has(&heads[0], Duty::ShareSeed), "L1 would not take its share");
    assert_eq!(shares(&first), Ok(vec![]));
    assert!(has(&heads[1], Duty::ShareSeed));
    let share = shares(&second).unwrap().remove(0);
    assert_eq!(share.waits_since, l1.tip.number);
    all_follow(&nodes, &mut l1, vec![answered(&share)]);
    let head = third.catch_up(&l1);
    assert!(head.has_seed && head.is_aggregator && head.duties.is_empty());
    assert_eq!(paid(&reader, &third), Answer::Count(1));
    assert_eq!(rejection(&third), Err(DoorError::Rejected("the seed is the network's".into())));
    // Too late: nothing takes the place of the right one.
    all_follow(&nodes, &mut l1, vec![shared(to, from, 1, fake)]);
    assert!(third.catch_up(&l1).has_seed);
}

/// A share of another network's seed for `to`, which says that it is from `from`.
fn fake_share(to: &Node, from: Address) -> Bytes {
    share_of(&[MasterSeed::new(Entropy(&TestDevice::new(666, 0)).secret())], to, from)
}

/// A share of these seeds as anybody can make it.
pub fn share_of(seeds: &[MasterSeed], to: &Node, from: Address) -> Bytes {
    let device = TestDevice::new(667, 0);
    let config = config();
    let context = [
        &config.l1ChainId.to_be_bytes()[..],
        config.contracts.networkManagement.as_slice(),
        from.as_slice(),
        to.registration.enclave.as_slice(),
        &(seeds.len() as u64).to_be_bytes(),
    ]
    .concat();
    let key = keys::kem_public_key(&to.registration.encryption_key).unwrap();
    let plain: Vec<u8> = seeds.iter().flat_map(|seed| *seed.secret().expose()).collect();
    let sealed = envelope::seal_to(&key, &context, &plain, &mut Entropy(&device));
    sealed.unwrap().into()
}

#[test]
fn a_network_of_the_hosts_making_is_another_one() {
    let (first, mut l1, alice) = network();
    let second = join(&[&first], &mut l1, TestDevice::new(2, 0), 1_000);
    // On a branch of its own the host's enclave founds a network and takes the second node in. The
    // second follows, and what it knows stays behind.
    let mut forged = L1 { salt: 9, ..L1::new() };
    let impostor = Node::start(3, true);
    let mut logs = registered(&impostor.registration, 1_000);
    logs.push(registering(&second.registration, 1_000, &config().checkpoint));
    impostor.follow(&forged.block(logs, vec![]));
    let head = second.catch_up(&forged);
    assert!(!head.has_seed);
    assert_eq!(second.ask(Request::Seal).unwrap_err(), DoorError::Retry(Retry::Seed));
    // Back on the true one it takes the seed from L1 again.
    let head = second.catch_up(&l1);
    assert!(head.has_seed && head.is_aggregator);
    let reader = Reader::new(&first, 7, &[&alice]);
    assert_eq!(paid(&reader, &second), paid(&reader, &first));
}

#[test]
fn an_old_sealed_identity_is_harmless() {
    let (first, second, l1, alice) = pair();
    let head = second.set_head(l1.tip.hash);
    // From before the seed came: the host brings it back.
    let sealed = second.registration.identity.clone();
    let old = Node::restart(2, TestStore::default(), Some(sealed));
    let now = old.catch_up(&l1);
    assert_eq!((now.has_seed, now.rollup), (true, head.rollup));
    let reader = Reader::new(&first, 7, &[&alice]);
    assert_eq!(paid(&reader, &old), paid(&reader, &first));
    // Another program on the same machine cannot open it, nor can another machine.
    let elsewhere = [TestDevice::new(2, 50).with_measurement(other(9)), TestDevice::new(9, 0)];
    for device in elsewhere {
        let enclave = Enclave::new(device);
        let start = Request::Start {
            config: Box::new(config()),
            identity: second.kept.lock().unwrap().identity.clone(),
            snapshot: None,
        };
        let reply = enclave.handle(&door::encode(&start), &TestStore::default());
        let Ok(Reply::Started(started)) = door::decode(&reply) else { panic!() };
        assert!(!started.has_seed && started.enclave != second.registration.enclave);
    }
}

#[test]
fn a_network_is_founded_once() {
    let (first, mut l1, _) = network();
    let (second, logs) = newcomer(2);
    first.follow(&l1.block(logs, vec![]));
    second.catch_up(&l1);
    let found = |node: &Node| {
        let l1_block = l1.tip.clone();
        node.ask(Request::Register { owner: OWNER, l1_block, genesis: true }).err()
    };
    let expected = DoorError::Rejected("the network is founded".into());
    for node in [&first, &second] {
        let before = node.set_head(l1.tip.hash);
        assert_eq!(found(node).as_ref(), Some(&expected));
        assert_eq!(node.set_head(l1.tip.hash), before);
    }
    let share = shares(&first).unwrap().remove(0);
    first.follow(&l1.block(vec![answered(&share)], vec![]));
    assert!(second.catch_up(&l1).has_seed);
    // A node that never saw L1 makes a seed in vain.
    let third = Node::start(3, true);
    assert!(!third.catch_up(&l1).has_seed);
}

#[test]
fn under_intels_root_nothing_is_given_while_l1_consensus_is_not_verified() {
    use alloy_primitives::keccak256;
    use obscuro_protocol::attestation::INTEL_ROOT;
    let config = NetworkConfig { attestationRoot: keccak256(INTEL_ROOT), ..config() };
    let (enclave, store) = (Enclave::new(TestDevice::new(1, 0)), TestStore::default());
    let ask =
        |request| door::decode::<Reply>(&enclave.handle(&door::encode(&request), &store)).unwrap();
    let start = Request::Start { config: Box::new(config), identity: None, snapshot: None };
    assert!(matches!(ask(start), Reply::Started(_)));
    for request in [Request::SeedShares, Request::OpenEpoch, Request::Seal] {
        match ask(request) {
            Reply::Refused(DoorError::Rejected(reason)) => {
                assert!(reason.contains("consensus"), "{reason}");
            }
            other => panic!("{other:?}"),
        }
    }
}
