//! Drives the follower: fetches blocks from L1, feeds them to the enclave, starts the enclave when it
//! has begun a new life, keeps what it emits, and tells the rest of the node where it stands. Not here:
//! which blocks (`follower`).

use super::{
    L1Client, L1Error,
    block::{Fetched, Gatherer, Thoroughness},
    follower::{Effect, Follower, Input},
};
use crate::{
    enclave::{AskError, ChannelError, Enclave, Records, ask},
    gossip::GossipHandle,
    stop::Stop,
    storage::{Storage, StorageError},
};
use alloy_primitives::{Address, B256};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use obscuro_protocol::{
    config::{L1BlockId, NetworkConfig},
    door::{DoorError, Folded, Head, Reply, Request, Retry, Started},
};
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::Instant};
use tracing::{debug, info, warn};

const BACK_OFF_MIN: Duration = Duration::from_millis(100);
const BACK_OFF_MAX: Duration = Duration::from_secs(5);
/// Times that a block which L1 no longer has, or that the enclave does not take, is tried again.
const ATTEMPTS_MAX: u32 = 6;
/// Longest wait for an enclave to be there when the node starts. Its start-up chain comes after that.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// A long catch-up is reported this often.
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

/// Where the enclave stands.
#[derive(Clone, Debug)]
pub struct Followed {
    /// The enclave's signing address.
    pub enclave: Address,
    /// The network as seen from its head.
    pub head: Head,
    /// Whether that is L1's head.
    pub is_synced: bool,
    /// How often the enclave was started: each life begins with an empty pool.
    pub life: u64,
}

/// The node cannot follow L1.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The enclave cannot go on.
    #[error("{0}; if this persists, move the data directory away: the node rebuilds it from L1")]
    Enclave(AskError),
    /// It must be started anew, and cannot be from here.
    #[error("the enclave must begin a new life, but {0}: restart the node")]
    NewLife(ChannelError),
    /// The L1 is another one.
    #[error("the L1 at hand does not contain this network's checkpoint: check the L1 address")]
    WrongChain,
    /// It does not answer at all.
    #[error(
        "the enclave does not answer ({0}): see its messages, and check its program and socket"
    )]
    NotStarted(String),
    /// A write ended before its end: a defect, or the program is ending.
    #[error("a write to the database was interrupted: {0}")]
    Interrupted(String),
    /// The enclave is refused its records.
    #[error("the enclave cannot use the database ({0}): check the disk, then restart the node")]
    Records(String),
    /// The database failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// What the follower works with.
pub struct Feed {
    /// Where blocks come from.
    pub l1: Arc<L1Client>,
    /// Who is fed.
    pub enclave: Arc<dyn Enclave>,
    /// What the enclave reads and emits.
    pub storage: Arc<Storage>,
    /// Who may have what L1 no longer gives.
    pub gossip: GossipHandle,
    /// The network.
    pub config: NetworkConfig,
    /// News of L1.
    pub heads: watch::Receiver<Option<super::L1Header>>,
    /// The enclave's signing address, for the rest of the node. One that cannot unseal what it had has
    /// another in its next life.
    pub identity: watch::Sender<Address>,
    /// Where the enclave stands, for the rest of the node; `None` until it has a head.
    pub followed: watch::Sender<Option<Followed>>,
    /// The end.
    pub stop: Stop,
}

impl Feed {
    /// Starts the enclave with what it sealed and emitted in its former life.
    pub async fn start(&self) -> Result<Started, FeedError> {
        let asker = Asker {
            records: self.storage.clone(),
            enclave: self.enclave.clone(),
            storage: self.storage.clone(),
            config: self.config.clone(),
            gatherer: self.gatherer(),
        };
        let started = asker.start(Some(SILENCE_MAX)).await?;
        self.identity.send_replace(started.enclave);
        Ok(started)
    }

    /// Follows L1 with an enclave that was started, until told to stop.
    pub async fn run(self, started: Started) -> Result<(), FeedError> {
        let stop = self.stop.clone();
        let driver = Driver {
            gatherer: self.gatherer(),
            follower: Follower::new(self.config.checkpoint.clone()),
            fetches: FuturesUnordered::new(),
            asking: None,
            life: 0,
            reported: Instant::now(),
            feed: self,
        };
        tokio::select! {
            result = driver.run(started) => result,
            () = stop.requested() => Ok(()),
        }
    }

