//! The one outbound HTTP client: address rules at the socket, no redirects, no proxies, pooled.
//!
//! A name is resolved once per connection, and the connection goes to one of exactly those addresses
//! that passed the rules, so an answer that changes between check and connect changes nothing.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use chancery_wire::origin;
use http::uri::Scheme;
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower::Service;
use url::{Host, Url};

use crate::address::{self, AddressRefused};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
const IDLE_PER_HOST: usize = 256;

/// The client; a clone shares the connections.
#[derive(Clone)]
pub struct Outbound {
    plain: Arc<Pool<HttpConnector<CheckedResolver>>>,
    /// Made with the first request over TLS: it reads the roots of trust of this machine, which takes a while.
    secure: Arc<LazyLock<Secure>>,
    /// For URLs that strangers wrote: another rule for addresses, and so connections of its own.
    public: Arc<LazyLock<Secure>>,
}

type Secure = Pool<HttpsConnector<HttpConnector<CheckedResolver>>>;

type Pool<C> = Client<C, Full<Bytes>>;

/// A URL that may be called, checked once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(
    // INVARIANT: `http` or `https`, a host, no credentials, no fragment; a literal address passed the rules.
    Uri,
);

/// Where a URL may lead that no administrator registered as it stands: one that a stranger wrote, or a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Network {
    /// `https` to the public network.
    Public,
    /// In development: the same, and `http` to this very machine, said as such.
    PublicAndHere,
    /// `https` to wherever a registered server may be: an administrator said so of whoever wrote the URL.
    Private,
}

impl Network {
    /// Where the URL of a stranger may lead.
    pub fn of_stranger(is_development: bool) -> Self {
        match is_development {
            true => Self::PublicAndHere,
            false => Self::Public,
        }
    }
}

/// The URL cannot be that of an MCP server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEndpoint {
    /// Not an absolute `http` or `https` URL without credentials and fragment.
    #[error("not an `http` or `https` URL without credentials and fragment")]
    Malformed,
    /// A literal address that is never connected to.
    #[error(transparent)]
    Address(#[from] AddressRefused),
}

impl Endpoint {
    /// Parses a URL; the parser knows the odd spellings of addresses.
    pub fn parse(text: &str) -> Result<Self, InvalidEndpoint> {
        let url = Url::parse(text).map_err(|_| InvalidEndpoint::Malformed)?;
        let plain = matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none();
        let host = url.host().filter(|_| plain);
        match host.ok_or(InvalidEndpoint::Malformed)? {
            Host::Domain(_) => {}
            Host::Ipv4(literal) => address::check(literal.into(), true)?,
            Host::Ipv6(literal) => address::check(literal.into(), true)?,
        }
        let uri = url
            .as_str()
            .parse()
            .map_err(|_| InvalidEndpoint::Malformed)?;
        Ok(Self(uri))
    }

    /// Parses a URL that a stranger or a document wrote: it leads to `network`, and nowhere else (SSRF-01).
    pub fn parse_within(text: &str, network: Network) -> Result<Self, InvalidEndpoint> {
        let endpoint = Self::parse(text)?;
        let url = Url::parse(text).map_err(|_| InvalidEndpoint::Malformed)?;
        if !endpoint.is_secure() {
            let is_here = network == Network::PublicAndHere && origin::is_loopback(&url);
            return is_here
                .then_some(endpoint)
                .ok_or(InvalidEndpoint::Malformed);
        }
        match (network, url.host()) {
            (_, None) => return Err(InvalidEndpoint::Malformed),
            (Network::Private, Some(_)) | (_, Some(Host::Domain(_))) => {}
            (_, Some(Host::Ipv4(literal))) => address::check_public(literal.into())?,
            (_, Some(Host::Ipv6(literal))) => address::check_public(literal.into())?,
        }
        Ok(endpoint)
    }

    fn is_secure(&self) -> bool {
        self.0.scheme() == Some(&Scheme::HTTPS)
    }
}

