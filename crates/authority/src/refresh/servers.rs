//! The MCP servers behind the gateway, their tools compiled.

use std::collections::HashMap;
use std::sync::Arc;

use chancery_gateway::snapshot::{KnownServer, Snapshot};
use chancery_store::mcp_servers;
use chancery_store::tx::Tx;

use crate::error::Error;

/// Every server; what has not changed keeps its compiled form.
pub(crate) async fn read(
    tx: &mut Tx,
    issuer: &str,
    before: &Snapshot,
) -> Result<HashMap<String, Arc<KnownServer>>, Error> {
    let mut known = HashMap::new();
    for server in mcp_servers::list_all(tx).await? {
        let name = server.name.clone();
        if let Some(same) = before
            .servers
            .get(&name)
            .filter(|known| known.server == server)
        {
            known.insert(name, Arc::clone(same));
            continue;
        }
        let built = KnownServer::build(server, issuer).map_err(|error| {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "an accepted tool no longer compiles"
            );
            Error::Broken
        })?;
        known.insert(name, Arc::new(built));
    }
    Ok(known)
}
