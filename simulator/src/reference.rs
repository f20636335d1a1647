//! The canonical chain computed a second time, from L1 blocks and from what is known here and nowhere
//! else: which rollups real enclaves sealed. A model of protocol 5.3 and 5.4 that shares no code with the
//! enclave's fold, against which every enclave is compared. Not here: the comparison (`checkers`).

use crate::{journal::Journal, rewards::Rewards};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_sol_types::{SolCall, SolEvent};
use obscuro_devnet::l1::Block;
use obscuro_enclave::blobs;
use obscuro_host::docket;
use obscuro_protocol::{
    config::NetworkConfig,
    keys::MasterSeed,
    l1::{
        IBridgeManagement::{Deposited, Withdrawn, withdrawCall},
        INetworkManagement::{NodeRegistered, NodeSlashed},
        IRollupManagement::{Accused, Acquitted, RollupPublished, TransactionForced},
    },
    limits::PROOF_AGE_BLOCKS_MAX,
    payload,
    rollup::{RollupHeader, SignedRollup, Withdrawal},
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, OnceLock},
    time::Duration,
};

/// The model.
pub struct Reference {
    config: NetworkConfig,
    views: HashMap<B256, Arc<View>>,
    genuine: HashMap<B256, Arc<Genuine>>,
    lottery_keys: HashMap<Address, Bytes>,
    /// Parent and number of every published rollup, valid or not.
    places: HashMap<B256, (B256, u64)>,
    /// The network's seed, once an enclave holds it.
    pub seed: Option<MasterSeed>,
}

/// What one L1 block, on top of its ancestors, means.
#[derive(Clone, Debug)]
pub struct View {
    /// Number of the L1 block.
    pub number: u64,
    /// Its parent.
    pub parent: B256,
    /// When it was made, in virtual time.
    pub made: Duration,
    /// The canonical rollup.
    pub rollup: B256,
    /// Its number.
    pub rollup_number: u64,
    /// The L1 block that included it.
    pub included: u64,
    /// All deposits so far.
    pub deposits: Arc<Vec<(Address, U256)>>,
    /// Envelopes of all forced transactions so far.
    pub forced: Arc<Vec<Bytes>>,
    /// Withdrawals executed so far: index, asset and amount.
    pub withdrawn: Arc<BTreeMap<u64, (Address, U256)>>,
    /// What they paid, by asset.
    pub paid_out: Arc<BTreeMap<Address, U256>>,
    /// What publishers have earned so far.
    pub rewards: Rewards,
    /// Rollups published in this block that are not canonical.
    pub wasted: u64,
    /// Withdrawals executed in this block, with their rollups.
    pub paid: Vec<(u64, B256)>,
    /// Rollups published in this block, valid or not.
    pub published: Vec<RollupHeader>,
    /// Enclaves slashed in this block.
    pub slashed: Vec<Address>,
    /// Everything in this block that a docket is made of.
    pub docket: Vec<docket::Event>,
}

/// A rollup that a real enclave sealed.
#[derive(Clone, Debug)]
pub struct Genuine {
    /// Its header.
    pub header: RollupHeader,
    /// The node on whose machine.
    pub node: usize,
    /// When.
    pub at: Duration,
    /// Encrypted.
    pub payload: Bytes,
    contents: OnceLock<Contents>,
}

/// What its payload holds, and what follows from it.
#[derive(Clone, Debug)]
pub struct Contents {
    /// Its transactions, in order.
    pub raws: Vec<Bytes>,
    /// Their hashes.
    pub transactions: Vec<B256>,
    /// Its withdrawals.
    pub withdrawals: Vec<Withdrawal>,
    /// What it and its ancestors order to be paid, by asset.
    pub ordered: BTreeMap<Address, U256>,
}

impl Reference {
    /// Starts at the checkpoint's children.
    pub fn new(config: NetworkConfig) -> Self {
        let genesis = config.hash();
        let view = View {
            number: config.checkpoint.number,
            parent: B256::ZERO,
            made: Duration::ZERO,
            rollup: genesis,
            rollup_number: 0,
            included: config.checkpoint.number,
            deposits: Arc::default(),
            forced: Arc::default(),
            withdrawn: Arc::default(),
            paid_out: Arc::default(),
            rewards: Rewards::default(),
            wasted: 0,
            paid: Vec::new(),
            published: Vec::new(),
            slashed: Vec::new(),
            docket: Vec::new(),
        };
        let views = HashMap::from([(config.checkpoint.hash, Arc::new(view))]);
        let (genuine, lottery_keys, places) = Default::default();
        Self { config, views, genuine, lottery_keys, places, seed: None }
    }

