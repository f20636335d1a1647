//! Blobs from the beacon API (`/eth/v1/beacon/blobs/{block}`). Not here: blobs that the beacon node
//! has pruned (the archive in `storage`), and whether these are the right ones (the enclave's).

use super::{L1Error, L1Header, http::Http, unavailable};
use alloy_eips::eip4844::{BYTES_PER_BLOB, kzg_to_versioned_hash};
use alloy_primitives::{B256, Bytes};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::sync::OnceCell;
use url::Url;

/// Longest answer, bytes: more blobs in hex than a block may carry for years to come.
const ANSWER_BYTES_MAX: usize = 128 * 2 * BYTES_PER_BLOB;

/// The beacon API of one node.
pub struct Beacon {
    http: Http,
    origin: Url,
    slots: OnceCell<Slots>,
}

/// How the API names blocks.
enum Slots {
    /// By slot, which follows from the time.
    Timed { genesis: u64, seconds: u64 },
    /// By number: a development L1 without a beacon chain.
    Numbered,
}

#[derive(Deserialize)]
struct Answer<T> {
    data: T,
}

#[derive(Deserialize)]
struct Genesis {
    genesis_time: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
struct Spec {
    seconds_per_slot: Option<String>,
    slot_duration_ms: Option<String>,
}

impl Beacon {
    /// The API at `beacon`, or at the origin of the JSON-RPC.
    pub fn new(rpc: &Url, beacon: Option<&str>) -> Result<Self, L1Error> {
        let origin = match beacon {
            Some(beacon) => {
                let bad = || L1Error::Url(beacon.to_owned());
                let mut url = Url::parse(beacon).map_err(|_| bad())?;
                url.set_path(&format!("{}/", url.path().trim_end_matches('/')));
                if !matches!(url.scheme(), "http" | "https") {
                    return Err(bad());
                }
                url
            }
            None => same_origin(rpc),
        };
        Ok(Self { http: Http::new(&origin)?, origin, slots: OnceCell::new() })
    }

    /// The blobs of these versioned hashes in a block, in order; `None` if the node does not have
    /// all of them.
    pub async fn blobs(
        &self,
        block: &L1Header,
        hashes: &[B256],
    ) -> Result<Option<Vec<Bytes>>, L1Error> {
        let id = match self.slots().await? {
            Slots::Numbered => block.number(),
            Slots::Timed { genesis, seconds } => {
                block.fields.timestamp.saturating_sub(*genesis) / (*seconds).max(1)
            }
        };
        let all = format!("eth/v1/beacon/blobs/{id}");
        let wanted: Vec<String> = hashes.iter().map(B256::to_string).collect();
        let some = format!("{all}?versioned_hashes={}", wanted.join(","));
        // Nodes differ in how they want a list written, and some know no filter.
        let found = match self.get::<Vec<Bytes>>(&some).await? {
            Some(found) if !found.is_empty() => Some(found),
            _ => self.get(&all).await?,
        };
        let Some(found) = found else { return Ok(None) };
        if found.len() == hashes.len() {
            return Ok(Some(found));
        }
        // The node ignores the filter, or one blob occurs twice: match them by their commitments.
        let matched = tokio::task::spawn_blocking({
            let hashes = hashes.to_vec();
            move || select(&found, &hashes)
        });
        Ok(matched.await.unwrap_or_default())
    }

    async fn slots(&self) -> Result<&Slots, L1Error> {
        let find = || async {
            let spec = self.get::<Spec>("eth/v1/config/spec").await?;
            let genesis = self.get::<Genesis>("eth/v1/beacon/genesis").await?;
            let seconds = spec.and_then(|spec| spec.slot_seconds());
            let genesis = genesis.and_then(|genesis| genesis.genesis_time.parse().ok());
            Ok(match (seconds, genesis) {
                (Some(seconds), Some(genesis)) => Slots::Timed { genesis, seconds },
                _ => Slots::Numbered,
            })
        };
        self.slots.get_or_try_init(find).await
    }

    /// One request; `None` if the node does not have it.
    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, L1Error> {
        let failed = |reason: &str| unavailable(&self.origin, reason);
        let wrong = |reason: String| L1Error::Wrong { method: "the beacon API", reason };
        let url = self.origin.join(path).map_err(|error| wrong(error.to_string()))?;
        let asked = self.http.get(&url, ANSWER_BYTES_MAX).await;
        let (status, body) = asked.map_err(|reason| failed(&reason))?;
        if status.is_client_error() {
            return Ok(None);
        }
        if !status.is_success() {
            return Err(failed(status.as_str()));
        }
        let answer: Answer<T> =
            serde_json::from_slice(&body).map_err(|error| wrong(error.to_string()))?;
        Ok(Some(answer.data))
    }
}

impl Spec {
    fn slot_seconds(&self) -> Option<u64> {
        let seconds = self.seconds_per_slot.as_ref().and_then(|text| text.parse().ok());
        let milliseconds = || self.slot_duration_ms.as_ref()?.parse::<u64>().ok();
        seconds.or_else(|| Some(milliseconds()? / 1_000))
    }
}

fn same_origin(rpc: &Url) -> Url {
    let mut origin = rpc.clone();
    // It fails only for schemes of another kind than these.
    let _ = origin.set_scheme(match rpc.scheme() {
        "https" | "wss" => "https",
        _ => "http",
    });
    origin.set_path("/");
    origin.set_query(None);
    origin
}

/// The blobs of these versioned hashes among others.
fn select(blobs: &[Bytes], hashes: &[B256]) -> Option<Vec<Bytes>> {
    let settings = c_kzg::ethereum_kzg_settings(0);
    let hash = |blob: &Bytes| {
        let blob = c_kzg::Blob::from_bytes(blob).ok()?;
        let commitment = settings.blob_to_kzg_commitment(&blob).ok()?;
        Some(kzg_to_versioned_hash(commitment.to_bytes().as_slice()))
    };
    let found: Vec<Option<B256>> = blobs.iter().map(hash).collect();
    let position = |wanted: &B256| found.iter().position(|hash| *hash == Some(*wanted));
    hashes.iter().map(|wanted| Some(blobs[position(wanted)?].clone())).collect()
}
