//! Tells subscribers of newly canonical rollups, in order, and again from where a reorganisation began.
//! Not here: who subscribes (`rpc`).

use crate::{
    enclave::{Enclave, Records, ask},
    l1::feed::Followed,
    stop::Stop,
};
use alloy_primitives::B256;
use obscuro_protocol::{
    door::{Head, Reply, Request, RollupId},
    rollup::RollupHeader,
};
use std::{collections::VecDeque, sync::Arc};
use tokio::sync::{broadcast, watch};
use tracing::{debug, info};

/// Rollups that are announced at most after one L1 block, and remembered as announced.
const ROLLUPS_MAX: usize = 128;

/// Announces until told to stop.
pub async fn run(
    enclave: Arc<dyn Enclave>,
    records: Arc<dyn Records>,
    mut followed: watch::Receiver<Option<Followed>>,
    news: broadcast::Sender<RollupHeader>,
    stop: Stop,
) {
    let mut announcer = Announcer { enclave, records, announced: VecDeque::new() };
    let work = async {
        while followed.changed().await.is_ok() {
            let current = followed.borrow_and_update().clone();
            let current = current.filter(|current| current.is_synced && current.head.has_seed);
            let Some(current) = current else { continue };
            for header in announcer.news(&current.head).await {
                info!(number = header.number, gas = header.gasUsed, "new rollup");
                // Nobody may listen.
                let _ = news.send(header);
            }
        }
    };
    tokio::select! {
        () = work => {}
        () = stop.requested() => {}
    }
}

struct Announcer {
    enclave: Arc<dyn Enclave>,
    records: Arc<dyn Records>,
    announced: VecDeque<B256>,
}

impl Announcer {
    /// Rollups that have become canonical since the last call, oldest first. The first call after a
    /// start announces the head alone.
    async fn news(&mut self, head: &Head) -> Vec<RollupHeader> {
        let mut fresh = Vec::new();
        let mut next = head.rollup;
        let most = if self.announced.is_empty() { 1 } else { ROLLUPS_MAX };
        while fresh.len() < most && !self.announced.contains(&next) {
            let Some(header) = self.header(next).await else { break };
            // Rollup 0 is the network's beginning and was never published.
            if header.number == 0 {
                break;
            }
            next = header.parent;
            fresh.push(header);
        }
        fresh.reverse();
        if fresh.is_empty() && self.announced.is_empty() {
            self.announced.push_back(head.rollup);
        }
        self.announced.extend(fresh.iter().map(RollupHeader::hash));
        let excess = self.announced.len().saturating_sub(ROLLUPS_MAX);
        self.announced.drain(..excess);
        fresh
    }

    async fn header(&self, hash: B256) -> Option<RollupHeader> {
        let request = Request::Rollup(RollupId::Hash(hash));
        match ask(&self.enclave, &self.records, request).await {
            Ok(Reply::Rollup(header)) => header.map(|header| *header),
            Ok(_) => None,
            Err(error) => {
                debug!(%error, "a rollup's header is not to be had");
                None
            }
        }
    }
}
