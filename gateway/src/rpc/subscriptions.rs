//! Subscriptions over WebSocket. Not here: what they give (`feed`), nor the filters that are polled.

use super::{
    Context,
    error::{Answer, invalid_params},
    feed::{BlockFeed, LogFeed},
    params::{FilterParam, Positional},
};
use crate::objects;
use jsonrpsee::{
    Extensions, PendingSubscriptionSink, SubscriptionSink,
    types::{ErrorObjectOwned, Params},
};
use serde::Serialize;
use std::sync::Arc;
use tokio::sync::broadcast::{Receiver, error::RecvError};

enum Topic {
    Heads,
    Logs(FilterParam),
    Pending,
}

/// `eth_subscribe`.
pub async fn subscribe(
    params: Params<'static>,
    pending: PendingSubscriptionSink,
    context: Arc<Context>,
    _: Extensions,
) {
    // Before the head is looked at: nothing can be missed between.
    let events = context.chain.subscribe();
    let feed = match feed(&context, &params).await {
        Ok(feed) => feed,
        Err(error) => {
            pending.reject(error).await;
            return;
        }
    };
    if let Ok(sink) = pending.accept().await {
        run(&context, events, feed, sink).await;
    }
}

enum Feed {
    Heads(BlockFeed),
    Logs(LogFeed),
    Nothing,
}

async fn feed(context: &Context, params: &Params<'_>) -> Answer<Feed> {
    let topic = topic(params)?;
    let head = context.head().await?;
    Ok(match topic {
        Topic::Heads => Feed::Heads(BlockFeed::after(&head)),
        Topic::Pending => Feed::Nothing,
        Topic::Logs(filter) => Feed::Logs(LogFeed::after(&head, filter.into_parts()?.1)),
    })
}

fn topic(params: &Params<'_>) -> Answer<Topic> {
    let mut params = Positional::new(params);
    match params.required::<String>()?.as_str() {
        "newHeads" => Ok(Topic::Heads),
        "newPendingTransactions" => Ok(Topic::Pending),
        "logs" => Ok(Topic::Logs(params.optional()?.unwrap_or_default())),
        other => Err(invalid_params(format!("no \"{other}\" subscription"))),
    }
}

/// Gives what the feed has at every new head until the subscriber goes.
async fn run(
    context: &Context,
    mut events: Receiver<Arc<crate::node::Head>>,
    mut feed: Feed,
    sink: SubscriptionSink,
) {
    loop {
        match next(context, &mut feed).await {
            Ok(messages) => {
                for message in messages {
                    if sink.send(message).await.is_err() {
                        return;
                    }
                }
            }
            // The next head tries again, and gives what was missed too.
            Err(error) => tracing::debug!(message = error.message(), "a subscription waits"),
        }
        tokio::select! {
            event = events.recv() => match event {
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
            () = sink.closed() => return,
        }
    }
}

type Message = Box<serde_json::value::RawValue>;

async fn next(context: &Context, feed: &mut Feed) -> Answer<Vec<Message>> {
    match feed {
        Feed::Nothing => Ok(Vec::new()),
        Feed::Logs(feed) => feed.advance(context).await?.iter().map(message).collect(),
        Feed::Heads(feed) => {
            let heads = feed.advance(&context.chain);
            heads.iter().map(|head| message(&objects::header(head))).collect()
        }
    }
}

fn message(item: &impl Serialize) -> Answer<Message> {
    serde_json::value::to_raw_value(item)
        .map_err(|error| ErrorObjectOwned::owned(-32_603, error.to_string(), None::<()>))
}
