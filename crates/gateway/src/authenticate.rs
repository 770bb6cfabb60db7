//! Who calls: the access token, the key that it is bound to, and whether both still stand.
//!
//! A token that verified once is remembered by the hash of its text, and only its signature is not
//! checked again: key, audience, end, revocation, agent and version are looked at on every call. The
//! token decides whether a proof is needed, never the scheme that it came with (DPOP-01).

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use chancery_model::digest::Digest;
use chancery_model::entropy::Entropy;
use chancery_model::secret::Secret;
use chancery_model::time::Timestamp;
use chancery_wire::access_token::{self, Acting, Claims, TokenError, VerifiedAccessToken};
use chancery_wire::certificate::PeerCertificate;
use chancery_wire::dpop::{self, DpopError, NonceRule, ProofKey};
use chancery_wire::nonce::{NonceError, NonceKey};
use chancery_wire::oauth::{Credential, ErrorCode, OAuthError, authorization_header};
use chancery_wire::{hash, json};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, StatusCode};
use moka::sync::Cache;

use crate::case::Case;
use crate::guard;
use crate::links::Principal;
use crate::refusal::Refusal;
use crate::snapshot::{KnownAgent, KnownServer, Snapshot};
use crate::spent::{BOUNDS, Spent, Unspendable};

const PROOF: HeaderName = HeaderName::from_static("dpop");

/// How long a nonce of ours may be used.
const NONCE_AGE: Duration = Duration::from_secs(300);
/// From this age on, an answer carries the next nonce.
const NONCE_AGEING: Duration = Duration::from_secs(120);

/// How many bytes of remembered tokens are kept.
const TOKEN_BYTES: u64 = 64 * 1024 * 1024;
/// How many bytes of remembered proof headers are kept.
const KEY_BYTES: u64 = 16 * 1024 * 1024;
/// Longer than any token lives.
const REMEMBERED: Duration = Duration::from_secs(900);

/// Recognises callers.
pub(crate) struct Authenticator {
    tokens: Cache<Digest, Arc<Held>>,
    keys: Cache<String, ProofKey>,
    nonces: NonceKey,
    spent: Spent,
}

/// A token that verified.
pub(crate) struct Held {
    pub(crate) token: VerifiedAccessToken,
    /// How much of the memory for tokens it takes.
    weight: u32,
}

/// What a request came with.
#[derive(Clone, Copy)]
pub(crate) struct Came<'a> {
    pub(crate) headers: &'a HeaderMap,
    /// The certificate of the connection, if it has one.
    pub(crate) peer: Option<&'a PeerCertificate>,
}

/// Whom a token and its proof speak for.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) agent: Arc<KnownAgent>,
    held: Arc<Held>,
}

impl Caller {
    /// The token that was presented.
    pub(crate) fn token(&self) -> &VerifiedAccessToken {
        &self.held.token
    }

    /// Who calls, and on whose behalf.
    pub(crate) fn principal(&self) -> Principal {
        let subject = match self.held.token.claims().acting() {
            Ok(Acting::Delegated { subject, .. }) => Some(subject),
            // A token that says half of it was not admitted.
            Ok(Acting::Autonomous) | Err(_) => None,
        };
        (self.agent.agent.id, subject)
    }

    /// Whether the caller proved to hold what the token is bound to.
    pub(crate) fn is_sender_constrained(&self) -> bool {
        // An unbound token needs no proof; a bound one does not come this far without.
        self.held.token.is_bound()
    }
}

/// Requires that the person on whose behalf a token is signed in as the server wants it; nobody signs in for an agent that
/// acts for itself.
fn require_sign_in(server: &KnownServer, claims: &Claims, now: Timestamp) -> Result<(), Refusal> {
    let wanted = server.server.sign_in;
    let auth_time = claims.auth_time.map(Timestamp::from_secs);
    if claims.act.is_none() || wanted.is_met(auth_time, claims.acr.as_deref(), now) {
        return Ok(());
    }
    let error = OAuthError::new(
        ErrorCode::InsufficientUserAuthentication,
        "the person must have signed in more recently, or more surely",
    );
    let acr = wanted.acr.map(|acr| ("acr_values", acr.name().to_owned()));
    let age = wanted
        .max_age
        .map(|age| ("max_age", age.as_secs().to_string()));
    Err(Refusal::ask_person(
        error,
        acr.into_iter().chain(age).collect(),
    ))
}

impl Authenticator {
    /// The nonce key is new with every process: proofs made for another one fail.
    pub(crate) fn new(entropy: &dyn Entropy) -> Self {
        let mut secret = [0; 32];
        entropy.fill(&mut secret);
        Self {
            tokens: Cache::builder()
                .max_capacity(TOKEN_BYTES)
                .weigher(|_, held: &Arc<Held>| held.weight)
                .time_to_live(REMEMBERED)
                .build(),
            keys: Cache::builder()
                .max_capacity(KEY_BYTES)
                .weigher(|text: &String, _| weight(text))
                .time_to_idle(REMEMBERED)
                .build(),
            nonces: NonceKey::new(&Secret::new(secret), "mcp gateway dpop"),
            spent: Spent::new(BOUNDS),
        }
    }

