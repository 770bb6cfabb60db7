//! Invites a person: a link by which they enrol a passkey, once.

use std::time::Duration;

use axum::Json;
use chancery_api::people::{Invitation, InvitePerson};
use chancery_model::action::Action;
use chancery_model::event::EventKind;
use chancery_policy::Target;
use chancery_store::invitations;
use chancery_wire::hash;

use crate::accounts::{add, login};
use crate::ctx::Ctx;
use crate::error::Error;
use crate::extract::{Body, Path};
use crate::text::rfc3339;

const DAY: u64 = 86_400;

/// `POST /v1/owners/{owner}/invitations`.
///
/// Whoever invites sees the link and could follow it first. So what is enrolled by it keeps who invited, as a login keeps
/// who had it made: nobody becomes a second person by an invitation in another name (IDR-06).
pub async fn invite(
    ctx: Ctx,
    Path(handle): Path<String>,
    Body(body): Body<InvitePerson>,
) -> Result<Json<Invitation>, Error> {
    login::check_roles(&body.roles)?;
    let lifetime = body.lifetime.unwrap_or(DAY);
    if !(60..=7 * DAY).contains(&lifetime) {
        return Err(Error::Invalid(
            "`lifetime` is 60 seconds to 7 days".to_owned(),
        ));
    }
    let handle = add::parse(&handle)?;
    let permit = ctx.authorize(Action::OwnerManage, Target::Owner(handle.as_str()))?;
    let mut tx = ctx.begin().await?;
    let owner = login::require_person(&mut tx, &handle).await?;
    let secret = login::secret("chi", &*ctx.authority.entropy);
    let hands = ctx.caller.hands();
    let issued_by = hands.author.to_string();
    let invitation = invitations::Invitation {
        secret_hash: hash::sha256(secret.as_bytes()),
        owner_id: owner.id,
        makers: hands.makers_of_what_is_made(),
        roles: body.roles.clone(),
        created_at: ctx.now,
        expires_at: ctx.now.after(Duration::from_secs(lifetime)),
    };
    // Of several links the last one counts: fewer are about.
    invitations::end_for_owner(&mut tx, owner.id, ctx.now).await?;
    invitations::insert(&mut tx, &invitation).await?;
    let expires_at = rfc3339(invitation.expires_at);
    let mut event = ctx.event(EventKind::PersonInvited);
    let facts = [
        ("owner", owner.id.to_string()),
        ("handle", owner.handle.as_str().to_owned()),
        ("roles", body.roles.join(" ")),
        ("expires_at", expires_at.clone()),
    ];
    let facts = facts.map(|(name, fact)| (name.to_owned(), fact));
    event.facts.extend(facts);
    ctx.commit(permit, tx, event, Vec::new()).await?;
    let origin = ctx.authority.relying_party.origin();
    Ok(Json(Invitation {
        owner: owner.handle.as_str().to_owned(),
        issued_by,
        roles: body.roles,
        link: format!("{origin}/console/#invite={secret}"),
        expires_at,
    }))
}
