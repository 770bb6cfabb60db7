//! The types that policies are checked against, in the namespace `Chancery`.
//!
//! The schema is built as a value, member by member, and handed to the engine as such: the name of
//! a tool or of an argument can contain anything and stays a name (POL-03).

use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use cedar_policy::EntityTypeName;
use chancery_model::action::{ALL, Action};
use serde_json::{Map, Value, json};

use crate::shape::Fields;
use crate::value::{Kind, Uid};

/// The namespace that is ours alone; fragments of an organisation may refer to it, never add to it.
pub(crate) const NAMESPACE: &str = "Chancery";

macro_rules! types {
    ($($name:ident = $text:literal;)*) => {
        $(pub(crate) static $name: LazyLock<Arc<Kind>> = LazyLock::new(|| {
            // A constant, parsed by every test of this crate.
            Kind::new(EntityTypeName::from_str($text).expect("a legal type name"))
        });)*

        /// The type of this name, the same for all who ask when it is one of ours.
        pub(crate) fn kind(name: &str) -> Option<Arc<Kind>> {
            match name {
                $($text => Some(Arc::clone(&$name)),)*
                other => EntityTypeName::from_str(other).ok().map(Kind::new),
            }
        }
    };
}

types! {
    ACTION = "Chancery::Action";
    AGENT = "Chancery::Agent";
    AUTHORITY = "Chancery::Authority";
    HUMAN = "Chancery::Human";
    LOCAL_ADMINISTRATOR = "Chancery::LocalAdministrator";
    OWNER = "Chancery::Owner";
    POLICY = "Chancery::Policy";
    RESOURCE = "Chancery::Resource";
    SERVER = "Chancery::Server";
    TOOL = "Chancery::Tool";
}

/// A tool; unambiguous because neither kind of name can contain a slash.
pub(crate) fn tool_uid(server: &str, tool: &str) -> Uid<'static> {
    Uid::new(&TOOL, format!("{server}/{tool}"))
}

/// The action of calling one tool.
pub(crate) fn call_uid(server: &str, tool: &str) -> Uid<'static> {
    Uid::new(&ACTION, format!("call/{server}/{tool}"))
}

/// The kinds of thing that an administrative act can be about, beside the authority itself.
pub(crate) fn subject_of(action: Action) -> Option<&'static str> {
    match action {
        Action::AgentRegister
        | Action::AgentActivate
        | Action::AgentUpdate
        | Action::AgentAccept
        | Action::AgentRead
        | Action::AgentSuspend
        | Action::AgentResume
        | Action::AgentRetire
        | Action::AgentTransfer
        | Action::LogRead
        | Action::TokenRevoke
        | Action::GrantGive
        | Action::GrantWithdraw
        | Action::GrantRevoke => Some("Agent"),
        Action::GrantRead | Action::OwnerManage | Action::OwnerRead => Some("Owner"),
        Action::ResourceManage | Action::ResourceRead => Some("Resource"),
        Action::McpManage | Action::McpRead => Some("Server"),
        Action::PolicyManage | Action::PolicyRead => Some("Policy"),
        Action::KeyRotate
        | Action::ClientManage
        | Action::ClientRead
        | Action::AttesterManage
        | Action::AttesterRead
        | Action::IssuerManage
        | Action::IssuerRead
        | Action::ProviderManage
        | Action::ProviderRead => None,
    }
}

/// Whether the act changes nothing. Reading the record is not among them: it tells what everybody did.
fn only_reads(action: Action) -> bool {
    match action {
        Action::AgentRead
        | Action::OwnerRead
        | Action::ResourceRead
        | Action::McpRead
        | Action::PolicyRead
        | Action::GrantRead
        | Action::ClientRead
        | Action::AttesterRead
        | Action::IssuerRead
        | Action::ProviderRead => true,
        Action::AgentRegister
        | Action::AgentActivate
        | Action::AgentUpdate
        | Action::AgentAccept
        | Action::AgentSuspend
        | Action::AgentResume
        | Action::AgentRetire
        | Action::AgentTransfer
        | Action::OwnerManage
        | Action::ResourceManage
        | Action::McpManage
        | Action::PolicyManage
        | Action::KeyRotate
        | Action::LogRead
        | Action::TokenRevoke
        | Action::GrantGive
        | Action::GrantWithdraw
        | Action::GrantRevoke
        | Action::ClientManage
        | Action::AttesterManage
        | Action::IssuerManage
        | Action::ProviderManage => false,
    }
}

