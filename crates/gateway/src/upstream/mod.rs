//! The far side: MCP servers, of either era, over HTTP or on the standard streams of a process.
//!
//! A [`Link`] is the gateway's connection to one server on behalf of one agent (or, without an agent,
//! on its own behalf), so that no session and no process is shared between principals. It speaks
//! whichever era the server speaks: `server/discover` first, `initialize` after any refusal.

pub(crate) mod asked;
pub(crate) mod http;
pub(crate) mod list;
pub(crate) mod sse;
pub(crate) mod stdio;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use chancery_model::mcp::Upstream;
use chancery_wire::json::Limits;
use chancery_wire::mcp::{Era, FromServer, Id, LEGACY, MODERN, RpcError, parse_from_server};
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;

use self::asked::Asked;
use crate::outbound::{Endpoint, InvalidEndpoint, Outbound};
use crate::watch::Watch;

/// How large and how deep one message of a server may be.
pub(crate) const MESSAGE: Limits = Limits {
    bytes: 4 * 1024 * 1024,
    depth: 64,
};

/// How long opening a connection may take.
const HANDSHAKE: Duration = Duration::from_secs(15);

/// How many processes run at once, over all servers and agents.
const PROCESSES: usize = 256;

/// Our name in the protocol.
pub(crate) const NAME: &str = "chancery";
/// Our version in the protocol.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What the gateway reaches upstream servers with.
#[derive(Clone)]
pub struct Reach {
    pub(crate) outbound: Outbound,
    pub(crate) environment: Arc<[(String, String)]>,
    pub(crate) processes: Arc<Semaphore>,
}

impl Reach {
    /// `environment` is all that a server process sees: `PATH`, `HOME` and `LANG`, as the roof read them.
    pub fn new(environment: impl IntoIterator<Item = (String, String)>) -> Self {
        Self {
            outbound: Outbound::new(),
            environment: environment.into_iter().collect(),
            processes: Arc::new(Semaphore::new(PROCESSES)),
        }
    }
}

/// Why an upstream server gave no usable answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// It cannot be reached, or its process cannot be started.
    #[error("the server cannot be reached")]
    Unreachable,
    /// It takes too long.
    #[error("the server did not answer in time")]
    Timeout,
    /// It went away before it answered.
    #[error("the server closed the connection before it answered")]
    Closed,
    /// It answered with more than we take.
    #[error("the server's answer is too large")]
    TooLarge,
    /// It answered with an HTTP status instead of a message.
    #[error("the server answered with HTTP status {0}")]
    Status(u16),
    /// Its answer is not what the protocol says.
    #[error("the server does not follow the protocol: {0}")]
    Protocol(&'static str),
    /// It answered the handshake with an error.
    #[error("the server refused the connection (code {0})")]
    Handshake(i64),
    /// As many processes run as may.
    #[error("too many server processes are running")]
    Busy,
}

impl UpstreamError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreachable | Self::Closed | Self::Busy => "upstream_unreachable",
            Self::Timeout => "timeout",
            Self::TooLarge => "upstream_too_large",
            Self::Status(_) | Self::Handshake(_) | Self::Protocol(_) => "upstream_error",
        }
    }
}

/// The configuration of a server names nothing that can be reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUpstream {
    /// The URL.
    #[error("the URL of the server: {0}")]
    Url(#[from] InvalidEndpoint),
    /// The command.
    #[error(transparent)]
    Command(#[from] stdio::InvalidCommand),
}

/// What a server said it is and speaks.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Greeting {
    pub(crate) era: Era,
    pub(crate) version: String,
    pub(crate) name: String,
    pub(crate) server_version: String,
}

/// Which era a server spoke last time, shared by all links to it.
#[derive(Default)]
pub(crate) struct EraMemory(AtomicU8);

impl EraMemory {
    pub(crate) fn recall(&self) -> Option<Era> {
        match self.0.load(Ordering::Relaxed) {
            1 => Some(Era::Legacy),
            2 => Some(Era::Modern),
            _ => None,
        }
    }

    pub(crate) fn remember(&self, era: Option<Era>) {
        let value = match era {
            None => 0,
            Some(Era::Legacy) => 1,
            Some(Era::Modern) => 2,
        };
        self.0.store(value, Ordering::Relaxed);
    }
}

/// The answer to a request: a result or an error.
pub(crate) type Outcome = Result<Map<String, Value>, RpcError>;

/// What comes back for a request: tidings, then the answer.
#[derive(Debug)]
pub(crate) enum Reply {
    /// A notification that belongs to the request.
    Tidings {
        method: String,
        params: Map<String, Value>,
    },
    /// The end.
    Answer(Outcome),
}

/// A request on its way; dropping it withdraws it.
pub(crate) enum Exchange {
    Http(Box<http::HttpExchange>),
    Stdio(stdio::StdioExchange),
}

