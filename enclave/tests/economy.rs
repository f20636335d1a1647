//! Fees and rewards through the door (protocol 10): what users pay, that everybody computes the same
//! price. Not here: tables of the rules themselves (`fees`, `rewards`).

#[path = "harness/mod.rs"]
#[allow(dead_code, reason = "made for several test files")]
mod harness;

use alloy_primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use alloy_sol_types::{SolCall, SolEvent};
use harness::*;
use obscuro_enclave::identity::Identity;
use obscuro_protocol::{
    contracts::FEE_POOL,
    door::{Carrier, DoorError, ExecutionProof, Reply, Request},
    fees::{L1Prices, base_fee_bounds},
    l1::IRewardPool,
    query::{At, CallRequest, Query, Reply as Answer},
    rollup::{SignedRollup, signing_domain},
};

const GWEI: u64 = 1_000_000_000;
/// An excess at which blob gas costs about ten gwei.
const DEAR_BLOBS: u64 = 23 * 5_007_716;

fn send(reader: &Reader, node: &Node, raw: Bytes) -> Result<(), String> {
    match reader.ask(node, Query::SendTransaction(raw)) {
        Answer::Accepted(_) => Ok(()),
        Answer::Refused(refusal) => Err(refusal.message),
        other => panic!("{other:?}"),
    }
}

/// A rollup with nothing but a deposit.
fn idle_round(node: &Node, l1: &mut L1, index: u64) -> SignedRollup {
    let obx = config().contracts.obscuroToken;
    node.follow(&l1.block(vec![deposited(index, obx, OWNER, 1)], vec![]));
    round(node, l1)
}

#[test]
fn the_price_follows_l1_in_bounded_steps_and_everybody_computes_it() {
    let (node, mut l1, _) = network();
    l1.base_fee = GWEI / 10;
    let mut last = config().computePrice;
    for index in 1..12 {
        let base_fee = idle_round(&node, &mut l1, index).header.baseFee;
        let (least, most) = base_fee_bounds(last);
        assert!((least..=most).contains(&base_fee), "{last} to {base_fee}");
        last = base_fee;
    }
    assert!(last > config().computePrice + config().computePrice / 10, "{last}");
    // L1 gets cheap again; whoever starts from L1 alone agrees to the last unit.
    l1.base_fee = 0;
    let later = (12..300).map(|index| idle_round(&node, &mut l1, index).header.baseFee);
    assert!(later.last().is_some_and(|settled| settled < last));
    assert_eq!(follower_of(&node, &l1).set_head(l1.tip.hash).number, 300);
}

/// What the pool owes to all.
fn total_owed(node: &Node, reader: &Reader) -> U256 {
    let data = IRewardPool::totalOwedCall {}.abi_encode().into();
    let call = CallRequest { to: Some(FEE_POOL), data, ..Default::default() };
    match reader.ask(node, Query::Call(call, At::Latest)) {
        Answer::Bytes(bytes) => U256::from_be_slice(&bytes),
        other => panic!("{other:?}"),
    }
}

/// The full reward for what the newest L1 block publishes.
fn reward(l1: &L1) -> U256 {
    let Carrier::Calldata(payload) = &l1.blocks.last().unwrap().payloads[0].carrier else {
        panic!("blobs")
    };
    let prices = L1Prices { gas: l1.base_fee, blob_gas: 1 };
    let cost = config().obx(prices.publication(payload.len() as u64));
    U256::from(config().with_margin(cost))
}

