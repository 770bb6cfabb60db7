//! The connections to upstream servers, one per server and principal, made when they are needed.
//!
//! A change of the server makes new connections; those that nobody uses are dropped, and with them
//! their sessions and processes. Nothing of one agent is ever used for another (MCP-16).

use std::sync::Arc;
use std::time::Duration;

use chancery_model::id::{AgentId, OwnerId, ResourceId};
use chancery_model::mcp::{McpServer, Upstream};
use moka::sync::Cache;

use crate::upstream::{EraMemory, InvalidUpstream, Link, Reach};

const MOST_LINKS: u64 = 20_000;
const UNUSED: Duration = Duration::from_secs(900);

/// A server in one revision.
type ServerKey = (ResourceId, i64);

/// An agent, and the person on whose behalf it acts, if it does.
pub(crate) type Principal = (AgentId, Option<OwnerId>);

/// All connections.
pub(crate) struct Links {
    reach: Reach,
    /// `None` stands for the gateway itself, which reads the tools of servers without state.
    links: Cache<(ServerKey, Option<Principal>), Arc<Link>>,
    eras: Cache<ServerKey, Arc<EraMemory>>,
}

impl Links {
    pub(crate) fn new(reach: Reach) -> Self {
        Self {
            reach,
            links: Cache::builder()
                .max_capacity(MOST_LINKS)
                .time_to_idle(UNUSED)
                .build(),
            eras: Cache::builder().max_capacity(MOST_LINKS).build(),
        }
    }

    /// The connection on which `principal` calls tools.
    pub(crate) fn of_principal(
        &self,
        server: &McpServer,
        principal: Principal,
    ) -> Result<Arc<Link>, InvalidUpstream> {
        self.link(server, Some(principal))
    }

    /// The connection on which the tools are watched that `principal` calls: a process may have tools of
    /// its own, a server behind HTTP has the same for all.
    pub(crate) fn watched(
        &self,
        server: &McpServer,
        principal: Principal,
    ) -> Result<Arc<Link>, InvalidUpstream> {
        match &server.upstream {
            Upstream::Http { .. } => self.link(server, None),
            Upstream::Stdio { .. } => self.link(server, Some(principal)),
        }
    }

    fn link(
        &self,
        server: &McpServer,
        principal: Option<Principal>,
    ) -> Result<Arc<Link>, InvalidUpstream> {
        let key = (server.id, server.revision);
        if let Some(link) = self.links.get(&(key, principal)) {
            return Ok(link);
        }
        let memory = self.eras.get_with(key, Arc::default);
        let made = self.links.try_get_with((key, principal), || {
            Link::new(&server.upstream, &self.reach, memory).map(Arc::new)
        });
        made.map_err(|error| (*error).clone())
    }
}
