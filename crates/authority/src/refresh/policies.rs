//! The policies in force, compiled together with the types of every accepted tool.

use std::sync::Arc;

use chancery_policy::{PolicySource, Snapshot, ToolDefinition};
use chancery_store::tx::Tx;
use chancery_store::{mcp_servers, policy_texts};
use chancery_wire::json;
use serde_json::Value;

use crate::error::Error;
use crate::refresh::PAGE;
use crate::state::Authority;

/// Everything that policies are compiled from.
pub(crate) struct Texts {
    policies: Vec<(String, String)>,
    schemas: Vec<(String, String)>,
    tools: Vec<(String, String, Value)>,
    basis: Vec<String>,
}

/// The last compiled policies, with what they were compiled from.
#[derive(Default)]
pub(crate) struct Compiled(Option<(Vec<String>, Arc<Snapshot>)>);

impl Texts {
    /// Reads what a transaction sees, its own changes included.
    pub(crate) async fn read(tx: &mut Tx) -> Result<Self, Error> {
        let mut texts = Self {
            policies: Vec::new(),
            schemas: Vec::new(),
            tools: Vec::new(),
            basis: Vec::new(),
        };
        for text in policy_texts::list(tx).await? {
            // A text never changes under its id.
            texts.basis.push(text.id.to_string());
            let of_kind = if text.is_schema {
                &mut texts.schemas
            } else {
                &mut texts.policies
            };
            of_kind.push((text.name, text.text));
        }
        for server in mcp_servers::list(tx, "", PAGE).await? {
            texts
                .basis
                .push(format!("{}/{}", server.id, server.revision));
            for pin in server.tools {
                let definition = json::parse(pin.definition.as_bytes(), json::BODY)
                    .map_err(|_| Error::Broken)?;
                let schema = definition.get("inputSchema").cloned().unwrap_or_default();
                texts.tools.push((server.name.clone(), pin.name, schema));
            }
        }
        Ok(texts)
    }

    /// Compiles on a thread of its own: checking many policies takes longer than a request may wait.
    pub(crate) async fn compile(self, number: u64) -> Result<Snapshot, Error> {
        let compiled = tokio::task::spawn_blocking(move || self.compile_here(number)).await;
        compiled.map_err(|_| Error::Broken)?
    }

    fn compile_here(&self, number: u64) -> Result<Snapshot, Error> {
        fn sources(texts: &[(String, String)]) -> impl Iterator<Item = PolicySource<'_>> {
            texts.iter().map(|(name, text)| PolicySource { name, text })
        }
        let policies: Vec<PolicySource<'_>> = std::iter::once(chancery_policy::DEFAULT)
            .chain(sources(&self.policies))
            .collect();
        let schemas: Vec<PolicySource<'_>> = sources(&self.schemas).collect();
        let tools: Vec<ToolDefinition<'_>> = self
            .tools
            .iter()
            .map(|(server, tool, input_schema)| ToolDefinition {
                server,
                tool,
                input_schema,
            })
            .collect();
        Snapshot::compile(number, &policies, &schemas, &tools).map_err(|error| {
            Error::Unacceptable {
                title: "the policies would not compile".to_owned(),
                problems: error.diagnostics.iter().map(ToString::to_string).collect(),
            }
        })
    }
}

/// Whether all that a transaction sees compiles together; nothing comes into force that does not.
pub(crate) async fn require_to_compile(tx: &mut Tx) -> Result<(), Error> {
    Texts::read(tx).await?.compile(0).await.map(drop)
}

/// Compiles, unless the last time was from the same.
pub(crate) async fn compile_anew(
    authority: &Authority,
    texts: Texts,
    number: u64,
) -> Result<Arc<Snapshot>, Error> {
    let same = |Compiled(last): &Compiled| {
        last.as_ref()
            .filter(|(basis, _)| *basis == texts.basis)
            .map(|(_, policy)| Arc::clone(policy))
    };
    if let Some(policy) = same(&authority.compiled.load()) {
        return Ok(policy);
    }
    let basis = texts.basis.clone();
    let policy = Arc::new(texts.compile(number).await?);
    authority
        .compiled
        .store(Arc::new(Compiled(Some((basis, Arc::clone(&policy))))));
    Ok(policy)
}