impl Exchange {
    /// The next reply; nothing comes after the answer.
    pub(crate) async fn next(&mut self) -> Result<Reply, UpstreamError> {
        match self {
            Self::Http(exchange) => exchange.next().await,
            Self::Stdio(exchange) => exchange.next().await,
        }
    }

    /// The answer, whatever is told before it.
    pub(crate) async fn answer(mut self) -> Result<Outcome, UpstreamError> {
        loop {
            if let Reply::Answer(outcome) = self.next().await? {
                return Ok(outcome);
            }
        }
    }
}

/// The connection to one server on behalf of one principal.
pub(crate) struct Link {
    wire: Wire,
    pub(crate) watch: Watch,
}

enum Wire {
    Http(http::HttpLink),
    Stdio(stdio::StdioLink),
}

impl Link {
    /// Prepares a connection; nothing is opened yet.
    pub(crate) fn new(
        upstream: &Upstream,
        reach: &Reach,
        memory: Arc<EraMemory>,
    ) -> Result<Self, InvalidUpstream> {
        let watch = Watch::default();
        let wire = match upstream {
            Upstream::Http { url } => {
                let endpoint = Endpoint::parse(url)?;
                Wire::Http(http::HttpLink::new(
                    endpoint,
                    reach.outbound.clone(),
                    memory,
                ))
            }
            Upstream::Stdio { command, args } => {
                let reach = reach.clone();
                let link = stdio::StdioLink::new(command, args, reach, memory, watch.clone());
                Wire::Stdio(link?)
            }
        };
        Ok(Self { wire, watch })
    }

    /// Opens the connection if it is not open, and says what the server is.
    pub(crate) async fn greet(&self) -> Result<Greeting, UpstreamError> {
        let greeting = async {
            match &self.wire {
                Wire::Http(link) => link.greet().await,
                Wire::Stdio(link) => link.greet().await,
            }
        };
        within(HANDSHAKE, greeting).await
    }

    /// Sends a request; the connection is opened when it is not.
    pub(crate) async fn ask(&self, asked: Asked) -> Result<Exchange, UpstreamError> {
        match &self.wire {
            Wire::Http(link) => Ok(Exchange::Http(Box::new(link.ask(asked).await?))),
            Wire::Stdio(link) => Ok(Exchange::Stdio(link.ask(asked).await?)),
        }
    }
}

/// Gives up after `limit`.
pub(crate) async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, UpstreamError>>,
) -> Result<T, UpstreamError> {
    let timely = tokio::time::timeout(limit, work).await;
    timely.unwrap_or(Err(UpstreamError::Timeout))
}

/// The message with which a legacy connection begins.
fn initialize() -> Map<String, Value> {
    object(json!({
        "protocolVersion": LEGACY[0],
        "capabilities": {},
        "clientInfo": {"name": NAME, "version": VERSION},
    }))
}

/// What the answer to `server/discover` says; `None` when the server does not speak the modern version.
fn greeting_of_discover(result: &Map<String, Value>) -> Option<Greeting> {
    let supported = result.get("supportedVersions")?.as_array()?;
    if !supported.iter().any(|version| version == MODERN) {
        return None;
    }
    let meta = result.get("_meta");
    let info = meta.and_then(|meta| meta.get(chancery_wire::mcp::META_SERVER));
    Some(greeting(Era::Modern, MODERN, info))
}

/// What the answer to `initialize` says.
fn greeting_of_initialize(result: &Map<String, Value>) -> Result<Greeting, UpstreamError> {
    let version = result.get("protocolVersion").and_then(Value::as_str);
    match version {
        Some(version) if LEGACY.contains(&version) => {
            Ok(greeting(Era::Legacy, version, result.get("serverInfo")))
        }
        Some(_) | None => Err(UpstreamError::Protocol("unknown protocol version")),
    }
}

fn greeting(era: Era, version: &str, info: Option<&Value>) -> Greeting {
    let text = |member: &str| {
        let value = info
            .and_then(|info| info.get(member))
            .and_then(Value::as_str);
        let shown = value
            .unwrap_or("")
            .chars()
            .filter(|letter| !letter.is_control());
        shown.take(100).collect()
    };
    Greeting {
        era,
        version: version.to_owned(),
        name: text("name"),
        server_version: text("version"),
    }
}

/// Our answer to what a server asks of its client: a ping is answered, nothing else is offered.
fn answer_to_server(id: &Id, method: &str) -> Value {
    if method == "ping" {
        return chancery_wire::mcp::result_response(id, Map::new());
    }
    let message = "the gateway does not pass requests from servers to clients";
    RpcError::new(chancery_wire::mcp::METHOD_NOT_FOUND, message).to_response(Some(id))
}

/// Reads one message of a server.
fn incoming(bytes: &[u8]) -> Result<FromServer, UpstreamError> {
    let message = chancery_wire::json::parse(bytes, MESSAGE)
        .map_err(|_| UpstreamError::Protocol("a message that is not strict JSON"))?;
    parse_from_server(message).ok_or(UpstreamError::Protocol("a message that is not JSON-RPC"))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Map::new()
        }
    }
}
