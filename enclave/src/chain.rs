//! The tree of recent L1 views and the rollups executed on them. Not here: how a view comes about
//! (`view`), how a rollup is executed (`ledger`).

use crate::view::{Rollup, View};
use alloy_primitives::{Address, B256};
use obscuro_protocol::{
    limits::CANDIDATES_JUDGED_MAX,
    rollup::{RollupHeader, SignedRollup},
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// L1 blocks below the head that stay in memory, and a few more for a while: the deepest reorganisation
/// that needs no restart, and more than a rollup's proof may be old.
pub const VIEWS_RETAINED_BLOCKS: u64 = 320;
/// To forget what is older means to look at all there is, so it waits until there are so many blocks of it.
const FORGOTTEN_AT_ONCE_BLOCKS: u64 = 16;
/// Rounds whose own candidate is remembered, so that a round is never sealed twice.
const SEALED_RETAINED: usize = 256;

/// What execution said of a rollup.
#[derive(Clone)]
pub enum Verdict {
    /// It is valid.
    Valid(Arc<Rollup>),
    /// It is not, for this reason, and never will be.
    Invalid(String),
}

/// What is asked about lies below all that is remembered here.
#[derive(Debug)]
pub struct Forgotten;

/// The tree.
pub struct Chain {
    views: HashMap<B256, Arc<View>>,
    head: Arc<View>,
    /// The number of the head when old views were forgotten last.
    cleared: u64,
    /// The last head that was not blind: what the pool and the index stand at.
    followed: Arc<View>,
    verdicts: HashMap<B256, (u64, Verdict)>,
    /// By round (parent, L1 proof), with the number of the L1 proof.
    sealed: BTreeMap<(u64, B256, B256), Arc<SignedRollup>>,
    /// How many candidates of an aggregator came, by the L1 proof of their round.
    candidates: HashMap<(B256, Address), u8>,
}

impl Chain {
    /// A tree of one view, with those below it that prove rollups whose reward is open.
    pub fn new(root: View, proofs: Vec<View>) -> Self {
        let root = Arc::new(root);
        let verdict = (root.head.header.number, Verdict::Valid(root.head.clone()));
        let views = proofs.into_iter().map(Arc::new).chain([root.clone()]);
        Self {
            views: views.map(|view| (view.block.hash, view)).collect(),
            verdicts: HashMap::from([(root.head.hash, verdict)]),
            followed: root.clone(),
            cleared: root.block.number,
            head: root,
            sealed: BTreeMap::new(),
            candidates: HashMap::new(),
        }
    }

    /// The view at the L1 head.
    pub fn head(&self) -> Arc<View> {
        self.head.clone()
    }

    /// The last head whose rollups this enclave could read.
    pub fn followed(&self) -> Arc<View> {
        self.followed.clone()
    }

    /// The view at an L1 block.
    pub fn view(&self, block: B256) -> Option<Arc<View>> {
        self.views.get(&block).cloned()
    }

    /// The ancestor of `view`, or itself, with this number and hash.
    pub fn ancestor(
        &self,
        view: &View,
        number: u64,
        hash: B256,
    ) -> Result<Option<Arc<View>>, Forgotten> {
        let mut current = self.view(view.block.hash).ok_or(Forgotten)?;
        while current.block.number > number {
            current = match self.view(current.parent) {
                Some(parent) => parent,
                // Nothing is below the checkpoint.
                None if current.parent.is_zero() => return Ok(None),
                // The root of a snapshot: what else came with it is below it.
                None => {
                    let below = self.view(hash).filter(|below| below.block.number == number);
                    return below.map(Some).ok_or(Forgotten);
                }
            };
        }
        Ok((current.block.hash == hash).then_some(current))
    }

    /// Adds a view.
    pub fn insert(&mut self, view: View) {
        self.views.insert(view.block.hash, Arc::new(view));
    }

    /// Forgets views that were folded blindly: with a new seed, they can be folded again.
    pub fn forget_blind(&mut self) {
        self.views.retain(|_, view| !view.is_blind);
    }

    /// Makes a view the head and forgets, now and then, what lies too deep below it.
    pub fn set_head(&mut self, view: Arc<View>) {
        if !view.is_blind {
            self.followed = view.clone();
        }
        self.head = view;
        if self.head.block.number.abs_diff(self.cleared) >= FORGOTTEN_AT_ONCE_BLOCKS {
            self.forget_old();
        }
        while self.sealed.len() > SEALED_RETAINED {
            self.sealed.pop_first();
        }
    }

    fn forget_old(&mut self) {
        self.cleared = self.head.block.number;
        let oldest_block = self.cleared.saturating_sub(VIEWS_RETAINED_BLOCKS);
        let oldest_rollup = self.head.head.header.number.saturating_sub(VIEWS_RETAINED_BLOCKS);
        self.views.retain(|_, view| view.block.number >= oldest_block);
        self.verdicts.retain(|_, (number, _)| *number >= oldest_rollup);
        self.candidates.retain(|(proof, _), _| self.views.contains_key(proof));
    }

    /// What is known of a rollup.
    pub fn verdict(&self, rollup: B256) -> Option<Verdict> {
        self.verdicts.get(&rollup).map(|(_, verdict)| verdict.clone())
    }

    /// A valid rollup.
    pub fn rollup(&self, hash: B256) -> Option<Arc<Rollup>> {
        match self.verdict(hash) {
            Some(Verdict::Valid(rollup)) => Some(rollup),
            _ => None,
        }
    }

    /// Remembers what execution said.
    pub fn judge(&mut self, rollup: B256, number: u64, verdict: Verdict) {
        self.verdicts.insert(rollup, (number, verdict));
    }

    /// Whether one more candidate of an aggregator in a round may be judged before L1 has it. The L1
    /// proof has to be one of the views here.
    pub fn admits(&mut self, header: &RollupHeader) -> bool {
        let count = self.candidates.entry((header.l1Proof, header.aggregator)).or_default();
        let is_admitted = *count < CANDIDATES_JUDGED_MAX;
        *count += u8::from(is_admitted);
        is_admitted
    }

    /// This enclave's candidate in a round.
    pub fn sealed(&self, proof_number: u64, round: (B256, B256)) -> Option<Arc<SignedRollup>> {
        self.sealed.get(&(proof_number, round.0, round.1)).cloned()
    }

    /// Remembers this enclave's candidate.
    pub fn remember_sealed(&mut self, rollup: Arc<SignedRollup>) {
        let (parent, proof) = rollup.header.round();
        self.sealed.insert((rollup.header.l1ProofNumber, parent, proof), rollup);
    }
}
