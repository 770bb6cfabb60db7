//! Adds a provider: it is looked up first, so that what cannot work is not added.

use std::sync::Arc;

use axum::Json;
use chancery_api::providers::{AddProvider, ProviderView};
use chancery_gateway::document::NoDocument;
use chancery_model::action::Action;
use chancery_model::event::EventKind;
use chancery_model::id::ProviderId;
use chancery_model::provider::{ClientMethod, Provider, ProviderName, RequiredClaim, Rules};
use chancery_model::secret::Secret;
use chancery_policy::Target;
use chancery_store::providers::{self, Kept};
use chancery_wire::issuer::{self, ClientAuthentication, IssuerMetadata};
use chancery_wire::jwk::PrivateKey;

use crate::ctx::Ctx;
use crate::error::Error;
use crate::extract::Body;
use crate::issuers::{self, Named};
use crate::providers::{credential, list};

/// How many providers there may be: each is a link where people sign in.
const MOST: usize = 16;

/// `POST /v1/providers`.
pub async fn add(ctx: Ctx, Body(body): Body<AddProvider>) -> Result<Json<ProviderView>, Error> {
    let permit = ctx.authorize(Action::ProviderManage, Target::Authority)?;
    ctx.require_fresh()?;
    let name = ProviderName::parse(&body.name).map_err(invalid)?;
    issuer::parse(&body.issuer, ctx.authority.config.is_development()).map_err(invalid)?;
    if !is_text(&body.client_id) {
        return Err(invalid("`client_id` is 1 to 512 visible characters"));
    }
    let (method, credential) = credential_of(&body)?;
    let rules = rules_of(&body);
    rules.check().map_err(invalid)?;
    require_usable(&ctx, &body, method).await?;

    let id = ProviderId::generate(ctx.now, &*ctx.authority.entropy);
    let kept = Kept {
        provider: Provider {
            id,
            name,
            issuer: body.issuer,
            client_id: body.client_id,
            method,
            rules,
            makers: ctx.caller.hands().makers_of_what_is_made(),
            created_at: ctx.now,
        },
        sealed: credential::wrap(&ctx.authority, id, credential.expose()),
    };
    let mut tx = ctx.begin().await?;
    if providers::list(&mut tx).await?.len() >= MOST {
        return Err(Error::Conflict(format!(
            "there are at most {MOST} providers; remove one first"
        )));
    }
    providers::insert(&mut tx, &kept).await?;
    let view = list::view(&ctx.authority, &mut tx, &kept).await?;
    let mut event = ctx.event(EventKind::ProviderAdded);
    let rules = serde_json::to_string(&kept.provider.rules).map_err(|_| Error::Broken)?;
    let facts = [
        ("provider", id.to_string()),
        ("name", kept.provider.name.as_str().to_owned()),
        ("issuer", kept.provider.issuer.clone()),
        ("client_id", kept.provider.client_id.clone()),
        ("method", method.name().to_owned()),
        ("rules", rules),
    ];
    let facts = facts.map(|(name, fact)| (name.to_owned(), fact));
    event.facts.extend(facts);
    ctx.commit(permit, tx, event, Vec::new()).await?;
    Ok(Json(view))
}

fn invalid(why: impl ToString) -> Error {
    Error::Invalid(why.to_string())
}

fn is_text(text: &str) -> bool {
    (1..=512).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The secret, or a key of ours that signs.
fn credential_of(body: &AddProvider) -> Result<(ClientMethod, Secret<Vec<u8>>), Error> {
    match (&body.client_secret, &body.private_jwk) {
        (Some(secret), None) if is_text(secret) => {
            let secret = secret.as_bytes().to_vec();
            Ok((ClientMethod::Secret, Secret::new(secret)))
        }
        (Some(_), None) => Err(invalid("`client_secret` is 1 to 512 visible characters")),
        (None, Some(jwk)) => {
            let key = PrivateKey::from_jwk(jwk)
                .map_err(|error| invalid(format!("`private_jwk`: {error}")))?;
            let jwk = key.to_jwk().expose().as_bytes().to_vec();
            Ok((ClientMethod::Key, Secret::new(jwk)))
        }
        (Some(_), Some(_)) | (None, None) => Err(invalid(
            "a provider needs either `client_secret` or `private_jwk`",
        )),
    }
}

fn rules_of(body: &AddProvider) -> Rules {
    let claims = body.require_claims.iter().cloned();
    Rules {
        handle_claim: body.handle_claim.clone(),
        allow_domains: body.allow_domains.clone(),
        require_claims: claims
            .map(|claim| RequiredClaim {
                name: claim.name,
                value: claim.value,
            })
            .collect(),
        lets_join: body.join,
        is_private: body.private_network,
    }
}

/// Refuses a provider that does not answer, or with which nobody could sign in.
async fn require_usable(ctx: &Ctx, body: &AddProvider, method: ClientMethod) -> Result<(), Error> {
    let authority: &Arc<_> = &ctx.authority;
    let named = Named::new(authority, &body.issuer, body.private_network);
    let found = issuers::find(authority, named, ctx.now).await;
    let issuer = found.map_err(|NoDocument| {
        // Which of them it is, is in our log alone (SSRF-04).
        unusable(
            "no acceptable discovery document and keys can be had from the issuer; it must describe itself as exactly \
             this issuer, over `https` on the public network unless `private_network` says otherwise",
        )
    })?;
    lacks(&issuer.metadata, method).map_or(Ok(()), |what| Err(unusable(what)))
}

/// What a provider lacks that signing in needs.
fn lacks(metadata: &IssuerMetadata, method: ClientMethod) -> Option<&'static str> {
    if metadata.authorization_endpoint.is_none() || metadata.token_endpoint.is_none() {
        return Some(
            "the issuer has no endpoint where people sign in, or none where codes are redeemed",
        );
    }
    if metadata.algorithms.is_empty() {
        return Some(
            "the issuer signs with no algorithm that is allowed: ES256, EdDSA, PS256, RS256",
        );
    }
    let methods = &metadata.client_authentication;
    let takes = |method| methods.contains(&method);
    let is_taken = match method {
        ClientMethod::Secret => {
            takes(ClientAuthentication::SecretBasic) || takes(ClientAuthentication::SecretPost)
        }
        ClientMethod::Key => takes(ClientAuthentication::PrivateKeyJwt),
    };
    (!is_taken).then_some("the issuer does not let clients authenticate in that way")
}

fn unusable(what: &str) -> Error {
    Error::Unacceptable {
        title: "nobody could sign in with that provider".to_owned(),
        problems: vec![what.to_owned()],
    }
}
