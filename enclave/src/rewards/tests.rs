//! A table of what L1 shows and who is paid, one row for each rule of S2 "Incentives for publishing" and
//! of protocol 5.7.

use super::*;
use obscuro_protocol::config::NetworkConfig;

const COST: u128 = 150_000 * 1_000;
const FULL: u128 = COST * 3 / 2;

fn config() -> NetworkConfig {
    NetworkConfig {
        // One OBX is one ETH.
        obxPerEth: 1_000_000_000,
        rewardMarginPercent: 50,
        computePrice: 10,
        ..Default::default()
    }
}

fn owner(node: u8) -> Address {
    Address::repeat_byte(0x80 + node)
}

fn nodes() -> Nodes {
    let node = |number: u8| RegisteredNode {
        owner: owner(number),
        encryption_key: Default::default(),
        lottery_key: Default::default(),
        host_address: String::new(),
        stake: U256::from(1),
        registered: 0,
        attestation: None,
        epoch: 1,
        held: Default::default(),
        answered_by: None,
        waits_since: 0,
        rejected: Vec::new(),
    };
    (1..=4).map(|number| (Address::repeat_byte(number), node(number))).collect()
}

/// A rollup on a parent: who made it, its nonce, its L1 proof.
#[derive(Clone, Copy)]
struct Made(u64, u8, u64, u64);

fn rollup(Made(parent, node, nonce, proof): Made) -> Arc<Rollup> {
    let header = RollupHeader {
        number: 1,
        parent: keccak256(parent.to_be_bytes()),
        aggregator: Address::repeat_byte(node),
        nonce: U256::from(nonce),
        l1Proof: keccak256(proof.to_be_bytes()),
        l1ProofNumber: proof,
        gasUsed: 100,
        ..Default::default()
    };
    Arc::new(Rollup { hash: header.hash(), header, ..Default::default() })
}

/// What is due after L1 blocks that publish these rollups. The canonical one of a block comes first.
fn play(blocks: &[(u64, &[Made])]) -> Vec<(u8, u128)> {
    let (config, nodes) = (config(), nodes());
    let mut rewards = Rewards::default();
    let mut canonical = Vec::new();
    let last = blocks.iter().map(|(block, _)| *block).max().unwrap_or_default();
    for block in 0..=last + SETTLEMENT_BLOCKS {
        let prices = L1Prices { gas: 1_000, blob_gas: 1 };
        let around = Around { block, prices, nodes: &nodes, config: &config };
        let published = blocks.iter().filter(|(at, _)| *at == block).flat_map(|(_, made)| *made);
        let published: Vec<_> = published.map(|made| rollup(*made)).collect();
        let (late, valid): (Vec<_>, Vec<_>) =
            published.into_iter().partition(|rollup| canonical.contains(&rollup.header.parent));
        for late in late {
            if rewards.concern(&late.header, block) {
                rewards.overtake(&late, around);
            }
        }
        if let Some(winner) = valid.first() {
            canonical.push(winner.header.parent);
            rewards.include(winner, &valid, around);
        }
        rewards.settle(block);
    }
    assert!(rewards.open.is_empty());
    let number = |reward: &Reward| reward.owner.0[0] - 0x80;
    rewards.due().map(|reward| (number(reward), reward.amount)).collect()
}

/// Rule: a reward never exceeds twice the gas, also of a publisher that uses blobs where calldata is the
/// standard.
#[test]
fn twice_the_cheaper_carrier_is_the_most() {
    let (config, nodes) = (NetworkConfig { rewardMarginPercent: 100, ..config() }, nodes());
    let prices = L1Prices { gas: 1_000, blob_gas: 1 };
    let around = Around { block: 11, prices, nodes: &nodes, config: &config };
    let of = |payload_bytes| {
        let rollup = Rollup { payload_bytes, ..(*rollup(Made(0, 1, 5, 10))).clone() };
        around.reward_of(&rollup)
    };
    assert_eq!(of(0), 2 * COST);
    assert_eq!(prices.publication(3_000), COST + 16 * 3_000 * 1_000, "in calldata");
    assert_eq!(of(3_000), 2 * (COST + 131_072));
}

