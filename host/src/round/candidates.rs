//! What peers announced in one round, and how far each is. Not here: what follows from that (`round`).

use super::PER_AGGREGATOR_MAX;
use alloy_primitives::{Address, B256, Bytes};
use obscuro_protocol::{
    canonical::precedence, checks::Checks, config::NetworkConfig, gossip::Announcement,
    lottery::Draw, rollup::signing_domain,
};
use std::collections::{BTreeMap, HashMap};

/// A candidate whose signature and lot are good.
pub struct Candidate<M> {
    /// What is known of it.
    pub announcement: Announcement,
    /// The message that brought it.
    pub message: M,
    /// The same, as long as it was neither passed on nor dropped.
    pub held: Option<M>,
    /// How far it is.
    pub standing: Standing,
}

/// How far a candidate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its payload was not asked for.
    Announced,
    /// It was.
    Pulling,
    /// The enclave is asked.
    Judging,
    /// It is valid, or the enclave cannot tell.
    Stands,
    /// It is invalid, or nobody has its payload.
    Out,
}

/// Why an announcement is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It says nothing new.
    Useless,
    /// Nobody honest sends it.
    Wrong,
}

/// Who may announce.
pub struct Aggregator {
    /// Whether its candidates count.
    pub counts: bool,
    /// The key that draws its lots.
    pub lottery_key: Bytes,
}

/// The candidates of one round, at most [`PER_AGGREGATOR_MAX`] for each aggregator.
pub struct Candidates<M> {
    /// The aggregators of this round.
    aggregators: HashMap<Address, Aggregator>,
    /// What lots are drawn by.
    draw: Draw,
    checks: Checks,
    /// By hash.
    known: BTreeMap<B256, Candidate<M>>,
}

impl<M: Clone> Candidates<M> {
    /// None yet, from these aggregators.
    pub fn new(aggregators: HashMap<Address, Aggregator>, draw: Draw, checks: Checks) -> Self {
        Self { aggregators, draw, checks, known: BTreeMap::new() }
    }

    /// Whether this is an aggregator.
    pub fn is_known(&self, aggregator: Address) -> bool {
        self.aggregators.contains_key(&aggregator)
    }

    /// Adds a candidate, or gives its message back.
    pub fn add(
        &mut self,
        message: M,
        announcement: Box<Announcement>,
        config: &NetworkConfig,
    ) -> Result<(), (M, Refused)> {
        let header = &announcement.header;
        let Some(aggregator) = self.aggregators.get(&header.aggregator) else {
            return Err((message, Refused::Wrong));
        };
        let of_same =
            |known: &&Candidate<M>| known.announcement.header.aggregator == header.aggregator;
        let is_full = self.known.values().filter(of_same).count() >= PER_AGGREGATOR_MAX;
        let hash = header.hash();
        if !aggregator.counts || is_full || self.known.contains_key(&hash) {
            return Err((message, Refused::Useless));
        }
        let drawn = |proof| (self.checks.lot)(&aggregator.lottery_key, &self.draw, proof);
        if !is_signed(&announcement, config, &self.checks)
            || drawn(&announcement.lottery_proof) != Some(header.nonce)
        {
            return Err((message, Refused::Wrong));
        }
        let held = Some(message.clone());
        let standing = Standing::Announced;
        self.known.insert(hash, Candidate { announcement: *announcement, message, held, standing });
        Ok(())
    }

    /// The one that beats all others.
    pub fn best(&self) -> Option<&Candidate<M>> {
        let standing = self.known.values().filter(|candidate| candidate.standing != Standing::Out);
        standing.min_by(|a, b| precedence(&a.announcement.header, &b.announcement.header))
    }

    /// The same.
    pub fn best_mut(&mut self) -> Option<&mut Candidate<M>> {
        let hash = self.best()?.announcement.header.hash();
        self.known.get_mut(&hash)
    }

    /// A candidate, if it is that far.
    pub fn get(&mut self, hash: B256, standing: Standing) -> Option<&mut Candidate<M>> {
        self.known.get_mut(&hash).filter(|candidate| candidate.standing == standing)
    }

    /// A candidate is none.
    pub fn rule_out(&mut self, hash: B256) {
        if let Some(candidate) = self.known.get_mut(&hash) {
            candidate.standing = Standing::Out;
        }
    }

    /// The messages that were neither passed on nor dropped.
    pub fn take_held(&mut self) -> impl Iterator<Item = M> {
        self.known.values_mut().filter_map(|candidate| candidate.held.take())
    }
}

/// Whether the aggregator that a header names has signed it.
pub fn is_signed(announcement: &Announcement, config: &NetworkConfig, checks: &Checks) -> bool {
    let header = &announcement.header;
    let domain = signing_domain(config.l1ChainId, config.contracts.rollupManagement);
    (checks.signer)(&header.signing_hash(&domain), &announcement.signature)
        == Some(header.aggregator)
}
