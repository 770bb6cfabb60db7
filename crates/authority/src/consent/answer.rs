//! What a person is asked, once it is proven who asks and where the answer goes, and the answers.
//!
//! [`Asked`] is the evidence: only with it can anything be sent to a redirect URI (AUTHZ-03).

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chancery_gateway::snapshot::{KnownAgent, Snapshot};
use chancery_model::author::Author;
use chancery_model::decision::Permit;
use chancery_model::event::{Event, EventKind};
use chancery_model::grant::{Binding, Grant};
use chancery_model::id::AgentId;
use chancery_model::time::Timestamp;
use chancery_store::codes::{self, Code};
use chancery_store::pushed_requests::{self, Prompt, PushedRequest};
use chancery_store::redirects;
use chancery_store::tx::Tx;
use chancery_wire::oauth::ErrorCode;
use chancery_wire::redirect_uri::RedirectUri;

use crate::consent::page::{self, Page};
use crate::consent::secrets::{self, URI};
use crate::ctx::{Caller, Ctx};
use crate::directory::KnownLogin;
use crate::error::{Error, ToRecord};
use crate::grants::end;
use crate::state::Authority;
use crate::tokens::code::{CODE_LIFETIME, code_hash};
use crate::tokens::issue;

/// A request whose client and redirect URI are proven.
pub(crate) struct Asked {
    /// The name of the request.
    pub uri: String,
    /// The request.
    pub request: PushedRequest,
    /// Who asks, as it is now.
    pub agent: Arc<KnownAgent>,
    /// Where the answer goes.
    pub redirect_uri: RedirectUri,
    /// What was so when it was proven.
    pub snapshot: Arc<Snapshot>,
    /// The origin at which people sign in: their passkeys and sessions are of no use at another.
    pub pages: String,
}

/// Why nobody is asked, or not yet.
pub(crate) enum Halt {
    /// Told here, and sent nowhere.
    Here(Page),
    /// Told to the client.
    There(ErrorCode),
    /// Our own failure.
    Failed(Error),
    /// Any of these, of somebody who is known, with what the record says of it.
    Recorded(Box<Halt>, Box<Event>),
}

impl<E: Into<Error>> From<E> for Halt {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Halt {
    /// The answer to the browser; what is told to the client goes where `asked` was proven to lead.
    pub(crate) fn answer(self, asked: Option<&Asked>) -> Response {
        match (self, asked) {
            (Self::Here(page), _) => page.into_response(),
            (Self::There(error), Some(asked)) => asked.refuse(error),
            (Self::There(_), None) => page::UNKNOWN.into_response(),
            (Self::Failed(error), _) => page::of(error),
            (Self::Recorded(halt, event), asked) => {
                let mut response = halt.answer(asked);
                // Goes to the record before the answer leaves.
                response.extensions_mut().insert(ToRecord(event));
                response
            }
        }
    }

    /// The same, recorded as a refusal of whoever asks.
    pub(crate) fn of(self, ctx: &Ctx) -> Self {
        let code = match &self {
            Self::Here(page) => page.code,
            Self::There(error) => error.name(),
            // A refusal by policy brings its own event, and a failure of ours is none.
            Self::Failed(_) | Self::Recorded(..) => return self,
        };
        let event = Event {
            outcome: code.to_owned(),
            ..ctx.event(EventKind::RequestRefused)
        };
        Self::Recorded(Box::new(self), Box::new(event))
    }
}

impl Asked {
    /// Finds what `uri` names, and holds it against the client, the registry and what is registered now.
    pub(crate) async fn find(
        authority: &Authority,
        uri: &str,
        client: Option<&str>,
        now: Timestamp,
    ) -> Result<Self, Halt> {
        let unknown = || Halt::Here(page::UNKNOWN);
        if !uri.starts_with(URI) {
            return Err(unknown());
        }
        let mut tx = authority.store.read().await?;
        let request = pushed_requests::fetch(&mut tx, secrets::uri_hash(uri)).await?;
        let request = request.ok_or_else(unknown)?;
        // The name is bound to the client that pushed it (AUTHZ-11).
        let is_of_client = |text: &str| text.parse::<AgentId>() == Ok(request.agent);
        if client.is_some_and(|text| !is_of_client(text)) {
            return Err(unknown());
        }
        let registered = redirects::list(&mut tx, request.agent).await?;
        drop(tx);
        let snapshot = authority.current.load_full();
        if snapshot.freshness.is_stale(now) {
            return Err(Halt::Failed(Error::Unavailable));
        }
        let agent = snapshot.agents.get(&request.agent);
        let agent = agent.filter(|agent| agent.live(now).is_ok());
        let agent = Arc::clone(agent.ok_or_else(unknown)?);
        if !registered.contains(&request.registered_uri) {
            return Err(unknown());
        }
        let redirect_uri = RedirectUri::parse(&request.redirect_uri).map_err(|_| unknown())?;
        Ok(Self {
            uri: uri.to_owned(),
            request,
            agent,
            redirect_uri,
            snapshot,
            pages: authority.relying_party.origin().to_owned(),
        })
    }

