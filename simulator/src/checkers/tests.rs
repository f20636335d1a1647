//! Every checker must be able to fail: each test plants the fault that one of them has to find, in a small
//! network that is otherwise in order.

use super::*;
use crate::{
    adversaries::Kind,
    leaks::MARK,
    run::Run,
    scenario::{Rhythm, Scenario},
    world::World,
};
use alloy_primitives::{B256, Bytes, U256, keccak256};
use obscuro_enclave::device::Entropy;
use obscuro_protocol::{
    config::RevealOption,
    door::Head,
    forced,
    payload::{self, Item, Payload},
    rollup::{RollupHeader, SignedRollup, Withdrawal},
};

/// Three aggregators that have played some rounds.
fn network() -> Run {
    let scenario = Scenario {
        aggregators: 3,
        l1_nodes: 2,
        users: 3,
        rhythm: Rhythm::Slots { rivals_per_mille: 0 },
        ..Scenario::steady()
    };
    let mut run = Run::new(7, scenario).unwrap();
    run.set_up().unwrap();
    run.begin();
    let last = run.world.first_block + 6;
    run.until(|run| run.number() >= last).unwrap();
    run
}

/// What the checkers say once they have looked.
fn verdict(run: &mut Run) -> Verdict {
    let Run { checkers, nodes, world, .. } = run;
    checkers.check(nodes, world)
}

fn finds(run: &mut Run, checker: &str) {
    let found = verdict(run).expect_err("the planted fault is found");
    assert_eq!(found.checker, checker, "{}", found.text);
}

fn head(run: &Run) -> Head {
    run.nodes[0].head().unwrap().clone()
}

fn see_head(run: &mut Run, node: usize, head: Head) {
    run.world.seen.push(Seen::Head { node, head: Box::new(head) });
}

fn see_sealed(run: &mut Run, header: RollupHeader) {
    let rollup = unsigned(header, Bytes::new());
    run.world.seen.push(Seen::Sealed { node: 0, rollup: Box::new(rollup) });
}

fn unsigned(header: RollupHeader, payload: Bytes) -> SignedRollup {
    SignedRollup { header, signature: Bytes::new(), lottery_proof: Bytes::new(), payload }
}

/// A rollup on the head with this payload, as if an enclave had sealed it.
fn pretend(
    world: &mut World,
    head: &Head,
    payload: &Payload,
    device: &dyn obscuro_enclave::device::Device,
) -> B256 {
    let parent = world.reference.rollup(head.rollup).unwrap().header.clone();
    let seed = world.reference.seed.as_ref().unwrap();
    let bytes = payload::seal(payload, seed, |_| 0, &mut Entropy(device)).unwrap();
    let header = RollupHeader {
        parent: head.rollup,
        number: parent.number + 1,
        payloadHash: keccak256(&bytes),
        ..parent
    };
    let rollup = unsigned(header, bytes);
    world.reference.sealed(0, &rollup, world.now);
    rollup.header.hash()
}

#[test]
fn a_node_that_stops_is_found_unless_its_disk_was_bad_even_if_that_is_replaced_at_once() {
    let mut run = network();
    let Run { nodes, world, .. } = &mut run;
    nodes[0].disk.fail(true);
    for _ in ["mended", "replaced"] {
        nodes[0].stop("the disk does not answer".to_owned(), world);
    }
    assert!(!nodes[0].disk.is_damaged());
    verdict(&mut run).unwrap();
    run.nodes[1].stop("no reason".to_owned(), &mut run.world);
    finds(&mut run, "nodes go on");
}

#[test]
fn nothing_is_wrong_without_a_fault() {
    let mut run = network();
    let head = head(&run);
    assert!(head.number > 3);
    see_head(&mut run, 0, head);
    verdict(&mut run).unwrap();
}

#[test]
fn two_heads_at_one_l1_block() {
    let mut run = network();
    let mut other = head(&run);
    other.rollup = B256::repeat_byte(1);
    see_head(&mut run, 1, other);
    finds(&mut run, "agreement");
}

#[test]
fn a_head_that_is_not_canonical() {
    let mut run = network();
    let mut wrong = head(&run);
    // Nobody has reported this L1 block yet, but the model knows it.
    let parent = run.world.l1.block(wrong.l1.hash).unwrap().header.parent_hash;
    let grandparent = run.world.l1.block(parent).unwrap().header.parent_hash;
    wrong.l1.hash = grandparent;
    run.checkers = Checkers::default();
    see_head(&mut run, 0, wrong);
    finds(&mut run, "agreement");
}

