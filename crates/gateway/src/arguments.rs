//! Arguments of tool calls, checked against the accepted schema (MCP-13).
//!
//! Where a schema is silent about undeclared members, they are refused: what the decision point judged
//! by name must be all that the tool gets. Patterns run on an engine of linear time, and references
//! out of the schema are refused, so a hostile schema costs nothing.

use std::fmt;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{Draft, PatternOptions, ValidationError, Validator};
use serde_json::{Map, Value};

use crate::review::visible;

/// Compiles the input schema of a tool; the error says what is wrong with it.
pub(crate) fn compile(schema: &Value) -> Result<Validator, String> {
    let Some(members) = schema.as_object() else {
        return Err("the input schema is not an object".to_owned());
    };
    if members.get("type").and_then(Value::as_str) != Some("object") {
        return Err("the input schema does not say `\"type\": \"object\"`".to_owned());
    }
    let mut closed = schema.clone();
    close(&mut closed, schema, true, 0);
    let modern = options()
        .with_draft(Draft::Draft202012)
        .build(&without_draft(&closed));
    let refused = match modern {
        Ok(validator) => return Ok(validator),
        Err(error) => error.to_string(),
    };
    // Older drafts write some things differently; but there a combined schema cannot be closed.
    if members.contains_key("$schema") && !is_combined(members) {
        return options().build(&closed).map_err(|error| error.to_string());
    }
    Err(refused)
}

fn options() -> jsonschema::ValidationOptions<'static> {
    let patterns = PatternOptions::regex().size_limit(1 << 20);
    jsonschema::options().with_pattern_options(patterns)
}

fn without_draft(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(members) = schema.as_object_mut() {
        members.remove("$schema");
    }
    schema
}

const COMBINING: [&str; 8] = [
    "$ref",
    "$dynamicRef",
    "allOf",
    "anyOf",
    "oneOf",
    "if",
    "dependentSchemas",
    "not",
];

fn is_combined(schema: &Map<String, Value>) -> bool {
    COMBINING
        .iter()
        .any(|keyword| schema.contains_key(*keyword))
}

fn says(schema: &Map<String, Value>) -> bool {
    schema.contains_key("additionalProperties") || schema.contains_key("unevaluatedProperties")
}

const DEEPEST: usize = 32;

/// Writes into `schema` that undeclared members are refused, wherever it declares members and is silent.
fn close(schema: &mut Value, root: &Value, is_top: bool, depth: usize) {
    let Some(members) = schema.as_object_mut() else {
        return;
    };
    if depth > DEEPEST {
        return;
    }
    if let Some(properties) = members.get_mut("properties").and_then(Value::as_object_mut) {
        for property in properties.values_mut() {
            close(property, root, false, depth + 1);
        }
    }
    if let Some(items) = members.get_mut("items") {
        close(items, root, false, depth + 1);
    }
    if says(members) {
        name_the_undeclared(members);
        return;
    }
    if is_combined(members) {
        // Members that a branch declares count as declared; a branch that takes anything stays open.
        if is_top || declares(&Value::Object(members.clone()), root, 0) {
            members.insert("unevaluatedProperties".to_owned(), false.into());
        }
    } else if is_top || members.contains_key("properties") {
        members.insert("additionalProperties".to_owned(), false.into());
        name_the_undeclared(members);
    }
}

/// Where no member at all is declared, the validator names the undeclared one only beside an empty list.
fn name_the_undeclared(members: &mut Map<String, Value>) {
    if members.get("additionalProperties") == Some(&Value::Bool(false)) {
        members
            .entry("properties")
            .or_insert_with(|| Map::new().into());
    }
}

/// Whether every object that `schema` takes has its members declared somewhere in it.
fn declares(schema: &Value, root: &Value, depth: usize) -> bool {
    let Some(members) = schema.as_object() else {
        return false;
    };
    if depth > DEEPEST {
        return false;
    }
    let kind = members.get("type").and_then(Value::as_str);
    if kind.is_some_and(|kind| kind != "object")
        || members.contains_key("const")
        || members.contains_key("enum")
    {
        return true;
    }
    if members.contains_key("properties") || says(members) {
        return true;
    }
    if let Some(Value::String(reference)) = members.get("$ref") {
        let target = reference
            .strip_prefix('#')
            .and_then(|pointer| root.pointer(pointer));
        return target.is_some_and(|target| declares(target, root, depth + 1));
    }
    let branches = |keyword: &str| members.get(keyword).and_then(Value::as_array);
    if let Some(all) = branches("allOf") {
        return all.iter().any(|branch| declares(branch, root, depth + 1));
    }
    let Some(some) = branches("anyOf").or_else(|| branches("oneOf")) else {
        return false;
    };
    some.iter().all(|branch| declares(branch, root, depth + 1))
}

