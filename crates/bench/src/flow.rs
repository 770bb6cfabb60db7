//! The authorization code flow: the agent pushes what it asks for, the person's browser opens the page and sends its
//! form, and the agent redeems the code.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use chancery_wire::pkce::{self, Challenge, Verifier};
use serde_json::Value;

use crate::http1::{self, Answer, Connection};
use crate::product::{Agent, CALLBACK, Product};
use crate::signing::{self, FORM};
use crate::world::Distinct;

/// One flow, with all that is signed for it, so that only the code is missing.
pub(crate) struct Flow {
    /// Where the authority is.
    pub(crate) to: SocketAddr,
    issuer: String,
    agent: String,
    login: String,
    verifier: String,
    push: Bytes,
    assertion: String,
    proof: String,
}

/// A flow that led to tokens.
pub(crate) struct Taken {
    /// What was sent, in order.
    pub(crate) requests: [Bytes; 4],
    /// The token that renews.
    pub(crate) refresh_token: String,
}

impl Flow {
    /// A flow of `agent` with the person who has `login`, good for a minute.
    pub(crate) fn new(
        product: &Product,
        agent: &Agent,
        login: &str,
        nonce: &str,
        names: &Distinct,
    ) -> Result<Self> {
        // Forty-three characters at least (RFC 7636 4.1).
        let verifier = [names.name(), names.name()].concat();
        let id = agent.id.to_string();
        let url = format!("{}/oauth/token", product.issuer);
        Ok(Self {
            to: product.address(),
            issuer: product.issuer.clone(),
            login: login.to_owned(),
            push: push(product, agent, &verifier, names)?,
            assertion: signing::assertion(&id, &agent.key, &product.issuer, names),
            proof: signing::proof(&agent.key, &url, Some(nonce), names),
            agent: id,
            verifier,
        })
    }

    /// Takes all four steps; nothing when one was sent away early (429, 503). Any other answer than the one that leads on
    /// is an error that quotes it.
    pub(crate) async fn take(&self, connection: &mut Connection) -> Result<Option<Taken>> {
        let Some(pushed) = step(connection, &self.push, 201).await? else {
            return Ok(None);
        };
        let open = self.open(&text(&pushed, "request_uri")?);
        let Some(page) = step(connection, &open, 200).await? else {
            return Ok(None);
        };
        let answer = self.answer(&filled_in(&page)?);
        let Some(sent_back) = step(connection, &answer, 303).await? else {
            return Ok(None);
        };
        let redeem = self.redeem(code(&sent_back)?);
        let Some(redeemed) = step(connection, &redeem, 200).await? else {
            return Ok(None);
        };
        text(&redeemed, "access_token")?;
        Ok(Some(Taken {
            refresh_token: text(&redeemed, "refresh_token")?,
            requests: [self.push.clone(), open, answer, redeem],
        }))
    }

    fn open(&self, uri: &str) -> Bytes {
        let query = signing::form(&[("client_id", &self.agent), ("request_uri", uri)]);
        let path = format!("/oauth/authorize?{query}");
        let headers = format!("Authorization: Bearer {}\r\n", self.login);
        http1::request("GET", self.to, &path, &headers, "")
    }

    fn answer(&self, form: &str) -> Bytes {
        let headers = format!(
            "{FORM}Authorization: Bearer {}\r\nOrigin: {}\r\n",
            self.login, self.issuer
        );
        let path = "/oauth/authorize/decide";
        http1::request("POST", self.to, path, &headers, form)
    }

    fn redeem(&self, code: &str) -> Bytes {
        let form = signing::form(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("code_verifier", &self.verifier),
            ("redirect_uri", CALLBACK),
        ]);
        let form = format!("{form}&{}", signing::asserted(&self.assertion));
        let headers = format!("{FORM}DPoP: {}\r\n", self.proof);
        http1::request("POST", self.to, "/oauth/token", &headers, &form)
    }
}

/// A pushed request of `agent` for the MCP server, bound to its key by the key's name: one assertion, no proof.
pub(crate) fn push(
    product: &Product,
    agent: &Agent,
    verifier: &str,
    names: &Distinct,
) -> Result<Bytes> {
    let id = agent.id.to_string();
    let challenge = Challenge::of(&Verifier::parse(verifier)?);
    let form = signing::form(&[
        ("client_id", &id),
        ("response_type", "code"),
        ("redirect_uri", CALLBACK),
        ("scope", "read write"),
        ("resource", &product.mcp_resource()),
        ("state", &names.name()),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", pkce::METHOD),
        ("dpop_jkt", agent.key.public().thumbprint()),
    ]);
    let assertion = signing::assertion(&id, &agent.key, &product.issuer, names);
    let form = format!("{form}&{}", signing::asserted(&assertion));
    let to = product.address();
    Ok(http1::request("POST", to, "/oauth/par", FORM, &form))
}

/// One step, which is answered with `status` unless it is sent away.
async fn step(connection: &mut Connection, request: &Bytes, status: u16) -> Result<Option<Answer>> {
    let answer = connection.exchange(request).await?;
    match answer.status {
        told if told == status => Ok(Some(answer)),
        429 | 503 => Ok(None),
        _ => bail!("not {status} but {}", answer.beginning()),
    }
}

fn text(answer: &Answer, name: &str) -> Result<String> {
    let body: Value = serde_json::from_slice(answer.body())?;
    let text = body[name].as_str();
    let text = text.with_context(|| format!("no `{name}`: {}", answer.beginning()))?;
    Ok(text.to_owned())
}

/// The form of a page, with its hidden fields as they came and a yes.
fn filled_in(page: &Answer) -> Result<String> {
    let text = std::str::from_utf8(page.body())?;
    form_of(text).with_context(|| format!("no form: {}", page.beginning()))
}

fn form_of(page: &str) -> Option<String> {
    let (_, form) = page.split_once("<form ")?;
    let (form, _) = form.split_once("</form>")?;
    let attribute = |tag: &str, name: &str| {
        let (_, rest) = tag.split_once(&format!("{name}=\""))?;
        let (value, _) = rest.split_once('"')?;
        // What has to be escaped in HTML is in none of these values.
        (!value.contains('&')).then(|| value.to_owned())
    };
    let mut fields = Vec::new();
    for input in form.split("<input ").skip(1) {
        let (input, _) = input.split_once('>')?;
        fields.push((attribute(input, "name")?, attribute(input, "value")?));
    }
    let mut fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    fields.push(("answer", "approve"));
    Some(signing::form(&fields))
}

/// The code with which the browser is sent back to the agent.
fn code(answer: &Answer) -> Result<&str> {
    let code = answer.header("location").and_then(|location| {
        let (place, query) = location.split_once('?')?;
        let code = query.split('&').find_map(|pair| pair.strip_prefix("code="));
        code.filter(|_| place == CALLBACK)
    });
    code.with_context(|| format!("no code: {}", answer.beginning()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form_is_sent_with_its_hidden_fields_and_a_yes() {
        let page = "<p>x</p><form method=\"post\" action=\"/a\"><input type=\"hidden\" name=\"request_uri\" value=\"urn:x\">\
            <input type=\"hidden\" name=\"form\" value=\"t-1\"><button name=\"answer\" value=\"deny\">No</button></form>";
        let form = form_of(page).unwrap();
        assert_eq!(form, "request_uri=urn%3Ax&form=t-1&answer=approve");
        assert_eq!(form_of("<p>Sign in first</p>"), None);
    }
}
