//! A code: what a person consented to, on its way to the client that the browser was sent to.
//!
//! Every bond is held whether or not the client asks for it, so leaving one out is no way around it (AUTHZ-05). A
//! code that its finder cannot use is used up all the same.

use std::sync::Arc;
use std::time::Duration;

use chancery_gateway::snapshot::KnownAgent;
use chancery_model::digest::Digest;
use chancery_model::grant::Grant as Consented;
use chancery_model::time::Timestamp;
use chancery_store::codes::{self, ANY_KEY, Code};
use chancery_store::grants;
use chancery_wire::hash;
use chancery_wire::oauth::Form;
use chancery_wire::pkce::{Challenge, Verifier};

use crate::state::Authority;
use crate::tokens::bond::Bond;
use crate::tokens::redeem::{end_because, refuse, require_resource};
use crate::tokens::refusal::Refusal;

/// How long a code is of use.
pub(crate) const CODE_LIFETIME: Duration = Duration::from_secs(60);

/// The form of codes, which nothing takes for a refresh token (TOK-03).
pub(crate) const CODE: &str = "chc_";

/// The reason when a code comes twice: everything that came of it ends (RFC 6749 4.1.2, TOK-01).
pub(crate) const REPLAYED: &str = "code_replayed";

/// The hash by which a code is kept.
pub(crate) fn code_hash(code: &str) -> Digest {
    hash::sha256_for("authorization code", &[code])
}

/// The code of a request, and the grant that it gives tokens of; whether either is in force is not known yet.
pub(crate) async fn find(
    authority: &Authority,
    form: &Form<'_>,
) -> Result<(Code, Consented), Refusal> {
    let text = form.require("code", "`code` is missing")?;
    let unknown = refuse("unknown_code");
    if !text.starts_with(CODE) {
        return Err(unknown);
    }
    let mut tx = authority.store.read().await?;
    let code = codes::fetch(&mut tx, code_hash(text)).await?;
    let code = code.ok_or(unknown)?;
    let consented = grants::fetch(&mut tx, code.grant).await?;
    Ok((code, consented.ok_or(Refusal::unavailable())?))
}

/// A code, and what came with it.
pub(crate) struct Bonds<'a> {
    pub(crate) form: &'a Form<'a>,
    pub(crate) code: &'a Code,
    pub(crate) consented: &'a Consented,
    /// What the client proved to hold.
    pub(crate) held: &'a Bond,
}

impl Bonds<'_> {
    /// Requires that everything the code is bound to came with it, from the agent that its grant is to, in time and for
    /// the first time.
    pub(crate) async fn require<'a>(
        &self,
        authority: &Authority,
        agent: Option<&'a Arc<KnownAgent>>,
        now: Timestamp,
    ) -> Result<&'a Arc<KnownAgent>, Refusal> {
        let agent = match self.hold(agent) {
            Ok(agent) => agent,
            Err(refused) => {
                // Whoever holds a code that is not theirs, or half of what it is bound to, is not asked twice (TOK-02).
                codes::burn(&authority.store, self.code.code_hash, now).await?;
                return Err(refused.about(self.consented.id));
            }
        };
        if self.code.used_at.is_some() {
            return Err(end_because(REPLAYED, authority, agent, self.consented, now).await);
        }
        if self.code.expires_at <= now {
            return Err(refuse("code_expired").about(self.consented.id));
        }
        require_resource(self.form, self.consented)?;
        Ok(agent)
    }

    /// Each bond is a refusal of its own for the record, and the same for the client.
    fn hold<'a>(&self, agent: Option<&'a Arc<KnownAgent>>) -> Result<&'a Arc<KnownAgent>, Refusal> {
        let Self {
            form, code, held, ..
        } = *self;
        let agent = agent.filter(|agent| self.consented.agent == agent.agent.id);
        let agent = agent.ok_or_else(|| refuse("code_of_another_client"))?;
        // OAuth 2.1 lets it be left out; what is there must be the same.
        if form
            .fetch("redirect_uri")
            .is_some_and(|uri| uri != code.redirect_uri)
        {
            return Err(refuse("redirect_uri_mismatch"));
        }
        let verifier = form.fetch("code_verifier").unwrap_or("");
        let verifier = Verifier::parse(verifier).map_err(|_| refuse("bad_code_verifier"))?;
        let challenge =
            Challenge::parse(&code.challenge).map_err(|_| refuse("bad_code_challenge"))?;
        if !challenge.is_of(&verifier) {
            return Err(refuse("code_verifier_mismatch"));
        }
        match code.cnf.as_deref() {
            // A code that was asked for under an exception of its resource.
            None => Ok(agent),
            Some(_) if held.cnf.is_none() => Err(refuse("proof_missing")),
            Some(ANY_KEY) => Ok(agent),
            Some(bound) => {
                let bound = Bond::from_text(bound).ok_or(Refusal::unavailable())?;
                bound.require(held).map_err(refuse)?;
                Ok(agent)
            }
        }
    }
}
