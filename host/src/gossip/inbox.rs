//! Messages of one kind that the node has not taken yet. Peers have their turns, and when there are too
//! many, the oldest of the peer is lost that has sent most: a flood is the flooder's own loss. Not here:
//! what the messages say.

use super::MessageId;
use libp2p::PeerId;
use std::collections::VecDeque;

/// What waits at most, bytes.
const WEIGHT_MAX: usize = 64 * 1024 * 1024;
/// What a message counts beside its own length, bytes: the smallest are as many as the bound of a queue.
const MESSAGE_WEIGHT: usize = WEIGHT_MAX / 4_096;

/// A bounded queue for each peer that has sent something.
pub struct Inbox<T> {
    /// Whose turn is next comes first; none is empty.
    queues: VecDeque<Queue<T>>,
    weight: usize,
}

struct Queue<T> {
    source: PeerId,
    weight: usize,
    /// With what each counts.
    messages: VecDeque<(usize, MessageId, T)>,
}

impl<T> Default for Inbox<T> {
    fn default() -> Self {
        Self { queues: VecDeque::new(), weight: 0 }
    }
}

impl<T> Inbox<T> {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }

    /// Adds a message of so many bytes and returns those that had to go for it.
    pub fn push(&mut self, id: MessageId, message: T, bytes: usize) -> Vec<MessageId> {
        let (source, weight) = (id.source(), bytes + MESSAGE_WEIGHT);
        let entry = (weight, id, message);
        self.weight += weight;
        match self.queues.iter_mut().find(|queue| queue.source == source) {
            Some(queue) => {
                queue.weight += weight;
                queue.messages.push_back(entry);
            }
            None => self.queues.push_back(Queue { source, weight, messages: [entry].into() }),
        }
        let mut lost = Vec::new();
        while self.weight > WEIGHT_MAX {
            let heaviest = (0..self.queues.len()).max_by_key(|index| self.queues[*index].weight);
            lost.extend(heaviest.and_then(|index| self.take(index)).map(|(id, _)| id));
        }
        lost
    }

    /// The oldest message of the peer whose turn it is.
    pub fn pop(&mut self) -> Option<(MessageId, T)> {
        let length = self.queues.len();
        let message = self.take(0);
        if self.queues.len() == length && length > 0 {
            self.queues.rotate_left(1);
        }
        message
    }

    fn take(&mut self, index: usize) -> Option<(MessageId, T)> {
        let queue = self.queues.get_mut(index)?;
        let (weight, id, message) = queue.messages.pop_front()?;
        queue.weight -= weight;
        self.weight -= weight;
        if queue.messages.is_empty() {
            self.queues.remove(index);
        }
        Some((id, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libp2p::gossipsub;

    fn id(peer: PeerId, number: usize) -> MessageId {
        MessageId { id: gossipsub::MessageId::new(&number.to_be_bytes()), source: peer }
    }

    fn drain(inbox: &mut Inbox<usize>) -> Vec<usize> {
        std::iter::from_fn(|| inbox.pop().map(|(_, number)| number)).collect()
    }

    #[test]
    fn peers_have_their_turns() {
        let (a, b, mut inbox) = (PeerId::random(), PeerId::random(), Inbox::default());
        for number in 0..6 {
            assert!(inbox.push(id(a, number), number, 10).is_empty());
        }
        for number in 10..12 {
            assert!(inbox.push(id(b, number), number, 10).is_empty());
        }
        assert_eq!(drain(&mut inbox), [0, 10, 1, 11, 2, 3, 4, 5]);
        assert!(inbox.is_empty() && inbox.weight == 0);
    }

    /// However much one peer sends, others are heard.
    #[test]
    fn a_flood_is_the_flooders_loss() {
        for bytes in [0, WEIGHT_MAX / 8] {
            let (flooder, quiet, mut inbox) =
                (PeerId::random(), PeerId::random(), Inbox::default());
            assert!(inbox.push(id(quiet, 0), 0, 100).is_empty());
            let lost: Vec<MessageId> =
                (1..10_000).flat_map(|n| inbox.push(id(flooder, n), n, bytes)).collect();
            assert!(lost.len() > 5_000 && lost.iter().all(|lost| lost.source() == flooder));
            let waiting = drain(&mut inbox);
            assert!(waiting.contains(&0) && waiting.contains(&9_999) && inbox.weight == 0);
        }
    }
}
