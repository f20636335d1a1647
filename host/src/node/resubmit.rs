//! Each life of the enclave begins with an empty pool: the transactions that were acknowledged before
//! are brought back to it. Not here: accepting transactions (`backend`) and forgetting settled ones
//! (the follower).

use super::Arrivals;
use crate::{
    enclave::{AskError, Enclave, Records, ask},
    l1::feed::Followed,
    stop::Stop,
    storage::{Storage, StorageError},
};
use alloy_primitives::{B256, Bytes};
use obscuro_protocol::door::{DoorError, Request};
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;
use tracing::{debug, info, warn};

const PAGE: usize = 256;
/// Wait before asking an enclave again that is not ready.
const RETRY_EVERY: Duration = Duration::from_millis(500);

/// Brings everything back once in each life, when the enclave is at L1's head.
pub async fn run(
    enclave: Arc<dyn Enclave>,
    storage: Arc<Storage>,
    mut followed: watch::Receiver<Option<Followed>>,
    arrivals: Arrivals,
    stop: Stop,
) {
    let work = async {
        let mut done = 0;
        while let Some(life) = new_life(&mut followed, done).await {
            done = life;
            if let Err(error) = resubmit(&enclave, &storage, &arrivals).await {
                warn!(%error, "acknowledged transactions are not brought back");
            }
        }
    };
    tokio::select! {
        () = work => {}
        () = stop.requested() => {}
    }
}

/// Waits until a life after this one is ready; `None` if there will be none.
async fn new_life(followed: &mut watch::Receiver<Option<Followed>>, done: u64) -> Option<u64> {
    let is_ready =
        |followed: &Followed| followed.is_synced && followed.head.has_seed && followed.life > done;
    let ready = followed.wait_for(|followed| followed.as_ref().is_some_and(is_ready)).await.ok()?;
    ready.as_ref().map(|followed| followed.life)
}

async fn resubmit(
    enclave: &Arc<dyn Enclave>,
    storage: &Arc<Storage>,
    arrivals: &Arrivals,
) -> Result<(), StorageError> {
    let records: Arc<dyn Records> = storage.clone();
    let (mut after, mut count): (Option<B256>, usize) = (None, 0);
    loop {
        let page = storage.transactions(after, PAGE)?;
        let Some((last, _)) = page.last() else { break };
        after = Some(*last);
        count += page.len();
        let mut useless = Vec::new();
        for (hash, sealed) in page {
            if !is_taken(enclave, &records, sealed).await {
                useless.push(hash);
            }
        }
        storage.forget_transactions(&useless)?;
        arrivals.accepted();
    }
    if count > 0 {
        info!(count, "brought acknowledged transactions back");
    }
    Ok(())
}

/// Whether the enclave took it; it refuses only what no enclave of this network sealed.
async fn is_taken(enclave: &Arc<dyn Enclave>, records: &Arc<dyn Records>, sealed: Bytes) -> bool {
    loop {
        match ask(enclave, records, Request::Readmit(sealed.clone())).await {
            Ok(_) => return true,
            Err(AskError::Refused(DoorError::Rejected(reason))) => {
                warn!(reason, "a kept transaction is useless");
                return false;
            }
            Err(error) if error.is_fatal() => return true,
            Err(error) => {
                debug!(%error, "waiting for the enclave");
                tokio::time::sleep(RETRY_EVERY).await;
            }
        }
    }
}
