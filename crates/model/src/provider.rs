//! Providers: where people sign in who are known elsewhere, and whom of them we let in.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::author::Author;
use crate::id::ProviderId;
use crate::owner::OwnerHandle;
use crate::time::Timestamp;

/// An OpenID provider that people may sign in with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// Never reused.
    pub id: ProviderId,
    /// How commands, paths and links name it.
    pub name: ProviderName,
    /// Its issuer identifier, as its own documents write it.
    pub issuer: String,
    /// What it calls us.
    pub client_id: String,
    /// How we prove there who we are.
    pub method: ClientMethod,
    /// Whom we let in.
    pub rules: Rules,
    /// Who added it, who had that login made, and so on: whoever says who a person is has a hand in what they do.
    pub makers: Vec<Author>,
    /// When it was added.
    pub created_at: Timestamp,
}

/// How we authenticate at a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientMethod {
    /// By a secret that it gave us.
    Secret,
    /// By an assertion that we sign with a key of our own.
    Key,
}

impl ClientMethod {
    /// How columns and answers name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Secret => "client_secret",
            Self::Key => "private_key_jwt",
        }
    }
}

/// The name of a provider: it is part of paths.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ProviderName(
    // INVARIANT: 1 to 40 lower-case letters, digits and hyphens, the first a letter.
    String,
);

/// The text names no provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a provider's name is 1 to 40 lower-case letters, digits and hyphens, and begins with a letter"
)]
pub struct InvalidProviderName;

impl ProviderName {
    /// Parses a name.
    pub fn parse(text: &str) -> Result<Self, InvalidProviderName> {
        let is_legal = (1..=40).contains(&text.len())
            && text
                .bytes()
                .next()
                .is_some_and(|first| first.is_ascii_lowercase())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        is_legal
            .then(|| Self(text.to_owned()))
            .ok_or(InvalidProviderName)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whom a provider may let in, and how they are called here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// The claim that is the handle; when absent `preferred_username`, or else an `email` that is verified.
    pub handle_claim: Option<String>,
    /// The domains of handles that may come; all when empty.
    pub allow_domains: Vec<String>,
    /// What a provider must say of a person; all of it.
    pub require_claims: Vec<RequiredClaim>,
    /// Whether somebody who is not known becomes a person at their first sign-in.
    pub lets_join: bool,
    /// Whether the provider, and what its documents name, may be on a private network.
    pub is_private: bool,
}

/// Something that a provider must say of a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequiredClaim {
    /// The claim.
    pub name: String,
    /// What it is, or one of several that it is.
    pub value: String,
}

/// Why rules are none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRules {
    /// The claim says something of the token or of its issuer, not what a person is called (FED-05).
    #[error("`{0}` is no claim by which a person is called")]
    ReservedClaim(String),
    /// A claim's name or value is empty or too long.
    #[error("the name of a claim has 1 to 200 characters, and so has its value")]
    ClaimSize,
    /// Not a domain.
    #[error("`{0}` is not a domain")]
    Domain(String),
    /// Too many rules.
    #[error("there are at most 16 domains and 16 claims")]
    TooMany,
}

/// Why a provider's word is not enough for somebody to come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// Nothing that it says can be a handle.
    #[error("nothing that the provider says can be the person's handle")]
    NoHandle,
    /// The handle is of another domain.
    #[error("the person's handle is of a domain that is not allowed")]
    Domain,
    /// A claim that is required is not there, or says something else.
    #[error("the provider does not say of the person what it must")]
    Claim,
}

impl NotAdmitted {
    /// A stable code for the record and for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::NoHandle => "no_handle",
            Self::Domain => "domain_not_allowed",
            Self::Claim => "claim_not_as_required",
        }
    }
}

/// Claims that are about a token rather than about how somebody is called.
const RESERVED: [&str; 18] = [
    "iss",
    "sub",
    "aud",
    "azp",
    "exp",
    "iat",
    "nbf",
    "jti",
    "nonce",
    "at_hash",
    "c_hash",
    "sid",
    "auth_time",
    "acr",
    "amr",
    "act",
    "cnf",
    "scope",
];

