//! Feeds the enclave L1, as `host::l1::feed` does: fetches what the follower wants, asks the enclave, and
//! tells the follower what came of it. Not here: which blocks (the follower's).

use super::{
    Node,
    archive::{self, Asked},
    cost, fed,
};
use crate::{
    checks,
    disk::Disk,
    events::{Fed, NodeEvent},
    prosecutor,
    world::{Seen, World},
};
use alloy_eips::Encodable2718;
use alloy_primitives::{B256, Bytes};
use alloy_sol_types::SolEvent;
use obscuro_devnet::l1::Block;
use obscuro_enclave::Enclave;
use obscuro_host::{
    l1::{
        L1Header,
        block::{Fetched, find_payload, may_concern},
        follower::{Effect, Input},
    },
    pull, round,
};
use obscuro_protocol::{
    config::L1BlockId,
    door::{CarriedPayload, Carrier, DoorError, Head, L1Block, Reply, Request, Retry},
    l1::IRollupManagement::RollupPublished,
    secret::Secret,
};
use std::time::Duration;

/// Wait before something that failed is tried again.
const BACK_OFF: Duration = Duration::from_millis(400);
/// Gathered blocks that are kept for other nodes.
const GATHERED_MAX: usize = 8;
/// Times that a block which the enclave does not take is tried again.
const ATTEMPTS_MAX: u32 = 6;

impl Node {
    /// Starts the enclave with what it sealed and emitted in its former life.
    pub(super) fn start_enclave(&mut self, world: &mut World) {
        let request = Request::Start {
            config: Box::new(world.config.clone()),
            identity: self.disk.identity.clone(),
            snapshot: self.disk.snapshot.clone(),
        };
        match self.ask(world, request) {
            Ok(Reply::Started(started)) => {
                self.disk.keep_identity(&started.identity);
                world.say(
                    Some(self.id),
                    format!(
                        "starts as {} at L1 block {}{}",
                        started.enclave,
                        started.position.number,
                        if started.has_seed { "" } else { ", without the seed" }
                    ),
                );
                self.note_secrets(world);
                if let Some(life) = &mut self.life {
                    life.is_started = true;
                    life.address = started.enclave;
                }
                self.follow(Input::Started(started.position), world);
                let head = world.l1_head(self.id);
                self.follow(Input::Head(head), world);
            }
            Ok(_) => self.stop("the enclave answers out of turn".to_owned(), world),
            Err(DoorError::Retry(Retry::Store(_))) => {
                self.plan(world, BACK_OFF, NodeEvent::Start);
            }
            Err(error) => self.stop(error.to_string(), world),
        }
    }

    /// From now on nothing that leaves an enclave may contain what this one has sealed. Its lots are verified
    /// by making them.
    fn note_secrets(&self, world: &mut World) {
        if let Some(stolen) = self.steal(world) {
            world.leaks.watch(format!("signing key of node {}", self.id), &stolen.signing);
            world.leaks.watch(format!("lottery key of node {}", self.id), &stolen.lottery);
            if let Some(seed) = stolen.seed {
                world.leaks.watch("the master seed".to_owned(), seed.secret().expose());
            }
            checks::know(&Secret::new(stolen.lottery));
        }
    }

    /// L1 has a new head.
    pub(super) fn take_l1_head(&mut self, id: L1BlockId, world: &mut World) {
        let head = match self.adversary.take() {
            Some(mut adversary) => {
                let shown = adversary.l1_head(self, id, world);
                self.adversary = Some(adversary);
                shown
            }
            None => Some(id),
        };
        let Some(id) = head else { return };
        self.tend(id.number, world);
        self.move_content(pull::Input::Period, world);
        self.follow(Input::Head(id), world);
    }

    /// Tells the follower, and does what it says.
    pub(super) fn follow(&mut self, input: Input, world: &mut World) {
        let failed = matches!(input, Input::NotFed | Input::Block(_, None) | Input::At(_, None));
        let Some(life) = &mut self.life else { return };
        for effect in life.follow(input) {
            self.perform_feed(effect, 0, world);
        }
        if failed {
            // What was planned failed: L1 may have moved on, or not say so again.
            world.tell_head(self.id, BACK_OFF);
        }
    }

