//! Refusals at the OAuth endpoints: the RFC's error to the client, the true reason to the record.

use std::collections::BTreeMap;

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chancery_model::event::{Actor, ActorKind, Event, EventKind};
use chancery_model::id::{ClientId, GrantId};
use chancery_model::time::Timestamp;
use chancery_store::error::StoreError;
use chancery_store::journal::AppendError;
use chancery_store::one_time::OneTime;
use chancery_wire::client_attestation::CHALLENGE_HEADER;
use chancery_wire::oauth::{Challenge, ErrorCode, OAuthError, Scheme};

use crate::error::Error;
use crate::refresh::GRANT;
use crate::state::Authority;

/// How much of the name of a public client the record takes, in characters.
const LONGEST_NAME: usize = 200;

/// A refusal: what the client is told, and what the record says.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    /// The RFC's error.
    pub error: OAuthError,
    /// The stable code of the record.
    pub code: &'static str,
    /// Whom the request claimed to be from.
    pub claimed: Option<ClientId>,
    /// What a public client called itself.
    pub named: Option<Box<str>>,
    /// Who it was, once that is proven, and what that used up.
    pub proven: Option<Box<(ClientId, Option<OneTime>)>>,
    /// The grant that it is about, for the record.
    pub grant: Option<Box<GrantId>>,
    /// Whether a fresh DPoP nonce goes with the answer.
    pub nonce: bool,
    /// Whether a challenge for the next proof of a client attestation does.
    pub challenge: bool,
}

impl Refusal {
    /// A refusal of `code`, told as `error` with one sentence.
    pub(crate) fn new(error: ErrorCode, description: &'static str, code: &'static str) -> Self {
        Self {
            error: OAuthError::new(error, description),
            code,
            claimed: None,
            named: None,
            proven: None,
            grant: None,
            nonce: false,
            challenge: false,
        }
    }

    /// The same, by a public client that called itself `name`.
    pub(crate) fn named(self, name: &str) -> Self {
        Self {
            named: Some(name.chars().take(LONGEST_NAME).collect::<String>().into()),
            ..self
        }
    }

    /// The same, by a client that claimed to be `client`.
    pub(crate) fn by(self, client: ClientId) -> Self {
        Self {
            claimed: Some(client),
            ..self
        }
    }

    /// The same, by a client that proved to be `client`, and used up `assertion` where it came with one.
    pub(crate) fn proven(self, client: ClientId, assertion: Option<OneTime>) -> Self {
        Self {
            proven: Some(Box::new((client, assertion))),
            ..self
        }
    }

    /// The same, about a grant.
    pub(crate) fn about(self, grant: GrantId) -> Self {
        Self {
            grant: Some(Box::new(grant)),
            ..self
        }
    }

    /// The record cannot be written, so nothing is issued.
    pub(crate) fn unavailable() -> Self {
        Self::new(
            ErrorCode::TemporarilyUnavailable,
            "the authority cannot record this now",
            "record_unavailable",
        )
    }
}

impl From<OAuthError> for Refusal {
    fn from(error: OAuthError) -> Self {
        Self::new(error.code, error.description, error.code.name())
    }
}

impl From<AppendError> for Refusal {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Replayed => Self::new(
                ErrorCode::InvalidClient,
                "the client assertion was used before",
                "replayed",
            ),
            // Whoever takes a step says what it means that it was lost.
            AppendError::Lost
            | AppendError::Full
            | AppendError::TooLarge
            | AppendError::Unavailable => Self::unavailable(),
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::from(Error::from(error))
    }
}

impl From<Error> for Refusal {
    /// What is wrong with the database is nothing that a client can act on.
    fn from(_: Error) -> Self {
        Self::unavailable()
    }
}

/// Records a refusal, as far as the gate lets it, and answers it.
pub(crate) async fn answer(
    authority: &Authority,
    now: Timestamp,
    endpoint: &'static str,
    refusal: Refusal,
) -> Response {
    let recorded = record(authority, now, endpoint, &refusal).await;
    let refusal = if recorded.is_ok() {
        refusal
    } else {
        Refusal::unavailable()
    };
    let status = StatusCode::from_u16(refusal.error.code.status())
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, Json(refusal.error)).into_response();
    no_store(response.headers_mut());
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if status == StatusCode::UNAUTHORIZED {
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if refusal.nonce {
        add_nonce(authority, now, response.headers_mut());
    }
    if refusal.challenge
        && let Ok(challenge) = HeaderValue::from_str(&authority.attestation_challenges.issue(now))
    {
        let headers = response.headers_mut();
        headers.insert(CHALLENGE_HEADER, challenge);
    }
    response
}

/// The code of the record for a request without credentials.
pub(crate) const NO_TOKEN: &str = "no_token";

