//! Many envelopes in one call. A batch takes whatever has come since the last one left, so that an
//! idle gateway adds no delay and a busy one sends few, large calls. Not here: the call itself.

use super::{CODE_LIMIT, NodeError, http::Http};
use alloy_primitives::Bytes;
use serde::Deserialize;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

/// Most envelopes in one call (the node's bound).
const BATCH_MAX: usize = 512;
/// Largest envelope that travels with others, bytes: a transaction of the largest size fits.
pub const BATCHED_BYTES_MAX: usize = 256 * 1024;
/// A batch of so many bytes takes no more: with one more envelope it still passes the node's bound.
const BATCH_BYTES_ENOUGH: usize = 3 * 1024 * 1024;
/// Calls on their way at once. Few, so that batches grow when there is much to do.
const BATCHES_AT_ONCE: usize = 3;

/// An envelope to be sent.
pub struct Job {
    /// The envelope.
    pub envelope: Bytes,
    /// Who waits for the reply.
    pub reply: oneshot::Sender<Result<Bytes, NodeError>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Sealed(Bytes),
    Failed { code: i32, message: String },
}

/// Sends jobs until their source ends.
pub async fn dispatch(http: Arc<Http>, mut jobs: mpsc::Receiver<Job>) {
    let slots = Arc::new(Semaphore::new(BATCHES_AT_ONCE));
    while let Some(first) = jobs.recv().await {
        let Ok(slot) = slots.clone().acquire_owned().await else {
            return;
        };
        let batch = gather(first, &mut jobs);
        tokio::spawn(send(http.clone(), batch, slot));
    }
}

fn gather(first: Job, jobs: &mut mpsc::Receiver<Job>) -> Vec<Job> {
    let mut bytes = first.envelope.len();
    let mut batch = vec![first];
    while batch.len() < BATCH_MAX && bytes < BATCH_BYTES_ENOUGH {
        let Ok(job) = jobs.try_recv() else {
            break;
        };
        bytes += job.envelope.len();
        batch.push(job);
    }
    batch
}

async fn send(http: Arc<Http>, batch: Vec<Job>, slot: OwnedSemaphorePermit) {
    let envelopes: Vec<&Bytes> = batch.iter().map(|job| &job.envelope).collect();
    let answer = http.call("obscuro_envelopes", &[envelopes]).await;
    drop(slot);
    let entries: Result<Vec<Entry>, _> = answer.and_then(|entries: Option<Vec<Entry>>| {
        entries
            .filter(|entries| entries.len() == batch.len())
            .ok_or_else(|| NodeError::Malformed("not one reply for each envelope".to_owned()))
    });
    match entries {
        Ok(entries) => distribute(&http, batch, entries),
        Err(error) => {
            for job in batch {
                // Who no longer waits needs no answer.
                let _ = job.reply.send(Err(error.clone()));
            }
        }
    }
}

fn distribute(http: &Arc<Http>, batch: Vec<Job>, entries: Vec<Entry>) {
    let is_alone = batch.len() == 1;
    for (job, entry) in batch.into_iter().zip(entries) {
        let reply = match entry {
            Entry::Sealed(reply) => Ok(reply),
            Entry::Failed { code, .. } if code == CODE_LIMIT && !is_alone => {
                tokio::spawn(send_alone(http.clone(), job));
                continue;
            }
            Entry::Failed { code, message } => Err(NodeError::Refused { code, message }),
        };
        let _ = job.reply.send(reply);
    }
}

/// The replies were too large together.
async fn send_alone(http: Arc<Http>, job: Job) {
    let _ = job.reply.send(http.envelope(&job.envelope).await);
}
