//! Chapters 1 to 3: the desk opens, the agent is hired, the agent gets a token.

use std::sync::Arc;

use chancery_api::agents::{AgentView, RegisterAgent};
use chancery_api::mcp::AddMcpServer;
use chancery_api::owners::AddOwner;
use chancery_api::page::PageQuery;
use chancery_client::agent::discovery;
use chancery_client::agent::dpop::DpopSession;
use chancery_client::agent::token::{self, TokenRequest};
use chancery_model::mcp::Upstream;
use chancery_model::secret::Secret;
use chancery_wire::access_token::{self, Expect};
use chancery_wire::document::digest_of;
use chancery_wire::json;
use chancery_wire::jwk::{Algorithm, JwkError, KeySet, PrivateKey};
use chancery_wire::jws::Unverified;

use crate::agent::credential::{BoundToken, Credential};
use crate::story::narrator::Narrator;
use crate::story::process::DeskProcess;
use crate::story::{Failure, Scene, short};

/// What the agent's owner declares.
pub(super) const DOCUMENT: &str = include_str!("refund-bot.yaml");

/// The tools that the desk has.
const TOOLS: usize = 6;

/// For how long a token is good, in seconds.
const TOKEN_LIFETIME: i64 = 300;

/// The support desk, behind the gateway.
pub(super) struct Desk {
    /// Where it really is.
    pub(super) process: DeskProcess,
    /// Where agents reach it; also the resource that tokens are for.
    pub(super) url: String,
    /// The log's verifier key, pinned before anything happens that one might want to deny.
    pub(super) log_key: String,
}

/// An agent with its key.
pub(super) struct Agent {
    /// How the registry shows it.
    pub(super) view: AgentView,
    key: PrivateKey,
}

/// A token, as its holder and as a thief would have it.
pub(super) struct Badge {
    /// What the agent shows.
    pub(super) credential: Credential,
    /// The same token, to be stolen.
    pub(super) token: Secret<String>,
}

pub(super) async fn open_the_desk(
    scene: &Scene<'_>,
    tell: &mut Narrator<'_>,
) -> Result<Desk, Failure> {
    tell.begin(
        "A support desk opens",
        "It is an MCP server with customers, orders and refunds, in a process of its own. It asks nobody who they \
         are, so it is put behind the gateway.",
    )?;
    let state = tell.must(scene.authority.log_state().await, "the state of the record")?;
    let process = tell.must(
        DeskProcess::start(&scene.stage.program).await,
        "a support desk that listens",
    )?;
    tell.fact("process", format!("{} at {}", process.id, process.url))?;
    let server = AddMcpServer {
        name: "desk".to_owned(),
        upstream: Upstream::Http {
            url: process.url.clone(),
        },
        allow_bearer: None,
        max_auth_age: None,
        acr: None,
        accept_findings: false,
    };
    let added = tell.must(
        scene.authority.mcp_add(&server).await,
        "the desk behind the gateway",
    )?;
    tell.expect(
        added.tools.len() == TOOLS,
        "the desk's six tools, accepted",
        || format!("{:?}", added.tools),
    )?;
    tell.expect(
        added.url.ends_with("/mcp/desk"),
        "the path /mcp/desk",
        || added.url.clone(),
    )?;
    tell.fact("agents reach it", added.url.clone())?;
    tell.fact(
        "tools",
        format!("{TOOLS}, each pinned by the digest of its definition"),
    )?;
    tell.end()?;
    Ok(Desk {
        process,
        url: added.url,
        log_key: state.log_key,
    })
}

pub(super) async fn hire(scene: &Scene<'_>, tell: &mut Narrator<'_>) -> Result<Agent, Failure> {
    tell.begin(
        "An agent is hired",
        "refund-bot gets an identity of its own: a document that says what it is, what it may do and who answers \
         for it, and the public half of a key that was made a moment ago and never leaves it.",
    )?;
    let document = tell.must(
        serde_saphyr::from_str(DOCUMENT),
        "a document that can be read",
    )?;
    let key = tell.must(PrivateKey::generate(Algorithm::Es256), "a new key")?;
    let jwks = tell
        .must(KeySet::of_keys([key.public().clone()]), "a key set")?
        .to_json();
    let owner = AddOwner {
        handle: "alice@example.com".to_owned(),
        members: Vec::new(),
    };
    tell.must(
        scene.authority.owner_add(&owner).await,
        "somebody who answers for the agent",
    )?;
    let agent = RegisterAgent {
        document,
        jwks: Some(jwks),
        authentication: None,
    };
    let view = tell.must(
        scene.authority.agent_register(&agent).await,
        "a registered agent",
    )?;

    tell.expect(view.status == "active", "an active agent", || {
        format!("one that is `{}`", view.status)
    })?;
    let digest = digest_of(&view.document);
    tell.expect(
        view.version == digest,
        "the digest of the document as its version",
        || view.version.to_string(),
    )?;
    let signature = tell.must(
        Unverified::parse(&view.signature, json::TOKEN),
        "a signature over the version",
    )?;
    let signed_by = signature.header().kid.clone().unwrap_or_default();
    let keys = tell.must(
        scene.authority.key_list(&PageQuery::default()).await,
        "the authority's keys",
    )?;
    let known = keys
        .items
        .iter()
        .any(|key| key.kid == signed_by && key.purpose == "document");
    tell.expect(
        known,
        "a signature by the authority's key for documents",
        || format!("one by `{signed_by}`"),
    )?;

    tell.fact("id", view.id.to_string())?;
    tell.fact("owner", view.owner.clone())?;
    tell.fact(
        "its key",
        format!("{} (ES256)", short(key.public().thumbprint())),
    )?;
    tell.fact(
        "version",
        format!(
            "{} {}, the digest of its document",
            view.version_number,
            short(&view.version.to_string())
        ),
    )?;
    tell.fact(
        "signed",
        format!("by the authority's key {}", short(&signed_by)),
    )?;
    tell.end()?;
    Ok(Agent { view, key })
}