/// The schema in the engine's JSON form, with one action per tool.
pub(crate) fn generate<'a>(tools: impl Iterator<Item = (&'a str, &'a str, &'a Fields)>) -> Value {
    let mut actions = Map::new();
    let agents_on_tools = |context: Value| json!({"principalTypes": ["Agent"], "resourceTypes": ["Tool"], "context": context});
    actions.insert(
        "call_tool".to_owned(),
        json!({"appliesTo": agents_on_tools(record(call_attributes()))}),
    );
    actions.insert(
        "list_tool".to_owned(),
        json!({"appliesTo": agents_on_tools(record(Map::new()))}),
    );
    for (server, tool, args) in tools {
        let mut attributes = call_attributes();
        attributes.insert("args".to_owned(), args.schema());
        actions.insert(
            format!("call/{server}/{tool}"),
            json!({
                "memberOf": [{"id": "call_tool"}],
                "appliesTo": agents_on_tools(record(attributes)),
            }),
        );
    }
    let scopes = required(json!({"type": "Set", "element": {"type": "String"}}));
    let scopes = std::iter::once(("scopes".to_owned(), scopes));
    let scopes = scopes.chain(behalf_attributes()).collect();
    actions.insert(
        "issue_token".to_owned(),
        json!({"appliesTo": {
            "principalTypes": ["Agent"],
            "resourceTypes": ["Resource"],
            "context": record(scopes),
        }}),
    );
    administration(&mut actions);
    json!({NAMESPACE: {"entityTypes": entity_types(), "actions": actions}})
}

fn administration(actions: &mut Map<String, Value>) {
    let applies_to = |resources: Vec<&str>| {
        let flag = || required(json!({"type": "Boolean"}));
        let context = Map::from_iter([
            ("now".to_owned(), required(extension("datetime"))),
            ("widens".to_owned(), flag()),
            ("second_person".to_owned(), flag()),
        ]);
        json!({
            "principalTypes": ["LocalAdministrator", "Human", "Agent"],
            "resourceTypes": resources,
            "context": record(context),
        })
    };
    actions.insert(
        "administer".to_owned(),
        json!({"appliesTo": applies_to(vec!["Authority"])}),
    );
    actions.insert(
        "inspect".to_owned(),
        json!({
            "memberOf": [{"id": "administer"}],
            "appliesTo": applies_to(vec!["Authority"]),
        }),
    );
    for action in ALL {
        let group = if only_reads(action) {
            "inspect"
        } else {
            "administer"
        };
        let mut resources = vec!["Authority"];
        resources.extend(subject_of(action));
        actions.insert(
            action.name().to_owned(),
            json!({"memberOf": [{"id": group}], "appliesTo": applies_to(resources)}),
        );
    }
}

fn entity_types() -> Value {
    let text = || json!({"type": "String"});
    let optional = |kind: Value| {
        let mut kind = kind;
        kind["required"] = false.into();
        kind
    };
    let set_of = |element: Value| json!({"type": "Set", "element": element});
    let tools = || set_of(reference("Tool"));
    let servers = || set_of(reference("Server"));
    json!({
        "Agent": {"shape": {"type": "Record", "attributes": {
            "name": text(),
            "owner": text(),
            "team": optional(text()),
            "status": text(),
            "autonomy": text(),
            "risk": optional(text()),
            "platform": optional(text()),
            "environment": optional(text()),
            "version": optional(text()),
            "callable": tools(),
            "callable_servers": servers(),
            "listable": tools(),
            "listable_servers": servers(),
        }}},
        "Authority": {},
        "Human": {"shape": {"type": "Record", "attributes": {
            "handle": text(),
            "roles": set_of(text()),
        }}},
        "LocalAdministrator": {},
        "Owner": {},
        "Policy": {},
        "Resource": {},
        "Server": {},
        "Tool": {"memberOfTypes": ["Server"], "shape": {"type": "Record", "attributes": {
            "name": text(),
            "server": reference("Server"),
        }}},
    })
}

fn call_attributes() -> Map<String, Value> {
    let untyped = json!({"type": "Set", "element": {"type": "String"}});
    Map::from_iter([
        ("now".to_owned(), required(extension("datetime"))),
        (
            "sender_constrained".to_owned(),
            required(json!({"type": "Boolean"})),
        ),
        (
            "second_person".to_owned(),
            required(json!({"type": "Boolean"})),
        ),
        ("untyped".to_owned(), required(untyped)),
    ])
    .into_iter()
    .chain(behalf_attributes())
    .collect()
}

/// On whose behalf an agent acts: `on_behalf`, and `subject` only then.
fn behalf_attributes() -> [(String, Value); 2] {
    let text = || required(json!({"type": "String"}));
    let teams = required(json!({"type": "Set", "element": {"type": "String"}}));
    let mut subject = record(Map::from_iter([
        ("handle".to_owned(), text()),
        ("id".to_owned(), text()),
        ("teams".to_owned(), teams),
    ]));
    subject["required"] = false.into();
    [
        ("on_behalf".to_owned(), required(json!({"type": "Boolean"}))),
        ("subject".to_owned(), subject),
    ]
}

fn record(attributes: Map<String, Value>) -> Value {
    json!({"type": "Record", "attributes": attributes})
}

fn reference(kind: &str) -> Value {
    json!({"type": "Entity", "name": kind})
}

fn extension(name: &str) -> Value {
    json!({"type": "Extension", "name": name})
}

fn required(mut kind: Value) -> Value {
    kind["required"] = true.into();
    kind
}
