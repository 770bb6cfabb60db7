//! Lets clients register themselves for a while: an exception that is asked for, recorded, and ends by itself.

use std::time::Duration;

use axum::Json;
use chancery_api::clients::{OpenRegistration, RegistrationView};
use chancery_model::action::Action;
use chancery_model::event::EventKind;
use chancery_policy::Target;
use chancery_store::meta;

use crate::ctx::Ctx;
use crate::error::Error;
use crate::extract::Body;
use crate::refresh::directory::REGISTRATION_UNTIL;
use crate::text::rfc3339;

/// The longest that registration is open without being opened anew.
const LONGEST: u64 = 7 * 86_400;

/// `POST /v1/clients/open`; none at all closes it.
pub async fn open(
    ctx: Ctx,
    Body(body): Body<OpenRegistration>,
) -> Result<Json<RegistrationView>, Error> {
    if body.seconds > LONGEST {
        return Err(Error::Invalid(
            "`seconds` is at most 7 days; 0 closes it".to_owned(),
        ));
    }
    let permit = ctx.authorize(Action::ClientManage, Target::Authority)?;
    let until = ctx.now.after(Duration::from_secs(body.seconds));
    let mut tx = ctx.begin().await?;
    meta::set(&mut tx, REGISTRATION_UNTIL, &until.as_micros().to_string()).await?;
    let mut event = ctx.event(EventKind::ClientRegistrationOpened);
    event.facts.insert("until".to_owned(), rfc3339(until));
    ctx.commit(permit, tx, event, Vec::new()).await?;
    Ok(Json(RegistrationView {
        is_open: body.seconds > 0,
        until: rfc3339(until),
    }))
}