#[test]
fn publishing_is_paid_from_the_pool_once_nobody_can_contest_it() {
    REGISTRANT.set(User::new("alice").address());
    let (node, mut l1, alice) = network_on(L1 { base_fee: GWEI, ..L1::new() });
    let bob = User::new("bob");
    let reader = Reader::new(&node, 7, &[&alice, &bob]);
    let first = reward(&l1);
    let gift = deposited(1, config().contracts.obscuroToken, FEE_POOL, 10 * OBX);
    node.follow(&l1.block(vec![gift], vec![]));
    round(&node, &mut l1);
    let second = reward(&l1);
    assert_eq!(total_owed(&node, &reader), U256::ZERO, "the first is settled in this L1 block");
    idle_round(&node, &mut l1, 2);
    assert_eq!(total_owed(&node, &reader), first);
    let claim = IRewardPool::claimCall { recipient: bob.address() }.abi_encode();
    // Nobody else learns what it would bring.
    for from in [None, Some(bob.address())] {
        let data = claim.clone().into();
        let call = CallRequest { from, to: Some(FEE_POOL), data, ..Default::default() };
        let answer = reader.ask(&node, Query::Call(call, At::Latest));
        assert!(matches!(answer, Answer::Refused(_)), "{answer:?}");
    }
    let raw = alice.transaction_with_gas(0, TxKind::Call(FEE_POOL), 200_000, claim);
    assert_eq!(send(&reader, &node, raw.clone()), Ok(()));
    round(&node, &mut l1);
    let Answer::Receipt(Some(receipt)) = reader.ask(&node, Query::Receipt(keccak256(raw))) else {
        panic!("no receipt")
    };
    let event = IRewardPool::Claimed::decode_raw_log(
        receipt.logs[0].topics.iter().copied(),
        &receipt.logs[0].data,
    );
    assert_eq!(
        event.unwrap(),
        IRewardPool::Claimed { owner: alice.address(), amount: first + second }
    );
    let paid = reader.ask(&node, Query::Balance(bob.address(), At::Latest));
    assert_eq!(paid, Answer::Value(first + second));
    assert_eq!(total_owed(&node, &reader), U256::ZERO);
    assert_eq!(follower_of(&node, &l1).set_head(l1.tip.hash).number, 4);
}

/// What the enclave signs, or why it does not.
fn executed(node: &Node, rollup: B256) -> Result<ExecutionProof, DoorError> {
    node.ask(Request::ProveExecution(rollup)).map(|reply| match reply {
        Reply::Executed(proof) => proof,
        other => panic!("{other:?}"),
    })
}

#[test]
fn a_prize_is_owed_for_the_signature_of_the_enclave_that_executed() {
    let (node, mut l1, alice) = network();
    let reader = Reader::new(&node, 7, &[&alice]);
    let raw = alice.transaction(0, TxKind::Call(OWNER), 1, Bytes::new());
    assert_eq!(send(&reader, &node, raw), Ok(()));
    let rollup = node.seal().unwrap();
    let hash = rollup.header.hash();
    let refused = executed(&node, hash).unwrap_err();
    assert!(matches!(refused, DoorError::Rejected(_)), "not on L1, though executed");
    assert!(executed(&node, B256::ZERO).is_err());
    node.follow(&l1.publish(&rollup));
    let proof = executed(&node, hash).unwrap();
    assert_eq!(proof.enclave, node.registration.enclave);
    // The only member is drawn; the next rollup tells the pool.
    idle_round(&node, &mut l1, 1);
    let claim = |signature| {
        let call = IRewardPool::claimPrizeCall { rollup: hash, enclave: proof.enclave, signature };
        alice.transaction_with_gas(1, TxKind::Call(FEE_POOL), 200_000, call.abi_encode())
    };
    let raw = claim(proof.signature.clone());
    assert_eq!(send(&reader, &node, raw.clone()), Ok(()));
    round(&node, &mut l1);
    let Answer::Receipt(Some(receipt)) = reader.ask(&node, Query::Receipt(keccak256(raw))) else {
        panic!("no receipt")
    };
    assert!(receipt.success);
    // Half of what users paid for computing it.
    let amount = U256::from(21_000 / 2 * config().computePrice);
    assert_eq!(total_owed(&node, &reader), amount);
}

