//! User transactions among aggregators: what this enclave accepted goes to the peers every few
//! milliseconds, what they send goes to this enclave. Encrypted both ways: no host reads them. Not
//! here: candidates (`rounds`).

use crate::{
    enclave::{AskError, Enclave, Records, ask},
    gossip::{GossipError, GossipHandle, MessageId, Verdict},
    l1::feed::Followed,
    stop::Stop,
};
use alloy_primitives::Bytes;
use obscuro_protocol::{
    door::{DoorError, Reply, Request},
    gossip::Gossip,
};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};
use tracing::{debug, warn};

/// How often transactions are taken from the enclave.
const TAKE_EVERY: Duration = Duration::from_millis(25);

/// What the relay works with.
pub struct Relay {
    /// Whose transactions.
    pub enclave: Arc<dyn Enclave>,
    /// Its store.
    pub records: Arc<dyn Records>,
    /// The peers.
    pub gossip: GossipHandle,
    /// What they sent.
    pub transactions: mpsc::Receiver<(MessageId, Bytes)>,
    /// Where the enclave stands.
    pub followed: watch::Receiver<Option<Followed>>,
    /// Counts arrivals of transactions, from users and peers.
    pub work: watch::Sender<u64>,
    /// Counts arrivals from users.
    pub accepted: watch::Receiver<u64>,
    /// The end.
    pub stop: Stop,
}

impl Relay {
    /// Relays until told to stop.
    pub async fn run(mut self) {
        let stop = self.stop.clone();
        tokio::select! {
            () = self.relay() => {}
            () = stop.requested() => {}
        }
    }

    async fn relay(&mut self) {
        let mut take_from = Instant::now();
        // Taken from the enclave and not sent yet.
        let mut kept: Option<Bytes> = None;
        // Accepted while there were no peers.
        let mut is_waiting = false;
        loop {
            let accepted = async {
                sleep_until(take_from).await;
                if kept.is_some() { Ok(()) } else { self.accepted.changed().await }
            };
            tokio::select! {
                message = self.transactions.recv() => match message {
                    Some((id, sealed)) => {
                        self.take_in(id, sealed).await;
                        continue;
                    }
                    None => return,
                },
                changed = self.followed.changed(), if is_waiting => {
                    if changed.is_err() {
                        return;
                    }
                }
                changed = accepted => {
                    if changed.is_err() {
                        return;
                    }
                    take_from = Instant::now() + TAKE_EVERY;
                }
            }
            is_waiting = !self.has_peers();
            if !is_waiting {
                kept = self.send_out(kept.take()).await;
            }
        }
    }

    /// Whether anybody would take what is sent now: at an old head, it would be old for all of them.
    fn has_peers(&self) -> bool {
        let followed = self.followed.borrow();
        followed.as_ref().is_some_and(|f| f.is_synced && !f.head.peers.is_empty())
    }

    async fn take_in(&self, id: MessageId, sealed: Bytes) {
        let verdict = match self.ask(Request::PeerTransactions(sealed)).await {
            Ok(_) => {
                self.work.send_modify(|count| *count += 1);
                Verdict::Forward
            }
            Err(AskError::Refused(DoorError::Rejected(reason))) => {
                debug!(reason, "a peer's transactions are not taken");
                Verdict::Reject
            }
            Err(error) => {
                debug!(%error, "a peer's transactions are not taken");
                Verdict::Ignore
            }
        };
        self.gossip.judge(id, verdict);
    }

    /// Sends what was kept, or what the enclave has; returns what could not be sent.
    async fn send_out(&self, kept: Option<Bytes>) -> Option<Bytes> {
        let sealed = match kept {
            Some(kept) => kept,
            None => self.take_out().await?,
        };
        match self.gossip.publish(Gossip::Transactions(sealed.clone())).await {
            Ok(()) => None,
            Err(GossipError::Congested) => Some(sealed),
            Err(error) => {
                warn!(%error, "transactions are not gossiped");
                None
            }
        }
    }

    async fn take_out(&self) -> Option<Bytes> {
        match self.ask(Request::TakeTransactions).await {
            Ok(Reply::Transactions(sealed)) if !sealed.is_empty() => Some(sealed),
            Ok(_) => None,
            Err(error) => {
                debug!(%error, "the enclave gives no transactions");
                None
            }
        }
    }

    async fn ask(&self, request: Request) -> Result<Reply, AskError> {
        ask(&self.enclave, &self.records, request).await
    }
}
