//! Messages published while no peer was there: they go to the first that comes. Not here: the
//! repetition of messages that a peer missed (gossipsub's).

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Most messages kept.
const MESSAGES_MAX: usize = 64;
/// Most bytes kept.
const BYTES_MAX: usize = 8 * 1024 * 1024;
/// How long a message is worth sending.
const AGE_MAX: Duration = Duration::from_secs(60);

struct Kept {
    since: Instant,
    data: Vec<u8>,
}

/// What waits for a peer.
#[derive(Default)]
pub struct Outbox {
    /// The newest candidate: an older one has lost its round.
    candidate: Option<Kept>,
    transactions: VecDeque<Kept>,
    bytes: usize,
}

impl Outbox {
    /// Keeps a message.
    pub fn keep(&mut self, data: Vec<u8>, is_candidate: bool, now: Instant) {
        let kept = Kept { since: now, data };
        if is_candidate {
            self.candidate = Some(kept);
            return;
        }
        self.bytes += kept.data.len();
        self.transactions.push_back(kept);
        while self.bytes > BYTES_MAX || self.transactions.len() > MESSAGES_MAX {
            let Some(oldest) = self.transactions.pop_front() else {
                return;
            };
            self.bytes -= oldest.data.len();
        }
    }

    /// Takes everything that is not too old, with whether it is a candidate.
    pub fn take(&mut self, now: Instant) -> Vec<(Vec<u8>, bool)> {
        self.bytes = 0;
        let transactions = self.transactions.drain(..).map(|kept| (kept, false));
        let candidate = self.candidate.take().map(|kept| (kept, true));
        transactions
            .chain(candidate)
            .filter(|(kept, _)| now.duration_since(kept.since) < AGE_MAX)
            .map(|(kept, is_candidate)| (kept.data, is_candidate))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_newest_candidate_and_bounded_transactions() {
        let (mut outbox, now) = (Outbox::default(), Instant::now());
        outbox.keep(vec![1], true, now);
        outbox.keep(vec![2], true, now);
        outbox.keep(vec![0; BYTES_MAX / 2], false, now);
        outbox.keep(vec![1; BYTES_MAX / 2], false, now);
        outbox.keep(vec![3], false, now);
        let taken = outbox.take(now);
        assert_eq!(taken.len(), 3);
        assert_eq!((taken[0].0[0], &taken[1], &taken[2]), (1, &(vec![3], false), &(vec![2], true)));
        assert!(outbox.take(now).is_empty());
    }

    #[test]
    fn forgets_what_is_old() {
        let (mut outbox, now) = (Outbox::default(), Instant::now());
        outbox.keep(vec![1], true, now);
        outbox.keep(vec![2], false, now + AGE_MAX);
        assert_eq!(outbox.take(now + AGE_MAX), [(vec![2], false)]);
    }
}
