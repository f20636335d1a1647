//! `eth_subscribe`: new heads, logs, pending transactions, pushed over WebSocket.
//!
//! A reorganisation shows as removed logs and as new heads at heights that were seen before.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use alloy_primitives::keccak256;
use alloy_rpc_types_eth::{
    Filter,
    pubsub::{Params as SubscriptionParams, SubscriptionKind},
};
use jsonrpsee::{
    PendingSubscriptionSink, RpcModule, SubscriptionMessage, SubscriptionSink,
    core::traits::IdProvider,
    server::RegisterMethodError,
    types::{Params, SubscriptionId},
};
use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;

use super::{
    errors::{self, Reply},
    format, logs,
};
use crate::l1::{chain::Event, server::Shared};

/// Ids in the form of Ethereum clients: hexadecimal strings that do not repeat.
#[derive(Debug, Default)]
pub struct SubscriptionIds(AtomicU64);

impl IdProvider for SubscriptionIds {
    fn next_id(&self) -> SubscriptionId<'static> {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        let hash = keccak256(number.to_be_bytes());
        SubscriptionId::Str(
            format!("{:#x}", alloy_primitives::B128::from_slice(&hash[..16])).into(),
        )
    }
}

/// What is pushed to one subscriber.
enum Wanted {
    Heads,
    Logs(Box<Filter>),
    Hashes,
    Transactions,
    Nothing,
}

pub(super) fn register(module: &mut RpcModule<Shared>) -> Result<(), RegisterMethodError> {
    module.register_subscription(
        "eth_subscribe",
        "eth_subscription",
        "eth_unsubscribe",
        |params, pending, shared, _| async move {
            match wanted(&params) {
                Ok(wanted) => serve(wanted, pending, shared).await,
                Err(error) => pending.reject(error).await,
            }
        },
    )?;
    Ok(())
}

fn wanted(params: &Params<'_>) -> Reply<Wanted> {
    let mut params = params.sequence();
    let kind: String = params.next()?;
    let details: Option<serde_json::Value> = params.optional_next()?;
    let unknown = || errors::invalid(format!("no \"{kind}\" subscription in eth namespace"));
    let kind: SubscriptionKind = kind.parse().map_err(|_| unknown())?;
    let details = SubscriptionParams::from_json_value(details.unwrap_or_default())
        .map_err(|error| errors::invalid(error.to_string()))?;
    match (kind, details) {
        (SubscriptionKind::NewHeads, _) => Ok(Wanted::Heads),
        (SubscriptionKind::Logs, SubscriptionParams::Logs(filter)) => {
            Ok(Wanted::Logs(Box::new(logs::bounded(*filter)?)))
        }
        (SubscriptionKind::Logs, _) => Ok(Wanted::Logs(Box::default())),
        (SubscriptionKind::NewPendingTransactions, SubscriptionParams::Bool(true)) => {
            Ok(Wanted::Transactions)
        }
        (SubscriptionKind::NewPendingTransactions, _) => Ok(Wanted::Hashes),
        (SubscriptionKind::Syncing, _) => Ok(Wanted::Nothing),
        (SubscriptionKind::TransactionReceipts, _) => Err(unknown()),
    }
}

async fn serve(wanted: Wanted, pending: PendingSubscriptionSink, shared: Arc<Shared>) {
    // From here on nothing is missed, even if it happens before the answer is sent.
    let mut events = shared.subscribe();
    let Ok(sink) = pending.accept().await else { return };
    loop {
        let event = tokio::select! {
            () = sink.closed() => return,
            event = events.recv() => event,
        };
        match event {
            Ok(event) => {
                if push(&wanted, &event, &sink).await.is_err() {
                    return;
                }
            }
            Err(RecvError::Closed) => return,
            Err(RecvError::Lagged(missed)) => {
                tracing::warn!(missed, "L1 subscriber too slow, cut off");
                return;
            }
        }
    }
}

/// The subscriber is gone.
struct Gone;

async fn push(wanted: &Wanted, event: &Event, sink: &SubscriptionSink) -> Result<(), Gone> {
    match (wanted, event) {
        (Wanted::Heads, Event::Head(change)) => {
            for block in &change.added {
                send(sink, &format::header(block)).await?;
            }
        }
        (Wanted::Logs(filter), Event::Head(change)) => {
            for log in format::changed_logs(change, filter) {
                send(sink, &log).await?;
            }
        }
        (Wanted::Hashes, Event::Pending(tx)) => send(sink, tx.inner().tx_hash()).await?,
        (Wanted::Transactions, Event::Pending(tx)) => send(sink, &format::waiting(tx)).await?,
        _ => {}
    }
    Ok(())
}

async fn send(sink: &SubscriptionSink, item: &impl Serialize) -> Result<(), Gone> {
    let (method, id) = (sink.method_name(), sink.subscription_id());
    let message = SubscriptionMessage::new(method, id, item).map_err(|_| Gone)?;
    sink.send(message).await.map_err(|_| Gone)
}