    /// A nonce for a client's next proof.
    pub(crate) fn nonce(&self, now: Timestamp) -> String {
        self.nonces.issue(now)
    }

    /// Recognises the caller of a POST to `server`, or says why not; what is learnt on the way goes
    /// into `case`. Beside the caller comes the nonce for the next proof, when it is time for one.
    pub(crate) fn recognise(
        &self,
        snapshot: &Snapshot,
        server: &KnownServer,
        Came { headers, peer }: Came<'_>,
        now: Timestamp,
        case: &mut Case,
    ) -> Result<(Caller, Option<String>), Refusal> {
        let (text, by_proof) = presented(headers)?;
        let held = self.verified(text, snapshot, &server.resource, now)?;
        let agent = match snapshot.admit(&held.token, now) {
            Ok(agent) => Arc::clone(agent),
            Err(why) => {
                case.suspect(snapshot, &held);
                return Err(invalid_token(why.code(), guard::message(why)));
            }
        };
        case.came_with(&agent, &held);
        // Before a proof is used up: what is bound to both is held to both.
        held.token
            .require_certificate(peer)
            .map_err(refused_token)?;
        let mut next_nonce = None;
        match (held.token.bound_jkt(), by_proof) {
            (Some(jkt), true) => {
                next_nonce = self.prove(text, jkt, server, &agent, headers, now)?;
            }
            (Some(_), false) => {
                let message = "the access token is bound to a key and needs a DPoP proof";
                return Err(invalid_token("bound_token_as_bearer", message));
            }
            (None, true) => {
                let message = "the access token is not bound to a key";
                return Err(invalid_token("unbound_token_with_proof", message));
            }
            (None, false) => {
                if !held.token.is_bound() && !server.takes_bearer(now) {
                    let message = "this server takes no tokens that are not bound to a key";
                    return Err(invalid_token("bearer_not_allowed", message));
                }
            }
        }
        case.is_recognised = true;
        require_sign_in(server, held.token.claims(), now)?;
        Ok((Caller { agent, held }, next_nonce))
    }

    /// The token with this exact text, verified now or before.
    fn verified(
        &self,
        text: &str,
        snapshot: &Snapshot,
        audience: &str,
        now: Timestamp,
    ) -> Result<Arc<Held>, Refusal> {
        let name = hash::sha256(text.as_bytes());
        if let Some(held) = self.tokens.get(&name) {
            let (issuer, keys) = (&snapshot.issuer, &snapshot.token_keys);
            if held.token.is_still_signed(issuer, keys) {
                if held.token.claims().aud != audience {
                    return Err(refused_token(TokenError::WrongAudience));
                }
                return Ok(held);
            }
            self.tokens.invalidate(&name);
        }
        let expect = access_token::Expect {
            issuer: &snapshot.issuer,
            audience: Some(audience),
            now,
        };
        let token =
            access_token::verify(text, &snapshot.token_keys, &expect).map_err(refused_token)?;
        let weight = weight(text);
        let held = Arc::new(Held { token, weight });
        self.tokens.insert(name, Arc::clone(&held));
        Ok(held)
    }

    /// Checks the proof of possession; returns the next nonce when it is time for one.
    fn prove(
        &self,
        token: &str,
        jkt: &str,
        server: &KnownServer,
        agent: &KnownAgent,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Result<Option<String>, Refusal> {
        let mut proofs = headers.get_all(PROOF).into_iter();
        // RFC 9449 §4.3: exactly one.
        let proof = match (proofs.next(), proofs.next()) {
            (Some(proof), None) => proof
                .to_str()
                .map_err(|_| refused_proof(DpopError::Malformed))?,
            (None, _) => {
                let message = "a DPoP proof is required";
                return Err(invalid_proof("proof_missing", message));
            }
            (Some(_), Some(_)) => {
                let message = "there must be exactly one DPoP proof";
                return Err(invalid_proof("proof_twice", message));
            }
        };
        let is_ageing = Cell::new(false);
        let accepts = |nonce: &str| match self.nonces.check(nonce, now, NONCE_AGEING) {
            Err(NonceError::Expired) => {
                is_ageing.set(true);
                self.nonces.check(nonce, now, NONCE_AGE)
            }
            checked => checked,
        };
        let expect = dpop::Expect {
            method: "POST",
            url: &server.resource,
            now,
            window: dpop::WINDOW,
            access_token: Some(token),
            bound_jkt: Some(jkt),
            nonce: NonceRule::Required(&accepts),
        };
        let proved = dpop::verify_with(proof, &expect, |header| self.keys.get(header))
            .map_err(refused_proof)?;
        let header = proved.key().header();
        if !self.keys.contains_key(header) {
            self.keys.insert(header.to_owned(), proved.key().clone());
        }
        let spent = self
            .spent
            .spend(agent.agent.id, proved.jti_hash(), proved.expires_at(), now);
        match spent {
            Ok(()) => Ok(is_ageing.get().then(|| self.nonces.issue(now))),
            Err(Unspendable::Replayed) => Err(invalid_proof(
                "proof_replayed",
                "the DPoP proof was used before",
            )),
            Err(Unspendable::TooMany) => {
                let message = "too many calls in the time that proofs are remembered";
                let status = StatusCode::TOO_MANY_REQUESTS;
                Err(Refusal::for_now(status, "proof_quota", message))
            }
        }
    }
}

fn weight(text: &str) -> u32 {
    // The text, and about as much again for what was parsed from it.
    u32::try_from(text.len() * 2 + 256).unwrap_or(u32::MAX)
}

/// The one credential of the request, and whether it came with the scheme for proofs.
fn presented(headers: &HeaderMap) -> Result<(&str, bool), Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).into_iter();
    let value = match (values.next(), values.next()) {
        (None, _) => return Err(Refusal::credentials("no_credentials", None)),
        (Some(value), None) => value,
        (Some(_), Some(_)) => return Err(malformed("there must be one Authorization header")),
    };
    let one = "the Authorization header must be one scheme and one token";
    let value = value.to_str().map_err(|_| malformed(one))?;
    if value.len() > json::TOKEN.bytes + "Bearer ".len() {
        return Err(invalid_token("too_large", "the access token is too large"));
    }
    match authorization_header(value).map_err(|_| malformed(one))? {
        Credential::Bearer(token) => Ok((token, false)),
        Credential::Dpop(token) => Ok((token, true)),
        Credential::Basic(_) => Err(malformed("this resource takes access tokens only")),
    }
}

