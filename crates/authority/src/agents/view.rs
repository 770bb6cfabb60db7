//! An agent as our API shows it.

use chancery_api::agents::{AgentView, VersionView};
use chancery_model::agent::{AgentState, NotLive};
use chancery_model::version::{Version, VersionState, widenings};
use chancery_store::tx::Tx;
use chancery_store::{agent_trusts, owners, redirects, versions};
use chancery_wire::json;
use chancery_wire::jwk::KeySet;

use crate::agents::load::Loaded;
use crate::agents::trust;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::refresh::directory;
use crate::text::rfc3339;

/// The view of an agent, with the version that waits, if one does.
pub(crate) async fn of(ctx: &Ctx, tx: &mut Tx, loaded: &Loaded) -> Result<AgentView, Error> {
    let Loaded { agent, version, .. } = loaded;
    let latest = versions::fetch_latest(tx, agent.id).await?;
    let pending = latest.filter(|latest| latest.state == VersionState::Pending);
    let owner = owners::fetch(tx, agent.owner_id)
        .await?
        .ok_or(Error::Broken)?;
    let live = agent.live(ctx.now, directory::find_live(tx, &owner).await?);
    let reason = match &agent.state {
        AgentState::Draft | AgentState::Active => None,
        AgentState::Suspended { reason, .. } | AgentState::Retired { reason, .. } => {
            Some(reason.as_str().to_owned())
        }
    };
    let pending_because = pending
        .as_ref()
        .filter(|pending| pending.number != version.number)
        .map(|pending| widenings(&version.document, &pending.document))
        .unwrap_or_default();
    Ok(AgentView {
        id: agent.id,
        name: agent.name.as_str().to_owned(),
        status: agent.state.name().to_owned(),
        live: live.is_ok(),
        not_live_because: live
            .err()
            .filter(|why| !matches!(why, NotLive::State(_)))
            .map(|why| why.to_string()),
        version: version.digest,
        version_number: version.number,
        pending_version: pending.map(|pending| pending.number),
        pending_because: pending_because.iter().map(ToString::to_string).collect(),
        owner: version.document.owner.as_str().to_owned(),
        owner_id: agent.owner_id,
        document: version.document.clone(),
        signature: version.signature.clone(),
        keys: thumbprints(agent.jwks.as_deref())?,
        authentication: agent.authentication.clone().into(),
        redirect_uris: redirects::list(tx, agent.id).await?,
        post_logout_redirect_uris: redirects::list_after_logout(tx, agent.id).await?,
        trusts: {
            let trusts = agent_trusts::list(tx, agent.id).await?;
            trusts.into_iter().map(trust::view).collect()
        },
        reason,
        created_at: rfc3339(agent.created_at),
        updated_at: rfc3339(agent.updated_at),
        expires_at: agent.expires_at.map(rfc3339),
        revision: agent.revision,
    })
}

/// The thumbprints of a stored key set.
pub(crate) fn thumbprints(jwks: Option<&str>) -> Result<Vec<String>, Error> {
    let Some(jwks) = jwks else {
        return Ok(Vec::new());
    };
    let jwks = json::parse(jwks.as_bytes(), json::BODY).map_err(|_| Error::Broken)?;
    let keys = KeySet::parse(&jwks).map_err(|_| Error::Broken)?;
    Ok(keys.keys().map(|key| key.thumbprint().to_owned()).collect())
}

/// A version as our API shows it; `before` is the one that came into force before it.
pub(crate) fn version(version: Version, before: Option<&Version>) -> VersionView {
    let decided_by = match &version.state {
        VersionState::Pending | VersionState::Superseded { .. } => None,
        VersionState::InForce {
            accepted_by: by, ..
        }
        | VersionState::Rejected { by, .. } => Some(by.to_string()),
    };
    let widens = before.map(|before| widenings(&before.document, &version.document));
    VersionView {
        number: version.number,
        digest: version.digest,
        previous: version.previous,
        state: version.state.name().to_owned(),
        widens: widens
            .unwrap_or_default()
            .iter()
            .map(ToString::to_string)
            .collect(),
        proposed_at: rfc3339(version.proposed_at),
        document: version.document,
        signature: version.signature,
        proposed_by: version.proposed_by.author.to_string(),
        decided_by,
    }
}
