//! The program under measurement: running on the server's core, with an agent, a resource server and an
//! MCP server registered through its API.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use bytes::Bytes;
use chancery_api::agents::RegisterAgent;
use chancery_api::mcp::AddMcpServer;
use chancery_api::owners::AddOwner;
use chancery_api::resources::RegisterResource;
use chancery_client::authority::Authority;
use chancery_model::id::{AgentId, ResourceId};
use chancery_model::mcp::Upstream;
use chancery_model::secret::Secret;
use chancery_wire::jwk::{Algorithm, KeySet, PrivateKey};
use serde_json::{Value, json};

use crate::bench::Bench;
use crate::child::Server;
use crate::cores::Side;
use crate::http1::{Answer, Connection};
use crate::role::upstream::TOOL;
use crate::signing::{TokenEndpoint, bearer_form};

/// The name of the MCP server behind the gateway.
pub(crate) const SERVER: &str = "bench";
/// Who answers for the agent.
const OWNER: &str = "alice@example.com";
/// For how long plain bearer tokens are taken, in seconds.
const BEARER: u64 = 86_400;

/// A running program with all that the figures ask it for.
pub(crate) struct Product {
    /// The process.
    pub(crate) server: Server,
    /// The MCP server behind its gateway, on the client's core.
    pub(crate) upstream: Server,
    /// Its issuer identifier.
    pub(crate) issuer: String,
    /// The agent's id.
    pub(crate) agent: AgentId,
    /// The agent's key.
    pub(crate) key: PrivateKey,
    resource: ResourceId,
    resource_key: PrivateKey,
    _data: tempfile::TempDir,
}

impl Product {
    /// Starts it on an empty folder and registers everything.
    pub(crate) async fn start(bench: &Bench) -> Result<Self> {
        let data = tempfile::Builder::new()
            .prefix("chancery-bench-")
            .tempdir_in(&bench.disk)?;
        let folder = data.path().to_str().context("a path that is not text")?;
        let args = ["up", "--data", folder, "--listen", "127.0.0.1:0", "--json"];
        let server = Server::start(Side::Server, &bench.program, &args).await?;
        let upstream = Server::role(Side::Client, &["upstream"]).await?;
        let issuer = format!("http://{}", server.address);
        let token = std::fs::read_to_string(data.path().join("admin.token"))?;
        let login = Secret::new(token.trim().to_owned());
        let authority = Authority::at(&issuer, Some(login))?;

        let owner = AddOwner {
            handle: OWNER.to_owned(),
            members: Vec::new(),
        };
        authority.owner_add(&owner).await?;
        let behind = AddMcpServer {
            name: SERVER.to_owned(),
            upstream: Upstream::Http {
                url: format!("http://{}/mcp", upstream.address),
            },
            allow_bearer: Some(BEARER),
            accept_findings: false,
        };
        authority.mcp_add(&behind).await?;
        let (key, jwks) = new_key()?;
        let document = json!({
            "name": "bench-agent",
            "owner": OWNER,
            "tools": [{"server": SERVER, "tool": TOOL}],
        });
        let agent = RegisterAgent {
            document: serde_json::from_value(document)?,
            jwks: Some(jwks),
            authentication: None,
        };
        let agent = authority.agent_register(&agent).await?.id;
        let (resource_key, jwks) = new_key()?;
        let resource = RegisterResource {
            url: "https://api.example.com".to_owned(),
            jwks: Some(jwks),
            authentication: None,
            allow_bearer: Some(BEARER),
        };
        let resource = authority.resource_register(&resource).await?.id;
        Ok(Self {
            server,
            upstream,
            issuer,
            agent,
            key,
            resource,
            resource_key,
            _data: data,
        })
    }

    /// Where it answers.
    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// The resource identifier of the MCP server.
    pub(crate) fn mcp_resource(&self) -> String {
        format!("{}/mcp/{SERVER}", self.issuer)
    }

    /// Its token endpoint, as the agent asks it for tokens for the MCP server.
    pub(crate) fn token_endpoint(&self) -> TokenEndpoint {
        TokenEndpoint {
            address: self.address(),
            path: "/oauth/token",
            audience: self.issuer.clone(),
            client_id: self.agent.to_string(),
            resource: self.mcp_resource(),
        }
    }

    /// A token of the agent for `resource` that is bound to no key.
    pub(crate) async fn bearer_token(&self, resource: &str) -> Result<String> {
        self.token(&bearer_form(self.agent, &self.key, &self.issuer, resource))
            .await
    }

    /// A token of the resource server for the authority's own endpoints.
    pub(crate) async fn resource_token(&self) -> Result<String> {
        let (id, key) = (self.resource, &self.resource_key);
        self.token(&bearer_form(id, key, &self.issuer, &self.issuer))
            .await
    }

    /// A token of the agent that is bound to its key.
    pub(crate) async fn bound_token(&self) -> Result<String> {
        let endpoint = self.token_endpoint();
        let nonce = endpoint.fetch_nonce(&self.key).await?;
        let request = endpoint.request(&self.key, Some(&nonce));
        access_token(&self.send(&request).await?)
    }

    /// Sends one request on a connection of its own.
    pub(crate) async fn send(&self, request: &Bytes) -> Result<Answer> {
        Connection::open(self.address())
            .await?
            .exchange(request)
            .await
    }

    async fn token(&self, form: &str) -> Result<String> {
        let headers = "Content-Type: application/x-www-form-urlencoded\r\n";
        let request = crate::http1::request("POST", self.address(), "/oauth/token", headers, form);
        access_token(&self.send(&request).await?)
    }
}

fn access_token(answer: &Answer) -> Result<String> {
    let body: Value = serde_json::from_slice(answer.body())
        .with_context(|| format!("no token: {}", answer.beginning()))?;
    let token = body["access_token"].as_str();
    Ok(token
        .with_context(|| format!("no token: {}", answer.beginning()))?
        .to_owned())
}

fn new_key() -> Result<(PrivateKey, Value)> {
    let key = PrivateKey::generate(Algorithm::Es256)?;
    let jwks = KeySet::of_keys([key.public().clone()])?.to_json();
    Ok((key, jwks))
}
