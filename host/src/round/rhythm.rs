//! How long candidates may compete: a share of L1's block time as it was seen here. Not here: the timer.

use std::time::Duration;

/// The gossip window at most. It has to cover how much later than others a host hears of an L1 block, and
/// the way of a candidate after that: together up to two seconds. A window that is too short costs
/// everybody: several believe that they have won, and each of them pays L1 for its rollup. One that is too long costs a round
/// at most, so this is the window also as long as L1's rhythm is not known: after a restart.
const WINDOW_MAX: Duration = Duration::from_secs(2);
/// The gossip window as a share of L1's block time.
const WINDOWS_PER_BLOCK: u32 = 6;
/// After this share of the window the payload of the best candidate is asked for. Most announcements have
/// arrived by then, so that few payloads travel in vain, and the rest of the window is left for it.
const GATHERINGS_PER_WINDOW: u32 = 4;

/// The time in which a window's announcements are gathered.
pub fn gathering(window: Duration) -> Duration {
    window / GATHERINGS_PER_WINDOW
}

/// The pace of L1.
#[derive(Debug, Default)]
pub struct Rhythm {
    /// The last block, and when it was heard of; not for the first one, which may be old news.
    last: Option<(u64, Option<Duration>)>,
    block_time: Option<Duration>,
}

impl Rhythm {
    /// The enclave's head is the L1 block of this number, at this time by any steady clock. Blocks that come
    /// in a row while a host catches up say little of L1's pace: it rises at once and falls slowly.
    pub fn block(&mut self, number: u64, now: Duration) {
        let heard = self.last.is_some().then_some(now);
        if let Some((last, Some(at))) = self.last.replace((number, heard))
            && number == last + 1
        {
            let seen = now.saturating_sub(at);
            let average = self.block_time.map_or(seen, |known| seen.max((known * 7 + seen) / 8));
            self.block_time = Some(average);
        }
    }

    /// The gossip window.
    pub fn window(&self) -> Duration {
        let share = |time: Duration| (time / WINDOWS_PER_BLOCK).min(WINDOW_MAX);
        self.block_time.map_or(WINDOW_MAX, share)
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
    }

    /// Rule: who does not know how long to wait waits long. Found by `simulator --scenario blackout`: when
    /// all hosts had restarted, a third of the publications were losing siblings.
    #[test]
    fn who_has_just_started_waits_as_long_as_anybody() {
        assert_eq!(Rhythm::default().window(), WINDOW_MAX);
    }

    #[test]
    fn a_gap_does_not_count() {
        let mut rhythm = Rhythm::default();
        rhythm.block(1, Duration::ZERO);
        rhythm.block(5, Duration::from_secs(100));
        assert_eq!(rhythm.window(), WINDOW_MAX);
    }

    /// Rule: neither the head that a host finds when it starts nor blocks that it catches up on make it
    /// hasty.
    #[test]
    fn old_news_do_not_shorten_the_window() {
        let mut rhythm = Rhythm::default();
        let at = Duration::from_millis;
        rhythm.block(1, at(0));
        rhythm.block(2, at(600));
        assert_eq!(rhythm.window(), WINDOW_MAX);
        rhythm.block(3, at(12_600));
        rhythm.block(4, at(12_700));
        assert!(rhythm.window() > at(1_700));
        rhythm.block(5, at(36_600));
        assert_eq!(rhythm.window(), WINDOW_MAX);
    }
}