/// Whoever makes an L1 block could otherwise register nodes in it until the draw suits them.
#[test]
fn who_registers_in_the_block_that_includes_a_rollup_is_not_drawn_for_it() {
    let (node, l1, alice) = network();
    let reader = Reader::new(&node, 7, &[&alice]);
    let raw = alice.transaction(0, TxKind::Call(OWNER), 1, Bytes::new());
    assert_eq!(send(&reader, &node, raw), Ok(()));
    let rollup = node.seal().unwrap();
    let newcomer = Node::start_on(TestDevice::new(2, 0), config(), &l1.tip, false);
    for salt in 0..6 {
        let mut branch = L1 { salt, ..l1.clone() };
        let logs = vec![
            platform(&newcomer.registration.certificates),
            registering(&newcomer.registration, 0, &l1.tip),
        ];
        node.follow(&branch.publish_before(&rollup, logs));
        idle_round(&node, &mut branch, 1);
        let [of_the_member, of_the_newcomer] = [&node, &newcomer].map(|drawn| {
            let (rollup, enclave) = (rollup.header.hash(), drawn.registration.enclave);
            let data = IRewardPool::prizeOfCall { rollup, enclave }.abi_encode().into();
            let call = CallRequest { to: Some(FEE_POOL), data, ..Default::default() };
            match reader.ask(&node, Query::Call(call, At::Latest)) {
                Answer::Bytes(bytes) => U256::from_be_slice(&bytes),
                other => panic!("{other:?}"),
            }
        });
        assert!(!of_the_member.is_zero() && of_the_newcomer.is_zero(), "{salt}");
    }
}

#[test]
fn another_base_fee_makes_a_rollup_invalid() {
    let (node, mut l1, _) = network();
    l1.base_fee = 10 * GWEI;
    idle_round(&node, &mut l1, 1);
    let obx = config().contracts.obscuroToken;
    node.follow(&l1.block(vec![deposited(2, obx, OWNER, 1)], vec![]));
    let mut rollup = node.seal().unwrap();
    let device = TestDevice::new(1, 0);
    let stolen = Identity::unseal(&device, config().hash(), &node.registration.identity).unwrap();
    let domain = signing_domain(config().l1ChainId, config().contracts.rollupManagement);
    for change in [-1_i64, 1] {
        let mut forged = rollup.clone();
        forged.header.baseFee = forged.header.baseFee.saturating_add_signed(change);
        forged.signature = stolen.sign(forged.header.signing_hash(&domain));
        let refused =
            follower_of(&node, &l1).ask(Request::Candidate(Box::new(forged))).unwrap_err();
        assert_eq!(refused, DoorError::Rejected("wrong base fee".into()));
    }
    rollup.signature = stolen.sign(rollup.header.signing_hash(&domain));
    follower_of(&node, &l1).ask(Request::Candidate(Box::new(rollup))).unwrap();
}

#[test]
fn wallets_need_no_change_where_data_is_dear() {
    let dear = L1 { base_fee: 10 * GWEI, excess_blob_gas: DEAR_BLOBS, ..L1::new() };
    let (node, mut l1, alice) = network_on(dear);
    let reader = Reader::new(&node, 7, &[&alice]);
    let to = Address::repeat_byte(0xb0);
    // Many wallets never ask what a plain transfer takes.
    let plain = alice.transaction_with_gas(0, TxKind::Call(to), 21_000, vec![]);
    assert_eq!(send(&reader, &node, plain), Ok(()));
    let data = vec![7; 100];
    let ethereum = 21_000 + 100 * 40;
    let cheap = alice.transaction_with_gas(1, TxKind::Call(to), ethereum, data.clone());
    let refusal = send(&reader, &node, cheap).unwrap_err();
    assert!(refusal.starts_with("intrinsic gas too low"), "{refusal}");
    let call = CallRequest {
        from: Some(alice.address()),
        to: Some(to),
        data: data.clone().into(),
        ..Default::default()
    };
    let Answer::Count(gas) = reader.ask(&node, Query::EstimateGas(call, At::Latest)) else {
        panic!("no estimate")
    };
    let estimated = alice.transaction_with_gas(1, TxKind::Call(to), gas, data);
    // It still suffices when L1 has moved against it as far as it can in a minute.
    l1.base_fee = u64::MAX;
    l1.excess_blob_gas = u64::MAX;
    for _ in 0..5 {
        node.follow(&l1.block(vec![], vec![]));
    }
    assert_eq!(send(&reader, &node, estimated), Ok(()));
    let rollup = round(&node, &mut l1);
    assert!(rollup.header.gasUsed > 21_000 + ethereum, "{}", rollup.header.gasUsed);
    let paid = U256::from(rollup.header.gasUsed) * U256::from(rollup.header.baseFee);
    assert_eq!(
        reader.ask(&node, Query::Balance(alice.address(), At::Latest)),
        Answer::Value(U256::from(100 * OBX) - paid),
        "what is used times the base fee is paid, and nothing else"
    );
}

