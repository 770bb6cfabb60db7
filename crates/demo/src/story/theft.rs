//! Chapters 8 and 9: the token is stolen, in vain; and it never went where it could have been stolen.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use chancery_client::agent::dpop::DpopSession;
use chancery_client::transport::Answer;
use chancery_model::secret::Secret;
use chancery_wire::jwk::{Algorithm, PrivateKey};
use chancery_wire::mcp;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::Full;
use serde_json::{Map, json};
use url::Url;

use crate::agent::credential::{BoundToken, Credential, challenge, parameter};
use crate::desk::http::Received;
use crate::story::narrator::Narrator;
use crate::story::opening::{Badge, Desk};
use crate::story::{Failure, Scene};

pub(super) async fn steal(
    scene: &Scene<'_>,
    tell: &mut Narrator<'_>,
    desk: &Desk,
    badge: &Badge,
) -> Result<(), Failure> {
    tell.begin(
        "Its token is stolen",
        "A thief has the token, and even a whole request of the agent's, but not its key. Three attempts, while the \
         agent's own calls go on working.",
    )?;
    let url = tell.must(Url::parse(&desk.url), "the desk's address")?;
    let stolen = || Secret::new(badge.token.expose().clone());

    let bearer = Credential::Bearer(Arc::new(stolen()));
    let (answer, _) = knock(scene, tell, &url, &bearer).await?;
    turned_away(tell, "as a bearer", &answer)?;

    let own_key = tell.must(PrivateKey::generate(Algorithm::Es256), "a thief's key")?;
    let thief = BoundToken {
        token: stolen(),
        dpop: DpopSession::new(own_key),
        clock: scene.stage.clock.clone(),
        entropy: scene.stage.entropy.clone(),
    };
    let (answer, _) = knock(scene, tell, &url, &Credential::Bound(Arc::new(thief))).await?;
    turned_away(tell, "with own key", &answer)?;

    let (answer, overheard) = knock(scene, tell, &url, &badge.credential).await?;
    served(tell, &answer)?;
    let answer = send(scene, tell, &url, overheard).await?;
    turned_away(tell, "same request", &answer)?;

    let (answer, _) = knock(scene, tell, &url, &badge.credential).await?;
    served(tell, &answer)?;
    tell.good("the agent", "served before, between and after")?;
    tell.end()
}

/// Asks for the list of tools with this credential; gives the answer and the header fields that went out.
async fn knock(
    scene: &Scene<'_>,
    tell: &Narrator<'_>,
    url: &Url,
    credential: &Credential,
) -> Result<(Answer, HeaderMap), Failure> {
    let headers = credential.headers(Method::POST.as_str(), url);
    let answer = send(scene, tell, url, headers.clone()).await?;
    if !credential.learn(url, answer.status, &answer.headers) {
        return Ok((answer, headers));
    }
    // A nonce is no secret: whoever asks is given one, thief or not.
    let headers = credential.headers(Method::POST.as_str(), url);
    let answer = send(scene, tell, url, headers.clone()).await?;
    credential.learn(url, answer.status, &answer.headers);
    Ok((answer, headers))
}

/// Sends one request for the list of tools with exactly these credentials.
async fn send(
    scene: &Scene<'_>,
    tell: &Narrator<'_>,
    url: &Url,
    credentials: HeaderMap,
) -> Result<Answer, Failure> {
    let mut meta = Map::new();
    mcp::stamp_meta(&mut meta, "refund-bot", env!("CARGO_PKG_VERSION"));
    let body =
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": meta}});
    let mut request = Request::new(Full::new(Bytes::from(body.to_string())));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = tell.must(url.as_str().parse(), "the desk's address")?;
    let fixed = [
        (CONTENT_TYPE, "application/json"),
        (ACCEPT, "application/json, text/event-stream"),
        (HeaderName::from_static(mcp::VERSION_HEADER), mcp::MODERN),
        (HeaderName::from_static(mcp::METHOD_HEADER), "tools/list"),
    ];
    let headers = request.headers_mut();
    headers.extend(fixed.map(|(name, value)| (name, HeaderValue::from_static(value))));
    headers.extend(credentials);
    tell.must(
        scene.transport.send(request).await,
        "an answer of the gateway",
    )
}

fn turned_away(tell: &mut Narrator<'_>, how: &'static str, answer: &Answer) -> Result<(), Failure> {
    let said = challenge(&answer.headers);
    let got = || format!("{} {said}", answer.status);
    tell.expect(
        answer.status == StatusCode::UNAUTHORIZED,
        "the thief refused with 401",
        got,
    )?;
    let code = parameter(&said, "error").unwrap_or_default();
    tell.expect(!code.is_empty(), "a reason for the 401", got)?;
    let why = parameter(&said, "error_description")
        .map(|why| format!(": {why}"))
        .unwrap_or_default();
    tell.refused(how, format!("401 {code}{why}"))
}

fn served(tell: &Narrator<'_>, answer: &Answer) -> Result<(), Failure> {
    let got = || format!("{} {}", answer.status, challenge(&answer.headers));
    tell.expect(
        answer.status == StatusCode::OK,
        "the agent's own request served",
        got,
    )
}

pub(super) async fn look_at_the_desk(
    scene: &Scene<'_>,
    tell: &mut Narrator<'_>,
    desk: &Desk,
) -> Result<(), Failure> {
    tell.begin(
        "The desk never saw it",
        "The desk kept the names of the headers of every request that reached it. The agent's token is not among \
         them: it ends at the gateway, so a tool server cannot lose it.",
    )?;
    let url = desk.process.url.replacen("/mcp", "/received", 1);
    let request = tell.must(
        Request::get(url).body(Full::default()),
        "the desk's address",
    )?;
    let answer = tell.must(
        scene.transport.send(request).await,
        "what the desk received",
    )?;
    let received: Vec<Received> = tell.must(
        serde_json::from_slice(&answer.body),
        "what the desk received",
    )?;
    let credentials = received.iter().filter(|request| request.credential).count();
    tell.expect(
        !received.is_empty(),
        "requests that reached the desk",
        || "none".to_owned(),
    )?;
    tell.expect(credentials == 0, "no request with a credential", || {
        format!("{credentials} of them")
    })?;
    let names: BTreeSet<&str> = received
        .iter()
        .flat_map(|request| &request.headers)
        .map(String::as_str)
        .collect();
    tell.fact("requests", received.len().to_string())?;
    tell.fact("headers", names.into_iter().collect::<Vec<_>>().join(", "))?;
    tell.good("credentials", "none")?;
    tell.end()
}
