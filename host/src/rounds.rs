//! Drives the rounds: asks the enclave to seal and to judge, keeps the time of the gossip window,
//! carries candidates to and from the peers, and has the winner published. Not here: what follows from
//! what (`round`), transactions among peers (`relay`).

use crate::{
    enclave::{AskError, ChannelError, Enclave, Records, ask},
    gossip::{GossipHandle, MessageId, PeerId, Verdict, peer_of},
    l1::feed::Followed,
    publisher::{ANSWERS_MAX, Content, PublishError, Publisher, Purpose, load_setup},
    round::{
        Effect, Input, Judgement, RoundId, Rounds,
        rhythm::{Rhythm, gathering},
    },
    stop::Stop,
};
use alloy_primitives::{Address, B256};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use obscuro_protocol::{
    config::NetworkConfig,
    door::{DoorError, Duty, Reply, Request},
    gossip::{Announcement, Gossip, Wanted},
    l1::SeedAnswer,
    rollup::SignedRollup,
};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until},
};
use tracing::{debug, info, warn};

/// How often the enclave is asked again to seal because transactions arrived.
const WORK_EVERY: Duration = Duration::from_millis(25);

/// Transactions between two L1 blocks that announce a rollup which will need blobs.
const BUSY_TRANSACTIONS: u64 = 250;

/// What the driver works with.
pub struct RoundDriver {
    /// Who seals and judges.
    pub enclave: Arc<dyn Enclave>,
    /// Its store.
    pub records: Arc<dyn Records>,
    /// The peers.
    pub gossip: GossipHandle,
    /// What they announce.
    pub candidates: mpsc::Receiver<(MessageId, Box<Announcement>)>,
    /// Who publishes.
    pub publisher: Publisher,
    /// Where the enclave stands.
    pub followed: watch::Receiver<Option<Followed>>,
    /// Changes whenever transactions have arrived.
    pub work: watch::Receiver<u64>,
    /// The network.
    pub config: NetworkConfig,
    /// The gossip window; follows L1's block time if absent.
    pub window: Option<Duration>,
    /// The end.
    pub stop: Stop,
}

type Happening = BoxFuture<'static, Option<Input<MessageId>>>;

impl RoundDriver {
    /// Plays until told to stop.
    pub async fn run(mut self) {
        let stop = self.stop.clone();
        tokio::select! {
            () = self.play() => {}
            () = stop.requested() => {}
        }
    }

    async fn play(&mut self) {
        let mut rounds: Option<Rounds<MessageId>> = None;
        let mut happenings: FuturesUnordered<Happening> = FuturesUnordered::new();
        let mut rhythm = Rhythm::default();
        let began = Instant::now();
        let mut bustle = Bustle::default();
        let mut work_from = Instant::now();
        loop {
            let work = async {
                sleep_until(work_from).await;
                self.work.changed().await
            };
            let input = tokio::select! {
                changed = self.followed.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let followed = self.followed.borrow_and_update().clone();
                    let Some(followed) = followed.filter(|followed| followed.is_synced) else { continue };
                    if rounds.as_ref().is_none_or(|rounds| rounds.enclave() != followed.enclave) {
                        rounds = Some(Rounds::new(followed.enclave, self.config.clone()));
                    }
                    rhythm.block(followed.head.l1.number, began.elapsed());
                    bustle.at_block = *self.work.borrow();
                    Some(Input::Head(Box::new(followed.head)))
                }
                announced = self.candidates.recv() => match announced {
                    Some((id, candidate)) => Some(Input::Candidate(id, candidate)),
                    None => return,
                },
                Some(input) = happenings.next() => input,
                changed = work => {
                    if changed.is_err() {
                        return;
                    }
                    work_from = Instant::now() + WORK_EVERY;
                    bustle.prepare(*self.work.borrow());
                    Some(Input::Work)
                }
            };
            let (Some(rounds), Some(input)) = (&mut rounds, input) else { continue };
            let window = self.window.unwrap_or_else(|| rhythm.window());
            for effect in rounds.handle(input) {
                happenings.extend(self.perform(effect, window));
            }
        }
    }

    fn perform(&self, effect: Effect<MessageId>, window: Duration) -> Vec<Happening> {
        let judge = |message, verdict| {
            self.gossip.judge(message, verdict);
            Vec::new()
        };
        match effect {
            Effect::Forward(message) => judge(message, Verdict::Forward),
            Effect::Ignore(message) => judge(message, Verdict::Ignore),
            Effect::Reject(message) => judge(message, Verdict::Reject),
            Effect::Expect(payload) => {
                self.gossip.expect(Wanted::Payload(payload));
                Vec::new()
            }
            Effect::Seal(id) => {
                let asked = self.ask(Request::Seal);
                vec![asked.map(move |answer| Some(sealed(id, answer))).boxed()]
            }
            Effect::Pull(candidate, message) => {
                let sources = [Some(message.source()), self.host_of(candidate.header.aggregator)];
                let sources = sources.into_iter().flatten().collect();
                let wanted = Wanted::Payload(candidate.header.payloadHash);
                let (gossip, hash) = (self.gossip.clone(), candidate.header.hash());
                let pull = async move { gossip.pull(wanted, sources, window).await };
                vec![pull.map(move |payload| Some(Input::Pulled(hash, payload))).boxed()]
            }
            Effect::Check(rollup) => {
                let hash = rollup.header.hash();
                let asked = self.ask(Request::Candidate(rollup));
                vec![asked.map(move |answer| Some(checked(hash, answer))).boxed()]
            }
            Effect::OpenWindow(id) => vec![
                sleep(gathering(window)).map(move |()| Some(Input::Gathered(id))).boxed(),
                sleep(window).map(move |()| Some(Input::WindowClosed(id))).boxed(),
            ],
            Effect::Gossip(rollup) => {
                let gossip = self.gossip.clone();
                vec![async move { spread(&gossip, rollup).await }.boxed()]
            }
            Effect::Publish(rollup) => {
                let (publisher, answers) = (self.publisher.clone(), self.answers());
                vec![async move { publish(&publisher, rollup, answers.await).await }.boxed()]
            }
            Effect::TakeBack(rollup) => {
                let publisher = self.publisher.clone();
                vec![async move { take_back(&publisher, rollup).await }.boxed()]
            }
        }
    }

    /// The host of an aggregator, as L1 names it.
    fn host_of(&self, aggregator: Address) -> Option<PeerId> {
        let followed = self.followed.borrow();
        let mut peers = followed.as_ref()?.head.peers.iter();
        let host = peers.find(|peer| peer.enclave == aggregator)?;
        peer_of(&host.host_address.parse().ok()?)
    }

    /// Answers to members that wait for the seed: the rollup carries them (protocol 3.5).
    fn answers(&self) -> impl Future<Output = Vec<SeedAnswer>> + Send + 'static {
        let is_due = self
            .followed
            .borrow()
            .as_ref()
            .is_some_and(|followed| followed.head.duties.contains(&Duty::ShareSeed));
        let asked = is_due.then(|| self.ask(Request::SeedShares));
        async move {
            let Some(asked) = asked else { return Vec::new() };
            let Ok(Reply::SeedShares(shares)) = asked.await else { return Vec::new() };
            shares.into_iter().take(ANSWERS_MAX).map(|share| share.answer).collect()
        }
    }

    fn ask(
        &self,
        request: Request,
    ) -> impl Future<Output = Result<Reply, AskError>> + Send + 'static {
        let (enclave, records) = (self.enclave.clone(), self.records.clone());
        async move { ask(&enclave, &records, request).await }
    }
}

