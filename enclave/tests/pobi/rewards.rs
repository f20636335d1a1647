//! Protocol 5.7: what L1 shows of a round, and what the pool on L2 owes for it, to the last unit. Not here:
//! payment (`economy`), and rounds of more than two nodes (the table beside `enclave::rewards`).

use super::{canonical::Siblings, *};
use alloy_primitives::U256;
use alloy_sol_types::SolCall;
use obscuro_protocol::{
    contracts::FEE_POOL,
    l1::IRewardPool,
    query::{At, CallRequest},
};

const GWEI: u64 = 1_000_000_000;
/// What the harness's network takes an ETH for.
const OBX_PER_ETH: u128 = 1_000;

/// What publishing costs at a gwei per gas: 150,000 gas, and 16 for each byte in calldata.
fn cost(rollup: &SignedRollup) -> u128 {
    (150_000 + 16 * rollup.payload.len() as u128) * u128::from(GWEI) * OBX_PER_ETH
}

fn owed(node: &Node, owner: &User) -> U256 {
    let owner_address = owner.address();
    let data = IRewardPool::owedCall { owner: owner_address }.abi_encode().into();
    let (from, to) = (Some(owner_address), Some(FEE_POOL));
    let call = CallRequest { from, to, data, ..Default::default() };
    match Reader::new(node, 11, &[owner]).ask(node, Query::Call(call, At::Latest)) {
        Answer::Bytes(bytes) => U256::from_be_slice(&bytes),
        other => panic!("{other:?}"),
    }
}

/// The margin of the network, and the full reward in thousandths of the cost.
fn publications_earn_at(margin_percent: u8, full: u128) {
    MARGIN_PERCENT.set(margin_percent);
    let owners = [User::new("first operator"), User::new("second operator")];
    let scene = Scene::owned_by([owners[0].address(), owners[1].address()]);
    let siblings = Siblings::in_scene(scene);
    let Siblings { scene, early, late, late_loser, .. } = &siblings;
    // The rule, what L1's blocks carry from the one after the last proof on, and who is owed what, in
    // thousandths of the cost.
    type Case<'a> = (&'a str, Vec<Vec<&'a SignedRollup>>, Vec<(&'a SignedRollup, u128)>);
    let cases: Vec<Case<'_>> = vec![
        ("in the next L1 block: the full reward", vec![vec![late]], vec![(late, full)]),
        ("one block late: the cost of the gas", vec![vec![], vec![late]], vec![(late, 1_000)]),
        (
            "after two blocks anyone may publish and earn",
            vec![vec![], vec![], vec![late_loser]],
            vec![(late_loser, full)],
        ),
        (
            "a front-runner earns nothing, the winner its gas",
            vec![vec![late_loser], vec![late]],
            vec![(late, 1_000)],
        ),
        ("two blocks later too", vec![vec![late_loser], vec![], vec![late]], vec![(late, 1_000)]),
        (
            "then it is settled",
            vec![vec![late_loser], vec![], vec![], vec![late]],
            vec![(late_loser, full)],
        ),
        (
            "two of a round in one block: 75 and 25 percent by nonce",
            vec![vec![late_loser, late]],
            vec![(late, full * 3 / 4), (late_loser, full / 4)],
        ),
        (
            "two of a round, one block late: of the cost",
            vec![vec![], vec![late_loser, late]],
            vec![(late, 750), (late_loser, 250)],
        ),
        (
            "different rounds in one block: the more recent proof takes all",
            vec![vec![early, late_loser]],
            vec![(late_loser, full)],
        ),
    ];
    scene.pay(1);
    for (rule, blocks, expected) in cases {
        let mut branch = scene.l1.clone();
        // Blobs are dear: calldata is the cheaper carrier.
        (branch.base_fee, branch.excess_blob_gas) = (GWEI, 25 * 5_007_716);
        for rollups in &blocks {
            publish_all(&mut branch, rollups);
        }
        // Nobody can contest it any more.
        branch.block(vec![], vec![]);
        branch.block(vec![], vec![]);
        head_of(&scene.first, &branch);
        let next = scene.first.seal().expect("a payment waits");
        branch.publish(&next);
        assert_eq!(head_of(&scene.first, &branch).rollup, next.header.hash(), "{rule}");
        for (owner, node) in owners.iter().zip([&scene.first, &scene.second]) {
            let own = |rollup: &SignedRollup| rollup.header.aggregator == node.registration.enclave;
            let own = expected.iter().filter(|(rollup, _)| own(rollup));
            let earned: u128 = own.map(|(rollup, share)| cost(rollup) / 1_000 * share).sum();
            assert_eq!(owed(&scene.first, owner), U256::from(earned), "{rule}");
        }
    }
}

#[test]
fn publications_earn_by_the_rules() {
    publications_earn_at(50, 1_500);
}

#[test]
fn no_margin_pays_more_than_twice_the_gas() {
    publications_earn_at(255, 2_000);
}
