//! Says who the caller is.

use axum::Json;
use chancery_api::owners::WhoAmI;

use crate::ctx::{Caller, Ctx};

/// `GET /v1/whoami`: asks nothing of the decision point, since everyone may know who they are.
pub async fn whoami(ctx: Ctx) -> Json<WhoAmI> {
    let (kind, roles) = match &ctx.caller {
        Caller::LocalAdministrator => ("local_administrator", Vec::new()),
        Caller::Human(login) => ("human", login.roles.clone()),
    };
    let hands = ctx.caller.hands();
    Json(WhoAmI {
        kind: kind.to_owned(),
        id: hands.author.to_string(),
        issued_by: hands.makers.first().map(ToString::to_string),
        roles,
    })
}
