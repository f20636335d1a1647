//! Sessions: one encapsulation and one signature of the viewing key for many requests, renewed by
//! count and by time. Not here: what is sealed (`sealed`).

use crate::accounts::{Accounts, AccountsError};
use alloy_primitives::{B256, Bytes};
use getrandom::SysRng;
use obscuro_protocol::{
    envelope::{EnvelopeError, RequestTag, Session},
    keys::KemPublicKey,
    limits::ENVELOPE_BYTES_MAX,
    viewing::{Authorisation, Credentials},
};
use parking_lot::Mutex;
use rand_core::UnwrapErr;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Requests of one session. Random 192-bit nonces would allow far more; a session also links its
/// requests for whoever watches the line, and ought not to last.
const REQUESTS_MAX: u64 = 1 << 16;
/// How long the viewing key binds itself to a session, seconds of L1 time.
const SESSION_SECONDS: u64 = 1_800;
/// A session is replaced when no more is left of it than this.
const SESSION_SECONDS_LEFT_MIN: u64 = 900;

/// Makes sessions.
pub struct Sessions {
    /// As published, and parsed.
    network_key: Mutex<(Bytes, KemPublicKey)>,
    config_hash: B256,
    current: Mutex<Option<Arc<OpenSession>>>,
}

/// A session to which the viewing key is bound.
pub struct OpenSession {
    session: Session,
    expires_at: u64,
    signature: Bytes,
    requests: AtomicU64,
}

impl Sessions {
    /// Sessions with the enclaves of one network.
    pub fn new(network_key: (Bytes, KemPublicKey), config_hash: B256) -> Self {
        Self { network_key: Mutex::new(network_key), config_hash, current: Mutex::default() }
    }

    /// The session to use at this time.
    pub fn current(&self, accounts: &Accounts, now: u64) -> Result<Arc<OpenSession>, SessionError> {
        let mut current = self.current.lock();
        if let Some(session) = current.as_ref().filter(|session| session.is_usable(now)) {
            return Ok(session.clone());
        }
        let session = Arc::new(self.open(accounts, now.saturating_add(SESSION_SECONDS))?);
        Ok(current.insert(session).clone())
    }

    /// The next request gets a new session.
    pub fn renew(&self) {
        *self.current.lock() = None;
    }

    /// Later sessions are with those who hold another key; whether it is another.
    pub fn set_network_key(&self, wire: &Bytes, network_key: KemPublicKey) -> bool {
        let mut known = self.network_key.lock();
        if known.0 == *wire {
            return false;
        }
        *known = (wire.clone(), network_key);
        drop(known);
        self.renew();
        true
    }

    fn open(&self, accounts: &Accounts, expires_at: u64) -> Result<OpenSession, SessionError> {
        let session = Session::new(&self.network_key.lock().1, self.config_hash, &mut random())?;
        Ok(OpenSession {
            signature: accounts.sign_session(session.id(), expires_at)?,
            session,
            expires_at,
            requests: AtomicU64::new(0),
        })
    }
}

/// A session cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The network key does not work.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// The viewing key does not work.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
}

impl OpenSession {
    /// Whether it may still be used. Expiring too late is as bad as too early: then the clock was
    /// set back since.
    fn is_usable(&self, now: u64) -> bool {
        let left = self.expires_at.saturating_sub(now);
        let is_timely = (SESSION_SECONDS_LEFT_MIN..=SESSION_SECONDS).contains(&left);
        is_timely && self.requests.fetch_add(1, Ordering::Relaxed) < REQUESTS_MAX
    }

    /// The credentials of these accounts in this session.
    pub fn credentials(&self, authorisations: Vec<Authorisation>) -> Credentials {
        if authorisations.is_empty() {
            return Credentials::default();
        }
        Credentials {
            authorisations,
            expires_at: self.expires_at,
            signature: self.signature.clone(),
        }
    }

    /// Seals a request.
    pub fn seal(&self, request: &[u8]) -> Result<(RequestTag, Bytes), EnvelopeError> {
        let (tag, envelope) = self.session.seal(request, &mut random())?;
        if envelope.len() > ENVELOPE_BYTES_MAX {
            return Err(EnvelopeError::Malformed);
        }
        Ok((tag, envelope.into()))
    }

    /// Opens the reply to the request of this tag.
    pub fn open_reply(&self, tag: RequestTag, reply: &[u8]) -> Result<Vec<u8>, EnvelopeError> {
        self.session.open_reply(tag, reply)
    }
}

/// The system's randomness. A system without any is beyond help.
fn random() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}