/// A request that got no answer; the text is for our log, never for a client.
#[derive(Debug, thiserror::Error)]
#[error("no answer from the upstream server")]
pub struct NoAnswer(#[source] hyper_util::client::legacy::Error);

impl Outbound {
    /// Prepares the pools.
    pub fn new() -> Self {
        Self {
            plain: Arc::new(pool(connector(Rule::Registered))),
            secure: Arc::new(LazyLock::new(|| secure(Rule::Registered))),
            public: Arc::new(LazyLock::new(|| secure(Rule::Stranger))),
        }
    }

    /// Sends one GET to where a stranger or a document said; whatever the status is, it is the answer.
    pub(crate) async fn get_within(
        &self,
        network: Network,
        endpoint: &Endpoint,
        headers: HeaderMap,
    ) -> Result<Response<Incoming>, NoAnswer> {
        let request = Request::new(Full::new(Bytes::new()));
        self.request_within(network, endpoint, headers, request)
            .await
    }

    /// The same with one POST.
    pub(crate) async fn post_within(
        &self,
        network: Network,
        endpoint: &Endpoint,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<Incoming>, NoAnswer> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        self.request_within(network, endpoint, headers, request)
            .await
    }

    async fn request_within(
        &self,
        network: Network,
        endpoint: &Endpoint,
        headers: HeaderMap,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, NoAnswer> {
        *request.uri_mut() = endpoint.0.clone();
        *request.headers_mut() = headers;
        let answer = match (endpoint.is_secure(), network) {
            (true, Network::Public | Network::PublicAndHere) => self.public.request(request),
            (true, Network::Private) => self.secure.request(request),
            // Only to this machine; the endpoint is proof of that.
            (false, _) => self.plain.request(request),
        };
        answer.await.map_err(NoAnswer)
    }

    /// Sends one POST; whatever the status is, it is the answer: redirects are not followed.
    pub async fn post(
        &self,
        endpoint: &Endpoint,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<Incoming>, NoAnswer> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = endpoint.0.clone();
        *request.headers_mut() = headers;
        let answer = if endpoint.is_secure() {
            self.secure.request(request)
        } else {
            self.plain.request(request)
        };
        answer.await.map_err(NoAnswer)
    }
}

fn secure(rule: Rule) -> Secure {
    let mut http = connector(rule);
    http.enforce_http(false);
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls())
        .https_only()
        .enable_all_versions()
        .wrap_connector(http);
    pool(connector)
}

fn connector(rule: Rule) -> HttpConnector<CheckedResolver> {
    let resolver = CheckedResolver {
        rule,
        names: GaiResolver::new(),
    };
    let mut http = HttpConnector::new_with_resolver(resolver);
    http.set_connect_timeout(Some(CONNECT_TIMEOUT));
    http.set_nodelay(true);
    http
}

fn pool<C: Connect + Clone>(connector: C) -> Pool<C> {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(IDLE_PER_HOST)
        .build(connector)
}

impl Default for Outbound {
    fn default() -> Self {
        Self::new()
    }
}

fn tls() -> rustls::ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        // The provider is the one that ships with the library and knows both versions.
        .expect("the shipped provider supports the default versions");
    match builder.clone().with_native_roots() {
        Ok(builder) => builder.with_no_client_auth(),
        Err(error) => {
            tracing::warn!(%error, "no roots of trust found, https servers cannot be reached");
            let nobody = rustls::RootCertStore::empty();
            builder.with_root_certificates(nobody).with_no_client_auth()
        }
    }
}

/// By which rule a name may lead to an address.
#[derive(Clone, Copy)]
enum Rule {
    /// An administrator wrote the URL.
    Registered,
    /// A stranger did.
    Stranger,
}

impl Rule {
    fn check(self, address: IpAddr, host_names_loopback: bool) -> Result<(), AddressRefused> {
        match self {
            Self::Registered => address::check(address, host_names_loopback),
            Self::Stranger => address::check_public(address),
        }
    }
}

/// Resolves names to the addresses that may be connected to.
#[derive(Clone)]
struct CheckedResolver {
    rule: Rule,
    names: GaiResolver,
}

