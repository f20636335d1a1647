//! JSON-RPC batches whose requests run at the same time, so that they share envelopes' batches
//! instead of waiting for one another. Not here: the server's own limits on batches.

use futures::{StreamExt, stream};
use jsonrpsee::{
    core::server::BatchResponseBuilder,
    server::{
        MethodResponse,
        middleware::rpc::{Batch, BatchEntry, BatchEntryErr, Notification, Request, RpcServiceT},
    },
};
use tower::layer::{LayerFn, layer_fn};

/// Requests of one batch at once.
const REQUESTS_AT_ONCE: usize = 256;

/// Runs the requests of a batch together; replies keep the order.
#[derive(Clone)]
pub struct ConcurrentBatches<S> {
    inner: S,
    response_bytes_max: usize,
}

impl<S> ConcurrentBatches<S> {
    /// The layer, with the server's limit on replies.
    pub fn layer(response_bytes_max: usize) -> LayerFn<impl Fn(S) -> Self + Clone> {
        layer_fn(move |inner| Self { inner, response_bytes_max })
    }
}

impl<S> RpcServiceT for ConcurrentBatches<S>
where
    S: RpcServiceT<
            MethodResponse = MethodResponse,
            NotificationResponse = MethodResponse,
            BatchResponse = MethodResponse,
        > + Clone
        + Send
        + Sync
        + 'static,
{
    type MethodResponse = MethodResponse;
    type NotificationResponse = MethodResponse;
    type BatchResponse = MethodResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        self.inner.call(request)
    }

    fn batch<'a>(&self, batch: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let service = self.inner.clone();
        let mut replies = BatchResponseBuilder::new_with_limit(self.response_bytes_max);
        async move {
            let is_empty = batch.is_empty();
            let replying: Vec<_> = batch.into_iter().map(|entry| reply(&service, entry)).collect();
            let mut running = stream::iter(replying).buffered(REQUESTS_AT_ONCE);
            while let Some(reply) = running.next().await {
                if let Some(reply) = reply
                    && let Err(too_large) = replies.append(reply)
                {
                    return too_large;
                }
            }
            match replies.is_empty() && !is_empty {
                // Only notifications: no reply at all.
                true => MethodResponse::notification(),
                false => MethodResponse::from_batch(replies.finish()),
            }
        }
    }

    fn notification<'a>(
        &self,
        notification: Notification<'a>,
    ) -> impl Future<Output = MethodResponse> + Send + 'a {
        self.inner.notification(notification)
    }
}

/// The reply to one entry; notifications have none.
async fn reply<'a, S>(
    service: &S,
    entry: Result<BatchEntry<'a>, BatchEntryErr<'a>>,
) -> Option<MethodResponse>
where
    S: RpcServiceT<MethodResponse = MethodResponse, NotificationResponse = MethodResponse>,
{
    match entry {
        Ok(BatchEntry::Call(request)) => Some(service.call(request).await),
        Ok(BatchEntry::Notification(notification)) => {
            service.notification(notification).await;
            None
        }
        Err(invalid) => {
            let (error, id) = invalid.into_parts();
            Some(MethodResponse::error(id, error))
        }
    }
}
