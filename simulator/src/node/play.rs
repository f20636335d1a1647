//! Plays the rounds, as `host::rounds` does: asks the enclave to seal and to judge, keeps the window's
//! time, carries candidates. Not here: what follows from what (`host::round`).

use super::{Node, cost};
use crate::{
    events::{Message, MessageId, NodeEvent},
    reference::short,
    world::World,
};
use obscuro_host::{
    publisher::outbox::{Content, Purpose},
    pull,
    round::{Effect, Input, Judgement, RoundId, rhythm::gathering},
};
use obscuro_protocol::{
    door::{DoorError, Reply, Request},
    gossip::{Announcement, Gossip, Wanted},
    rollup::SignedRollup,
};
use std::{sync::Arc, time::Duration};

/// How often the round is told of new transactions.
const WORK_EVERY: Duration = Duration::from_millis(25);

impl Node {
    /// Tells the round, and does what it says.
    pub fn play(&mut self, input: Input<MessageId>, world: &mut World) {
        let Some(rounds) = self.life.as_mut().and_then(|life| life.rounds.as_mut()) else { return };
        let effects = rounds.handle(input);
        self.perform_all(effects, world);
    }

    fn perform_all(&mut self, effects: Vec<Effect<MessageId>>, world: &mut World) {
        for effect in effects {
            let effects = match self.adversary.take() {
                Some(mut adversary) => {
                    let effects = adversary.effect(self, effect, world);
                    self.adversary = Some(adversary);
                    effects
                }
                None => vec![effect],
            };
            for effect in effects {
                self.perform(effect, world);
            }
        }
    }

    /// Does what the round says.
    pub fn perform(&mut self, effect: Effect<MessageId>, world: &mut World) {
        match effect {
            Effect::Seal(id) => {
                let sealed = self.seal(id, world);
                self.plan(world, cost::SEAL, NodeEvent::Round(Input::Sealed(id, sealed)));
            }
            Effect::Check(rollup) => {
                let hash = rollup.header.hash();
                let judgement = self.judge(rollup, world);
                let checked = NodeEvent::Round(Input::Checked(hash, judgement));
                self.plan(world, cost::CHECK, checked);
            }
            Effect::OpenWindow(id) => {
                let window = self.life.as_ref().map(|life| life.rhythm.window());
                let window = window.unwrap_or_default();
                self.plan(world, gathering(window), NodeEvent::Round(Input::Gathered(id)));
                self.plan(world, window, NodeEvent::Round(Input::WindowClosed(id)));
            }
            Effect::Pull(candidate, message) => self.pull(&candidate, message.from, world),
            Effect::Expect(payload) => {
                self.move_content(pull::Input::Expect(Wanted::Payload(payload)), world);
            }
            Effect::Gossip(rollup) => {
                let announcement = Box::new(Announcement::of(&rollup));
                self.offer_payload(rollup.header.payloadHash, rollup.payload, world);
                self.spread(&Gossip::Candidate(announcement), world);
            }
            Effect::Publish(rollup) => {
                let answers = self.answers(world);
                self.order(Purpose::Publish, Content::Rollup(rollup, answers), world);
            }
            Effect::TakeBack(rollup) => self.withdraw(rollup, world),
            Effect::Forward(message) => self.forward(&message, world),
            Effect::Ignore(message) => self.drop_message(&message),
            Effect::Reject(message) => {
                world.say(Some(self.id), format!("rejects a message of node {}", message.from));
                self.drop_message(&message);
            }
        }
    }

    /// Asks the enclave for its candidate.
    pub fn seal(&mut self, id: RoundId, world: &mut World) -> Option<Box<SignedRollup>> {
        match self.ask(world, Request::Seal) {
            Ok(Reply::Sealed(rollup)) => {
                let what = rollup.as_ref().map_or_else(
                    || "nothing".to_owned(),
                    |rollup| {
                        let header = &rollup.header;
                        let nonce = header.nonce >> 224;
                        let hash = short(header.hash());
                        format!("{} {hash}, nonce {nonce:08x}", header.number)
                    },
                );
                let (parent, proof) = (short(id.parent), short(id.l1_proof));
                world.say(Some(self.id), format!("seals {what} on {parent}, proof {proof}"));
                rollup
            }
            Ok(_) => None,
            Err(error) => {
                world.say(Some(self.id), format!("does not seal: {error}"));
                self.check_alive(error, world);
                None
            }
        }
    }

