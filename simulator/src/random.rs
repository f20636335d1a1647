//! All chance of a run, from its seed: independent streams by name, so that one more draw in one place
//! moves nothing in another. Not here: the enclaves' entropy (`device`).

use alloy_primitives::keccak256;
use std::time::Duration;

/// One stream of pseudo-random numbers (xorshift with a multiplied output). Good enough to schedule;
/// nothing secret comes from it.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The stream of this name in the run with this seed.
    pub fn new(seed: u64, stream: &str) -> Self {
        let hash = keccak256([&seed.to_be_bytes(), stream.as_bytes()].concat());
        let mut word = [0; 8];
        word.copy_from_slice(&hash[..8]);
        Self(u64::from_be_bytes(word) | 1)
    }

    /// Any number.
    pub fn word(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`; zero if that is zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.word()) * u128::from(bound)) >> 64) as u64
    }

    /// An index of a list that is not empty.
    pub fn index(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    /// Between two times.
    pub fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let span = most.saturating_sub(least).as_micros() as u64;
        least + Duration::from_micros(self.below(span + 1))
    }

    /// True so many times in a thousand.
    pub fn per_mille(&mut self, chance: u64) -> bool {
        self.below(1_000) < chance
    }

    /// In [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.word() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// An exponentially distributed time.
    pub fn exponential(&mut self, mean: Duration) -> Duration {
        mean.mul_f64(-(1.0 - self.unit()).ln())
    }

    /// So many different indices of a list.
    pub fn choose(&mut self, length: usize, count: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..length).collect();
        for place in 0..count.min(length) {
            let other = place + self.index(length - place);
            all.swap(place, other);
        }
        all.truncate(count);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_repeat_and_differ() {
        let draw = |seed, name| Random::new(seed, name).word();
        assert_eq!(draw(1, "a"), draw(1, "a"));
        assert_ne!(draw(1, "a"), draw(1, "b"));
        assert_ne!(draw(1, "a"), draw(2, "a"));
    }

    #[test]
    fn exponential_times_have_their_mean() {
        let mut random = Random::new(1, "test");
        let mean = Duration::from_secs(12);
        let sum: f64 = (0..20_000).map(|_| random.exponential(mean).as_secs_f64()).sum();
        assert!((sum / 20_000.0 - 12.0).abs() < 0.5, "{}", sum / 20_000.0);
    }
}
