//! The test mode `up --test-login HANDLE`: one known person whose browser answers by itself, so that other people's test
//! suites can run the flows that ask a person.
//!
//! It is a browser and no back door: it opens the pages of the authority, fills in their forms, and has nothing but a login of
//! that person and, where a second person must agree, the credential of the local administrator who started it.

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use chancery_authority::found::OpenError;
use chancery_authority::state::Authority;
use chancery_wire::origin;
use serde_json::{Value, json};
use tower::ServiceExt;

/// The largest page, in bytes.
const PAGE: usize = 256 * 1024;
/// How often a page is opened: once more after a second person agreed.
const ATTEMPTS: usize = 3;

/// The browser of one person.
#[derive(Clone)]
struct Browser {
    router: Router,
    host: String,
    person: String,
    login: String,
    administrator: String,
}

/// Refuses to be anything but a toy: whoever reaches the page acts as the person.
pub(crate) fn require_loopback(authority: &Authority) -> Result<()> {
    let issuer = origin::parse_issuer(&authority.config.issuer).map_err(OpenError::from)?;
    if origin::is_loopback(&issuer) {
        return Ok(());
    }
    bail!(
        "`--test-login` lets whoever opens a link act as that person, so it is for loopback alone, and the issuer is `{}`; \
         leave one of the two out",
        authority.config.issuer
    )
}

/// The router in which the person answers by themselves; the person is added when nobody is called so.
pub(crate) async fn answering(
    router: Router,
    host: &str,
    person: &str,
    administrator: &str,
) -> Result<Router> {
    let mut browser = Browser {
        router: router.clone(),
        host: host.to_owned(),
        person: person.to_owned(),
        login: String::new(),
        administrator: administrator.to_owned(),
    };
    let (status, told) = browser
        .administer("POST", "/v1/owners", json!({"handle": person}))
        .await?;
    let is_there = status.is_success() || status == StatusCode::CONFLICT;
    if !is_there {
        bail!("`{person}` cannot be a person: {}", told["detail"]);
    }
    let path = format!("/v1/owners/{person}/logins");
    let (status, login) = browser
        .administer(
            "POST",
            &path,
            json!({"roles": ["auditor"], "lifetime": 86_400}),
        )
        .await?;
    let login = login["token"].as_str().filter(|_| status.is_success());
    let login = login.with_context(|| format!("`{person}` cannot sign in; are they disabled?"))?;
    login.clone_into(&mut browser.login);
    Ok(router.layer(from_fn_with_state(browser, answer)))
}

