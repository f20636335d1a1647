//! After a restart the enclave's pool is empty: the envelopes that were acknowledged before are
//! submitted again, once. Not here: accepting envelopes (`backend`) and forgetting settled ones (the
//! follower).

use super::Arrivals;
use crate::{
    enclave::{AskError, Enclave, Records, ask},
    l1::feed::Followed,
    stop::Stop,
    storage::{KeptEnvelope, Storage, StorageError},
};
use obscuro_protocol::{
    door::{DoorError, Reply, Request},
    limits::REQUEST_LIFETIME_SECONDS_MAX,
};
use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::sync::watch;
use tracing::{info, warn};

const PAGE: usize = 256;
/// Wait before asking an enclave again that is not ready.
const RETRY_EVERY: Duration = Duration::from_millis(500);
/// An envelope that is refused at this age will be refused for ever.
const AGE_MAX_SECONDS: u64 = 2 * REQUEST_LIFETIME_SECONDS_MAX;

/// Submits once the enclave is at L1's head.
pub async fn run(
    enclave: Arc<dyn Enclave>,
    storage: Arc<Storage>,
    mut followed: watch::Receiver<Option<Followed>>,
    arrivals: Arrivals,
    stop: Stop,
) {
    let work = async {
        let is_ready = |followed: &Option<Followed>| {
            followed.as_ref().is_some_and(|followed| followed.is_synced && followed.head.has_seed)
        };
        if followed.wait_for(is_ready).await.is_err() {
            return;
        }
        if let Err(error) = resubmit(&enclave, &storage, &arrivals).await {
            warn!(%error, "acknowledged envelopes are not submitted again");
        }
    };
    tokio::select! {
        () = work => {}
        () = stop.requested() => {}
    }
}

async fn resubmit(
    enclave: &Arc<dyn Enclave>,
    storage: &Arc<Storage>,
    arrivals: &Arrivals,
) -> Result<(), StorageError> {
    let records: Arc<dyn Records> = storage.clone();
    let (mut after, mut accepted, mut refused) = (None, 0_usize, 0_usize);
    loop {
        let page = storage.envelopes(after, PAGE)?;
        let Some(last) = page.last() else { break };
        after = Some(last.hash);
        let mut old = Vec::new();
        for kept in page {
            if submit(enclave, &records, &kept).await {
                accepted += 1;
                arrivals.accepted();
                continue;
            }
            refused += 1;
            if is_old(&kept) {
                old.push(kept.hash);
            }
        }
        storage.forget_envelopes(&old)?;
    }
    if accepted + refused > 0 {
        info!(accepted, refused, "submitted acknowledged envelopes again");
    }
    Ok(())
}

/// Whether the enclave took the transaction into its pool.
async fn submit(
    enclave: &Arc<dyn Enclave>,
    records: &Arc<dyn Records>,
    kept: &KeptEnvelope,
) -> bool {
    loop {
        let request = Request::Envelope(kept.envelope.clone());
        match ask(enclave, records, request).await {
            Ok(Reply::Envelope { accepted, .. }) => return accepted,
            Err(AskError::Refused(DoorError::Retry(_)) | AskError::Channel(_)) => {
                tokio::time::sleep(RETRY_EVERY).await;
            }
            Ok(_) | Err(_) => return false,
        }
    }
}

fn is_old(kept: &KeptEnvelope) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs());
    now.saturating_sub(kept.kept_at) > AGE_MAX_SECONDS
}
