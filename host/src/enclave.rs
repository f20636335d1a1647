//! How the host reaches its enclave: the trait, what the enclave may ask back, and the two ways in
//! which it runs elsewhere: behind a socket (`socket`), as a supervised child process
//! (`supervisor`). Not here: what to ask (`l1::feed`, `rounds`, `node`) and the store itself
//! (`storage`).

mod socket;
mod supervisor;
#[cfg(test)]
mod tests;

pub use socket::{Listening, SocketEnclave};
pub use supervisor::{Supervisor, SupervisorError, SupervisorOptions};

use alloy_primitives::{B256, Bytes};
use obscuro_protocol::door::{DoorError, Reply, Request};
use std::sync::Arc;

/// An enclave's door. Blocking: asynchronous code goes through [`ask`]. Called concurrently.
pub trait Enclave: Send + Sync + 'static {
    /// Asks, and serves the enclave's reads and writes of the store until it replies.
    fn call(&self, request: Request, store: &dyn Records) -> Result<Reply, ChannelError>;

    /// Ends the enclave's life so that it can be started anew, from other sealed data: needed when
    /// L1 reorganises deeper than the enclave remembers. An enclave that has no life of its own
    /// cannot; the node then asks its operator for a restart.
    fn restart(&self) -> Result<(), ChannelError> {
        Err(ChannelError::Broken("it runs inside this process".to_owned()))
    }
}

/// The host's store as an enclave sees it: encrypted records under keys that say nothing.
pub trait Records: Send + Sync {
    /// The records under these keys, in order.
    fn get(&self, keys: &[B256]) -> Result<Vec<Option<Bytes>>, StoreError>;

    /// Keeps records. They may be lost in a crash, but only together with everything that was
    /// stored after them.
    fn put(&self, records: Vec<(B256, Bytes)>) -> Result<(), StoreError>;
}

/// The store did not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StoreError(pub String);

/// The enclave did not answer. Sorted by what the host does next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// Ask again: it is starting, or died and is being restarted.
    #[error("the enclave is not reachable: {0}")]
    Unavailable(String),
    /// Do not ask again: the other end is no enclave of this version.
    #[error("the enclave cannot be used: {0}")]
    Broken(String),
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The enclave did not answer.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// The enclave refused.
    #[error(transparent)]
    Refused(#[from] DoorError),
    /// The enclave answered another question: a defect.
    #[error("the enclave answered out of turn")]
    OutOfTurn,
}

impl AskError {
    /// Whether the node cannot go on.
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::Channel(ChannelError::Broken(_)) | Self::Refused(DoorError::Fatal(_)))
    }
}

/// Asks from asynchronous code, on a thread where blocking is allowed. Refusals are errors.
pub async fn ask(
    enclave: &Arc<dyn Enclave>,
    store: &Arc<dyn Records>,
    request: Request,
) -> Result<Reply, AskError> {
    let (enclave, store) = (enclave.clone(), store.clone());
    let call = tokio::task::spawn_blocking(move || enclave.call(request, &*store));
    let reply = call
        .await
        .map_err(|error| ChannelError::Unavailable(format!("the call was cut short: {error}")))?;
    match reply? {
        Reply::Refused(error) => Err(error.into()),
        reply => Ok(reply),
    }
}
