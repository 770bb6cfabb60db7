//! Decisions inside a process: the whole of `Snapshot::decide`, arguments and all.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use chancery_model::decision::Effect;
use chancery_model::document::{AutonomyLevel, ToolGrant};
use chancery_model::id::DecisionId;
use chancery_model::time::Clock;
use chancery_policy::{
    AgentEntity, AgentFacts, CallContext, DEFAULT, PolicySource, Question, Snapshot, ToolDefinition,
};
use serde_json::{Value, json};

use crate::bench::Bench;
use crate::child::{self, number};
use crate::cores::used_here;
use crate::report::{Goal, Row};
use crate::series::Series;
use crate::world::{Distinct, MachineClock};

/// Decisions over so many policies.
#[derive(Debug, clap::Args)]
pub(crate) struct Deciding {
    #[arg(long)]
    seconds: f64,
    #[arg(long)]
    policies: usize,
}

/// A house with many tools: for each a limit on an argument, for each tenth a rule about agents too, and
/// one rule that looks at every call.
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

impl Deciding {
    pub(super) fn measure(&self) -> Result<Value> {
        let text = policies(self.policies);
        let schema = json!({
            "type": "object",
            "properties": {"ticket": {"type": "string"}, "amount": {"type": "integer"}},
            "required": ["ticket", "amount"],
        });
        let names: Vec<String> = (0..self.policies)
            .map(|tool| format!("tool_{tool}"))
            .collect();
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
        let snapshot = Snapshot::compile(1, &[DEFAULT, source], &[], &tools)?;
        let grants = json!([{"server": "desk", "tool": "*"}]);
        let grants: Vec<ToolGrant> = serde_json::from_value(grants)?;
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
        let Value::Object(args) = json!({"ticket": "T-1001", "amount": 40}) else {
            bail!("arguments are an object");
        };
        let entropy = Distinct::default();
        let context = CallContext {
            now: MachineClock.now(),
            sender_constrained: true,
            second_person: false,
            subject: None,
        };
        let mut took: Vec<Duration> = Vec::new();
        let mut used = Duration::ZERO;
        while used.as_secs_f64() < self.seconds {
            let before = used_here()?;
            // Every tool in turn, so that no call finds only what the last one left in the caches.
            for tool in names.iter().cycle().take(1_000) {
                let question = Question::ToolCall {
                    agent: &agent,
                    server: "desk",
                    tool,
                    args: &args,
                    context: &context,
                };
                let id = DecisionId::generate(context.now, &entropy);
                let begin = Instant::now();
                let decision = black_box(snapshot.decide(id, black_box(&question)));
                took.push(begin.elapsed());
                if decision.effect != Effect::Permit {
                    bail!("{}", decision.reason);
                }
            }
            used += used_here()? - before;
        }
        let mean = used.as_secs_f64() * 1e6 / took.len() as f64;
        took.sort_unstable();
        let p50 = took[took.len() / 2].as_secs_f64() * 1e6;
        Ok(json!({"p50": p50, "mean": mean}))
    }
}

pub(super) async fn run(bench: &Bench) -> Result<Vec<Row>> {
    let (mut few, mut many) = (Series::default(), Series::default());
    let (mut few_mean, mut many_mean) = (Series::default(), Series::default());
    for _ in 0..bench.rounds {
        for (policies, p50, mean) in [
            ("50", &mut few, &mut few_mean),
            ("1000", &mut many, &mut many_mean),
        ] {
            let seconds = bench.seconds();
            let args = ["decision", "--seconds", &seconds, "--policies", policies];
            let measured = child::measure(&args).await?;
            p50.push(number(&measured, "p50")?);
            mean.push(number(&measured, "mean")?);
        }
    }
    let growth = many.over(&few);
    Ok(vec![
        Row::plain("50 policies, p50", few, "µs").goal(Goal::AtMost(20.0)),
        Row::plain("50 policies, mean of CPU", few_mean, "µs"),
        Row::plain("1,000 policies, p50", many, "µs"),
        Row::plain("1,000 policies, mean of CPU", many_mean, "µs"),
        Row::plain("1,000 policies over 50, p50", growth, "times").goal(Goal::AtMost(1.5)),
    ])
}
