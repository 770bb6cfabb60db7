//! What a person is asked, once it is proven who asks and where the answer goes, and the answers.
//!
//! [`Asked`] is the evidence: only with it can anything be sent to a redirect URI (AUTHZ-03), or given to a device.

use std::sync::Arc;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use chancery_gateway::snapshot::{KnownAgent, Snapshot};
use chancery_model::assurance::Acr;
use chancery_model::author::Author;
use chancery_model::decision::Permit;
use chancery_model::event::{Event, EventKind};
use chancery_model::grant::{Binding, Grant};
use chancery_model::time::Timestamp;
use chancery_store::authentications::Authentication;
use chancery_store::codes::{self, Code};
use chancery_store::tx::Tx;
use chancery_store::wish::{Prompt, Wish};
use chancery_wire::oauth::ErrorCode;

use crate::config::USERINFO;
use crate::consent::device_page;
use crate::consent::enter;
use crate::consent::page::{self, Door, Page};
use crate::consent::secrets;
use crate::consent::way::Way;
use crate::ctx::{Caller, Ctx};
use crate::directory::{FRESH, KnownLogin};
use crate::error::{Error, ToRecord};
use crate::grants::end;
use crate::state::Authority;
use crate::tokens::code::{CODE_LIFETIME, code_hash};
use crate::tokens::issue;

/// A request whose client is proven, and where its answer goes.
pub(crate) struct Asked {
    /// The name of the request.
    pub name: String,
    /// What is asked, and where the answer goes.
    pub way: Way,
    /// Who asks, as it is now.
    pub agent: Arc<KnownAgent>,
    /// What was so when it was proven.
    pub snapshot: Arc<Snapshot>,
    /// The origin at which people sign in: their passkeys and sessions are of no use at another.
    pub door: Door,
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
    /// Finds what is named so, and holds it against the registry and what is registered now.
    pub(crate) async fn find(
        authority: &Authority,
        name: &str,
        now: Timestamp,
    ) -> Result<Self, Halt> {
        let mut tx = authority.store.read().await?;
        let way = Way::find(&mut tx, name).await?;
        drop(tx);
        let way = way.ok_or(Halt::Here(page::UNKNOWN))?;
        Self::of(authority, name, way, now)
    }

    /// The same for what was found by another name.
    pub(crate) fn of(
        authority: &Authority,
        name: &str,
        way: Way,
        now: Timestamp,
    ) -> Result<Self, Halt> {
        let snapshot = authority.current.load_full();
        if snapshot.freshness.is_stale(now) {
            return Err(Halt::Failed(Error::Unavailable));
        }
        let agent = snapshot.agents.get(&way.wish().agent);
        let agent = agent.filter(|agent| agent.live(now).is_ok());
        let agent = Arc::clone(agent.ok_or(Halt::Here(page::UNKNOWN))?);
        Ok(Self {
            name: name.to_owned(),
            way,
            agent,
            snapshot,
            door: Door::of(authority),
        })
    }

    /// What is asked.
    pub(crate) fn wish(&self) -> &Wish {
        self.way.wish()
    }

    /// Requires that the request waits for its answer.
    pub(crate) fn require_open(&self, now: Timestamp) -> Result<(), Halt> {
        if self.wish().answered.is_some() {
            return Err(Halt::Here(page::ANSWERED));
        }
        if self.wish().expires_at <= now {
            return Err(Halt::Here(page::UNKNOWN));
        }
        Ok(())
    }

    /// Whether the client asks for nothing but who the person is.
    pub(crate) fn is_sign_in(&self) -> bool {
        let path = self.wish().resource.strip_prefix(&self.snapshot.issuer);
        path == Some(USERINFO)
    }

    /// What the tokens would be bound to.
    pub(crate) fn binding(&self) -> Binding {
        match (&self.wish().cnf, &self.agent.client) {
            (Some(_), _) => Binding::Key,
            (None, Some(_)) => Binding::Rotation,
            (None, None) => Binding::Bearer,
        }
    }

    /// Requires that the person signed in recently enough for this client.
    pub(crate) fn require_sign_in(&self, ctx: &Ctx) -> Result<(), Halt> {
        let wish = self.wish();
        let enough = Enough {
            prompt: wish.prompt,
            max_age: wish.max_age,
            acr: wish.authentication.acr,
        };
        match enough.is_met(ctx, Some(wish.created_at)) {
            true => Ok(()),
            false => Err(self.sign_in()),
        }
    }

