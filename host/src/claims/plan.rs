//! When a node looks at the pool, and which claims it sends then: pure functions of rollup numbers, amounts
//! and prices. Not here: asking and sending (`claims`).
//!
//! All nodes of a network look at the same rollups. A claim makes a rollup, and publishing that earns again:
//! claims that come together make one rollup, and hide among each other.

use alloy_primitives::{Bytes, U256};
use obscuro_protocol::fees::suggested_price;
use std::num::NonZeroU64;

/// What is owed is claimed at rollups whose number this divides, unless the operator says otherwise.
pub const EVERY: NonZeroU64 = NonZeroU64::new(64).unwrap();
/// Prizes are looked for at rollups whose number this divides: often enough to see each while it is open,
/// for 16 rollups.
const PRIZES_EVERY: u64 = 8;
/// Most claims of one look.
pub const CLAIMS_MAX: usize = 4;
/// A claim is sent if it brings this many times its fee.
const WORTH_MIN: u64 = 4;

/// What is to be done at a rollup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Whether to claim what is owed, and not only prizes.
    pub payment: bool,
}

/// When to look.
#[derive(Debug)]
pub struct Pace {
    every: NonZeroU64,
    last: Option<u64>,
}

impl Pace {
    /// Nothing is due at the first rollup seen: a node that keeps restarting must not claim each time.
    pub fn new(every: NonZeroU64) -> Self {
        Self { every, last: None }
    }

    /// What is due now that this is the newest rollup.
    pub fn at(&mut self, rollup: u64) -> Option<Due> {
        let last = self.last.replace(rollup)?;
        let passed = |every: u64| rollup / every > last / every;
        let payment = passed(self.every.get());
        (payment || passed(PRIZES_EVERY)).then_some(Due { payment })
    }
}

/// A claim that could be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The call of the pool.
    pub input: Bytes,
    /// What it brings, in the smallest unit of OBX.
    pub amount: U256,
    /// Its gas limit.
    pub gas: u64,
}

fn cost(gas: u64, price: u128) -> U256 {
    U256::from(gas).saturating_mul(U256::from(price))
}

/// Whether something is worth the gas that it takes.
pub fn is_worth(amount: U256, gas: u64, price: u128) -> bool {
    !amount.is_zero() && amount >= cost(gas, price).saturating_mul(U256::from(WORTH_MIN))
}

/// The claims to send, those that bring most first, and whether the account is too short of OBX to send
/// others that are worth it.
pub fn choose(mut offers: Vec<Offer>, base_fee: u64, balance: U256) -> (Vec<Offer>, bool) {
    offers.retain(|offer| is_worth(offer.amount, offer.gas, base_fee.into()));
    offers.sort_by_key(|offer| std::cmp::Reverse(offer.amount));
    offers.truncate(CLAIMS_MAX);
    let mut left = balance;
    let price = suggested_price(base_fee).into();
    let affordable = |offer: &&Offer| match left.checked_sub(cost(offer.gas, price)) {
        Some(rest) => {
            left = rest;
            true
        }
        None => false,
    };
    let chosen: Vec<_> = offers.iter().take_while(affordable).cloned().collect();
    let is_short = chosen.len() < offers.len();
    (chosen, is_short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_looks_when_a_rollup_that_counts_has_passed() {
        let payment = Some(Due { payment: true });
        let prizes = Some(Due { payment: false });
        // Rollups as they are seen, and what is due at the last of them.
        let cases: [(&str, &[u64], Option<Due>); 9] = [
            ("after a start, nothing", &[64], None),
            ("in between, nothing", &[64, 71], None),
            ("prizes", &[64, 72], prizes),
            ("once each", &[64, 72, 73], None),
            ("what is owed", &[127, 128], payment),
            ("once", &[127, 128, 129], None),
            ("though that one was not seen", &[127, 150], payment),
            ("not when rollups are taken back", &[128, 127], None),
            ("but again when they come anew", &[128, 127, 128], payment),
        ];
        for (name, seen, expected) in cases {
            let mut pace = Pace::new(EVERY);
            let due = seen.iter().map(|rollup| pace.at(*rollup)).last().unwrap();
            assert_eq!(due, expected, "{name}");
        }
        let mut pace = Pace::new(NonZeroU64::new(2).unwrap());
        assert_eq!([1, 2, 3].map(|rollup| pace.at(rollup)), [None, payment, None], "faster");
    }

    #[test]
    fn claims_are_few_worth_their_fee_and_affordable() {
        let offer =
            |amount: u64| Offer { input: Bytes::new(), amount: U256::from(amount), gas: 100 };
        // At a base fee of 100 each costs 10,000, and 12,500 must be there.
        type Case<'a> = (&'a str, &'a [u64], u64, &'a [u64], bool);
        let cases: [Case<'_>; 7] = [
            ("nothing", &[], 1 << 40, &[], false),
            ("too little", &[39_999], 1 << 40, &[], false),
            ("enough", &[40_000], 12_500, &[40_000], false),
            ("the best first", &[40_000, 50_000], 1 << 40, &[50_000, 40_000], false),
            ("four at most", &[41_000; 9], 1 << 40, &[41_000; 4], false),
            ("what can be paid", &[50_000, 60_000], 24_999, &[60_000], true),
            ("no OBX at all", &[60_000], 0, &[], true),
        ];
        for (name, amounts, balance, expected, short) in cases {
            let offers = amounts.iter().map(|amount| offer(*amount)).collect();
            let (chosen, is_short) = choose(offers, 100, U256::from(balance));
            let expected: Vec<_> = expected.iter().map(|amount| offer(*amount)).collect();
            assert_eq!((chosen, is_short), (expected, short), "{name}");
        }
    }
}
