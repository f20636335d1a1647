//! Receipts, which clients ask for again and again until they are there. One that was found is kept;
//! one that was absent stays absent until there is another rollup; and when many are waited for, a
//! new rollup is asked once which of them it has. Not here: how a receipt looks (`objects`).

use super::{
    Context, blocks,
    error::{Answer, unexpected_reply},
};
use crate::node::Head;
use alloy_primitives::B256;
use lru::LruCache;
use obscuro_protocol::query::{Query, ReceiptInfo, Reply};
use parking_lot::Mutex;
use std::{collections::HashSet, num::NonZeroUsize, sync::Arc};

/// Receipts kept.
const FOUND_MAX: NonZeroUsize = NonZeroUsize::new(16_384).expect("not zero");
/// Receipts waited for.
const AWAITED_MAX: NonZeroUsize = NonZeroUsize::new(65_536).expect("not zero");
/// From so many awaited receipts on, a rollup is asked which of them it has.
const GATHER_FROM: usize = 8;
/// Most rollups asked in a row; after a longer pause the newest alone is.
const GATHER_MAX: u64 = 16;

/// What is known about receipts.
pub struct Receipts {
    known: Mutex<Known>,
    /// One asks the rollups, the others wait for it.
    gathering: tokio::sync::Mutex<()>,
}

struct Known {
    /// Changes when rollups are taken back or other accounts may be read: then all this is void.
    era: (u64, u64),
    found: LruCache<B256, Arc<ReceiptInfo>>,
    /// With the newest rollup known not to have it.
    awaited: LruCache<B256, u64>,
    /// Awaited no longer: some rollup has it.
    arrived: HashSet<B256>,
    /// The rollups from the first to the last were asked for all their transactions.
    gathered: (u64, u64),
}

/// What is known about one receipt.
enum Knowledge {
    Found(Arc<ReceiptInfo>),
    /// The newest rollup does not have it either.
    Absent,
    /// Rollups came that may have it; so many are waited for.
    Awaited(usize),
    Nothing,
}

impl Default for Receipts {
    fn default() -> Self {
        Self { known: Mutex::new(Known::of((0, 0))), gathering: tokio::sync::Mutex::new(()) }
    }
}

/// A receipt, if there is one that the gateway's accounts may see.
pub async fn find(context: &Context, hash: B256) -> Answer<Option<Arc<ReceiptInfo>>> {
    let head = context.head().await?;
    match context.receipts.recall(context, hash, &head) {
        Knowledge::Found(receipt) => Ok(Some(receipt)),
        Knowledge::Absent => Ok(None),
        Knowledge::Awaited(count) if count >= GATHER_FROM => {
            gather(context, &head).await?;
            match context.receipts.recall(context, hash, &head) {
                Knowledge::Found(receipt) => Ok(Some(receipt)),
                Knowledge::Absent => Ok(None),
                Knowledge::Awaited(_) | Knowledge::Nothing => ask(context, hash, &head).await,
            }
        }
        Knowledge::Awaited(_) | Knowledge::Nothing => ask(context, hash, &head).await,
    }
}

async fn ask(context: &Context, hash: B256, head: &Head) -> Answer<Option<Arc<ReceiptInfo>>> {
    let era = era(context);
    for reply in context.sealed.ask_for_all(Query::Receipt(hash)).await? {
        match reply {
            Reply::Receipt(Some(receipt)) => {
                let receipt = Arc::from(receipt);
                context.receipts.found(era, hash, &receipt);
                context.reach(receipt.position.number).await;
                return Ok(Some(receipt));
            }
            Reply::Receipt(None) => {}
            _ => return Err(unexpected_reply()),
        }
    }
    context.receipts.absent(era, hash, head.header.number);
    Ok(None)
}

/// Asks the rollups up to `head` which transactions they have.
async fn gather(context: &Context, head: &Head) -> Answer<()> {
    let _turn = context.receipts.gathering.lock().await;
    let era = era(context);
    for number in context.receipts.to_gather(head.header.number) {
        let Some(rollup) = context.chain.by_number(number) else {
            continue;
        };
        let hashes = blocks::visible(context, &rollup).await?;
        context.receipts.arrived(era, number, &hashes);
    }
    Ok(())
}

fn era(context: &Context) -> (u64, u64) {
    (context.chain.reorganisations(), context.accounts.changes())
}

