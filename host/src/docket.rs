//! Whom to accuse, slash or acquit (protocol 10.4): a pure function of what L1 shows and of what the enclave
//! holds for canonical. Nothing here is secret: anyone with a verifier could do it. Not here: asking and
//! sending (`prosecutor`), and whether L1 takes it, which the contract alone decides.

use alloy_primitives::{Address, B256, Bytes};
use alloy_sol_types::SolCall;
use obscuro_protocol::{
    door::Head,
    l1::IRollupManagement::{accuseCall, acquitCall, slashCall},
    rollup::RollupHeader,
};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

/// L1 blocks for which one aggregator acts, before the next one's turn: time for L1 to include what it sent.
const TURN_BLOCKS: u64 = 2;
/// L1 blocks after one motion before this node makes another.
const PATIENCE_BLOCKS: u64 = 6;
/// Rollups whose rivals the enclave is asked for at a time.
const QUESTIONS_MAX: usize = 32;
/// Motions considered at a time.
const MOTIONS_MAX: usize = 16;

/// What L1 says.
#[derive(Clone, Debug)]
pub enum Event {
    /// A rollup was published, valid or not.
    Published(Box<RollupHeader>),
    /// The publisher of a rollup was accused.
    Accused {
        /// The rollup.
        rollup: B256,
        /// Its publisher.
        aggregator: Address,
    },
    /// That came to nothing.
    Acquitted(B256),
    /// An enclave's stake is gone.
    Slashed(Address),
}

/// What to tell L1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Motion {
    /// The publisher built on, or forged, what is not canonical.
    Accuse(Box<RollupHeader>, B256),
    /// It was accused, and its branch is dead.
    Slash(Box<RollupHeader>, B256),
    /// This node was accused, and its branch has survived.
    Acquit(Box<RollupHeader>, B256),
}

impl Motion {
    /// The call of `RollupManagement`.
    pub fn input(&self) -> Bytes {
        let input = match self.clone() {
            Self::Accuse(header, rival) => accuseCall { header: *header, rival }.abi_encode(),
            Self::Slash(header, survivor) => slashCall { header: *header, survivor }.abi_encode(),
            Self::Acquit(header, survivor) => acquitCall { header: *header, survivor }.abi_encode(),
        };
        input.into()
    }
}

/// The events of some L1 blocks, oldest first, and when this node last acted on them.
#[derive(Debug, Default)]
pub struct Docket {
    events: Vec<(u64, B256, Event)>,
    moved: Option<u64>,
}

/// A published rollup.
struct Entry<'a> {
    hash: B256,
    included: u64,
    header: &'a RollupHeader,
}

/// A rollup that no honest enclave sealed, and the canonical ones that show it.
struct Suspect<'a> {
    entry: &'a Entry<'a>,
    rival: B256,
    survivor: Option<B256>,
}

impl Docket {
    /// L1 includes this in a block, after whatever else was entered of it.
    pub fn enter(&mut self, block: u64, event: Event) {
        let rollup = match &event {
            Event::Published(header) => header.hash(),
            Event::Accused { rollup, .. } | Event::Acquitted(rollup) => *rollup,
            Event::Slashed(_) => B256::ZERO,
        };
        let place = self.events.partition_point(|(entered, ..)| *entered <= block);
        self.events.insert(place, (block, rollup, event));
    }

    /// L1 was reorganised: nothing after this block counts.
    pub fn strike(&mut self, last: u64) {
        self.events.retain(|(block, ..)| *block <= last);
    }

    /// Forgets what was before this block and concerns neither an open accusation nor a slashed stake.
    pub fn forget(&mut self, first: u64) {
        let accused = self.accused();
        self.events.retain(|(block, rollup, event)| {
            *block >= first || accused.contains_key(rollup) || matches!(event, Event::Slashed(_))
        });
    }

    /// A motion was sent at this L1 block.
    pub fn moved(&mut self, now: u64) {
        self.moved = Some(now);
    }

    /// Rollups that are accused, but whose publication was not entered.
    pub fn missing(&self) -> BTreeSet<B256> {
        let mut missing: BTreeSet<B256> = self.accused().into_keys().collect();
        for entry in self.entries() {
            missing.remove(&entry.hash);
        }
        missing
    }

