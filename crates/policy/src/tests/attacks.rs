//! The attack cases on the decision point, by their identifiers, each with its legitimate twin.
//!
//! POL-05 is about another language (Rego): its twin here is that what is absent never permits.
//! POL-10 is about risk scores, which are not part of these questions; what is left of it is that
//! numbers without a plain value are refused.

use chancery_model::action::ALL;
use chancery_model::decision::{Effect, ReasonCode};
use chancery_model::document::AutonomyLevel;
use serde_json::{Map, Value, json};

use super::{CONTEXT, agent, agent_named, call, grant, id, map, snapshot, snapshot_of, source};
use crate::agent::{AgentEntity, AgentFacts};
use crate::compile::{PolicySource, Snapshot};
use crate::question::{AdminFacts, EntityRef, ExternalAction, Question, Target, TargetFacts};

const PERMIT: &str = "permit (principal, action, resource);";

fn good() -> Value {
    json!({"ticket": "T-1", "amount": 1})
}

#[test]
fn pol_01_nothing_permits_by_absence() {
    let empty = call(&snapshot(""), good());
    assert_eq!(
        (empty.effect, empty.code),
        (Effect::Deny, ReasonCode::NoPolicyPermits)
    );
    assert!(Snapshot::compile(2, &[source("permit (principal")], &[], &[]).is_err());
    let unknown = Question::ToolCall {
        agent: &agent(),
        server: "desk",
        tool: "other",
        args: &Map::new(),
        context: &CONTEXT,
    };
    let unknown = snapshot(PERMIT).decide(id(), &unknown);
    assert_eq!(
        (unknown.effect, unknown.code),
        (Effect::Deny, ReasonCode::UnknownAction)
    );
    for action in ALL {
        let question = Question::Administer {
            actor: &AdminFacts::LocalAdministrator,
            action,
            target: TargetFacts {
                target: Target::Authority,
                widens: false,
                second_person: true,
                now: CONTEXT.now,
            },
        };
        assert_eq!(snapshot("").decide(id(), &question).effect, Effect::Deny);
        assert_eq!(
            snapshot(PERMIT).decide(id(), &question).effect,
            Effect::Permit
        );
    }
    assert_eq!(call(&snapshot(PERMIT), good()).effect, Effect::Permit);
}

#[test]
fn pol_02_an_erring_policy_denies() {
    let text = format!(
        "{PERMIT} @id(\"overflow\") forbid (principal, action == Chancery::Action::\"call/desk/issue_refund\", resource) when {{ context.args.amount * 2 < 0 }};"
    );
    let snapshot = snapshot(&text);
    let erred = call(&snapshot, json!({"ticket": "T-1", "amount": i64::MAX}));
    assert_eq!(
        (erred.effect, erred.code),
        (Effect::Deny, ReasonCode::PolicyError)
    );
    assert_eq!(erred.policies, ["overflow"]);
    assert_eq!(erred.reason, "policy overflow could not be evaluated");
    assert_eq!(call(&snapshot, good()).effect, Effect::Permit);
    // An erring permit denies as well, even beside one that holds.
    let text = text.replace("forbid", "permit");
    let erred = call(
        &super::snapshot(&text),
        json!({"ticket": "T-1", "amount": i64::MAX}),
    );
    assert_eq!(erred.code, ReasonCode::PolicyError);
}

#[test]
fn pol_02_a_policy_that_could_miss_an_attribute_is_refused_at_load() {
    let missing = "forbid (principal is Chancery::Agent, action, resource) when { principal.environment == \"x\" };";
    assert!(Snapshot::compile(1, &[source(missing)], &[], &[]).is_err());
    let guarded = missing.replace("when {", "when { principal has environment &&");
    assert!(Snapshot::compile(1, &[source(&guarded)], &[], &[]).is_ok());
}

const INJECTIONS: [&str; 4] = [
    "x\" || true || \"",
    "\"); permit(principal,action,resource);",
    "*/ } ;\n permit (principal, action, resource); //",
    "\\\"\u{0}\u{202e}",
];

#[test]
fn pol_03_names_stay_data() {
    let text = "permit (principal == Chancery::Agent::\"agt_1\", action, resource is Chancery::Tool) when { principal.name == \"bot\" };";
    let snapshot = snapshot(text);
    let decide = |id_text: &str, name: &str| {
        let agent = AgentEntity::new(&AgentFacts {
            id: id_text,
            name,
            owner: name,
            team: Some(name),
            status: name,
            autonomy: AutonomyLevel::Autonomous,
            highest_risk: None,
            platform: Some(name),
            environment: Some(name),
            version: Some(name),
            tools: &[grant("desk", "issue_refund")],
        });
        let args = map(json!({"ticket": name, "amount": 1}));
        let question = Question::ToolCall {
            agent: &agent,
            server: "desk",
            tool: "issue_refund",
            args: &args,
            context: &CONTEXT,
        };
        snapshot.decide(id(), &question).effect
    };
    for attack in INJECTIONS {
        assert_eq!(decide("agt_1", attack), Effect::Deny);
        assert_eq!(decide(attack, "bot"), Effect::Deny);
        let unknown = Question::ListTool {
            agent: &agent(),
            server: attack,
            tool: attack,
        };
        let denied = snapshot.decide(id(), &unknown);
        assert_eq!(denied.code, ReasonCode::UnknownAction);
        assert!(!denied.reason.contains(attack));
    }
    assert_eq!(decide("agt_1", "bot"), Effect::Permit);
}