/// Answers a person's page in place of the person, unless somebody came who says who they are.
async fn answer(State(browser): State<Browser>, request: Request, next: Next) -> Response {
    let is_question = request.method() == Method::GET && request.uri().path() == "/oauth/authorize";
    let says_who = [header::AUTHORIZATION, header::COOKIE];
    if !is_question
        || says_who
            .iter()
            .any(|name| request.headers().contains_key(name))
    {
        return next.run(request).await;
    }
    let seen: Vec<(HeaderName, HeaderValue)> = JUDGED
        .iter()
        .filter_map(|name| Some((name.clone(), request.headers().get(name)?.clone())))
        .collect();
    let path = request.uri().to_string();
    tracing::warn!(
        person = browser.person,
        "test mode: a person's answer was given by itself"
    );
    match browser.agree(&path, &seen).await {
        Ok(response) => response,
        Err(error) => {
            tracing::error!(%error, "test mode: the page could not be answered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

impl Browser {
    /// Opens the page and says yes to all that it asks; what is no question is shown as it is.
    async fn agree(&self, path: &str, seen: &[(HeaderName, HeaderValue)]) -> Result<Response> {
        let mut attempt = 1;
        loop {
            let mut request = self.request("GET", path, &self.login);
            // What the authority judges by of the page that sent somebody here is judged.
            if let Some(headers) = request.headers_mut() {
                headers.extend(seen.iter().cloned());
            }
            let (mut response, page) = self.send(request.body(Body::empty())?).await?;
            if !leads_to_loopback(&response) {
                *response.body_mut() = Body::from(page);
                return Ok(response);
            }
            let Some(form) = Form::of(&page) else {
                if attempt < ATTEMPTS && self.agree_as_second_person().await? {
                    attempt += 1;
                    continue;
                }
                *response.body_mut() = Body::from(page);
                return Ok(response);
            };
            let request = self
                .request("POST", &form.action, &self.login)
                .header(header::HOST, &self.host)
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
            let (mut response, page) = self.send(request.body(Body::from(form.body))?).await?;
            let is_waiting = response.status().is_success();
            if is_waiting && attempt < ATTEMPTS && self.agree_as_second_person().await? {
                attempt += 1;
                continue;
            }
            *response.body_mut() = Body::from(page);
            return Ok(response);
        }
    }

    /// Puts into force what clients of the person became and waits for somebody else; whether there was any.
    async fn agree_as_second_person(&self) -> Result<bool> {
        let (_, drafts) = self
            .administer("GET", "/v1/agents?status=draft", Value::Null)
            .await?;
        let drafts = drafts["items"].as_array().map_or(&[][..], Vec::as_slice);
        let mut is_any = false;
        for draft in drafts.iter().filter(|draft| draft["owner"] == *self.person) {
            let Some(id) = draft["id"].as_str() else {
                continue;
            };
            let shown = format!("/v1/agents/{id}");
            let (_, shown_draft) = self.administer("GET", &shown, Value::Null).await?;
            if shown_draft["document"]["platform"] != "mcp_client" {
                continue;
            }
            let seen = shown_draft["revision"].to_string();
            let path = format!("{shown}/activate");
            let request = self
                .request("POST", &path, &self.administrator)
                .header(header::HOST, &self.host)
                .header(header::IF_MATCH, seen);
            let (response, _) = self.send(request.body(Body::empty())?).await?;
            is_any |= response.status().is_success();
        }
        Ok(is_any)
    }

    async fn administer(
        &self,
        method: &str,
        path: &str,
        body: Value,
    ) -> Result<(StatusCode, Value)> {
        let request = self.request(method, path, &self.administrator);
        let request = request.header(header::HOST, &self.host);
        let request = match body {
            Value::Null => request.body(Body::empty())?,
            body => request
                .header(header::CONTENT_TYPE, "application/json")
                .body(Body::from(body.to_string()))?,
        };
        let (response, text) = self.send(request).await?;
        Ok((
            response.status(),
            serde_json::from_str(&text).unwrap_or(Value::Null),
        ))
    }

    fn request(&self, method: &str, path: &str, secret: &str) -> axum::http::request::Builder {
        let mut bearer = HeaderValue::try_from(format!("Bearer {secret}"));
        if let Ok(value) = &mut bearer {
            value.set_sensitive(true);
        }
        let request = Request::builder().method(method).uri(path);
        match bearer {
            Ok(bearer) => request.header(header::AUTHORIZATION, bearer),
            Err(_) => request,
        }
    }

    async fn send(&self, request: Request) -> Result<(Response, String)> {
        let response = self.router.clone().oneshot(request).await?;
        let (head, body) = response.into_parts();
        let body = to_bytes(body, PAGE).await?;
        let text = String::from_utf8(body.to_vec())?;
        Ok((Response::from_parts(head, Body::empty()), text))
    }
}

/// What the guard of the authority judges a request of a browser by.
const JUDGED: [HeaderName; 3] = [
    header::HOST,
    header::ORIGIN,
    HeaderName::from_static("sec-fetch-site"),
];

/// Whether the answer of a page stays on this machine, by what its policy lets its form lead to. One without a form leads
/// nowhere.
fn leads_to_loopback(page: &Response) -> bool {
    let policy = page.headers().get(header::CONTENT_SECURITY_POLICY);
    let policy = policy.and_then(|policy| policy.to_str().ok()).unwrap_or("");
    let forms = policy
        .split(';')
        .find_map(|rule| rule.trim().strip_prefix("form-action "));
    let mut targets = forms.unwrap_or("").split(' ');
    targets.all(|target| {
        matches!(target, "" | "'none'" | "'self'")
            || url::Url::parse(target).is_ok_and(|url| origin::is_loopback(&url))
    })
}

/// The form of a page of ours, filled in with a yes to everything.
struct Form {
    action: String,
    body: String,
}

impl Form {
    fn of(page: &str) -> Option<Self> {
        let (_, form) = page.split_once("<form ")?;
        let (form, _) = form.split_once("</form>")?;
        let action = attribute(form, "action")?;
        let mut body = String::from("answer=approve");
        for input in form.split("<input ").skip(1) {
            let input = input.split('>').next()?;
            let name = attribute(input, "name")?;
            let value = attribute(input, "value").unwrap_or_default();
            body.push('&');
            body.push_str(&encoded(&name));
            body.push('=');
            body.push_str(&encoded(&value));
        }
        Some(Self { action, body })
    }
}

/// The value of an attribute, which our pages write in double quotes.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!("{name}=\""))?;
    let (value, _) = rest.split_once('"')?;
    let entities = [
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&amp;", "&"),
    ];
    let plain = |text: String, (entity, letter): (&str, &str)| text.replace(entity, letter);
    Some(entities.into_iter().fold(value.to_owned(), plain))
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form_is_filled_in_with_a_yes() {
        let page = "<p>x</p><form method=\"post\" action=\"/oauth/authorize/adopt\">\
            <input type=\"hidden\" name=\"query\" value=\"a=1&amp;b=&quot;\">\
            <p><label><input type=\"checkbox\" name=\"t0\" value=\"on\"> <bdi>echo</bdi></label></p>\
            <button name=\"answer\" value=\"deny\">No</button></form><input name=\"after\">";
        let form = Form::of(page).expect("a form");
        assert_eq!(form.action, "/oauth/authorize/adopt");
        assert_eq!(form.body, "answer=approve&query=a%3D1%26b%3D%22&t0=on");
        assert!(Form::of("<p>no question</p>").is_none());
    }
}
