//! The index changes nothing: what it lets the engine see decides as the whole set does.

use chancery_model::action::Action;
use chancery_model::document::{AutonomyLevel, ToolGrant};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{CONTEXT, grant, id, map};
use crate::agent::{AgentEntity, AgentFacts};
use crate::compile::{PolicySource, Snapshot, ToolDefinition};
use crate::question::{AdminFacts, CallContext, PersonFacts, Question, Target, TargetFacts};

const AGENTS: [&str; 3] = ["agt_a", "agt_b", "agt_c"];
const TOOLS: [(&str, &str); 4] = [
    ("desk", "refund"),
    ("desk", "read"),
    ("shop", "refund"),
    ("shop", "*x"),
];

/// A policy about calls: scopes of every form, conditions that hold, do not, or err.
fn call_policy() -> impl Strategy<Value = String> {
    let principal = prop_oneof![
        Just("principal".to_owned()),
        Just("principal is Chancery::Agent".to_owned()),
        (0..3usize).prop_map(|at| format!("principal == Chancery::Agent::\"{}\"", AGENTS[at])),
        (0..3usize).prop_map(|at| format!("principal in Chancery::Agent::\"{}\"", AGENTS[at])),
        (0..3usize).prop_map(|at| format!(
            "principal is Chancery::Agent in Chancery::Agent::\"{}\"",
            AGENTS[at]
        )),
    ];
    let action = prop_oneof![
        Just("action in Chancery::Action::\"call_tool\"".to_owned()),
        Just("action == Chancery::Action::\"call/desk/refund\"".to_owned()),
        Just("action in [Chancery::Action::\"call/desk/refund\", Chancery::Action::\"call_tool\", Chancery::Action::\"list_tool\"]".to_owned()),
        Just("action == Chancery::Action::\"list_tool\"".to_owned()),
        Just("action == Chancery::Action::\"call_tool\"".to_owned()),
        Just("action".to_owned()),
    ];
    let resource = prop_oneof![
        Just("resource".to_owned()),
        Just("resource is Chancery::Tool".to_owned()),
        Just("resource == Chancery::Tool::\"desk/refund\"".to_owned()),
        Just("resource in Chancery::Server::\"desk\"".to_owned()),
        Just("resource is Chancery::Tool in Chancery::Server::\"shop\"".to_owned()),
        Just("resource is Chancery::Server in Chancery::Server::\"shop\"".to_owned()),
    ];
    let condition = prop_oneof![
        3 => Just(String::new()),
        1 => Just("when { ip(\"127.0.0.1\").isLoopback() }".to_owned()),
        1 => Just("when { principal is Chancery::Agent && principal.status == \"active\" }".to_owned()),
        1 => Just("when { principal is Chancery::Agent && resource is Chancery::Tool && principal.callable.contains(resource) }".to_owned()),
        1 => Just("when { context has second_person && !context.second_person }".to_owned()),
        1 => Just("unless { context has sender_constrained && context.sender_constrained }".to_owned()),
        1 => Just("when { context has args && context.args has n && context.args.n + 9223372036854775800 > 0 }".to_owned()),
        1 => Just("when { context has args && context.args has n && context.args.n > 5 }".to_owned()),
    ];
    (any::<bool>(), principal, action, resource, condition).prop_map(
        |(permit, principal, action, resource, condition)| {
            let effect = if permit { "permit" } else { "forbid" };
            format!("{effect} ({principal}, {action}, {resource}) {condition};")
        },
    )
}

/// A policy about administration.
fn administrative_policy() -> impl Strategy<Value = String> {
    let principal = prop_oneof![
        Just("principal"),
        Just("principal is Chancery::Human"),
        Just("principal is Chancery::LocalAdministrator"),
        Just("principal == Chancery::Human::\"own_a\""),
    ];
    let action = prop_oneof![
        Just("action in Chancery::Action::\"administer\""),
        Just("action in Chancery::Action::\"inspect\""),
        Just("action == Chancery::Action::\"agent_accept\""),
        Just("action in [Chancery::Action::\"agent_read\", Chancery::Action::\"inspect\"]"),
    ];
    let resource = prop_oneof![Just("resource"), Just("resource is Chancery::Authority")];
    let condition = prop_oneof![
        Just(""),
        Just("when { principal is Chancery::Human && principal.roles.contains(\"auditor\") }"),
        Just("when { context.widens && !context.second_person }"),
    ];
    (any::<bool>(), principal, action, resource, condition).prop_map(
        |(permit, principal, action, resource, condition)| {
            let effect = if permit { "permit" } else { "forbid" };
            format!("{effect} ({principal}, {action}, {resource}) {condition};")
        },
    )
}

