//! Pushed authorization requests (RFC 9126): the way for an agent to ask a person who has a browser at hand. The client proves
//! who it is, everything it asks for is checked, and its browser then carries nothing but a name.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use chancery_gateway::snapshot::KnownAgent;
use chancery_model::digest::Digest;
use chancery_model::event::{Actor, ActorKind, Event, EventKind};
use chancery_model::id::AgentId;
use chancery_model::scope::Scope;
use chancery_model::time::Timestamp;
use chancery_model::tool_call::ToolCalls;
use chancery_store::authentications::Authentication;
use chancery_store::journal::{AppendError, Step};
use chancery_store::pushed_requests::PushedRequest;
use chancery_store::redirects;
use chancery_store::wish::{Prompt, Wish};
use chancery_wire::dpop::VerifiedProof;
use chancery_wire::id_token::{LONGEST_NONCE, OPENID, SCOPES};
use chancery_wire::oauth::{ErrorCode, Form, PushedResponse};
use chancery_wire::pkce::{self, Challenge};
use chancery_wire::redirect_uri::{InvalidRedirectUri, RedirectUri};
use chancery_wire::{base64url, hash, metadata, request_object};

use crate::consent::secrets;
use crate::grants::end::{CALLS, calls_text};
use crate::state::Authority;
use crate::tokens::Endpoints;
use crate::tokens::binding::{prove, require_binding};
use crate::tokens::bond::Bond;
use crate::tokens::calls;
use crate::tokens::client::{self, Client, FAILED};
use crate::tokens::form;
use crate::tokens::redeem::{require_agent, uses};
use crate::tokens::refusal::{self, Refusal};

/// How long a pushed request waits to be opened in a browser (AUTHZ-11).
const LIFETIME: Duration = Duration::from_secs(60);
/// The most requests of one client that wait at a time.
const MOST_WAITING: i64 = 100;
/// The longest `state`, in bytes.
pub(crate) const LONGEST_STATE: usize = 512;

/// `POST /oauth/par`.
pub(crate) async fn push(endpoints: &Endpoints, head: &Parts, body: &[u8]) -> Response {
    let authority = &*endpoints.authority;
    let now = authority.clock.now();
    match try_push(endpoints, head, body, now).await {
        Ok(pushed) => refusal::with_nonce(authority, now, (StatusCode::CREATED, Json(pushed))),
        Err(refused) => refusal::answer(authority, now, "par", refused).await,
    }
}

async fn try_push(
    endpoints: &Endpoints,
    head: &Parts,
    body: &[u8],
    now: Timestamp,
) -> Result<PushedResponse, Refusal> {
    let authority = &*endpoints.authority;
    let headers = &head.headers;
    let form = form::parse(headers, body)?;
    let snapshot = authority.current.load_full();
    let client = client::authenticate(authority, &snapshot, head, &form, now)?;
    push_for(endpoints, headers, &form, &client, now)
        .await
        .map_err(|refused| refused.proven(client.who.id(), client.assertion))
}

async fn push_for(
    endpoints: &Endpoints,
    headers: &HeaderMap,
    form: &Form<'_>,
    client: &Client,
    now: Timestamp,
) -> Result<PushedResponse, Refusal> {
    let authority = &*endpoints.authority;
    let agent = asker(client, now)?;
    let proof = prove(endpoints, &endpoints.push_url, headers, now)?;
    let uri = secrets::new_uri(authority);
    let signed = signed(authority, form, client, now)?;
    let form = signed.as_ref().map_or(form, |signed| &signed.form);
    refuse_foreign(form)?;
    let registered = registered(authority, agent).await?;
    let redirect_uri = form.require("redirect_uri", "`redirect_uri` is missing")?;
    let redirect = Redirect::find(RedirectUri::parse(redirect_uri), &registered)?;
    form.require("state", "`state` is missing")?;
    let held = bond(form, proof.as_ref(), client)?;
    let wanted = read(authority, form, redirect, &held, now)?;
    let request = wanted.by(agent.agent.id, &uri, now);
    let object = signed.map_or(String::new(), |signed| signed.digest.to_string());
    let event = pushed(authority, agent, &request, object, now);
    let uses = uses(client.assertion, proof.as_ref());
    let step = Step::Push {
        request,
        most: MOST_WAITING,
    };
    match authority.journal.append_step(event, uses, step).await {
        Ok(()) => Ok(PushedResponse {
            request_uri: uri,
            expires_in: LIFETIME.as_secs(),
        }),
        Err(AppendError::Lost) => Err(too_many(
            "too many requests of this client wait for an answer",
        )),
        Err(error) => Err(Refusal::from(error)),
    }
}

