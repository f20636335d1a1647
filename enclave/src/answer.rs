//! Users' requests: opening the envelope, checking the right to ask, answering from published
//! rollups only (protocol 8.1, 8.3, 8.6). What a user may not see looks as if it did not exist.
//! Not here: the envelope's cryptography and the forms of requests (`obscuro_protocol`).

use crate::{
    admission::Source,
    epochs::NetworkKeys,
    executor::{self, CallOutcome, CallResult, ExecutionError},
    ledger::{Body, BodyLog, BodyTransaction, Ledger, LedgerError},
    node::{Node, Surroundings},
    pool::Pooled,
    view::{Rollup, View},
};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use lru::LruCache;
use obscuro_protocol::{
    door::{DoorError, Reply as DoorReply, Retry},
    envelope::{EnvelopeError, Received, SessionKeys},
    limits::{ENVELOPE_BYTES_MAX, LOG_RANGE_MAX, LOGS_MAX, REQUEST_LIFETIME_SECONDS_MAX},
    query::{
        At, CallRequest, LogFilter, LogInfo, Position, Query, ReceiptInfo, Refusal, Reply, Request,
        TransactionInfo,
    },
    rollup::RollupHeader,
    viewing::{Credentials, ViewingError},
    wire,
};
use parking_lot::Mutex;
use std::{num::NonZeroUsize, sync::Arc};

const SESSIONS_CACHED: NonZeroUsize = NonZeroUsize::new(4_096).unwrap();
const CREDENTIALS_CACHED: NonZeroUsize = NonZeroUsize::new(4_096).unwrap();

/// Most bytes of event data in one reply.
const LOG_BYTES_MAX: usize = 1 << 20;

/// JSON-RPC: the server refuses; geth's code for most errors.
pub(crate) const CODE_REFUSED: i32 = -32_000;
/// JSON-RPC: the parameters are wrong.
const CODE_PARAMS: i32 = -32_602;
/// Network keys to which users may have encrypted: the current one and the one before it.
const NETWORK_KEYS_ACCEPTED: usize = 2;
/// JSON-RPC: too much was asked.
const CODE_LIMIT: i32 = -32_005;
/// JSON-RPC: the call reverted, as geth reports it.
const CODE_REVERTED: i32 = 3;

/// Accounts that a session may read, and until when.
type Readable = (Arc<[Address]>, u64);

/// Costly things that were already done for a session: decapsulation, signature checks.
pub struct Sessions {
    /// By session: the network key that it was encrypted to, and its own keys.
    keys: Mutex<LruCache<B256, (Bytes, Arc<SessionKeys>)>>,
    /// By hash of session and credentials: the accounts, and when the first of them expires.
    credentials: Mutex<LruCache<B256, Readable>>,
}

impl Sessions {
    /// Nothing cached.
    pub fn new() -> Self {
        Self {
            keys: Mutex::new(LruCache::new(SESSIONS_CACHED)),
            credentials: Mutex::new(LruCache::new(CREDENTIALS_CACHED)),
        }
    }
}

impl Default for Sessions {
    fn default() -> Self {
        Self::new()
    }
}

/// Why a query was not answered.
pub(crate) enum Failure {
    /// The user's fault, or bad luck: told to the user.
    Refused(Refusal),
    /// The user's clock is off: told what time it is on L1.
    Untimely,
    /// The host's fault: told to the host, nothing to the user.
    Door(DoorError),
}

impl<E: Into<LedgerError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Door(error.into().into())
    }
}

impl From<DoorError> for Failure {
    fn from(error: DoorError) -> Self {
        Self::Door(error)
    }
}

pub(crate) fn refused(code: i32, message: impl Into<String>) -> Failure {
    Failure::Refused(Refusal { code, message: message.into(), data: None })
}

/// One query under way.
struct Asked<'a> {
    node: &'a Node,
    ledger: &'a Ledger<'a>,
    /// The seed epoch.
    epoch: u32,
    /// The L1 head.
    view: Arc<View>,
    /// The canonical rollup.
    head: Arc<Rollup>,
    /// Whose data may be read.
    accounts: Arc<[Address]>,
}