    fn judge(&mut self, rollup: Box<SignedRollup>, world: &mut World) -> Judgement {
        let hash = rollup.header.hash();
        world.counts.checked += 1;
        match self.ask(world, Request::Candidate(rollup)) {
            Ok(Reply::Accepted) => Judgement::Valid,
            Err(DoorError::Rejected(reason)) => {
                world.say(Some(self.id), format!("candidate {} is invalid: {reason}", short(hash)));
                Judgement::Invalid
            }
            Ok(_) => Judgement::Unknown,
            Err(error) => {
                self.check_alive(error, world);
                Judgement::Unknown
            }
        }
    }

    /// Sends a message of its own to all aggregators, to which it keeps links; others pass on to neighbours.
    pub fn spread(&mut self, message: &Gossip, world: &mut World) {
        let message = Message::new(message.encode());
        let Some(life) = &mut self.life else { return };
        life.remember(message.hash);
        for to in (0..world.scenario.aggregators).filter(|to| *to != self.id) {
            world.gossip(self.id, to, &message);
        }
    }

    fn forward(&mut self, id: &MessageId, world: &mut World) {
        let Some(message) = self.life.as_mut().and_then(|life| life.kept.remove(&id.hash)) else {
            return;
        };
        for to in world.network.mesh[self.id].clone() {
            if to != id.from {
                world.gossip(self.id, to, &message);
            }
        }
    }

    fn drop_message(&mut self, id: &MessageId) {
        if let Some(life) = &mut self.life {
            life.kept.remove(&id.hash);
        }
    }

    /// A message arrives.
    pub fn take_message(&mut self, from: usize, message: Arc<Message>, world: &mut World) {
        if !self.hears(from) {
            return;
        }
        let Some(life) = &mut self.life else { return };
        // The tag of a candidate, behind the version.
        let is_candidate = message.bytes.get(1) == Some(&1);
        world.counts.announcement_copies += u64::from(is_candidate && world.is_played());
        let hash = message.hash;
        if !life.remember(hash) {
            return;
        }
        let id = MessageId { hash, from };
        match Gossip::decode(&message.bytes) {
            Ok(Gossip::Candidate(candidate)) => {
                life.kept.insert(hash, message);
                self.play(Input::Candidate(id, candidate), world);
            }
            Ok(Gossip::Transactions(sealed)) => {
                if self.keeps_out(world) {
                    return;
                }
                if let Some(life) = &mut self.life {
                    life.kept.insert(hash, message);
                }
                self.take_peer_transactions(id, sealed, world);
            }
            Err(_) => {}
        }
    }

    fn take_peer_transactions(
        &mut self,
        id: MessageId,
        sealed: alloy_primitives::Bytes,
        world: &mut World,
    ) {
        match self.ask(world, Request::PeerTransactions(sealed)) {
            Ok(_) => {
                self.plan_work(world);
                self.forward(&id, world);
            }
            Err(error) => {
                self.drop_message(&id);
                self.check_alive(error, world);
            }
        }
    }

    /// Transactions have arrived: the round is told, but not too often.
    pub(super) fn plan_work(&mut self, world: &mut World) {
        let Some(life) = &mut self.life else { return };
        if !life.is_work_planned {
            life.is_work_planned = true;
            let delay = life.work_from.saturating_sub(world.now);
            self.plan(world, delay, NodeEvent::Work);
        }
    }

    pub(super) fn take_work(&mut self, world: &mut World) {
        if let Some(life) = &mut self.life {
            life.is_work_planned = false;
            life.work_from = world.now + WORK_EVERY;
        }
        self.play(Input::Work, world);
    }
}