/// The agent that asks for a person, which is live.
pub(crate) fn asker(client: &Client, now: Timestamp) -> Result<&Arc<KnownAgent>, Refusal> {
    let agent = require_agent(&client.who)?;
    if agent.live(now).is_err() {
        let code = "principal_inactive";
        return Err(Refusal::new(ErrorCode::InvalidClient, FAILED, code));
    }
    Ok(agent)
}

/// So much of a client waits for a person that it has to wait itself.
pub(crate) fn too_many(description: &'static str) -> Refusal {
    let code = ErrorCode::TemporarilyUnavailable;
    Refusal::new(code, description, "too_many_requests")
}

/// A request that its client signed.
struct Signed {
    /// What it says; what came beside it is not looked at (RFC 9101 6.3).
    form: Form<'static>,
    /// Names it in the record: the client cannot deny that it asked.
    digest: Digest,
}

/// What a pushed request says under the client's signature, when it has one.
fn signed(
    authority: &Authority,
    form: &Form<'_>,
    client: &Client,
    now: Timestamp,
) -> Result<Option<Signed>, Refusal> {
    let Some(object) = form.fetch("request") else {
        return Ok(None);
    };
    // RFC 9101 5: one or the other.
    if form.fetch("request_uri").is_some() {
        return Err(request_uri_pushed());
    }
    let invalid =
        |description, code| Refusal::new(ErrorCode::InvalidRequestObject, description, code);
    let keys = client.who.keys().ok_or_else(|| {
        let description = "no keys are registered for the client that could have signed it";
        invalid(description, "request_object_unknown_key")
    })?;
    let expect = request_object::Expect {
        client: &client.who.id().to_string(),
        issuer: &authority.config.issuer,
        now,
    };
    let form = request_object::read(object, keys, &expect)
        .map_err(|error| invalid(error.description(), error.code()))?;
    let digest = hash::sha256(object.as_bytes());
    Ok(Some(Signed { form, digest }))
}

/// RFC 9126 2.1.
fn request_uri_pushed() -> Refusal {
    let description = "a pushed request has no `request_uri`";
    Refusal::new(ErrorCode::InvalidRequest, description, "request_uri_pushed")
}

/// What a client asks a person for, read by the one function that all clients go through.
pub(crate) struct Wanted {
    /// What is to be reached, and what for.
    pub target: Target,
    /// Where the answer goes.
    pub redirect: Redirect,
    /// What the client recognises the answer by; empty when it sent nothing.
    pub state: String,
    /// What the code will be bound to.
    pub challenge: Challenge,
    /// What the code will be bound to beside it, as one text.
    pub cnf: Option<String>,
    /// Whether the person is asked.
    pub prompt: Prompt,
    /// For how long a sign-in counts.
    pub max_age: Option<Duration>,
    /// What goes into the ID token, and how surely it must be the person.
    pub authentication: Authentication,
}

