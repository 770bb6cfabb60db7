//! AuthZEN Authorization API 1.0: the questions that enforcement points ask us and the answers.
//!
//! Members that the specification does not name are ignored; those that it does name must be there
//! and of the right kind, or the evaluation is refused by itself. A denial is an answer
//! (`{"decision": false}`), not an error. Search is not offered, and the metadata does not name it.

use std::sync::LazyLock;

use serde::Serialize;
use serde_json::{Map, Value};

/// Most evaluations that one request may ask for (POL-12).
pub const MAX_EVALUATIONS: usize = 256;

/// One question, as it stands in the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evaluation<'a> {
    /// Who would act.
    pub subject: Entity<'a>,
    /// The act.
    pub action: Action<'a>,
    /// What would be acted on.
    pub resource: Entity<'a>,
    /// Circumstances.
    pub context: &'a Map<String, Value>,
}

/// A subject or a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entity<'a> {
    /// Its type; never empty.
    pub kind: &'a str,
    /// Its identifier within the type; never empty.
    pub id: &'a str,
    /// More about it, as the asker says.
    pub properties: &'a Map<String, Value>,
}

/// An act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Action<'a> {
    /// Its name; never empty.
    pub name: &'a str,
    /// More about it, as the asker says.
    pub properties: &'a Map<String, Value>,
}

/// Why a question cannot be asked: answered with 400, or within the answer of its item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEvaluation {
    /// A member that must be there is not.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A member must be an object.
    #[error("`{0}` must be an object")]
    NotObject(&'static str),
    /// A member must be a text that is not empty.
    #[error("`{0}` must be a text that is not empty")]
    NotText(&'static str),
    /// A member must be a list.
    #[error("`{0}` must be a list")]
    NotList(&'static str),
    /// More is asked than one request may.
    #[error("`evaluations` has more than {MAX_EVALUATIONS} entries")]
    TooMany,
    /// No such way to evaluate several questions.
    #[error(
        "`evaluations_semantic` must be `execute_all`, `deny_on_first_deny` or `permit_on_first_permit`"
    )]
    UnknownSemantic,
}

/// What a request to the evaluations endpoint asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evaluations<'a> {
    /// No list of evaluations: one question, with one answer.
    One(Evaluation<'a>),
    /// Several questions, with their answers in order.
    Many {
        /// When to stop.
        semantic: Semantic,
        /// The questions with the defaults filled in; one that is malformed does not spoil the others.
        items: Vec<Result<Evaluation<'a>, InvalidEvaluation>>,
    },
}

/// When to stop evaluating several questions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Semantic {
    /// Never.
    #[default]
    ExecuteAll,
    /// After the first denial.
    DenyOnFirstDeny,
    /// After the first permit.
    PermitOnFirstPermit,
}

impl Semantic {
    /// Whether an answer is the last one.
    pub fn stops_after(self, decision: bool) -> bool {
        match self {
            Self::ExecuteAll => false,
            Self::DenyOnFirstDeny => !decision,
            Self::PermitOnFirstPermit => decision,
        }
    }

    fn parse(request: &Map<String, Value>) -> Result<Self, InvalidEvaluation> {
        let Some(options) = request.get("options") else {
            return Ok(Self::default());
        };
        let options = options
            .as_object()
            .ok_or(InvalidEvaluation::NotObject("options"))?;
        let Some(semantic) = options.get("evaluations_semantic") else {
            return Ok(Self::default());
        };
        match semantic.as_str() {
            Some("execute_all") => Ok(Self::ExecuteAll),
            Some("deny_on_first_deny") => Ok(Self::DenyOnFirstDeny),
            Some("permit_on_first_permit") => Ok(Self::PermitOnFirstPermit),
            Some(_) | None => Err(InvalidEvaluation::UnknownSemantic),
        }
    }
}

/// The answer to one question; `R` says why, as the decision point words it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer<R> {
    /// Whether the act may happen.
    pub decision: bool,
    /// More about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<Context<R>>,
}

/// What an answer says beside yes or no.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Context<R> {
    /// Why it was decided so.
    Reason(R),
    /// What is wrong with a question that cannot be asked.
    Error {
        /// The error.
        error: ItemError,
    },
}