#[test]
fn what_offers_too_little_waits_for_cheaper_gas() {
    let (node, mut l1, alice) = network();
    let reader = Reader::new(&node, 7, &[&alice]);
    l1.base_fee = GWEI / 10;
    // This one offers two gwei and cannot go first.
    let early = alice.transaction(1, TxKind::Call(OWNER), 1, Bytes::new());
    assert_eq!(send(&reader, &node, early.clone()), Ok(()));
    let rises = (1..60).map(|index| idle_round(&node, &mut l1, index).header.baseFee);
    assert!(rises.max() > Some(2 * GWEI));
    let first = alice.transaction_with_fee(0, TxKind::Call(OWNER), 4 * GWEI);
    assert_eq!(send(&reader, &node, first), Ok(()));
    assert_eq!(round(&node, &mut l1).header.gasUsed, 21_000, "the other one waits");
    let refusal = send(&reader, &node, early).unwrap_err();
    assert!(refusal.starts_with("max fee per gas less than block base fee"), "{refusal}");
    l1.base_fee = 0;
    let executed = (60..300).find_map(|index| {
        let header = idle_round(&node, &mut l1, index).header;
        (header.gasUsed > 0).then_some(header.baseFee)
    });
    assert!(executed.is_some_and(|base_fee| base_fee <= 2 * GWEI), "{executed:?}");
}

#[test]
fn what_allows_too_little_gas_for_dear_data_waits_for_cheaper_data() {
    let dear = L1 { base_fee: GWEI, excess_blob_gas: 17 * 5_007_716, ..L1::new() };
    let (node, mut l1, alice) = network_on(dear);
    let reader = Reader::new(&node, 7, &[&alice]);
    let (to, data) = (Address::repeat_byte(0xb0), vec![7; 100]);
    let call = |gas| alice.transaction_with_gas(1, TxKind::Call(to), gas, data.clone());
    // The least that is taken now. It cannot go first.
    let least = (25_000..35_000).step_by(400).find(|gas| send(&reader, &node, call(*gas)).is_ok());
    let least = least.expect("enough");
    (l1.base_fee, l1.excess_blob_gas) = (u64::MAX, u64::MAX);
    for _ in 0..20 {
        node.follow(&l1.block(vec![], vec![]));
    }
    let plain = alice.transaction_with_gas(0, TxKind::Call(to), 21_000, vec![]);
    assert_eq!(send(&reader, &node, plain), Ok(()));
    assert_eq!(round(&node, &mut l1).header.gasUsed, 21_000, "the other one waits");
    (l1.base_fee, l1.excess_blob_gas) = (0, 0);
    let executed = (1..300).map(|index| idle_round(&node, &mut l1, index).header.gasUsed);
    let executed = executed.into_iter().find(|gas| *gas > 0);
    assert!(executed.is_some_and(|gas| gas <= least), "{executed:?} of {least}");
}
