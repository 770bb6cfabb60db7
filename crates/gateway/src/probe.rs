//! Looking at a server before it is accepted: who it is and which tools it has.

use std::sync::Arc;

use chancery_model::mcp::Upstream;
use chancery_wire::mcp::Era;
use serde_json::Value;

use crate::upstream::{InvalidUpstream, Link, Reach, UpstreamError, list, within};

/// How long reading all tools may take.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// What a server said about itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Probed {
    /// Its name, as it gives it; anybody can call themselves anything.
    pub name: String,
    /// Its version, as it gives it.
    pub version: String,
    /// Which era it speaks.
    pub era: Era,
    /// The definitions of all its tools, as it gives them.
    pub tools: Vec<Value>,
}

/// Why a server could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// Its URL or command cannot be used.
    #[error(transparent)]
    Invalid(#[from] InvalidUpstream),
    /// It gave no usable answer.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
}

/// Connects to a server of either kind and era, and lists all its tools.
pub async fn probe(reach: &Reach, upstream: &Upstream) -> Result<Probed, ProbeError> {
    let link = Link::new(upstream, reach, Arc::default())?;
    let greeting = link.greet().await?;
    let tools = within(PATIENCE, list::tools(&link)).await?;
    Ok(Probed {
        name: greeting.name,
        version: greeting.server_version,
        era: greeting.era,
        tools,
    })
}