impl Service<Name> for CheckedResolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.names.poll_ready(context)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let local = address::names_loopback(name.as_str());
        let resolving = self.names.call(name);
        let rule = self.rule;
        Box::pin(async move {
            let mut refused = None;
            let mut open = Vec::new();
            for address in resolving.await? {
                match rule.check(address.ip(), local) {
                    Ok(()) => open.push(address),
                    Err(why) => refused = Some(why),
                }
            }
            match refused {
                // A name that leads anywhere forbidden is not half trusted.
                Some(why) => Err(std::io::Error::other(why)),
                None => Ok(open.into_iter()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_spellings_of_forbidden_addresses_are_seen_through() {
        for text in [
            "http://169.254.169.254/latest",
            "http://2852039166/",
            "http://0xa9fea9fe/",
            "http://0251.0376.0251.0376/",
            "http://[::ffff:169.254.169.254]/",
            "http://[fe80::1]/",
            "http://0/",
        ] {
            let refused = Endpoint::parse(text);
            assert_eq!(
                refused,
                Err(InvalidEndpoint::Address(AddressRefused::Never)),
                "{text}"
            );
        }
    }

    #[test]
    fn ssrf_01_strangers_name_no_address_of_ours_in_any_spelling() {
        for text in [
            "https://2130706433/c",
            "https://0x7f.1/c",
            "https://0177.0.0.1/c",
            "https://127.1/c",
            "https://[::1]/c",
            "https://[::ffff:127.0.0.1]/c",
            "https://0.0.0.0/c",
            "https://169.254.169.254/c",
            "https://10.0.0.1/c",
            "https://192.168.0.1/c",
            "http://app.example/c",
            "http://10.0.0.1/c",
            "http://LOCALHOST./c",
            "file:///etc/passwd",
            "gopher://127.0.0.1/",
        ] {
            for network in [Network::Public, Network::PublicAndHere] {
                assert!(Endpoint::parse_within(text, network).is_err(), "{text}");
            }
        }
        let parse = Endpoint::parse_within;
        assert!(parse("http://127.0.0.1:1/c", Network::Public).is_err());
        assert!(parse("http://127.0.0.1:1/c", Network::PublicAndHere).is_ok());
        assert!(parse("https://app.example/c", Network::Public).is_ok());
    }

    #[test]
    fn ssrf_01_private_network_is_open_to_whom_an_administrator_said_so_of() {
        let parse = |text| Endpoint::parse_within(text, Network::Private);
        for text in ["https://10.0.0.1/c", "https://sso.corp.example/c"] {
            assert!(parse(text).is_ok(), "{text}");
        }
        for text in [
            "http://10.0.0.1/c",
            "http://127.0.0.1:1/c",
            "https://169.254.169.254/c",
            "https://[fd00:ec2::254]/c",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn ssrf_02_name_that_leads_here_is_not_connected_to_for_a_stranger() {
        // `localhost` stands for every name whose answer is an address of ours.
        for rule in [Rule::Stranger, Rule::Registered] {
            let mut resolver = CheckedResolver {
                rule,
                names: GaiResolver::new(),
            };
            let resolved = resolver.call("localhost".parse().expect("a name")).await;
            assert_eq!(resolved.is_ok(), matches!(rule, Rule::Registered));
        }
    }

    #[test]
    fn mcp_11_only_plain_http_urls_are_endpoints() {
        for text in [
            "javascript:alert(1)",
            "file:///etc/passwd",
            "--upload-pack=evil",
            "a:\\\\server\\share",
            "https://user:pass@tools.example/",
            "https://tools.example/#x",
            "/mcp",
            "",
        ] {
            assert_eq!(
                Endpoint::parse(text),
                Err(InvalidEndpoint::Malformed),
                "{text}"
            );
        }
        for text in [
            "https://tools.example/mcp",
            "http://127.0.0.1:8000/mcp",
            "http://[::1]/",
        ] {
            assert!(Endpoint::parse(text).is_ok(), "{text}");
        }
    }
}
