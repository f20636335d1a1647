//! What things cost (protocol 10.2): the standard cost of publishing a rollup on L1, what that is in
//! OBX, and how far the price of gas on L2 may move. Pure functions of integers that saturate. Not
//! here: the averages that decide the price (the enclave's `fees`), and what a publisher offers on L1
//! (the host's `publisher`).

use crate::config::NetworkConfig;
use alloy_primitives::U256;

/// Gas of a `publish` transaction apart from its payload, a little above what is measured.
pub const PUBLICATION_GAS: u64 = 150_000;
/// What blobs must save before they are used, in gas: their proofs cost the publisher half a second of
/// a processor each, and a blob transaction that misses its block is replaced only at twice the price.
pub const BLOB_BURDEN_GAS: u64 = 50_000;
/// Gas of a byte of payload in calldata: payloads are encrypted, so nearly none of it is zero.
pub const CALLDATA_GAS_PER_BYTE: u64 = 16;
/// Gas of it at least, instead of all gas but the transaction's own 21,000 (EIP-7623).
const CALLDATA_FLOOR_GAS_PER_BYTE: u64 = 40;
const TRANSACTION_GAS: u64 = 21_000;
/// Blob gas of a blob (EIP-4844).
pub const GAS_PER_BLOB: u64 = 131_072;
/// Field elements of a blob, and the bytes that one holds; the first of all holds the length.
const ELEMENTS_PER_BLOB: u64 = 4_096;
const BYTES_PER_ELEMENT: u64 = 31;
/// Bytes that a blob holds.
pub const BYTES_PER_BLOB: u64 = ELEMENTS_PER_BLOB * BYTES_PER_ELEMENT;

/// The base fee moves at most by this share of itself from one rollup to the next.
pub const BASE_FEE_CHANGE: u64 = 64;
/// Wallets are told this much more than what is valid now, percent: rises of fourteen rollups in a row,
/// and of data gas for seven L1 blocks in which both of its prices move against it as far as they can.
pub const MARGIN_PERCENT: u64 = 25;

/// Prices on L1, in wei.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct L1Prices {
    /// Of gas: a block's base fee.
    pub gas: u64,
    /// Of blob gas.
    pub blob_gas: u128,
}

impl L1Prices {
    /// What it costs to publish a payload of this length, in wei: in calldata, or in blobs where they save
    /// enough. The same for everybody, whatever the publisher chose and paid, and nothing but gas: the
    /// burden of blobs is what the margin is for.
    pub fn publication(&self, payload_bytes: u64) -> u128 {
        let (in_calldata, in_blobs) = self.carriers(payload_bytes);
        let burden = u128::from(self.gas).saturating_mul(BLOB_BURDEN_GAS.into());
        if in_calldata <= in_blobs.saturating_add(burden) { in_calldata } else { in_blobs }
    }

    /// The most that is paid for it, in wei: twice what it costs whoever chooses what is cheaper for him
    /// (5.7).
    pub fn reward_max(&self, payload_bytes: u64) -> u128 {
        let (in_calldata, in_blobs) = self.carriers(payload_bytes);
        in_calldata.min(in_blobs).saturating_mul(2)
    }

    /// What it costs in calldata, and in blobs.
    fn carriers(&self, payload_bytes: u64) -> (u128, u128) {
        let standard = PUBLICATION_GAS
            .saturating_add(CALLDATA_GAS_PER_BYTE.saturating_mul(payload_bytes))
            .max(
                TRANSACTION_GAS
                    .saturating_add(CALLDATA_FLOOR_GAS_PER_BYTE.saturating_mul(payload_bytes)),
            );
        let gas = |amount: u64| u128::from(self.gas).saturating_mul(amount.into());
        let blob_gas = GAS_PER_BLOB.saturating_mul(blobs(payload_bytes));
        let in_calldata = gas(standard);
        let in_blobs =
            gas(PUBLICATION_GAS).saturating_add(self.blob_gas.saturating_mul(blob_gas.into()));
        (in_calldata, in_blobs)
    }

    /// What a thousand bytes more cost, in wei, in a rollup that is full enough.
    pub fn thousand_bytes(&self) -> u128 {
        let calldata = u128::from(self.gas).saturating_mul((CALLDATA_GAS_PER_BYTE * 1_000).into());
        let blobs = self.blob_gas.saturating_mul((GAS_PER_BLOB * 1_000).into())
            / u128::from(BYTES_PER_BLOB);
        calldata.min(blobs)
    }
}

/// Blobs that a payload of this length fills.
fn blobs(payload_bytes: u64) -> u64 {
    payload_bytes.div_ceil(BYTES_PER_ELEMENT).saturating_add(1).div_ceil(ELEMENTS_PER_BLOB)
}

impl NetworkConfig {
    /// An amount of wei on L1 in the smallest unit of OBX.
    pub fn obx(&self, wei: u128) -> u128 {
        let obx = U256::from(wei) * U256::from(self.obxPerEth) / U256::from(OBX_PER_ETH_UNIT);
        obx.saturating_to()
    }

    /// What the pool pays for a publication on time that costs this much, both in OBX: a margin more,
    /// and never more than twice the cost (protocol 5.7), nor than [`L1Prices::reward_max`].
    pub fn with_margin(&self, cost: u128) -> u128 {
        let percent = u64::from(self.rewardMarginPercent).min(100);
        (U256::from(cost) * U256::from(100 + percent) / U256::from(100)).saturating_to()
    }