#[test]
fn the_rules_of_publication() {
    type Case<'a> = (&'a str, &'a [(u64, &'a [Made])], &'a [(u8, u128)]);
    let cases: &[Case<'_>] = &[
        ("in the next L1 block: the full reward", &[(11, &[Made(0, 1, 5, 10)])], &[(1, FULL)]),
        ("one block late: the cost of the gas", &[(12, &[Made(0, 1, 5, 10)])], &[(1, COST)]),
        ("after two blocks anyone earns", &[(13, &[Made(0, 1, 5, 10)])], &[(1, FULL)]),
        ("much later too", &[(40, &[Made(0, 1, 5, 10)])], &[(1, FULL)]),
        (
            "a front-runner gets nothing, the winner its cost",
            &[(11, &[Made(0, 1, 9, 10)]), (12, &[Made(0, 2, 5, 10)])],
            &[(2, COST)],
        ),
        (
            "the winner may be two blocks late",
            &[(11, &[Made(0, 1, 9, 10)]), (13, &[Made(0, 2, 5, 10)])],
            &[(2, COST)],
        ),
        ("but not three", &[(11, &[Made(0, 1, 9, 10)]), (14, &[Made(0, 2, 5, 10)])], &[(1, FULL)]),
        (
            "of several that come late the lowest nonce is the winner",
            &[
                (11, &[Made(0, 1, 9, 10)]),
                (12, &[Made(0, 3, 7, 10), Made(0, 2, 5, 10)]),
                (13, &[Made(0, 4, 6, 10)]),
            ],
            &[(2, COST)],
        ),
        (
            "who comes late with a higher nonce gets nothing and takes nothing",
            &[(11, &[Made(0, 1, 5, 10)]), (12, &[Made(0, 2, 9, 10)])],
            &[(1, FULL)],
        ),
        (
            "a lower nonce of another round proves nothing",
            &[(12, &[Made(0, 1, 9, 11)]), (13, &[Made(0, 2, 5, 10)])],
            &[(1, FULL)],
        ),
        (
            "nor does one on another parent",
            &[(11, &[Made(0, 1, 9, 10)]), (12, &[Made(1, 2, 5, 10)])],
            &[(1, FULL), (2, COST)],
        ),
        (
            "two of one round in one block share by nonce",
            &[(11, &[Made(0, 1, 5, 10), Made(0, 2, 9, 10)])],
            &[(1, FULL / 100 * 75), (2, FULL - FULL / 100 * 75)],
        ),
        (
            "the two lowest of three",
            &[(11, &[Made(0, 1, 5, 10), Made(0, 3, 9, 10), Made(0, 2, 7, 10)])],
            &[(1, FULL / 100 * 75), (2, FULL - FULL / 100 * 75)],
        ),
        (
            "both late: they share the cost",
            &[(12, &[Made(0, 1, 5, 10), Made(0, 2, 9, 10)])],
            &[(1, COST / 100 * 75), (2, COST - COST / 100 * 75)],
        ),
        (
            "of different rounds in one block the more recent proof takes all",
            &[(12, &[Made(0, 1, 9, 11), Made(0, 2, 5, 10)])],
            &[(1, FULL)],
        ),
        (
            "two front-runners in one block get nothing",
            &[(11, &[Made(0, 1, 7, 10), Made(0, 2, 9, 10)]), (12, &[Made(0, 3, 5, 10)])],
            &[(3, COST)],
        ),
        ("an enclave that L1 does not know earns nothing", &[(11, &[Made(0, 9, 5, 10)])], &[]),
    ];
    for (name, blocks, expected) in cases {
        assert_eq!(play(blocks), *expected, "{name}");
    }
}

#[test]
fn what_a_rollup_credited_is_not_credited_again() {
    let (config, nodes) = (config(), nodes());
    let mut rewards = Rewards::default();
    let prices = L1Prices { gas: 1_000, blob_gas: 1 };
    let mut credited = 0;
    for block in 1..100 {
        let around = Around { block, prices, nodes: &nodes, config: &config };
        // Proven by the block before, in which everything that was due then was credited.
        credited += rewards.due().count();
        let winner = rollup(Made(block, 1, block, block - 1));
        rewards.include(&winner, std::slice::from_ref(&winner), around);
        rewards.settle(block);
    }
    assert_eq!(credited + rewards.due().count() + rewards.open.len(), 99);
    assert!(rewards.due().count() <= 1 && rewards.open.len() == 2);
}

#[test]
fn prizes_are_half_of_what_computing_paid() {
    let (config, nodes) = (config(), nodes());
    let around = Around { block: 11, prices: L1Prices::default(), nodes: &nodes, config: &config };
    let members: Vec<_> = nodes.iter().map(|(enclave, node)| (*enclave, node.owner)).collect();
    let rollup = rollup(Made(0, 1, 5, 10));
    let draw = |randao: u8, proposer, members: &[_], rollup: &Rollup| {
        let mut rewards = Rewards::default();
        rewards.draw(rollup, (B256::repeat_byte(randao), proposer), members, around);
        rewards.prizes().copied().collect::<Vec<_>>()
    };
    let mut drawn = BTreeMap::<Address, u32>::new();
    for randao in 0..=255 {
        let prizes = draw(randao, Address::ZERO, &members, &rollup);
        let [prize] = prizes[..] else { panic!("{prizes:?}") };
        assert_eq!((prize.rollup, prize.reward.amount), (rollup.hash, 100 * 10 / 2));
        assert_eq!(nodes[&prize.enclave].owner, prize.reward.owner);
        *drawn.entry(prize.enclave).or_default() += 1;
    }
    assert!(drawn.len() == 4 && drawn.values().all(|count| *count > 32), "{drawn:?}");
    // A proposer of L1 who owns a member may claim as well.
    let [_, proposing] = draw(0, owner(3), &members, &rollup)[..] else { panic!("no proposer") };
    assert_eq!((proposing.enclave, proposing.reward.owner), (Address::repeat_byte(3), owner(3)));
    assert_eq!(draw(0, owner(9), &members, &rollup).len(), 1, "who runs no node does not");
    assert_eq!(draw(0, owner(3), &[], &rollup), []);
    let idle = Rollup { header: RollupHeader::default(), ..(*rollup).clone() };
    assert_eq!(draw(0, owner(3), &members, &idle), [], "nothing was computed");
}
