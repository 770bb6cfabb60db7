//! A token for an agent whose workload another issuer vouches for (RFC 7523 2.1): a pipeline, a pod or a job that has no key
//! of its own at rest.
//!
//! The agent is named by `client_id`, so it is never chosen by what a token says, and only for an agent that trusts an issuer
//! is anything fetched from it. What the token must say is held exactly. It is bound to the DPoP key that it came with first,
//! and to the certificate of the connection where the agent's tokens are, and is of use with these alone until it ends: a pod
//! reads the same token from a file for minutes, and whoever stole it there has another key. Where a resource takes unbound
//! tokens, it is of use once.

use std::sync::Arc;

use axum::http::request::Parts;
use chancery_gateway::snapshot::{KnownAgent, Snapshot};
use chancery_model::client_authentication::Method;
use chancery_model::id::AgentId;
use chancery_model::time::Timestamp;
use chancery_store::agent_trusts::NamedTrust;
use chancery_store::journal::{AppendError, Step};
use chancery_store::workload_issuers::WorkloadIssuer;
use chancery_store::{agent_trusts, workload_issuers};
use chancery_wire::certificate::PeerCertificate;
use chancery_wire::dpop::VerifiedProof;
use chancery_wire::issuer::{IssuerKeys, NotSigned};
use chancery_wire::jws::{Unverified, Verified};
use chancery_wire::oauth::{ErrorCode, Form, TokenResponse};
use chancery_wire::workload::{self, Expect, UnverifiedWorkload, VerifiedWorkload};

use crate::issuers::{self, Named, NotIssued};
use crate::state::Authority;
use crate::tokens::Endpoints;
use crate::tokens::binding::prove;
use crate::tokens::bond::Bond;
use crate::tokens::calls;
use crate::tokens::client::{self, Who};
use crate::tokens::fetch::{Issued, answer};
use crate::tokens::issue::{self, Own};
use crate::tokens::redeem::uses;
use crate::tokens::refusal::Refusal;

/// How many such requests are looked at together: each may have to wait for its issuer.
pub(crate) const MOST_AT_ONCE: usize = 64;

/// `grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer`.
pub(crate) async fn issue(
    endpoints: &Endpoints,
    head: &Parts,
    form: &Form<'_>,
    now: Timestamp,
) -> Result<TokenResponse, Refusal> {
    if client::proves(&head.headers, form) {
        return Err(client::refuse("several_client_authentications"));
    }
    let agent = form.require("client_id", "`client_id` says as which agent")?;
    let agent: AgentId = agent.parse().map_err(|_| refuse("unknown_client"))?;
    let request = Request {
        endpoints,
        head,
        form,
        agent,
        now,
    };
    request
        .issue()
        .await
        .map_err(|refused| match refused.proven {
            Some(_) => refused,
            // Only a claim: nobody vouched for it.
            None => refused.by(agent.into()),
        })
}

/// A request for a token as `agent`.
struct Request<'a> {
    endpoints: &'a Endpoints,
    head: &'a Parts,
    form: &'a Form<'a>,
    agent: AgentId,
    now: Timestamp,
}

impl Request<'_> {
    async fn issue(&self) -> Result<TokenResponse, Refusal> {
        let (endpoints, now) = (self.endpoints, self.now);
        let authority = &endpoints.authority;
        let peer: Option<&PeerCertificate> = self.head.extensions.get();
        let snapshot = authority.current.load_full();
        if let Some(known) = snapshot.agents.get(&self.agent) {
            require_one_way(known, peer)?;
        }
        let proof = prove(endpoints, &endpoints.token_url, &self.head.headers, now)?;
        let resource = issue::resource(self.form)?;
        let text = self.form.require("assertion", "`assertion` is missing")?;
        let unverified = UnverifiedWorkload::parse(text).map_err(|error| refuse(error.code()))?;
        let _turn = endpoints.vouched.try_acquire().map_err(|_| busy())?;
        let claimed = unverified.claimed_issuer();
        let (issuer, _) = trusted(authority, self.agent, claimed).await?;
        let verified = verify(authority, &issuer, unverified.token(), now).await?;
        let expect = Expect {
            issuer: &issuer.issuer,
            audience: &issuer.audience,
            now,
        };
        let workload = workload::check(&verified, &expect).map_err(|error| refuse(error.code()))?;
        // The issuer may have taken seconds to answer: what counts is what stands now, first the agent and then the trust in
        // it, so that whatever ends the trust afterwards makes void what is made here.
        let snapshot = authority.current.load_full();
        let known = snapshot.agents.get(&self.agent);
        let known = known.ok_or_else(|| refuse("not_trusted"))?;
        require_one_way(known, peer)?;
        let (issuer, trusts) = trusted(authority, self.agent, claimed).await?;
        let trust = trusts.iter().find(|named| {
            let terms = &named.trust.terms;
            named.trust.issuer == issuer.id
                && terms.are_met(workload.subject(), |name| workload.claim(name))
        });
        let trust = trust.ok_or_else(|| refuse("not_trusted"))?;
        let certificate = client::bound_certificate(&known.agent.authentication, peer);
        let certificate = certificate.map_err(client::refuse)?;
        let jkt = proof.as_ref().map(VerifiedProof::jkt);
        let held = Bond::of_parts(jkt, certificate);
        let vouched = Vouched {
            known,
            workload: &workload,
            trust,
            proof: proof.as_ref(),
            held: &held,
        };
        let given = self.give(&snapshot, resource, &vouched).await;
        given.map_err(|refused| {
            let once = match (&proof, &held.cnf) {
                // What it proved its key with is used up; the token of its issuer may come again with that key.
                (Some(proof), _) => Some(client::once(proof.jti_hash(), proof.expires_at())),
                // The same, with that certificate.
                (None, Some(_)) => None,
                (None, None) => Some(client::once(workload.hash(), workload.expires_at())),
            };
            refused.proven(self.agent.into(), once)
        })
    }

    /// What follows once it is known who asks.
    async fn give(
        &self,
        snapshot: &Snapshot,
        resource: &str,
        vouched: &Vouched<'_>,
    ) -> Result<TokenResponse, Refusal> {
        let now = self.now;
        let authority = &*self.endpoints.authority;
        let Vouched {
            known,
            workload,
            trust,
            proof,
            held,
        } = *vouched;
        let calls = calls::read(self.form, resource)?;
        let own = Own {
            resource,
            scope: self.form.fetch("scope"),
            calls: calls.as_ref(),
            held,
        };
        let (minted, permit) = own.mint(authority, snapshot, known, now)?;
        let who = Who::Agent(Arc::clone(known));
        let mut event = issue::issued(authority, &who, &minted, Some(&permit), now);
        let facts = [
            ("issuer", trust.issuer_name.clone()),
            ("issuer_id", trust.trust.issuer.to_string()),
            ("trust", trust.trust.id.to_string()),
            ("workload", workload.subject().to_owned()),
        ];
        let facts = facts.map(|(name, fact)| (name.to_owned(), fact));
        event.facts.extend(facts);
        let step = Step::Bind {
            assertion: workload.hash(),
            cnf: held.to_text(),
            expires_at: workload.expires_at(),
        };
        match authority
            .journal
            .append_step(event, uses(None, proof), step)
            .await
        {
            Ok(()) => {}
            Err(AppendError::Lost) => return Err(refuse("assertion_of_another_key")),
            Err(AppendError::Replayed) => return Err(refuse("replayed")),
            Err(error) => return Err(Refusal::from(error)),
        }
        let issued = Issued {
            minted,
            refresh_token: None,
            id_token: None,
        };
        answer(authority, known, issued, now)
    }
}

