//! What does not compile says why and where; what does is listed as it was written.

use serde_json::json;

use super::{refund_schema, snapshot, source};
use crate::compile::{PolicySource, Snapshot, ToolDefinition};
use crate::diagnose::Diagnostic;

fn refused(text: &str) -> Diagnostic {
    let schema = refund_schema();
    let tool = ToolDefinition {
        server: "desk",
        tool: "issue_refund",
        input_schema: &schema,
    };
    let error = Snapshot::compile(1, &[source(text)], &[], &[tool]).expect_err("must not compile");
    error.diagnostics.first().cloned().expect("a diagnostic")
}

#[test]
fn a_syntax_error_has_a_place() {
    let found = refused("permit (principal, action, resource)\nwhen { true };\npermit (;");
    assert_eq!((found.line, found.column), (3, 9), "{found}");
}

#[test]
fn a_misspelt_argument_has_a_place_and_a_hint() {
    let found = refused(
        "@id(\"limit\")\nforbid (principal, action == Chancery::Action::\"call/desk/issue_refund\", resource)\nwhen { context.args.amuont > 100 };",
    );
    assert_eq!(found.policy.as_deref(), Some("limit"));
    assert_eq!(found.line, 3, "{found}");
    assert!(found.message.contains("amuont"), "{found}");
    assert!(
        found
            .hint
            .as_deref()
            .is_some_and(|hint| hint.contains("amount")),
        "{found}"
    );
}

#[test]
fn a_comparison_of_different_types_does_not_compile() {
    let found = refused(
        "forbid (principal, action == Chancery::Action::\"call/desk/issue_refund\", resource) when { context.args.amount > \"100\" };",
    );
    assert_eq!(found.policy.as_deref(), Some("test/0"));
}

#[test]
fn an_unknown_tool_does_not_compile() {
    let found =
        refused("forbid (principal, action == Chancery::Action::\"call/desk/refund\", resource);");
    assert!(found.message.contains("call/desk/refund"), "{found}");
}

#[test]
fn a_condition_on_something_that_is_never_given_does_not_compile() {
    let found = refused(
        "permit (principal is Chancery::Agent, action in Chancery::Action::\"call_tool\", resource) when { Chancery::Agent::\"agt_x\".status == \"active\" };",
    );
    assert!(found.line > 0, "{found}");
}

#[test]
fn templates_and_repeated_names_do_not_compile() {
    let found = refused("permit (principal == ?principal, action, resource);");
    assert!(found.message.contains("templates"), "{found}");
    let found = refused(
        "@id(\"a\") permit (principal, action, resource);\n@id(\"a\") forbid (principal, action, resource);",
    );
    assert_eq!((found.line, found.policy.as_deref()), (2, Some("a")));
    let texts = [source("permit (principal, action, resource);"); 2];
    assert!(Snapshot::compile(1, &texts, &[], &[]).is_err());
}

#[test]
fn policies_are_listed_with_their_places() {
    let snapshot = snapshot(
        "// permit (principal, action, resource);\n\npermit (principal, action, resource);\n  @id(\"b\")\n@reason(\"because\") forbid (principal is Chancery::Agent, action, resource) when { principal.name == \"x\" };",
    );
    let listed: Vec<_> = snapshot
        .policies()
        .map(|policy| {
            (
                policy.id.as_str(),
                (policy.line, policy.column),
                policy.summary.as_str(),
                policy.reason(),
            )
        })
        .collect();
    assert_eq!(
        listed,
        [
            (
                "test/0",
                (3, 1),
                "permit (principal, action, resource)",
                None
            ),
            (
                "b",
                (4, 3),
                "forbid (principal is Chancery::Agent, action, resource) with conditions",
                Some("because")
            ),
        ]
    );
}

#[test]
fn tools_with_illegal_names_or_schemas_do_not_compile() {
    let good = refund_schema();
    let text = json!({"type": "string"});
    for (server, tool, input_schema) in [
        ("desk", "a/b", &good),
        ("De sk", "a", &good),
        ("desk", "a", &text),
        ("desk", "a", &json!(true)),
    ] {
        let tool = ToolDefinition {
            server,
            tool,
            input_schema,
        };
        assert!(Snapshot::compile(1, &[], &[], &[tool]).is_err(), "{tool:?}");
        assert!(Snapshot::compile(1, &[], &[], &[]).is_ok());
    }
}

#[test]
fn the_schema_text_compiles_by_itself() {
    let snapshot = snapshot("permit (principal, action, resource);");
    let text = snapshot.schema_text();
    assert!(text.contains("call/desk/issue_refund"), "{text}");
    let parsed = cedar_policy::Schema::from_cedarschema_str(text);
    assert!(parsed.is_ok());
}

#[test]
fn an_organisation_cannot_add_to_our_namespace_but_can_refer_to_it() {
    let fragment = |text| PolicySource { name: "org", text };
    let refused = Snapshot::compile(
        1,
        &[],
        &[fragment("namespace Chancery { entity Root; }")],
        &[],
    );
    assert!(refused.is_err_and(|error| error.to_string().contains("reserved")));
    let nested = fragment("namespace Chancery::Evil { entity Root; }");
    assert!(Snapshot::compile(1, &[], &[nested], &[]).is_err());
    let refers = fragment(
        "entity Ticket = { agent: Chancery::Agent }; action close appliesTo { principal: [Chancery::Agent], resource: [Ticket] };",
    );
    assert!(Snapshot::compile(1, &[], &[refers], &[]).is_ok());
}

#[test]
fn one_policy_speaks_of_an_argument_wherever_there_is_one() {
    let path = json!({"type": "object", "properties": {"path": {"type": "string"}}});
    let other = refund_schema();
    let tools = [("files", "read", &path), ("desk", "issue_refund", &other)].map(
        |(server, tool, input_schema)| ToolDefinition {
            server,
            tool,
            input_schema,
        },
    );
    let text = source(
        "forbid (principal, action in Chancery::Action::\"call_tool\", resource)
        when { context has args && context.args has path && context.args.path like \"/etc/*\" };",
    );
    let compiled = Snapshot::compile(1, &[text], &[], &tools);
    assert!(compiled.is_ok_and(|snapshot| snapshot.warnings().is_empty()));
}
