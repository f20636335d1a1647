//! What can happen, and the queue of it in virtual time. Not here: what follows from it.

use crate::{faults::Fault, node::content::ContentRequest};
use alloy_primitives::{B256, Bytes, keccak256};
use obscuro_devnet::l1::Incoming;
use obscuro_host::{
    l1::follower,
    publisher::outbox::{Content, Purpose},
    pull, round,
};
use obscuro_protocol::{config::L1BlockId, door::Head, gossip::Wanted};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// A gossiped message in the hands of one node.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId {
    /// keccak256 of the message.
    pub hash: B256,
    /// The node that brought it.
    pub from: usize,
}

/// A gossiped message.
pub struct Message {
    /// Its keccak256.
    pub hash: B256,
    /// As it travels.
    pub bytes: Vec<u8>,
}

impl Message {
    /// A message of these bytes.
    pub fn new(bytes: Vec<u8>) -> Arc<Self> {
        Arc::new(Self { hash: keccak256(&bytes), bytes })
    }
}

/// Something that happens.
pub enum Event {
    /// To the L1 nodes.
    L1(L1Event),
    /// To a node, unless it has begun another life since.
    Node(usize, u64, NodeEvent),
    /// A gossiped message arrives.
    Gossip {
        /// At this node.
        to: usize,
        /// From this one.
        from: usize,
        /// The message.
        message: Arc<Message>,
    },
    /// A node asks another for content.
    Ask {
        /// This one is asked.
        to: usize,
        /// By this one.
        from: usize,
        /// For this.
        wanted: Wanted,
    },
    /// A node is given content, or told that there is none.
    Found {
        /// This one.
        to: usize,
        /// By this one.
        from: usize,
        /// What it asked for.
        wanted: Wanted,
        /// What it is given.
        found: Option<Bytes>,
    },
    /// A user looks at what it waits for, and sends.
    User(usize),
    /// A user's envelope arrives at a node.
    Envelope {
        /// The user.
        user: usize,
        /// The node.
        node: usize,
        /// Sealed.
        envelope: Bytes,
        /// Of the request.
        tag: B256,
        /// What it is about: a transaction's hash.
        about: B256,
    },
    /// The node answers a user.
    Reply {
        /// The user.
        user: usize,
        /// Binds the reply.
        tag: B256,
        /// Sealed.
        reply: Bytes,
        /// What it is about.
        about: B256,
    },
    /// Something breaks, or is mended.
    Fault(Fault),
}

/// To the L1 nodes.
pub enum L1Event {
    /// It is time for the next block; for every miner its own if they compete.
    Mine {
        /// Which miner.
        miner: usize,
        /// Void when the miner has drawn again since.
        draw: u64,
    },
    /// A block reaches an L1 node.
    Block {
        /// Which node.
        to: usize,
        /// The block.
        hash: B256,
    },
    /// A transaction reaches an L1 node.
    Transaction {
        /// Which node.
        to: usize,
        /// The transaction.
        incoming: Arc<Incoming>,
    },
}

/// To a node.
pub enum NodeEvent {
    /// The machine starts.
    Start,
    /// Its L1 node has a new head.
    L1Head(L1BlockId),
    /// L1 gave a block, or did not.
    Fetched(follower::Input),
    /// The enclave has answered the follower.
    Fed(Fed),
    /// Something for the round.
    Round(round::Input<MessageId>),
    /// Something for what moves content.
    Content(Box<pull::Input<usize, ContentRequest>>),
    /// Time to tell the round of new transactions.
    Work,
    /// Time to pass transactions on to the peers.
    Relay,
    /// The publisher takes the next order.
    Orders,
    /// The publisher has prices, and the transaction is made.
    Send(Purpose, Box<Content>),
}

/// How the enclave answered the follower.
pub enum Fed {
    /// As the core understands it.
    Input(follower::Input),
    /// The head is set.
    Head(B256, Box<Head>),
    /// It asks for something that passes: ask again.
    Again(Box<follower::Effect>, u32),
    /// The node cannot go on: why.
    Fatal(String),
}

/// The queue. Simultaneous events happen in the order in which they were planned.
#[derive(Default)]
pub struct Queue {
    events: BTreeMap<(Duration, u64), Event>,
    planned: u64,
}

impl Queue {
    /// Plans an event.
    pub fn at(&mut self, time: Duration, event: Event) {
        self.planned += 1;
        self.events.insert((time, self.planned), event);
    }

    /// The next event and its time.
    pub fn pop(&mut self) -> Option<(Duration, Event)> {
        self.events.pop_first().map(|((time, _), event)| (time, event))
    }
}