pub(super) async fn issue_a_token(
    scene: &Scene<'_>,
    tell: &mut Narrator<'_>,
    desk: &Desk,
    agent: &Agent,
) -> Result<Badge, Failure> {
    tell.begin(
        "It asks for a token",
        "It proves who it is with a signature, and binds the token to its key. There is no shared secret that could \
         leak.",
    )?;
    let stage = scene.stage;
    let server = discovery::authorization_server_of(&scene.transport, &desk.url).await;
    let server = tell.must(
        server,
        "the metadata of the desk and of its authorization server",
    )?;
    let dpop = DpopSession::new(tell.must(second(&agent.key), "the agent's key")?);
    let wanted = agent.token_request(desk, &dpop);
    let now = stage.clock.now();
    let issued = token::request(
        &scene.transport,
        &server,
        &wanted,
        now,
        stage.entropy.as_ref(),
    )
    .await;
    let issued = tell.must(issued, "a token")?;

    // What follows is what a resource server does with the token.
    let keys = tell.must(
        discovery::key_set(&scene.transport, &server).await,
        "the issuer's public keys",
    )?;
    let keys = tell.must(KeySet::parse(&keys), "a key set")?;
    let keys: Vec<_> = keys.keys().cloned().collect();
    let expect = Expect {
        issuer: &server.issuer,
        audience: Some(&desk.url),
        now: stage.clock.now(),
    };
    let verified = access_token::verify(issued.access_token.expose(), &keys, &expect);
    let verified = tell.must(
        verified,
        "a token that the issuer signed for the desk alone",
    )?;
    let claims = verified.claims();
    let lifetime = claims.exp - claims.iat;
    tell.expect(lifetime == TOKEN_LIFETIME, "a life of 300 seconds", || {
        format!("{lifetime} seconds")
    })?;
    let bound = verified.bound_jkt().unwrap_or_default();
    tell.expect(
        bound == agent.key.public().thumbprint(),
        "a token bound to the agent's key",
        || bound.to_owned(),
    )?;
    tell.expect(issued.token_type == "DPoP", "the type DPoP", || {
        issued.token_type.clone()
    })?;

    tell.fact(
        "asked",
        format!("{} with private_key_jwt and DPoP", server.token_endpoint),
    )?;
    tell.fact(
        "claims",
        format!(
            "sub={}, exp=iat+{lifetime}, cnf.jkt={}",
            claims.sub,
            short(bound)
        ),
    )?;
    tell.fact(
        "good for",
        format!("5 minutes, only with that key, only at {}", claims.aud),
    )?;
    tell.end()?;

    let token = Secret::new(issued.access_token.expose().clone());
    let bound = BoundToken {
        token: issued.access_token,
        dpop,
        clock: stage.clock.clone(),
        entropy: stage.entropy.clone(),
    };
    Ok(Badge {
        credential: Credential::Bound(Arc::new(bound)),
        token,
    })
}

impl Agent {
    /// A request for a token for the desk, bound to the key of `dpop`.
    pub(super) fn token_request<'a>(
        &'a self,
        desk: &'a Desk,
        dpop: &'a DpopSession,
    ) -> TokenRequest<'a> {
        TokenRequest {
            client_id: self.view.id.into(),
            key: &self.key,
            resource: &desk.url,
            scope: None,
            dpop: Some(dpop),
        }
    }

    /// A session of the agent's key that no server has seen.
    pub(super) fn fresh_dpop(&self) -> Result<DpopSession, JwkError> {
        Ok(DpopSession::new(second(&self.key)?))
    }
}

/// The same key once more: the client assertion and the proofs each hold one.
fn second(key: &PrivateKey) -> Result<PrivateKey, JwkError> {
    PrivateKey::from_pkcs8(key.public().algorithm(), key.to_pkcs8().expose())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proofs_are_made_with_the_key_that_the_agent_is_registered_with() {
        let key = PrivateKey::generate(Algorithm::Es256).unwrap();
        assert_eq!(second(&key).unwrap().public(), key.public());
    }
}
