//! Tests that need more than one module.

mod attacks;
mod authzen;
mod calls;
mod compiling;
mod conditions;
mod differential;
mod shipped;
mod vectors;

use chancery_model::decision::Decision;
use chancery_model::document::{AutonomyLevel, ToolGrant};
use chancery_model::id::DecisionId;
use chancery_model::time::Timestamp;
use serde_json::{Map, Value, json};

use crate::agent::{AgentEntity, AgentFacts};
use crate::compile::{PolicySource, Snapshot, ToolDefinition};
use crate::question::{CallContext, Question};

pub(crate) fn id() -> DecisionId {
    "dec_00000000000000000000000000"
        .parse()
        .expect("a decision id")
}

pub(crate) fn source(text: &str) -> PolicySource<'_> {
    PolicySource { name: "test", text }
}

pub(crate) fn refund_schema() -> Value {
    json!({
        "type": "object",
        "properties": {"ticket": {"type": "string"}, "amount": {"type": "integer"}},
        "required": ["ticket", "amount"],
    })
}

/// A snapshot of `text` with one tool, `desk/issue_refund`, of the given schema.
pub(crate) fn snapshot_of(text: &str, input_schema: &Value) -> Snapshot {
    let tool = ToolDefinition {
        server: "desk",
        tool: "issue_refund",
        input_schema,
    };
    match Snapshot::compile(1, &[source(text)], &[], &[tool]) {
        Ok(snapshot) => snapshot,
        Err(error) => panic!("{error}"),
    }
}

pub(crate) fn snapshot(text: &str) -> Snapshot {
    snapshot_of(text, &refund_schema())
}

pub(crate) fn grant(server: &str, tool: &str) -> ToolGrant {
    serde_json::from_value(json!({"server": server, "tool": tool})).expect("a grant")
}

pub(crate) fn agent_named(name: &str, status: &str) -> AgentEntity {
    AgentEntity::new(&AgentFacts {
        id: "agt_refund",
        name,
        owner: "team:desk",
        team: None,
        status,
        autonomy: AutonomyLevel::Supervised,
        highest_risk: None,
        platform: None,
        environment: None,
        version: None,
        tools: &[grant("desk", "issue_refund")],
    })
}

pub(crate) fn agent() -> AgentEntity {
    agent_named("refund-bot", "active")
}

pub(crate) const CONTEXT: CallContext<'static> = CallContext {
    now: Timestamp::from_secs(1_798_761_600),
    sender_constrained: true,
    second_person: false,
    subject: None,
};

pub(crate) fn map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("not an object: {other}"),
    }
}

/// The decision on a call of `desk/issue_refund` by the agent of the tests.
pub(crate) fn call(snapshot: &Snapshot, args: Value) -> Decision {
    let question = Question::ToolCall {
        agent: &agent(),
        server: "desk",
        tool: "issue_refund",
        args: &map(args),
        context: &CONTEXT,
    };
    snapshot.decide(id(), &question)
}
