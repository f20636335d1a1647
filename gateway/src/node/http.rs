//! One JSON-RPC call over HTTP, with a bound on what comes back. Not here: which calls there are.

use super::NodeError;
use alloy_primitives::Bytes;
use reqwest::{Client, Response, Url, header};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::time::Duration;

/// Longest time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time for a whole call; the enclave's own bounds are far below.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// Largest answer read, bytes: a little more than a node's own limit.
const ANSWER_BYTES_MAX: usize = 33 * 1024 * 1024;

/// A JSON-RPC client for one address.
pub struct Http {
    client: Client,
    url: Url,
}

#[derive(Serialize)]
struct Call<'a, P> {
    jsonrpc: &'static str,
    id: u32,
    method: &'a str,
    params: P,
}

#[derive(Deserialize)]
struct Answer<T> {
    #[serde(default = "Option::default")]
    result: Option<T>,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    code: i32,
    message: String,
}

impl Http {
    /// A client for `http://…`; `None` for anything else.
    pub fn new(url: &str) -> Option<Self> {
        let url = Url::parse(url).ok()?;
        let has_host = url.host_str().is_some_and(|host| !host.is_empty());
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(CALL_TIMEOUT)
            .tcp_nodelay(true)
            .build()
            .ok()?;
        (url.scheme() == "http" && has_host).then_some(Self { client, url })
    }

    /// The same address for WebSockets.
    pub fn web_socket_url(&self) -> String {
        self.url.as_str().replacen("http", "ws", 1)
    }

    /// Passes one envelope.
    pub async fn envelope(&self, envelope: &Bytes) -> Result<Bytes, NodeError> {
        let reply = self.call("obscuro_envelope", &[envelope]).await?;
        reply.ok_or_else(|| NodeError::Malformed("no reply to an envelope".to_owned()))
    }

    /// One call; `None` for a null result.
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: &str,
        params: &(impl Serialize + ?Sized),
    ) -> Result<Option<T>, NodeError> {
        let call = Call { jsonrpc: "2.0", id: 1, method, params };
        let sent = self.client.post(self.url.clone()).json(&call).send().await;
        let response = sent.map_err(unreachable)?;
        let status = response.status();
        let body = read(response).await?;
        match serde_json::from_slice::<Answer<T>>(&body) {
            Ok(Answer { error: None, result }) => Ok(result),
            Ok(Answer { error: Some(e), .. }) => {
                Err(NodeError::Refused { code: e.code, message: e.message })
            }
            Err(_) if !status.is_success() => {
                Err(NodeError::Unreachable(format!("HTTP status {status}")))
            }
            Err(error) => Err(NodeError::Malformed(error.to_string())),
        }
    }
}

/// The body, up to the bound.
async fn read(mut response: Response) -> Result<Vec<u8>, NodeError> {
    let announced = response
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .unwrap_or(0);
    let mut body = Vec::with_capacity(usize::min(announced, ANSWER_BYTES_MAX));
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(NodeError::Malformed("the answer is too long".to_owned()));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The innermost reason: the outer ones only repeat the address.
fn unreachable(error: reqwest::Error) -> NodeError {
    let mut reason: &dyn std::error::Error = &error;
    while let Some(source) = reason.source() {
        reason = source;
    }
    NodeError::Unreachable(reason.to_string())
}