impl Wanted {
    /// The request of an agent, under the name `uri`.
    pub(crate) fn by(self, agent: AgentId, uri: &str, now: Timestamp) -> PushedRequest {
        PushedRequest {
            uri_hash: secrets::uri_hash(uri),
            wish: Wish {
                agent,
                resource: self.target.resource,
                scope: self.target.scope,
                calls: self.target.calls,
                cnf: self.cnf,
                prompt: self.prompt,
                max_age: self.max_age,
                authentication: self.authentication,
                created_at: now,
                expires_at: now.after(LIFETIME),
                answered: None,
            },
            redirect_uri: self.redirect.asked.as_str().to_owned(),
            registered_uri: self.redirect.registered.as_str().to_owned(),
            state: self.state,
            challenge: self.challenge.as_str().to_owned(),
        }
    }
}

/// Where an answer goes, with the registered redirect URI that admits it: evidence that it may.
#[derive(Clone)]
pub(crate) struct Redirect {
    /// Where the answer goes.
    pub asked: RedirectUri,
    /// What is registered.
    pub registered: RedirectUri,
}

impl Redirect {
    /// Holds what is asked for against what is registered (AUTHZ-01).
    pub(crate) fn find(
        asked: Result<RedirectUri, InvalidRedirectUri>,
        registered: &[RedirectUri],
    ) -> Result<Self, Refusal> {
        let unregistered = || {
            Refusal::new(
                ErrorCode::InvalidRequest,
                "the redirect URI is not one of those that are registered",
                "unregistered_redirect_uri",
            )
        };
        let asked = asked.map_err(|_| unregistered())?;
        let registered = registered.iter().find(|own| own.admits(&asked));
        let registered = registered.cloned().ok_or_else(unregistered)?;
        Ok(Self { asked, registered })
    }
}

/// Reads all that a client asks for beside where the answer goes; what is not understood and would change the meaning
/// is refused.
pub(crate) fn read(
    authority: &Authority,
    form: &Form<'_>,
    redirect: Redirect,
    held: &Bond,
    now: Timestamp,
) -> Result<Wanted, Refusal> {
    let invalid = |description, code| Refusal::new(ErrorCode::InvalidRequest, description, code);
    if form.require("response_type", "`response_type` is missing")? != "code" {
        return Err(Refusal::new(
            ErrorCode::UnsupportedResponseType,
            "the response type is `code`",
            "unsupported_response_type",
        ));
    }
    let state = form.fetch("state").unwrap_or("");
    if state.len() > LONGEST_STATE {
        return Err(invalid("`state` is too long", "bad_state"));
    }
    // Said outright: a method that is left out means `plain` (RFC 7636 4.3).
    if form.fetch("code_challenge_method") != Some(pkce::METHOD) {
        return Err(invalid(
            "`code_challenge_method` must be `S256`",
            "bad_pkce",
        ));
    }
    let challenge = form.require("code_challenge", "`code_challenge` is missing")?;
    let challenge = Challenge::parse(challenge)
        .map_err(|_| invalid("`code_challenge` is not a challenge by `S256`", "bad_pkce"))?;
    let target = read_target(authority, form, held, now)?;
    Ok(Wanted {
        target,
        redirect,
        state: state.to_owned(),
        challenge,
        cnf: held.to_text(),
        prompt: prompt(form.fetch("prompt"))?,
        max_age: read_max_age(form)?,
        authentication: authentication(form)?,
    })
}

/// What is to be reached, and what for.
pub(crate) struct Target {
    /// The one resource that is asked for.
    pub resource: String,
    /// What for.
    pub scope: Scope,
    /// The tool calls that it would be limited to.
    pub calls: Option<ToolCalls>,
}

