//! ID tokens and what is told of a person (OpenID Connect Core 2, 5.3): what the authority signs for a client that signs
//! people in.
//!
//! An ID token says who signed in, to one client, and gives nothing: its `typ` is not that of an access token, and it is
//! signed by a key that signs nothing else.

use chancery_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::claim::present;
use crate::jwk::{Algorithm, PrivateKey, PublicKey};
use crate::jws::{self, Unverified};
use crate::{hash, json};

/// The `typ` of an ID token.
pub const TYP: &str = "JWT";

/// The scope that asks for an ID token (OpenID Connect Core 3.1.2.1).
pub const OPENID: &str = "openid";
/// The scope that asks for what the person is called here (OpenID Connect Core 5.4).
pub const PROFILE: &str = "profile";
/// The scope that asks for the person's e-mail address (OpenID Connect Core 5.4).
pub const EMAIL: &str = "email";
/// All of them.
pub const SCOPES: [&str; 3] = [EMAIL, OPENID, PROFILE];

/// The longest `nonce` that is passed on, in bytes.
pub const LONGEST_NONCE: usize = 255;

/// What is told of a person, as far as the client asked and the person agreed (OpenID Connect Core 5.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The person, for every client the same; never reused.
    pub sub: String,
    /// What the person is called here. It may be given to another person once this one has left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preferred_username: Option<String>,
    /// The address that the person was registered with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Always false: an administrator wrote the address down, and no letter was sent there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email_verified: Option<bool>,
}

impl Person {
    /// What a token of these scopes lets be told of a person who is called `handle`.
    pub fn told<'a>(sub: String, handle: &str, scopes: impl IntoIterator<Item = &'a str>) -> Self {
        let mut person = Self {
            sub,
            preferred_username: None,
            email: None,
            email_verified: None,
        };
        for scope in scopes {
            match scope {
                PROFILE => person.preferred_username = Some(handle.to_owned()),
                EMAIL => {
                    person.email = Some(handle.to_owned());
                    person.email_verified = Some(false);
                }
                _ => {}
            }
        }
        person
    }
}

/// What an ID token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The authority.
    pub iss: String,
    /// The client that the person signed in to.
    pub aud: String,
    /// When it was made, in seconds since the epoch.
    pub iat: i64,
    /// When it ends, in seconds since the epoch.
    pub exp: i64,
    /// When the person signed in, in seconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<i64>,
    /// What the client sent along, unaltered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// How surely it was the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
    /// Half of the hash of the access token that came with it, see [`at_hash`].
    pub at_hash: String,
    /// Who signed in.
    #[serde(flatten)]
    pub person: Person,
}

/// The `at_hash` of an access token: the left half of its SHA-256, for every algorithm that the authority signs with
/// (OpenID Connect Core 3.1.3.6).
pub fn at_hash(access_token: &str) -> String {
    hash::left_half_base64url(Algorithm::Es256, access_token.as_bytes())
}

/// Signs what an ID token says.
pub fn sign(claims: &Claims, key: &PrivateKey) -> String {
    // Claims are strings, integers and flags: nothing that JSON cannot write.
    let claims = serde_json::to_vec(claims).expect("claims are JSON");
    jws::sign(key, TYP, &claims)
}

/// An ID token that comes back as a hint about who is to sign out (OpenID Connect RP-Initiated Logout 1.0 2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// The person.
    pub sub: String,
    /// The client that it was made for.
    pub aud: String,
}

/// The text is no ID token of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an ID token of this issuer")]
pub struct InvalidHint;

