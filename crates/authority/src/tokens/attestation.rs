//! A running copy of a client, of which somebody whom the operator trusts says which key it has: what is said is held to
//! the attester's keys, and the copy to its key (draft-ietf-oauth-attestation-based-client-auth 7).

use axum::http::HeaderMap;
use axum::http::request::Parts;
use chancery_model::time::Timestamp;
use chancery_store::one_time::OneTime;
use chancery_wire::client_attestation::{
    AttestationError, Expect, ExpectProof, POP_HEADER, UnverifiedAttestation, VerifiedAttestation,
};
use chancery_wire::oauth::ErrorCode;

use crate::directory::KnownAttester;
use crate::state::Authority;
use crate::tokens::binding::{self, To};
use crate::tokens::challenge;
use crate::tokens::client::{FAILED, once, refuse};
use crate::tokens::refusal::Refusal;

/// Where an attestation came, and who must have made it.
pub(crate) struct Attested<'a> {
    pub(crate) authority: &'a Authority,
    pub(crate) attester: &'a KnownAttester,
    /// Our issuer.
    pub(crate) issuer: &'a str,
    pub(crate) head: &'a Parts,
    pub(crate) now: Timestamp,
}

/// A running copy that proved its key.
pub(crate) struct Copy {
    /// The thumbprint of the key.
    pub(crate) key: String,
    /// What it proved it with.
    pub(crate) proof: OneTime,
}

impl Attested<'_> {
    /// The copy proves its key with the proof that goes with an attestation (7.2). A DPoP proof beside it may be of
    /// another key.
    pub(crate) fn by_proof(&self, attestation: UnverifiedAttestation<'_>) -> Result<Copy, Refusal> {
        let proof = single(&self.head.headers, POP_HEADER)?;
        let proof = proof.ok_or_else(|| refuse("attestation_proof_missing"))?;
        let attested = self.verify(attestation)?;
        let challenges = &self.authority.attestation_challenges;
        let is_ours = |text: &str| challenges.check(text, self.now, challenge::AGE);
        let expect = ExpectProof {
            issuer: self.issuer,
            now: self.now,
            challenge: &is_ours,
        };
        let proof = attested.prove(proof, &expect).map_err(refused)?;
        Ok(Copy {
            key: attested.instance().to_owned(),
            proof: once(proof.jti_hash, proof.expires_at),
        })
    }

    /// The copy proves its key with a DPoP proof (7.3), for this very endpoint.
    pub(crate) fn by_dpop(&self, attestation: UnverifiedAttestation<'_>) -> Result<Copy, Refusal> {
        let headers = &self.head.headers;
        if headers.contains_key(POP_HEADER) {
            return Err(refuse("another_method_registered"));
        }
        let attested = self.verify(attestation)?;
        // By our own name and not by what the request says; the router has matched the path.
        let url = format!("{}{}", self.issuer, self.head.uri.path());
        let to = To {
            method: self.head.method.as_str(),
            url: &url,
            token: None,
        };
        let proof = binding::prove_anew(self.authority, &to, headers, self.now)?;
        let proof = proof.ok_or_else(|| refuse("attestation_proof_missing"))?;
        if proof.jkt() != attested.instance() {
            return Err(refuse("attestation_key_mismatch"));
        }
        Ok(Copy {
            key: attested.instance().to_owned(),
            proof: once(proof.jti_hash(), proof.expires_at()),
        })
    }

    fn verify(
        &self,
        attestation: UnverifiedAttestation<'_>,
    ) -> Result<VerifiedAttestation, Refusal> {
        let expect = Expect {
            issuer: self.attester.issuer.as_deref(),
            now: self.now,
        };
        let verified = attestation.verify(&self.attester.keys, &expect);
        verified.map_err(refused)
    }
}

/// What the client is told: how to do better where the draft has a word for that, else that it failed.
fn refused(error: AttestationError) -> Refusal {
    let code = error.error_code();
    let description = if code == ErrorCode::UseAttestationChallenge {
        "the proof of the client attestation must carry the challenge of this answer"
    } else if code == ErrorCode::UseFreshAttestation {
        "the client attestation is not fresh enough"
    } else {
        FAILED
    };
    Refusal {
        challenge: error == AttestationError::UseChallenge,
        ..Refusal::new(code, description, error.code())
    }
}

/// The one value of a header field, if it is there; twice is an error (7.1, 7.2).
pub(crate) fn single<'a>(
    headers: &'a HeaderMap,
    name: &'static str,
) -> Result<Option<&'a str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(refuse("several_client_authentications"));
    }
    let value = value.to_str();
    value.map(Some).map_err(|_| refuse("attestation_malformed"))
}
