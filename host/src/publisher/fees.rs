//! What the operator offers for inclusion in the next L1 block (EIP-1559, EIP-4844), and how much more
//! for a replacement. Not here: what a transaction carries (`carrier`).

/// Prices of the next L1 block, wei.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prices {
    /// Per gas.
    pub base_fee: u128,
    /// Per gas, to the proposer.
    pub priority_fee: u128,
    /// Per blob gas.
    pub blob_base_fee: u128,
}

/// What a transaction offers, wei.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fees {
    /// Most per gas.
    pub max_fee: u128,
    /// To the proposer, per gas.
    pub priority_fee: u128,
    /// Most per blob gas; zero without blobs.
    pub max_blob_fee: u128,
}

impl Prices {
    /// Enough to stay includable while base fees double; the excess is not paid.
    pub fn offer(&self, has_blobs: bool) -> Fees {
        let max_blob_fee = self.blob_base_fee.saturating_mul(2).max(1);
        Fees {
            max_fee: self.base_fee.saturating_mul(2).saturating_add(self.priority_fee),
            priority_fee: self.priority_fee,
            max_blob_fee: if has_blobs { max_blob_fee } else { 0 },
        }
    }

    /// What one gas will cost.
    pub fn gas_price(&self) -> u128 {
        self.base_fee.saturating_add(self.priority_fee)
    }
}

impl Fees {
    /// The least that nodes take as a replacement: an eighth more (geth wants a tenth), twice as much
    /// with blobs.
    pub fn bumped(&self) -> Self {
        let bump = |fee: u128| match self.max_blob_fee {
            0 => fee.saturating_add(fee.div_ceil(8)).max(1),
            _ => fee.saturating_mul(2).max(1),
        };
        Self {
            max_fee: bump(self.max_fee),
            priority_fee: bump(self.priority_fee),
            max_blob_fee: self.max_blob_fee.saturating_mul(2),
        }
    }

    /// At least as much as both.
    pub fn max(&self, other: Self) -> Self {
        Self {
            max_fee: self.max_fee.max(other.max_fee),
            priority_fee: self.priority_fee.max(other.priority_fee),
            max_blob_fee: self.max_blob_fee.max(other.max_blob_fee),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GWEI: u128 = 1_000_000_000;

    #[test]
    fn offers_survive_a_doubled_base_fee() {
        let prices = Prices { base_fee: 10 * GWEI, priority_fee: 2 * GWEI, blob_base_fee: 3 };
        let plain = prices.offer(false);
        assert_eq!(
            (plain.max_fee, plain.priority_fee, plain.max_blob_fee),
            (22 * GWEI, 2 * GWEI, 0)
        );
        assert_eq!(prices.offer(true).max_blob_fee, 6);
        assert_eq!(prices.gas_price(), 12 * GWEI);
    }

    #[test]
    fn replacements_pay_enough_more() {
        let plain = Fees { max_fee: 22 * GWEI, priority_fee: 2 * GWEI, max_blob_fee: 0 };
        let blobs = Fees { max_blob_fee: 1, ..plain };
        for (fees, percent) in [(plain, 112), (blobs, 200)] {
            let bumped = fees.bumped();
            assert!(bumped.max_fee * 100 >= fees.max_fee * percent);
            assert!(bumped.priority_fee * 100 >= fees.priority_fee * percent);
            assert!(bumped.max_blob_fee * 100 >= fees.max_blob_fee * percent);
            assert!(bumped.priority_fee <= bumped.max_fee);
        }
        // Nothing can be raised from zero by a share of it.
        let free = Fees { max_fee: 0, priority_fee: 0, max_blob_fee: 0 };
        assert!(free.bumped().max_fee > 0);
        let huge = Fees { max_fee: u128::MAX, priority_fee: u128::MAX, max_blob_fee: 0 };
        assert_eq!(huge.bumped().max_fee, u128::MAX);
    }
}