/// Reads a hint. That it has ended does not matter: it proves nothing but that we once said so to that client.
pub fn read_hint(text: &str, issuer: &str, keys: &[PublicKey]) -> Result<Hint, InvalidHint> {
    #[derive(Deserialize)]
    struct Raw {
        #[serde(default, deserialize_with = "present")]
        iss: Option<String>,
        #[serde(default, deserialize_with = "present")]
        sub: Option<String>,
        #[serde(default, deserialize_with = "present")]
        aud: Option<String>,
    }
    let unverified = Unverified::parse(text, json::TOKEN).map_err(|_| InvalidHint)?;
    let kid = unverified.header().kid.as_deref();
    let key = keys.iter().find(|key| kid == Some(key.thumbprint()));
    if !unverified.header().typ_is(TYP) {
        return Err(InvalidHint);
    }
    let verified = unverified.verify(key.ok_or(InvalidHint)?);
    let verified = verified.map_err(|_| InvalidHint)?;
    let raw: Raw = verified.claims(json::TOKEN).map_err(|_| InvalidHint)?;
    match (raw.iss, raw.sub, raw.aud) {
        (Some(iss), Some(sub), Some(aud)) if iss == issuer => Ok(Hint { sub, aud }),
        _ => Err(InvalidHint),
    }
}

/// When an ID token that is made at `now` ends: soon, since it is looked at once.
pub fn ends(now: Timestamp) -> Timestamp {
    now.after(LIFETIME)
}

/// How long an ID token may be taken for news.
const LIFETIME: std::time::Duration = std::time::Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwk::Algorithm;

    fn claims() -> Claims {
        Claims {
            iss: "https://as.example".to_owned(),
            aud: "agt_01hzy0000000000000000000aa".to_owned(),
            iat: 100,
            exp: 400,
            auth_time: Some(90),
            nonce: Some("n-0S6_WzA2Mj".to_owned()),
            acr: Some("phr".to_owned()),
            at_hash: at_hash("token"),
            person: Person::told(
                "own_01hzy0000000000000000000aa".to_owned(),
                "alice@example.com",
                [OPENID, EMAIL],
            ),
        }
    }

    /// OpenID Connect Core A.4, where a code is hashed in the same way.
    #[test]
    fn half_of_the_hash_is_that_of_the_standard() {
        assert_eq!(
            at_hash("Qcb0Orv1zh30vL1MPRsbm-diHiMwcLyZvn1arpZv-Jxf_11jnpEX3Tgfvk"),
            "LDktKdoQak3Pk0cnXxCltA"
        );
    }

    #[test]
    fn person_is_told_as_far_as_scopes_go() {
        let told = |scopes: &[&str]| {
            let person = Person::told("s".to_owned(), "a@b", scopes.iter().copied());
            serde_json::to_value(person).expect("JSON")
        };
        assert_eq!(told(&[OPENID]), serde_json::json!({"sub": "s"}));
        assert_eq!(
            told(&[OPENID, PROFILE]),
            serde_json::json!({"sub": "s", "preferred_username": "a@b"})
        );
        assert_eq!(
            told(&["desk", EMAIL]),
            serde_json::json!({"sub": "s", "email": "a@b", "email_verified": false})
        );
    }

    #[test]
    fn hint_is_a_token_of_ours_and_no_other() {
        let key = PrivateKey::generate(Algorithm::Es256).expect("a key");
        let other = PrivateKey::generate(Algorithm::Es256).expect("a key");
        let keys = [key.public().clone()];
        let read = |text: &str| read_hint(text, "https://as.example", &keys);
        let hint = Hint {
            sub: "own_01hzy0000000000000000000aa".to_owned(),
            aud: "agt_01hzy0000000000000000000aa".to_owned(),
        };
        assert_eq!(read(&sign(&claims(), &key)), Ok(hint));
        assert_eq!(read(&sign(&claims(), &other)), Err(InvalidHint));
        let elsewhere = Claims {
            iss: "https://as.example/".to_owned(),
            ..claims()
        };
        assert_eq!(read(&sign(&elsewhere, &key)), Err(InvalidHint));
        let text = serde_json::to_vec(&claims()).expect("JSON");
        for typ in ["at+jwt", "logout+jwt"] {
            assert_eq!(read(&jws::sign(&key, typ, &text)), Err(InvalidHint));
        }
        assert_eq!(read("e30.e30."), Err(InvalidHint));
    }
}