    /// What is done about somebody who has to sign in first.
    pub(crate) fn sign_in(&self) -> Halt {
        let wish = self.wish();
        let is_anew = wish.prompt == Prompt::Login || wish.max_age.is_some();
        match (wish.prompt, &self.way) {
            (Prompt::None, _) => Halt::There(ErrorCode::LoginRequired),
            (Prompt::Ask | Prompt::Login, Way::Redirect(_)) => {
                let client = wish.agent.to_string();
                Halt::Here(page::sign_in(&self.door, &client, &self.name, is_anew))
            }
            (Prompt::Ask | Prompt::Login, Way::Device(_)) => {
                Halt::Here(page::sign_in_at(&self.door, enter::PATH, is_anew))
            }
        }
    }

    /// Requires that policy would let the agent have the token on behalf of this person: nobody is asked to consent
    /// to what is refused afterwards.
    pub(crate) fn require_policy(&self, ctx: &Ctx, login: &KnownLogin) -> Result<(), Halt> {
        let person = self.snapshot.people.get(&login.owner_id);
        let person = person.ok_or(Halt::There(ErrorCode::AccessDenied))?;
        let scope = self.wish().scope.to_string();
        let scope = Some(&*scope).filter(|scope| !scope.is_empty());
        let resource = &self.wish().resource;
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

    /// Tells the client that it is given nothing, and why.
    pub(crate) fn refuse(&self, error: ErrorCode) -> Response {
        match &self.way {
            Way::Redirect(redirected) => {
                redirected.send(&self.snapshot.issuer, &[("error", error.name())])
            }
            // A device is told nothing but what a person answered.
            Way::Device(_) => device_page::CANNOT.into_response(),
        }
    }

    /// Answers the request with `grant`, all in one transaction; what comes of it leaves only after it. `given` is the event
    /// of a new grant.
    pub(crate) async fn answer(
        &self,
        ctx: &Ctx,
        login: &KnownLogin,
        permit: Permit,
        mut tx: Tx,
        grant: &Grant,
        given: Option<Event>,
    ) -> Result<Response, Halt> {
        if !self.way.note(&mut tx, ctx, login, Some(grant.id)).await? {
            return Err(Halt::Here(page::ANSWERED));
        }
        let redirected = match &self.way {
            Way::Redirect(redirected) => redirected,
            Way::Device(_) => {
                // What a person consented to before is nothing that they compared a code for.
                let given = given.ok_or(Halt::There(ErrorCode::ConsentRequired))?;
                ctx.commit(permit, tx, given, Vec::new()).await?;
                return Ok(device_page::GIVEN.into_response());
            }
        };
        let text = secrets::code(ctx, &self.name, login);
        let request = &redirected.request;
        let code = Code {
            code_hash: code_hash(&text),
            grant: grant.id,
            redirect_uri: request.redirect_uri.clone(),
            challenge: request.challenge.clone(),
            scope: request.wish.scope.clone(),
            calls: request.wish.calls.clone(),
            cnf: request.wish.cnf.clone(),
            auth_time: ctx.caller.auth_time(),
            authentication: Authentication {
                nonce: request.wish.authentication.nonce.clone(),
                acr: ctx.caller.acr(),
                must_ask: false,
            },
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
        Ok(redirected.send(&self.snapshot.issuer, &[("code", &text)]))
    }

    /// An event about this request, by the person who is asked.
    pub(crate) fn event(&self, ctx: &Ctx, kind: EventKind) -> Event {
        let mut event = ctx.event(kind);
        event.agent = Some(self.agent.recorded.clone());
        let place = self.way.place().to_owned();
        event.facts.insert("redirect_uri".to_owned(), place);
        event
    }
}

/// How long ago a sign-in may be for any client: nobody reads a page faster.
const READING: Duration = Duration::from_secs(60);

/// Which sign-in is enough for a client.
#[derive(Clone, Copy)]
pub(crate) struct Enough {
    pub prompt: Prompt,
    pub max_age: Option<Duration>,
    pub acr: Option<Acr>,
}

impl Enough {
    /// Whether the person signed in recently enough: no longer ago than `max_age` when they were asked, and since then when
    /// the client asks for a new sign-in; and surely enough. A sign-in of which nothing is known is none.
    ///
    /// Where nothing is kept of when they were asked, as much time counts as coming back and reading takes.
    pub(crate) fn is_met(self, ctx: &Ctx, asked_at: Option<Timestamp>) -> bool {
        let by_age = self.max_age.map(|age| {
            let since = ctx.now.before(age);
            since.min(asked_at.unwrap_or(ctx.now.before(READING)))
        });
        let by_prompt = match self.prompt {
            Prompt::Login => Some(asked_at.unwrap_or(ctx.now.before(FRESH))),
            Prompt::Ask | Prompt::None => None,
        };
        let is_recent = match by_age.max(by_prompt) {
            Some(since) => ctx.caller.auth_time().is_some_and(|at| at >= since),
            None => true,
        };
        is_recent && self.acr.is_none_or(|acr| ctx.caller.acr() == Some(acr))
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