/// The error of one question among several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ItemError {
    /// The HTTP status that the question would be answered with alone.
    pub status: u16,
    /// One plain sentence.
    pub message: String,
}

impl<R> Answer<R> {
    /// The answer to an item that cannot be asked.
    pub fn invalid(error: InvalidEvaluation) -> Self {
        let error = ItemError {
            status: 400,
            message: error.to_string(),
        };
        Self {
            decision: false,
            context: Some(Context::Error { error }),
        }
    }
}

/// The answers to several questions, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answers<R> {
    /// The answers; fewer than the questions when the semantic stops early.
    pub evaluations: Vec<Answer<R>>,
}

/// The document at `/.well-known/authzen-configuration`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Metadata {
    /// Our issuer identifier.
    pub policy_decision_point: String,
    /// Where one question is asked.
    pub access_evaluation_endpoint: String,
    /// Where several are.
    pub access_evaluations_endpoint: String,
}

impl Metadata {
    /// The document of the decision point at `issuer`, which has no trailing slash.
    pub fn of(issuer: &str) -> Self {
        Self {
            policy_decision_point: issuer.to_owned(),
            access_evaluation_endpoint: format!("{issuer}/access/v1/evaluation"),
            access_evaluations_endpoint: format!("{issuer}/access/v1/evaluations"),
        }
    }
}

/// Parses a request to the evaluation endpoint.
pub fn parse_evaluation(request: &Value) -> Result<Evaluation<'_>, InvalidEvaluation> {
    let request = object(request, "request")?;
    evaluation(&Members {
        own: request,
        defaults: None,
    })
}

/// Parses a request to the evaluations endpoint.
pub fn parse_evaluations(request: &Value) -> Result<Evaluations<'_>, InvalidEvaluation> {
    let defaults = object(request, "request")?;
    let items = match defaults.get("evaluations") {
        None => return parse_evaluation(request).map(Evaluations::One),
        Some(Value::Array(items)) if items.is_empty() => {
            return parse_evaluation(request).map(Evaluations::One);
        }
        Some(Value::Array(items)) => items,
        Some(_) => return Err(InvalidEvaluation::NotList("evaluations")),
    };
    if items.len() > MAX_EVALUATIONS {
        return Err(InvalidEvaluation::TooMany);
    }
    let semantic = Semantic::parse(defaults)?;
    let items = items.iter().map(|item| {
        evaluation(&Members {
            own: object(item, "evaluation")?,
            defaults: Some(defaults),
        })
    });
    Ok(Evaluations::Many {
        semantic,
        items: items.collect(),
    })
}

/// The members of a question: its own, and for each that it lacks the default as a whole.
struct Members<'a> {
    own: &'a Map<String, Value>,
    defaults: Option<&'a Map<String, Value>>,
}

impl<'a> Members<'a> {
    fn find(&self, name: &'static str) -> Option<&'a Value> {
        let default = || self.defaults.and_then(|defaults| defaults.get(name));
        self.own.get(name).or_else(default)
    }

    fn require(&self, name: &'static str) -> Result<&'a Map<String, Value>, InvalidEvaluation> {
        match self.find(name) {
            None | Some(Value::Null) => Err(InvalidEvaluation::Missing(name)),
            Some(value) => object(value, name),
        }
    }
}

fn evaluation<'a>(members: &Members<'a>) -> Result<Evaluation<'a>, InvalidEvaluation> {
    let subject = members.require("subject")?;
    let action = members.require("action")?;
    let resource = members.require("resource")?;
    let context = match members.find("context") {
        None => &NOTHING,
        Some(context) => object(context, "context")?,
    };
    Ok(Evaluation {
        subject: Entity {
            kind: text(subject, "type", "subject.type")?,
            id: text(subject, "id", "subject.id")?,
            properties: properties(subject, "subject.properties")?,
        },
        action: Action {
            name: text(action, "name", "action.name")?,
            properties: properties(action, "action.properties")?,
        },
        resource: Entity {
            kind: text(resource, "type", "resource.type")?,
            id: text(resource, "id", "resource.id")?,
            properties: properties(resource, "resource.properties")?,
        },
        context,
    })
}

