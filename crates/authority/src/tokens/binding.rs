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
    let to = To {
        method: "POST",
        url,
        token: None,
    };
    prove_to(endpoints, &to, headers, now)
}

/// What a proof is for.
pub(crate) struct To<'a> {
    /// The method of the request.
    pub method: &'a str,
    /// Its URL, as proofs name it.
    pub url: &'a str,
    /// The access token that came with it, and the key that it is bound to.
    pub token: Option<(&'a str, &'a str)>,
}

/// The same for a request of any kind.
pub(crate) fn prove_to(
    endpoints: &Endpoints,
    to: &To<'_>,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Option<VerifiedProof>, Refusal> {
    let remembering =
        |proof: &str, expect: &dpop::Expect<'_>| endpoints.memory.prove(proof, expect);
    prove_with(&endpoints.authority, to, headers, now, remembering)
}

/// The same where nothing is remembered of the keys that verified before.
pub(crate) fn prove_anew(
    authority: &Authority,
    to: &To<'_>,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Option<VerifiedProof>, Refusal> {
    prove_with(authority, to, headers, now, dpop::verify)
}

fn prove_with(
    authority: &Authority,
    to: &To<'_>,
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
        method: to.method,
        url: to.url,
        now,
        window: dpop::WINDOW,
        access_token: to.token.map(|(text, _)| text),
        bound_jkt: to.token.map(|(_, jkt)| jkt),
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
    let known = directory.by_url.get(resource);
    let known = known.map(|known| Target::Resource(known.resource.bearer_until));
    // It is there whether or not somebody registered it, as one does to let it take bearer tokens for a while.
    let userinfo = authority.config.is_userinfo(resource);
    known.or(userinfo.then_some(Target::Resource(None)))
}