/// What is wrong with the arguments of a call, and where; it repeats names of members, never values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// The member, as a JSON Pointer; empty for the arguments as a whole.
    at: String,
    problem: String,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at.as_str() {
            "" => write!(f, "the whole {}", self.problem),
            at => write!(f, "`{}` {}", shown(at), self.problem),
        }
    }
}

/// The same arguments, when they fit.
pub(crate) fn check(
    schema: &Validator,
    arguments: Map<String, Value>,
) -> Result<Map<String, Value>, Misfit> {
    let arguments = Value::Object(arguments);
    if let Err(error) = schema.validate(&arguments) {
        return Err(Misfit::of(&error));
    }
    let Value::Object(arguments) = arguments else {
        return Err(Misfit {
            at: String::new(),
            problem: "must be of type object".to_owned(),
        });
    };
    Ok(arguments)
}

impl Misfit {
    fn of(error: &ValidationError<'_>) -> Self {
        let within = error.instance_path().as_str();
        // RFC 6901 §3: `~` and `/` are escaped.
        let member = |name: &str| {
            let name = name.replace('~', "~0").replace('/', "~1");
            format!("{within}/{name}")
        };
        let (at, problem) = match error.kind() {
            ValidationErrorKind::Required { property } => (
                member(property.as_str().unwrap_or_default()),
                "is missing".to_owned(),
            ),
            ValidationErrorKind::AdditionalProperties { unexpected }
            | ValidationErrorKind::UnevaluatedProperties { unexpected } => (
                member(unexpected.first().map_or("", String::as_str)),
                "is not declared".to_owned(),
            ),
            ValidationErrorKind::FalseSchema => {
                let rule = error.schema_path().as_str();
                let problem = if rule.ends_with("/additionalProperties") {
                    "has a member that is not declared"
                } else {
                    "is not allowed"
                };
                (within.to_owned(), problem.to_owned())
            }
            ValidationErrorKind::Type { kind } => {
                let kinds = match kind {
                    TypeKind::Single(kind) => kind.to_string(),
                    TypeKind::Multiple(kinds) => {
                        let kinds: Vec<String> =
                            kinds.iter().map(|kind| kind.to_string()).collect();
                        kinds.join(" or ")
                    }
                };
                (within.to_owned(), format!("must be of type {kinds}"))
            }
            other => (
                within.to_owned(),
                format!("does not satisfy `{}`", other.keyword()),
            ),
        };
        Self { at, problem }
    }
}

