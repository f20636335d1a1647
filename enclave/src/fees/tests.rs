//! Tables for the price of gas: what moves it, how far, and that nothing overflows.

use super::*;
use obscuro_protocol::rollup::RollupHeader;

const GWEI: u64 = 1_000_000_000;

fn config() -> NetworkConfig {
    NetworkConfig {
        gasLimit: 64_000_000,
        computePrice: GWEI,
        obxPerEth: 1_000 * GWEI,
        rewardMarginPercent: 50,
        ..Default::default()
    }
}

fn rollup(gas_used: u64, payload_bytes: u64, data_gas: u64) -> Rollup {
    let header = RollupHeader { gasUsed: gas_used, baseFee: GWEI, ..Default::default() };
    Rollup { payload_bytes, data_gas, header, ..Default::default() }
}

/// Follows this many L1 blocks, each with a rollup; the base fee after them.
fn play(fees: &mut Fees, mut base_fee: u64, blocks: u32, prices: L1Prices, rollup: &Rollup) -> u64 {
    for _ in 0..blocks {
        fees.follow(prices);
        fees.include(rollup, &config());
        let next = fees.base_fee(base_fee, &config());
        assert!(next.abs_diff(base_fee) <= (base_fee / 64).max(1), "{base_fee} to {next}");
        base_fee = next;
    }
    base_fee
}

#[test]
fn the_price_settles_at_computing_plus_a_share_of_the_overhead() {
    // 150,000 gas and 1,000 bytes at 10 gwei, with margin, at 1,000 OBX per ETH.
    let overhead = 166_000 * 10 * u128::from(GWEI) * 1_000 * 3 / 2;
    let target = |gas: u128, charged: u128| GWEI + ((overhead - charged) / gas) as u64;
    let dear = L1Prices { gas: 10 * GWEI, blob_gas: u128::from(10 * GWEI) };
    let data_gas = 1_000_000;
    let cases = [
        ("free L1", rollup(2_000_000, 1_000, 0), L1Prices::default(), GWEI),
        ("busy", rollup(30_000_000, 1_000, 0), dear, target(30_000_000, 0)),
        ("half as busy", rollup(15_000_000, 1_000, 0), dear, target(15_000_000, 0)),
        ("idle: the pool bears most", rollup(0, 1_000, 0), dear, target(1_000_000, 0)),
        (
            "data pays its part",
            rollup(30_000_000, 1_000, data_gas),
            dear,
            target(30_000_000, u128::from(data_gas * GWEI)),
        ),
        ("data pays more than all", rollup(30_000_000, 0, 300_000_000_000), dear, GWEI),
    ];
    for (name, rollup, prices, expected) in cases {
        let settled = play(&mut Fees::default(), GWEI, 1_500, prices, &rollup);
        let tolerance = expected / 1_000 + 1;
        assert!(settled.abs_diff(expected) <= tolerance, "{name}: {settled}, not {expected}");
    }
}

#[test]
fn one_l1_block_moves_nothing_much() {
    let usual = L1Prices { gas: 10 * GWEI, blob_gas: u128::from(GWEI) };
    let spike = L1Prices { gas: u64::MAX, blob_gas: u128::MAX };
    let mut fees = Fees::default();
    let base_fee = play(&mut fees, GWEI, 500, usual, &rollup(20_000_000, 50_000, 0));
    let before = fees.l1_gas.get();
    fees.follow(spike);
    fees.include(&rollup(20_000_000, 50_000, 0), &config());
    assert!(fees.l1_gas.get() <= before + before / 64 + 1);
    assert!(fees.base_fee(base_fee, &config()) <= base_fee + base_fee / 64);
    fees.follow(L1Prices::default());
    assert!(fees.l1_gas.get() >= before - before / 64 - 1);
}

#[test]
fn prices_return_from_nothing() {
    let mut fees = Fees::default();
    let usual = L1Prices { gas: GWEI, blob_gas: 1 };
    play(&mut fees, GWEI, 10, usual, &rollup(1, 1, 0));
    play(&mut fees, GWEI, 3_000, L1Prices::default(), &rollup(0, 0, 0));
    assert_eq!(fees.l1_gas.get(), 0);
    play(&mut fees, GWEI, 3_000, usual, &rollup(1, 1, 0));
    assert!(fees.l1_gas.get() >= u128::from(GWEI - 100), "{}", fees.l1_gas.get());
}

#[test]
fn estimates_suffice_for_seven_blocks_that_move_as_far_as_they_can() {
    let usual = L1Prices { gas: 20 * GWEI, blob_gas: u128::from(20 * GWEI) };
    for base_fee in [GWEI, 700 * GWEI, 9_000 * GWEI, 40_000 * GWEI] {
        let mut fees = Fees::default();
        fees.follow(usual);
        let estimated = fees.estimated_data_gas_per_token(base_fee, &config());
        let mut falling = base_fee;
        for _ in 0..7 {
            fees.follow(L1Prices { gas: u64::MAX, blob_gas: u128::MAX });
            falling = base_fee_bounds(falling).0;
            assert!(fees.data_gas_per_token(falling, &config()) <= estimated, "{base_fee}");
        }
    }
}

#[test]
fn data_gas_is_the_price_of_bytes() {
    let mut fees = Fees::default();
    // A blob's byte costs 1.03 blob gas: 1,548 gwei of OBX at one gwei, with margin; a token a quarter.
    fees.follow(L1Prices { gas: 100 * GWEI, blob_gas: u128::from(GWEI) });
    for (base_fee, expected) in [
        (0, DATA_GAS_PER_TOKEN_MAX),
        (GWEI, DATA_GAS_PER_TOKEN_MAX),
        (38 * GWEI, 10),
        (100 * GWEI, 3),
        (386 * GWEI, 1),
        (388 * GWEI, 0),
        (u64::MAX, 0),
    ] {
        assert_eq!(fees.data_gas_per_token(base_fee, &config()), expected, "{base_fee}");
    }
}

#[test]
fn no_input_overflows() {
    let extreme = NetworkConfig {
        gasLimit: u64::MAX,
        computePrice: u64::MAX,
        obxPerEth: u64::MAX,
        rewardMarginPercent: u8::MAX,
        ..Default::default()
    };
    let mut fees = Fees::default();
    for _ in 0..1_000 {
        fees.follow(L1Prices { gas: u64::MAX, blob_gas: u128::MAX });
        fees.include(&rollup(u64::MAX, u64::MAX, u64::MAX), &extreme);
        fees.include(&rollup(0, u64::MAX, 0), &extreme);
        for config in [&extreme, &NetworkConfig::default()] {
            for base_fee in [0, 1, u64::MAX] {
                fees.base_fee(base_fee, config);
                fees.estimated_data_gas_per_token(base_fee, config);
            }
        }
    }
}
