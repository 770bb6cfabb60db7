//! The policies in force, compiled together with the types of every accepted tool.

use std::sync::Arc;

use chancery_model::mcp::ToolPin;
use chancery_policy::{PolicySource, Snapshot, ToolDefinition};
use chancery_store::connect::Store;
use chancery_store::tx::Tx;
use chancery_store::{mcp_servers, policy_texts};
use chancery_wire::json;
use serde_json::Value;

use crate::error::Error;
use crate::state::Authority;

/// Everything that policies are compiled from.
pub(crate) struct Texts {
    policies: Vec<(String, String)>,
    schemas: Vec<(String, String)>,
    tools: Vec<(String, String, Value)>,
    basis: Vec<String>,
}

/// The last compiled policies, with what they were compiled from.
pub(crate) struct Compiled {
    basis: Vec<String>,
    policy: Arc<Snapshot>,
}

impl Compiled {
    /// Compiles what is in force as the authority opens.
    pub(crate) async fn first(store: &Store) -> Result<Self, Error> {
        let mut tx = store.read().await?;
        let number = tx.change_number().await?.unsigned_abs();
        let texts = Texts::read(&mut tx).await?;
        drop(tx);
        Self::compile(texts, number).await
    }

    async fn compile(texts: Texts, number: u64) -> Result<Self, Error> {
        let basis = texts.basis.clone();
        let policy = Arc::new(texts.compile(number).await?);
        Ok(Self { basis, policy })
    }

    /// What decides.
    pub(crate) fn policy(&self) -> Arc<Snapshot> {
        Arc::clone(&self.policy)
    }
}

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
        for server in mcp_servers::list_all(tx).await? {
            texts
                .basis
                .push(format!("{}/{}", server.id, server.revision));
            texts.put_tools(&server.name, &server.tools)?;
        }
        Ok(texts)
    }

    /// Puts a text into force, in place of one of the same name.
    pub(crate) fn put(&mut self, is_schema: bool, name: &str, text: &str) {
        self.remove_text(name);
        let of_kind = if is_schema {
            &mut self.schemas
        } else {
            &mut self.policies
        };
        of_kind.push((name.to_owned(), text.to_owned()));
    }

    /// Takes a text out of force.
    pub(crate) fn remove_text(&mut self, name: &str) {
        self.policies.retain(|(own, _)| own != name);
        self.schemas.retain(|(own, _)| own != name);
    }

    /// Gives a server exactly the tools of `pins`.
    pub(crate) fn put_tools(&mut self, server: &str, pins: &[ToolPin]) -> Result<(), Error> {
        self.remove_tools(server);
        for pin in pins {
            let definition =
                json::parse(pin.definition.as_bytes(), json::BODY).map_err(|_| Error::Broken)?;
            let schema = definition.get("inputSchema").cloned().unwrap_or_default();
            self.tools
                .push((server.to_owned(), pin.name.clone(), schema));
        }
        Ok(())
    }

    /// Takes a server's tools away.
    pub(crate) fn remove_tools(&mut self, server: &str) {
        self.tools.retain(|(own, ..)| own != server);
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

/// Evidence that the policies compile together with a change that is about to be made.
pub(crate) struct Compiles {
    before: Vec<String>,
}

impl Compiles {
    /// Compiles what is in force with `change` applied. Compiling takes longer than anybody may hold the
    /// database, so it is done before the transaction of the change begins.
    pub(crate) async fn with(
        authority: &Authority,
        change: impl FnOnce(&mut Texts) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let mut tx = authority.store.read().await?;
        let mut texts = Texts::read(&mut tx).await?;
        drop(tx);
        let before = texts.basis.clone();
        change(&mut texts)?;
        texts.compile(0).await?;
        Ok(Self { before })
    }

    /// Refuses, to be run again, when something else came into force meanwhile.
    pub(crate) async fn still(&self, tx: &mut Tx) -> Result<(), Error> {
        let present = Texts::read(tx).await?;
        if present.basis == self.before {
            Ok(())
        } else {
            Err(Error::Busy)
        }
    }
}

/// Compiles, unless the last time was from the same.
pub(crate) async fn compile_anew(
    authority: &Authority,
    texts: Texts,
    number: u64,
) -> Result<Arc<Snapshot>, Error> {
    let last = authority.compiled.load_full();
    if last.basis == texts.basis {
        return Ok(last.policy());
    }
    let compiled = Compiled::compile(texts, number).await?;
    let policy = compiled.policy();
    authority.compiled.store(Arc::new(compiled));
    Ok(policy)
}