impl Receipts {
    fn recall(&self, context: &Context, hash: B256, head: &Head) -> Knowledge {
        let mut known = self.known.lock();
        known.enter(era(context));
        if let Some(receipt) = known.found.get(&hash) {
            let now = context.clock.now();
            let may_see = |account| context.accounts.is_readable(account, now);
            return match may_see(receipt.from) || receipt.to.is_some_and(may_see) {
                true => Knowledge::Found(receipt.clone()),
                false => Knowledge::Nothing,
            };
        }
        let Some(absent_in) = known.awaited.get(&hash).copied() else {
            return Knowledge::Nothing;
        };
        match known.absent_until(absent_in) >= head.header.number {
            true => Knowledge::Absent,
            false => Knowledge::Awaited(known.awaited.len()),
        }
    }

    fn found(&self, era: (u64, u64), hash: B256, receipt: &Arc<ReceiptInfo>) {
        let mut known = self.known.lock();
        if known.era == era {
            known.awaited.pop(&hash);
            known.arrived.remove(&hash);
            known.found.put(hash, receipt.clone());
        }
    }

    fn absent(&self, era: (u64, u64), hash: B256, number: u64) {
        let mut known = self.known.lock();
        // One that has arrived and is absent all the same is not awaited, nor is one whose absence is
        // older than the last rollup that was asked: that one was not asked for it.
        let is_news = number >= known.gathered.1;
        if known.era == era && !known.arrived.remove(&hash) && is_news {
            known.awaited.put(hash, number);
        }
    }

    fn to_gather(&self, head: u64) -> std::ops::RangeInclusive<u64> {
        let mut known = self.known.lock();
        let last = known.gathered.1;
        if head.saturating_sub(last) > GATHER_MAX {
            known.gathered = (head, head - 1);
        }
        known.gathered.1 + 1..=head
    }

    fn arrived(&self, era: (u64, u64), number: u64, hashes: &[B256]) {
        let mut known = self.known.lock();
        if known.era != era || known.gathered.1 + 1 != number {
            return;
        }
        for hash in hashes {
            if known.awaited.pop(hash).is_some() && known.arrived.len() < AWAITED_MAX.get() {
                known.arrived.insert(*hash);
            }
        }
        known.gathered.1 = number;
    }
}

impl Known {
    fn of(era: (u64, u64)) -> Self {
        Self {
            era,
            found: LruCache::new(FOUND_MAX),
            awaited: LruCache::new(AWAITED_MAX),
            arrived: HashSet::new(),
            gathered: (0, 0),
        }
    }

    fn enter(&mut self, era: (u64, u64)) {
        if self.era != era {
            *self = Self::of(era);
        }
    }

    /// A receipt that was absent in a rollup is so in those that were asked since.
    fn absent_until(&self, number: u64) -> u64 {
        let (first, last) = self.gathered;
        let is_covered = first <= number + 1;
        if is_covered { number.max(last) } else { number }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absence_reaches_as_far_as_rollups_were_asked_without_a_gap() {
        let receipts = Receipts::default();
        let (era, awaited, other) = ((0, 0), B256::repeat_byte(1), B256::repeat_byte(2));
        receipts.absent(era, awaited, 100);
        assert_eq!(receipts.to_gather(102), 102..=102, "a long pause: the newest alone");
        receipts.arrived(era, 102, &[other]);
        assert_eq!(receipts.known.lock().absent_until(100), 100, "101 was not asked");
        receipts.absent(era, awaited, 102);
        assert_eq!(receipts.to_gather(104), 103..=104);
        receipts.arrived(era, 104, &[awaited]);
        assert!(receipts.known.lock().awaited.contains(&awaited), "out of turn");
        receipts.arrived(era, 103, &[other]);
        assert_eq!(receipts.known.lock().absent_until(102), 103);
        receipts.arrived(era, 104, &[awaited]);
        assert!(!receipts.known.lock().awaited.contains(&awaited));
        assert!(receipts.known.lock().arrived.contains(&awaited));
        receipts.absent(era, B256::ZERO, 103);
        assert!(!receipts.known.lock().awaited.contains(&B256::ZERO), "104 was not asked for it");
    }

    #[test]
    fn another_era_forgets() {
        let receipts = Receipts::default();
        receipts.absent((0, 0), B256::ZERO, 5);
        receipts.known.lock().enter((1, 0));
        assert!(receipts.known.lock().awaited.is_empty());
        receipts.absent((0, 0), B256::ZERO, 5);
        assert!(receipts.known.lock().awaited.is_empty(), "an answer from before");
    }
}
