//! What time it is on L1, as far as a gateway can tell. Requests expire by L1's clock, which on a
//! development network may run ahead of or behind this machine's. Not here: who checks the expiry
//! (the enclave, against the L1 blocks it verified).

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

/// A published rollup is older than L1's head by up to so many seconds: no reason to think that
/// the clocks differ.
const PUBLICATION_SECONDS_MAX: i64 = 300;

/// An estimate of L1 time: this machine's clock and a correction.
#[derive(Debug, Default)]
pub struct L1Clock {
    ahead_seconds: AtomicI64,
}

impl L1Clock {
    /// Seconds since 1970 on L1.
    pub fn now(&self) -> u64 {
        wall_seconds().saturating_add_signed(self.ahead_seconds.load(Ordering::Relaxed))
    }

    /// A rollup of unknown age bears this time: L1 is not earlier.
    pub fn not_before(&self, timestamp: u64) {
        if timestamp > self.now() {
            self.correct(timestamp);
        }
    }

    /// A rollup was published just now and bears this time.
    pub fn just_published(&self, timestamp: u64) {
        let ahead = ahead_of_wall(timestamp);
        let is_same_clock = (-PUBLICATION_SECONDS_MAX..=0).contains(&ahead);
        let ahead = if is_same_clock { 0 } else { ahead };
        self.ahead_seconds.store(ahead, Ordering::Relaxed);
    }

    /// The enclave says what time it is.
    pub fn correct(&self, now: u64) {
        self.ahead_seconds.store(ahead_of_wall(now), Ordering::Relaxed);
    }
}

/// How much later than this machine's clock a time is.
fn ahead_of_wall(time: u64) -> i64 {
    time.checked_signed_diff(wall_seconds()).unwrap_or(i64::MAX)
}

fn wall_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const YEAR: u64 = 31_536_000;

    fn close(a: u64, b: u64) -> bool {
        a.abs_diff(b) <= 2
    }

    #[test]
    fn follows_a_clock_that_runs_ahead_or_behind() {
        let clock = L1Clock::default();
        let wall = wall_seconds();
        clock.not_before(wall - YEAR);
        assert!(close(clock.now(), wall), "an old rollup says nothing");
        clock.just_published(wall - 60);
        assert!(close(clock.now(), wall), "publication takes a while");
        clock.not_before(wall + YEAR);
        assert!(close(clock.now(), wall + YEAR), "a rollup from the future");
        clock.just_published(wall - YEAR);
        assert!(close(clock.now(), wall - YEAR), "a chain that lives in the past");
        clock.correct(wall + 10);
        assert!(close(clock.now(), wall + 10), "the enclave knows");
        clock.correct(u64::MAX);
        assert!(clock.now() > wall, "nonsense does not overflow");
    }
}
