//! Accepts the tools of an MCP server as they are now: what had changed is callable again.

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
use crate::resources::{add_mcp, show_mcp};

/// `POST /v1/mcp/{server}/accept`.
pub async fn accept(ctx: Ctx, Path(name): Path<String>) -> Result<Json<McpServerView>, Error> {
    let permit = ctx.authorize(Action::McpManage, Target::Server(&name))?;
    let mut tx = ctx.read().await?;
    let server = mcp_servers::fetch_by_name(&mut tx, &name).await?;
    let mut server = server.ok_or(Error::NotFound("MCP server"))?;
    drop(tx);
    let probed = add_mcp::look_at(&ctx, &server.upstream).await?;
    let findings = add_mcp::findings(&probed, true)?;
    let before = add_mcp::digests(&server.tools);
    server.tools = add_mcp::pins(&ctx, &probed)?;
    let mut server = add_mcp::compiles(&ctx, server)?;
    let compiled = Compiles::with(&ctx.authority, |texts| {
        texts.put_tools(&server.name, &server.tools)
    });
    let compiled = compiled.await?;
    let mut tx = ctx.begin().await?;
    compiled.still(&mut tx).await?;
    if !mcp_servers::accept(&mut tx, server.id, server.revision, &server.tools).await? {
        return Err(Error::Conflict(
            "the server was changed meanwhile; look again".to_owned(),
        ));
    }
    server.revision += 1;
    let mut event = ctx.event(EventKind::McpToolsAccepted);
    event.facts.insert("server".to_owned(), server.name.clone());
    event.facts.insert("before".to_owned(), before);
    event
        .facts
        .insert("tools".to_owned(), add_mcp::digests(&server.tools));
    let view = show_mcp::view(&ctx, &server, findings);
    ctx.commit(permit, tx, event, Vec::new()).await?;
    Ok(Json(view))
}
