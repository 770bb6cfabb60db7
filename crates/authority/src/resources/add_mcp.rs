//! Puts an MCP server behind the gateway: looks at it, shows what a person should know, pins its tools.

use std::time::Duration;

use axum::Json;
use chancery_api::mcp::{AddMcpServer, McpServerView};
use chancery_gateway::probe::{self, Probed};
use chancery_gateway::review::{Severity, review_definition};
use chancery_gateway::snapshot::KnownServer;
use chancery_model::action::Action;
use chancery_model::document::is_legal_name;
use chancery_model::event::EventKind;
use chancery_model::id::ResourceId;
use chancery_model::mcp::{McpServer, SignIn, ToolPin, Upstream};
use chancery_policy::Target;
use chancery_store::{error::StoreError, mcp_servers};
use chancery_wire::json;

use crate::ctx::{Caller, Ctx};
use crate::error::Error;
use crate::extract::Body;
use crate::refresh::policies::Compiles;
use crate::resources::{register, show_mcp};
use crate::text::rfc3339;

/// The most tools of one server.
const MOST_TOOLS: usize = 500;

/// `POST /v1/mcp`.
pub async fn add(ctx: Ctx, Body(body): Body<AddMcpServer>) -> Result<Json<McpServerView>, Error> {
    if !is_legal_name(&body.name) || body.name == "chancery" {
        return Err(Error::Invalid(
            "a server's name has 1 to 64 of `a-z`, `0-9`, `.`, `_`, `-`, and is not `chancery`"
                .to_owned(),
        ));
    }
    let bearer_until = register::bearer_until(&ctx, body.allow_bearer)?;
    let sign_in = sign_in(&body)?;
    let permit = ctx.authorize(Action::McpManage, Target::Server(&body.name))?;
    let starts_a_process = matches!(body.upstream, Upstream::Stdio { .. });
    if starts_a_process && !matches!(ctx.caller, Caller::LocalAdministrator) {
        let reason = "only the local administrator may have the gateway start a process".to_owned();
        let mut event = ctx.event(EventKind::RequestRefused);
        event.outcome = "access_denied".to_owned();
        return Err(Error::Denied {
            reason,
            event: Some(Box::new(event)),
        });
    }
    if ctx
        .authority
        .current
        .load()
        .servers
        .contains_key(&body.name)
    {
        return Err(in_use(&body.name));
    }
    let probed = look_at(&ctx, &body.upstream).await?;
    let findings = findings(&probed, body.accept_findings)?;
    let server = McpServer {
        id: ResourceId::generate(ctx.now, &*ctx.authority.entropy),
        name: body.name,
        upstream: body.upstream,
        bearer_until,
        sign_in,
        created_at: ctx.now,
        removed_at: None,
        revision: 1,
        tools: pins(&ctx, &probed)?,
    };
    let server = compiles(&ctx, server)?;
    // Its tools give policies new types; those must fit together before anything changes.
    let compiled = Compiles::with(&ctx.authority, |texts| {
        texts.put_tools(&server.name, &server.tools)
    });
    let compiled = compiled.await?;
    let mut tx = ctx.begin().await?;
    compiled.still(&mut tx).await?;
    match mcp_servers::insert(&mut tx, &server).await {
        Err(StoreError::Constraint) => return Err(in_use(&server.name)),
        inserted => inserted?,
    }
    let mut event = ctx.event(EventKind::McpAdded);
    event.facts.insert("server".to_owned(), server.name.clone());
    event
        .facts
        .insert("server_id".to_owned(), server.id.to_string());
    event
        .facts
        .insert("upstream".to_owned(), described(&server.upstream));
    event
        .facts
        .insert("tools".to_owned(), digests(&server.tools));
    if let Some(until) = bearer_until {
        event
            .facts
            .insert("bearer_until".to_owned(), rfc3339(until));
    }
    if let Some(age) = sign_in.max_age {
        let age = age.as_secs().to_string();
        event.facts.insert("max_auth_age".to_owned(), age);
    }
    if let Some(acr) = sign_in.acr {
        event.facts.insert("acr".to_owned(), acr.to_string());
    }
    let view = show_mcp::view(&ctx, &server, findings);
    ctx.commit(permit, tx, event, Vec::new()).await?;
    Ok(Json(view))
}