fn malformed(message: &'static str) -> Refusal {
    invalid_token("credentials_malformed", message)
}

fn invalid_token(code: &'static str, message: &'static str) -> Refusal {
    Refusal::credentials(
        code,
        Some(OAuthError::new(ErrorCode::InvalidToken, message)),
    )
}

fn invalid_proof(code: &'static str, message: &'static str) -> Refusal {
    Refusal::credentials(
        code,
        Some(OAuthError::new(ErrorCode::InvalidDpopProof, message)),
    )
}

fn refused_token(error: TokenError) -> Refusal {
    let message = match error {
        TokenError::Expired => "the access token has expired",
        TokenError::WrongAudience => "the access token is for another resource",
        TokenError::TooLarge
        | TokenError::Malformed
        | TokenError::AlgNotAllowed
        | TokenError::TypMismatch
        | TokenError::UnknownKey
        | TokenError::BadSignature
        | TokenError::WrongIssuer
        | TokenError::NotYetValid
        | TokenError::ClaimMissing(_) => "the access token is not valid",
        TokenError::CertificateMissing => {
            "the access token is bound to a certificate, and the connection has none"
        }
        TokenError::CertificateMismatch => "the access token is bound to another certificate",
    };
    Refusal::credentials(
        error.code(),
        Some(OAuthError::new(error.error_code(), message)),
    )
}

fn refused_proof(error: DpopError) -> Refusal {
    let message = match error {
        DpopError::UseNonce => "the DPoP proof needs a fresh nonce of this server",
        DpopError::KeyMismatch => "the access token is bound to another key",
        DpopError::Malformed
        | DpopError::AlgNotAllowed
        | DpopError::TypMismatch
        | DpopError::KeyRefused
        | DpopError::BadSignature
        | DpopError::ClaimMissing(_)
        | DpopError::MethodMismatch
        | DpopError::UrlMismatch
        | DpopError::Expired
        | DpopError::NotYetValid
        | DpopError::TokenMismatch => "the DPoP proof is not valid",
    };
    let code = match error {
        DpopError::Malformed => "proof_malformed",
        DpopError::AlgNotAllowed => "proof_alg_not_allowed",
        DpopError::TypMismatch => "proof_typ_mismatch",
        DpopError::BadSignature => "proof_bad_signature",
        DpopError::ClaimMissing(_) => "proof_claim_missing",
        DpopError::Expired => "proof_expired",
        DpopError::NotYetValid => "proof_not_yet_valid",
        DpopError::KeyRefused
        | DpopError::MethodMismatch
        | DpopError::UrlMismatch
        | DpopError::TokenMismatch
        | DpopError::KeyMismatch
        | DpopError::UseNonce => error.code(),
    };
    let refusal = Refusal::credentials(code, Some(OAuthError::new(error.error_code(), message)));
    match error {
        // RFC 9449 §9: the first step of every client. Nothing else about the proof is known yet, and
        // whatever is wrong with it is recorded when it comes again with the nonce.
        DpopError::UseNonce => refusal.settled(),
        DpopError::Malformed
        | DpopError::AlgNotAllowed
        | DpopError::TypMismatch
        | DpopError::KeyRefused
        | DpopError::BadSignature
        | DpopError::ClaimMissing(_)
        | DpopError::MethodMismatch
        | DpopError::UrlMismatch
        | DpopError::Expired
        | DpopError::NotYetValid
        | DpopError::TokenMismatch
        | DpopError::KeyMismatch => refusal,
    }
}