    fn perform_feed(&mut self, effect: Effect, attempt: u32, world: &mut World) {
        match effect {
            Effect::FetchAt(number) => {
                let l1 = world.network.l1_of[self.id];
                let block = world.l1.at(l1, number).cloned();
                self.fetch(Asked::At(number), block, world);
            }
            Effect::Fetch(hash) => {
                let l1 = world.network.l1_of[self.id];
                let block = world.l1.block(hash).filter(|_| world.l1.knows(l1, hash)).cloned();
                self.fetch(Asked::Block(hash), block, world);
            }
            Effect::Feed(block) => {
                let block = match self.adversary.take() {
                    Some(mut adversary) => {
                        let shown = adversary.feed(self, block, world);
                        self.adversary = Some(adversary);
                        shown
                    }
                    None => block,
                };
                let answer = self.feed(block, attempt, world);
                self.plan(world, delay_of(&answer, cost::FOLD), NodeEvent::Fed(answer));
            }
            Effect::SetHead(hash) => {
                let answer = self.set_head(hash, attempt, world);
                self.plan(world, delay_of(&answer, cost::ASK), NodeEvent::Fed(answer));
            }
            Effect::Restart => {
                world.say(Some(self.id), "L1 reorganised deeper than the enclave remembers");
                self.disk.snapshot = None;
                if let Some(life) = &mut self.life {
                    life.enclave = Enclave::new(self.device.clone());
                    life.is_started = true;
                }
                self.start_enclave(world);
            }
            Effect::WrongChain => {
                self.stop("L1 does not contain the checkpoint".to_owned(), world);
            }
        }
    }

    fn feed(&mut self, block: Box<Fetched>, attempt: u32, world: &mut World) -> Fed {
        let again = |block: Box<Fetched>, attempt| match attempt + 1 >= ATTEMPTS_MAX {
            true => Fed::Input(Input::NotFed),
            false => Fed::Again(Box::new(Effect::Feed(block)), attempt + 1),
        };
        match self.ask(world, Request::L1Block(Box::new(block.block.clone()))) {
            Ok(Reply::Folded(folded)) => {
                if let Some(identity) = &folded.identity {
                    self.disk.keep_identity(identity);
                    self.note_secrets(world);
                }
                self.archive(block.blobs);
                if folded.is_start_over {
                    self.disk.snapshot = None;
                    world.say(Some(self.id), "the enclave's seed changed");
                    return Fed::Input(Input::StartedOver);
                }
                if let Some(snapshot) = folded.snapshot {
                    self.disk.keep_snapshot(snapshot);
                }
                Fed::Input(Input::Fed(folded.block))
            }
            Ok(_) => Fed::Fatal("the enclave answers out of turn".to_owned()),
            Err(DoorError::Retry(Retry::L1Block(_))) => Fed::Input(Input::Unknown),
            Err(DoorError::Fatal(reason)) => Fed::Fatal(reason),
            Err(DoorError::Retry(Retry::Store(reason))) if attempt + 1 >= ATTEMPTS_MAX => {
                Fed::Fatal(format!("the enclave cannot use the database: {reason}"))
            }
            Err(DoorError::Retry(Retry::Store(_))) => again(block, attempt),
            Err(error) => {
                if attempt > 0 {
                    let number = block.id.number;
                    world.say(Some(self.id), format!("does not take L1 block {number}: {error}"));
                }
                // Everything, and from L1.
                let l1 = world.network.l1_of[self.id];
                let id = block.id.hash;
                let known = world.l1.block(id).filter(|_| world.l1.knows(l1, id)).cloned();
                let fresh = known.map(|known| Box::new(gather_all(&known, &self.disk, world)));
                again(fresh.unwrap_or(block), attempt)
            }
        }
    }

    fn set_head(&mut self, hash: B256, attempt: u32, world: &mut World) -> Fed {
        match self.ask(world, Request::SetHead(hash)) {
            Ok(Reply::Head(head)) => Fed::Head(hash, head),
            Ok(_) => Fed::Fatal("the enclave answers out of turn".to_owned()),
            Err(DoorError::Retry(Retry::L1Block(_))) => Fed::Input(Input::Unknown),
            Err(DoorError::Fatal(reason)) => Fed::Fatal(reason),
            Err(_) => Fed::Again(Box::new(Effect::SetHead(hash)), attempt + 1),
        }
    }

    /// The enclave has answered.
    pub(super) fn take_fed(&mut self, answer: Fed, world: &mut World) {
        match answer {
            Fed::Input(input) => self.follow(input, world),
            Fed::Fatal(reason) => self.stop(reason, world),
            Fed::Again(effect, attempt) => self.perform_feed(*effect, attempt, world),
            Fed::Head(hash, head) => {
                for settled in &head.forget {
                    self.disk.transactions.remove(settled);
                }
                self.take_head(*head, world);
                self.plan(world, Duration::ZERO, fed(Input::HeadSet(hash)));
            }
        }
    }

