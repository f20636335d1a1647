//! Rollups and events as they come, and as L1's reorganisations take them back: what filters and
//! subscriptions have in common. A feed remembers what it gave of the last rollups; asked again, it
//! first takes back what is no longer canonical, then gives what is new. Not here: who asks.

use super::{Context, error::Answer, logs, params::Wanted};
use crate::{chain::Chain, node::Head};
use alloy_primitives::B256;
use alloy_rpc_types_eth::Log;
use obscuro_protocol::limits::LOG_RANGE_MAX;
use std::{collections::VecDeque, sync::Arc};

/// Rollups that a feed remembers; a deeper reorganisation is not taken back.
const REMEMBERED_MAX: usize = 64;

/// What was given of one rollup.
struct Given<T> {
    number: u64,
    hash: B256,
    items: Vec<T>,
}

/// Where a feed stands.
struct Cursor<T> {
    /// The first rollup not given yet.
    next: u64,
    given: VecDeque<Given<T>>,
}

impl<T> Cursor<T> {
    fn after(head: &Head) -> Self {
        Self { next: head.header.number + 1, given: VecDeque::new() }
    }

    /// What is no longer canonical, newest first; the cursor goes back before it.
    fn take_back(&mut self, chain: &Chain) -> Vec<T> {
        let mut taken = Vec::new();
        let is_gone = |given: &mut Given<T>| !chain.is_canonical(given.hash);
        while let Some(given) = self.given.pop_back_if(is_gone) {
            self.next = given.number;
            taken.extend(given.items.into_iter().rev());
        }
        taken
    }

    fn remember(&mut self, head: &Head, items: Vec<T>) {
        if self.given.len() == REMEMBERED_MAX {
            self.given.pop_front();
        }
        self.given.push_back(Given { number: head.header.number, hash: head.hash, items });
        self.next = head.header.number + 1;
    }
}

/// New rollups.
pub struct BlockFeed(Cursor<()>);

impl BlockFeed {
    /// Those after `head`.
    pub fn after(head: &Head) -> Self {
        let mut cursor = Cursor::after(head);
        cursor.remember(head, Vec::new());
        Self(cursor)
    }

    /// Those that came since; all that are known if that was long ago.
    pub fn advance(&mut self, chain: &Chain) -> Vec<Arc<Head>> {
        self.0.take_back(chain);
        let head = chain.head().header.number;
        let numbers = self.0.next..=head;
        let new: Vec<_> = numbers.filter_map(|number| chain.by_number(number)).collect();
        for head in &new {
            self.0.remember(head, Vec::new());
        }
        new
    }
}

/// New events.
pub struct LogFeed {
    wanted: Wanted,
    cursor: Cursor<Log>,
    /// Taken back, and not told yet because the query failed.
    untold: Vec<Log>,
}

impl LogFeed {
    /// Those after `head`.
    pub fn after(head: &Head, wanted: Wanted) -> Self {
        let mut cursor = Cursor::after(head);
        cursor.remember(head, Vec::new());
        Self { wanted, cursor, untold: Vec::new() }
    }

    /// Which events.
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// Those that came since, after those that were taken back.
    pub async fn advance(&mut self, context: &Context) -> Answer<Vec<Log>> {
        let gone = self.cursor.take_back(&context.chain);
        self.untold.extend(gone.into_iter().map(|log| Log { removed: true, ..log }));
        let last = context.chain.head().header.number;
        let first = self.cursor.next.max(last.saturating_sub(LOG_RANGE_MAX - 1));
        let mut new = Vec::new();
        if first <= last {
            new = logs::in_range(context, first..=last, &self.wanted).await?;
            self.remember(context, first, last, &new);
        }
        let mut all = std::mem::take(&mut self.untold);
        all.extend(new);
        Ok(all)
    }

    fn remember(&mut self, context: &Context, first: u64, last: u64, new: &[Log]) {
        let heads = (first..=last).filter_map(|number| context.chain.by_number(number));
        for head in heads {
            let of_it = |log: &&Log| log.block_hash == Some(head.hash);
            let items = new.iter().filter(of_it).cloned().collect();
            self.cursor.remember(&head, items);
        }
        self.cursor.next = last + 1;
    }
}
