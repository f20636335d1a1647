//! Which web pages may use the gateway (CORS). A browser lets any page send requests to this
//! machine; whoever answers them shows the page what the gateway's accounts see. So a request that
//! carries an origin is answered only if that origin is allowed, WebSockets included; programs send
//! none. Not here: any protection from programs, which the port's reach decides.

use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_MAX_AGE, ORIGIN, VARY,
    },
};
use jsonrpsee::{
    core::BoxError,
    server::{HttpBody, HttpRequest, HttpResponse},
};
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tower::{Layer, Service};

/// Pages of this machine.
const LOCAL_HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];
/// Browser extensions, as wallets are.
const EXTENSIONS: [&str; 3] = ["chrome-extension", "moz-extension", "safari-web-extension"];
/// Chrome asks before a page of the internet may reach a private address.
const ALLOW_PRIVATE_NETWORK: &str = "access-control-allow-private-network";

/// The allowed origins, as a layer around the server.
#[derive(Clone)]
pub struct Origins {
    allowed: Arc<[String]>,
}

impl Origins {
    /// Allows these in addition to this machine's pages and browser extensions; `*` allows all.
    pub fn new(allowed: Vec<String>) -> Self {
        Self { allowed: allowed.into() }
    }

    fn allows(&self, origin: &HeaderValue) -> bool {
        let Ok(origin) = origin.to_str() else {
            return false;
        };
        let is_listed =
            |allowed: &String| allowed == "*" || allowed.trim_end_matches('/') == origin;
        is_local(origin) || self.allowed.iter().any(is_listed)
    }
}

fn is_local(origin: &str) -> bool {
    let Some((scheme, rest)) = origin.split_once("://") else {
        return false;
    };
    let host = match rest.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => rest,
    };
    EXTENSIONS.contains(&scheme)
        || (matches!(scheme, "http" | "https") && LOCAL_HOSTS.contains(&host))
}

impl<S> Layer<S> for Origins {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { inner, origins: self.clone() }
    }
}

/// A service that only allowed origins reach.
#[derive(Clone)]
pub struct Guarded<S> {
    inner: S,
    origins: Origins,
}

type Answering = Pin<Box<dyn Future<Output = Result<HttpResponse, BoxError>> + Send>>;

impl<S> Service<HttpRequest> for Guarded<S>
where
    S: Service<HttpRequest, Response = HttpResponse, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = HttpResponse;
    type Error = BoxError;
    type Future = Answering;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: HttpRequest) -> Answering {
        let Some(origin) = request.headers().get(ORIGIN).cloned() else {
            return Box::pin(self.inner.call(request));
        };
        if !self.origins.allows(&origin) {
            return Box::pin(async { Ok(refusal()) });
        }
        if request.method() == Method::OPTIONS {
            return Box::pin(async { Ok(preflight(origin)) });
        }
        let answering = self.inner.call(request);
        Box::pin(async {
            let mut response = answering.await?;
            allow(response.headers_mut(), origin);
            Ok(response)
        })
    }
}

fn refusal() -> HttpResponse {
    let body =
        "This web page may not use the gateway: allow its origin when starting the gateway.\n";
    respond(StatusCode::FORBIDDEN, HttpBody::from(body))
}

fn preflight(origin: HeaderValue) -> HttpResponse {
    let mut response = respond(StatusCode::NO_CONTENT, HttpBody::empty());
    let headers = response.headers_mut();
    allow(headers, origin);
    let fixed = |text| HeaderValue::from_static(text);
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, fixed("POST, OPTIONS"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, fixed("content-type"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, fixed("86400"));
    headers.insert(ALLOW_PRIVATE_NETWORK, fixed("true"));
    response
}

fn allow(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.append(VARY, HeaderValue::from_static("origin"));
}

fn respond(status: StatusCode, body: HttpBody) -> HttpResponse {
    let mut response = HttpResponse::new(body);
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_extensions_and_listed_origins() {
        let strict = Origins::new(vec!["https://app.example/".to_owned()]);
        let open = Origins::new(vec!["*".to_owned()]);
        let cases = [
            ("http://localhost", true),
            ("http://localhost:3000", true),
            ("https://127.0.0.1:8443", true),
            ("http://[::1]:80", true),
            ("http://[::1]", true),
            ("chrome-extension://nkbihfbeogaeaoehlefnkodbefgpgknn", true),
            ("https://app.example", true),
            ("https://app.example.evil.example", false),
            ("http://app.example", false),
            ("http://localhost.evil.example", false),
            ("http://evil.example:localhost", false),
            ("file://localhost", false),
            ("null", false),
            ("", false),
        ];
        for (origin, allowed) in cases {
            let origin = HeaderValue::from_static(origin);
            assert_eq!(strict.allows(&origin), allowed, "{origin:?}");
            assert!(open.allows(&origin));
        }
    }
}
