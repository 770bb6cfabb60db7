//! MCP servers behind the gateway, with the tools that were accepted.

use std::time::Duration;

use chancery_model::id::ResourceId;
use chancery_model::mcp::{McpServer, SignIn, ToolPin};
use chancery_model::time::Timestamp;

use crate::error::StoreError;
use crate::tx::Tx;
use crate::value::{Row, params};

const SERVER: &str = "SELECT id, name, upstream, bearer_until, created_at, removed_at, revision, max_age, acr FROM mcp_server \
     LEFT JOIN mcp_sign_in ON server_id = id";

/// Adds an MCP server; [`StoreError::Constraint`] when the name is in use.
pub async fn insert(tx: &mut Tx, server: &McpServer) -> Result<(), StoreError> {
    let upstream = serde_json::to_string(&server.upstream).map_err(|_| StoreError::Constraint)?;
    let sql = "INSERT INTO mcp_server (id, name, upstream, bearer_until, created_at, revision) \
               VALUES ($1, $2, $3, $4, $5, $6)";
    let values = params![
        server.id.to_string(),
        server.name.as_str(),
        upstream,
        server.bearer_until,
        server.created_at,
        server.revision,
    ];
    tx.execute(sql, values).await?;
    if server.sign_in != SignIn::default() {
        let sql = "INSERT INTO mcp_sign_in (server_id, max_age, acr) VALUES ($1, $2, $3)";
        let max_age = server.sign_in.max_age;
        let values = params![
            server.id.to_string(),
            max_age.map(|age| age.as_secs().cast_signed()),
            server.sign_in.acr.map(|acr| acr.name().to_owned()),
        ];
        tx.execute(sql, values).await?;
    }
    replace_pins(tx, server.id, &server.tools).await
}

/// Accepts exactly `pins`; false when the server changed since `revision`.
pub async fn accept(
    tx: &mut Tx,
    id: ResourceId,
    revision: i64,
    pins: &[ToolPin],
) -> Result<bool, StoreError> {
    let sql = "UPDATE mcp_server SET revision = revision + 1 \
               WHERE id = $1 AND revision = $2 AND removed_at IS NULL";
    if tx.execute(sql, params![id.to_string(), revision]).await? != 1 {
        return Ok(false);
    }
    replace_pins(tx, id, pins).await?;
    Ok(true)
}

/// Removes an MCP server; false when it was removed already.
pub async fn remove(tx: &mut Tx, id: ResourceId, now: Timestamp) -> Result<bool, StoreError> {
    let sql = "UPDATE mcp_server SET removed_at = $1, revision = revision + 1 \
               WHERE id = $2 AND removed_at IS NULL";
    Ok(tx.execute(sql, params![now, id.to_string()]).await? == 1)
}

async fn replace_pins(tx: &mut Tx, id: ResourceId, pins: &[ToolPin]) -> Result<(), StoreError> {
    tx.execute(
        "DELETE FROM tool_pin WHERE server_id = $1",
        params![id.to_string()],
    )
    .await?;
    for pin in pins {
        let sql = "INSERT INTO tool_pin (server_id, name, digest, definition, accepted_at) \
                   VALUES ($1, $2, $3, $4, $5)";
        let values = params![
            id.to_string(),
            pin.name.as_str(),
            pin.digest.to_string(),
            pin.definition.as_str(),
            pin.accepted_at,
        ];
        tx.execute(sql, values).await?;
    }
    Ok(())
}

/// The MCP server with this name.
pub async fn fetch_by_name(tx: &mut Tx, name: &str) -> Result<Option<McpServer>, StoreError> {
    let sql = format!("{SERVER} WHERE name = $1 AND removed_at IS NULL");
    let rows = tx.query("mcp_server", &sql, params![name]).await?;
    match rows.first() {
        Some(row) => read(tx, row).await.map(Some),
        None => Ok(None),
    }
}

/// A page of the MCP servers in use, in the order of their ids.
pub async fn list(tx: &mut Tx, after: &str, limit: i64) -> Result<Vec<McpServer>, StoreError> {
    let sql = format!("{SERVER} WHERE id > $1 AND removed_at IS NULL ORDER BY id LIMIT $2");
    let rows = tx.query("mcp_server", &sql, params![after, limit]).await?;
    let mut servers = Vec::with_capacity(rows.len());
    for row in &rows {
        servers.push(read(tx, row).await?);
    }
    Ok(servers)
}

/// Every MCP server in use.
pub async fn list_all(tx: &mut Tx) -> Result<Vec<McpServer>, StoreError> {
    const PAGE: i64 = 500;
    let mut all: Vec<McpServer> = Vec::new();
    loop {
        let after = all
            .last()
            .map(|last| last.id.to_string())
            .unwrap_or_default();
        let page = list(tx, &after, PAGE).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

async fn read(tx: &mut Tx, row: &Row) -> Result<McpServer, StoreError> {
    let id: ResourceId = row.parse("id")?;
    let sql = "SELECT name, digest, definition, accepted_at FROM tool_pin \
               WHERE server_id = $1 ORDER BY name";
    let pins = tx.query("tool_pin", sql, params![id.to_string()]).await?;
    let pin = |row: &Row| {
        Ok(ToolPin {
            name: row.text("name")?.to_owned(),
            digest: row.parse("digest")?,
            definition: row.text("definition")?.to_owned(),
            accepted_at: row.time("accepted_at")?,
        })
    };
    let max_age = row.int_or_null("max_age")?.map(u64::try_from).transpose();
    let max_age = max_age.map_err(|_| row.corrupt("max_age"))?;
    Ok(McpServer {
        id,
        name: row.text("name")?.to_owned(),
        upstream: serde_json::from_str(row.text("upstream")?)
            .map_err(|_| row.corrupt("upstream"))?,
        bearer_until: row.time_or_null("bearer_until")?,
        sign_in: SignIn {
            max_age: max_age.map(Duration::from_secs),
            acr: row.parse_or_null("acr")?,
        },
        created_at: row.time("created_at")?,
        removed_at: row.time_or_null("removed_at")?,
        revision: row.int("revision")?,
        tools: pins.iter().map(pin).collect::<Result<_, StoreError>>()?,
    })
}
