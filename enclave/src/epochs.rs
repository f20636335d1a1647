//! Seed epochs (protocol 2.5): the seeds that an enclave holds, and which of them apply at an L1
//! block. What is new is encrypted under the newest epoch's seed, which a removed enclave never
//! gets; what is old stays readable under the older ones. Not here: how seeds are handed over
//! (`membership`) and sealed (`identity`).

use crate::store::{EncryptedStore, Store};
use alloy_primitives::Bytes;
use obscuro_protocol::keys::{KemPrivateKey, Label, MasterSeed, kem_public_key_bytes};
use std::sync::Arc;

/// Most epochs of one network: their seeds fill the share that a newcomer gets (4,096 bytes on L1).
pub const EPOCHS_MAX: usize = 90;

/// What the seed of one epoch yields.
pub struct EpochKeys {
    /// The seed.
    pub seed: MasterSeed,
    /// Opens user envelopes.
    pub network: KemPrivateKey,
    /// Its public half on the wire: the name of the epoch's seed.
    pub network_public: Bytes,
}

impl EpochKeys {
    /// Derives what is asked for often.
    pub fn new(seed: MasterSeed) -> Self {
        let (network, public) = seed.network_key();
        Self { seed, network, network_public: kem_public_key_bytes(&public).into() }
    }
}

/// Every seed that an enclave holds. A reorganisation of L1 can leave it with seeds that no epoch
/// has.
#[derive(Clone, Default)]
pub struct KeyRing {
    held: Vec<Arc<EpochKeys>>,
    /// Network keys of epochs that were lost while it held their seeds, each with the number of the L1
    /// block in which that was.
    renounced: Vec<(Bytes, u64)>,
}

impl KeyRing {
    /// The keys of these seeds.
    pub fn new(seeds: &[MasterSeed]) -> Self {
        let mut ring = Self::default();
        ring.renew(seeds);
        ring
    }

    /// Exchanges the seeds.
    pub fn renew(&mut self, seeds: &[MasterSeed]) {
        self.held = seeds.iter().map(|seed| Arc::new(EpochKeys::new(seed.duplicate()))).collect();
    }

    /// Does not use these keys again where they were lost in this L1 block, so that it follows L1 like
    /// those who never had them.
    pub fn renounce(&mut self, network_keys: Vec<Bytes>, number: u64) {
        self.renounced.extend(network_keys.into_iter().map(|key| (key, number)));
        let excess = self.renounced.len().saturating_sub(EPOCHS_MAX);
        self.renounced.drain(..excess);
    }

    /// Takes keys back that still count in an L1 block of this number, if that is higher than the one in
    /// which they were lost: L1 is on another branch. Says whether there were any.
    pub fn reclaim(&mut self, network_keys: &[Bytes], number: u64) -> bool {
        let count = self.renounced.len();
        self.renounced.retain(|(key, lost)| *lost >= number || !network_keys.contains(key));
        self.renounced.len() < count
    }

    /// Whether one of these was renounced.
    pub fn has_renounced(&self, network_keys: &[Bytes]) -> bool {
        self.renounced.iter().any(|(key, _)| network_keys.contains(key))
    }

    /// Whether this enclave holds no seed at all.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// All of them; which one was obtained last comes first.
    pub fn newest_first(&self) -> impl Iterator<Item = &EpochKeys> {
        self.held.iter().rev().map(|keys| &**keys)
    }

    /// The keys that apply where L1 shows these network keys, by epoch; `None` unless the seed of each
    /// that is not lost is here.
    pub fn of(&self, network_keys: &[Bytes]) -> Option<NetworkKeys> {
        if self.has_renounced(network_keys) {
            return None;
        }
        let held = |key: &Bytes| self.held.iter().find(|held| held.network_public == *key).cloned();
        let epochs = network_keys.iter().filter(|key| !key.is_empty()).map(held);
        NetworkKeys::new(network_keys.len() as u32, epochs.collect::<Option<_>>()?)
    }

    /// The keys before L1 shows any: those of the seed that this enclave made or was given first.
    pub fn founding(&self) -> Option<NetworkKeys> {
        NetworkKeys::new(1, self.held.first().into_iter().cloned().collect())
    }
}

/// The keys of all epochs up to an L1 block.
#[derive(Clone)]
pub struct NetworkKeys {
    epoch: u32,
    current: Arc<EpochKeys>,
    /// Newest first, without lost ones.
    earlier: Vec<Arc<EpochKeys>>,
}

impl NetworkKeys {
    fn new(epoch: u32, mut epochs: Vec<Arc<EpochKeys>>) -> Option<Self> {
        let current = epochs.pop()?;
        epochs.reverse();
        Some(Self { epoch, current, earlier: epochs })
    }

    /// The number of the current epoch.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The seeds of all epochs that are not lost, oldest first.
    pub fn seeds(&self) -> Vec<&MasterSeed> {
        let mut seeds: Vec<&MasterSeed> = self.newest_first().map(|keys| &keys.seed).collect();
        seeds.reverse();
        seeds
    }

    /// The epoch under which everything new is encrypted.
    pub fn current(&self) -> &EpochKeys {
        &self.current
    }

    /// All epochs that are not lost, the current one first.
    pub fn newest_first(&self) -> impl Iterator<Item = &EpochKeys> {
        std::iter::once(&*self.current).chain(self.earlier.iter().map(|keys| &**keys))
    }

    /// The host's store: written under the current epoch, read under all.
    pub fn store<'a>(&self, store: &'a dyn Store) -> EncryptedStore<'a> {
        let under =
            |keys: &EpochKeys| EncryptedStore::new(store, keys.seed.derive(Label::State).expose());
        let oldest_first = self.earlier.iter().rev();
        let earlier = oldest_first.map(|keys| under(keys)).reduce(|old, new| new.or_earlier(old));
        match earlier {
            Some(earlier) => under(&self.current).or_earlier(earlier),
            None => under(&self.current),
        }
    }
}