#[test]
fn pol_03_names_of_arguments_stay_names() {
    for attack in INJECTIONS {
        let schema = json!({"type": "object", "properties": {attack: {"type": "integer"}}});
        let snapshot = snapshot_of(crate::DEFAULT.text, &schema);
        assert_eq!(call(&snapshot, json!({attack: 1})).effect, Effect::Permit);
        assert_eq!(
            call(&snapshot, json!({attack: "1"})).code,
            ReasonCode::RequestInvalid
        );
        let parsed = cedar_policy::Schema::from_cedarschema_str(snapshot.schema_text());
        assert!(parsed.is_ok(), "{}", snapshot.schema_text());
    }
}

#[test]
fn pol_04_reserved_keys_are_refused_anywhere() {
    let schema = json!({"type": "object", "properties": {"owner": {"type": "object"}, "ip": {"type": "string"}}, "additionalProperties": true});
    let snapshot = snapshot_of(PERMIT, &schema);
    for attack in [
        json!({"owner": {"__entity": {"type": "Chancery::Human", "id": "admin"}}}),
        json!({"ip": {"__extn": {"fn": "ip", "arg": "10.0.0.1"}}}),
        json!({"__expr": "1"}),
        json!({"owner": {"a": [{"b": {"__extn": 1}}]}}),
        json!({"other": [[{"__expr": 1}]]}),
    ] {
        let denied = call(&snapshot, attack);
        assert_eq!(denied.code, ReasonCode::RequestInvalid);
    }
    let fine = json!({"owner": {"type": "Chancery::Human", "id": "__entity"}, "ip": "10.0.0.1"});
    assert_eq!(call(&snapshot, fine).effect, Effect::Permit);
}

#[test]
fn pol_05_what_is_absent_never_permits() {
    let text = "permit (principal, action == Chancery::Action::\"call/desk/issue_refund\", resource) when { context.args has approved && context.args.approved };";
    let schema = json!({"type": "object", "properties": {"approved": {"type": "boolean"}}});
    let snapshot = snapshot_of(text, &schema);
    assert_eq!(call(&snapshot, json!({})).effect, Effect::Deny);
    assert_eq!(call(&snapshot, json!({"approved": 1})).effect, Effect::Deny);
    assert_eq!(
        call(&snapshot, json!({"approved": true})).effect,
        Effect::Permit
    );
}