fn object<'a>(
    value: &'a Value,
    name: &'static str,
) -> Result<&'a Map<String, Value>, InvalidEvaluation> {
    value.as_object().ok_or(InvalidEvaluation::NotObject(name))
}

fn text<'a>(
    map: &'a Map<String, Value>,
    member: &str,
    name: &'static str,
) -> Result<&'a str, InvalidEvaluation> {
    match map.get(member) {
        None | Some(Value::Null) => Err(InvalidEvaluation::Missing(name)),
        Some(Value::String(text)) if !text.is_empty() => Ok(text),
        Some(_) => Err(InvalidEvaluation::NotText(name)),
    }
}

fn properties<'a>(
    map: &'a Map<String, Value>,
    name: &'static str,
) -> Result<&'a Map<String, Value>, InvalidEvaluation> {
    match map.get("properties") {
        None => Ok(&NOTHING),
        Some(properties) => object(properties, name),
    }
}

/// The members of an object that is not there.
static NOTHING: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors;
    use proptest::prelude::*;
    use serde_json::json;

    fn question() -> Value {
        json!({
            "subject": {"type": "user", "id": "alice"},
            "action": {"name": "read"},
            "resource": {"type": "record", "id": "record-1"},
        })
    }

    #[track_caller]
    fn refused(change: impl Fn(&mut Value), expected: &str) {
        let mut request = question();
        change(&mut request);
        let error = parse_evaluation(&request).expect_err("must be refused");
        assert_eq!(error.to_string(), expected);
        assert!(parse_evaluation(&question()).is_ok());
    }

    #[test]
    fn pol_12_what_must_be_there_is_there() {
        for (member, message) in [
            ("subject", "`subject` is missing"),
            ("action", "`action` is missing"),
            ("resource", "`resource` is missing"),
        ] {
            refused(|request| request[member] = Value::Null, message);
            let remove = |request: &mut Value| {
                request.as_object_mut().expect("an object").remove(member);
            };
            refused(remove, message);
        }
        refused(
            |request| request["subject"] = "alice".into(),
            "`subject` must be an object",
        );
        refused(
            |request| request["action"]["name"] = 123.into(),
            "`action.name` must be a text that is not empty",
        );
        refused(
            |request| request["resource"]["id"] = "".into(),
            "`resource.id` must be a text that is not empty",
        );
        refused(
            |request| request["subject"]["type"] = Value::Null,
            "`subject.type` is missing",
        );
        refused(
            |request| request["subject"]["properties"] = 1.into(),
            "`subject.properties` must be an object",
        );
        refused(
            |request| request["context"] = json!([]),
            "`context` must be an object",
        );
    }

    #[test]
    fn unknown_members_are_ignored() {
        let mut request = question();
        request["foo"] = "bar".into();
        request["subject"]["futureField"] = json!({"nested": true});
        assert_eq!(parse_evaluation(&request), parse_evaluation(&question()));
    }

    #[test]
    fn defaults_fill_in_whole_members() {
        let mut request = question();
        request["resource"]["properties"] = json!({"status": "active"});
        request["context"] = json!({"time": "now"});
        request["evaluations"] = json!([
            {},
            {"resource": {"type": "record", "id": "record-2"}, "context": {}},
            {"resource": null},
            7,
        ]);
        let Ok(Evaluations::Many { semantic, items }) = parse_evaluations(&request) else {
            panic!("several");
        };
        assert_eq!(semantic, Semantic::ExecuteAll);
        let first = items[0].as_ref().expect("filled in");
        assert_eq!(first.resource.id, "record-1");
        assert_eq!(first.resource.properties["status"], "active");
        assert_eq!(first.context["time"], "now");
        let second = items[1].as_ref().expect("overridden");
        assert_eq!(second.resource.id, "record-2");
        assert!(second.resource.properties.is_empty() && second.context.is_empty());
        assert_eq!(items[2], Err(InvalidEvaluation::Missing("resource")));
        assert_eq!(items[3], Err(InvalidEvaluation::NotObject("evaluation")));
        let answer: Answer<Value> = Answer::invalid(InvalidEvaluation::Missing("resource"));
        let answer = serde_json::to_value(answer);
        assert_eq!(
            answer.expect("JSON"),
            json!({"decision": false, "context": {"error": {"status": 400, "message": "`resource` is missing"}}})
        );
    }

    #[test]
    fn semantics_stop_when_they_say() {
        for (name, after_deny, after_permit) in [
            ("execute_all", false, false),
            ("deny_on_first_deny", true, false),
            ("permit_on_first_permit", false, true),
        ] {
            let mut request = question();
            request["evaluations"] = json!([{}]);
            request["options"] = json!({"evaluations_semantic": name});
            let Ok(Evaluations::Many { semantic, .. }) = parse_evaluations(&request) else {
                panic!("several");
            };
            assert_eq!(semantic.stops_after(false), after_deny);
            assert_eq!(semantic.stops_after(true), after_permit);
        }
        let mut request = question();
        request["evaluations"] = json!([{}]);
        request["options"] = json!({"evaluations_semantic": "sometimes"});
        assert_eq!(
            parse_evaluations(&request),
            Err(InvalidEvaluation::UnknownSemantic)
        );
    }

    #[test]
    fn without_a_list_there_is_one_question() {
        let mut request = question();
        let alone = request.clone();
        let one = parse_evaluation(&alone).map(Evaluations::One);
        assert_eq!(parse_evaluations(&request), one);
        request["evaluations"] = json!([]);
        assert_eq!(parse_evaluations(&request), one);
        request["evaluations"] = json!({});
        assert_eq!(
            parse_evaluations(&request),
            Err(InvalidEvaluation::NotList("evaluations"))
        );
        request["evaluations"] = vec![json!({}); MAX_EVALUATIONS + 1].into();
        assert_eq!(parse_evaluations(&request), Err(InvalidEvaluation::TooMany));
    }

    #[test]
    fn answers_and_metadata_have_the_published_shape() {
        let answers: Answers<Value> = Answers {
            evaluations: vec![Answer {
                decision: true,
                context: None,
            }],
        };
        assert_eq!(
            serde_json::to_value(&answers).expect("JSON"),
            json!({"evaluations": [{"decision": true}]})
        );
        assert_eq!(
            serde_json::to_value(Metadata::of("https://pdp.example.com")).expect("JSON"),
            json!({
                "policy_decision_point": "https://pdp.example.com",
                "access_evaluation_endpoint": "https://pdp.example.com/access/v1/evaluation",
                "access_evaluations_endpoint": "https://pdp.example.com/access/v1/evaluations",
            })
        );
    }

    /// The certification scenario: what it asks parses, what it calls malformed does not.
    #[test]
    fn the_certification_scenario_parses_as_it_says() {
        let Some(scenario) = vectors::file("authzen", "certification-scenario-1_0.json") else {
            return;
        };
        let (mut parsed, mut refused, mut skipped) = (0, 0, 0);
        for case in scenario["cases"].as_array().expect("cases") {
            let id = case["id"].as_str().expect("an id");
            for block in case["blocks"].as_array().expect("blocks") {
                let asks = block["lead"]
                    .as_str()
                    .is_some_and(|lead| lead.contains("Request"));
                if !asks || !(id.starts_with("c-2-") || id.starts_with("c-3-")) {
                    // Answers, search (not offered) and the example of the metadata.
                    skipped += 1;
                    continue;
                }
                let result = parse_evaluations(&block["json"]);
                if id.starts_with("c-2-4-") {
                    assert!(result.is_err(), "{id}: {result:?}");
                    refused += 1;
                    continue;
                }
                match result.unwrap_or_else(|error| panic!("{id}: {error}")) {
                    Evaluations::One(_) => {}
                    Evaluations::Many { items, .. } => {
                        let malformed = items.iter().filter(|item| item.is_err()).count();
                        assert_eq!(malformed, usize::from(id == "c-3-4-1"), "{id}");
                    }
                }
                parsed += 1;
            }
        }
        println!("authzen: {parsed} parsed, {refused} refused as they must be, {skipped} not ours");
        assert!(parsed >= 19 && refused >= 10);
    }

    proptest! {
        #[test]
        fn any_json_is_parsed_or_refused_without_panic(text in ".{0,60}", key in "[a-z]{0,8}") {
            let mut request = question();
            request[&key] = serde_json::from_str(&text).unwrap_or(Value::String(text));
            let _ = parse_evaluations(&request);
        }
    }
}
