//! HTTP and WebSocket to L1 nodes, with TLS for `https://` and `wss://`: one JSON-RPC client for all
//! of them, and plain requests for the beacon API. Certificates must lead to a root that the system
//! or Mozilla trusts. A client of this host's own, because one inside a library would load the
//! system's roots, or fail for want of them, on machines that use no TLS at all. Not here: which
//! requests (`l1`, `beacon`).

#[cfg(test)]
mod tests;

use super::{ANSWER_WAIT_MAX, CONNECT_WAIT_MAX, L1Error, unavailable};
use alloy_json_rpc::{RequestPacket, ResponsePacket};
use alloy_provider::{
    WsConnect,
    transport::{
        Authorization, TransportError, TransportErrorKind, TransportFut, utils::guess_local_url,
    },
};
use alloy_rpc_client::{ClientBuilder, RpcClient};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Request, StatusCode,
    body::Bytes,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use std::{
    error::Error,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::time::timeout;
use tower::Service;
use url::Url;

/// Longest answer, bytes: the receipts of a full block.
const ANSWER_BYTES_MAX: usize = 512 * 1024 * 1024;

/// A JSON-RPC client of the node at an `http://`, `https://`, `ws://` or `wss://` address.
pub async fn connect(url: &str) -> Result<RpcClient, L1Error> {
    let bad = || L1Error::Url(url.to_owned());
    let parsed = Url::parse(url).map_err(|_| bad())?;
    match parsed.scheme() {
        "http" | "https" => {
            let transport = JsonRpc { http: Http::new(&parsed)?, url: parsed };
            Ok(RpcClient::new(transport, guess_local_url(url)))
        }
        "ws" | "wss" => {
            // Reconnecting is the caller's: a lost connection ends the client at once.
            let connect = WsConnect::new(url).with_max_retries(1);
            let connecting = timeout(CONNECT_WAIT_MAX, ClientBuilder::default().ws(connect)).await;
            let connected =
                connecting.map_err(|_| unavailable(&parsed, "no connection in time"))?;
            connected.map_err(|error| unavailable(&parsed, &reason(&error)))
        }
        _ => Err(bad()),
    }
}

/// An HTTP client.
#[derive(Clone)]
pub struct Http(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl Http {
    /// A client for addresses like this one.
    pub fn new(url: &Url) -> Result<Self, L1Error> {
        let roots = if url.scheme() == "https" { trusted() } else { RootCertStore::empty() };
        let provider = Arc::new(ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| unavailable(url, &error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_WAIT_MAX));
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
        let client = Client::builder(TokioExecutor::new()).build(connector.wrap_connector(tcp));
        Ok(Self(client))
    }

    /// Asks for a page of at most so many bytes.
    pub async fn get(&self, url: &Url, bytes_max: usize) -> Result<(StatusCode, Bytes), String> {
        self.send(Request::get(url.as_str()), url, Bytes::new(), bytes_max).await
    }

    async fn send(
        &self,
        mut request: hyper::http::request::Builder,
        url: &Url,
        body: Bytes,
        bytes_max: usize,
    ) -> Result<(StatusCode, Bytes), String> {
        if let Some(authorization) = Authorization::extract_from_url(url) {
            request = request.header(AUTHORIZATION, authorization.to_string());
        }
        let request = request.body(Full::new(body)).map_err(|error| error.to_string())?;
        let answer = async {
            let response = self.0.request(request).await.map_err(|error| reason(&error))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), bytes_max).collect().await;
            Ok((status, body.map_err(|error| reason(&*error))?.to_bytes()))
        };
        timeout(ANSWER_WAIT_MAX, answer).await.unwrap_or_else(|_| Err("no answer in time".into()))
    }
}

/// Mozilla's roots and the system's, as WebSockets have them too.
fn trusted() -> RootCertStore {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    // Without a store of the system Mozilla's has to do.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

/// JSON-RPC over HTTP.
#[derive(Clone)]
struct JsonRpc {
    http: Http,
    url: Url,
}

impl JsonRpc {
    async fn ask(self, packet: RequestPacket) -> Result<ResponsePacket, TransportError> {
        let body = serde_json::to_vec(&packet).map_err(TransportError::SerError)?;
        let request = Request::post(self.url.as_str()).header(CONTENT_TYPE, "application/json");
        let (status, body) = self
            .http
            .send(request, &self.url, body.into(), ANSWER_BYTES_MAX)
            .await
            .map_err(|reason| TransportErrorKind::custom_str(&reason))?;
        let text = || String::from_utf8_lossy(&body).into_owned();
        match serde_json::from_slice(&body) {
            Ok(answer) => Ok(answer),
            Err(_) if !status.is_success() => {
                Err(TransportErrorKind::http_error(status.as_u16(), text()))
            }
            Err(error) => Err(TransportError::deser_err(error, text())),
        }
    }
}

impl Service<RequestPacket> for JsonRpc {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, packet: RequestPacket) -> Self::Future {
        Box::pin(self.clone().ask(packet))
    }
}

/// An error with its causes, each once, and what to do about one of them.
fn reason(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let found = error.to_string();
        if !text.contains(&found) {
            text = format!("{text}: {found}");
        }
        cause = error.source();
    }
    if text.contains("invalid peer certificate") {
        text += "; to trust an authority of your own, set SSL_CERT_FILE to its certificate";
    }
    text
}
