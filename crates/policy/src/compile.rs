//! The snapshot: everything that decides, compiled once and numbered.

use std::collections::{BTreeMap, HashMap};

use cedar_policy::ffi::DetailedError;
use cedar_policy::{Schema, SchemaFragment};
use chancery_model::action::{ALL, Action};
use chancery_model::document::is_legal_name;
use chancery_model::mcp::is_legal_tool_name;
use serde_json::Value;

use crate::diagnose::{CompileError, Diagnostic};
use crate::external::External;
use crate::input_schema;
use crate::limits;
use crate::request::Tool;
use crate::rules::{PolicySummary, Rules};
use crate::schema;
use crate::shape::Fields;
use crate::situation::{Act, LastMoment};
use crate::value::Uid;

/// A text with the name that diagnostics and decisions call it by; it may hold several policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PolicySource<'a> {
    /// The name.
    pub name: &'a str,
    /// The text, Cedar.
    pub text: &'a str,
}

/// A tool as it was accepted.
#[derive(Debug, Clone, Copy)]
pub struct ToolDefinition<'a> {
    /// The name of its MCP server.
    pub server: &'a str,
    /// The name of the tool on that server.
    pub tool: &'a str,
    /// The JSON Schema of its arguments.
    pub input_schema: &'a Value,
}

/// An immutable, numbered, compiled set of policies with the types that they were checked against.
#[derive(Debug)]
pub struct Snapshot {
    number: u64,
    schema_text: String,
    pub(crate) rules: Rules,
    pub(crate) tools: HashMap<String, HashMap<String, Tool>>,
    pub(crate) list_tool: Act,
    pub(crate) issue_token: Act,
    pub(crate) administration: BTreeMap<Action, Act>,
    pub(crate) external: External,
    pub(crate) moment: LastMoment,
}