/// What is to be reached, which is registered and takes tokens so bound, and what for.
pub(crate) fn read_target(
    authority: &Authority,
    form: &Form<'_>,
    held: &Bond,
    now: Timestamp,
) -> Result<Target, Refusal> {
    let scope = Scope::parse(form.fetch("scope").unwrap_or("")).map_err(|_| {
        let description = "`scope` is names with one space between two";
        Refusal::new(ErrorCode::InvalidScope, description, "bad_scope")
    })?;
    let target = |code| {
        let description = "`resource` must name one registered resource";
        Refusal::new(ErrorCode::InvalidTarget, description, code)
    };
    // Who asks for nothing but who the person is, asks of what tells that.
    let userinfo = scope.has(OPENID).then(|| authority.config.userinfo());
    let resource = form.fetch("resource").or(userinfo.as_deref());
    let resource = resource.ok_or(target("no_resource"))?;
    let resource = metadata::resource_uri(resource).map_err(|_| target("bad_resource"))?;
    // What else it names would mean nothing there (OpenID Connect Core 3.1.2.1).
    let scope = match authority.config.is_userinfo(resource) {
        true => scope.within(&SCOPES),
        false => scope,
    };
    if authority.config.is_userinfo(resource) && !scope.has(OPENID) {
        let description = "who a person is, is told with the scope `openid`";
        return Err(Refusal::new(
            ErrorCode::InvalidScope,
            description,
            "no_openid",
        ));
    }
    let calls = calls::read(form, resource)?;
    if calls.is_some() && authority.config.is_userinfo(resource) {
        return Err(calls::invalid("details_of_a_sign_in"));
    }
    let snapshot = authority.current.load_full();
    require_binding(authority, &snapshot, resource, held.cnf.as_ref(), now)?;
    Ok(Target {
        resource: resource.to_owned(),
        scope,
        calls,
    })
}

/// For how long a sign-in counts, when the client says so.
pub(crate) fn read_max_age(form: &Form<'_>) -> Result<Option<Duration>, Refusal> {
    let max_age = form.fetch("max_age").map(str::parse).transpose();
    let max_age = max_age.map_err(|_| {
        let description = "`max_age` is a number of seconds";
        Refusal::new(ErrorCode::InvalidRequest, description, "bad_max_age")
    })?;
    Ok(max_age.map(|seconds: u32| Duration::from_secs(seconds.into())))
}

/// Refuses what would have to be obeyed and is not offered here.
pub(crate) fn refuse_foreign(form: &Form<'_>) -> Result<(), Refusal> {
    let invalid = |description, code| Refusal::new(ErrorCode::InvalidRequest, description, code);
    if form.fetch("request_uri").is_some() {
        return Err(request_uri_pushed());
    }
    // It would have to be the person whom it names (OpenID Connect Core 3.1.2.2).
    if form.fetch("id_token_hint").is_some() {
        let description = "who is to be asked cannot be said with `id_token_hint`";
        return Err(invalid(description, "id_token_hint"));
    }
    if form.fetch("request").is_some() {
        return Err(Refusal::new(
            ErrorCode::RequestNotSupported,
            "a request that is signed is pushed; here it comes as parameters",
            "request_not_supported",
        ));
    }
    if form
        .fetch("response_mode")
        .is_some_and(|mode| mode != "query")
    {
        return Err(invalid("the response mode is `query`", "bad_response_mode"));
    }
    Ok(())
}

/// Where answers for an agent may go.
pub(crate) async fn registered(
    authority: &Authority,
    agent: &KnownAgent,
) -> Result<Vec<RedirectUri>, Refusal> {
    let mut tx = authority.store.read().await?;
    let registered = redirects::list(&mut tx, agent.agent.id).await?;
    let parse = |text: &String| RedirectUri::parse(text).ok();
    Ok(registered.iter().filter_map(parse).collect())
}

/// What the answer to a client that proved who it is will be bound to.
pub(crate) fn bond(
    form: &Form<'_>,
    proof: Option<&VerifiedProof>,
    client: &Client,
) -> Result<Bond, Refusal> {
    Ok(Bond::of(bound_key(form, proof)?, client))
}

