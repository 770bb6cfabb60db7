//! Acting on behalf of a person: push what is asked for, send the person's browser there, check what comes back, and
//! fetch the token (RFC 9126, 7636, 9207, 9449).

use chancery_model::secret::Secret;
use chancery_wire::json;
use chancery_wire::oauth::PushedResponse;
use chancery_wire::pkce::{self, Challenge, Verifier};
use http::StatusCode;
use url::Url;
use url::form_urlencoded::Serializer;

use crate::address;
use crate::agent::AgentError;
use crate::agent::token::{Caller, TokenResponse, fresh, refused, understand};
use crate::authority::not_ours;

/// What a person is to be asked.
pub struct Wanted<'a> {
    /// The resource that the token is for.
    pub resource: &'a str,
    /// The scopes, separated by spaces; all that are allowed when absent.
    pub scope: Option<&'a str>,
    /// Where the answer goes: one that is registered.
    pub redirect_uri: &'a str,
}

/// A request that was pushed, with the secrets that tell its answer from any other.
pub struct Pushed {
    /// Where the person's browser goes.
    pub url: String,
    redirect_uri: String,
    state: String,
    verifier: Secret<String>,
}

/// Pushes a request; the code will be bound to the key of the caller's session.
pub async fn push(caller: &Caller<'_>, wanted: &Wanted<'_>) -> Result<Pushed, AgentError> {
    let server = caller.server;
    let missing = |what: &str| AgentError::Metadata {
        url: server.issuer.clone(),
        why: format!("it has no `{what}`"),
    };
    let endpoint = server.pushed_authorization_request_endpoint.as_deref();
    let endpoint = endpoint.ok_or_else(|| missing("pushed_authorization_request_endpoint"))?;
    let endpoint = address::parse(endpoint)?;
    let authorize = server.authorization_endpoint.as_deref();
    let authorize = authorize.ok_or_else(|| missing("authorization_endpoint"))?;
    let mut url = address::parse(authorize)?;
    // 256 random bits, as text of the grammar of RFC 7636.
    let verifier = format!("{}{}", fresh(caller.entropy), fresh(caller.entropy));
    let state = fresh(caller.entropy);
    let challenge = Verifier::parse(&verifier).map(|verifier| Challenge::of(&verifier));
    let challenge = challenge.map_err(|_| missing("usable verifier"))?;
    let client_id = caller.client_id.to_string();
    let mut form = vec![
        ("client_id", &*client_id),
        ("response_type", "code"),
        ("redirect_uri", wanted.redirect_uri),
        ("resource", wanted.resource),
        ("state", &state),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", pkce::METHOD),
    ];
    form.extend(wanted.scope.map(|scope| ("scope", scope)));
    let jkt = caller.dpop.map(|dpop| dpop.thumbprint().to_owned());
    form.extend(jkt.as_deref().map(|jkt| ("dpop_jkt", jkt)));
    let answer = caller.without_proof().send(&endpoint, &form).await?;
    if answer.status != StatusCode::CREATED {
        return Err(refused(&endpoint, &answer));
    }
    let pushed: PushedResponse = json::parse_as(&answer.body, json::BODY)
        .map_err(|error| not_ours(&endpoint, error.to_string()))?;
    let mut query = Serializer::new(String::new());
    query
        .append_pair("client_id", &client_id)
        .append_pair("request_uri", &pushed.request_uri);
    url.set_query(Some(&query.finish()));
    Ok(Pushed {
        url: url.into(),
        redirect_uri: wanted.redirect_uri.to_owned(),
        state,
        verifier: Secret::new(verifier),
    })
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub enum Returned {
    /// A code.
    Code(String),
    /// The person, or the server, said no.
    Refused(String),
}

impl Pushed {
    /// Reads the query that the browser came back with. An answer to another request, of another server, or without a
    /// word on whose it is, is none (RFC 9207, AUTHZ-07, AUTHZ-09).
    pub fn read(&self, issuer: &str, query: &str) -> Result<Returned, AgentError> {
        let strange = |why: &str| AgentError::Metadata {
            url: self.redirect_uri.clone(),
            why: why.to_owned(),
        };
        let one = |name: &str| {
            let pairs = url::form_urlencoded::parse(query.as_bytes());
            let mut values = pairs.filter(|(own, _)| own == name).map(|(_, value)| value);
            match (values.next(), values.next()) {
                (Some(value), None) => Some(value.into_owned()),
                (None, _) | (Some(_), Some(_)) => None,
            }
        };
        if one("state").as_deref() != Some(&*self.state) {
            return Err(strange("the answer is to another request"));
        }
        if one("iss").as_deref() != Some(issuer) {
            return Err(strange("the answer is of another server"));
        }
        match (one("code"), one("error")) {
            (Some(code), None) => Ok(Returned::Code(code)),
            (None, Some(error)) => Ok(Returned::Refused(error)),
            (Some(_), Some(_)) | (None, None) => Err(strange("the answer is neither yes nor no")),
        }
    }

    /// Fetches the token that the person let the caller have.
    pub async fn redeem(
        &self,
        caller: &Caller<'_>,
        code: &str,
    ) -> Result<TokenResponse, AgentError> {
        let endpoint: Url = address::parse(&caller.server.token_endpoint)?;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.redirect_uri),
            ("code_verifier", self.verifier.expose()),
        ];
        let answer = caller.send(&endpoint, &form).await?;
        understand(&endpoint, &answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://id.example";

    fn pushed() -> Pushed {
        Pushed {
            url: String::new(),
            redirect_uri: "http://127.0.0.1:1/callback".to_owned(),
            state: "the-state".to_owned(),
            verifier: Secret::new(String::new()),
        }
    }

    #[test]
    fn authz_07_answer_of_another_server_is_discarded() {
        let right = "code=c&state=the-state&iss=https%3A%2F%2Fid.example";
        let code = pushed().read(ISSUER, right).expect("an answer");
        assert_eq!(code, Returned::Code("c".to_owned()));
        let no = "error=access_denied&state=the-state&iss=https%3A%2F%2Fid.example";
        let no = pushed().read(ISSUER, no).expect("an answer");
        assert_eq!(no, Returned::Refused("access_denied".to_owned()));
        for wrong in [
            "code=c&state=the-state",
            "code=c&state=the-state&iss=https%3A%2F%2Fid.example%2F",
            "code=c&state=the-state&iss=https%3A%2F%2Fother.example",
            "error=access_denied&state=the-state&iss=https%3A%2F%2Fother.example",
            "code=c&state=the-state&iss=https%3A%2F%2Fid.example&iss=https%3A%2F%2Fid.example",
        ] {
            assert!(pushed().read(ISSUER, wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn authz_09_answer_without_our_state_is_discarded() {
        for wrong in [
            "code=c&iss=https%3A%2F%2Fid.example",
            "code=c&state=&iss=https%3A%2F%2Fid.example",
            "code=c&state=another&iss=https%3A%2F%2Fid.example",
            "code=c&state=the-state&state=the-state&iss=https%3A%2F%2Fid.example",
            "code=c&code=d&state=the-state&iss=https%3A%2F%2Fid.example",
            "",
        ] {
            assert!(pushed().read(ISSUER, wrong).is_err(), "{wrong}");
        }
    }
}
