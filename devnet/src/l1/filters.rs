//! Filters that clients poll: logs, new blocks, new pending transactions.
//!
//! Fed with the chain's events, read by `eth_getFilterChanges`. Bounded in number and in what each
//! holds: the filter that was polled longest ago gives way to a new one. Not here: subscriptions
//! (`rpc::subscriptions`), which are pushed.

use std::collections::{BTreeMap, VecDeque};

use alloy_primitives::{B256, U256};
use alloy_rpc_types_eth::{Filter, Log};

use super::{chain::Event, rpc::format};

/// Filters that exist at the same time.
pub const FILTERS_MAX: usize = 256;

/// Changes that a filter holds; older ones are dropped.
pub const CHANGES_MAX: usize = 4_096;

/// What a filter looks for, with what it found since it was last polled.
#[derive(Clone, Debug)]
enum Found {
    Logs(Box<Filter>, VecDeque<Log>),
    Blocks(VecDeque<B256>),
    Pending(VecDeque<B256>),
}

/// Changes since the last poll.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(untagged)]
pub enum Changes {
    /// Hashes of blocks or transactions.
    Hashes(Vec<B256>),
    /// Logs; those of blocks that left the chain have `removed` set.
    Logs(Vec<Log>),
}

/// All installed filters.
#[derive(Clone, Debug, Default)]
pub struct Filters {
    filters: BTreeMap<u64, (u64, Found)>,
    installed: u64,
    polls: u64,
}

impl Filters {
    /// Installs a log filter.
    pub fn watch_logs(&mut self, filter: Filter) -> U256 {
        self.install(Found::Logs(Box::new(filter), VecDeque::new()))
    }

    /// Installs a filter for blocks that become canonical.
    pub fn watch_blocks(&mut self) -> U256 {
        self.install(Found::Blocks(VecDeque::new()))
    }

    /// Installs a filter for transactions that enter the pool.
    pub fn watch_pending(&mut self) -> U256 {
        self.install(Found::Pending(VecDeque::new()))
    }

    /// Removes a filter; whether it existed.
    pub fn uninstall(&mut self, id: U256) -> bool {
        u64::try_from(id).is_ok_and(|id| self.filters.remove(&id).is_some())
    }

    /// What a filter found since it was last asked; `None` when there is no such filter.
    pub fn changes(&mut self, id: U256) -> Option<Changes> {
        self.polls += 1;
        let (polled, found) = self.filters.get_mut(&u64::try_from(id).ok()?)?;
        *polled = self.polls;
        Some(match found {
            Found::Logs(_, logs) => Changes::Logs(logs.drain(..).collect()),
            Found::Blocks(hashes) | Found::Pending(hashes) => {
                Changes::Hashes(hashes.drain(..).collect())
            }
        })
    }

    /// The criteria of a log filter.
    pub fn log_filter(&self, id: U256) -> Option<&Filter> {
        match &self.filters.get(&u64::try_from(id).ok()?)?.1 {
            Found::Logs(filter, _) => Some(filter),
            Found::Blocks(_) | Found::Pending(_) => None,
        }
    }

    /// Shows an event of the chain to all filters.
    pub fn observe(&mut self, event: &Event) {
        for (_, found) in self.filters.values_mut() {
            match (found, event) {
                (Found::Logs(filter, logs), Event::Head(change)) => {
                    extend(logs, format::changed_logs(change, filter));
                }
                (Found::Blocks(hashes), Event::Head(change)) => {
                    extend(hashes, change.added.iter().map(|block| block.hash));
                }
                (Found::Pending(hashes), Event::Pending(tx)) => {
                    extend(hashes, [*tx.inner().tx_hash()]);
                }
                _ => {}
            }
        }
    }

    fn install(&mut self, found: Found) -> U256 {
        if self.filters.len() >= FILTERS_MAX {
            let idle = self.filters.iter().min_by_key(|(_, (polled, _))| *polled);
            if let Some(id) = idle.map(|(id, _)| *id) {
                self.filters.remove(&id);
            }
        }
        self.installed += 1;
        self.polls += 1;
        self.filters.insert(self.installed, (self.polls, found));
        U256::from(self.installed)
    }
}

fn extend<T>(queue: &mut VecDeque<T>, items: impl IntoIterator<Item = T>) {
    queue.extend(items);
    let surplus = queue.len().saturating_sub(CHANGES_MAX);
    queue.drain(..surplus);
}
