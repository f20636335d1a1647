//! The methods by name: parameters in, bounds checked, backend asked. Not here: the server and the
//! types of the answers (`rpc`).

use super::{
    CODE_LIMIT, ENVELOPE_REPLIES_BYTES_MAX, ENVELOPES_MAX, EnvelopeReply, ProvenWithdrawal,
    RollupView, RpcBackend, RpcFailure, params::RollupParam,
};
use alloy_primitives::{B256, Bytes};
use jsonrpsee::{
    PendingSubscriptionSink, RpcModule, SubscriptionSink,
    core::RegisterMethodError,
    types::{ErrorObjectOwned, Params},
};
use obscuro_protocol::{
    limits::ENVELOPE_BYTES_MAX,
    rollup::{RollupHeader, Withdrawal, withdrawal_proofs},
};
use std::sync::Arc;
use tokio::sync::broadcast::{self, error::RecvError};

type Backend = Arc<dyn RpcBackend>;
type Answer<T> = Result<T, ErrorObjectOwned>;

/// All methods over one backend.
pub fn module(backend: Backend) -> Result<RpcModule<Backend>, RegisterMethodError> {
    let mut module = RpcModule::new(backend);
    module.register_method("obscuro_network", |_, backend, _| Answer::Ok(backend.network()))?;
    module.register_method("obscuro_status", |_, backend, _| Answer::Ok(backend.status()))?;
    module.register_async_method("obscuro_envelope", |params, backend, _| async move {
        envelope(&params, &**backend).await
    })?;
    module.register_async_method("obscuro_envelopes", |params, backend, _| async move {
        envelopes(&params, &**backend).await
    })?;
    module.register_async_method("obscuro_rollup", |params, backend, _| async move {
        rollup(&params, &**backend).await
    })?;
    module.register_async_method("obscuro_prove", |params, backend, _| async move {
        let (challenge,): (B256,) = params.parse()?;
        Answer::Ok(backend.prove(challenge).await?)
    })?;
    module.register_async_method("obscuro_executed", |params, backend, _| async move {
        let (rollup,): (B256,) = params.parse()?;
        Answer::Ok(backend.executed(rollup).await?)
    })?;
    module.register_async_method("obscuro_withdrawals", |params, backend, _| async move {
        withdrawals(&params, &**backend).await
    })?;
    module.register_subscription(
        "obscuro_subscribe",
        "obscuro_subscription",
        "obscuro_unsubscribe",
        |params, pending, backend, _| async move {
            subscription(params, pending, &**backend).await;
        },
    )?;
    Ok(module)
}

async fn envelope(params: &Params<'_>, backend: &dyn RpcBackend) -> Answer<Bytes> {
    let (envelope,): (Bytes,) = params.parse()?;
    check_envelope(&envelope)?;
    Ok(backend.envelope(envelope).await?)
}

async fn envelopes(params: &Params<'_>, backend: &dyn RpcBackend) -> Answer<Vec<EnvelopeReply>> {
    let (envelopes,): (Vec<Bytes>,) = params.parse()?;
    if envelopes.len() > ENVELOPES_MAX {
        let message = format!("at most {ENVELOPES_MAX} envelopes at once");
        return Err(ErrorObjectOwned::owned(CODE_LIMIT, message, None::<()>));
    }
    envelopes.iter().try_for_each(check_envelope)?;
    Ok(bounded(backend.envelopes(envelopes).await))
}

fn check_envelope(envelope: &Bytes) -> Result<(), RpcFailure> {
    if envelope.len() > ENVELOPE_BYTES_MAX {
        return Err(RpcFailure::Rejected(format!(
            "an envelope has at most {ENVELOPE_BYTES_MAX} bytes"
        )));
    }
    Ok(())
}

/// Replies up to the limit; those that do not fit any more are to be asked for again.
pub(super) fn bounded(replies: Vec<Result<Bytes, RpcFailure>>) -> Vec<EnvelopeReply> {
    let mut left = ENVELOPE_REPLIES_BYTES_MAX;
    let entry = |reply: Result<Bytes, RpcFailure>| match reply {
        Ok(sealed) if sealed.len() <= left => {
            left -= sealed.len();
            EnvelopeReply::Sealed(sealed)
        }
        Ok(_) => EnvelopeReply::Failed {
            code: CODE_LIMIT,
            message: "replies too large together: ask for fewer at once".to_owned(),
        },
        Err(failure) => {
            EnvelopeReply::Failed { code: failure.code(), message: failure.to_string() }
        }
    };
    replies.into_iter().map(entry).collect()
}

async fn rollup(params: &Params<'_>, backend: &dyn RpcBackend) -> Answer<Option<RollupView>> {
    let (id,): (RollupParam,) = params.parse()?;
    Ok(backend.rollup(id.0).await?.map(RollupView::from))
}

async fn withdrawals(
    params: &Params<'_>,
    backend: &dyn RpcBackend,
) -> Answer<Vec<ProvenWithdrawal>> {
    let (rollup,): (B256,) = params.parse()?;
    Ok(prove(backend.withdrawals(rollup).await?))
}

fn prove(withdrawals: Vec<Withdrawal>) -> Vec<ProvenWithdrawal> {
    let proofs = withdrawal_proofs(&withdrawals);
    let pairs = withdrawals.into_iter().zip(proofs);
    pairs.map(|(withdrawal, proof)| ProvenWithdrawal { withdrawal, proof }).collect()
}

async fn subscription(
    params: Params<'static>,
    pending: PendingSubscriptionSink,
    backend: &dyn RpcBackend,
) {
    match params.parse::<(String,)>() {
        Ok((topic,)) if topic == "rollups" => {
            let headers = backend.subscribe();
            if let Ok(sink) = pending.accept().await {
                forward(headers, sink).await;
            }
        }
        _ => {
            let failure = RpcFailure::Rejected("the only subscription is \"rollups\"".to_owned());
            pending.reject(ErrorObjectOwned::from(failure)).await;
        }
    }
}

/// Sends headers until either side ends. A subscriber that is too slow misses headers and sees it
/// from the numbers.
async fn forward(mut headers: broadcast::Receiver<RollupHeader>, sink: SubscriptionSink) {
    loop {
        let header = tokio::select! {
            header = headers.recv() => header,
            () = sink.closed() => return,
        };
        let view = match header {
            Ok(header) => RollupView::from(header),
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return,
        };
        let Ok(message) = serde_json::value::to_raw_value(&view) else {
            return;
        };
        if sink.send(message).await.is_err() {
            return;
        }
    }
}