    /// What an L1 block means.
    pub fn view(&self, block: B256) -> Option<&Arc<View>> {
        self.views.get(&block)
    }

    /// A rollup that a real enclave sealed.
    pub fn rollup(&self, hash: B256) -> Option<&Arc<Genuine>> {
        self.genuine.get(&hash)
    }

    /// The lottery key that an enclave registered.
    pub fn lottery_key(&self, enclave: Address) -> Option<&Bytes> {
        self.lottery_keys.get(&enclave)
    }

    /// An enclave sealed a rollup.
    pub fn sealed(&mut self, node: usize, rollup: &SignedRollup, now: Duration) {
        let hash = rollup.header.hash();
        if self.genuine.contains_key(&hash) {
            return;
        }
        let header = rollup.header.clone();
        let (payload, contents) = (rollup.payload.clone(), OnceLock::new());
        self.genuine.insert(hash, Arc::new(Genuine { header, node, at: now, payload, contents }));
    }

    /// What a rollup's payload holds: opened when somebody asks, since nobody asks about most of those that lose.
    pub fn contents<'a>(&self, rollup: &'a Genuine) -> &'a Contents {
        rollup.contents.get_or_init(|| {
            let opened = self.seed.as_ref().map(|seed| payload::open(&rollup.payload, seed));
            let opened = opened.and_then(Result::ok).unwrap_or_default();
            let raws: Vec<Bytes> = opened.items.into_iter().map(|item| item.transaction).collect();
            let transactions = raws.iter().map(keccak256).collect();
            let parent = self.genuine.get(&rollup.header.parent);
            let mut ordered =
                parent.map(|parent| self.contents(parent).ordered.clone()).unwrap_or_default();
            for withdrawal in &opened.withdrawals {
                *ordered.entry(withdrawal.asset).or_default() += withdrawal.amount;
            }
            Contents { raws, transactions, withdrawals: opened.withdrawals, ordered }
        })
    }

    /// An L1 block was made.
    pub fn block(
        &mut self,
        block: &Block,
        blob: impl Fn(B256) -> Option<Bytes>,
        now: Duration,
        journal: &mut Journal,
    ) {
        let Some(parent) = self.views.get(&block.header.parent_hash).cloned() else { return };
        let mut view = View {
            number: block.number(),
            parent: block.header.parent_hash,
            made: now,
            wasted: 0,
            paid: Vec::new(),
            published: Vec::new(),
            slashed: Vec::new(),
            docket: Vec::new(),
            ..(*parent).clone()
        };
        let contracts = self.config.contracts.clone();
        let (mut valid, mut published): (Vec<RollupHeader>, u64) = (Vec::new(), 0);
        let mut late: Vec<RollupHeader> = Vec::new();
        for (tx, outcome) in block.included() {
            for log in outcome.logs() {
                if log.address == contracts.rollupManagement
                    && let Ok(event) = RollupPublished::decode_log(log)
                {
                    published += 1;
                    self.places.insert(event.rollup, (event.header.parent, event.header.number));
                    view.published.push(event.header.clone());
                    view.docket.push(docket::Event::Published(Box::new(event.header.clone())));
                    let is_counted = self.tries(&view, &event.header) <= 2;
                    match is_counted && self.is_valid(&event, block, &blob) {
                        true if event.header.parent == parent.rollup => {
                            valid.push(event.data.header);
                        }
                        true => late.push(event.data.header),
                        false => {}
                    }
                } else if log.address == contracts.networkManagement {
                    if let Ok(event) = NodeRegistered::decode_log(log) {
                        self.lottery_keys.insert(event.enclave, event.data.lotteryKey);
                    } else if let Ok(event) = NodeSlashed::decode_log(log) {
                        view.slashed.push(event.enclave);
                        view.docket.push(docket::Event::Slashed(event.enclave));
                    }
                } else if log.address == contracts.rollupManagement
                    && let Ok(event) = Accused::decode_log(log)
                {
                    let (rollup, aggregator) = (event.rollup, event.aggregator);
                    view.docket.push(docket::Event::Accused { rollup, aggregator });
                } else if log.address == contracts.rollupManagement
                    && let Ok(event) = Acquitted::decode_log(log)
                {
                    view.docket.push(docket::Event::Acquitted(event.rollup));
                } else if log.address == contracts.rollupManagement
                    && let Ok(event) = TransactionForced::decode_log(log)
                {
                    Arc::make_mut(&mut view.forced).push(event.data.envelope);
                } else if log.address == contracts.bridgeManagement {
                    if let Ok(event) = Deposited::decode_log(log) {
                        Arc::make_mut(&mut view.deposits).push((event.asset, event.amount));
                    } else if let Ok(event) = Withdrawn::decode_log(log) {
                        let paid = (event.asset, event.amount);
                        Arc::make_mut(&mut view.withdrawn).insert(event.index, paid);
                        let paid_out = Arc::make_mut(&mut view.paid_out);
                        *paid_out.entry(event.asset).or_default() += event.amount;
                        let input = alloy_consensus::Transaction::input(tx.inner());
                        let rollup = withdrawCall::abi_decode(input).map(|call| call.rollup);
                        view.paid.push((event.index, rollup.unwrap_or_default()));
                    }
                }
            }
        }
        // Protocol 5.3, in words of its own.
        valid.sort_by(|a, b| {
            b.l1ProofNumber
                .cmp(&a.l1ProofNumber)
                .then(a.nonce.cmp(&b.nonce))
                .then(a.hash().cmp(&b.hash()))
        });
        let known = |header: &RollupHeader| self.genuine.get(&header.hash()).cloned();
        view.rewards.block(block, &valid, &late, &self.config, known);
        view.wasted = published;
        if let Some(winner) = valid.first() {
            view.rollup = winner.hash();
            view.rollup_number = winner.number;
            view.included = block.number();
            view.wasted -= 1;
        }
        journal.say(
            now,
            None,
            format!(
                "L1 block {} {} on {}: {published} published, canonical rollup {} {}",
                view.number,
                short(block.hash),
                short(view.parent),
                view.rollup_number,
                short(view.rollup)
            ),
        );
        self.views.insert(block.hash, Arc::new(view));
    }

    /// Whether a deep fork is alive on top of an L1 block (protocol 9.4), told the slow way: of the rollups published
    /// since the last block that had one a fork timeout ago, two stand two above their last common ancestor.
    pub fn is_suspended(&self, block: B256) -> bool {
        let Some(newest) = self.views.get(&block) else { return false };
        let mut recent = Vec::new();
        let mut next = Some(newest);
        while let Some(view) = next {
            recent.extend(view.published.iter().map(RollupHeader::hash));
            let is_turning = !view.published.is_empty()
                && view.number + self.config.forkTimeoutBlocks <= newest.number + 1;
            next = self.views.get(&view.parent).filter(|_| !is_turning);
        }
        let deep = |a: B256, b: B256| self.heights(a, b).is_some_and(|(a, b)| a >= 2 && b >= 2);
        recent.iter().enumerate().any(|(i, a)| recent[..i].iter().any(|b| deep(*a, *b)))
    }

    /// How far two published rollups stand above their last common ancestor.
    fn heights(&self, a: B256, b: B256) -> Option<(u64, u64)> {
        let number = |hash| self.places.get(&hash).map_or(0, |(_, number)| *number);
        let (mut x, mut y) = (a, b);
        while x != y {
            match number(x) >= number(y) {
                true => x = self.places.get(&x)?.0,
                false => y = self.places.get(&y)?.0,
            }
        }
        Some((number(a) - number(x), number(b) - number(x)))
    }

    /// For tests of checkers: an enclave that L1 did not slash.
    #[cfg(test)]
    pub fn plant_slashing(&mut self, block: B256, enclave: Address) {
        if let Some(view) = self.views.get_mut(&block) {
            Arc::make_mut(view).slashed.push(enclave);
        }
    }

    /// For tests of checkers: a rollup that was not published.
    #[cfg(test)]
    pub fn plant_published(&mut self, block: B256, header: RollupHeader) {
        self.places.insert(header.hash(), (header.parent, header.number));
        if let Some(view) = self.views.get_mut(&block) {
            Arc::make_mut(view).published.push(header);
        }
    }

    /// For tests of checkers: a payment that L1 did not make.
    #[cfg(test)]
    pub fn plant_payment(&mut self, block: B256, index: u64, rollup: B256) {
        if let Some(view) = self.views.get_mut(&block) {
            Arc::make_mut(view).paid.push((index, rollup));
        }
    }

    /// For tests of checkers: what nobody forced.
    #[cfg(test)]
    pub fn plant_forced(&mut self, block: B256, envelope: Bytes) {
        if let Some(view) = self.views.get_mut(&block) {
            Arc::make_mut(&mut Arc::make_mut(view).forced).push(envelope);
        }
    }

    /// For tests of checkers: a reward that nobody earned.
    #[cfg(test)]
    pub fn plant_reward(&mut self, block: B256, owner: Address) {
        if let Some(view) = self.views.get_mut(&block) {
            let earned = &mut Arc::make_mut(view).rewards.earned;
            *Arc::make_mut(earned).entry(owner).or_default() += U256::ONE;
        }
    }

    /// How many rollups of a published one's aggregator and round there are up to a block: all of them lie above
    /// the L1 proof.
    fn tries(&self, newest: &View, header: &RollupHeader) -> usize {
        let is_alike = |other: &&RollupHeader| {
            other.aggregator == header.aggregator && other.round() == header.round()
        };
        let (mut tries, mut next) = (0, Some(newest));
        while let Some(view) = next.filter(|view| view.number > header.l1ProofNumber) {
            tries += view.published.iter().filter(is_alike).count();
            next = self.views.get(&view.parent).map(Arc::as_ref);
        }
        tries
    }

    /// Whether a rollup is valid; canonical it can only be on top of the parent's.
    fn is_valid(
        &self,
        event: &RollupPublished,
        block: &Block,
        blob: &impl Fn(B256) -> Option<Bytes>,
    ) -> bool {
        let header = &event.header;
        if !self.genuine.contains_key(&event.rollup) {
            return false;
        }
        let proof = self.ancestor(block.header.parent_hash, header.l1ProofNumber);
        let is_proven = proof
            .is_some_and(|(hash, view)| hash == header.l1Proof && view.rollup == header.parent);
        let age = block.number().saturating_sub(header.l1ProofNumber);
        // With another proof, a nonce that an enclave drew is worth nothing.
        let is_drawn = B256::from(header.nonce) == keccak256(&event.lotteryProof);
        is_proven && is_drawn && age <= PROOF_AGE_BLOCKS_MAX && self.is_carried(event, blob)
    }

    fn is_carried(&self, event: &RollupPublished, blob: &impl Fn(B256) -> Option<Bytes>) -> bool {
        if event.blobs.is_empty() {
            return true;
        }
        let found: Option<Vec<_>> = event.blobs.iter().map(|hash| blob(*hash)).collect();
        let payload = found.and_then(|found| blobs::payload(&found, &event.blobs).ok().flatten());
        payload.is_some_and(|payload| keccak256(payload) == event.header.payloadHash)
    }

    /// The L1 block of this number below another, or that one itself.
    pub fn ancestor(&self, block: B256, number: u64) -> Option<(B256, &Arc<View>)> {
        let (mut hash, mut view) = (block, self.views.get(&block)?);
        while view.number > number {
            hash = view.parent;
            view = self.views.get(&hash)?;
        }
        (view.number == number).then_some((hash, view))
    }

    /// The canonical rollups from one down to genesis, newest first.
    pub fn chain(&self, rollup: B256) -> impl Iterator<Item = (B256, &Arc<Genuine>)> {
        let mut next = rollup;
        std::iter::from_fn(move || {
            let found = self.genuine.get(&next)?;
            let hash = std::mem::replace(&mut next, found.header.parent);
            Some((hash, found))
        })
    }

    /// Whether a rollup is another or below it.
    pub fn is_below(&self, rollup: B256, of: B256) -> bool {
        let Some(wanted) = self.genuine.get(&rollup).map(|found| found.header.number) else {
            return rollup == self.config.hash();
        };
        self.chain(of)
            .take_while(|(_, found)| found.header.number >= wanted)
            .any(|(hash, _)| hash == rollup)
    }
}

/// The first bytes of a hash.
pub fn short(hash: B256) -> String {
    alloy_primitives::hex::encode(&hash[..4])
}