/// A place that a caller may have named: bounded, and nothing in it that a reader could not see.
fn shown(at: &str) -> String {
    const LONGEST: usize = 200;
    let mut cut: String = at.chars().take(LONGEST).collect();
    if cut.len() < at.len() {
        cut.push('…');
    }
    visible(&cut)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn accepts(schema: Value, good: &[Value], bad: &[Value]) {
        let validator = compile(&schema).expect("a schema");
        for value in good {
            assert!(validator.is_valid(value), "{value} against {schema}");
        }
        for value in bad {
            assert!(!validator.is_valid(value), "{value} against {schema}");
        }
    }

    #[test]
    fn mcp_13_undeclared_members_are_refused_where_the_schema_is_silent() {
        accepts(
            json!({"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}),
            &[json!({"path": "a"})],
            &[
                json!({"path": "a", "mode": "w"}),
                json!({"path": ["a"]}),
                json!({"path": {"$ref": "x"}}),
                json!({}),
            ],
        );
        accepts(json!({"type": "object"}), &[json!({})], &[json!({"x": 1})]);
        accepts(
            json!({"type": "object", "additionalProperties": true}),
            &[json!({"x": 1})],
            &[],
        );
    }

    #[test]
    fn nested_objects_are_closed_where_they_declare_and_open_where_they_do_not() {
        let schema = json!({"type": "object", "properties": {
            "to": {"type": "object", "properties": {"name": {"type": "string"}}},
            "list": {"type": "array", "items": {"type": "object", "properties": {"a": {}}}},
            "free": {"type": "object"},
            "any": {},
        }});
        accepts(
            schema,
            &[json!({"to": {"name": "x"}, "list": [{"a": 1}], "free": {"y": 1}, "any": {"z": 1}})],
            &[json!({"to": {"nome": "x"}}), json!({"list": [{"b": 1}]})],
        );
    }

    #[test]
    fn combined_schemas_are_closed_over_all_branches() {
        let optional = json!({
            "$defs": {"Address": {"type": "object", "properties": {"city": {"type": "string"}}}},
            "type": "object",
            "properties": {
                "to": {"anyOf": [{"$ref": "#/$defs/Address"}, {"type": "null"}]},
                "from": {"$ref": "#/$defs/Address"},
                "any": {"anyOf": [{}, {"type": "null"}]},
            },
        });
        accepts(
            optional,
            &[
                json!({"to": null}),
                json!({"to": {"city": "x"}, "any": {"x": 1}}),
            ],
            &[json!({"to": {"town": "x"}}), json!({"from": {"town": "x"}})],
        );
        accepts(
            json!({"$schema": "http://json-schema.org/draft-07/schema#", "type": "object",
                "allOf": [{"properties": {"a": {}}}], "properties": {"b": {}}}),
            &[json!({"a": 1, "b": 2})],
            &[json!({"c": 1})],
        );
    }

    #[test]
    fn older_drafts_are_read_in_their_own_words() {
        accepts(
            json!({"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "properties": {
                "pair": {"type": "array", "items": [{"type": "string"}, {"type": "integer"}]},
            }}),
            &[json!({"pair": ["a", 1]})],
            &[json!({"pair": [1, 1]}), json!({"x": 1})],
        );
    }

    #[test]
    fn schemas_that_reach_out_or_backtrack_are_refused() {
        for property in [
            json!({"$ref": "https://attacker.example/schema.json"}),
            json!({"$ref": "file:///etc/passwd"}),
            json!({"type": "string", "pattern": "(a)\\1"}),
            json!({"type": "string", "pattern": "a{1000}{1000}{1000}"}),
        ] {
            let schema = json!({"type": "object", "properties": {"a": property}});
            assert!(compile(&schema).is_err(), "{schema}");
        }
        for bad in [json!(true), json!({}), json!({"type": "array"})] {
            assert!(compile(&bad).is_err(), "{bad}");
        }
    }

    #[track_caller]
    fn misfit(schema: Value, arguments: Value) -> String {
        let validator = compile(&schema).expect("a schema");
        let arguments = arguments.as_object().expect("an object").clone();
        check(&validator, arguments)
            .expect_err("a misfit")
            .to_string()
    }

    #[test]
    fn what_does_not_fit_is_named_and_no_value_is_repeated() {
        let schema = json!({"type": "object", "required": ["amount"], "properties": {
            "amount": {"type": "number", "maximum": 100},
            "to": {"type": "object", "properties": {"a/b": {"type": ["string", "null"]}}},
            "list": {"type": "array", "items": {"type": "string", "pattern": "^[a-z]+$"}},
            "kind": {"enum": ["one", "two"]},
            "never": false,
            "either": {"anyOf": [{"type": "string"}, {"type": "object", "properties": {"x": {}}}]},
        }});
        for (arguments, expected) in [
            (json!({}), "`/amount` is missing"),
            (
                json!({"amount": "s3cret"}),
                "`/amount` must be of type number",
            ),
            (
                json!({"amount": 777_001}),
                "`/amount` does not satisfy `maximum`",
            ),
            (json!({"amount": 1, "x": "s3cret"}), "`/x` is not declared"),
            (
                json!({"amount": 1, "to": {"y~": "s3cret"}}),
                "`/to/y~0` is not declared",
            ),
            (
                json!({"amount": 1, "to": {"a/b": 777_001}}),
                "`/to/a~1b` must be of type null or string",
            ),
            (
                json!({"amount": 1, "list": ["a", "S3CRET"]}),
                "`/list/1` does not satisfy `pattern`",
            ),
            (
                json!({"amount": 1, "kind": "s3cret"}),
                "`/kind` does not satisfy `enum`",
            ),
            (
                json!({"amount": 1, "never": "s3cret"}),
                "`/never` is not allowed",
            ),
            (
                json!({"amount": 1, "either": 777_001}),
                "`/either` does not satisfy `anyOf`",
            ),
        ] {
            assert_eq!(
                misfit(schema.clone(), arguments.clone()),
                expected,
                "{arguments}"
            );
        }
        let some = json!({"type": "object", "minProperties": 1, "additionalProperties": true});
        assert_eq!(
            misfit(some, json!({})),
            "the whole does not satisfy `minProperties`"
        );
        let none = json!({"type": "object"});
        assert_eq!(misfit(none, json!({"x": 1})), "`/x` is not declared");
        let nothing = json!({"type": "object", "additionalProperties": false});
        assert_eq!(misfit(nothing, json!({"x": 1})), "`/x` is not declared");
        let referred = json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/none"}},
            "$defs": {"none": {"type": "object", "additionalProperties": false}}});
        assert_eq!(
            misfit(referred, json!({"a": {"x": 1}})),
            "`/a` has a member that is not declared"
        );
        let combined = json!({"type": "object", "allOf": [{"properties": {"a": {}}}]});
        assert_eq!(misfit(combined, json!({"x": 1})), "`/x` is not declared");
    }

    #[test]
    fn names_that_a_caller_gave_are_cut_and_written_out() {
        let named = |name: String| misfit(json!({"type": "object"}), json!({ name: 1 }));
        assert_eq!(
            named("a\u{1b}[8m\u{200b}".to_owned()),
            "`/a\\u{1b}[8m\\u{200b}` is not declared"
        );
        assert!(named("x".repeat(100_000)).len() < 300);
    }
}