    /// The enclave has a new head.
    fn take_head(&mut self, head: Head, world: &mut World) {
        let Some(life) = &mut self.life else { return };
        life.is_synced = life.follower.is_near_target(&head.l1);
        life.head = Some(head.clone());
        world.seen.push(Seen::Head { node: self.id, head: Box::new(head.clone()) });
        if !life.is_synced {
            return;
        }
        life.rhythm.block(head.l1.number, world.now);
        let address = life.address;
        life.rounds.get_or_insert_with(|| {
            round::Rounds::new(address, world.config.clone()).checking_with(checks::REMEMBERED)
        });
        if let Some(mut adversary) = self.adversary.take() {
            adversary.head(self, &head, world);
            self.adversary = Some(adversary);
        }
        prosecutor::act(self, &head, world);
        if self.is_aggregator() {
            self.play(round::Input::Head(Box::new(head.clone())), world);
        }
        self.take_back(&head, world);
        self.look_after_membership(&head, world);
        self.resubmit(world);
        self.relay_when_peers_are_there(world);
    }
}

/// What is asked again a second time waits.
fn delay_of(answer: &Fed, usual: Duration) -> Duration {
    match answer {
        Fed::Again(_, attempt) if *attempt > 1 => BACK_OFF,
        _ => usual,
    }
}

/// A block as the host presents it, without receipts if the bloom excludes the contracts.
pub fn gather(block: &Block, archive: &Disk, world: &World) -> Fetched {
    let header = L1Header { hash: block.hash, fields: block.header.clone() };
    if !may_concern(&world.config.contracts, &header) {
        return bare(header);
    }
    if archive::is_pruned(block, world) {
        return gather_all(block, archive, world);
    }
    // Every host gathers the same: once is enough.
    if let Some(known) = world.gathered.borrow().iter().find(|known| known.id.hash == block.hash) {
        return known.clone();
    }
    let fetched = gather_all(block, archive, world);
    let mut gathered = world.gathered.borrow_mut();
    gathered.truncate(GATHERED_MAX - 1);
    gathered.insert(0, fetched.clone());
    fetched
}

/// The same with everything that L1 says of it.
pub fn gather_all(block: &Block, archive: &Disk, world: &World) -> Fetched {
    let mut fetched = bare(L1Header { hash: block.hash, fields: block.header.clone() });
    (fetched.block.payloads, fetched.blobs) = payloads(block, archive, world);
    let receipts = block.outcomes.iter().map(|outcome| outcome.receipt.encoded_2718().into());
    fetched.block.receipts = Some(receipts.collect());
    fetched
}

fn bare(header: L1Header) -> Fetched {
    Fetched {
        id: L1BlockId { number: header.number(), hash: header.hash },
        parent: header.parent(),
        block: L1Block {
            header: alloy_rlp::encode(&header.fields).into(),
            receipts: None,
            payloads: Vec::new(),
        },
        header,
        blobs: Vec::new(),
    }
}

/// The payloads of the rollups published in a block, and the blobs among what carried them.
fn payloads(
    block: &Block,
    archive: &Disk,
    world: &World,
) -> (Vec<CarriedPayload>, Vec<(B256, Bytes)>) {
    let contracts = &world.config.contracts;
    let (mut payloads, mut blobs) = (Vec::new(), Vec::new());
    for (tx, outcome) in block.included() {
        for log in outcome.logs().iter().filter(|log| log.address == contracts.rollupManagement) {
            let Ok(event) = RollupPublished::decode_log(log) else { continue };
            let carrier = if event.blobs.is_empty() {
                let input = alloy_consensus::Transaction::input(tx.inner());
                find_payload(input, &event.data).map(Carrier::Calldata)
            } else {
                let blob = |hash: &B256| archive::blob(*hash, block, archive, world);
                let found: Option<Vec<Bytes>> = event.blobs.iter().map(blob).collect();
                let found = found.unwrap_or_default();
                blobs.extend(event.blobs.iter().copied().zip(found.iter().cloned()));
                (!found.is_empty()).then_some(Carrier::Blobs(found))
            };
            payloads
                .extend(carrier.map(|carrier| CarriedPayload { rollup: event.rollup, carrier }));
        }
    }
    (payloads, blobs)
}
