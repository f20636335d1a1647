//! Carries content among hosts as `pull` says: requests and answers on the swarm, timers, the archive,
//! and the checking of blobs beside the task that owns the swarm. Not here: whom to ask.

use super::{Archive, behaviour::Behaviour};
use crate::pull::{Answer, Effect, Input, Mismatch, PERIOD, Pulls};
use alloy_primitives::Bytes;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use libp2p::{
    PeerId, Swarm,
    request_response::{Event, Message, OutboundFailure, OutboundRequestId, ResponseChannel},
};
use obscuro_protocol::gossip::{Found, Wanted};
use std::{collections::HashMap, io::ErrorKind, sync::Arc, time::Duration};
use tokio::{
    sync::{Semaphore, oneshot},
    task::spawn_blocking,
    time::sleep,
};

/// Threads that look into the archive for peers: the others are for this node.
const READERS_MAX: usize = 2;

type Reply = ResponseChannel<Found>;
/// What comes of something that takes its time.
pub type Happening = Input<PeerId, Reply>;

/// Content on its way.
pub struct Contents {
    pulls: Pulls<PeerId, Reply>,
    archive: Arc<dyn Archive>,
    readers: Arc<Semaphore>,
    asking: HashMap<OutboundRequestId, (PeerId, Wanted)>,
    takers: HashMap<Wanted, Vec<oneshot::Sender<Option<Bytes>>>>,
    happenings: FuturesUnordered<BoxFuture<'static, Happening>>,
}

impl Contents {
    /// Nothing wanted yet.
    pub fn new(archive: Arc<dyn Archive>) -> Self {
        let contents = Self {
            pulls: Pulls::default(),
            archive,
            readers: Arc::new(Semaphore::new(READERS_MAX)),
            asking: HashMap::new(),
            takers: HashMap::new(),
            happenings: FuturesUnordered::new(),
        };
        contents.happenings.push(after(PERIOD, Input::Period));
        contents
    }

    /// The next thing that happens.
    pub async fn next(&mut self) -> Happening {
        match self.happenings.next().await {
            Some(happening) => happening,
            None => std::future::pending().await,
        }
    }

    /// Somebody on this host wants content.
    pub fn want(
        &mut self,
        wanted: Wanted,
        sources: Vec<PeerId>,
        patience: Duration,
        done: oneshot::Sender<Option<Bytes>>,
        swarm: &mut Swarm<Behaviour>,
    ) -> Vec<(PeerId, Mismatch)> {
        self.takers.entry(wanted).or_default().push(done);
        self.handle(Input::Want(wanted, sources, patience), swarm)
    }

    /// Tells the core, and does what it says but for the peers that it blames.
    pub fn handle(
        &mut self,
        input: Happening,
        swarm: &mut Swarm<Behaviour>,
    ) -> Vec<(PeerId, Mismatch)> {
        if matches!(input, Input::Period) {
            self.happenings.push(after(PERIOD, Input::Period));
        }
        let mut blamed = Vec::new();
        for effect in self.pulls.handle(input) {
            match effect {
                Effect::Ask(peer, wanted) => {
                    let id = swarm.behaviour_mut().content.send_request(&peer, wanted);
                    self.asking.insert(id, (peer, wanted));
                }
                Effect::Patience(wanted, time) => {
                    self.happenings.push(after(time, Input::Impatient(wanted)));
                }
                Effect::Arrived(wanted, bytes) => self.tell(wanted, Some(bytes)),
                Effect::Missing(wanted) => self.tell(wanted, None),
                Effect::Blame(peer, mismatch) => blamed.push((peer, mismatch)),
                Effect::LookUp(peer, reply, wanted) => {
                    let (archive, readers) = (self.archive.clone(), self.readers.clone());
                    let found = async move {
                        let _turn = readers.acquire().await.ok()?;
                        spawn_blocking(move || archive.find(wanted)).await.ok()?
                    };
                    let happening = found.map(move |found| Input::LookedUp(peer, reply, found));
                    self.happenings.push(happening.boxed());
                }
                Effect::Answer(reply, found) => {
                    let found = found.map_or(Found::Nothing, Found::Content);
                    // Who no longer waits needs no answer.
                    let _ = swarm.behaviour_mut().content.send_response(reply, found);
                }
            }
        }
        blamed
    }

    fn tell(&mut self, wanted: Wanted, content: Option<Bytes>) {
        for taker in self.takers.remove(&wanted).unwrap_or_default() {
            // Who no longer waits needs no answer.
            let _ = taker.send(content.clone());
        }
    }

    /// A request or an answer, or the failure of one.
    pub fn on_event(
        &mut self,
        event: Event<Wanted, Found>,
        swarm: &mut Swarm<Behaviour>,
    ) -> Vec<(PeerId, Mismatch)> {
        match event {
            Event::Message { peer, message: Message::Request { request, channel, .. }, .. } => {
                self.handle(Input::Asked(peer, channel, request), swarm)
            }
            Event::Message { message: Message::Response { request_id, response }, .. } => {
                match (self.asking.remove(&request_id), response) {
                    (Some((peer, wanted)), Found::Content(bytes)) => {
                        self.check(peer, wanted, bytes);
                        Vec::new()
                    }
                    (Some((peer, wanted)), Found::Nothing) => {
                        self.handle(Input::Answered(peer, wanted, Answer::Nothing), swarm)
                    }
                    (None, _) => Vec::new(),
                }
            }
            Event::OutboundFailure { request_id, error, .. } => {
                let Some((peer, wanted)) = self.asking.remove(&request_id) else {
                    return Vec::new();
                };
                tracing::debug!(%peer, %error, "a peer does not answer a request for content");
                self.handle(Input::Answered(peer, wanted, failed(&error)), swarm)
            }
            Event::InboundFailure { .. } | Event::ResponseSent { .. } => Vec::new(),
        }
    }

    /// Compares the hash, beside the swarm: a blob takes a while.
    fn check(&self, peer: PeerId, wanted: Wanted, bytes: Bytes) {
        let checked = spawn_blocking(move || Answer::of(wanted, bytes));
        let answered = async move {
            let answer = checked.await.unwrap_or(Answer::Nothing);
            Input::Answered(peer, wanted, answer)
        };
        self.happenings.push(answered.boxed());
    }
}

/// What the failure of a request says of the peer.
fn failed(error: &OutboundFailure) -> Answer {
    match error {
        OutboundFailure::Io(error) if error.kind() == ErrorKind::InvalidData => {
            Answer::Wrong(Mismatch::Malformed)
        }
        _ => Answer::Nothing,
    }
}

fn after(time: Duration, input: Happening) -> BoxFuture<'static, Happening> {
    sleep(time).map(move |()| input).boxed()
}