fn sealed(id: RoundId, answer: Result<Reply, AskError>) -> Input<MessageId> {
    let rollup = match answer {
        Ok(Reply::Sealed(rollup)) => rollup,
        Ok(_) => None,
        Err(error) => {
            complain("the enclave does not seal", &error);
            None
        }
    };
    Input::Sealed(id, rollup)
}

fn checked(hash: B256, answer: Result<Reply, AskError>) -> Input<MessageId> {
    let judgement = match answer {
        Ok(Reply::Accepted) => Judgement::Valid,
        Err(AskError::Refused(DoorError::Rejected(reason))) => {
            debug!(rollup = %hash, reason, "a peer's candidate is invalid");
            Judgement::Invalid
        }
        Ok(_) => Judgement::Unknown,
        Err(error) => {
            complain("a peer's candidate cannot be judged", &error);
            Judgement::Unknown
        }
    };
    Input::Checked(hash, judgement)
}

/// Retries are ordinary while the enclave catches up or restarts.
fn complain(what: &str, error: &AskError) {
    match error {
        AskError::Refused(DoorError::Retry(_))
        | AskError::Channel(ChannelError::Unavailable(_)) => {
            debug!(%error, "{what}");
        }
        _ => warn!(%error, "{what}"),
    }
}

async fn spread(gossip: &GossipHandle, rollup: Box<SignedRollup>) -> Option<Input<MessageId>> {
    let number = rollup.header.number;
    let announcement = Box::new(Announcement::of(&rollup));
    gossip.offer(Wanted::Payload(rollup.header.payloadHash), rollup.payload).await;
    if let Err(error) = gossip.publish(Gossip::Candidate(announcement)).await {
        debug!(number, %error, "the candidate is not gossiped");
    }
    None
}

async fn publish(
    publisher: &Publisher,
    rollup: Box<SignedRollup>,
    answers: Vec<SeedAnswer>,
) -> Option<Input<MessageId>> {
    let (number, bytes) = (rollup.header.number, rollup.payload.len());
    match publisher.publish(rollup, answers).await {
        Ok(transaction) => info!(number, bytes, %transaction, "publishing a rollup"),
        Err(error @ (PublishError::Late | PublishError::Underway | PublishError::Superseded)) => {
            debug!(number, %error, "the rollup is not published")
        }
        Err(error) => warn!(number, %error, "the rollup is not published"),
    }
    None
}

async fn take_back(publisher: &Publisher, rollup: B256) -> Option<Input<MessageId>> {
    match publisher.send(Purpose::Publish, Content::Nothing(Some(rollup))).await {
        Ok(transaction) => info!(%rollup, %transaction, "taking back a rollup that has lost"),
        Err(error) => debug!(%rollup, %error, "a rollup that has lost is not taken back"),
    }
    None
}

/// Whether rollups are about to grow so large that they travel in blobs.
#[derive(Default)]
struct Bustle {
    /// Transactions counted at the last L1 block.
    at_block: u64,
    is_prepared: bool,
}

impl Bustle {
    /// Loads what blobs need ahead of the first one: it takes seconds.
    fn prepare(&mut self, count: u64) {
        if !self.is_prepared && count.saturating_sub(self.at_block) > BUSY_TRANSACTIONS {
            self.is_prepared = true;
            tokio::task::spawn_blocking(load_setup);
        }
    }
}
