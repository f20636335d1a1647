//! The price of gas on L2 (protocol 10.2): moving averages of what L1 costs and what L2 is used, folded
//! from L1 blocks and canonical rollups, and the base fee and data gas that follow. Not here: what a
//! publication costs (`obscuro_protocol::fees`), and who is paid (`rewards`).

use crate::view::Rollup;
use obscuro_protocol::{
    config::NetworkConfig,
    fees::{L1Prices, MARGIN_PERCENT, base_fee_bounds},
};
use serde::{Deserialize, Serialize};

/// Most gas that is added per token of data (EIP-7623: a zero byte is one, another byte four), so that
/// the largest transactions fit the gas limit of one. What that leaves uncharged is overhead.
pub const DATA_GAS_PER_TOKEN_MAX: u64 = 16;
const TOKENS_PER_BYTE: u64 = 4;
/// Samples that an average remembers.
const WEIGHT: u128 = 64;
/// Largest sample: sums of averages stay far from overflowing.
const SAMPLE_MAX: u128 = u128::MAX >> 16;

/// An exponential moving average, kept as the sum of its 64 samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Average(u128);

impl Average {
    fn get(self) -> u128 {
        self.0 / WEIGHT
    }

    /// Takes a sample in; the first one sets the average.
    fn add(&mut self, sample: u128) {
        let sample = sample.min(SAMPLE_MAX);
        self.0 = match self.0 {
            0 => sample * WEIGHT,
            sum => sum - sum / WEIGHT + sample,
        };
    }

    /// The same, moving the average up by a 64th of itself at most, as it moves down.
    fn add_smoothly(&mut self, sample: u128) {
        let most = self.get().saturating_mul(2).saturating_add(1);
        self.add(if self.0 == 0 { sample } else { sample.min(most) });
    }
}

/// What decides the price of the next rollup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fees {
    /// Prices in this L1 block: what publications in it cost.
    pub l1: L1Prices,
    l1_gas: Average,
    l1_blob_gas: Average,
    /// What publications cost the pool beyond what was charged for data, OBX per rollup.
    overhead: Average,
    /// Gas used per rollup.
    gas: Average,
}

impl Fees {
    /// The next L1 block has these prices.
    pub fn follow(&mut self, prices: L1Prices) {
        self.l1 = prices;
        self.l1_gas.add_smoothly(prices.gas.into());
        self.l1_blob_gas.add_smoothly(prices.blob_gas);
    }

    /// This L1 block includes a canonical rollup.
    pub fn include(&mut self, rollup: &Rollup, config: &NetworkConfig) {
        let cost = config.obx(self.l1.publication(rollup.payload_bytes));
        let charged = u128::from(rollup.data_gas).saturating_mul(rollup.header.baseFee.into());
        self.overhead.add(config.with_margin(cost).saturating_sub(charged));
        self.gas.add(rollup.header.gasUsed.into());
    }

    /// The base fee of a child of a rollup with this one: the price of computing and a share of the
    /// overhead, approached in bounded steps.
    pub fn base_fee(&self, parent: u64, config: &NetworkConfig) -> u64 {
        let gas = self.gas.get().max(config.gas_share_min().into());
        let target = (self.overhead.get() / gas).saturating_add(config.computePrice.into());
        let (least, most) = base_fee_bounds(parent);
        u64::try_from(target).unwrap_or(u64::MAX).clamp(least, most)
    }

    /// Gas added per token of a transaction's data under a base fee.
    pub fn data_gas_per_token(&self, base_fee: u64, config: &NetworkConfig) -> u64 {
        self.data_gas(base_fee, 0, config)
    }

    /// The same with [`MARGIN_PERCENT`], so that an estimate suffices for later rollups.
    pub fn estimated_data_gas_per_token(&self, base_fee: u64, config: &NetworkConfig) -> u64 {
        self.data_gas(base_fee, MARGIN_PERCENT, config)
    }

    fn data_gas(&self, base_fee: u64, margin: u64, config: &NetworkConfig) -> u64 {
        let gas = self.l1_gas.get().try_into().unwrap_or(u64::MAX);
        let prices = L1Prices { gas, blob_gas: self.l1_blob_gas.get() };
        let thousand = config.with_margin(config.obx(prices.thousand_bytes()));
        let tokens = u128::from(base_fee.max(1)) * u128::from(1_000 * TOKENS_PER_BYTE) * 100;
        let gas = thousand.saturating_mul(u128::from(100 + margin)) / tokens;
        u64::try_from(gas).unwrap_or(u64::MAX).min(DATA_GAS_PER_TOKEN_MAX)
    }
}

#[cfg(test)]
mod tests;
