//! Filters that are polled. Not here: what they give (`feed`), nor subscriptions.

use super::{
    Context,
    error::{Answer, server_error},
    feed::{BlockFeed, LogFeed},
    logs,
    params::{FilterParam, Positional, Span},
};
use alloy_primitives::U128;
use alloy_rpc_types_eth::Log;
use jsonrpsee::types::Params;
use lru::LruCache;
use parking_lot::Mutex;
use serde::Serialize;
use std::{
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, Instant},
};

/// Most filters; another one displaces the one that was not polled for the longest time.
const FILTERS_MAX: NonZeroUsize = NonZeroUsize::new(1_024).expect("not zero");
/// A filter that is not polled for so long is gone (geth's rule).
const IDLE_MAX: Duration = Duration::from_secs(300);

/// The installed filters.
pub struct Filters(Mutex<LruCache<U128, Installed>>);

struct Installed {
    filter: Arc<tokio::sync::Mutex<Filter>>,
    polled: Instant,
}

enum Filter {
    Blocks(BlockFeed),
    Logs { feed: LogFeed, span: Span },
    Pending,
}

/// What a poll returns.
#[derive(Clone, Serialize)]
#[serde(untagged)]
pub enum Changes {
    /// Events.
    Logs(Vec<Log>),
    /// Hashes of blocks or transactions.
    Hashes(Vec<alloy_primitives::B256>),
}

impl Default for Filters {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(FILTERS_MAX)))
    }
}

impl Filters {
    fn install(&self, filter: Filter) -> U128 {
        let id = random_id();
        let installed =
            Installed { filter: Arc::new(tokio::sync::Mutex::new(filter)), polled: Instant::now() };
        self.0.lock().put(id, installed);
        id
    }

    fn find(&self, id: U128) -> Answer<Arc<tokio::sync::Mutex<Filter>>> {
        let mut filters = self.0.lock();
        let installed = filters.get_mut(&id);
        let installed = installed.filter(|installed| installed.polled.elapsed() < IDLE_MAX);
        let installed = installed.ok_or_else(|| server_error("filter not found"))?;
        installed.polled = Instant::now();
        Ok(installed.filter.clone())
    }
}

/// A name that nobody guesses.
pub fn random_id() -> U128 {
    let mut bytes = [0; 16];
    // Without randomness no envelope can be sealed either: nothing depends on this one.
    let _ = getrandom::fill(&mut bytes);
    U128::from_be_bytes(bytes)
}

/// `eth_newFilter`.
pub async fn new_logs(context: &Context, params: Params<'_>) -> Answer<U128> {
    let filter: FilterParam = Positional::new(&params).required()?;
    let (span, wanted) = filter.into_parts()?;
    let feed = LogFeed::after(&*context.head().await?, wanted);
    Ok(context.filters.install(Filter::Logs { feed, span }))
}

/// `eth_newBlockFilter`.
pub async fn new_blocks(context: &Context, _: Params<'_>) -> Answer<U128> {
    let feed = BlockFeed::after(&*context.head().await?);
    Ok(context.filters.install(Filter::Blocks(feed)))
}

/// `eth_newPendingTransactionFilter`: it never has anything.
pub async fn new_pending(context: &Context, _: Params<'_>) -> Answer<U128> {
    Ok(context.filters.install(Filter::Pending))
}

/// `eth_getFilterChanges`.
pub async fn changes(context: &Context, params: Params<'_>) -> Answer<Changes> {
    let filter = context.filters.find(Positional::new(&params).required()?)?;
    context.head().await?;
    match &mut *filter.lock().await {
        Filter::Pending => Ok(Changes::Hashes(Vec::new())),
        Filter::Logs { feed, .. } => Ok(Changes::Logs(feed.advance(context).await?)),
        Filter::Blocks(feed) => {
            let new = feed.advance(&context.chain);
            Ok(Changes::Hashes(new.iter().map(|head| head.hash).collect()))
        }
    }
}

/// `eth_getFilterLogs`.
pub async fn logs(context: &Context, params: Params<'_>) -> Answer<Vec<Log>> {
    let filter = context.filters.find(Positional::new(&params).required()?)?;
    let filter = filter.lock().await;
    match &*filter {
        Filter::Logs { feed, span } => logs::matching(context, *span, feed.wanted()).await,
        Filter::Blocks(_) | Filter::Pending => Err(server_error("filter not found")),
    }
}

/// `eth_uninstallFilter`; whether it was there.
pub async fn uninstall(context: &Context, params: Params<'_>) -> Answer<bool> {
    let id: U128 = Positional::new(&params).required()?;
    Ok(context.filters.0.lock().pop(&id).is_some())
}