/// The most domains, and the most claims.
const MOST: usize = 16;

impl Rules {
    /// Refuses rules that could never hold, and those that would call a person by what is no name.
    pub fn check(&self) -> Result<(), InvalidRules> {
        if self.allow_domains.len() > MOST || self.require_claims.len() > MOST {
            return Err(InvalidRules::TooMany);
        }
        let is_legal = |text: &str| (1..=200).contains(&text.len());
        if let Some(claim) = &self.handle_claim {
            if RESERVED.contains(&claim.as_str()) {
                return Err(InvalidRules::ReservedClaim(claim.clone()));
            }
            if !is_legal(claim) {
                return Err(InvalidRules::ClaimSize);
            }
        }
        for claim in &self.require_claims {
            if !is_legal(&claim.name) || !is_legal(&claim.value) {
                return Err(InvalidRules::ClaimSize);
            }
        }
        for domain in &self.allow_domains {
            let handle = OwnerHandle::parse(&format!("a@{domain}"));
            if !handle.is_ok_and(|handle| handle.as_str() == format!("a@{domain}")) {
                return Err(InvalidRules::Domain(domain.clone()));
            }
        }
        Ok(())
    }

    /// What the provider calls the person, as a handle of ours. An e-mail address counts only when the provider says that
    /// it is verified: whoever may type any is not called by it.
    pub fn handle(&self, claims: &Map<String, Value>) -> Option<OwnerHandle> {
        let parse = |name: &str| {
            let handle = OwnerHandle::parse(claims.get(name)?.as_str()?).ok()?;
            (!handle.names_team()).then_some(handle)
        };
        let email = || {
            let is_verified = claims.get("email_verified") == Some(&Value::Bool(true));
            parse("email").filter(|_| is_verified)
        };
        match self.handle_claim.as_deref() {
            None => parse("preferred_username").or_else(email),
            Some("email") => email(),
            Some(name) => parse(name),
        }
    }

    /// Whether what is said of a person is enough to come in: it is held at every sign-in.
    pub fn admit(&self, claims: &Map<String, Value>) -> Result<(), NotAdmitted> {
        if !self.require_claims.iter().all(|claim| claim.is_in(claims)) {
            return Err(NotAdmitted::Claim);
        }
        if self.allow_domains.is_empty() {
            return Ok(());
        }
        let handle = self.handle(claims).ok_or(NotAdmitted::NoHandle)?;
        let (_, domain) = handle
            .as_str()
            .split_once('@')
            .ok_or(NotAdmitted::NoHandle)?;
        match self.allow_domains.iter().any(|allowed| allowed == domain) {
            true => Ok(()),
            false => Err(NotAdmitted::Domain),
        }
    }

    /// Whether `claims` lack something that the rules need, so that the provider has to be asked for more.
    pub fn need_more_than(&self, claims: &Map<String, Value>) -> bool {
        self.handle(claims).is_none()
            || (self.require_claims.iter()).any(|claim| !claims.contains_key(&claim.name))
    }
}

