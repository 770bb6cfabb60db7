//! Exchanges a code for who signed in, and everything that must be true of that.

use std::sync::Arc;

use axum::http::{HeaderValue, StatusCode};
use chancery_gateway::document::{self, Answered, NoDocument, Question};
use chancery_model::secret::Secret;
use chancery_model::time::Timestamp;
use chancery_store::providers::Kept;
use chancery_wire::issuer::{DOCUMENT, IssuerMetadata, NotSigned};
use chancery_wire::json;
use chancery_wire::jws::Unverified;
use chancery_wire::openid::OpenIdError;
use chancery_wire::openid::exchange::TokenAnswer;
use chancery_wire::openid::id_token::{Expect, IdToken};
use serde_json::{Map, Value};

use crate::error::Error;
use crate::issuers::{self, Named, NotIssued};
use crate::providers::attempt::Attempt;
use crate::providers::{credential, list};
use crate::state::Authority;

/// Somebody who signed in with a provider, as it says.
pub(crate) struct Identified {
    /// What the ID token said.
    pub(crate) token: IdToken,
    /// All that it says of the person.
    pub(crate) claims: Map<String, Value>,
    /// What it can be asked with later.
    pub(crate) refresh_token: Option<Secret<String>>,
    /// When all of it was read.
    pub(crate) now: Timestamp,
}

/// Why nobody was identified.
pub(crate) enum NotIdentified {
    /// The provider cannot be asked.
    Unavailable,
    /// Something is not as it must be; the code is for the record.
    Refused(&'static str),
    /// It failed on our side.
    Failed(Error),
}

impl From<NoDocument> for NotIdentified {
    fn from(NoDocument: NoDocument) -> Self {
        Self::Unavailable
    }
}

impl From<Error> for NotIdentified {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<OpenIdError> for NotIdentified {
    fn from(error: OpenIdError) -> Self {
        Self::Refused(error.code())
    }
}

/// Exchanges the code that came back for `attempt`.
pub(crate) async fn exchange(
    authority: &Arc<Authority>,
    kept: &Kept,
    attempt: &Attempt,
    code: &str,
    now: Timestamp,
) -> Result<Identified, NotIdentified> {
    let provider = &kept.provider;
    let named = Named::of(authority, provider);
    let issuer = issuers::find(authority, named, now).await?;
    let mut form = credential::Form::default();
    form.add("grant_type", "authorization_code");
    form.add("code", code);
    let redirect_uri = list::redirect_uri(authority, provider.name.as_str());
    form.add("redirect_uri", redirect_uri.as_str());
    form.add("code_verifier", attempt.verifier.as_str());
    let answered = ask_for_tokens(authority, kept, &issuer.metadata, form, now).await?;
    if answered.status != StatusCode::OK {
        return Err(NotIdentified::Refused("code_refused"));
    }
    let tokens = TokenAnswer::of_document(&answered.body)?;
    let text = tokens
        .id_token
        .ok_or(NotIdentified::Refused("no_id_token"))?;
    // The token was made while we waited for it.
    let now = authority.clock.now();
    let access_token = tokens.access_token.as_ref();
    let token = Unverified::parse(&text, json::TOKEN).map_err(|_| OpenIdError::Malformed)?;
    let signed = issuers::verify(authority, named, &token, now).await;
    let signed = signed.map_err(not_issued)?;
    let expect = Expect {
        issuer: &provider.issuer,
        client_id: &provider.client_id,
        nonce: &attempt.nonce,
        access_token: access_token.map(|token| token.expose().as_str()),
        signed_in_since: attempt.is_fresh.then_some(attempt.began_at),
        now,
    };
    let token = IdToken::of(&signed, &expect)?;
    let mut claims = token.claims().clone();
    if provider.rules.need_more_than(&claims)
        && let (Some(url), Some(access_token)) = (&issuer.metadata.userinfo_endpoint, access_token)
    {
        add_user_info(authority, named, url, access_token, &token, &mut claims).await?;
    }
    Ok(Identified {
        token,
        claims,
        refresh_token: tokens.refresh_token,
        now,
    })
}

/// Asks the token endpoint of a provider, as ourselves.
pub(crate) async fn ask_for_tokens(
    authority: &Authority,
    kept: &Kept,
    metadata: &IssuerMetadata,
    mut form: credential::Form,
    now: Timestamp,
) -> Result<Answered, NotIdentified> {
    let provider = &kept.provider;
    let url = metadata.token_endpoint.as_deref().ok_or(NoDocument)?;
    let authorization = credential::prove(authority, kept, metadata, &mut form, now)?;
    let question = Question {
        url,
        network: Named::of(authority, provider).network,
        authorization,
        form: Some(form.finish()),
        most: DOCUMENT.bytes,
    };
    Ok(document::ask(&authority.reach, question).await?)
}

/// Why a token is not the provider's, for the record.
pub(crate) fn not_issued(why: NotIssued) -> NotIdentified {
    match why {
        NotIssued::Unavailable => NotIdentified::Unavailable,
        NotIssued::AlgNotAllowed => NotIdentified::Refused("alg_not_allowed"),
        NotIssued::NotSigned(NotSigned::UnknownKey) => NotIdentified::Refused("unknown_key"),
        NotIssued::NotSigned(NotSigned::BadSignature) => NotIdentified::Refused("bad_signature"),
    }
}

/// Adds what the provider says beside its ID token. It counts for the same person alone (OpenID Connect Core 1.0 §5.3.2),
/// and takes the place of nothing that was signed.
async fn add_user_info(
    authority: &Authority,
    named: Named<'_>,
    url: &str,
    access_token: &Secret<String>,
    token: &IdToken,
    claims: &mut Map<String, Value>,
) -> Result<(), NotIdentified> {
    let value = HeaderValue::try_from(format!("Bearer {}", access_token.expose()));
    let mut value = value.map_err(|_| OpenIdError::Malformed)?;
    value.set_sensitive(true);
    let question = Question {
        url,
        network: named.network,
        authorization: Some(value),
        form: None,
        most: DOCUMENT.bytes,
    };
    let answered = document::ask(&authority.reach, question).await?;
    if answered.status != StatusCode::OK {
        return Err(NotIdentified::Unavailable);
    }
    let said: Map<String, Value> =
        json::parse_as(&answered.body, DOCUMENT).map_err(|_| OpenIdError::Malformed)?;
    if said.get("sub").and_then(Value::as_str) != Some(token.subject()) {
        return Err(NotIdentified::Refused("subject_mismatch"));
    }
    // An address and whether it is verified are one statement: both are of the same document.
    if said.contains_key("email") {
        claims.remove("email");
        claims.remove("email_verified");
    }
    for (name, value) in said {
        claims.entry(name).or_insert(value);
    }
    Ok(())
}
