//! Carries payloads among nodes, as `host::gossip::content` does: requests and answers by hash. Not here:
//! whom to ask and whom to serve (`host::pull`).

use super::{Node, cost};
use crate::{events::NodeEvent, reference::short, world::World};
use alloy_primitives::{Address, B256, Bytes};
use obscuro_host::{
    pull::{Answer, Effect, Input, Mismatch},
    round,
};
use obscuro_protocol::gossip::{Announcement, Wanted};
use std::time::Duration;

/// What a node asked another for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentRequest {
    /// Who asks.
    pub from: usize,
    /// For what.
    pub wanted: Wanted,
}

impl Node {
    /// Asks for a candidate's payload: whoever brought word of it, then its aggregator.
    pub(super) fn pull(&mut self, candidate: &Announcement, from: usize, world: &mut World) {
        let header = &candidate.header;
        let wanted = Wanted::Payload(header.payloadHash);
        let author = self.node_of(header.aggregator);
        let Some(life) = &mut self.life else { return };
        life.pulling.entry(wanted).or_default().push(header.hash());
        let patience = life.rhythm.window();
        let sources = [Some(from), author].into_iter().flatten().collect();
        self.move_content(Input::Want(wanted, sources, patience), world);
    }

    /// The node of an aggregator, as L1 names it.
    fn node_of(&self, aggregator: Address) -> Option<usize> {
        let peer = self.head()?.peers.iter().find(|peer| peer.enclave == aggregator)?;
        let number = peer.host_address.strip_prefix("/ip4/10.0.0.")?.split('/').next()?;
        number.parse::<usize>().ok()?.checked_sub(1)
    }

    /// Gives a payload to whoever asks.
    pub fn offer_payload(&mut self, hash: B256, payload: Bytes, world: &mut World) {
        self.move_content(Input::Offer(Wanted::Payload(hash), payload), world);
    }

    /// Tells the core, and does what it says.
    pub fn move_content(&mut self, input: Input<usize, ContentRequest>, world: &mut World) {
        let Some(life) = &mut self.life else { return };
        for effect in life.pulls.handle(input) {
            match effect {
                Effect::Ask(peer, wanted) => world.ask(self.id, peer, wanted),
                Effect::Patience(wanted, time) => {
                    let impatient = Input::Impatient(wanted);
                    self.plan(world, time, NodeEvent::Content(Box::new(impatient)));
                }
                Effect::Arrived(wanted, bytes) => self.pulled(wanted, Some(bytes), world),
                Effect::Missing(wanted) => self.pulled(wanted, None, world),
                Effect::Blame(peer, mismatch) => {
                    world.say(Some(self.id), format!("closes the link to node {peer}: {mismatch}"));
                    *world.counts.blamed.entry(peer).or_default() += 1;
                    world.counts.blobs_refused += u64::from(mismatch == Mismatch::Blob);
                    if let Some(life) = &mut self.life {
                        life.blamed.insert(peer);
                    }
                }
                Effect::LookUp(peer, request, wanted) => {
                    let (Wanted::Payload(hash) | Wanted::Blob(hash)) = wanted;
                    let found = self.disk.payloads.get(&hash).cloned();
                    self.move_content(Input::LookedUp(peer, request, found), world);
                }
                Effect::Answer(request, found) => {
                    let found = match self.adversary.take() {
                        Some(mut adversary) => {
                            let shown = adversary.content(request.wanted, found, world);
                            self.adversary = Some(adversary);
                            shown
                        }
                        None => found,
                    };
                    world.answer(self.id, request, found);
                }
            }
        }
    }

    fn pulled(&mut self, wanted: Wanted, payload: Option<Bytes>, world: &mut World) {
        if let Wanted::Blob(hash) = wanted {
            return self.take_blob(hash, payload, world);
        }
        let Some(life) = &mut self.life else { return };
        for candidate in life.pulling.remove(&wanted).unwrap_or_default() {
            if payload.is_none() {
                let text = format!("nobody gives the payload of {}", short(candidate));
                world.say(Some(self.id), text);
            }
            let pulled = round::Input::Pulled(candidate, payload.clone());
            self.plan(world, Duration::ZERO, NodeEvent::Round(pulled));
        }
    }

    /// A node asks.
    pub fn take_request(&mut self, from: usize, wanted: Wanted, world: &mut World) {
        if self.hears(from) {
            let request = ContentRequest { from, wanted };
            self.move_content(Input::Asked(from, request, wanted), world);
        }
    }

    /// A node answers.
    pub fn take_content(
        &mut self,
        from: usize,
        wanted: Wanted,
        found: Option<Bytes>,
        world: &mut World,
    ) {
        if !self.hears(from) {
            return;
        }
        world.counts.payload_copies += u64::from(found.is_some() && world.is_played());
        let answer = found.map_or(Answer::Nothing, |bytes| Answer::of(wanted, bytes));
        let answered = Input::Answered(from, wanted, answer);
        self.plan(world, cost::ASK, NodeEvent::Content(Box::new(answered)));
    }

    /// Whether it has a link to another.
    pub(super) fn hears(&self, other: usize) -> bool {
        let hears = |life: &super::Life| life.is_started && !life.blamed.contains(&other);
        self.life.as_ref().is_some_and(hears)
    }
}