    fn gatherer(&self) -> Gatherer {
        Gatherer {
            l1: self.l1.clone(),
            storage: self.storage.clone(),
            gossip: self.gossip.clone(),
            contracts: self.config.contracts.clone(),
        }
    }
}

struct Driver {
    feed: Feed,
    gatherer: Gatherer,
    follower: Follower,
    fetches: FuturesUnordered<BoxFuture<'static, Input>>,
    /// The one question to the enclave that is under way.
    asking: Option<BoxFuture<'static, Result<Asked, FeedError>>>,
    life: u64,
    reported: Instant,
}

/// What came of asking the enclave.
enum Asked {
    Started(Started),
    Folded(Box<Folded>),
    Head(B256, Box<Head>),
    /// It does not know the parent, or the head.
    Unknown,
    /// It does not take the block, or L1 does not have it any more.
    NotFed,
}

impl Driver {
    async fn run(mut self, started: Started) -> Result<(), FeedError> {
        let mut heads = self.feed.heads.clone();
        heads.mark_changed();
        self.asking = Some(std::future::ready(Ok(Asked::Started(started))).boxed());
        loop {
            let input = tokio::select! {
                changed = heads.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    let head = heads.borrow_and_update();
                    let Some(head) = &*head else { continue };
                    Input::Head(L1BlockId { number: head.number(), hash: head.hash })
                }
                Some(fetched) = self.fetches.next() => fetched,
                asked = wait_for(&mut self.asking) => self.take(asked?)?,
            };
            // What was planned failed: L1 may have moved on, or not say so again.
            if matches!(input, Input::NotFed | Input::Block(_, None) | Input::At(_, None)) {
                heads.mark_changed();
            }
            for effect in self.follower.handle(input) {
                self.perform(effect)?;
            }
        }
    }

    fn perform(&mut self, effect: Effect) -> Result<(), FeedError> {
        match effect {
            Effect::FetchAt(number) => {
                let fetch = fetch_at(self.gatherer.clone(), number);
                self.fetches.push(fetch.map(move |block| Input::At(number, block)).boxed());
            }
            Effect::Fetch(hash) => {
                let known = self.feed.heads.borrow().clone();
                let known = known.filter(|head| head.hash == hash);
                let fetch = fetch(self.gatherer.clone(), hash, known);
                self.fetches.push(fetch.map(move |block| Input::Block(hash, block)).boxed());
            }
            Effect::Feed(block) => self.asking = Some(self.asker().feed(block).boxed()),
            Effect::SetHead(hash) => self.asking = Some(self.asker().set_head(hash).boxed()),
            Effect::Restart => {
                warn!(
                    "L1 reorganised deeper than the enclave remembers: replaying from the checkpoint"
                );
                self.feed.storage.drop_snapshot()?;
                self.feed.enclave.restart().map_err(FeedError::NewLife)?;
                self.asking = Some(self.asker().start_again().boxed());
            }
            Effect::WrongChain => return Err(FeedError::WrongChain),
        }
        Ok(())
    }

    fn asker(&self) -> Asker {
        Asker {
            records: self.feed.storage.clone(),
            enclave: self.feed.enclave.clone(),
            storage: self.feed.storage.clone(),
            config: self.feed.config.clone(),
            gatherer: self.gatherer.clone(),
        }
    }

    /// What an answer of the enclave means for the follower.
    fn take(&mut self, asked: Asked) -> Result<Input, FeedError> {
        match asked {
            Asked::Started(started) => {
                info!(enclave = %started.enclave, l1 = started.position.number, has_seed = started.has_seed, "the enclave is started");
                if self.feed.identity.send_replace(started.enclave) != started.enclave {
                    // What the former one knew is not known to this one.
                    self.feed.followed.send_replace(None);
                }
                self.life += 1;
                Ok(Input::Started(started.position))
            }
            Asked::Folded(folded) if folded.is_start_over => {
                let l1 = folded.block.number;
                info!(l1, "the enclave's seed changed: replaying from the checkpoint");
                Ok(Input::StartedOver)
            }
            Asked::Folded(folded) => {
                self.report_progress(folded.block.number);
                Ok(Input::Fed(folded.block))
            }
            Asked::Head(hash, head) => {
                let is_synced = self.follower.is_near_target(&head.l1);
                debug!(l1 = head.l1.number, rollup = head.number, is_synced, "head");
                self.feed.followed.send_replace(Some(Followed {
                    enclave: *self.feed.identity.borrow(),
                    head: *head,
                    is_synced,
                    life: self.life,
                }));
                Ok(Input::HeadSet(hash))
            }
            Asked::Unknown => Ok(Input::Unknown),
            Asked::NotFed => Ok(Input::NotFed),
        }
    }

    fn report_progress(&mut self, number: u64) {
        if self.reported.elapsed() < PROGRESS_EVERY {
            return;
        }
        self.reported = Instant::now();
        let target = self.feed.heads.borrow().as_ref().map_or(number, super::L1Header::number);
        if target > number {
            info!(l1 = number, of = target, "catching up with L1");
        }
    }
}