    /// Gas of a rollup below which a network is not made to pay all of its overhead: the pool, into
    /// which is minted meanwhile, bears the rest.
    pub fn gas_share_min(&self) -> u64 {
        (self.gasLimit / 64).max(1)
    }
}

/// [`NetworkConfig::obxPerEth`] counts billionths.
const OBX_PER_ETH_UNIT: u64 = 1_000_000_000;

/// The least and the most that a child may charge after a parent with this base fee.
pub fn base_fee_bounds(parent: u64) -> (u64, u64) {
    let step = (parent / BASE_FEE_CHANGE).max(1);
    (parent.saturating_sub(step).max(1), parent.saturating_add(step))
}

/// What wallets should offer so that it suffices for the next rollups: the base fee with
/// [`MARGIN_PERCENT`]. Whatever is offered, only the base fee is paid.
pub fn suggested_price(base_fee: u64) -> u64 {
    base_fee.saturating_add(base_fee.div_ceil(100).saturating_mul(MARGIN_PERCENT))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GWEI: u64 = 1_000_000_000;

    #[test]
    fn the_cheaper_carrier_is_the_standard() {
        let at = |gas, blob_gas| L1Prices { gas, blob_gas };
        let cases = [
            ("empty", 0, at(GWEI, 1), 150_000 * u128::from(GWEI)),
            ("small, in calldata", 1_000, at(GWEI, 1), 166_000 * u128::from(GWEI)),
            ("large, in a blob", 100_000, at(GWEI, 3), 150_000 * u128::from(GWEI) + 131_072 * 3),
            ("two blobs", 126_946, at(0, 7), 0),
            ("floor of calldata", 20_000, at(GWEI, u128::MAX), 821_000 * u128::from(GWEI)),
            ("free", 1 << 20, at(0, 0), 0),
            ("no overflow", u64::MAX, at(u64::MAX, u128::MAX), {
                u128::from(u64::MAX) * u128::from(u64::MAX)
            }),
        ];
        for (name, bytes, prices, expected) in cases {
            assert_eq!(prices.publication(bytes), expected, "{name}");
        }
        assert_eq!((blobs(0), blobs(126_945), blobs(126_946)), (1, 1, 2));
    }

    #[test]
    fn nobody_is_paid_more_than_twice_the_gas() {
        // Wei, and what the same publication costs with the cheaper carrier's gas alone.
        let config =
            NetworkConfig { rewardMarginPercent: 255, obxPerEth: GWEI, ..Default::default() };
        for (bytes, blob_gas) in [(0, 1), (3_125, 1), (3_126, 1), (40_000, 7), (500_000, 1 << 40)] {
            let prices = L1Prices { gas: GWEI, blob_gas };
            let calldata = (150_000 + 16 * bytes).max(21_000 + 40 * bytes) * GWEI;
            let in_blobs =
                u128::from(150_000 * GWEI) + u128::from(131_072 * blobs(bytes)) * blob_gas;
            let paid = config.with_margin(config.obx(prices.publication(bytes)));
            let paid = paid.min(config.obx(prices.reward_max(bytes)));
            assert_eq!(paid, 2 * in_blobs.min(calldata.into()), "{bytes} bytes");
        }
    }

    #[test]
    fn bytes_cost_what_the_cheaper_carrier_does() {
        assert_eq!(L1Prices { gas: 5, blob_gas: 1 }.thousand_bytes(), 1_032);
        assert_eq!(L1Prices { gas: 5, blob_gas: 1_000_000 }.thousand_bytes(), 80_000);
        assert_eq!(L1Prices { gas: u64::MAX, blob_gas: u128::MAX }.thousand_bytes() >> 64, 15_999);
    }

    #[test]
    fn rewards_stay_below_twice_the_cost() {
        let config = |percent, rate| NetworkConfig {
            rewardMarginPercent: percent,
            obxPerEth: rate,
            ..Default::default()
        };
        for (percent, expected) in [(0, 1_000), (50, 1_500), (100, 2_000), (255, 2_000)] {
            assert_eq!(config(percent, 0).with_margin(1_000), expected);
        }
        assert_eq!(config(0, 1_000 * GWEI).obx(7), 7_000);
        assert_eq!(config(0, GWEI / 2).obx(7), 3);
        assert_eq!(
            config(255, u64::MAX).with_margin(config(0, u64::MAX).obx(u128::MAX)),
            u128::MAX
        );
    }

    #[test]
    fn the_base_fee_moves_little() {
        for (parent, expected) in
            [(0, (1, 1)), (1, (1, 2)), (64, (63, 65)), (6_400, (6_300, 6_500))]
        {
            assert_eq!(base_fee_bounds(parent), expected);
        }
        assert_eq!(base_fee_bounds(u64::MAX).1, u64::MAX);
        // What is suggested covers fourteen rises.
        for base_fee in [100, GWEI, 47 * GWEI] {
            let risen = (0..14).fold(base_fee, |fee, _| base_fee_bounds(fee).1);
            assert!(suggested_price(base_fee) >= risen, "{base_fee}");
        }
        assert_eq!(suggested_price(u64::MAX), u64::MAX);
    }
}
