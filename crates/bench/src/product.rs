//! The program under measurement: running on the server's core, with an agent, a resource server and an
//! MCP server registered through its API.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result};
use bytes::Bytes;
use chancery_api::agents::{RegisterAgent, ReplaceRedirects};
use chancery_api::mcp::AddMcpServer;
use chancery_api::owners::{AddOwner, IssueLogin};
use chancery_api::resources::RegisterResource;
use chancery_client::authority::Authority;
use chancery_model::id::{AgentId, ResourceId};
use chancery_model::mcp::Upstream;
use chancery_model::secret::Secret;
use chancery_store::connect::DatabaseUrl;
use chancery_wire::jwk::{Algorithm, KeySet, PrivateKey};
use serde_json::{Value, json};

use crate::bench::Bench;
use crate::child::Server;
use crate::cores::Side;
use crate::http1::{Answer, Connection};
use crate::role::upstream::TOOL;
use crate::signing::{TokenEndpoint, bearer_form, for_itself};

/// The name of the MCP server behind the gateway.
pub(crate) const SERVER: &str = "bench";
/// Who answers for the agent.
const OWNER: &str = "alice@example.com";
/// Where people's answers for an agent go.
pub(crate) const CALLBACK: &str = "https://app.example/cb";
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
    /// The agent that most figures are about.
    pub(crate) agent: Agent,
    /// Its API, for the local administrator.
    pub(crate) authority: Authority,
    resource: ResourceId,
    resource_key: PrivateKey,
    data: tempfile::TempDir,
}

/// A registered agent with the key that it proves itself with.
pub(crate) struct Agent {
    /// Its id.
    pub(crate) id: AgentId,
    /// Its key.
    pub(crate) key: PrivateKey,
}

impl Product {
    /// Starts it on an empty folder and registers everything.
    pub(crate) async fn start(bench: &Bench) -> Result<Self> {
        let data = tempfile::Builder::new()
            .prefix("chancery-bench-")
            .tempdir_in(&bench.disk)?;
        let server = open(bench, data.path(), "127.0.0.1:0").await?;
        let upstream = Server::role(Side::Client, &["upstream"]).await?;
        let issuer = format!("http://{}", server.address);
        let authority = administered(&issuer, data.path())?;
        add_person(&authority, OWNER).await?;
        let behind = AddMcpServer {
            name: SERVER.to_owned(),
            upstream: Upstream::Http {
                url: format!("http://{}/mcp", upstream.address),
            },
            allow_bearer: Some(BEARER),
            max_auth_age: None,
            acr: None,
            accept_findings: false,
        };
        authority.mcp_add(&behind).await?;
        let agent = register(&authority, "bench-agent").await?;
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
            authority,
            resource,
            resource_key,
            data,
        })
    }

    /// Ends it, lets `meanwhile` change its database, and starts it again at the same address.
    pub(crate) async fn restart(
        self,
        bench: &Bench,
        meanwhile: impl AsyncFnOnce(DatabaseUrl) -> Result<()>,
    ) -> Result<Self> {
        let address = self.address().to_string();
        self.server.stop().await?;
        meanwhile(DatabaseUrl::Sqlite(self.data.path().join("chancery.db"))).await?;
        let server = open(bench, self.data.path(), &address).await?;
        let authority = administered(&self.issuer, self.data.path())?;
        Ok(Self {
            server,
            authority,
            ..self
        })
    }

    /// Registers another agent, whose people's answers go to [`CALLBACK`].
    pub(crate) async fn agent_for_people(&self, name: &str) -> Result<Agent> {
        let agent = register(&self.authority, name).await?;
        let redirects = ReplaceRedirects {
            redirect_uris: vec![CALLBACK.to_owned()],
            post_logout_redirect_uris: Vec::new(),
        };
        self.authority.agent_redirects(name, &redirects).await?;
        Ok(agent)
    }

    /// Adds a person; the answer is the secret that they are known by.
    pub(crate) async fn person(&self, handle: &str) -> Result<String> {
        add_person(&self.authority, handle).await?;
        let login = IssueLogin {
            roles: vec!["auditor".to_owned()],
            lifetime: None,
        };
        Ok(self.authority.owner_login(handle, &login).await?.token)
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
            client_id: self.agent.id.to_string(),
            asks: for_itself(&self.mcp_resource()),
        }
    }

    /// A token of the agent for `resource` that is bound to no key.
    pub(crate) async fn bearer_token(&self, resource: &str) -> Result<String> {
        let Agent { id, key } = &self.agent;
        self.token(&bearer_form(*id, key, &self.issuer, resource))
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
        let nonce = self.nonce().await?;
        let request = self.token_endpoint().request(&self.agent.key, Some(&nonce));
        access_token(&self.send(&request).await?)
    }

    /// A nonce of the token endpoint.
    pub(crate) async fn nonce(&self) -> Result<String> {
        let endpoint = self.token_endpoint();
        endpoint.fetch_nonce(&self.agent.key).await
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

/// Starts the program on a data folder.
async fn open(bench: &Bench, folder: &Path, listen: &str) -> Result<Server> {
    let folder = folder.to_str().context("a path that is not text")?;
    let args = ["up", "--data", folder, "--listen", listen, "--json"];
    Server::start(Side::Server, &bench.program, &args).await
}

/// The API for the local administrator of a data folder.
fn administered(issuer: &str, folder: &Path) -> Result<Authority> {
    let token = std::fs::read_to_string(folder.join("admin.token"))?;
    let login = Secret::new(token.trim().to_owned());
    Ok(Authority::at(issuer, Some(login))?)
}

async fn add_person(authority: &Authority, handle: &str) -> Result<()> {
    let owner = AddOwner {
        handle: handle.to_owned(),
        members: Vec::new(),
    };
    authority.owner_add(&owner).await?;
    Ok(())
}

async fn register(authority: &Authority, name: &str) -> Result<Agent> {
    let (key, jwks) = new_key()?;
    let document = json!({
        "name": name,
        "owner": OWNER,
        "tools": [{"server": SERVER, "tool": TOOL}],
    });
    let agent = RegisterAgent {
        document: serde_json::from_value(document)?,
        jwks: Some(jwks),
        authentication: None,
    };
    let id = authority.agent_register(&agent).await?.id;
    Ok(Agent { id, key })
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
