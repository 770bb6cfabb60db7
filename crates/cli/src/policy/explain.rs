//! `policy explain`: what would be decided about a call, and what each policy said.

use chancery_api::policies::ExplainCall;
use chancery_wire::json;
use clap::Args;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::layout::{self, Facts};
use crate::session::Session;

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The agent, by name or id
    #[arg(long, value_name = "NAME|ID")]
    agent: String,
    /// The tool, with its MCP server
    #[arg(long, value_name = "SERVER/TOOL", value_parser = tool)]
    tool: (String, String),
    /// The arguments of the call, a JSON object
    #[arg(long = "args", value_name = "JSON", value_parser = arguments, default_value = "{}")]
    arguments: Arguments,
    /// As if the token were a plain bearer token
    #[arg(long)]
    bearer: bool,
}

/// A JSON object on the command line.
#[derive(Debug, Clone)]
struct Arguments(Map<String, Value>);

fn tool(text: &str) -> Result<(String, String), String> {
    match text.split_once('/') {
        Some((server, tool)) if !server.is_empty() && !tool.is_empty() => {
            Ok((server.to_owned(), tool.to_owned()))
        }
        Some(_) | None => Err("expected a server and a tool, such as `desk/refund`".to_owned()),
    }
}

fn arguments(text: &str) -> Result<Arguments, String> {
    match json::parse(text.as_bytes(), json::BODY) {
        Ok(Value::Object(arguments)) => Ok(Arguments(arguments)),
        Ok(_) => Err("expected a JSON object, such as `{\"amount\":40}`".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// What people are shown of an explanation; the whole of it is there with `--json`.
#[derive(Deserialize)]
struct Explanation {
    decision: Decided,
    candidates: Vec<Candidate>,
}

#[derive(Deserialize)]
struct Decided {
    effect: String,
    code: String,
    reason: String,
    policies: Vec<String>,
    snapshot: u64,
}

#[derive(Deserialize)]
struct Candidate {
    id: String,
    source: String,
    line: u32,
    effect: String,
    outcome: String,
    #[serde(default)]
    error: Option<String>,
    summary: String,
}

pub(super) async fn run(session: &Session, args: Explain) -> Result<Exit, Failure> {
    let (server, tool) = args.tool;
    let call = ExplainCall {
        agent: args.agent,
        server,
        tool,
        arguments: args.arguments.0,
        sender_constrained: !args.bearer,
    };
    let explanation = session.authority()?.policy_explain(&call).await?;
    session.output.show(&explanation, || render(&explanation))?;
    Ok(Exit::Done)
}

fn render(explanation: &Value) -> String {
    let Ok(Explanation {
        decision,
        candidates,
    }) = Explanation::deserialize(explanation)
    else {
        // A newer authority may explain in another shape: then as it is.
        return layout::plain(&format!("{explanation:#}"));
    };
    let facts = Facts::new()
        .styled("effect", layout::status(&decision.effect))
        .add("reason", &decision.reason)
        .add("code", &decision.code)
        .each("policies", &decision.policies)
        .add("snapshot", decision.snapshot);
    let rows = candidates.into_iter().map(|candidate| {
        let outcome = candidate.outcome.replace('_', " ");
        let error = candidate.error.map(|error| format!(": {error}"));
        vec![
            candidate.effect,
            candidate.id,
            format!("{outcome}{}", error.unwrap_or_default()),
            format!("{}:{}", candidate.source, candidate.line),
            candidate.summary,
        ]
    });
    let headings = ["policy", "id", "outcome", "where", "about"];
    let table = layout::table(&headings, rows.collect(), "no policy could have mattered");
    format!("{}\n\n{table}", facts.render())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_named_with_its_server() {
        assert_eq!(
            tool("desk/refund"),
            Ok(("desk".to_owned(), "refund".to_owned()))
        );
        for wrong in ["desk", "/refund", "desk/", ""] {
            assert!(tool(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn arguments_are_one_strict_json_object() {
        assert!(arguments("{\"amount\":40}").is_ok_and(|parsed| parsed.0["amount"] == 40));
        for wrong in ["40", "[]", "{", "{\"a\":1,\"a\":2}", "{} {}"] {
            assert!(arguments(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_explanation_shows_the_decision_and_what_each_policy_said() {
        let explanation = serde_json::json!({
            "decision": {"id": "dec_x", "effect": "deny", "code": "policy_forbids",
                "reason": "too much", "policies": ["limit"], "snapshot": 7},
            "candidates": [{"id": "limit", "source": "refunds", "line": 3, "column": 1, "effect": "forbid",
                "annotations": [], "summary": "forbids refunds over 50", "outcome": "satisfied"}],
        });
        let text = anstream::adapter::strip_str(&render(&explanation)).to_string();
        assert!(
            text.contains("effect    deny\nreason    too much"),
            "{text}"
        );
        assert!(
            text.contains("forbid  limit  satisfied  refunds:3  forbids refunds over 50"),
            "{text}"
        );
        assert_eq!(render(&serde_json::json!("other")), "\"other\"");
    }
}
