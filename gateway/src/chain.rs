//! The newest canonical rollups, as the node tells them, for fast answers and for subscriptions. Not
//! here: how they come (`node::follow`), and any proof that L1 has them: what depends on that is
//! answered by the enclave.

use crate::node::Head;
use alloy_primitives::B256;
use obscuro_protocol::{config::NetworkConfig, rollup::RollupHeader};
use parking_lot::RwLock;
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};
use tokio::sync::broadcast;

/// Rollups kept.
const RECENT_MAX: usize = 1_024;
/// New heads that wait for a slow subscriber.
const EVENTS_WAITING_MAX: usize = 256;

/// The newest canonical rollups.
pub struct Chain {
    genesis: Arc<Head>,
    recent: RwLock<Recent>,
    events: broadcast::Sender<Arc<Head>>,
}

#[derive(Default)]
struct Recent {
    /// Consecutive, the newest last.
    heads: VecDeque<Arc<Head>>,
    numbers: HashMap<B256, u64>,
    /// Counts the times that rollups were taken back.
    reorganisations: u64,
}

impl Chain {
    /// The chain that has only its beginning: the config's hash, the parent of rollup 1.
    pub fn new(config: &NetworkConfig) -> Self {
        let header = RollupHeader {
            gasLimit: config.gasLimit,
            baseFee: config.computePrice,
            ..Default::default()
        };
        let genesis = Head { hash: config.hash(), header };
        Self {
            genesis: Arc::new(genesis),
            recent: RwLock::default(),
            events: broadcast::channel(EVENTS_WAITING_MAX).0,
        }
    }

    /// The newest rollup; the beginning if there is none.
    pub fn head(&self) -> Arc<Head> {
        let recent = self.recent.read();
        recent.heads.back().unwrap_or(&self.genesis).clone()
    }

    /// Where the chain begins.
    pub fn genesis(&self) -> Arc<Head> {
        self.genesis.clone()
    }

    /// Whether no rollup is known yet.
    pub fn is_empty(&self) -> bool {
        self.recent.read().heads.is_empty()
    }

    /// A recent rollup by number.
    pub fn by_number(&self, number: u64) -> Option<Arc<Head>> {
        match number {
            0 => Some(self.genesis()),
            _ => self.recent.read().by_number(number).cloned(),
        }
    }

    /// A recent rollup by hash.
    pub fn by_hash(&self, hash: B256) -> Option<Arc<Head>> {
        if hash == self.genesis.hash {
            return Some(self.genesis());
        }
        let recent = self.recent.read();
        let number = recent.numbers.get(&hash)?;
        recent.by_number(*number).cloned()
    }

    /// Whether a recent rollup, or the beginning, has this hash.
    pub fn is_canonical(&self, hash: B256) -> bool {
        hash == self.genesis.hash || self.recent.read().numbers.contains_key(&hash)
    }

    /// Changes whenever rollups were taken back, so that what was learnt from them is void.
    pub fn reorganisations(&self) -> u64 {
        self.recent.read().reorganisations
    }

    /// New heads, in order. A number not above the former says that rollups were taken back.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Head>> {
        self.events.subscribe()
    }

    /// Makes the last of `branch` the head. The branch is consecutive; when its first is neither
    /// known nor a child of one that is, the chain starts anew there.
    pub fn adopt(&self, branch: Vec<Head>) {
        let Some(first) = branch.first() else {
            return;
        };
        let mut recent = self.recent.write();
        let known = recent.numbers.get(&first.hash).copied();
        let keep = match known {
            Some(number) => number,
            None if self.is_parent(&recent, first) => first.header.number.saturating_sub(1),
            None => 0,
        };
        recent.truncate(keep);
        for head in branch.into_iter().skip(usize::from(known.is_some())) {
            let head = Arc::new(head);
            recent.push(head.clone());
            // Without a subscriber there is nobody to tell.
            let _ = self.events.send(head);
        }
    }

    fn is_parent(&self, recent: &Recent, child: &Head) -> bool {
        recent.numbers.contains_key(&child.header.parent)
    }
}

impl Recent {
    fn by_number(&self, number: u64) -> Option<&Arc<Head>> {
        let first = self.heads.front()?.header.number;
        let position = usize::try_from(number.checked_sub(first)?).ok()?;
        self.heads.get(position)
    }

    /// Forgets rollups above a number.
    fn truncate(&mut self, number: u64) {
        while let Some(last) = self.heads.pop_back_if(|head| head.header.number > number) {
            self.numbers.remove(&last.hash);
            self.reorganisations += 1;
        }
    }

    fn push(&mut self, head: Arc<Head>) {
        if self.heads.len() == RECENT_MAX
            && let Some(oldest) = self.heads.pop_front()
        {
            self.numbers.remove(&oldest.hash);
        }
        self.numbers.insert(head.hash, head.header.number);
        self.heads.push_back(head);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(parent: B256, number: u64, salt: u8) -> Head {
        let header = RollupHeader { parent, number, version: salt.into(), ..Default::default() };
        Head { hash: header.hash(), header }
    }

    fn branch(mut parent: B256, numbers: std::ops::RangeInclusive<u64>, salt: u8) -> Vec<Head> {
        let grow = |number| {
            let head = head(parent, number, salt);
            parent = head.hash;
            head
        };
        numbers.map(grow).collect()
    }

    fn new() -> Chain {
        Chain::new(&NetworkConfig::default())
    }

    #[test]
    fn grows_and_answers() {
        let chain = new();
        let mut events = chain.subscribe();
        assert_eq!(chain.head().header.number, 0);
        assert!(chain.is_empty() && chain.is_canonical(chain.genesis().hash));
        let first = branch(chain.genesis().hash, 1..=3, 1);
        chain.adopt(first.clone());
        assert_eq!(*chain.head(), first[2]);
        assert_eq!(chain.by_number(2).as_deref(), Some(&first[1]));
        assert_eq!(chain.by_hash(first[0].hash).as_deref(), Some(&first[0]));
        assert_eq!(chain.by_number(4), None);
        assert_eq!(chain.reorganisations(), 0);
        for expected in &first {
            assert_eq!(&*events.try_recv().unwrap(), expected);
        }
    }

    #[test]
    fn switches_branches() {
        let chain = new();
        let old = branch(chain.genesis().hash, 1..=5, 1);
        chain.adopt(old.clone());
        let new = branch(old[1].hash, 3..=4, 2);
        chain.adopt(new.clone());
        assert_eq!(*chain.head(), new[1]);
        assert!(!chain.is_canonical(old[4].hash) && chain.is_canonical(old[1].hash));
        assert_ne!(chain.reorganisations(), 0);
        // Back to an ancestor: L1 lost the rest.
        chain.adopt(vec![old[0].clone()]);
        assert_eq!(*chain.head(), old[0]);
        assert_eq!(chain.by_number(2), None);
    }

    #[test]
    fn starts_anew_after_a_gap_and_keeps_a_bound() {
        let chain = new();
        chain.adopt(branch(chain.genesis().hash, 1..=5, 1));
        let far = branch(B256::repeat_byte(9), 100..=100 + RECENT_MAX as u64, 1);
        chain.adopt(far.clone());
        assert_eq!(*chain.head(), far[RECENT_MAX]);
        assert_eq!((chain.by_number(5), chain.by_number(100)), (None, None));
        assert_eq!(chain.by_number(101).as_deref(), Some(&far[1]));
        let recent = chain.recent.read();
        assert_eq!((recent.heads.len(), recent.numbers.len()), (RECENT_MAX, RECENT_MAX));
    }
}