    /// Numbers of canonical rollups that only the enclave can tell, besides those that it has told.
    pub fn questions(&self, head: &Head, told: &BTreeMap<u64, B256>) -> BTreeSet<u64> {
        let (chain, accused) = (self.chain(head), self.accused());
        let mut doubtful = self.entries();
        doubtful.retain(|entry| chain.get(&entry.header.number) != Some(&entry.hash));
        // Who is accused waits for it; then the newest: those above are not judged without.
        doubtful
            .sort_by_key(|entry| Reverse((accused.contains_key(&entry.hash), entry.header.number)));
        let mut questions = BTreeSet::new();
        for number in doubtful.iter().flat_map(|e| [e.header.number, e.header.number - 1]) {
            let is_known = chain.contains_key(&number) || told.contains_key(&number);
            let is_unknown = number <= head.number && !is_known;
            if is_unknown && questions.len() < QUESTIONS_MAX {
                questions.insert(number);
            }
        }
        questions
    }

    /// What an operator could tell L1 now, the most urgent first; `enclave` is that of its node, `former` are
    /// others that it registered, `answers` are to [`Self::questions`]. Send the first that L1 would take.
    pub fn motions(
        &self,
        enclave: Address,
        former: &BTreeSet<Address>,
        head: &Head,
        answers: &BTreeMap<u64, B256>,
    ) -> Vec<Motion> {
        let now = head.l1.number;
        // A reorganisation may have taken L1 back.
        if self.moved.is_some_and(|moved| moved <= now && now - moved < PATIENCE_BLOCKS) {
            return Vec::new();
        }
        let mut canonical = self.chain(head);
        canonical.extend(answers);
        let entries = self.entries();
        let suspects = self.suspects(&entries, head, &canonical);
        let accused = self.accused();
        let is_own = |publisher: Address| publisher == enclave || former.contains(&publisher);
        let mut motions = Vec::new();
        if is_turn(enclave, head) {
            motions = self.against(&suspects, &accused, is_own);
        }
        // L1 knows whether it is innocent; what its sibling did may be too old to be entered.
        for entry in &entries {
            if is_own(entry.header.aggregator)
                && accused.contains_key(&entry.hash)
                && let Some(survivor) = canonical.get(&entry.header.number)
            {
                motions.push(Motion::Acquit(Box::new(entry.header.clone()), *survivor));
            }
        }
        motions.truncate(MOTIONS_MAX);
        motions
    }

    /// One accusation of each publisher, and one verdict: it has one stake.
    fn against(
        &self,
        suspects: &[Suspect<'_>],
        accused: &BTreeMap<B256, Address>,
        is_own: impl Fn(Address) -> bool,
    ) -> Vec<Motion> {
        let mut publishers: BTreeMap<Address, Vec<&Suspect<'_>>> = BTreeMap::new();
        for suspect in suspects {
            publishers.entry(suspect.entry.header.aggregator).or_default().push(suspect);
        }
        publishers.retain(|enclave, _| !is_own(*enclave) && !self.is_slashed(*enclave));
        let (mut accusations, mut verdicts) = (Vec::new(), Vec::new());
        for theirs in publishers.values() {
            let header = |suspect: &Suspect<'_>| Box::new(suspect.entry.header.clone());
            match theirs.iter().find(|suspect| accused.contains_key(&suspect.entry.hash)) {
                Some(suspect) => {
                    verdicts.extend(suspect.survivor.map(|s| Motion::Slash(header(suspect), s)));
                }
                // The newest stands highest, the oldest may be the last before it left.
                None => {
                    let (oldest, newest) = (theirs.first(), theirs.last());
                    for suspect in newest.into_iter().chain(oldest.filter(|_| theirs.len() > 1)) {
                        accusations.push(Motion::Accuse(header(suspect), suspect.rival));
                    }
                }
            }
        }
        accusations.extend(verdicts);
        accusations
    }

    /// Rollups that the contract takes for guilty if the canonical branch survives: on a parent that is not
    /// canonical, or beside a canonical rollup that it passed over, or that passed it over.
    fn suspects<'a>(
        &self,
        entries: &'a [Entry<'a>],
        head: &Head,
        canonical: &BTreeMap<u64, B256>,
    ) -> Vec<Suspect<'a>> {
        let mut suspects = Vec::new();
        for entry in entries {
            let number = entry.header.number;
            let parent = canonical.get(&(number - 1));
            if parent.is_none() && number <= head.number + 1 {
                continue;
            }
            let survivor = canonical.get(&number).copied();
            let rival = match (parent == Some(&entry.header.parent), survivor) {
                (false, _) => head.rollup,
                (true, Some(twin)) if is_contradiction(entry, twin, entries) => twin,
                (true, _) => continue,
            };
            suspects.push(Suspect { entry, rival, survivor });
        }
        suspects
    }

    /// The canonical chain as far down as L1's events show it, by number.
    fn chain(&self, head: &Head) -> BTreeMap<u64, B256> {
        let entries = self.entries();
        let parents: BTreeMap<B256, B256> =
            entries.iter().map(|entry| (entry.hash, entry.header.parent)).collect();
        let mut chain = BTreeMap::from([(head.number, head.rollup)]);
        let (mut number, mut hash) = (head.number, head.rollup);
        while let Some(parent) = parents.get(&hash).filter(|_| number > 0) {
            (number, hash) = (number - 1, *parent);
            chain.insert(number, hash);
        }
        chain
    }

    fn entries(&self) -> Vec<Entry<'_>> {
        let published = self.events.iter().filter_map(|(included, hash, event)| match event {
            // L1 takes no other.
            Event::Published(header) if header.number > 0 => {
                Some(Entry { hash: *hash, included: *included, header })
            }
            _ => None,
        });
        published.collect()
    }

    /// Open accusations, and of whom: rollups whose publishers' stakes are frozen.
    pub fn accused(&self) -> BTreeMap<B256, Address> {
        let mut accused = BTreeMap::new();
        for (_, rollup, event) in &self.events {
            match event {
                Event::Accused { aggregator, .. } => accused.insert(*rollup, *aggregator),
                Event::Acquitted(_) => accused.remove(rollup),
                _ => None,
            };
        }
        accused.retain(|_, aggregator| !self.is_slashed(*aggregator));
        accused
    }

    fn is_slashed(&self, enclave: Address) -> bool {
        self.events.iter().any(|(.., event)| matches!(event, Event::Slashed(e) if *e == enclave))
    }
}

