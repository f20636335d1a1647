//! Joining the network and staying in it, through the enclave's door (protocol 2.5, 3, 11.3). Here:
//! steps that several files take. Not here: what the contract checks (`contracts`), the rest of the
//! door (`door`).

mod disasters;
mod epochs;
mod forgeries;
#[path = "../harness/mod.rs"]
#[allow(dead_code, reason = "made for several test files")]
mod harness;
mod lost_epochs;
mod membership;
mod registrations;
mod seed_theft;
mod set_back;

use alloy_primitives::{Address, B256, Bytes, Log, TxKind};
use alloy_sol_types::{SolEvent, SolStruct};
use harness::*;
use obscuro_protocol::{
    door::{DoorError, Duty, EpochOpening, Head, Reply, Request, SeedShare},
    l1::{
        AttestationPolicy,
        IAttestationVerifier::{IAttestationVerifierEvents, PolicyChanged},
        INetworkManagement,
    },
    query::{At, Query, Reply as Answer},
    rollup::{SignedRollup, recover, signing_domain},
};
use obscuro_software_tee::policy;

/// A log of `NetworkManagement`.
fn network_log(event: impl SolEvent) -> Log {
    log(config().contracts.networkManagement, event)
}

/// The log of another policy.
fn new_policy(change: impl FnOnce(&mut AttestationPolicy)) -> Log {
    let mut policy = policy();
    change(&mut policy);
    attesting(IAttestationVerifierEvents::PolicyChanged(PolicyChanged { policy }))
}

/// The seed shares that a node makes at its L1 head.
fn shares(node: &Node) -> Result<Vec<SeedShare>, DoorError> {
    match node.ask(Request::SeedShares)? {
        Reply::SeedShares(shares) => Ok(shares),
        other => panic!("{other:?}"),
    }
}

/// Feeds a block to all nodes and makes it their head.
fn all_follow(nodes: &[&Node], l1: &mut L1, logs: Vec<Log>) -> Vec<Head> {
    let block = l1.block(logs, vec![]);
    nodes.iter().map(|node| node.follow(&block)).collect()
}

/// Lets a new node of a machine join, given the seed by the first of `members`.
fn join(members: &[&Node], l1: &mut L1, device: TestDevice, stake: u64) -> Node {
    let node = Node::start_on(device, config(), &l1.tip, false);
    let named = l1.tip.clone();
    let logs = vec![
        platform(&node.registration.certificates),
        registering(&node.registration, stake, &named),
    ];
    all_follow(members, l1, logs);
    be_answered(members, l1, &node);
    node
}

/// Lets the first of `members` give a registered node the seed.
fn be_answered(members: &[&Node], l1: &mut L1, node: &Node) {
    let enclave = node.registration.enclave;
    let shares = shares(members[0]).unwrap();
    let share = shares.iter().find(|share| share.answer.enclave == enclave).expect("a share");
    all_follow(members, l1, vec![answered(share)]);
    // It may draw lots from the second block after its registration on.
    all_follow(members, l1, vec![]);
    assert!(node.catch_up(l1).has_seed);
}

/// A transfer by a user, sent through a node.
fn pay(reader: &Reader, node: &Node, user: &User, nonce: u64) {
    let raw = user.transaction(nonce, TxKind::Call(Address::repeat_byte(8)), OBX, Bytes::new());
    let answer = reader.ask(node, Query::SendTransaction(raw));
    assert!(matches!(answer, Answer::Accepted(_)), "{answer:?}");
}

/// How many transfers went through.
fn paid(reader: &Reader, node: &Node) -> Answer {
    reader.ask(
        node,
        Query::Nonce { account: User::new("alice").address(), at: At::Latest, pooled: false },
    )
}

/// One node seals what waits, L1 publishes it, all follow and agree.
fn publish(sealer: &Node, nodes: &[&Node], l1: &mut L1) -> SignedRollup {
    let rollup = sealer.seal().expect("something waits");
    let block = l1.publish(&rollup);
    for node in nodes {
        assert_eq!(node.follow(&block).rollup, rollup.header.hash());
    }
    rollup
}

/// Who signed a message for `NetworkManagement`.
fn signer(message: &impl SolStruct, signature: &[u8]) -> Option<Address> {
    let domain = signing_domain(config().l1ChainId, config().contracts.networkManagement);
    recover(&message.eip712_signing_hash(&domain), signature)
}

/// The log of the owner's wish for a new epoch.
fn epoch_begun(epoch: u32, opener: Address) -> Log {
    network_log(INetworkManagement::SeedEpochBegun { epoch, opener })
}

/// The opening that a node makes at its L1 head.
fn opening(node: &Node) -> Result<EpochOpening, DoorError> {
    match node.ask(Request::OpenEpoch)? {
        Reply::EpochOpening(opening) => Ok(*opening),
        other => panic!("{other:?}"),
    }
}

/// The logs of an opening that L1 took.
fn opened(opening: &EpochOpening) -> Vec<Log> {
    let EpochOpening { epoch, responder, network_key, .. } = opening.clone();
    let mut logs = vec![network_log(INetworkManagement::NetworkKeyPublished {
        epoch,
        responder,
        networkKey: network_key,
    })];
    logs.extend(
        opening
            .shares
            .iter()
            .map(|share| shared(share.enclave, responder, epoch, share.encryptedSeed.clone())),
    );
    logs
}

/// The next life of a node, with what its host kept and a store.
fn next_life(seed: u64, node: &Node, store: TestStore) -> Node {
    let kept = node.kept.lock().unwrap().clone();
    let mut next = Node::restart_with(seed, store, kept.identity, kept.snapshot);
    next.registration = node.registration.clone();
    next
}

/// The log of a fresh quote that a node gives at its L1 head.
fn reattested(node: &Node, l1: &L1) -> Log {
    let Ok(Reply::Attestation(made)) = node.ask(Request::Attest) else { panic!() };
    assert_eq!(made.l1_block, l1.tip.number);
    network_log(INetworkManagement::NodeReattested {
        enclave: made.enclave,
        quote: made.quote,
        keysHash: made.keys_hash,
        l1Block: made.l1_block,
        l1BlockHash: l1.tip.hash,
    })
}

fn has(head: &Head, duty: Duty) -> bool {
    head.duties.contains(&duty)
}

fn is_peer(head: &Head, node: &Node) -> bool {
    head.peers.iter().any(|peer| peer.enclave == node.registration.enclave)
}

/// Some number that nothing else has.
fn other(byte: u8) -> B256 {
    B256::repeat_byte(byte)
}
