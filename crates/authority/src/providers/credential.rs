//! What we prove ourselves with at a provider: wrapped at rest, opened for one question.

use axum::http::HeaderValue;
use chancery_model::id::ProviderId;
use chancery_model::provider::ClientMethod;
use chancery_model::secret::Secret;
use chancery_model::time::Timestamp;
use chancery_store::providers::Kept;
use chancery_wire::client_assertion::{self, ASSERTION_TYPE};
use chancery_wire::issuer::{ClientAuthentication, IssuerMetadata};
use chancery_wire::jwk::PrivateKey;
use chancery_wire::openid::exchange;
use chancery_wire::{json, seal};

use crate::accounts::login;
use crate::error::Error;
use crate::state::Authority;

/// A form under way to a provider.
#[derive(Default)]
pub(crate) struct Form(Vec<(&'static str, String)>);

impl Form {
    /// Adds a parameter.
    pub(crate) fn add(&mut self, name: &'static str, value: impl Into<String>) {
        self.0.push((name, value.into()));
    }

    /// The form as it is sent.
    pub(crate) fn finish(self) -> String {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(self.0);
        form.finish()
    }
}

/// Wraps the credential of a provider.
pub(crate) fn wrap(authority: &Authority, id: ProviderId, credential: &[u8]) -> String {
    let entropy = &*authority.entropy;
    seal::seal(&authority.master, &aad(id), credential, entropy)
}

/// What a wrapped credential is bound to: it opens for this provider alone.
fn aad(id: ProviderId) -> String {
    format!("provider/{id}/credential")
}

fn open(authority: &Authority, kept: &Kept) -> Result<Secret<Vec<u8>>, Error> {
    let id = kept.provider.id;
    seal::open(&authority.master, &aad(id), &kept.sealed).map_err(|_| {
        tracing::error!(provider.id = %id, "the credential of a provider does not open with this master key");
        Error::Broken
    })
}

/// Our key at a provider, where we have one.
pub(crate) fn key(authority: &Authority, kept: &Kept) -> Result<Option<PrivateKey>, Error> {
    match kept.provider.method {
        ClientMethod::Secret => Ok(None),
        ClientMethod::Key => {
            let jwk = open(authority, kept)?;
            let jwk = json::parse(jwk.expose(), json::BODY).map_err(|_| Error::Broken)?;
            PrivateKey::from_jwk(&jwk)
                .map(Some)
                .map_err(|_| Error::Broken)
        }
    }
}

/// Proves to a provider who we are: with a header, or with more in the form.
pub(crate) fn prove(
    authority: &Authority,
    kept: &Kept,
    metadata: &IssuerMetadata,
    form: &mut Form,
    now: Timestamp,
) -> Result<Option<HeaderValue>, Error> {
    let provider = &kept.provider;
    if let Some(key) = key(authority, kept)? {
        let jti = login::secret("jti", &*authority.entropy);
        // T1: the audience is the issuer, alone, wherever the form goes.
        let assertion =
            client_assertion::sign_as(&provider.client_id, &provider.issuer, &jti, now, &key);
        form.add("client_id", provider.client_id.as_str());
        form.add("client_assertion_type", ASSERTION_TYPE);
        form.add("client_assertion", assertion.as_str());
        return Ok(None);
    }
    let secret = open(authority, kept)?;
    let secret = std::str::from_utf8(secret.expose()).map_err(|_| Error::Broken)?;
    let methods = &metadata.client_authentication;
    let takes_basic = methods.contains(&ClientAuthentication::SecretBasic);
    if !takes_basic && methods.contains(&ClientAuthentication::SecretPost) {
        form.add("client_id", provider.client_id.as_str());
        form.add("client_secret", secret);
        return Ok(None);
    }
    let basic = exchange::basic(&provider.client_id, secret);
    let value = HeaderValue::from_str(basic.expose());
    let mut value = value.map_err(|_| Error::Broken)?;
    value.set_sensitive(true);
    Ok(Some(value))
}
