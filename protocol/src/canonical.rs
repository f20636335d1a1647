//! Which of the valid siblings is canonical (protocol 5.3). Not here: what makes a rollup valid.

use crate::rollup::RollupHeader;
use std::cmp::{Ordering, Reverse};

/// Orders valid siblings that lie in the same L1 block: the smaller wins. The most recent L1 proof
/// first, then the lowest nonce, then the lowest hash. Primogeniture is the fold's: a sibling in a
/// later L1 block never competes.
pub fn precedence(a: &RollupHeader, b: &RollupHeader) -> Ordering {
    let key = |header: &RollupHeader| (Reverse(header.l1ProofNumber), header.nonce);
    // Hashing costs more than the rest, and ties are rare.
    key(a).cmp(&key(b)).then_with(|| a.hash().cmp(&b.hash()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::U256;

    fn header(proof: u64, nonce: u64, number: u64) -> RollupHeader {
        RollupHeader {
            l1ProofNumber: proof,
            nonce: U256::from(nonce),
            number,
            ..Default::default()
        }
    }

    #[test]
    fn rules_in_their_order() {
        let cases = [
            ("most recent proof beats the nonce", header(9, 50, 1), header(8, 1, 1)),
            ("lowest nonce in the same round", header(9, 1, 1), header(9, 2, 1)),
        ];
        for (rule, winner, loser) in cases {
            assert_eq!(precedence(&winner, &loser), Ordering::Less, "{rule}");
            assert_eq!(precedence(&loser, &winner), Ordering::Greater, "{rule}");
        }
        let (a, b) = (header(9, 1, 1), header(9, 1, 2));
        assert_eq!(precedence(&a, &b), a.hash().cmp(&b.hash()), "lowest hash decides a tie");
    }
}