/// The longest that a sign-in may count, in seconds: no session lasts longer than a day.
const LONGEST_AGE: u64 = 86_400;

/// How a person must have signed in.
fn sign_in(body: &AddMcpServer) -> Result<SignIn, Error> {
    if body
        .max_auth_age
        .is_some_and(|age| !(1..=LONGEST_AGE).contains(&age))
    {
        return Err(Error::Invalid(
            "`max_auth_age` is 1 second to a day".to_owned(),
        ));
    }
    let acr = body.acr.as_deref().map(str::parse).transpose();
    let acr = acr.map_err(|_| Error::Invalid("`acr` is `phr`, for a passkey".to_owned()))?;
    Ok(SignIn {
        max_age: body.max_auth_age.map(Duration::from_secs),
        acr,
    })
}

fn in_use(name: &str) -> Error {
    Error::Conflict(format!("the name `{name}` is in use"))
}

/// What the server says about itself today.
pub(crate) async fn look_at(ctx: &Ctx, upstream: &Upstream) -> Result<Probed, Error> {
    probe::probe(&ctx.authority.reach, upstream)
        .await
        .map_err(|error| Error::Unacceptable {
            title: "the server could not be looked at".to_owned(),
            problems: vec![error.to_string()],
        })
}

/// What a person should look at; refused when it is grave and nobody said that it was looked at (MCP-04).
pub(crate) fn findings(probed: &Probed, accepted: bool) -> Result<Vec<String>, Error> {
    let warnings: Vec<_> = probed.tools.iter().flat_map(review_definition).collect();
    let is_grave = warnings
        .iter()
        .any(|warning| warning.severity == Severity::High);
    let words: Vec<String> = warnings
        .iter()
        .map(|warning| format!("{} at {}: {}", warning.rule, warning.at, warning.excerpt))
        .collect();
    if is_grave && !accepted {
        return Err(Error::Unacceptable {
            title: "the definitions of the server's tools carry what a person should look at"
                .to_owned(),
            problems: words,
        });
    }
    Ok(words)
}

/// The definitions as they are now, by digest.
pub(crate) fn pins(ctx: &Ctx, probed: &Probed) -> Result<Vec<ToolPin>, Error> {
    if probed.tools.len() > MOST_TOOLS {
        return Err(Error::Invalid(format!(
            "a server may have at most {MOST_TOOLS} tools"
        )));
    }
    let unusable = || Error::Unacceptable {
        title: "a tool of the server has a definition that cannot be used".to_owned(),
        problems: Vec::new(),
    };
    let pin = |tool: &serde_json::Value| {
        let name = tool
            .get("name")
            .and_then(serde_json::Value::as_str)
            .ok_or_else(unusable)?;
        Ok(ToolPin {
            name: name.to_owned(),
            digest: json::digest(tool).map_err(|_| unusable())?,
            definition: json::canonical(tool).map_err(|_| unusable())?,
            accepted_at: ctx.now,
        })
    };
    probed.tools.iter().map(pin).collect()
}

/// The server, if every tool of it can be checked at the gateway.
pub(crate) fn compiles(ctx: &Ctx, server: McpServer) -> Result<McpServer, Error> {
    KnownServer::build(server, &ctx.authority.config.issuer)
        .map(|known| known.server)
        .map_err(|error| Error::Unacceptable {
            title: "a tool of the server cannot be checked".to_owned(),
            problems: vec![error.to_string()],
        })
}

pub(crate) fn digests(tools: &[ToolPin]) -> String {
    let each: Vec<String> = tools
        .iter()
        .map(|pin| format!("{}={}", pin.name, pin.digest))
        .collect();
    each.join(" ")
}

fn described(upstream: &Upstream) -> String {
    match upstream {
        Upstream::Http { url } => url.clone(),
        // Arguments may hold what is nobody's business; the program is enough to find it.
        Upstream::Stdio { command, .. } => command.clone(),
    }
}
