//! Following the rollups of a node: by subscription, and by asking whenever nothing was heard for a
//! while. Not here: the chain that results (`chain`).

use super::{Latest, Node, NodeError, RollupName, RollupView};
use crate::{chain::Chain, clock::L1Clock};
use alloy_primitives::B256;
use futures::{SinkExt, StreamExt};
use obscuro_protocol::rollup::RollupHeader;
use serde::Deserialize;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep, timeout},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{Error as WebSocketError, Message, protocol::WebSocketConfig},
};

type Socket = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

/// When nothing was heard for so long, the node is asked.
const SILENCE_MAX: Duration = Duration::from_secs(2);
/// When nothing was heard for so long, what is known may be wrong.
const STALE_AFTER: Duration = Duration::from_secs(10);
/// First and longest pause before connecting again.
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(250);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(5);
/// Longest time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest WebSocket message read, bytes; a header has less than 4 KiB.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Most rollups fetched one by one to reach a new head; beyond, the chain starts anew there.
const CATCH_UP_MAX: usize = 64;

/// A canonical rollup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its hash.
    pub hash: B256,
    /// Its header.
    pub header: RollupHeader,
}

/// Keeps the chain at the node's head.
pub struct Follower {
    node: Arc<Node>,
    chain: Arc<Chain>,
    clock: Arc<L1Clock>,
    /// One catch-up at a time.
    turn: Mutex<()>,
    /// When the node was last heard.
    heard: parking_lot::Mutex<Option<Instant>>,
}

#[derive(Deserialize)]
struct Notification {
    params: Option<NotificationParams>,
}

#[derive(Deserialize)]
struct NotificationParams {
    result: RollupView,
}

impl Follower {
    /// A follower that has not begun.
    pub fn new(node: Arc<Node>, chain: Arc<Chain>, clock: Arc<L1Clock>) -> Arc<Self> {
        Arc::new(Self {
            node,
            chain,
            clock,
            turn: Mutex::new(()),
            heard: parking_lot::Mutex::new(None),
        })
    }

    /// Whether the chain may have changed unnoticed.
    pub fn is_stale(&self) -> bool {
        let heard = *self.heard.lock();
        self.chain.is_empty() || heard.is_none_or(|heard| heard.elapsed() > STALE_AFTER)
    }

    /// Follows for ever.
    pub async fn run(self: Arc<Self>) {
        let mut pause = RETRY_PAUSE_MIN;
        loop {
            let begun = Instant::now();
            if self.refresh().await.is_ok() {
                let ended = self.listen().await;
                tracing::debug!(reason = ?ended.err(), "the node's subscription ended");
            }
            let lasted = begun.elapsed() > RETRY_PAUSE_MAX;
            pause = if lasted { RETRY_PAUSE_MIN } else { pause };
            sleep(pause).await;
            pause = (pause * 2).min(RETRY_PAUSE_MAX);
        }
    }

    /// Asks the node for its head.
    pub async fn refresh(&self) -> Result<(), NodeError> {
        let before = self.chain.head();
        let name = RollupName::Latest(Latest::Latest);
        let Some(head) = self.node.rollup(name).await? else {
            return Ok(());
        };
        // The subscription may have been faster than this answer: then it is old news.
        let is_old = self.chain.is_canonical(head.hash) && self.chain.head().hash != before.hash;
        if is_old {
            return Ok(());
        }
        self.clock.not_before(head.header.timestamp);
        self.advance(head).await
    }

    async fn listen(&self) -> Result<(), WebSocketError> {
        let mut socket = connect(&self.node.web_socket_url()).await?;
        let subscribe =
            r#"{"jsonrpc":"2.0","id":1,"method":"obscuro_subscribe","params":["rollups"]}"#;
        socket.send(Message::text(subscribe)).await?;
        loop {
            match timeout(SILENCE_MAX, socket.next()).await {
                Ok(Some(message)) => self.hear(&message?).await,
                Ok(None) => return Ok(()),
                Err(_) if self.refresh().await.is_ok() => {}
                Err(_) => return Err(WebSocketError::ConnectionClosed),
            }
        }
    }

    /// Takes a notification; anything else is of no interest.
    async fn hear(&self, message: &Message) {
        let Ok(text) = message.to_text() else {
            return;
        };
        if let Ok(Notification { params: Some(params) }) = serde_json::from_str(text) {
            let head = Head::from(params.result);
            self.clock.just_published(head.header.timestamp);
            // If an ancestor cannot be fetched now, the next head brings it.
            let _ = self.advance(head).await;
        }
    }

    /// Makes `head` the head, with the ancestors that the chain does not know yet.
    async fn advance(&self, head: Head) -> Result<(), NodeError> {
        let _turn = self.turn.lock().await;
        *self.heard.lock() = Some(Instant::now());
        let mut branch = vec![head];
        while let Some(oldest) = branch.last() {
            let (parent, number) = (oldest.header.parent, oldest.header.number);
            if self.chain.is_canonical(oldest.hash) || self.chain.is_canonical(parent) {
                break;
            }
            if self.chain.is_empty() || branch.len() > CATCH_UP_MAX || number <= 1 {
                break;
            }
            match self.node.rollup(RollupName::Hash(parent)).await? {
                Some(found) if found.hash == parent && found.header.number + 1 == number => {
                    branch.push(found);
                }
                _ => return Err(NodeError::Malformed("a rollup without parent".to_owned())),
            }
        }
        branch.reverse();
        self.chain.adopt(branch);
        Ok(())
    }
}

async fn connect(url: &str) -> Result<Socket, WebSocketError> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    let connecting = connect_async_with_config(url, Some(config), true);
    match timeout(CONNECT_TIMEOUT, connecting).await {
        Ok(connected) => connected.map(|(socket, _)| socket),
        Err(_) => Err(WebSocketError::ConnectionClosed),
    }
}
