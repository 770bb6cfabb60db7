//! The one way out: HTTP with time-outs and size limits, and without redirects.

use std::time::Duration;

use bytes::Bytes;
use chancery_wire::origin;
use http::header::{ACCEPT, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::OnceCell;
use url::Url;

use crate::address;
use crate::error::ClientError;

/// The largest answer that is kept: more than a full bundle of the record can be.
pub const MAX_ANSWER: usize = 32 * 1024 * 1024;

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
// Adding an MCP server starts a program and waits for its tools, which may take a minute.
const ANSWER_WITHIN: Duration = Duration::from_secs(120);

/// An answer, whole.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// Connections to any number of servers, kept open between calls.
pub struct Transport {
    plain: Client<HttpConnector, Full<Bytes>>,
    // Reading the machine's trusted roots takes longer than a local call, so it waits for the first `https`.
    encrypted: OnceCell<Client<HttpsConnector<HttpConnector>, Full<Bytes>>>,
}

impl Transport {
    /// A transport without connections.
    pub fn new() -> Self {
        Self {
            plain: builder().build(connector()),
            encrypted: OnceCell::new(),
        }
    }

    /// Sends `request` and reads the whole answer, whatever its status.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Result<Answer, ClientError> {
        // The query may hold what a log or an error message should not.
        let url = without_query(request.uri());
        address::parse(&url)?;
        let failed = |why: String| ClientError::Unreachable {
            fix: fix_for(&url),
            url: url.clone(),
            why,
        };
        let exchange = self.exchange(request);
        match tokio::time::timeout(ANSWER_WITHIN, exchange).await {
            Err(_) => Err(failed(format!("no answer within {ANSWER_WITHIN:?}"))),
            Ok(Err(why)) => Err(failed(why)),
            Ok(Ok(answer)) => Ok(answer),
        }
    }

    async fn exchange(&self, mut request: Request<Full<Bytes>>) -> Result<Answer, String> {
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, HeaderValue::from_static("chancery"));
        if !headers.contains_key(ACCEPT) {
            headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        }
        let sent = if request.uri().scheme_str() == Some("https") {
            self.encrypted().await?.request(request).await
        } else {
            self.plain.request(request).await
        };
        let (parts, body) = sent.map_err(|error| innermost(&error))?.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await;
        let body = body.map_err(|error| match error.downcast_ref::<LengthLimitError>() {
            Some(_) => format!("the answer is larger than {MAX_ANSWER} bytes"),
            None => innermost(error.as_ref()),
        })?;
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.to_bytes(),
        })
    }

    async fn encrypted(
        &self,
    ) -> Result<&Client<HttpsConnector<HttpConnector>, Full<Bytes>>, String> {
        let connect = || async {
            let provider = rustls::crypto::aws_lc_rs::default_provider();
            let mut connector = connector();
            connector.enforce_http(false);
            let connector = HttpsConnectorBuilder::new()
                .with_provider_and_native_roots(provider)
                .map_err(|error| format!("no trusted roots on this machine: {error}"))?
                .https_only()
                .enable_all_versions()
                .wrap_connector(connector);
            Ok(builder().build(connector))
        };
        self.encrypted.get_or_try_init(connect).await
    }
}

impl Default for Transport {
    fn default() -> Self {
        Self::new()
    }
}

fn builder() -> hyper_util::client::legacy::Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(Duration::from_secs(30));
    builder
}

fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(CONNECT_WITHIN));
    connector.set_nodelay(true);
    connector
}

fn without_query(uri: &http::Uri) -> String {
    let text = uri.to_string();
    match text.split_once('?') {
        Some((before, _)) => before.to_owned(),
        None => text,
    }
}

/// The last cause in the chain: the one that names what the operating system said.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

fn fix_for(url: &str) -> String {
    match Url::parse(url) {
        Ok(url) if origin::is_loopback(&url) => {
            "start it with `chancery up`, or name another with `--url`".to_owned()
        }
        _ => "check the address and the network between".to_owned(),
    }
}