/// An agent, the workload that its issuer vouches for, why that may act as it, and what it proved to hold.
struct Vouched<'a> {
    known: &'a Arc<KnownAgent>,
    workload: &'a VerifiedWorkload,
    trust: &'a NamedTrust,
    proof: Option<&'a VerifiedProof>,
    held: &'a Bond,
}

/// Refuses whoever proves by the certificate of its connection, too, to be the agent (TOK-08): one that is registered for
/// that is known so or vouched for, and not both. To others a certificate says nothing of who they are.
fn require_one_way(known: &KnownAgent, peer: Option<&PeerCertificate>) -> Result<(), Refusal> {
    let is_by_certificate = match known.agent.authentication.method {
        Method::Certificate(_) | Method::OwnCertificate => true,
        Method::PrivateKeyJwt | Method::Attestation(_) | Method::AttestationWithDpop(_) => false,
    };
    match peer {
        Some(_) if is_by_certificate => Err(client::refuse("several_client_authentications")),
        Some(_) | None => Ok(()),
    }
}

/// The issuer with this identifier, if the agent trusts any workload of it, and all that the agent trusts.
async fn trusted(
    authority: &Authority,
    agent: AgentId,
    claimed: &str,
) -> Result<(WorkloadIssuer, Vec<NamedTrust>), Refusal> {
    let mut tx = authority.store.read().await?;
    let issuer = workload_issuers::fetch_by_issuer(&mut tx, claimed).await?;
    let issuer = issuer.ok_or_else(|| refuse("unknown_issuer"))?;
    let trusts = agent_trusts::list(&mut tx, agent).await?;
    match trusts.iter().any(|named| named.trust.issuer == issuer.id) {
        true => Ok((issuer, trusts)),
        false => Err(refuse("not_trusted")),
    }
}

/// What the issuer signed, by its registered keys or by those that it publishes.
async fn verify(
    authority: &Arc<Authority>,
    issuer: &WorkloadIssuer,
    token: &Unverified<'_>,
    now: Timestamp,
) -> Result<Verified, Refusal> {
    let not_signed = |why| match why {
        NotSigned::UnknownKey => refuse("unknown_key"),
        NotSigned::BadSignature => refuse("bad_signature"),
    };
    if let Some(jwks) = &issuer.jwks {
        let keys = IssuerKeys::of_document(jwks.as_bytes());
        let keys = keys.map_err(|_| Refusal::unavailable())?;
        return keys.verify(token).map_err(not_signed);
    }
    let named = Named::new(authority, &issuer.issuer, issuer.is_private);
    let verified = issuers::verify(authority, named, token, now).await;
    verified.map_err(|why| match why {
        NotIssued::Unavailable => Refusal::new(
            ErrorCode::TemporarilyUnavailable,
            "the issuer of the assertion cannot be asked for its keys",
            "issuer_unavailable",
        ),
        NotIssued::AlgNotAllowed => refuse("alg_not_allowed"),
        NotIssued::NotSigned(why) => not_signed(why),
    })
}

/// What everybody is told whose token is of no use; the record has the reason.
fn refuse(code: &'static str) -> Refusal {
    let description = "the assertion is of no use to this client";
    Refusal::new(ErrorCode::InvalidGrant, description, code)
}

fn busy() -> Refusal {
    Refusal::new(
        ErrorCode::TemporarilyUnavailable,
        "too many assertions of workloads are being looked at",
        "too_many_requests",
    )
}