/// The same at an endpoint that takes access tokens: what is wrong is said in the challenge, and a proof that needs another
/// nonce is no bad request (RFC 6750 3, RFC 9449 9).
pub(crate) async fn challenge(
    authority: &Authority,
    now: Timestamp,
    endpoint: &'static str,
    refusal: Refusal,
) -> Response {
    let error = refusal.error;
    // Who sent nothing did nothing wrong (RFC 6750 3.1).
    let told = Some(error).filter(|_| refusal.code != NO_TOKEN);
    let wants_proof = matches!(
        error.code,
        ErrorCode::UseDpopNonce | ErrorCode::InvalidDpopProof
    );
    let mut response = answer(authority, now, endpoint, refusal).await;
    if wants_proof {
        *response.status_mut() = StatusCode::UNAUTHORIZED;
    }
    if matches!(
        response.status(),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
    ) {
        response.headers_mut().remove(header::WWW_AUTHENTICATE);
        for scheme in [Scheme::Dpop, Scheme::Bearer] {
            let challenge = Challenge::new(scheme);
            let text = match told {
                Some(error) => challenge.error(error).to_string(),
                None => challenge.to_string(),
            };
            if let Ok(text) = HeaderValue::from_str(&text) {
                response
                    .headers_mut()
                    .append(header::WWW_AUTHENTICATE, text);
            }
        }
    }
    response
}

/// An answer that is nobody's to keep, with the nonce for the next proof: that can carry it without a round trip.
pub(crate) fn with_nonce(
    authority: &Authority,
    now: Timestamp,
    answer: impl IntoResponse,
) -> Response {
    let mut response = answer.into_response();
    no_store(response.headers_mut());
    add_nonce(authority, now, response.headers_mut());
    response
}

fn add_nonce(authority: &Authority, now: Timestamp, headers: &mut HeaderMap) {
    if let Ok(nonce) = HeaderValue::from_str(&authority.nonces.issue(now)) {
        headers.insert("DPoP-Nonce", nonce);
    }
}

/// Answers of the OAuth endpoints are nobody's to keep (TOK-11).
pub(crate) fn no_store(headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
}

async fn record(
    authority: &Authority,
    now: Timestamp,
    endpoint: &'static str,
    refusal: &Refusal,
) -> Result<(), AppendError> {
    // Asking for a nonce or a challenge is the ordinary first step of a client, not an offence; it may come back with
    // the same assertion.
    if matches!(
        refusal.error.code,
        ErrorCode::UseDpopNonce | ErrorCode::UseAttestationChallenge
    ) {
        return Ok(());
    }
    let mut facts = BTreeMap::from([
        ("endpoint".to_owned(), endpoint.to_owned()),
        ("error".to_owned(), refusal.error.code.name().to_owned()),
    ]);
    if let Some(grant) = &refusal.grant {
        facts.insert(GRANT.to_owned(), grant.to_string());
    }
    let Some(proven) = &refusal.proven else {
        let Some(suppressed) = authority.refusals.admit(now) else {
            return Ok(());
        };
        // Only a claim: whoever asked did not prove to be this client.
        if let Some(claimed) = refusal.claimed {
            facts.insert("claimed_client_id".to_owned(), claimed.to_string());
        }
        if let Some(named) = &refusal.named {
            facts.insert("claimed_client_id".to_owned(), named.to_string());
        }
        if suppressed > 0 {
            facts.insert("not_recorded_before".to_owned(), suppressed.to_string());
        }
        let stranger = Actor {
            id: String::new(),
            kind: ActorKind::Unknown,
        };
        let event = refused(authority, refusal, stranger, facts, now);
        return authority.journal.append(event).await;
    };
    let (client, assertion) = **proven;
    let kind = match client {
        ClientId::Agent(_) => ActorKind::Agent,
        ClientId::Resource(_) => ActorKind::Resource,
    };
    let actor = Actor {
        id: client.to_string(),
        kind,
    };
    let mut event = refused(authority, refusal, actor, facts, now);
    if let ClientId::Agent(id) = client {
        let snapshot = authority.current.load();
        event.agent = snapshot.agents.get(&id).map(|known| known.recorded.clone());
    }
    // What it proved itself with is used up, whatever came of it.
    match authority
        .journal
        .append_once(event.clone(), assertion.into_iter().collect())
        .await
    {
        Err(AppendError::Replayed) => authority.journal.append(event).await,
        recorded => recorded,
    }
}

fn refused(
    authority: &Authority,
    refusal: &Refusal,
    actor: Actor,
    facts: BTreeMap<String, String>,
    now: Timestamp,
) -> Event {
    Event {
        facts,
        outcome: refusal.code.to_owned(),
        ..Event::new(EventKind::TokenRefused, actor, now, &*authority.entropy)
    }
}