/// Whether one of two siblings was proven when the other was included already. A twin that is too old to be
/// listed was.
fn is_contradiction(entry: &Entry<'_>, twin: B256, entries: &[Entry<'_>]) -> bool {
    if entry.hash == twin {
        return false;
    }
    entries.iter().find(|other| other.hash == twin).is_none_or(|twin| {
        entry.header.l1ProofNumber >= twin.included || twin.header.l1ProofNumber >= entry.included
    })
}

/// Aggregators take turns, so that they do not race.
fn is_turn(own: Address, head: &Head) -> bool {
    let others = head.peers.iter().map(|peer| peer.enclave);
    let (count, rank) =
        others.fold((1, 0), |(count, rank), other| (count + 1, rank + u64::from(other < own)));
    head.is_aggregator && head.l1.number / TURN_BLOCKS % count == rank
}

#[cfg(test)]
mod tests {
    use super::*;
    use obscuro_protocol::{config::L1BlockId, door::Peer};

    const OWN: Address = Address::repeat_byte(1);
    const FORGER: Address = Address::repeat_byte(9);

    fn rollup(parent: &RollupHeader, aggregator: Address, proof: u64) -> RollupHeader {
        let number = parent.number + 1;
        let parent = if parent.number == 0 { B256::ZERO } else { parent.hash() };
        RollupHeader { parent, number, aggregator, l1ProofNumber: proof, ..Default::default() }
    }

    /// An honest chain of three rollups, the first in block 10.
    fn honest(docket: &mut Docket) -> [RollupHeader; 3] {
        let mut last = RollupHeader::default();
        [10, 11, 12].map(|block| {
            last = rollup(&last, OWN, block - 1);
            docket.enter(block, Event::Published(Box::new(last.clone())));
            last.clone()
        })
    }

    fn publish(docket: &mut Docket, block: u64, header: &RollupHeader) {
        docket.enter(block, Event::Published(Box::new(header.clone())));
    }

    fn head(rollup: &RollupHeader, l1: u64) -> Head {
        Head {
            l1: L1BlockId { number: l1, ..Default::default() },
            rollup: rollup.hash(),
            number: rollup.number,
            is_aggregator: true,
            ..Default::default()
        }
    }

    fn motions(docket: &Docket, head: &Head) -> Vec<Motion> {
        docket.motions(OWN, &BTreeSet::new(), head, &BTreeMap::new())
    }

    fn accuse(header: &RollupHeader, rival: &RollupHeader) -> Motion {
        Motion::Accuse(Box::new(header.clone()), rival.hash())
    }

    fn slash(header: &RollupHeader, survivor: &RollupHeader) -> Motion {
        Motion::Slash(Box::new(header.clone()), survivor.hash())
    }