fn agents() -> Vec<AgentEntity> {
    let grants: [Vec<ToolGrant>; 3] = [
        vec![grant("desk", "refund")],
        vec![grant("desk", "*")],
        vec![],
    ];
    let agents = AGENTS.iter().zip(&grants).map(|(name, tools)| {
        AgentEntity::new(&AgentFacts {
            id: name,
            name,
            owner: "team:desk",
            team: None,
            status: if *name == "agt_b" {
                "suspended"
            } else {
                "active"
            },
            autonomy: AutonomyLevel::Supervised,
            highest_risk: None,
            platform: None,
            environment: None,
            version: None,
            tools,
        })
    });
    agents.collect()
}

fn compile(policies: &[String]) -> Option<Snapshot> {
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}});
    let tools: Vec<_> = TOOLS[..3]
        .iter()
        .map(|(server, tool)| ToolDefinition {
            server,
            tool,
            input_schema: &schema,
        })
        .collect();
    let text = policies.join("\n");
    let source = PolicySource {
        name: "generated",
        text: &text,
    };
    Snapshot::compile(1, &[source], &[], &tools).ok()
}

/// Asks the same of the index and of the whole set.
fn agree(snapshot: &Snapshot, question: &Question<'_>) -> Result<(), TestCaseError> {
    let decision = snapshot.decide(id(), question);
    let asked = match snapshot.ask(question) {
        Ok(asked) => asked,
        Err(refusal) => {
            prop_assert_eq!(decision.code, refusal.code);
            return Ok(());
        }
    };
    let checked = snapshot.external.check(&asked);
    prop_assert!(checked.is_ok(), "{:?}", checked);
    let whole = snapshot.rules.evaluate_all(&asked.request, &asked.entities);
    prop_assert_eq!(&decision, &snapshot.decision(id(), question, &whole));
    let explained = snapshot.explain(id(), question);
    prop_assert_eq!(decision, explained.decision);
    Ok(())
}

fn ask_everything(snapshot: &Snapshot, number: i64) -> Result<(), TestCaseError> {
    let args: [Map<String, Value>; 2] = [Map::new(), map(json!({"n": number}))];
    let person = PersonFacts {
        id: "own_a".to_owned(),
        handle: "alice@example.com".to_owned(),
        teams: vec!["team:support".to_owned()],
    };
    for agent in &agents() {
        for (server, tool) in TOOLS {
            for args in &args {
                for flags in [(true, false), (false, true)] {
                    let context = CallContext {
                        now: CONTEXT.now,
                        sender_constrained: flags.0,
                        second_person: flags.1,
                        subject: flags.1.then_some(&person),
                    };
                    agree(
                        snapshot,
                        &Question::ToolCall {
                            agent,
                            server,
                            tool,
                            args,
                            context: &context,
                        },
                    )?;
                }
            }
            agree(
                snapshot,
                &Question::ListTool {
                    agent,
                    server,
                    tool,
                },
            )?;
        }
        for subject in [None, Some(&person)] {
            agree(
                snapshot,
                &Question::IssueToken {
                    agent,
                    resource: "rsc_a",
                    scopes: &["a", "b"],
                    subject,
                },
            )?;
        }
        let actors = [
            AdminFacts::LocalAdministrator,
            AdminFacts::Agent(agent),
            AdminFacts::Human {
                id: "own_a",
                handle: "alice@example.com",
                roles: &["auditor"],
            },
        ];
        for actor in &actors {
            for action in [Action::AgentRead, Action::AgentAccept, Action::KeyRotate] {
                for target in [Target::Authority, Target::Agent(agent)] {
                    let target = TargetFacts {
                        target,
                        widens: true,
                        second_person: false,
                        now: CONTEXT.now,
                    };
                    agree(
                        snapshot,
                        &Question::Administer {
                            actor,
                            action,
                            target,
                        },
                    )?;
                }
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_slice_decides_as_the_whole_set(
        calls in prop::collection::vec(call_policy(), 0..8),
        administration in prop::collection::vec(administrative_policy(), 0..4),
        number in prop_oneof![any::<i64>(), 0..10i64],
    ) {
        let policies: Vec<String> = calls.into_iter().chain(administration).collect();
        let snapshot = compile(&policies);
        prop_assert!(snapshot.is_some(), "{policies:?} does not compile");
        if let Some(snapshot) = snapshot {
            ask_everything(&snapshot, number)?;
        }
    }
}

#[test]
fn a_thousand_scoped_policies_leave_few_to_look_at() {
    let mut policies = vec![crate::DEFAULT.text.to_owned()];
    for at in 0..1_000 {
        policies.push(format!(
            "forbid (principal == Chancery::Agent::\"agt_{at}\", action in Chancery::Action::\"call_tool\", resource == Chancery::Tool::\"desk/refund\");"
        ));
    }
    let snapshot = compile(&policies).expect("compiles");
    let agents = agents();
    let args = Map::new();
    let question = Question::ToolCall {
        agent: &agents[0],
        server: "desk",
        tool: "refund",
        args: &args,
        context: &CONTEXT,
    };
    let explanation = snapshot.explain(id(), &question);
    assert_eq!(explanation.candidates.len(), 1);
}
