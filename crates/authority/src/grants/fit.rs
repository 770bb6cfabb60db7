//! Whether an agent is still what a person consented to (AUTHZ-14).

use chancery_gateway::snapshot::KnownAgent;
use chancery_model::grant::Grant;
use chancery_model::version::widenings;
use chancery_store::tx::Tx;
use chancery_store::versions;
use chancery_wire::document;

use crate::error::Error;

/// Evidence that the version of an agent in force does, reaches and is no more than the one that a person
/// consented to. Only [`fit`] makes one, and the mint takes it.
pub(crate) struct Fit(());

/// Holds the version in force against the one that was consented to; `None` when it is wider.
pub(crate) async fn fit(
    tx: &mut Tx,
    known: &KnownAgent,
    grant: &Grant,
) -> Result<Option<Fit>, Error> {
    let Some((_, present)) = known.agent.version else {
        return Ok(None);
    };
    if known.agent.id != grant.agent {
        return Ok(None);
    }
    if present == grant.version {
        return Ok(Some(Fit(())));
    }
    let mut documents = Vec::with_capacity(2);
    for digest in [grant.version, present] {
        let version = versions::fetch_by_digest(tx, grant.agent, digest).await?;
        // What a row says now must be what its name was signed for.
        let version = version.filter(|found| document::digest_of(&found.document) == digest);
        documents.push(version.ok_or(Error::Broken)?.document);
    }
    let is_wider = match documents.as_slice() {
        [before, now] => !widenings(before, now).is_empty(),
        _ => true,
    };
    Ok((!is_wider).then_some(Fit(())))
}
