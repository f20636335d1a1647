//! How long candidates may compete: a share of L1's block time as it was seen here. Not here: the timer.

use std::time::Duration;

/// The gossip window at most. It has to cover how much later than others a host hears of an L1 block, and
/// the way of a candidate after that: together up to two seconds. A window that is too short costs
/// everybody: several believe that they have won, and each of them pays L1 for its rollup.
const WINDOW_MAX: Duration = Duration::from_secs(2);
/// The gossip window while L1's rhythm is not known.
const WINDOW_AT_FIRST: Duration = Duration::from_millis(100);
/// The gossip window as a share of L1's block time.
const WINDOWS_PER_BLOCK: u32 = 6;

/// The pace of L1.
#[derive(Debug, Default)]
pub struct Rhythm {
    last: Option<(u64, Duration)>,
    block_time: Option<Duration>,
}

impl Rhythm {
    /// The enclave's head is the L1 block of this number, at this time by any steady clock.
    pub fn block(&mut self, number: u64, now: Duration) {
        if let Some((last, at)) = self.last.replace((number, now))
            && number == last + 1
        {
            let seen = now.saturating_sub(at);
            let average = self.block_time.map_or(seen, |known| (known * 3 + seen) / 4);
            self.block_time = Some(average);
        }
    }

    /// The gossip window.
    pub fn window(&self) -> Duration {
        let share = |time: Duration| (time / WINDOWS_PER_BLOCK).min(WINDOW_MAX);
        self.block_time.map_or(WINDOW_AT_FIRST, share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(block_time: Duration) -> Duration {
        let mut rhythm = Rhythm::default();
        for number in 0..10 {
            rhythm.block(number, block_time * number as u32);
        }
        rhythm.window()
    }

    /// Rule: the window covers what L1 blocks and candidates take to arrive. With mainnet's block time both
    /// take up to a tenth of it each, as `simulator --scenario forks` has it.
    #[test]
    fn the_window_covers_the_latency_of_l1_and_of_gossip() {
        let block = Duration::from_secs(12);
        let latency_max = block / 10;
        assert!(after(block) >= latency_max + latency_max * 2 / 3);
        assert_eq!(after(Duration::from_secs(2)), Duration::from_secs(2) / 6);
        assert_eq!(after(Duration::from_secs(60)), WINDOW_MAX);
        assert_eq!(Rhythm::default().window(), WINDOW_AT_FIRST);
    }

    #[test]
    fn a_gap_does_not_count() {
        let mut rhythm = Rhythm::default();
        rhythm.block(1, Duration::ZERO);
        rhythm.block(5, Duration::from_secs(100));
        assert_eq!(rhythm.window(), WINDOW_AT_FIRST);
    }
}
