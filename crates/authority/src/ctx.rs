//! The context of one request to `/v1`: who asks, when, and the two doors that every act passes,
//! [`Ctx::authorize`] and [`Ctx::commit`].

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use chancery_model::action::Action;
use chancery_model::author::{Author, Hands};
use chancery_model::decision::Permit;
use chancery_model::event::{Actor, ActorKind, DecisionFacts, Event, EventKind};
use chancery_model::time::Timestamp;
use chancery_policy::{AdminFacts, Question, Target, TargetFacts};
use chancery_store::tx::Tx;
use chancery_wire::hash;

use crate::directory::KnownLogin;
use crate::error::Error;
use crate::refresh;
use crate::state::Authority;

/// The context of one request.
pub struct Ctx {
    /// The authority.
    pub authority: Arc<Authority>,
    /// The one reading of the clock.
    pub now: Timestamp,
    /// Who asks.
    pub caller: Caller,
    traceparent: Option<String>,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Whoever holds the credential of the data folder.
    LocalAdministrator,
    /// A person with a login.
    Human(Arc<KnownLogin>),
}

impl Caller {
    /// Who the caller is, and who had a hand in the login.
    pub fn hands(&self) -> Hands {
        match self {
            Self::LocalAdministrator => Hands {
                author: Author::LocalAdministrator,
                makers: Vec::new(),
            },
            Self::Human(login) => login.hands.clone(),
        }
    }

    /// When the caller signed in, where that is known: a secret that somebody had made says nothing about that.
    pub fn auth_time(&self) -> Option<Timestamp> {
        match self {
            Self::LocalAdministrator | Self::Human(_) => None,
        }
    }

    /// How the record names the caller.
    pub fn actor(&self) -> Actor {
        let kind = match self {
            Self::LocalAdministrator => ActorKind::LocalAdministrator,
            Self::Human(_) => ActorKind::Human,
        };
        Actor {
            id: self.hands().author.to_string(),
            kind,
        }
    }
}

/// What an act is about, for the decision point.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The thing.
    pub target: Target<'a>,
    /// Whether it makes an agent wider than it was.
    pub widens: bool,
    /// Who proposed it, when somebody else may have.
    pub proposed_by: Option<&'a Hands>,
}

impl<'a> From<Target<'a>> for About<'a> {
    fn from(target: Target<'a>) -> Self {
        Self {
            target,
            widens: false,
            proposed_by: None,
        }
    }
}

impl Ctx {
    /// Finds out who asks; the two kinds of credentials of `/v1` are opaque secrets.
    pub fn authenticate(authority: Arc<Authority>, headers: &HeaderMap) -> Result<Self, Error> {
        let now = authority.clock.now();
        let caller = authenticate(&authority, headers, now)?;
        let traceparent = headers
            .get("traceparent")
            .and_then(|value| value.to_str().ok());
        let traceparent = traceparent
            .filter(|text| text.len() <= 64)
            .map(str::to_owned);
        Ok(Self {
            authority,
            now,
            caller,
            traceparent,
        })
    }

    /// Asks the decision point whether the caller may do exactly this; the permit is what [`Ctx::commit`] takes.
    pub fn authorize<'a>(
        &self,
        action: Action,
        about: impl Into<About<'a>>,
    ) -> Result<Permit, Error> {
        self.decide(action, &about.into())
            .into_permit()
            .map_err(|denied| {
                let mut event = self.event(EventKind::RequestRefused);
                event.outcome = "access_denied".to_owned();
                event.decision = Some(DecisionFacts::from(&denied));
                event
                    .facts
                    .insert("action".to_owned(), action.name().to_owned());
                Error::Denied {
                    reason: denied.reason,
                    event: Some(Box::new(event)),
                }
            })
    }

    /// Whether the caller may, without refusing: for acts that have a gentler second way.
    pub fn permit<'a>(&self, action: Action, about: impl Into<About<'a>>) -> Option<Permit> {
        self.decide(action, &about.into()).into_permit().ok()
    }

    fn decide(&self, action: Action, about: &About<'_>) -> chancery_model::decision::Decision {
        let hands = self.caller.hands();
        let (id, handle, roles): (String, String, Vec<&str>);
        let actor = match &self.caller {
            Caller::LocalAdministrator => AdminFacts::LocalAdministrator,
            Caller::Human(login) => {
                id = login.owner_id.to_string();
                handle = hands.author.to_string();
                roles = login.roles.iter().map(String::as_str).collect();
                AdminFacts::Human {
                    id: &id,
                    handle: &handle,
                    roles: &roles,
                }
            }
        };
        let target = TargetFacts {
            target: about.target,
            widens: about.widens,
            second_person: about
                .proposed_by
                .is_some_and(|proposer| hands.is_second_to(proposer)),
            now: self.now,
        };
        let question = Question::Administer {
            actor: &actor,
            action,
            target,
        };
        let id = self.authority.decision_id(self.now);
        self.authority.current.load().policy.decide(id, &question)
    }

    /// An event of this request; the kind says what happened, the caller did it.
    pub fn event(&self, kind: EventKind) -> Event {
        Event {
            traceparent: self.traceparent.clone(),
            ..Event::new(
                kind,
                self.caller.actor(),
                self.now,
                &*self.authority.entropy,
            )
        }
    }

    /// Begins a transaction that may write.
    pub async fn begin(&self) -> Result<Tx, Error> {
        Ok(self.authority.store.begin().await?)
    }

    /// Begins a transaction that only reads.
    pub async fn read(&self) -> Result<Tx, Error> {
        Ok(self.authority.store.read().await?)
    }

    /// Commits what was permitted with its events, and makes it visible to all who enforce before it returns.
    pub async fn commit(
        &self,
        permit: Permit,
        tx: Tx,
        mut first: Event,
        more: Vec<Event>,
    ) -> Result<(), Error> {
        first.decision = Some(DecisionFacts::from(permit.decision()));
        refresh::commit(&self.authority, tx, first, more).await
    }
}

fn authenticate(
    authority: &Authority,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Caller, Error> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(Error::Unauthenticated);
    };
    let secret = value
        .to_str()
        .ok()
        .and_then(|text| text.strip_prefix("Bearer "));
    let secret = secret
        .filter(|text| (16..=256).contains(&text.len()))
        .ok_or(Error::Unauthenticated)?;
    // The secret is random and long, so looking its hash up leaks nothing that helps to guess it.
    let hash = hash::sha256(secret.as_bytes());
    if hash::equal(
        hash.as_bytes(),
        authority.config.local_administrator.as_bytes(),
    ) {
        return Ok(Caller::LocalAdministrator);
    }
    if authority
        .config
        .console_login
        .is_some_and(|known| hash::equal(hash.as_bytes(), known.as_bytes()))
    {
        return Ok(Caller::LocalAdministrator);
    }
    let directory = authority.directory.load();
    match directory.logins.get(&hash) {
        Some(login) if login.expires_at > now => Ok(Caller::Human(Arc::clone(login))),
        Some(_) | None => Err(Error::Unauthenticated),
    }
}

impl FromRequestParts<Arc<Authority>> for Ctx {
    type Rejection = Error;

    async fn from_request_parts(
        parts: &mut Parts,
        authority: &Arc<Authority>,
    ) -> Result<Self, Error> {
        Self::authenticate(Arc::clone(authority), &parts.headers)
    }
}
