//! `token inspect`: what a token says, apart from what of that is known to be true.

use chancery_client::agent::discovery;
use chancery_client::transport::Transport;
use chancery_model::time::Timestamp;
use chancery_wire::jwk::KeySet;
use chancery_wire::jws::Unverified;
use chancery_wire::{base64url, json};
use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::given;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::layout::{self, Facts};
use crate::login;
use crate::session::Session;

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// The token; `-` reads it from the standard input
    #[arg(value_name = "TOKEN")]
    token: String,
}

/// What `token inspect` prints as JSON.
#[derive(Debug, Serialize)]
struct Inspected {
    header: Value,
    claims: Value,
    /// `verified`, `wrong` or `not_checked`.
    signature: &'static str,
    /// Why, when the signature is not verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    /// Whether its end has passed, by the clock of this machine.
    expired: bool,
}

pub(super) async fn run(session: &Session, args: &Inspect) -> Result<Exit, Failure> {
    let token = given(&args.token)?;
    let mut inspected = decode(&token, session.now)?;
    match keys(session, &inspected.claims).await {
        Ok(keys) => check(&token, &keys, &mut inspected),
        Err(failure) => {
            inspected.why = Some(failure.text().trim_start_matches("error: ").to_owned())
        }
    }
    session.output.show(&inspected, || render(&inspected))?;
    Ok(match inspected.signature {
        "wrong" => Exit::Refused,
        _ => Exit::Done,
    })
}

fn decode(token: &str, now: Timestamp) -> Result<Inspected, Failure> {
    let wrong = |why: String| Failure::unreadable(format!("not a token: {why}"));
    let unverified =
        Unverified::parse(token, json::TOKEN).map_err(|error| wrong(error.to_string()))?;
    let header = base64url::decode(unverified.header_segment())
        .map_err(|_| wrong("its header is not base64url".to_owned()))?;
    let header = json::parse(&header, json::TOKEN).map_err(|error| wrong(error.to_string()))?;
    let claims: Value = unverified
        .untrusted_claims(json::TOKEN)
        .map_err(|error| wrong(error.to_string()))?;
    let end = claims.get("exp").and_then(Value::as_i64);
    Ok(Inspected {
        header,
        expired: end.is_some_and(|end| Timestamp::from_secs(end) <= now),
        claims,
        signature: "not_checked",
        why: None,
    })
}

/// The keys of the authority that we know, if it is the one that the token names.
async fn keys(session: &Session, claims: &Value) -> Result<KeySet, Failure> {
    let issuer = login::url(&session.login)?.trim_end_matches('/').to_owned();
    let transport = Transport::new();
    let server = discovery::authorization_server(&transport, &issuer).await?;
    // Its own word on who issued it decides nothing: a key is never fetched from where a token says.
    if claims.get("iss").and_then(Value::as_str) != Some(server.issuer.as_str()) {
        let message = format!("the token names another issuer than `{}`", server.issuer);
        return Err(Failure::unreadable(message));
    }
    let set = discovery::key_set(&transport, &server).await?;
    KeySet::parse(&set).map_err(|error| Failure::unreachable(format!("the issuer's keys: {error}")))
}

fn check(token: &str, keys: &KeySet, inspected: &mut Inspected) {
    let verified = Unverified::parse(token, json::TOKEN)
        .map_err(|error| error.to_string())
        .and_then(|unverified| {
            let (kid, alg) = (unverified.header().kid.clone(), unverified.header().alg);
            let key = keys
                .keys()
                .find(|key| Some(key.thumbprint()) == kid.as_deref() && key.algorithm() == alg)
                .ok_or("no key of the issuer has its `kid`")?;
            unverified.verify(key).map_err(|error| error.to_string())
        });
    match verified {
        Ok(_) => inspected.signature = "verified",
        Err(why) => {
            inspected.signature = "wrong";
            inspected.why = Some(why);
        }
    }
}

fn render(inspected: &Inspected) -> String {
    let why = inspected.why.as_ref().map(|why| format!(": {why}"));
    let signature = inspected.signature.replace('_', " ");
    let facts = Facts::new()
        .add(
            "signature",
            format!("{signature}{}", why.unwrap_or_default()),
        )
        .add("expired", if inspected.expired { "yes" } else { "no" })
        .add(
            "revoked",
            "not asked: only a resource server may introspect",
        );
    let facts = members(facts, "header", &inspected.header);
    members(facts, "claim", &inspected.claims).render()
}

fn members(facts: Facts, kind: &str, value: &Value) -> Facts {
    let Value::Object(members) = value else {
        return facts.add(kind, value);
    };
    members.iter().fold(facts, |facts, (name, value)| {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) if matches!(name.as_str(), "exp" | "iat" | "nbf") => {
                let moment = number.as_i64().map(Timestamp::from_secs);
                let moment = moment.map(|moment| format!(" ({})", layout::moment(moment)));
                format!("{number}{}", moment.unwrap_or_default())
            }
            other => other.to_string(),
        };
        facts.add(&format!("{kind} {name}"), text)
    })
}

#[cfg(test)]
mod tests {
    use chancery_wire::jwk::{Algorithm, PrivateKey};
    use chancery_wire::jws;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_said_is_kept_apart_from_what_is_verified() {
        let key = PrivateKey::generate(Algorithm::Es256).expect("a key");
        let other = PrivateKey::generate(Algorithm::Es256).expect("a key");
        let set = |key: &PrivateKey| {
            KeySet::parse(&json!({"keys": [key.public().to_jwk()]})).expect("a set")
        };
        let claims = json!({"iss": "https://id.example.com", "exp": 1_000}).to_string();
        let token = jws::sign(&key, "at+jwt", claims.as_bytes());
        let mut inspected = decode(&token, Timestamp::from_secs(1_000)).expect("a token");
        assert!(inspected.expired);
        assert_eq!(inspected.signature, "not_checked");
        assert_eq!(inspected.header["typ"], "at+jwt");
        check(&token, &set(&key), &mut inspected);
        assert_eq!((inspected.signature, &inspected.why), ("verified", &None));
        check(&token, &set(&other), &mut inspected);
        assert_eq!(inspected.signature, "wrong");
        let mut forged = token.clone();
        forged.replace_range(token.len() - 8..token.len() - 4, "AAAA");
        check(&forged, &set(&key), &mut inspected);
        assert_eq!(inspected.signature, "wrong");
        assert!(decode("no.token", Timestamp::from_secs(0)).is_err());
    }

    #[test]
    fn a_claim_beyond_the_calendar_is_no_panic() {
        let key = PrivateKey::generate(Algorithm::EdDsa).expect("a key");
        let claims = json!({"exp": i64::MAX / 2_000_000, "iat": "x"}).to_string();
        let token = jws::sign(&key, "at+jwt", claims.as_bytes());
        let inspected = decode(&token, Timestamp::from_secs(0)).expect("a token");
        assert!(render(&inspected).contains("exp"));
    }
}
