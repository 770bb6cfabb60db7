//! Says who the caller is, and how they signed in.

use axum::Json;
use chancery_api::owners::WhoAmI;
use chancery_store::sessions::Means;

use crate::ctx::{Caller, EvenRecovering};
use crate::directory::KnownLogin;

/// `GET /v1/whoami`: asks nothing of the decision point, since everyone may know who they are.
pub async fn whoami(EvenRecovering(ctx): EvenRecovering) -> Json<WhoAmI> {
    Json(match &ctx.caller {
        Caller::LocalAdministrator => WhoAmI {
            kind: "local_administrator".to_owned(),
            id: ctx.caller.hands().author.to_string(),
            issued_by: None,
            roles: Vec::new(),
            signed_in_with: Some("credential".to_owned()),
            session: None,
        },
        Caller::Human(login) => person(login),
    })
}

/// A person with a login, or in a session.
pub(crate) fn person(login: &KnownLogin) -> WhoAmI {
    let session = login.session.as_ref();
    let means = session.map(|session| &session.means);
    // What a recovery code leads to is for the passkey that is enrolled by it, not for the session.
    let roles = match means {
        Some(Means::RecoveryCode(_)) => Vec::new(),
        Some(Means::Passkey(_) | Means::Provider(_)) | None => login.roles.clone(),
    };
    WhoAmI {
        kind: "human".to_owned(),
        id: login.hands.author.to_string(),
        issued_by: login.hands.makers.first().map(ToString::to_string),
        roles,
        signed_in_with: Some(means.map_or("login", Means::name).to_owned()),
        session: session.map(|session| session.id),
    }
}