    /// Requires that the request waits for its answer.
    pub(crate) fn require_open(&self, now: Timestamp) -> Result<(), Halt> {
        if self.request.answered.is_some() {
            return Err(Halt::Here(page::ANSWERED));
        }
        if self.request.expires_at <= now {
            return Err(Halt::Here(page::UNKNOWN));
        }
        Ok(())
    }

    /// What the tokens would be bound to.
    pub(crate) fn binding(&self) -> Binding {
        match (&self.request.cnf, &self.agent.client) {
            (Some(_), _) => Binding::Key,
            (None, Some(_)) => Binding::Rotation,
            (None, None) => Binding::Bearer,
        }
    }

    /// Requires that the person signed in recently enough for this client.
    pub(crate) fn require_sign_in(&self, ctx: &Ctx) -> Result<(), Halt> {
        let request = &self.request;
        match is_signed_in_enough(ctx, request.prompt, request.max_age, request.created_at) {
            true => Ok(()),
            false => Err(self.sign_in()),
        }
    }

    /// What is done about somebody who has to sign in first.
    pub(crate) fn sign_in(&self) -> Halt {
        match self.request.prompt {
            Prompt::None => Halt::There(ErrorCode::LoginRequired),
            Prompt::Ask | Prompt::Login => {
                let client = self.request.agent.to_string();
                Halt::Here(page::sign_in(&self.pages, &client, &self.uri))
            }
        }
    }

    /// Requires that policy would let the agent have the token on behalf of this person: nobody is asked to consent
    /// to what is refused afterwards.
    pub(crate) fn require_policy(&self, ctx: &Ctx, login: &KnownLogin) -> Result<(), Halt> {
        let person = self.snapshot.people.get(&login.owner_id);
        let person = person.ok_or(Halt::There(ErrorCode::AccessDenied))?;
        let scope = self.request.scope.to_string();
        let scope = Some(&*scope).filter(|scope| !scope.is_empty());
        let resource = &self.request.resource;
        let decided = issue::decide(
            &ctx.authority,
            &self.snapshot,
            &self.agent,
            resource,
            scope,
            Some(person),
            ctx.now,
        );
        match decided {
            Ok(_) => Ok(()),
            Err(refused) => Err(Halt::There(refused.error.code)),
        }
    }

    /// Tells the client that there is no code, and why.
    pub(crate) fn refuse(&self, error: ErrorCode) -> Response {
        self.send(&[("error", error.name())])
    }

    /// Sends the browser to the client with an answer; every answer says which request it is about and who answers
    /// (RFC 9207).
    fn send(&self, answer: &[(&str, &str)]) -> Response {
        send(
            &self.redirect_uri,
            &self.request.state,
            &self.snapshot.issuer,
            answer,
        )
    }

    /// Sends a code.
    pub(crate) fn send_code(&self, code: &str) -> Response {
        self.send(&[("code", code)])
    }