/// The key that the code will be bound to; when it is said twice, both must be the same (RFC 9449 10.1).
pub(crate) fn bound_key<'a>(
    form: &'a Form<'_>,
    proof: Option<&'a VerifiedProof>,
) -> Result<Option<&'a str>, Refusal> {
    let refuse = |description| Refusal::new(ErrorCode::InvalidRequest, description, "bad_dpop_jkt");
    let named = form.fetch("dpop_jkt");
    if let Some(named) = named
        && base64url::decode(named).map(|hash| hash.len()) != Ok(32)
    {
        return Err(refuse("`dpop_jkt` is not the thumbprint of a key"));
    }
    match (named, proof.map(VerifiedProof::jkt)) {
        (Some(named), Some(proved)) if named != proved => {
            Err(refuse("`dpop_jkt` and the DPoP proof are of two keys"))
        }
        (named, proved) => Ok(named.or(proved)),
    }
}

/// What goes into the ID token, and how surely it must be the person: one of several classes is enough, and a request
/// for nothing but others cannot be met (OpenID Connect Core 3.1.2.1, RFC 9470 5).
pub(crate) fn authentication(form: &Form<'_>) -> Result<Authentication, Refusal> {
    let nonce = form.fetch("nonce");
    if nonce.is_some_and(|nonce| nonce.len() > LONGEST_NONCE) {
        return Err(Refusal::new(
            ErrorCode::InvalidRequest,
            "`nonce` is too long",
            "bad_nonce",
        ));
    }
    let acr = match form.fetch("acr_values") {
        None => None,
        Some(values) => {
            let known = values.split(' ').find_map(|value| value.parse().ok());
            let unmet = Refusal::new(
                ErrorCode::UnmetAuthenticationRequirements,
                "none of `acr_values` exists here; see `acr_values_supported`",
                "unknown_acr",
            );
            Some(known.ok_or(unmet)?)
        }
    };
    let prompt = form.fetch("prompt").unwrap_or("");
    Ok(Authentication {
        nonce: nonce.map(str::to_owned),
        acr,
        must_ask: prompt.split(' ').any(|name| name == "consent"),
    })
}

fn prompt(text: Option<&str>) -> Result<Prompt, Refusal> {
    let mut prompt = Prompt::Ask;
    let names: Vec<&str> = text.unwrap_or("").split(' ').collect();
    for name in &names {
        match *name {
            // What is asked anyway, or kept beside.
            "" | "consent" => {}
            "login" => prompt = Prompt::Login,
            // It goes with no other.
            "none" if names.len() == 1 => prompt = Prompt::None,
            _ => {
                let description = "`prompt` is `none`, `consent` or `login`";
                return Err(Refusal::new(
                    ErrorCode::InvalidRequest,
                    description,
                    "bad_prompt",
                ));
            }
        }
    }
    Ok(prompt)
}

fn pushed(
    authority: &Authority,
    agent: &KnownAgent,
    request: &PushedRequest,
    object: String,
    now: Timestamp,
) -> Event {
    let facts = [
        ("endpoint", "par".to_owned()),
        ("resource", request.wish.resource.clone()),
        ("redirect_uri", request.redirect_uri.clone()),
        ("scope", request.wish.scope.to_string()),
        (CALLS, calls_text(request.wish.calls.as_ref())),
        ("request_object", object),
    ];
    authenticated(authority, agent, facts, now)
}

/// The event of an agent that proved who it is and got no token, with what it asked for.
pub(crate) fn authenticated<const N: usize>(
    authority: &Authority,
    agent: &KnownAgent,
    facts: [(&str, String); N],
    now: Timestamp,
) -> Event {
    let facts = facts.into_iter().filter(|(_, value)| !value.is_empty());
    let actor = Actor {
        id: agent.agent.id.to_string(),
        kind: ActorKind::Agent,
    };
    Event {
        agent: Some(agent.recorded.clone()),
        facts: facts
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        ..Event::new(
            EventKind::ClientAuthenticated,
            actor,
            now,
            &*authority.entropy,
        )
    }
}
