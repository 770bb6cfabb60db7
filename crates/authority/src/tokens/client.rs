//! Who a client is: the one way to authenticate at every OAuth endpoint, by the one method that is registered for it: an
//! assertion (`private_key_jwt`), the certificate of the connection (`tls_client_auth`, `self_signed_tls_client_auth`), or
//! what an attester says about a running copy, with a proof by the copy (`attest_jwt_client_auth`,
//! `attest_jwt_client_auth_dpop`).

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::request::Parts;
use chancery_gateway::snapshot::{KnownAgent, Snapshot};
use chancery_model::client_authentication::{ClientAuthentication, Method};
use chancery_model::digest::Digest;
use chancery_model::id::{ClientId, names_public_client};
use chancery_model::time::Timestamp;
use chancery_store::one_time::OneTime;
use chancery_wire::certificate::PeerCertificate;
use chancery_wire::client_assertion::{self, ASSERTION_TYPE, UnverifiedAssertion};
use chancery_wire::client_attestation::{self, UnverifiedAttestation};
use chancery_wire::jwk::KeySet;
use chancery_wire::oauth::{ErrorCode, Form};

use crate::directory::KnownResource;
use crate::state::Authority;
use crate::tokens::attestation::{self, Attested};
use crate::tokens::refusal::Refusal;

/// A client that proved who it is, with the assertion that it used up.
pub(crate) struct Client {
    /// Who it is.
    pub who: Who,
    /// Its assertion or proof, if it came with one, to be used up in the transaction that records what it was used for.
    pub assertion: Option<OneTime>,
    /// The certificate that its tokens are bound to, where that is registered for it: the `x5t#S256` of the connection's.
    pub certificate: Option<String>,
    /// Which running copy of it came, where an attester vouched for one: the thumbprint of the copy's key.
    pub instance: Option<String>,
}

/// Who a client is.
pub(crate) enum Who {
    /// An agent; whether it is live is for the mint to find out.
    Agent(Arc<KnownAgent>),
    /// A resource server.
    Resource(Arc<KnownResource>),
}

impl Who {
    /// Its `client_id`.
    pub(crate) fn id(&self) -> ClientId {
        match self {
            Self::Agent(known) => known.agent.id.into(),
            Self::Resource(known) => known.resource.id.into(),
        }
    }

    /// How it is registered to authenticate.
    fn authentication(&self) -> &ClientAuthentication {
        match self {
            Self::Agent(known) => &known.agent.authentication,
            Self::Resource(known) => &known.resource.authentication,
        }
    }

    /// The keys that are registered for it.
    pub(crate) fn keys(&self) -> Option<&KeySet> {
        match self {
            Self::Agent(known) => known.keys.as_ref(),
            Self::Resource(known) => known.keys.as_ref(),
        }
    }
}

/// One answer for an unknown client, one without keys, one with the wrong key and one that is not active
/// (SEC-04, TOK-10).
pub(crate) const FAILED: &str = "client authentication failed";

