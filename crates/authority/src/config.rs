//! What the roof decides for an authority.

use std::time::Duration;

use chancery_model::digest::Digest;
use chancery_wire::origin;

/// The settings of one authority.
#[derive(Debug, Clone)]
pub struct Config {
    /// Our issuer identifier: an origin without a trailing slash, such as `https://id.example`.
    pub issuer: String,
    /// The names and ports under which we answer, as `Host` has them.
    pub hosts: Vec<String>,
    /// The hash of the local administrator's secret.
    pub local_administrator: Digest,
    /// The hash of the secret of a console login that was printed at the start, until this process ends.
    pub console_login: Option<Digest>,
    /// How long an access token lives.
    pub access_token_lifetime: Duration,
    /// How long a replaced key still verifies; at least the life of what it signed.
    pub key_overlap: Duration,
    /// Names this process among those that share the database.
    pub node: String,
    /// Whether connections to us may be opened with a certificate, so that clients can be known by one.
    pub has_tls: bool,
    /// The verifier key of this authority's log, once it has one: a database without it is not ours, or not all there.
    pub log_key: Option<String>,
}

/// How long an access token lives unless configured.
pub const ACCESS_TOKEN_LIFETIME: Duration = Duration::from_secs(5 * 60);
/// How long a replaced key still verifies unless configured.
pub const KEY_OVERLAP: Duration = Duration::from_secs(20 * 60);

/// Where clients ask who signed in.
pub const USERINFO: &str = "/oauth/userinfo";

impl Config {
    /// The resource identifier of what is told of people who sign in to clients: a token for it lets nobody act.
    pub fn userinfo(&self) -> String {
        format!("{}{USERINFO}", self.issuer)
    }

    /// Whether a resource identifier is [`Self::userinfo`].
    pub fn is_userinfo(&self, resource: &str) -> bool {
        resource.strip_prefix(self.issuer.as_str()) == Some(USERINFO)
    }

    /// Whether we are on loopback ourselves: then clients and issuers may be, too.
    pub fn is_development(&self) -> bool {
        origin::parse_issuer(&self.issuer).is_ok_and(|url| origin::is_loopback(&url))
    }

    /// The resource identifier of an MCP server behind the gateway.
    pub fn mcp_resource(&self, name: &str) -> String {
        format!("{}/mcp/{name}", self.issuer)
    }
}
