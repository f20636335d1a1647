//! Looks after forks with the host's docket, as `host::prosecutor` does: every honest aggregator accuses
//! publishers on branches that its enclave does not hold for canonical, has them slashed when these are dead,
//! and acquits itself (protocol 10.4). Not here: whom (`host::docket`), and who must not be slashed
//! (`checkers::withdrawals`).

use crate::{node::Node, world::World};
use alloy_primitives::U256;
use obscuro_enclave::executor::CallRequest;
use obscuro_host::{
    docket::Motion,
    publisher::outbox::{Content, Purpose},
};
use obscuro_protocol::door::{Head, Reply, Request, RollupId};
use std::collections::{BTreeMap, BTreeSet};

/// L1 blocks in which rollups are looked at.
const LOOK_BACK_BLOCKS: u64 = 40;

/// The node has a new head.
pub fn act(node: &mut Node, head: &Head, world: &mut World) {
    if !node.is_honest() {
        return;
    }
    read(node, head, world);
    let Some(life) = &node.life else { return };
    let address = life.address;
    let mut answers = BTreeMap::from([(0, world.config.hash())]);
    for number in life.docket.questions(head, &answers) {
        let question = Request::Rollup(RollupId::Number(number));
        if let Ok(Reply::Rollup(Some(header))) = node.ask(world, question) {
            answers.insert(number, header.hash());
        }
    }
    let Some(life) = &node.life else { return };
    for motion in life.docket.motions(address, &BTreeSet::new(), head, &answers) {
        if file(node, &motion, world) {
            if let Some(life) = &mut node.life {
                life.docket.moved(head.l1.number);
            }
            return;
        }
    }
}

/// Enters the newest L1 blocks into the docket.
fn read(node: &mut Node, head: &Head, world: &World) {
    let Some(life) = &mut node.life else { return };
    let mut views = Vec::new();
    let mut next = head.l1.hash;
    while life.docketed != Some(next)
        && let Some(view) = world.reference.view(next)
        && view.number + LOOK_BACK_BLOCKS > head.l1.number
    {
        views.push(view);
        next = view.parent;
    }
    life.docket.forget((head.l1.number + 1).saturating_sub(LOOK_BACK_BLOCKS));
    if life.docketed.replace(head.l1.hash) != Some(next) {
        let first = views.last().map_or(head.l1.number, |view| view.number);
        life.docket.strike(first.saturating_sub(1));
    }
    for view in views.iter().rev() {
        for event in &view.docket {
            life.docket.enter(view.number, event.clone());
        }
    }
}

/// Sends a motion if L1 would take it.
fn file(node: &mut Node, motion: &Motion, world: &mut World) -> bool {
    let to = world.config.contracts.rollupManagement;
    let input = motion.input();
    let from = Some(node.operator.address());
    let request = CallRequest { from, to: Some(to), data: input.clone(), ..Default::default() };
    if world.l1.estimate(world.network.l1_of[node.id], &request, world.now).is_err() {
        return false;
    }
    let what = match motion {
        Motion::Accuse(..) => "accusations",
        Motion::Slash(..) => "slashings ordered",
        Motion::Acquit(..) => "acquittals",
    };
    *world.counts.attacks.entry(what).or_default() += 1;
    node.order(Purpose::Prosecute, Content::Call { to, input, value: U256::ZERO }, world);
    true
}