impl Node {
    /// Opens an envelope, answers what is in it, and seals the answer.
    pub fn envelope(
        &self,
        envelope: &[u8],
        around: Surroundings<'_>,
    ) -> Result<DoorReply, DoorError> {
        let garbled = |error: EnvelopeError| DoorError::Rejected(error.to_string());
        let keys = self.keys()?;
        let received = Received::parse(envelope).map_err(garbled)?;
        let session = received.session();
        let (session_keys, plain) =
            self.open_envelope(&received, session, &keys).map_err(garbled)?;
        let (reply, accepted) = match wire::decode::<Request>(&plain, ENVELOPE_BYTES_MAX) {
            Ok(request) => self.request(request, session, &keys, around)?,
            Err(error) => (
                Reply::Refused(Refusal {
                    code: CODE_PARAMS,
                    message: error.to_string(),
                    data: None,
                }),
                None,
            ),
        };
        let reply = session_keys
            .seal_reply(
                received.tag,
                &wire::encode(&reply),
                &mut crate::device::Entropy(around.device),
            )
            .map_err(garbled)?;
        Ok(DoorReply::Envelope { reply: reply.into(), accepted })
    }

    /// The keys of the session and what the envelope holds. Users who have not heard of a new epoch
    /// encrypt to the network key before it.
    fn open_envelope(
        &self,
        received: &Received<'_>,
        session: B256,
        keys: &NetworkKeys,
    ) -> Result<(Arc<SessionKeys>, Vec<u8>), EnvelopeError> {
        let known = self.sessions.keys.lock().get(&session).cloned();
        if let Some((network_key, known)) = known {
            // Not what was encrypted to the key of an epoch that the head has not reached: the answer
            // to it, and what it brings, would go under an older one.
            if keys.newest_first().all(|epoch| epoch.network_public != network_key) {
                return Err(EnvelopeError::Unopenable);
            }
            let plain = known.open(received)?;
            return Ok((known, plain));
        }
        let mut failure = EnvelopeError::Unopenable;
        for epoch in keys.newest_first().take(NETWORK_KEYS_ACCEPTED) {
            let made =
                SessionKeys::recover(&epoch.network, self.config_hash, received.encapsulation())?;
            match made.open(received) {
                Ok(plain) => {
                    let made = Arc::new(made);
                    let cached = (epoch.network_public.clone(), made.clone());
                    self.sessions.keys.lock().put(session, cached);
                    return Ok((made, plain));
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// The reply, and for the host to keep a transaction that was accepted.
    fn request(
        &self,
        request: Request,
        session: B256,
        keys: &NetworkKeys,
        around: Surroundings<'_>,
    ) -> Result<(Reply, Option<Bytes>), DoorError> {
        let view = self.chain.read().head();
        let ledger = self.ledger(keys, around.store);
        let answer = self.check_time(&request, view.timestamp).and_then(|()| {
            let accounts = self.accounts(&request.credentials, session, view.timestamp)?;
            let (epoch, head) = (keys.epoch(), view.head.clone());
            let view = view.clone();
            let asked = Asked { node: self, ledger: &ledger, epoch, view, head, accounts };
            asked.answer(&request.query)
        });
        match answer {
            Ok(Reply::Accepted(hash)) => {
                let kept = self.keep(&request.query, hash, keys, around)?;
                Ok((Reply::Accepted(hash), kept))
            }
            Ok(reply) => Ok((reply, None)),
            Err(Failure::Refused(refusal)) => Ok((Reply::Refused(refusal), None)),
            Err(Failure::Untimely) => Ok((Reply::Untimely { now: view.timestamp }, None)),
            Err(Failure::Door(error)) => Err(error),
        }
    }

    /// A transaction that the pool took, for the host to keep.
    fn keep(
        &self,
        query: &Query,
        hash: B256,
        keys: &NetworkKeys,
        around: Surroundings<'_>,
    ) -> Result<Option<Bytes>, DoorError> {
        let Query::SendTransaction(raw) = query else { return Ok(None) };
        let kept = self.seal_transactions(std::slice::from_ref(raw), keys, around)?;
        self.index.accept(hash, keccak256(&kept));
        Ok(Some(kept))
    }

    fn check_time(&self, request: &Request, now: u64) -> Result<(), Failure> {
        if request.expires_at <= now {
            return Err(Failure::Untimely);
        }
        if request.expires_at > now.saturating_add(REQUEST_LIFETIME_SECONDS_MAX) && now > 0 {
            return Err(Failure::Untimely);
        }
        Ok(())
    }

    fn accounts(
        &self,
        credentials: &Credentials,
        session: B256,
        now: u64,
    ) -> Result<Arc<[Address]>, Failure> {
        if credentials.authorisations.is_empty() {
            return Ok(Arc::new([]));
        }
        let id = keccak256([session.as_slice(), &wire::encode(credentials)].concat());
        if let Some((accounts, expiry)) = self.sessions.credentials.lock().get(&id)
            && *expiry > now
        {
            return Ok(accounts.clone());
        }
        let accounts: Arc<[Address]> = credentials
            .verify(session, self.config_hash, self.config.l2ChainId, now)
            .map_err(|error| match error {
                ViewingError::Expired => Failure::Untimely,
                other => refused(CODE_REFUSED, other.to_string()),
            })?
            .into();
        let expiry = credentials.authorisations.iter().map(|a| a.key.expiresAt).min().unwrap_or(0);
        self.sessions
            .credentials
            .lock()
            .put(id, (accounts.clone(), expiry.min(credentials.expires_at)));
        Ok(accounts)
    }

    /// The body of the canonical rollup of this hash.
    pub fn canonical_body(
        &self,
        rollup: B256,
        head: &Rollup,
        ledger: &Ledger<'_>,
    ) -> Result<Option<Arc<Body>>, LedgerError> {
        let load = || ledger.body(head.history_root, rollup);
        let Some(body) = self.index.body(rollup, load)? else {
            return Ok(None);
        };
        let canonical = ledger.rollup_hash(head.history_root, body.header.number)? == Some(rollup);
        Ok(canonical.then_some(body))
    }
}

impl Asked<'_> {
    fn answer(&self, query: &Query) -> Result<Reply, Failure> {
        Ok(match query {
            Query::SendTransaction(raw) => {
                let source = Source::User(&self.accounts);
                Reply::Accepted(self.node.admit(raw, self.epoch, self.ledger, source)?)
            }
            Query::Balance(account, at) => Reply::Value(self.account(*account, *at)?.1),
            Query::Nonce { account, at, pooled } => {
                let nonce = self.account(*account, *at)?.0;
                let next = |nonce| self.node.pool.lock().next_nonce(*account, nonce);
                Reply::Count(if *pooled && self.may_read(*account) { next(nonce) } else { nonce })
            }
            Query::Code(address, at) => Reply::Bytes(self.code(*address, *at)?),
            Query::Storage(address, slot, at) => Reply::Value(self.storage(*address, *slot, *at)?),
            Query::Call(call, at) => self.call(call, *at)?,
            Query::EstimateGas(call, at) => self.estimate(call, *at)?,
            Query::Transaction(hash) => Reply::Transaction(self.transaction(*hash)?.map(Box::new)),
            Query::Receipt(hash) => Reply::Receipt(self.receipt(*hash)?.map(Box::new)),
            Query::Logs(filter) => Reply::Logs(self.logs(filter)?),
            Query::RollupTransactions(at) => Reply::Hashes(self.rollup_transactions(*at)?),
        })
    }

    fn may_read(&self, account: Address) -> bool {
        self.accounts.contains(&account)
    }

    fn header(&self, at: At) -> Result<RollupHeader, Failure> {
        let hash = match at {
            At::Latest => return Ok(self.head.header.clone()),
            At::Number(number) => self.ledger.rollup_hash(self.head.history_root, number)?,
            At::Hash(hash) => Some(hash),
        };
        let body = match hash {
            Some(hash) => self.node.canonical_body(hash, &self.head, self.ledger)?,
            None => None,
        };
        body.map(|body| body.header.clone())
            .ok_or_else(|| refused(CODE_REFUSED, "header not found"))
    }

    /// Nonce and balance; zero for accounts that may not be read.
    fn account(&self, account: Address, at: At) -> Result<(u64, U256), Failure> {
        let header = self.header(at)?;
        if !self.may_read(account) {
            return Ok((0, U256::ZERO));
        }
        let account = self.ledger.state(header.stateRoot).account(account)?;
        Ok(account.map_or((0, U256::ZERO), |account| (account.nonce, account.balance)))
    }

    fn code(&self, address: Address, at: At) -> Result<Bytes, Failure> {
        let state = self.ledger.state(self.header(at)?.stateRoot);
        match state.account(address)? {
            Some(account) => Ok(state.code(account.code_hash)?),
            None => Ok(Bytes::new()),
        }
    }

    fn storage(&self, address: Address, slot: U256, at: At) -> Result<U256, Failure> {
        let header = self.header(at)?;
        if !self.may_read(address) {
            return Ok(U256::ZERO);
        }
        Ok(self.ledger.state(header.stateRoot).storage(address, slot)?)
    }

    /// The message with its sender's right to send it checked.
    fn message(&self, call: &CallRequest) -> Result<executor::CallRequest, Failure> {
        if let Some(from) = call.from.filter(|from| !from.is_zero() && !self.may_read(*from)) {
            return Err(refused(
                CODE_REFUSED,
                format!("not authorised to call as {from}: add its viewing key to the gateway"),
            ));
        }
        Ok(executor::CallRequest {
            from: call.from,
            to: call.to,
            gas: call.gas,
            value: call.value,
            data: call.data.clone(),
            access_list: call.access_list.clone(),
            ..Default::default()
        })
    }

    fn call(&self, call: &CallRequest, at: At) -> Result<Reply, Failure> {
        let (message, header) = (self.message(call)?, self.header(at)?);
        let state = self.ledger.state(header.stateRoot);
        let hashes = |number| self.ledger.block_hash(self.head.history_root, number);
        match executor::call(state, &self.ledger.query_env(&header), hashes, &message) {
            Ok(CallOutcome { result: CallResult::Return(output), .. }) => Ok(Reply::Bytes(output)),
            Ok(outcome) => Err(unsuccessful(outcome)),
            Err(error) => Err(execution_failure(error)),
        }
    }

    fn estimate(&self, call: &CallRequest, at: At) -> Result<Reply, Failure> {
        let (message, header) = (self.message(call)?, self.header(at)?);
        let state = self.ledger.state(header.stateRoot);
        let hashes = |number| self.ledger.block_hash(self.head.history_root, number);
        let env = self.ledger.estimate_env(&header, &self.view);
        match executor::estimate_gas(state, &env, hashes, &message) {
            Ok(Ok(gas)) => Ok(Reply::Count(gas)),
            Ok(Err(outcome)) => Err(unsuccessful(outcome)),
            Err(error) => Err(execution_failure(error)),
        }
    }

    /// A canonical transaction with its position.
    fn locate(&self, hash: B256) -> Result<Option<(Arc<Body>, usize)>, Failure> {
        let Some((rollup, position)) = self.node.index.find(hash, self.ledger.store())? else {
            return Ok(None);
        };
        let Some(body) = self.node.canonical_body(rollup, &self.head, self.ledger)? else {
            return Ok(None);
        };
        let found = body.transactions.get(position as usize).is_some_and(|t| t.hash == hash);
        Ok(found.then_some((body, position as usize)))
    }

    fn transaction(&self, hash: B256) -> Result<Option<TransactionInfo>, Failure> {
        if let Some((body, index)) = self.locate(hash)? {
            let transaction = &body.transactions[index];
            return Ok(self.is_party(transaction).then(|| TransactionInfo {
                raw: transaction.raw.clone(),
                from: transaction.sender,
                position: Some(position(&body.header, index)),
            }));
        }
        let waiting: Option<Arc<Pooled>> = self.node.pool.lock().get(hash);
        Ok(waiting.filter(|pooled| self.may_read(pooled.sender)).map(|pooled| TransactionInfo {
            raw: pooled.raw.clone(),
            from: pooled.sender,
            position: None,
        }))
    }

    fn receipt(&self, hash: B256) -> Result<Option<ReceiptInfo>, Failure> {
        let Some((body, index)) = self.locate(hash)? else {
            return Ok(None);
        };
        let transaction = &body.transactions[index];
        if !self.is_party(transaction) {
            return Ok(None);
        }
        let logs = self.visible_logs(&body, index);
        Ok(Some(ReceiptInfo {
            transaction: hash,
            transaction_type: transaction.transaction_type,
            from: transaction.sender,
            to: transaction.to,
            contract: transaction.contract,
            success: transaction.success,
            gas_used: transaction.gas_used,
            logs,
            position: position(&body.header, index),
        }))
    }

    /// Senders and direct recipients see a transaction.
    fn is_party(&self, transaction: &BodyTransaction) -> bool {
        self.may_read(transaction.sender) || transaction.to.is_some_and(|to| self.may_read(to))
    }

    /// The events of one transaction that this user sees: all of an own transaction, else those
    /// that name the user in a topic (protocol 8.4).
    fn visible_logs(&self, body: &Body, index: usize) -> Vec<LogInfo> {
        let transaction = &body.transactions[index];
        let own = self.may_read(transaction.sender);
        let visible =
            |log: &BodyLog| own || log.topics.iter().skip(1).any(|topic| self.is_own_topic(topic));
        (transaction.first_log..)
            .zip(&transaction.logs)
            .filter(|(_, log)| visible(log))
            .map(|(log_index, log)| LogInfo {
                address: log.address,
                topics: log.topics.clone(),
                data: log.data.clone(),
                transaction: transaction.hash,
                position: position(&body.header, index),
                log_index,
            })
            .collect()
    }

    fn is_own_topic(&self, topic: &B256) -> bool {
        topic[..12].iter().all(|byte| *byte == 0) && self.may_read(Address::from_word(*topic))
    }

    fn logs(&self, filter: &LogFilter) -> Result<Vec<LogInfo>, Failure> {
        let to = filter.to.min(self.head.header.number);
        if filter.from > filter.to {
            return Err(refused(CODE_PARAMS, "invalid block range"));
        }
        if to.saturating_sub(filter.from) > LOG_RANGE_MAX {
            return Err(refused(
                CODE_LIMIT,
                format!("query spans more than {LOG_RANGE_MAX} blocks"),
            ));
        }
        let mut found = Vec::new();
        if self.accounts.is_empty() {
            return Ok(found);
        }
        for number in filter.from..=to {
            let Some(hash) = self.ledger.rollup_hash(self.head.history_root, number)? else {
                continue;
            };
            let Some(body) = self.node.canonical_body(hash, &self.head, self.ledger)? else {
                // The enclave executed it: a host that withholds it must not hide events.
                let missing = format!("the body of rollup {hash} is missing");
                return Err(DoorError::Retry(Retry::Store(missing)).into());
            };
            self.logs_of(&body, filter, &mut found);
            let bytes: usize = found.iter().map(|log: &LogInfo| log.data.len()).sum();
            if found.len() > LOGS_MAX || bytes > LOG_BYTES_MAX {
                return Err(refused(
                    CODE_LIMIT,
                    format!("query returns more than {LOGS_MAX} results"),
                ));
            }
        }
        Ok(found)
    }

    fn logs_of(&self, body: &Body, filter: &LogFilter, found: &mut Vec<LogInfo>) {
        for index in 0..body.transactions.len() {
            let visible = self.visible_logs(body, index);
            found.extend(visible.into_iter().filter(|log| matches(filter, log)));
        }
    }

    fn rollup_transactions(&self, at: At) -> Result<Vec<B256>, Failure> {
        let header = self.header(at)?;
        let body = self.node.canonical_body(header.hash(), &self.head, self.ledger)?;
        let visible = body.iter().flat_map(|body| &body.transactions).filter(|t| self.is_party(t));
        Ok(visible.map(|transaction| transaction.hash).collect())
    }
}

fn matches(filter: &LogFilter, log: &LogInfo) -> bool {
    (filter.addresses.is_empty() || filter.addresses.contains(&log.address))
        && filter.topics.iter().enumerate().all(|(position, wanted)| {
            wanted.is_empty()
                || log.topics.get(position).is_some_and(|topic| wanted.contains(topic))
        })
}

fn position(header: &RollupHeader, index: usize) -> Position {
    Position {
        rollup: header.hash(),
        number: header.number,
        timestamp: header.timestamp,
        index: index as u64,
        base_fee: header.baseFee,
    }
}

/// A call that failed, in geth's words.
fn unsuccessful(outcome: CallOutcome) -> Failure {
    match outcome.result {
        CallResult::Return(_) => refused(CODE_REFUSED, "call succeeded unexpectedly"),
        CallResult::Revert(data) => {
            let message = match executor::revert_reason(&data) {
                Some(reason) => format!("execution reverted: {reason}"),
                None => "execution reverted".to_string(),
            };
            Failure::Refused(Refusal { code: CODE_REVERTED, message, data: Some(data) })
        }
        CallResult::Halt(reason) => refused(CODE_REFUSED, reason),
    }
}

fn execution_failure(error: ExecutionError) -> Failure {
    match error {
        ExecutionError::Rejected(reject) => refused(CODE_REFUSED, reject.to_string()),
        ExecutionError::Fatal(fatal) => LedgerError::from(fatal).into(),
    }
}