/// Waits for the question under way; for ever if there is none.
async fn wait_for<T>(asking: &mut Option<BoxFuture<'static, T>>) -> T {
    match asking {
        Some(question) => {
            let answer = question.await;
            *asking = None;
            answer
        }
        None => std::future::pending().await,
    }
}

/// Doubling waits.
struct BackOff(Duration);

impl BackOff {
    fn new() -> Self {
        Self(BACK_OFF_MIN)
    }

    async fn wait(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(BACK_OFF_MAX);
    }
}

/// Asks the enclave, for as long as it is worth it.
struct Asker {
    enclave: Arc<dyn Enclave>,
    records: Arc<dyn Records>,
    storage: Arc<Storage>,
    config: NetworkConfig,
    gatherer: Gatherer,
}

impl Asker {
    async fn ask(&self, request: Request) -> Result<Reply, AskError> {
        ask(&self.enclave, &self.records, request).await
    }

    async fn start_again(self) -> Result<Asked, FeedError> {
        self.start(None).await.map(Asked::Started)
    }

    /// Starts the enclave; waits for it to be there, for this long or for ever.
    async fn start(self, patience: Option<Duration>) -> Result<Started, FeedError> {
        let deadline = patience.map(|patience| Instant::now() + patience);
        let mut back_off = BackOff::new();
        let mut is_restarted = false;
        loop {
            let request = Request::Start {
                config: Box::new(self.config.clone()),
                identity: self.storage.identity()?,
                snapshot: self.storage.snapshot()?,
            };
            match self.ask(request).await {
                Ok(Reply::Started(started)) => {
                    self.storage.keep_identity(&started.identity)?;
                    return Ok(started);
                }
                Ok(_) => return Err(FeedError::Enclave(AskError::OutOfTurn)),
                // It still lives the life that it began with another host, or before a restart.
                Err(AskError::Refused(DoorError::Rejected(_))) if !is_restarted => {
                    is_restarted = true;
                    self.enclave.restart().map_err(FeedError::NewLife)?;
                }
                Err(AskError::Channel(ChannelError::Unavailable(reason))) => {
                    if deadline.is_some_and(|deadline| Instant::now() > deadline) {
                        return Err(FeedError::NotStarted(reason));
                    }
                    debug!(reason, "waiting for the enclave");
                }
                Err(AskError::Refused(DoorError::Retry(Retry::Store(reason)))) => {
                    warn!(reason, "the enclave misses the database");
                }
                Err(error) => return Err(FeedError::Enclave(error)),
            }
            back_off.wait().await;
        }
    }

    async fn feed(self, mut block: Box<Fetched>) -> Result<Asked, FeedError> {
        let mut back_off = BackOff::new();
        for attempt in 0..ATTEMPTS_MAX {
            match self.ask(Request::L1Block(Box::new(block.block.clone()))).await {
                Ok(Reply::Folded(folded)) => return self.keep(block, folded).await,
                Ok(_) => return Err(FeedError::Enclave(AskError::OutOfTurn)),
                Err(AskError::Refused(DoorError::Retry(Retry::L1Block(_)))) => {
                    return Ok(Asked::Unknown);
                }
                Err(AskError::Refused(DoorError::Retry(Retry::Start))) => {
                    return self.start_again().await;
                }
                Err(error) if error.is_fatal() => return Err(FeedError::Enclave(error)),
                Err(AskError::Channel(error)) => debug!(%error, "waiting for the enclave"),
                Err(AskError::Refused(DoorError::Retry(Retry::Store(reason)))) => {
                    if attempt + 1 == ATTEMPTS_MAX {
                        return Err(FeedError::Records(reason));
                    }
                    warn!(reason, "the enclave misses the database");
                }
                Err(error) => {
                    // The first time is ordinary: the bloom or the archive was wrong.
                    if attempt > 0 {
                        warn!(block = block.id.number, %error, "the enclave does not take the L1 block");
                    }
                    if let Some(fresh) = self.refresh(&block).await {
                        block = fresh;
                    }
                }
            }
            if attempt > 0 {
                back_off.wait().await;
            }
        }
        Ok(Asked::NotFed)
    }

