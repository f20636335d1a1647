//! News of L1's head: pushed over WebSocket, asked for over HTTP, and asked for from time to time over
//! WebSocket too, because a push can be lost with its connection. Not here: what follows from a new
//! head (`follower`).

use super::{L1Client, L1Error, L1Header};
use crate::stop::Stop;
use alloy_provider::Provider;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};
use tracing::{debug, info, warn};

/// How often an HTTP node is asked, as a fraction of its block time.
const POLLS_PER_BLOCK: u32 = 20;
const POLL_MIN: Duration = Duration::from_millis(50);
const POLL_MAX: Duration = Duration::from_millis(1_000);
/// How often a WebSocket node is asked anyway.
const POLL_PUSHED: Duration = Duration::from_secs(5);
const BACK_OFF_MIN: Duration = Duration::from_millis(200);
const BACK_OFF_MAX: Duration = Duration::from_secs(10);
const SUBSCRIBE_WAIT_MAX: Duration = Duration::from_secs(10);

/// Watches until told to stop. The head is absent until the node has answered once.
pub async fn watch_heads(l1: Arc<L1Client>, heads: watch::Sender<Option<L1Header>>, stop: Stop) {
    let watching = async {
        let mut outage = Outage::default();
        loop {
            let ended = if l1.is_websocket() {
                pushed(&l1, &heads, &mut outage).await
            } else {
                polled(&l1, &heads, &mut outage).await
            };
            if let Err(error) = ended {
                outage.begin(&error);
            }
            tokio::time::sleep(outage.back_off()).await;
        }
    };
    tokio::select! {
        () = watching => {}
        () = stop.requested() => {}
    }
}

/// One silence of the node: reported when it begins and when it ends.
#[derive(Default)]
struct Outage {
    failures: u32,
}

impl Outage {
    fn begin(&mut self, error: &L1Error) {
        if self.failures == 0 {
            warn!(%error, "L1 is out of reach; trying again");
        } else {
            debug!(%error, "L1 is still out of reach");
        }
        self.failures += 1;
    }

    fn end(&mut self) {
        if self.failures > 0 {
            info!("L1 is back");
        }
        self.failures = 0;
    }

    fn back_off(&self) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(10);
        (BACK_OFF_MIN * 2_u32.pow(doublings)).min(BACK_OFF_MAX)
    }
}

/// Asks over HTTP until that fails.
async fn polled(
    l1: &L1Client,
    heads: &watch::Sender<Option<L1Header>>,
    outage: &mut Outage,
) -> Result<(), L1Error> {
    let mut pace = Pace::default();
    loop {
        let head = l1.latest().await?;
        outage.end();
        if announce(heads, head) {
            pace.block();
        }
        tokio::time::sleep(pace.poll()).await;
    }
}

/// Listens over WebSocket until that fails.
async fn pushed(
    l1: &L1Client,
    heads: &watch::Sender<Option<L1Header>>,
    outage: &mut Outage,
) -> Result<(), L1Error> {
    let provider = l1.provider().await?;
    let subscribing = timeout(SUBSCRIBE_WAIT_MAX, provider.subscribe_blocks()).await;
    let subscribed = match subscribing {
        Ok(subscribed) => subscribed.map_err(|error| l1.unavailable(error)),
        Err(_) => Err(l1.unavailable("no subscription in time")),
    };
    let mut subscription = match subscribed {
        Ok(subscription) => subscription,
        Err(error) => {
            l1.disconnect().await;
            return Err(error);
        }
    };
    let mut poll_at = Instant::now();
    loop {
        let head = tokio::select! {
            pushed = subscription.recv() => match pushed {
                Ok(head) => L1Header::checked(head, "eth_subscribe")?,
                Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => continue,
                Err(error) => {
                    l1.disconnect().await;
                    return Err(l1.unavailable(error));
                }
            },
            () = sleep_until(poll_at) => l1.latest().await?,
        };
        outage.end();
        announce(heads, head);
        poll_at = Instant::now() + POLL_PUSHED;
    }
}

/// Passes a head on; says whether it is another one.
fn announce(heads: &watch::Sender<Option<L1Header>>, head: L1Header) -> bool {
    heads.send_if_modified(|known| {
        let is_new = known.as_ref().is_none_or(|known| known.hash != head.hash);
        if is_new {
            *known = Some(head);
        }
        is_new
    })
}

/// The rhythm of L1, from when its blocks were seen.
#[derive(Default)]
struct Pace {
    last: Option<Instant>,
    block_time: Option<Duration>,
}

impl Pace {
    fn block(&mut self) {
        let now = Instant::now();
        if let Some(last) = self.last.replace(now) {
            let seen = now - last;
            let average = self.block_time.map_or(seen, |known| (known * 3 + seen) / 4);
            self.block_time = Some(average);
        }
    }

    fn poll(&self) -> Duration {
        let poll = self.block_time.map_or(POLL_MIN, |time| time / POLLS_PER_BLOCK);
        poll.clamp(POLL_MIN, POLL_MAX)
    }
}
