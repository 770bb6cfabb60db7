//! To which key or certificate a token is bound, and whether it may be bound to none.

use std::time::Duration;

use axum::http::HeaderMap;
use chancery_gateway::snapshot::Snapshot;
use chancery_model::bearer;
use chancery_model::time::Timestamp;
use chancery_wire::access_token::Cnf;
use chancery_wire::dpop::{self, DpopError, NonceRule, VerifiedProof};
use chancery_wire::oauth::ErrorCode;

use crate::state::Authority;
use crate::tokens::Endpoints;
use crate::tokens::refusal::Refusal;

/// How old a DPoP nonce may be.
const NONCE_AGE: Duration = Duration::from_secs(60);

/// Checks the DPoP proof, if one came; more than one is an error (RFC 9449 4.3).
pub(crate) fn prove(
    endpoints: &Endpoints,
    url: &str,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Option<VerifiedProof>, Refusal> {
    let remembering =
        |proof: &str, expect: &dpop::Expect<'_>| endpoints.memory.prove(proof, expect);
    prove_with(&endpoints.authority, url, headers, now, remembering)
}

/// The same where nothing is remembered of the keys that verified before.
pub(crate) fn prove_anew(
    authority: &Authority,
    url: &str,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Option<VerifiedProof>, Refusal> {
    prove_with(authority, url, headers, now, dpop::verify)
}

fn prove_with(
    authority: &Authority,
    url: &str,
    headers: &HeaderMap,
    now: Timestamp,
    verify: impl Fn(&str, &dpop::Expect<'_>) -> Result<VerifiedProof, DpopError>,
) -> Result<Option<VerifiedProof>, Refusal> {
    let invalid = |code| {
        Refusal::new(
            ErrorCode::InvalidDpopProof,
            "the DPoP proof is not acceptable",
            code,
        )
    };
    let mut proofs = headers.get_all("DPoP").iter();
    let Some(proof) = proofs.next() else {
        return Ok(None);
    };
    if proofs.next().is_some() {
        return Err(invalid("several_proofs"));
    }
    let proof = proof.to_str().map_err(|_| invalid("malformed"))?;
    let nonces = &authority.nonces;
    let check = |nonce: &str| nonces.check(nonce, now, NONCE_AGE);
    let expect = dpop::Expect {
        method: "POST",
        url,
        now,
        window: dpop::WINDOW,
        access_token: None,
        bound_jkt: None,
        nonce: NonceRule::Required(&check),
    };
    let proof = verify(proof, &expect);
    proof.map(Some).map_err(|error| {
        let code = error.error_code();
        let description = if code == ErrorCode::UseDpopNonce {
            "the DPoP proof must carry the nonce of this answer"
        } else {
            "the DPoP proof is not acceptable"
        };
        Refusal {
            nonce: true,
            ..Refusal::new(code, description, error.code())
        }
    })
}

/// Bound to nothing only where an explicit, unexpired exception allows it (SI-3).
pub(crate) fn require_binding(
    authority: &Authority,
    snapshot: &Snapshot,
    resource: &str,
    cnf: Option<&Cnf>,
    now: Timestamp,
) -> Result<(), Refusal> {
    let bearer_until = match find_resource(authority, snapshot, resource) {
        Some(Target::Mcp(until) | Target::Resource(until)) => until,
        None => {
            return Err(Refusal::new(
                ErrorCode::InvalidTarget,
                "the resource is not registered",
                "unknown_resource",
            ));
        }
    };
    if cnf.is_none() && !bearer::is_allowed(bearer_until, now) {
        return Err(Refusal {
            nonce: true,
            ..Refusal::new(
                ErrorCode::InvalidDpopProof,
                "tokens for this resource are bound to a key: send a DPoP proof, or have an administrator let the resource \
                 take bearer tokens for a while (`--allow-bearer`)",
                "proof_missing",
            )
        });
    }
    Ok(())
}

/// What a resource identifier names, with the end of its exception from bound tokens.
enum Target {
    Mcp(Option<Timestamp>),
    Resource(Option<Timestamp>),
}

fn find_resource(authority: &Authority, snapshot: &Snapshot, resource: &str) -> Option<Target> {
    if let Some(known) = snapshot.server_of(resource) {
        return Some(Target::Mcp(known.server.bearer_until));
    }
    let directory = authority.directory.load();
    directory
        .by_url
        .get(resource)
        .map(|known| Target::Resource(known.resource.bearer_until))
}
