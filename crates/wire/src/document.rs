//! Signed versions of identity documents: each names the one before by digest (IDR-01, IDR-02).

use chancery_model::digest::Digest;
use chancery_model::document::Document;
use chancery_model::id::AgentId;
use chancery_model::version::Version;
use serde::{Deserialize, Serialize};

use crate::hash;
use crate::json;
use crate::jwk::{PrivateKey, PublicKey};
use crate::jws::{self, Unverified};

/// The `typ` of the signature over a version.
pub const TYP: &str = "chancery-agent-version+jwt";

/// What the authority signs of a version: the document is in it by its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// Whose version.
    pub agent: AgentId,
    /// The digest of the canonical document.
    pub digest: Digest,
    /// Its number.
    pub number: i64,
    /// The digest of the version before; `null` for the first.
    pub previous: Option<Digest>,
}

/// Why a version, or a chain of them, is not what the authority signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// The digest is not that of the document.
    #[error("version {0}: the document is not the one of its digest")]
    DocumentChanged(i64),
    /// No known key signed it.
    #[error("version {0}: the signature is by no known key")]
    UnknownKey(i64),
    /// The signature does not verify, or is over something else.
    #[error("version {0}: the signature does not fit")]
    BadSignature(i64),
    /// Another agent's version.
    #[error("version {0}: it belongs to another agent")]
    OtherAgent(i64),
    /// The number does not grow.
    #[error("version {0}: the number does not follow the one before")]
    NumberNotGrowing(i64),
    /// It does not name the version before.
    #[error("version {0}: it does not name the version before")]
    Unlinked(i64),
}

/// The digest of a document: the name of the version that it is.
pub fn digest_of(document: &Document) -> Digest {
    // A document is texts, lists and dates, without a number; the only text that could fail is a
    // date after the year 9999, and parsing a document refuses that.
    let canonical = serde_json_canonicalizer::to_vec(document).expect("a document is JSON");
    hash::sha256(&canonical)
}

/// Signs the statement of a version.
pub fn sign_version(statement: &Statement, key: &PrivateKey) -> String {
    // Ids, digests and an integer: nothing that JSON cannot write.
    let claims = serde_json::to_vec(statement).expect("a statement is JSON");
    jws::sign(key, TYP, &claims)
}

/// Checks that a version is what the authority signed.
pub fn verify_version(version: &Version, keys: &[PublicKey]) -> Result<(), VersionError> {
    let number = version.number;
    if digest_of(&version.document) != version.digest {
        return Err(VersionError::DocumentChanged(number));
    }
    let bad = VersionError::BadSignature(number);
    let token = Unverified::parse(&version.signature, json::TOKEN).map_err(|_| bad)?;
    if !token.header().typ_is(TYP) {
        return Err(bad);
    }
    let kid = token.header().kid.as_deref();
    let key = keys
        .iter()
        .find(|key| kid == Some(key.thumbprint()))
        .ok_or(VersionError::UnknownKey(number))?;
    let verified = token.verify(key).map_err(|_| bad)?;
    let signed: Statement = verified.claims(json::TOKEN).map_err(|_| bad)?;
    if signed != Statement::of(version) {
        return Err(bad);
    }
    Ok(())
}

/// Checks the versions of one agent that follow `before`, oldest first: each is what the authority signed,
/// numbers grow, and each names the one before; the first of all names none.
pub fn verify_chain<'a>(
    mut before: Option<&'a Version>,
    versions: &'a [Version],
    keys: &[PublicKey],
) -> Result<(), VersionError> {
    for version in versions {
        let number = version.number;
        verify_version(version, keys)?;
        if before.is_some_and(|before| before.agent_id != version.agent_id) {
            return Err(VersionError::OtherAgent(number));
        }
        if number <= before.map_or(0, |before| before.number) {
            return Err(VersionError::NumberNotGrowing(number));
        }
        if version.previous != before.map(|before| before.digest) {
            return Err(VersionError::Unlinked(number));
        }
        before = Some(version);
    }
    Ok(())
}

impl Statement {
    /// The statement that the signature of `version` must be over.
    pub fn of(version: &Version) -> Self {
        Self {
            agent: version.agent_id,
            digest: version.digest,
            number: version.number,
            previous: version.previous,
        }
    }
}

#[cfg(test)]
mod tests;