    /// Answers the request with a code for `grant`, all in one transaction; the code leaves only after it.
    pub(crate) async fn answer(
        &self,
        ctx: &Ctx,
        login: &KnownLogin,
        permit: Permit,
        mut tx: Tx,
        grant: &Grant,
        given: Option<Event>,
    ) -> Result<Response, Halt> {
        let request = &self.request;
        let by = login.owner_id;
        if !pushed_requests::answer(&mut tx, request.uri_hash, by, ctx.now).await? {
            return Err(Halt::Here(page::ANSWERED));
        }
        let text = secrets::code(ctx, &self.uri, login);
        let code = Code {
            code_hash: code_hash(&text),
            grant: grant.id,
            redirect_uri: request.redirect_uri.clone(),
            challenge: request.challenge.clone(),
            scope: request.scope.clone(),
            cnf: request.cnf.clone(),
            auth_time: ctx.caller.auth_time(),
            expires_at: ctx.now.after(CODE_LIFETIME),
            used_at: None,
        };
        codes::insert(&mut tx, &code).await?;
        let mut issued = self.event(ctx, EventKind::CodeIssued);
        end::describe(&mut issued, grant);
        let (first, more) = match given {
            Some(given) => (given, vec![issued]),
            None => (issued, Vec::new()),
        };
        ctx.commit(permit, tx, first, more).await?;
        Ok(self.send_code(&text))
    }

    /// An event about this request, by the person who is asked.
    pub(crate) fn event(&self, ctx: &Ctx, kind: EventKind) -> Event {
        let mut event = ctx.event(kind);
        event.agent = Some(self.agent.recorded.clone());
        let uri = self.request.redirect_uri.clone();
        event.facts.insert("redirect_uri".to_owned(), uri);
        event
    }
}

/// The address of an answer: it says which request it is about and who answers (RFC 9207).
pub(crate) fn address(
    redirect_uri: &RedirectUri,
    state: &str,
    issuer: &str,
    answer: &[(&str, &str)],
) -> String {
    let mut parameters = answer.to_vec();
    // A public client may recognise the answer by its proof key alone.
    if !state.is_empty() {
        parameters.push(("state", state));
    }
    parameters.push(("iss", issuer));
    redirect_uri.with(&parameters)
}

/// Sends the browser to where an answer was proven to go.
pub(crate) fn send(
    redirect_uri: &RedirectUri,
    state: &str,
    issuer: &str,
    answer: &[(&str, &str)],
) -> Response {
    let location = address(redirect_uri, state, issuer, answer);
    let Ok(location) = HeaderValue::from_str(&location) else {
        return page::UNKNOWN.into_response();
    };
    let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response();
    let no_store = HeaderValue::from_static("no-store");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, no_store);
    response
}

/// Whether the person signed in recently enough for a client: no longer ago than `max_age`, and after `asked_at` when it
/// asks for a new sign-in. One of which nothing is known is none.
pub(crate) fn is_signed_in_enough(
    ctx: &Ctx,
    prompt: Prompt,
    max_age: Option<Duration>,
    asked_at: Timestamp,
) -> bool {
    let by_age = max_age.map(|age| ctx.now.before(age));
    let by_prompt = match prompt {
        Prompt::Login => Some(asked_at),
        Prompt::Ask | Prompt::None => None,
    };
    match by_age.max(by_prompt) {
        Some(since) => ctx.caller.auth_time().is_some_and(|at| at >= since),
        None => true,
    }
}

/// The person who asks; nobody else can consent. A login that another person had made may be in that person's hands, so
/// only the person's own passkey speaks for them then; and whoever recovers decides nothing.
pub(crate) fn person(ctx: &Ctx) -> Result<Arc<KnownLogin>, Halt> {
    let Caller::Human(login) = &ctx.caller else {
        return Err(Halt::Here(page::NOBODY));
    };
    if login.session.is_some() {
        ctx.own()?;
        return Ok(Arc::clone(login));
    }
    let makers = &login.hands.makers;
    let is_own =
        |maker: &Author| *maker == Author::LocalAdministrator || *maker == login.hands.author;
    if makers.is_empty() || !makers.iter().all(is_own) {
        return Err(Halt::Here(page::OTHER_HANDS));
    }
    Ok(Arc::clone(login))
}
