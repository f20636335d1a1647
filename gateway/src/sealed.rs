//! Asking the enclave: the query with the credentials that it needs, sealed to the network key, and
//! the reply opened. Nothing of it is legible to the node. Not here: what Ethereum calls these
//! things (`rpc`, `objects`) and how envelopes travel (`node`).

mod session;

use crate::{
    accounts::Accounts,
    clock::L1Clock,
    node::{Node, NodeError, Pace},
};
use alloy_primitives::{Address, B256, Bytes};
use futures::{StreamExt, TryStreamExt, stream};
use obscuro_protocol::{
    config::NetworkConfig,
    envelope::EnvelopeError,
    keys::KemPublicKey,
    limits::AUTHORISATIONS_MAX,
    query::{Query, Refusal, Reply, Request},
};
use session::{OpenSession, SessionError, Sessions};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// How long a request may be answered, seconds of L1 time: far less than the protocol allows, so
/// that a clock that is wrong by less than that does no harm.
const REQUEST_SECONDS: u64 = 600;
/// Times that a query is sent when the enclave's clock differs or a connection breaks.
const ATTEMPTS_MAX: usize = 3;
/// A query that took longer than this is not sent again by itself.
const RETRY_WITHIN: Duration = Duration::from_secs(2);
/// Chunks of accounts asked about at once.
const CHUNKS_AT_ONCE: usize = 4;

/// A query that was not answered.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The enclave refused it; the refusal is the answer.
    #[error("{}", .0.message)]
    Refused(Refusal),
    /// The node did not answer.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The reply is not the enclave's, or belongs to another request.
    #[error("the node's reply is not the enclave's reply to this request")]
    Forged,
    /// The request is larger than an envelope may be.
    #[error("request too large")]
    TooLarge,
    /// The enclave's clock cannot be met.
    #[error("the enclave's clock is at {0} and refuses the request's expiry")]
    Untimely(u64),
    /// The network key or the viewing key does not work.
    #[error(transparent)]
    Session(#[from] SessionError),
}

/// The way to the enclave.
pub struct Sealed {
    sessions: Sessions,
    accounts: Arc<Accounts>,
    clock: Arc<L1Clock>,
    node: Arc<Node>,
}

impl Sealed {
    /// To the enclaves of one network.
    pub fn new(
        network_key: (Bytes, KemPublicKey),
        config: &NetworkConfig,
        accounts: Arc<Accounts>,
        clock: Arc<L1Clock>,
        node: Arc<Node>,
    ) -> Self {
        Self { sessions: Sessions::new(network_key, config.hash()), accounts, clock, node }
    }

    /// Seals to another network key from now on; whether it is another.
    pub fn set_network_key(&self, wire: &Bytes, network_key: KemPublicKey) -> bool {
        self.sessions.set_network_key(wire, network_key)
    }

    /// Asks with the right to read these accounts, as far as they gave it; others look as if they
    /// did not exist. At most [`AUTHORISATIONS_MAX`].
    pub async fn ask(&self, query: Query, accounts: &[Address]) -> Result<Reply, AskError> {
        let pace = pace(&query);
        let begun = Instant::now();
        let mut attempt = 0;
        loop {
            attempt += 1;
            match self.ask_once(query.clone(), accounts, pace).await {
                // An untimely request is answered at once, a broken connection is new at once.
                Err(AskError::Untimely(_) | AskError::Node(NodeError::Unreachable(_)))
                    if attempt < ATTEMPTS_MAX && begun.elapsed() < RETRY_WITHIN => {}
                // The first attempt arrived though its reply did not.
                Err(AskError::Refused(refusal))
                    if attempt > 1 && refusal.message.contains("already known") =>
                {
                    return accepted(&query).ok_or(AskError::Refused(refusal));
                }
                result => return result,
            }
        }
    }

    /// Asks about every account that this gateway may read, in as few requests as they fit in.
    pub async fn ask_for_all(&self, query: Query) -> Result<Vec<Reply>, AskError> {
        let accounts = self.accounts.readable(self.clock.now());
        if accounts.len() <= AUTHORISATIONS_MAX {
            return Ok(vec![self.ask(query, &accounts).await?]);
        }
        let chunks = accounts.chunks(AUTHORISATIONS_MAX);
        let asking: Vec<_> = chunks.map(|chunk| self.ask(query.clone(), chunk)).collect();
        stream::iter(asking).buffered(CHUNKS_AT_ONCE).try_collect().await
    }

    async fn ask_once(
        &self,
        query: Query,
        accounts: &[Address],
        pace: Pace,
    ) -> Result<Reply, AskError> {
        let (session, tag, envelope) = self.seal(query, accounts)?;
        let sealed = self.node.envelope(envelope, pace).await?;
        let reply = session.open_reply(tag, &sealed);
        let reply = reply.map_err(|_| AskError::Forged)?;
        match Reply::decode(&reply).map_err(|_| AskError::Forged)? {
            Reply::Refused(refusal) => Err(AskError::Refused(refusal)),
            Reply::Untimely { now } => {
                self.clock.correct(now);
                self.sessions.renew();
                Err(AskError::Untimely(now))
            }
            reply => Ok(reply),
        }
    }

    fn seal(
        &self,
        query: Query,
        accounts: &[Address],
    ) -> Result<(Arc<OpenSession>, B256, Bytes), AskError> {
        let now = self.clock.now();
        let session = self.sessions.current(&self.accounts, now)?;
        let request = Request {
            credentials: session.credentials(self.accounts.authorisations(accounts, now)),
            expires_at: now.saturating_add(REQUEST_SECONDS),
            query,
        };
        let (tag, envelope) = session.seal(&request.encode()).map_err(|error| match error {
            EnvelopeError::Malformed => AskError::TooLarge,
            EnvelopeError::Unopenable => AskError::Forged,
        })?;
        Ok((session, tag, envelope))
    }
}

/// What runs for a while travels alone.
fn pace(query: &Query) -> Pace {
    match query {
        Query::Call(..) | Query::EstimateGas(..) | Query::Logs(_) => Pace::Slow,
        _ => Pace::Quick,
    }
}

/// The reply to a transaction that the enclave already has.
fn accepted(query: &Query) -> Option<Reply> {
    match query {
        Query::SendTransaction(raw) => Some(Reply::Accepted(alloy_primitives::keccak256(raw))),
        _ => None,
    }
}