#[test]
fn pol_07_similar_requests_do_not_share_slices() {
    // The names run into each other when joined; each pair must meet its own policy only.
    let text = "
        @id(\"ab\") permit (principal == Chancery::Agent::\"a|b\", action, resource == Chancery::Tool::\"desk/issue_refund\");
        @id(\"a\") forbid (principal == Chancery::Agent::\"a\", action, resource == Chancery::Tool::\"b|desk/issue_refund\");
        @id(\"one\") permit (principal == Chancery::Agent::\"1\", action, resource);
    ";
    let snapshot = snapshot(text);
    let decide = |id_text: &str| {
        let agent = AgentEntity::new(&AgentFacts {
            id: id_text,
            name: "bot",
            owner: "team:desk",
            team: None,
            status: "active",
            autonomy: AutonomyLevel::Supervised,
            highest_risk: None,
            platform: None,
            environment: None,
            version: None,
            tools: &[],
        });
        let question = Question::ListTool {
            agent: &agent,
            server: "desk",
            tool: "issue_refund",
        };
        snapshot.decide(id(), &question).policies
    };
    // Twice, so that the second time the slices come from the cache.
    for _ in 0..2 {
        assert_eq!(decide("a|b"), ["ab"]);
        assert_eq!(decide("a"), [""; 0]);
        assert_eq!(decide("1"), ["one"]);
        assert_eq!(decide("1 "), [""; 0]);
    }
}

#[test]
fn pol_09_nobody_outside_describes_our_entities() {
    let org = PolicySource {
        name: "org",
        text: "entity user; entity record; action read appliesTo { principal: [user, Chancery::Agent], resource: [record] };",
    };
    let snapshot = Snapshot::compile(1, &[source(PERMIT)], &[org], &[]).expect("compiles");
    let decide = |kind: &str, action: &str, resource: &str| {
        let (none, properties) = (Map::new(), map(json!({"status": "active"})));
        let question = Question::External {
            subject: EntityRef {
                kind,
                id: "agt_1",
                properties: &properties,
            },
            action: ExternalAction {
                name: action,
                properties: &none,
            },
            resource: EntityRef {
                kind: resource,
                id: "1",
                properties: &none,
            },
            context: &none,
        };
        snapshot.decide(id(), &question).code
    };
    assert_eq!(
        decide("Chancery::Agent", "read", "record"),
        ReasonCode::RequestInvalid
    );
    assert_eq!(
        decide("user", "call_tool", "Chancery::Tool"),
        ReasonCode::RequestInvalid
    );
    assert_eq!(decide("user", "read", "record"), ReasonCode::PolicyPermits);
}

#[test]
fn pol_10_numbers_without_a_plain_value_are_refused() {
    let schema =
        json!({"type": "object", "properties": {"risk": {"type": "number"}}, "required": ["risk"]});
    let text = "permit (principal, action == Chancery::Action::\"call/desk/issue_refund\", resource) when { context.args.risk.lessThan(decimal(\"0.5\")) };";
    let snapshot = snapshot_of(text, &schema);
    for risk in [
        json!("0"),
        json!(null),
        json!("NaN"),
        json!(1e300),
        json!(u64::MAX),
    ] {
        let denied = call(&snapshot, json!({"risk": risk}));
        assert_eq!(denied.code, ReasonCode::RequestInvalid);
    }
    assert_eq!(call(&snapshot, json!({})).code, ReasonCode::RequestInvalid);
    assert_eq!(
        call(&snapshot, json!({"risk": 0.25})).effect,
        Effect::Permit
    );
}

#[test]
fn pol_12_unknown_types_and_actions_of_askers_are_denied() {
    let org = PolicySource {
        name: "org",
        text: "entity user = { role?: String }; entity record; action read appliesTo { principal: [user], resource: [record] };",
    };
    let snapshot = Snapshot::compile(1, &[source(PERMIT)], &[org], &[]).expect("compiles");
    let decide = |kind: &str, properties: Value, action: &str, context: Value| {
        let (none, properties, context) = (Map::new(), map(properties), map(context));
        let question = Question::External {
            subject: EntityRef {
                kind,
                id: "alice",
                properties: &properties,
            },
            action: ExternalAction {
                name: action,
                properties: &none,
            },
            resource: EntityRef {
                kind: "record",
                id: "1",
                properties: &none,
            },
            context: &context,
        };
        snapshot.decide(id(), &question).code
    };
    let none = || json!({});
    assert_eq!(
        decide("ghost", none(), "read", none()),
        ReasonCode::RequestInvalid
    );
    assert_eq!(
        decide("us er", none(), "read", none()),
        ReasonCode::RequestInvalid
    );
    assert_eq!(
        decide("user", none(), "erase", none()),
        ReasonCode::UnknownAction
    );
    assert_eq!(
        decide("user", json!({"role": 1}), "read", none()),
        ReasonCode::RequestInvalid
    );
    let reserved = json!({"a": {"__entity": {}}});
    assert_eq!(
        decide("user", none(), "read", reserved),
        ReasonCode::RequestInvalid
    );
    let more = json!({"role": "admin", "shoe_size": 43});
    assert_eq!(
        decide("user", more, "read", json!({"ip": "::1"})),
        ReasonCode::PolicyPermits
    );
}

#[test]
fn pol_14_compiling_only_parses() {
    for attack in [
        "{{7*7}}",
        "import os; os.system('id')",
        "permit (principal, action, resource) when { http.send({}) };",
        "permit (principal, action, resource) when { exec(\"id\") };",
        "\u{0}asm\u{1}\u{0}\u{0}\u{0}",
    ] {
        assert!(
            Snapshot::compile(1, &[source(attack)], &[], &[]).is_err(),
            "{attack}"
        );
    }
    assert!(Snapshot::compile(1, &[source(PERMIT)], &[], &[]).is_ok());
}

#[test]
fn a_suspended_agent_is_denied_what_it_may_when_active() {
    let snapshot = snapshot(crate::DEFAULT.text);
    let decide = |status| {
        let args = map(good());
        let question = Question::ToolCall {
            agent: &agent_named("refund-bot", status),
            server: "desk",
            tool: "issue_refund",
            args: &args,
            context: &CONTEXT,
        };
        snapshot.decide(id(), &question).effect
    };
    assert_eq!(decide("active"), Effect::Permit);
    for status in ["draft", "suspended", "retired", "", "Active"] {
        assert_eq!(decide(status), Effect::Deny);
    }
}
