//! Messages that the node has not taken yet. When it is too slow, the oldest transactions are lost
//! first and candidates last: a round is decided by candidates, transactions are sent again. Not
//! here: what the messages say.

use super::{GossipEvent, MessageId};
use obscuro_protocol::gossip::Gossip;
use std::collections::VecDeque;

/// Most messages kept.
const MESSAGES_MAX: usize = 4_096;
/// Most bytes kept.
const BYTES_MAX: usize = 64 * 1024 * 1024;

/// A message that waits.
struct Waiting {
    /// Its place among all.
    order: u64,
    bytes: usize,
    event: GossipEvent,
}

/// A bounded queue in the order of arrival.
#[derive(Default)]
pub struct Inbox {
    candidates: VecDeque<Waiting>,
    transactions: VecDeque<Waiting>,
    arrived: u64,
    bytes: usize,
}

impl Inbox {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.candidates.is_empty() && self.transactions.is_empty()
    }

    /// Adds a message of so many bytes and returns those that had to go for it.
    pub fn push(&mut self, event: GossipEvent, bytes: usize) -> Vec<MessageId> {
        let GossipEvent::Message { message, .. } = &event;
        let queue = match message {
            Gossip::Candidate(_) => &mut self.candidates,
            Gossip::Transactions(_) => &mut self.transactions,
        };
        queue.push_back(Waiting { order: self.arrived, bytes, event });
        self.arrived += 1;
        self.bytes += bytes;
        self.shrink()
    }

    /// The message that has waited longest.
    pub fn pop(&mut self) -> Option<GossipEvent> {
        let order = |queue: &VecDeque<Waiting>| queue.front().map_or(u64::MAX, |w| w.order);
        let candidate_is_next = order(&self.candidates) < order(&self.transactions);
        let queue = if candidate_is_next { &mut self.candidates } else { &mut self.transactions };
        let waiting = queue.pop_front()?;
        self.bytes -= waiting.bytes;
        Some(waiting.event)
    }

    fn shrink(&mut self) -> Vec<MessageId> {
        let mut lost = Vec::new();
        while self.bytes > BYTES_MAX || self.len() > MESSAGES_MAX {
            let oldest = self.transactions.pop_front().or_else(|| self.candidates.pop_front());
            let Some(Waiting { bytes, event: GossipEvent::Message { id, .. }, .. }) = oldest else {
                break;
            };
            self.bytes -= bytes;
            lost.push(id);
        }
        lost
    }

    fn len(&self) -> usize {
        self.candidates.len() + self.transactions.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::Bytes;
    use libp2p::{PeerId, gossipsub};

    fn id(number: usize) -> MessageId {
        MessageId {
            id: gossipsub::MessageId::new(&number.to_be_bytes()),
            source: PeerId::from_bytes(&[0, 1, 7]).unwrap(),
        }
    }

    fn event(number: usize, message: Gossip) -> GossipEvent {
        GossipEvent::Message { id: id(number), from: String::new(), message }
    }

    fn transactions(number: usize) -> GossipEvent {
        event(number, Gossip::Transactions(Bytes::new()))
    }

    fn candidate(number: usize) -> GossipEvent {
        event(number, Gossip::Candidate(Box::default()))
    }

    fn pop(inbox: &mut Inbox) -> Option<MessageId> {
        inbox.pop().map(|GossipEvent::Message { id, .. }| id)
    }

    #[test]
    fn keeps_the_order_of_arrival() {
        let mut inbox = Inbox::default();
        for number in 0..6 {
            let event = if number % 2 == 0 { transactions(number) } else { candidate(number) };
            assert!(inbox.push(event, 10).is_empty());
        }
        for number in 0..6 {
            assert_eq!(pop(&mut inbox), Some(id(number)));
        }
        assert!(inbox.is_empty() && pop(&mut inbox).is_none() && inbox.bytes == 0);
    }

    #[test]
    fn loses_old_transactions_first_and_candidates_last() {
        let mut inbox = Inbox::default();
        let quarter = BYTES_MAX / 4;
        let fill = [candidate(0), transactions(1), transactions(2), candidate(3)];
        for event in fill {
            assert!(inbox.push(event, quarter).is_empty());
        }
        assert_eq!(inbox.push(candidate(4), quarter), [id(1)]);
        assert_eq!(inbox.push(transactions(5), quarter), [id(2)]);
        assert_eq!(inbox.push(candidate(6), quarter), [id(5)]);
        assert_eq!(inbox.push(candidate(7), quarter), [id(0)]);
        assert_eq!(pop(&mut inbox), Some(id(3)));
        let mut inbox = Inbox::default();
        let lost = (0..MESSAGES_MAX + 5).flat_map(|n| inbox.push(transactions(n), 0));
        assert_eq!(lost.collect::<Vec<_>>(), (0..5).map(id).collect::<Vec<_>>());
    }
}