impl Snapshot {
    /// Parses the policies, checks them strictly against the types of the tools, of the authority
    /// and of `schemas` (an organisation's own), and indexes them. Nothing compiles in part.
    pub fn compile(
        number: u64,
        policies: &[PolicySource<'_>],
        schemas: &[PolicySource<'_>],
        tools: &[ToolDefinition<'_>],
    ) -> Result<Self, CompileError> {
        limits::check(policies)?;
        limits::check(schemas)?;
        limits::on_deep_stack(|| Self::build(number, policies, schemas, tools))
    }

    fn build(
        number: u64,
        policies: &[PolicySource<'_>],
        schemas: &[PolicySource<'_>],
        tools: &[ToolDefinition<'_>],
    ) -> Result<Self, CompileError> {
        let arguments = read_tools(tools)?;
        let ours = schema::generate(
            arguments
                .iter()
                .map(|(tool, fields)| (tool.server, tool.tool, fields)),
        );
        let ours = SchemaFragment::from_json_value(ours)
            .map_err(|error| engine_refuses("schema", "", &DetailedError::from(&error)))?;
        let fragments = read_fragments(schemas)?;
        let mut texts = vec![to_text(&ours)?];
        texts.extend(schemas.iter().map(|source| source.text.trim().to_owned()));
        let combined = |fragments: Vec<SchemaFragment>| {
            let name = schemas.first().map_or("schema", |source| source.name);
            Schema::from_schema_fragments(fragments)
                .map_err(|error| engine_refuses(name, "", &DetailedError::from(&error)))
        };
        let all = std::iter::once(ours).chain(fragments.iter().cloned());
        let schema = combined(all.collect())?;
        let rules = Rules::compile(policies, schema.clone())?;
        let actions = schema
            .action_entities()
            .map_err(|error| engine_refuses("schema", "", &DetailedError::from(&error)))?;
        let own = |name: &'static str| Act::of(Uid::new(&schema::ACTION, name), &actions);
        let list_tool = own("list_tool");
        let mut by_server: HashMap<String, HashMap<String, Tool>> = HashMap::new();
        for (definition, args) in arguments {
            let name = (definition.server, definition.tool);
            let call = Act::of(schema::call_uid(name.0, name.1), &actions);
            let tool = Tool::new(name, args, call, &list_tool, rules.index());
            let server = by_server.entry(definition.server.to_owned()).or_default();
            server.insert(definition.tool.to_owned(), tool);
        }
        Ok(Self {
            number,
            schema_text: texts.join("\n\n"),
            tools: by_server,
            list_tool,
            issue_token: own("issue_token"),
            administration: ALL.map(|action| (action, own(action.name()))).into(),
            external: External::read(&fragments, schema, &actions),
            moment: LastMoment::default(),
            rules,
        })
    }

    /// The number that decisions name.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The types that policies are checked against, in Cedar's schema syntax, for editors.
    pub fn schema_text(&self) -> &str {
        &self.schema_text
    }

    /// The policies in force, in the order of their texts.
    pub fn policies(&self) -> impl Iterator<Item = &PolicySummary> {
        self.rules.summaries()
    }

    /// What is legal in the policies but hardly meant, such as a condition that can never hold.
    pub fn warnings(&self) -> &[Diagnostic] {
        self.rules.warnings()
    }
}

fn engine_refuses(source: &str, text: &str, error: &DetailedError) -> CompileError {
    CompileError {
        diagnostics: Diagnostic::of_engine(source, text, error),
    }
}

fn to_text(fragment: &SchemaFragment) -> Result<String, CompileError> {
    let text = fragment.to_cedarschema();
    let text = text.map_err(|error| Diagnostic::whole("schema", error.to_string()));
    text.map_err(|found| CompileError {
        diagnostics: vec![found],
    })
}

/// The arguments of every tool; names are legal and distinct.
fn read_tools<'a>(
    tools: &[ToolDefinition<'a>],
) -> Result<Vec<(ToolDefinition<'a>, Fields)>, CompileError> {
    let mut read: Vec<(ToolDefinition<'a>, Fields)> = Vec::with_capacity(tools.len());
    let mut seen = std::collections::HashSet::new();
    let mut diagnostics = Vec::new();
    for &tool in tools {
        let source = format!("{}/{}", tool.server, tool.tool);
        if !is_legal_name(tool.server) || !is_legal_tool_name(tool.tool) {
            diagnostics.push(Diagnostic::whole(&source, "the name is not legal"));
        } else if !seen.insert((tool.server, tool.tool)) {
            diagnostics.push(Diagnostic::whole(&source, "the tool is defined twice"));
        } else {
            match input_schema::arguments(tool.input_schema) {
                Ok(fields) => read.push((tool, fields)),
                Err(message) => diagnostics.push(Diagnostic::whole(&source, message)),
            }
        }
    }
    if diagnostics.is_empty() {
        Ok(read)
    } else {
        Err(CompileError { diagnostics })
    }
}

/// The schema fragments of an organisation; they cannot add to our namespace.
fn read_fragments(schemas: &[PolicySource<'_>]) -> Result<Vec<SchemaFragment>, CompileError> {
    let mut fragments = Vec::with_capacity(schemas.len());
    for source in schemas {
        let (fragment, _) = SchemaFragment::from_cedarschema_str(source.text).map_err(|error| {
            engine_refuses(source.name, source.text, &DetailedError::from(&error))
        })?;
        let ours = |namespace: String| {
            namespace == schema::NAMESPACE
                || namespace.starts_with(&format!("{}::", schema::NAMESPACE))
        };
        let reserved = fragment
            .namespaces()
            .flatten()
            .any(|namespace| ours(namespace.to_string()));
        if reserved {
            let message = format!("the namespace `{}` is reserved", schema::NAMESPACE);
            return Err(CompileError {
                diagnostics: vec![Diagnostic::whole(source.name, message)],
            });
        }
        fragments.push(fragment);
    }
    Ok(fragments)
}