impl RequiredClaim {
    /// A text that is the value, a list of texts with the value among them, or a flag of that name. A list in one text is
    /// none, and a number is not looked at (FED-04).
    fn is_in(&self, claims: &Map<String, Value>) -> bool {
        match claims.get(&self.name) {
            Some(Value::String(text)) => *text == self.value,
            Some(Value::Bool(flag)) => flag.to_string() == self.value,
            Some(Value::Array(list)) => list.iter().any(|one| one.as_str() == Some(&self.value)),
            Some(Value::Null | Value::Number(_) | Value::Object(_)) | None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(value: Value) -> Map<String, Value> {
        value.as_object().expect("claims").clone()
    }

    #[track_caller]
    fn called(rules: &Rules, value: Value, expected: Option<&str>) {
        let handle = rules.handle(&claims(value.clone()));
        assert_eq!(
            handle.as_ref().map(OwnerHandle::as_str),
            expected,
            "{value}"
        );
    }

    #[test]
    fn fed_03_address_that_nobody_verified_calls_nobody() {
        let default = Rules::default();
        called(
            &default,
            json!({"preferred_username": "Alice@Example.com"}),
            Some("alice@example.com"),
        );
        let verified = json!({"preferred_username": "alice", "email": "alice@example.com", "email_verified": true});
        called(&default, verified, Some("alice@example.com"));
        for flag in [json!(false), json!("true"), json!(null), json!(1)] {
            called(
                &default,
                json!({"email": "alice@example.com", "email_verified": flag}),
                None,
            );
        }
        called(&default, json!({"email": "alice@example.com"}), None);
        called(
            &default,
            json!({"preferred_username": "team:payments"}),
            None,
        );
        let upn = Rules {
            handle_claim: Some("upn".to_owned()),
            ..Rules::default()
        };
        called(
            &upn,
            json!({"upn": "alice@example.com"}),
            Some("alice@example.com"),
        );
        called(
            &upn,
            json!({"preferred_username": "alice@example.com"}),
            None,
        );
        called(&upn, json!({"upn": ["alice@example.com"]}), None);
    }

    #[test]
    fn fed_04_claim_of_another_form_is_not_as_required() {
        let rules = Rules {
            require_claims: vec![RequiredClaim {
                name: "groups".to_owned(),
                value: "staff".to_owned(),
            }],
            ..Rules::default()
        };
        let admit = |groups: Value| rules.admit(&claims(json!({"groups": groups})));
        assert_eq!(admit(json!("staff")), Ok(()));
        assert_eq!(admit(json!(["admins", "staff"])), Ok(()));
        for groups in [
            json!("staff,admins"),
            json!("Staff"),
            json!({"staff": true}),
            json!([["staff"]]),
            json!([]),
            json!(null),
            json!(7),
        ] {
            assert_eq!(admit(groups.clone()), Err(NotAdmitted::Claim), "{groups}");
        }
        assert_eq!(rules.admit(&Map::new()), Err(NotAdmitted::Claim));
    }

    #[test]
    fn only_the_domains_that_are_allowed_come_in() {
        let rules = Rules {
            allow_domains: vec!["example.com".to_owned()],
            ..Rules::default()
        };
        let admit = |name: &str| rules.admit(&claims(json!({"preferred_username": name})));
        assert_eq!(admit("alice@example.com"), Ok(()));
        for name in [
            "alice@evil.example",
            "alice@sub.example.com",
            "alice@example.com.evil.example",
        ] {
            assert_eq!(admit(name), Err(NotAdmitted::Domain), "{name}");
        }
        for name in ["alice", "alice@example.com@evil.example", ""] {
            assert_eq!(admit(name), Err(NotAdmitted::NoHandle), "{name}");
        }
    }

    #[test]
    fn fed_05_nobody_is_called_by_a_claim_about_the_token() {
        let check = |claim: &str| {
            let rules = Rules {
                handle_claim: Some(claim.to_owned()),
                ..Rules::default()
            };
            rules.check()
        };
        assert_eq!(check("upn"), Ok(()));
        assert_eq!(check("email"), Ok(()));
        for claim in RESERVED {
            assert!(check(claim).is_err(), "{claim}");
        }
        assert_eq!(check(""), Err(InvalidRules::ClaimSize));
        for domain in ["", "Example.com", "a@b", "exa mple.com"] {
            let rules = Rules {
                allow_domains: vec![domain.to_owned()],
                ..Rules::default()
            };
            assert!(rules.check().is_err(), "{domain}");
        }
    }

    #[test]
    fn name_is_part_of_a_path() {
        for name in ["corp", "okta-2", "a"] {
            assert!(ProviderName::parse(name).is_ok(), "{name}");
        }
        for name in [
            "",
            "Corp",
            "1a",
            "-a",
            "a/b",
            "a.b",
            "..",
            "a b",
            &"a".repeat(41),
        ] {
            assert!(ProviderName::parse(name).is_err(), "{name}");
        }
    }
}
