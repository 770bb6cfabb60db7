//! Shows the MCP servers behind the gateway.

use axum::Json;
use chancery_api::mcp::{McpServerView, ToolView};
use chancery_api::page::{MAX_LIMIT, Page, PageQuery};
use chancery_model::action::Action;
use chancery_model::mcp::{McpServer, ToolPin};
use chancery_policy::Target;
use chancery_store::mcp_servers;
use chancery_wire::json;

use crate::ctx::Ctx;
use crate::error::Error;
use crate::extract::{Path, Query};
use crate::text::rfc3339;

/// `GET /v1/mcp/{server}`.
pub async fn show(ctx: Ctx, Path(name): Path<String>) -> Result<Json<McpServerView>, Error> {
    ctx.authorize(Action::McpRead, Target::Server(&name))?;
    let mut tx = ctx.read().await?;
    let server = mcp_servers::fetch_by_name(&mut tx, &name).await?;
    Ok(Json(view(
        &ctx,
        &server.ok_or(Error::NotFound("MCP server"))?,
        Vec::new(),
    )))
}

/// `GET /v1/mcp`.
pub async fn list(
    ctx: Ctx,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<McpServerView>>, Error> {
    ctx.authorize(Action::McpRead, Target::Authority)?;
    let limit = query.limit.unwrap_or(100).clamp(1, MAX_LIMIT);
    let mut tx = ctx.read().await?;
    let found =
        mcp_servers::list(&mut tx, query.after.as_deref().unwrap_or(""), limit.into()).await?;
    let next = found
        .last()
        .filter(|_| found.len() == limit as usize)
        .map(|last| last.id.to_string());
    let items = found
        .iter()
        .map(|server| view(&ctx, server, Vec::new()))
        .collect();
    Ok(Json(Page { items, next }))
}

pub(crate) fn view(ctx: &Ctx, server: &McpServer, findings: Vec<String>) -> McpServerView {
    McpServerView {
        id: server.id,
        name: server.name.clone(),
        url: ctx.authority.config.mcp_resource(&server.name),
        upstream: server.upstream.clone(),
        bearer_until: server.bearer_until.map(rfc3339),
        max_auth_age: server.sign_in.max_age.map(|age| age.as_secs()),
        acr: server.sign_in.acr.map(|acr| acr.to_string()),
        tools: server.tools.iter().map(tool).collect(),
        findings,
        created_at: rfc3339(server.created_at),
    }
}

fn tool(pin: &ToolPin) -> ToolView {
    let definition = json::parse(pin.definition.as_bytes(), json::BODY).ok();
    let description = definition
        .as_ref()
        .and_then(|definition| definition.get("description"))
        .and_then(|description| description.as_str())
        .map(str::to_owned);
    ToolView {
        name: pin.name.clone(),
        description,
        digest: pin.digest,
    }
}
