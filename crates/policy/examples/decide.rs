//! What one decision takes, at 50 and at 1,000 policies: `decide [SECONDS] [POLICIES] [CALLS]`.
#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use chancery_model::document::{AutonomyLevel, ToolGrant};
use chancery_model::id::DecisionId;
use chancery_model::time::Timestamp;
use chancery_policy::{
    AgentEntity, AgentFacts, CallContext, DEFAULT, PolicySource, Question, Snapshot, ToolDefinition,
};
use serde_json::json;

fn policies(count: usize) -> String {
    let mut text = String::from(
        "@id(\"every-call\")\nforbid (principal is Chancery::Agent, action in Chancery::Action::\"call_tool\", \
         resource) when { principal has risk && principal.risk == \"critical\" && !context.second_person };\n",
    );
    for number in 1..count {
        let tool = format!("Chancery::Action::\"call/desk/tool_{}\"", number - 1);
        let condition = if number % 10 == 0 {
            "principal has environment && principal.environment == \"sandbox\"".to_owned()
        } else {
            format!(
                "context.args has amount && context.args.amount > {}",
                1_000 + number
            )
        };
        text.push_str(&format!(
            "@id(\"limit-{number}\")\nforbid (principal is Chancery::Agent, action == {tool}, resource) when {{ {condition} }};\n"
        ));
    }
    text
}

fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let seconds: f64 = args.get(1).map_or(1.0, |a| a.parse().unwrap());
    let count: usize = args.get(2).map_or(50, |a| a.parse().unwrap());
    let calls: Option<usize> = args.get(3).and_then(|a| a.parse().ok());
    let text = policies(count);
    let text = if args.get(4).is_some() {
        format!(
            "{text}@id(\"engine-only\") forbid (principal, action in Chancery::Action::\"call_tool\", resource) when {{ ip(\"127.0.0.1\").isMulticast() }};"
        )
    } else {
        text
    };
    let schema = json!({
        "type": "object",
        "properties": {"ticket": {"type": "string"}, "amount": {"type": "integer"}},
        "required": ["ticket", "amount"],
    });
    let names: Vec<String> = (0..count).map(|tool| format!("tool_{tool}")).collect();
    let tools: Vec<ToolDefinition<'_>> = names
        .iter()
        .map(|tool| ToolDefinition {
            server: "desk",
            tool,
            input_schema: &schema,
        })
        .collect();
    let source = PolicySource {
        name: "bench",
        text: &text,
    };
    let begin = Instant::now();
    let snapshot = Snapshot::compile(1, &[DEFAULT, source], &[], &tools).unwrap();
    let compiled = begin.elapsed();
    let grants: Vec<ToolGrant> =
        serde_json::from_value(json!([{"server": "desk", "tool": "*"}])).unwrap();
    let agent = AgentEntity::new(&AgentFacts {
        id: "agt_01hzy0000000000000000000aa",
        name: "refund-bot",
        owner: "team:desk",
        team: Some("desk"),
        status: "active",
        autonomy: AutonomyLevel::Supervised,
        highest_risk: None,
        platform: Some("custom"),
        environment: Some("production"),
        version: None,
        tools: &grants,
    });
    let args = json!({"ticket": "T-1001", "amount": 40});
    let args = args.as_object().unwrap();
    let id: DecisionId = "dec_00000000000000000000000000".parse().unwrap();
    let context = CallContext {
        now: Timestamp::from_secs(1_798_761_600),
        sender_constrained: true,
        second_person: false,
    };
    let ask = |tool: &str| {
        let question = Question::ToolCall {
            agent: &agent,
            server: "desk",
            tool,
            args,
            context: &context,
        };
        snapshot.decide(id, black_box(&question))
    };
    if let Some(calls) = calls {
        for tool in names.iter().cycle().take(calls) {
            black_box(ask(tool));
        }
        return;
    }
    let mut took: Vec<Duration> = Vec::new();
    let mut used = 0.0;
    while used < seconds {
        let before = cpu();
        for tool in names.iter().cycle().take(1_000) {
            let begin = Instant::now();
            let decision = black_box(ask(tool));
            took.push(begin.elapsed());
            assert!(
                decision.reason.starts_with("permitted"),
                "{}",
                decision.reason
            );
        }
        used += cpu() - before;
    }
    let mean = used * 1e6 / took.len() as f64;
    took.sort_unstable();
    let p50 = took[took.len() / 2].as_secs_f64() * 1e6;
    println!(
        "{count} policies: p50 {p50:.2} µs, mean of CPU {mean:.2} µs, compiled in {compiled:?}"
    );
}