    /// Keeps what the enclave emitted for a block, and the blobs that it found right.
    async fn keep(self, fetched: Box<Fetched>, folded: Box<Folded>) -> Result<Asked, FeedError> {
        let emitted = folded.clone();
        let keep = move |storage: &Storage| {
            storage.archive_blobs(&fetched.blobs)?;
            if emitted.is_start_over {
                storage.drop_snapshot()?;
            }
            if let Some(identity) = &emitted.identity {
                storage.keep_identity(identity)?;
            }
            emitted.snapshot.map_or(Ok(()), |snapshot| storage.keep_snapshot(&snapshot))
        };
        self.store(keep).await?;
        Ok(Asked::Folded(folded))
    }

    /// Writes, on a thread where blocking is allowed.
    async fn store<F>(&self, write: F) -> Result<(), FeedError>
    where
        F: FnOnce(&Storage) -> Result<(), StorageError> + Send + 'static,
    {
        let storage = self.storage.clone();
        let written = tokio::task::spawn_blocking(move || write(&storage)).await;
        Ok(written.map_err(|error| FeedError::Interrupted(error.to_string()))??)
    }

    /// The block with everything that L1 says of it.
    async fn refresh(&self, block: &Fetched) -> Option<Box<Fetched>> {
        let gathered = self.gatherer.gather(block.header.clone(), Thoroughness::Fresh).await;
        match gathered {
            Ok(fresh) => fresh.map(Box::new),
            Err(error) => {
                warn!(block = block.id.number, %error, "cannot fetch the L1 block");
                None
            }
        }
    }

    async fn set_head(self, hash: B256) -> Result<Asked, FeedError> {
        let mut back_off = BackOff::new();
        loop {
            match self.ask(Request::SetHead(hash)).await {
                Ok(Reply::Head(head)) => {
                    let forget = head.forget.clone();
                    self.store(move |storage| storage.forget_transactions(&forget)).await?;
                    return Ok(Asked::Head(hash, head));
                }
                Ok(_) => return Err(FeedError::Enclave(AskError::OutOfTurn)),
                Err(AskError::Refused(DoorError::Retry(Retry::L1Block(_)))) => {
                    return Ok(Asked::Unknown);
                }
                Err(AskError::Refused(DoorError::Retry(Retry::Start))) => {
                    return self.start_again().await;
                }
                Err(error) if error.is_fatal() => return Err(FeedError::Enclave(error)),
                Err(error) => warn!(%error, "the enclave does not take the L1 head"),
            }
            back_off.wait().await;
        }
    }
}

/// The canonical block of a number; `None` if L1 ends before it.
async fn fetch_at(gatherer: Gatherer, number: u64) -> Option<Box<Fetched>> {
    persist(|| async {
        let Some(header) = gatherer.l1.header_at(number).await? else { return Ok(None) };
        gatherer.gather(header, Thoroughness::Usual).await
    })
    .await
}

/// The block with a hash; `None` if L1 does not have it any more.
async fn fetch(
    gatherer: Gatherer,
    hash: B256,
    known: Option<super::L1Header>,
) -> Option<Box<Fetched>> {
    persist(|| async {
        let header = match &known {
            Some(header) => Some(header.clone()),
            None => gatherer.l1.header(hash).await?,
        };
        let Some(header) = header else { return Ok(None) };
        gatherer.gather(header, Thoroughness::Usual).await
    })
    .await
}

/// Tries until L1 has given the block, or has said often enough that it does not have it.
async fn persist<F, T>(fetch: impl Fn() -> F) -> Option<Box<T>>
where
    F: Future<Output = Result<Option<T>, L1Error>>,
{
    let mut back_off = BackOff::new();
    let mut missing = 0;
    loop {
        match fetch().await {
            Ok(Some(block)) => return Some(Box::new(block)),
            Ok(None) => {
                missing += 1;
                if missing == ATTEMPTS_MAX {
                    return None;
                }
            }
            Err(error) => debug!(%error, "cannot fetch an L1 block; trying again"),
        }
        back_off.wait().await;
    }
}
