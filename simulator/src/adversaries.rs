//! Who cheats, and where they can: hooks between the host's cores and the world. An adversary is a host
//! that does something else with what its enclave gives it, or an owner of a broken TEE who signs by hand.
//! One file each. Not here: what must hold all the same (`checkers`).

pub mod bad_payload;
pub mod censor;
pub mod colluders;
pub mod empty_roller;
pub mod equivocator;
pub mod flooder;
pub mod forger;
pub mod front_runner;
pub mod lying_host;
pub mod non_publisher;
pub mod nonce_forger;
pub mod payload_withholder;
pub mod re_roller;
pub mod silent_announcer;
pub mod stolen;

use crate::{events::MessageId, node::Node, world::World};
use alloy_primitives::Bytes;
use obscuro_host::{l1::block::Fetched, round::Effect};
use obscuro_protocol::{config::L1BlockId, door::Head, gossip::Wanted};

/// Something else than the protocol. Whatever is not overridden is honest.
pub trait Adversary {
    /// What is done in place of an effect of the round.
    fn effect(
        &mut self,
        _node: &mut Node,
        effect: Effect<MessageId>,
        _world: &mut World,
    ) -> Vec<Effect<MessageId>> {
        vec![effect]
    }

    /// The L1 head that is shown to the follower; none if it is withheld.
    fn l1_head(
        &mut self,
        _node: &mut Node,
        id: L1BlockId,
        _world: &mut World,
    ) -> Option<L1BlockId> {
        Some(id)
    }

    /// The L1 block that is shown to the enclave.
    fn feed(&mut self, _node: &mut Node, block: Box<Fetched>, _world: &mut World) -> Box<Fetched> {
        block
    }

    /// The enclave has a new head.
    fn head(&mut self, _node: &mut Node, _head: &Head, _world: &mut World) {}

    /// What a peer is given that asks for content.
    fn content(
        &mut self,
        _wanted: Wanted,
        found: Option<Bytes>,
        _world: &mut World,
    ) -> Option<Bytes> {
        found
    }

    /// Whether peers' transactions and users' are kept from the enclave.
    fn ignores_transactions(&self) -> bool {
        false
    }

    /// Whether a user's envelope is kept from the enclave.
    fn censors(&self, _user: usize, _world: &mut World) -> bool {
        false
    }

    /// Whether rollups are published even when they are not worth it.
    fn publishes_anyway(&self) -> bool {
        false
    }
}

/// Who cheats how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each has a file that says it")]
pub enum Kind {
    Equivocator,
    FrontRunner,
    NonPublisher,
    EmptyRoller,
    PayloadWithholder,
    BadPayload,
    ReRoller,
    NonceForger,
    Forger,
    ColludingMajority,
    LyingHost,
    Flooder,
    Censor,
    SilentAnnouncer,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Equivocator,
        Self::FrontRunner,
        Self::NonPublisher,
        Self::EmptyRoller,
        Self::PayloadWithholder,
        Self::BadPayload,
        Self::ReRoller,
        Self::NonceForger,
        Self::Forger,
        Self::ColludingMajority,
        Self::LyingHost,
        Self::Flooder,
        Self::Censor,
        Self::SilentAnnouncer,
    ];

    /// As a scenario of its own is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Equivocator => "equivocator",
            Self::FrontRunner => "front-runner",
            Self::NonPublisher => "non-publisher",
            Self::EmptyRoller => "empty-roller",
            Self::PayloadWithholder => "payload-withholder",
            Self::BadPayload => "bad-payload",
            Self::ReRoller => "re-roller",
            Self::NonceForger => "nonce-forger",
            Self::Forger => "forger",
            Self::ColludingMajority => "colluding-majority",
            Self::LyingHost => "lying-host",
            Self::Flooder => "flooder",
            Self::Censor => "censor",
            Self::SilentAnnouncer => "silent-announcer",
        }
    }

    /// Whether it holds a broken TEE's keys, or shows its enclave an L1 that does not exist.
    pub fn is_beyond_trust(self) -> bool {
        matches!(self, Self::Forger | Self::ColludingMajority | Self::LyingHost)
    }

    /// A fresh one.
    pub fn make(self, seed: u64, node: usize, colluders: &[usize]) -> Box<dyn Adversary> {
        let random = crate::random::Random::new(seed, &format!("adversary {node}"));
        match self {
            Self::Equivocator => Box::new(equivocator::Equivocator::default()),
            Self::FrontRunner => Box::new(front_runner::FrontRunner::new(random)),
            Self::NonPublisher => Box::new(non_publisher::NonPublisher),
            Self::EmptyRoller => Box::new(empty_roller::EmptyRoller),
            Self::PayloadWithholder => Box::new(payload_withholder::PayloadWithholder::default()),
            Self::BadPayload => Box::new(bad_payload::BadPayload),
            Self::ReRoller => Box::new(re_roller::ReRoller::default()),
            Self::NonceForger => Box::new(nonce_forger::NonceForger::new(random)),
            Self::Forger => Box::new(forger::Forger::default()),
            Self::ColludingMajority => Box::new(colluders::Colluder::new(node, colluders.to_vec())),
            Self::LyingHost => Box::new(lying_host::LyingHost::new(random)),
            Self::Flooder => Box::new(flooder::Flooder::new(random)),
            Self::Censor => Box::new(censor::Censor),
            Self::SilentAnnouncer => Box::new(silent_announcer::SilentAnnouncer),
        }
    }
}
