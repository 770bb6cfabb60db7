//! Shows providers, never what we prove ourselves with there.

use axum::Json;
use chancery_api::page::Page;
use chancery_api::providers::{ClaimRule, ProviderView};
use chancery_model::action::Action;
use chancery_policy::Target;
use chancery_store::provider_links;
use chancery_store::providers::{self, Kept};
use chancery_store::tx::Tx;

use crate::ctx::Ctx;
use crate::error::Error;
use crate::extract::Path;
use crate::providers::credential;
use crate::state::Authority;
use crate::text::rfc3339;

/// `GET /v1/providers`.
pub async fn list(ctx: Ctx) -> Result<Json<Page<ProviderView>>, Error> {
    ctx.authorize(Action::ProviderRead, Target::Authority)?;
    let mut tx = ctx.read().await?;
    let mut items = Vec::new();
    for kept in providers::list(&mut tx).await? {
        items.push(view(&ctx.authority, &mut tx, &kept).await?);
    }
    Ok(Json(Page { items, next: None }))
}

/// `GET /v1/providers/{provider}`.
pub async fn show(ctx: Ctx, Path(name): Path<String>) -> Result<Json<ProviderView>, Error> {
    ctx.authorize(Action::ProviderRead, Target::Authority)?;
    let mut tx = ctx.read().await?;
    let kept = require(&mut tx, &name).await?;
    Ok(Json(view(&ctx.authority, &mut tx, &kept).await?))
}

/// The provider of this name.
pub(crate) async fn require(tx: &mut Tx, name: &str) -> Result<Kept, Error> {
    let kept = providers::fetch_by_name(tx, name).await?;
    kept.ok_or(Error::NotFound("provider"))
}

/// Where the provider sends browsers back to: an address of its own for each, so that what one says is never taken for
/// the word of another (RFC 9207, mix-up).
pub(crate) fn redirect_uri(authority: &Authority, name: &str) -> String {
    let origin = authority.relying_party.origin();
    format!("{origin}/sign-in/providers/{name}/callback")
}

/// A provider as our API shows it.
pub(crate) async fn view(
    authority: &Authority,
    tx: &mut Tx,
    kept: &Kept,
) -> Result<ProviderView, Error> {
    let provider = &kept.provider;
    let (people, unanswered) = provider_links::count(tx, &provider.issuer).await?;
    let name = provider.name.as_str();
    let rules = &provider.rules;
    Ok(ProviderView {
        id: provider.id,
        name: name.to_owned(),
        issuer: provider.issuer.clone(),
        client_id: provider.client_id.clone(),
        method: provider.method.name().to_owned(),
        public_jwk: match kept.sealed.is_empty() {
            true => None,
            false => credential::key(authority, kept)?.map(|key| key.public().to_jwk()),
        },
        redirect_uri: redirect_uri(authority, name),
        logout_uri: format!(
            "{}/sign-in/providers/{name}/logout",
            authority.relying_party.origin()
        ),
        handle_claim: rules.handle_claim.clone(),
        allow_domains: rules.allow_domains.clone(),
        require_claims: (rules.require_claims.iter())
            .map(|claim| ClaimRule {
                name: claim.name.clone(),
                value: claim.value.clone(),
            })
            .collect(),
        join: rules.lets_join,
        private_network: rules.is_private,
        people,
        unanswered,
        added_by: (provider.makers.first())
            .map(ToString::to_string)
            .unwrap_or_default(),
        created_at: rfc3339(provider.created_at),
    })
}