#[test]
fn a_node_that_stays_behind() {
    let mut run = network();
    run.nodes[1].life = None;
    let Run { checkers, nodes, world, .. } = &mut run;
    assert_eq!(checkers.finish(nodes, world).unwrap_err().checker, "nodes follow L1");
}

#[test]
fn a_rollup_on_one_that_is_not_canonical() {
    let mut run = network();
    let head = head(&run);
    let sealed = run.world.reference.rollup(head.rollup).unwrap().header.clone();
    see_sealed(&mut run, RollupHeader { parent: B256::repeat_byte(9), ..sealed });
    finds(&mut run, "building");
}

#[test]
fn a_second_nonce_in_one_round() {
    let mut run = network();
    let head = head(&run);
    let sealed = run.world.reference.rollup(head.rollup).unwrap().header.clone();
    see_sealed(&mut run, RollupHeader { nonce: sealed.nonce + U256::from(1), ..sealed });
    finds(&mut run, "lottery");
}

#[test]
fn a_nonce_that_was_not_drawn() {
    let mut run = network();
    let head = head(&run);
    let sealed = run.world.reference.rollup(head.rollup).unwrap().header.clone();
    run.checkers = Checkers::default();
    // The first nonce that is seen in the round, without a proof.
    see_sealed(&mut run, RollupHeader { nonce: U256::from(1), ..sealed });
    finds(&mut run, "lottery");
}

#[test]
fn a_transaction_that_is_executed_twice() {
    let mut run = network();
    let mut head = head(&run);
    let raw = Bytes::from_static(b"a transaction");
    let item = Item { option: RevealOption::XL, transaction: raw };
    let device = run.nodes[0].device.clone();
    for _ in 0..2 {
        let payload = Payload { items: vec![item.clone()], withdrawals: Vec::new() };
        head.rollup = pretend(&mut run.world, &head, &payload, &device);
    }
    head.l1.hash = B256::repeat_byte(2);
    see_head(&mut run, 0, head);
    finds(&mut run, "once");
}

#[test]
fn a_forced_transaction_that_was_never_forced() {
    let mut run = network();
    let mut head = head(&run);
    let mut header = run.world.reference.rollup(head.rollup).unwrap().header.clone();
    header = RollupHeader { parent: head.rollup, number: header.number + 1, ..header };
    header.forcedCursor += 1;
    let rollup = unsigned(header, Bytes::new());
    run.world.reference.sealed(0, &rollup, run.world.now);
    (head.rollup, head.l1.hash) = (rollup.header.hash(), B256::repeat_byte(2));
    see_head(&mut run, 0, head);
    finds(&mut run, "forced");
}

#[test]
fn a_forced_transaction_behind_another() {
    let mut run = network();
    let head = head(&run);
    let header = run.world.reference.rollup(head.rollup).unwrap().header.clone();
    let device = run.nodes[0].device.clone();
    let key = run.world.reference.seed.as_ref().unwrap().network_key().1;
    let (config, forced) = (run.world.config.hash(), Bytes::from_static(b"forced"));
    let envelope = forced::seal(&key, 1, config, &forced, &mut Entropy(&device)).unwrap();
    run.world.reference.plant_forced(header.l1Proof, envelope.into());
    let item = |transaction| Item { option: RevealOption::XL, transaction };
    for (first, second, is_wrong) in
        [(forced.clone(), Bytes::new(), false), (Bytes::new(), forced, true)]
    {
        let payload = Payload { items: vec![item(first), item(second)], withdrawals: Vec::new() };
        let rollup = pretend(&mut run.world, &head, &payload, &device);
        let mut header = run.world.reference.rollup(rollup).unwrap().header.clone();
        header.forcedCursor = 1;
        let seed = run.world.reference.seed.as_ref().unwrap();
        let bytes = payload::seal(&payload, seed, |_| 0, &mut Entropy(&device)).unwrap();
        let sealed = unsigned(header, bytes);
        run.world.reference.sealed(0, &sealed, run.world.now);
        let mut checker = super::forced::Forced::default();
        let mut shown = head.clone();
        shown.rollup = sealed.header.hash();
        // The rollup below has what was not planted yet.
        let found = checker.head(0, &shown, &run.world);
        assert_eq!(found.is_err_and(|found| found.text.contains("in front")), is_wrong);
    }
}

#[test]
fn a_transaction_that_is_lost() {
    let mut run = network();
    run.world.seen.push(Seen::Made(B256::repeat_byte(3)));
    let Run { checkers, nodes, world, .. } = &mut run;
    assert_eq!(checkers.finish(nodes, world).unwrap_err().checker, "once");
}

