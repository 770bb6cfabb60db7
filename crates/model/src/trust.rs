//! Trust in a workload: which subject of which issuer may act as an agent, said exactly.
//!
//! There are no patterns. A pattern that is a letter too wide lets strangers in, who may name their repositories as they
//! like.

use std::collections::BTreeMap;

use crate::id::{AgentId, IssuerId, TrustId};
use crate::time::Timestamp;

/// The longest subject, name of a claim or value of one, in bytes.
const LONGEST: usize = 512;
/// The most claims of one trust.
const MOST_CLAIMS: usize = 16;
/// The claims that are checked of every token, so nothing can be said about them here.
const RESERVED: [&str; 8] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "cnf"];

/// Why something cannot be trusted as it was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTrust {
    /// Empty, too long, or with characters that nobody sees.
    #[error(
        "a subject, the name of a claim and its value have 1 to 512 bytes and no control characters"
    )]
    Text,
    /// Somebody wants a pattern.
    #[error("`*` stands for nothing here: subjects and claims are compared exactly")]
    Pattern,
    /// A claim that is checked anyway.
    #[error("`iss`, `sub`, `aud`, `exp`, `nbf`, `iat`, `jti` and `cnf` are no claims to choose by")]
    Reserved,
    /// Too many of them.
    #[error("at most 16 claims")]
    TooMany,
}

/// What a token of a workload must say, beside being of its issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    // INVARIANT: as `new` takes them.
    subject: String,
    claims: BTreeMap<String, String>,
}

impl Terms {
    /// Takes a subject, and claims with their values.
    pub fn new(subject: String, claims: BTreeMap<String, String>) -> Result<Self, InvalidTrust> {
        if claims.len() > MOST_CLAIMS {
            return Err(InvalidTrust::TooMany);
        }
        let texts = claims.iter().flat_map(|(name, value)| [name, value]);
        for text in texts.chain([&subject]) {
            if !(1..=LONGEST).contains(&text.len()) || text.chars().any(char::is_control) {
                return Err(InvalidTrust::Text);
            }
            if text.contains('*') {
                return Err(InvalidTrust::Pattern);
            }
        }
        if claims.keys().any(|name| RESERVED.contains(&&**name)) {
            return Err(InvalidTrust::Reserved);
        }
        Ok(Self { subject, claims })
    }

    /// The subject.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The claims with their values.
    pub fn claims(&self) -> &BTreeMap<String, String> {
        &self.claims
    }

    /// Whether a token of `subject` says all of it; `claim` gives the value of a claim that is a text.
    pub fn are_met<'a>(&self, subject: &str, claim: impl Fn(&str) -> Option<&'a str>) -> bool {
        let says = |(name, value): (&String, &String)| claim(name) == Some(value);
        self.subject == subject && self.claims.iter().all(says)
    }
}

/// A workload that may act as an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// Names it.
    pub id: TrustId,
    /// As which agent.
    pub agent: AgentId,
    /// Who vouches for the workload.
    pub issuer: IssuerId,
    /// What its tokens must say.
    pub terms: Terms,
    /// When it was added.
    pub created_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn terms_are_met_exactly_or_not() {
        let subject = "repo:acme/x:ref:refs/heads/main";
        let terms = Terms::new(subject.to_owned(), claims(&[("environment", "prod")]));
        let terms = terms.expect("terms");
        let says = |pairs: &'static [(&str, &str)]| {
            move |name: &str| {
                let found = pairs.iter().find(|(own, _)| *own == name);
                found.map(|(_, value)| *value)
            }
        };
        assert!(terms.are_met(subject, says(&[("environment", "prod"), ("other", "x")])));
        for other in [
            "",
            "repo:acme/x",
            "repo:acme/x:ref:refs/heads/mainx",
            "REPO:acme/x:ref:refs/heads/main",
        ] {
            assert!(
                !terms.are_met(other, says(&[("environment", "prod")])),
                "{other}"
            );
        }
        assert!(!terms.are_met(subject, says(&[])));
        assert!(!terms.are_met(subject, says(&[("environment", "prod ")])));
        assert!(!terms.are_met(subject, says(&[("Environment", "prod")])));
    }

    #[test]
    fn fed_05_nothing_is_chosen_by_a_reserved_claim_and_nothing_by_a_pattern() {
        let check = |subject: &str, pairs: &[(&str, &str)]| {
            Terms::new(subject.to_owned(), claims(pairs)).err()
        };
        assert_eq!(
            check("repo:acme/x:environment:prod", &[("actor", "me")]),
            None
        );
        for reserved in RESERVED {
            let found = check("s", &[(reserved, "x")]);
            assert_eq!(found, Some(InvalidTrust::Reserved), "{reserved}");
        }
        for pattern in ["*", "repo:acme/*", "repo:acme/x:ref:refs/heads/*"] {
            assert_eq!(
                check(pattern, &[]),
                Some(InvalidTrust::Pattern),
                "{pattern}"
            );
        }
        assert_eq!(
            check("s", &[("ref", "refs/*")]),
            Some(InvalidTrust::Pattern)
        );
        for text in ["", "a\nb", &"x".repeat(513)] {
            assert_eq!(check(text, &[]), Some(InvalidTrust::Text));
            assert_eq!(check("s", &[("n", text)]), Some(InvalidTrust::Text));
        }
        let many: Vec<String> = (0..17).map(|number| format!("c{number}")).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|name| (&**name, "v")).collect();
        assert_eq!(check("s", &many), Some(InvalidTrust::TooMany));
    }
}
