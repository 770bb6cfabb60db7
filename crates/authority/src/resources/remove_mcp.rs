//! Removes an MCP server from behind the gateway.

use axum::Json;
use chancery_api::mcp::McpServerView;
use chancery_model::action::Action;
use chancery_model::event::EventKind;
use chancery_policy::Target;
use chancery_store::mcp_servers;

use crate::ctx::Ctx;
use crate::error::Error;
use crate::extract::Path;
use crate::refresh::policies::Compiles;
use crate::resources::show_mcp;

/// `DELETE /v1/mcp/{server}`.
pub async fn remove(ctx: Ctx, Path(name): Path<String>) -> Result<Json<McpServerView>, Error> {
    let permit = ctx.authorize(Action::McpManage, Target::Server(&name))?;
    // A policy that names one of its tools would no longer compile: it must go first.
    let compiled = Compiles::with(&ctx.authority, |texts| {
        texts.remove_tools(&name);
        Ok(())
    });
    let compiled = compiled.await?;
    let mut tx = ctx.begin().await?;
    compiled.still(&mut tx).await?;
    let server = mcp_servers::fetch_by_name(&mut tx, &name)
        .await?
        .ok_or(Error::NotFound("MCP server"))?;
    if !mcp_servers::remove(&mut tx, server.id, ctx.now).await? {
        return Err(Error::NotFound("MCP server"));
    }
    let mut event = ctx.event(EventKind::McpRemoved);
    event.facts.insert("server".to_owned(), server.name.clone());
    event
        .facts
        .insert("server_id".to_owned(), server.id.to_string());
    let view = show_mcp::view(&ctx, &server, Vec::new());
    ctx.commit(permit, tx, event, Vec::new()).await?;
    Ok(Json(view))
}