    #[test]
    fn whoever_builds_on_what_is_not_canonical_is_accused_once_then_slashed() {
        let mut docket = Docket::default();
        let chain = honest(&mut docket);
        let loser = rollup(&RollupHeader::default(), Address::repeat_byte(3), 9);
        publish(&mut docket, 10, &loser);
        let head = head(&chain[2], 12);
        assert_eq!(motions(&docket, &head), [], "losers of a round are innocent");

        let [first, second] = [11, 12]
            .map(|proof| RollupHeader { l1ProofNumber: proof, ..rollup(&loser, FORGER, proof) });
        publish(&mut docket, 12, &first);
        publish(&mut docket, 13, &second);
        let accusations = [accuse(&second, &chain[2]), accuse(&first, &chain[2])];
        assert_eq!(motions(&docket, &head), accusations);

        docket.enter(13, Event::Accused { rollup: first.hash(), aggregator: FORGER });
        assert_eq!(motions(&docket, &head), [slash(&first, &chain[1])]);
        docket.moved(12);
        assert_eq!(motions(&docket, &head), [], "one motion at a time");
        let later = Head { l1: L1BlockId { number: 18, ..Default::default() }, ..head.clone() };
        assert_eq!(motions(&docket, &later), [slash(&first, &chain[1])]);
        docket.forget(100);
        assert!(docket.events.iter().any(|(_, hash, _)| *hash == first.hash()), "still open");
        docket.enter(18, Event::Slashed(FORGER));
        assert_eq!(motions(&docket, &later), []);
    }

    #[test]
    fn siblings_that_contradict_each_other_are_told_from_losers() {
        let mut docket = Docket::default();
        let chain = honest(&mut docket);
        let head = head(&chain[2], 12);
        // Passed over by the honest answer, and passing over it.
        let ignored = rollup(&chain[0], FORGER, 8);
        publish(&mut docket, 10, &ignored);
        assert_eq!(motions(&docket, &head), [accuse(&ignored, &chain[1])]);
        docket.strike(9);
        let chain = honest(&mut docket);
        let ignoring = rollup(&chain[0], FORGER, 11);
        publish(&mut docket, 12, &ignoring);
        assert_eq!(motions(&docket, &head), [accuse(&ignoring, &chain[1])]);
    }

    #[test]
    fn what_l1_shows_no_more_the_enclave_is_asked_for() {
        let mut docket = Docket::default();
        let chain = honest(&mut docket);
        docket.forget(12);
        let head = head(&chain[2], 300);
        assert_eq!(docket.questions(&head, &BTreeMap::new()), BTreeSet::new());
        let late = rollup(&RollupHeader::default(), FORGER, 299);
        publish(&mut docket, 300, &late);
        assert_eq!(docket.questions(&head, &BTreeMap::new()), BTreeSet::from([0, 1]));
        let told = BTreeMap::from([(0, B256::ZERO)]);
        assert_eq!(docket.questions(&head, &told), BTreeSet::from([1]), "the others first");
        assert_eq!(motions(&docket, &head), [], "unknown is not guilty");
        let answers = BTreeMap::from([(0, B256::ZERO), (1, chain[0].hash())]);
        assert_eq!(
            docket.motions(OWN, &BTreeSet::new(), &head, &answers),
            [accuse(&late, &chain[0])]
        );
    }

    #[test]
    fn an_accused_node_acquits_itself_whosever_turn_it_is() {
        let mut docket = Docket::default();
        let chain = honest(&mut docket);
        docket.enter(12, Event::Accused { rollup: chain[1].hash(), aggregator: OWN });
        let mut head = head(&chain[2], 12);
        head.peers = vec![Peer { enclave: Address::ZERO, ..Default::default() }];
        let acquittal = Motion::Acquit(Box::new(chain[1].clone()), chain[1].hash());
        assert_eq!(motions(&docket, &head), [acquittal]);
        docket.enter(13, Event::Acquitted(chain[1].hash()));
        assert_eq!(motions(&docket, &head), []);
    }

    #[test]
    fn aggregators_take_turns_and_others_take_none() {
        let mut docket = Docket::default();
        let chain = honest(&mut docket);
        publish(&mut docket, 12, &rollup(&chain[0], FORGER, 11));
        let acts = |own: u8, l1: u64, is_aggregator: bool| {
            let all = [1u8, 2, 3].into_iter().filter(|other| *other != own);
            let peer =
                |enclave| Peer { enclave: Address::repeat_byte(enclave), ..Default::default() };
            let peers = all.map(peer).collect();
            let head = Head { peers, is_aggregator, ..head(&chain[2], l1) };
            let own = Address::repeat_byte(own);
            !docket.motions(own, &BTreeSet::new(), &head, &BTreeMap::new()).is_empty()
        };
        for l1 in 12..30 {
            let acting: Vec<u8> = (1..=3).filter(|own| acts(*own, l1, true)).collect();
            assert_eq!(acting, [(l1 / 2 % 3) as u8 + 1]);
            assert!(!acts(1, l1, false));
        }
    }
}
