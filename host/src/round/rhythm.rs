//! How long candidates may compete: a share of L1's block time as it was seen here. Not here: the timer.

use std::time::Duration;

/// The gossip window at most.
const WINDOW_MAX: Duration = Duration::from_millis(500);
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