/// What a request proves itself with; exactly one (RFC 6749 2.3).
enum Offered<'a> {
    /// An assertion, by whom it says that it is.
    Assertion(Box<UnverifiedAssertion<'a>>),
    /// The certificate of the connection.
    Certificate(&'a PeerCertificate),
    /// What an attester says, about whom it says that it is.
    Attestation(Box<UnverifiedAttestation<'a>>),
}

/// Authenticates the client of a form; exactly one method, the one that is registered (TOK-08, TOK-09).
pub(crate) fn authenticate(
    authority: &Authority,
    snapshot: &Snapshot,
    head: &Parts,
    form: &Form<'_>,
    now: Timestamp,
) -> Result<Client, Refusal> {
    let peer: Option<&PeerCertificate> = head.extensions.get();
    let (claimed, offered) = offered(head, peer, form)?;
    let refuse = |code| refuse(code).by(claimed);
    let directory = authority.directory.load();
    let who = match claimed {
        ClientId::Agent(id) => snapshot.agents.get(&id).cloned().map(Who::Agent),
        ClientId::Resource(id) => directory.resources.get(&id).cloned().map(Who::Resource),
    };
    let who = who.ok_or_else(|| refuse("unknown_client"))?;
    let keys = || who.keys().ok_or_else(|| refuse("client_without_keys"));
    let registered = who.authentication();
    let attested = |attester: &str| match directory.attesters.get(attester) {
        Some(attester) => Ok(Attested {
            authority,
            attester,
            issuer: &snapshot.issuer,
            head,
            now,
        }),
        None => Err(refuse("unknown_attester")),
    };
    let mut instance = None;
    let assertion = match (&registered.method, offered) {
        (Method::PrivateKeyJwt, Offered::Assertion(assertion)) => {
            let expect = client_assertion::Expect {
                issuer: &snapshot.issuer,
                now,
            };
            let verified = assertion
                .verify(keys()?, &expect)
                .map_err(|error| refuse(error.code()))?;
            Some(once(verified.jti_hash(), verified.expires_at()))
        }
        (Method::Certificate(name), Offered::Certificate(peer)) => {
            let trust = authority.client_trust.load();
            let is_theirs = trust.require(peer, name, now);
            is_theirs.map_err(|error| refuse(error.code()))?;
            None
        }
        (Method::OwnCertificate, Offered::Certificate(peer)) => {
            let is_theirs = peer.require_key(keys()?, now);
            is_theirs.map_err(|error| refuse(error.code()))?;
            None
        }
        (Method::Attestation(name), Offered::Attestation(attestation)) => {
            let copy = attested(name)?.by_proof(*attestation);
            let copy = copy.map_err(|refused| refused.by(claimed))?;
            instance = Some(copy.key);
            Some(copy.proof)
        }
        (Method::AttestationWithDpop(name), Offered::Attestation(attestation)) => {
            let copy = attested(name)?.by_dpop(*attestation);
            let copy = copy.map_err(|refused| refused.by(claimed))?;
            instance = Some(copy.key);
            Some(copy.proof)
        }
        // Nothing came that could be a proof of this client.
        (
            Method::PrivateKeyJwt | Method::Attestation(_) | Method::AttestationWithDpop(_),
            Offered::Certificate(_),
        ) => return Err(refuse("no_client_authentication")),
        (Method::Certificate(_) | Method::OwnCertificate, Offered::Assertion(_))
        | (Method::Attestation(_) | Method::AttestationWithDpop(_), Offered::Assertion(_))
        | (
            Method::PrivateKeyJwt | Method::Certificate(_) | Method::OwnCertificate,
            Offered::Attestation(_),
        ) => return Err(refuse("another_method_registered")),
    };
    let certificate = bound_certificate(registered, peer).map_err(refuse)?;
    let certificate = certificate.map(str::to_owned);
    Ok(Client {
        who,
        assertion,
        certificate,
        instance,
    })
}

/// The certificate that the tokens of a client are bound to, where that is registered for it; the error is the reason for
/// the record.
pub(crate) fn bound_certificate<'a>(
    registered: &ClientAuthentication,
    peer: Option<&'a PeerCertificate>,
) -> Result<Option<&'a str>, &'static str> {
    match (registered.is_certificate_bound, peer) {
        (false, _) => Ok(None),
        (true, Some(peer)) => Ok(Some(peer.thumbprint())),
        (true, None) => Err("certificate_missing"),
    }
}

/// What the request proves itself with, and by whom it claims to be.
fn offered<'a>(
    head: &'a Parts,
    peer: Option<&'a PeerCertificate>,
    form: &'a Form<'_>,
) -> Result<(ClientId, Offered<'a>), Refusal> {
    if head.headers.contains_key("authorization") || form.fetch("client_secret").is_some() {
        return Err(refuse("several_client_authentications"));
    }
    let named = form.fetch("client_id");
    let assertion = form.fetch("client_assertion");
    let kind = form.fetch("client_assertion_type");
    let missing = || refuse("no_client_authentication");
    if is_attested(&head.headers) {
        if assertion.is_some() || kind.is_some() {
            return Err(refuse("several_client_authentications"));
        }
        let attestation = attestation::single(&head.headers, client_attestation::HEADER)?;
        let attestation = attestation.ok_or_else(missing)?;
        let attestation = UnverifiedAttestation::parse(attestation);
        let attestation = attestation.map_err(|error| refuse(error.code()))?;
        let claimed = attestation.claimed_client_id();
        if named.is_some_and(|id| id != claimed.to_string()) {
            return Err(refuse("client_id_mismatch").by(claimed));
        }
        return Ok((claimed, Offered::Attestation(Box::new(attestation))));
    }
    let (Some(assertion), Some(ASSERTION_TYPE)) = (assertion, kind) else {
        // Half of an assertion is no assertion, and nothing else either.
        if assertion.is_some() || kind.is_some() {
            return Err(missing());
        }
        // RFC 8705 2: who comes by certificate alone says who that is.
        let claimed = named.and_then(|named| named.parse().ok());
        let claimed: ClientId = claimed.ok_or_else(missing)?;
        let peer = peer.ok_or_else(|| missing().by(claimed))?;
        return Ok((claimed, Offered::Certificate(peer)));
    };
    let assertion = UnverifiedAssertion::parse(assertion).map_err(|error| refuse(error.code()))?;
    let claimed = assertion.claimed_client_id();
    if named.is_some_and(|id| id != claimed.to_string()) {
        return Err(refuse("client_id_mismatch").by(claimed));
    }
    Ok((claimed, Offered::Assertion(Box::new(assertion))))
}

/// Whether a request carries an attestation, or half of one.
fn is_attested(headers: &HeaderMap) -> bool {
    headers.contains_key(client_attestation::HEADER)
        || headers.contains_key(client_attestation::POP_HEADER)
}

/// A refusal of whoever did not prove to be anybody.
pub(crate) fn refuse(code: &'static str) -> Refusal {
    Refusal::new(ErrorCode::InvalidClient, FAILED, code)
}

/// Whether a form or its headers prove, or half prove, who a client is, in whichever way that is offered anywhere.
pub(crate) fn proves(headers: &HeaderMap, form: &Form<'_>) -> bool {
    let proofs = ["client_assertion", "client_assertion_type", "client_secret"];
    headers.contains_key("authorization")
        || is_attested(headers)
        || proofs.iter().any(|proof| form.fetch(proof).is_some())
}

/// What a public client calls itself: one without a secret, which proves nothing by its name. Whether a code or a
/// refresh token is its own is for whoever finds that to say. `None` when the form is of somebody who authenticates.
pub(crate) fn public<'a>(headers: &HeaderMap, form: &'a Form<'_>) -> Option<&'a str> {
    if proves(headers, form) {
        return None;
    }
    let id = form.fetch("client_id")?;
    // Who has a name of another form has a key too.
    names_public_client(id).then_some(id)
}

/// Something that may be used once, until it ends anyway.
pub(crate) fn once(hash: Digest, expires_at: Timestamp) -> OneTime {
    OneTime { hash, expires_at }
}