#[test]
fn coins_from_nothing() {
    let mut run = network();
    // The same balance twice: as if somebody had been credited without a deposit.
    let account = run.world.accounts[0];
    run.world.accounts.push(account);
    let next = run.number() + 3;
    let found = run.until(|run| run.number() >= next).unwrap_err();
    assert_eq!(found.checker, "conservation", "{}", found.text);
}

#[test]
fn a_reward_by_other_rules() {
    let mut run = network();
    let block = run.world.l1.highest().hash;
    run.world.reference.plant_reward(block, World::operator(0));
    let next = run.number() + 3;
    let found = run.until(|run| run.number() >= next).unwrap_err();
    assert_eq!(found.checker, "rewards", "{}", found.text);
}

#[test]
fn a_payment_that_no_canonical_rollup_orders() {
    let mut run = network();
    let block = run.world.l1.highest().hash;
    run.world.reference.plant_payment(block, 0, B256::repeat_byte(4));
    run.world.seen.push(Seen::Block(block));
    finds(&mut run, "withdrawals");
}

#[test]
fn a_payment_of_a_rollup_that_lost() {
    let mut run = network();
    let head = head(&run);
    let withdrawal = Withdrawal {
        index: 0,
        asset: Default::default(),
        to: Default::default(),
        amount: U256::ONE,
    };
    let payload = Payload { items: Vec::new(), withdrawals: vec![withdrawal] };
    let device = run.nodes[0].device.clone();
    let loser = pretend(&mut run.world, &head, &payload, &device);
    let block = run.world.l1.highest().hash;
    run.world.reference.plant_payment(block, 0, loser);
    run.world.seen.push(Seen::Block(block));
    finds(&mut run, "withdrawals");
}

#[test]
fn a_payment_while_a_deep_fork_is_alive() {
    let mut run = network();
    let block = run.world.l1.highest().clone();
    let canonical = run.world.reference.view(block.hash).unwrap().rollup;
    let fork = run.world.reference.chain(canonical).nth(2).unwrap().1.header.clone();
    run.world.reference.plant_payment(block.hash, 0, fork.parent);
    let mut parent = fork.parent;
    for number in fork.number..fork.number + 2 {
        run.world.seen.push(Seen::Block(block.hash));
        assert_eq!(verdict(&mut run), Ok(()), "one above the fork point is a loser, no fork");
        let header = RollupHeader { parent, number, nonce: U256::from(7), ..fork.clone() };
        parent = header.hash();
        run.world.reference.plant_published(block.header.parent_hash, header);
    }
    run.world.seen.push(Seen::Block(block.hash));
    finds(&mut run, "withdrawals");
}

#[test]
fn a_stake_slashed_without_guilt() {
    let mut run = network();
    let block = run.world.l1.highest().hash;
    let enclave = run.nodes[0].life.as_ref().unwrap().address;
    run.world.reference.plant_slashing(block, enclave);
    run.world.seen.push(Seen::Block(block));
    finds(&mut run, "withdrawals");
}

#[test]
fn user_data_and_keys_in_clear() {
    let mut run = network();
    let stolen = run.nodes[0].steal(&run.world).unwrap();
    let seed = stolen.seed.unwrap();
    for secret in [&MARK[..], seed.secret().expose(), &stolen.signing] {
        let bytes = [b"in front", secret, b"behind"].concat();
        run.world.leaks.search(0, "a reply", &bytes);
        finds(&mut run, "secrecy");
    }
}

#[test]
fn rollups_that_do_not_come() {
    let mut run = network();
    run.world.l1.censor_everywhere(&(0..3).map(World::operator).collect());
    let next = run.number() + 60;
    let found = run.until(|run| run.number() >= next).unwrap_err();
    assert_eq!(found.checker, "liveness", "{}", found.text);
}

#[test]
fn a_node_that_stops_without_a_reason() {
    let mut run = network();
    // Nothing that others do may stop it, nor a crash.
    run.world.scenario.adversaries = vec![(2, Kind::Flooder)];
    run.world.scenario.faults = Scenario::faults().faults;
    let Run { nodes, world, .. } = &mut run;
    nodes[0].stop("for no reason".to_owned(), world);
    finds(&mut run, "nodes go on");
    let Run { nodes, world, .. } = &mut run;
    nodes[1].disk.fail(true);
    nodes[1].stop("for its disk".to_owned(), world);
    verdict(&mut run).unwrap();
}
