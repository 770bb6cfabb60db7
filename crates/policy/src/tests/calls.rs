//! Calls of tools: what policies see of the arguments, and what they never get to see.

use chancery_model::decision::{Effect, ReasonCode};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{CONTEXT, agent, agent_named, call, id, map, refund_schema, snapshot, snapshot_of};
use crate::question::Question;

const PERMIT: &str = "permit (principal, action, resource);";

#[track_caller]
fn check_type(schema: Value, condition: &str, args: Value, expected: ReasonCode) {
    let schema = json!({"type": "object", "properties": {"x": schema}});
    let text = format!(
        "permit (principal, action == Chancery::Action::\"call/desk/issue_refund\", resource) when {{ {condition} }};"
    );
    let decision = call(&snapshot_of(&text, &schema), args);
    assert_eq!(decision.code, expected, "{}", decision.reason);
}

#[test]
fn arguments_have_the_types_of_their_schema() {
    use ReasonCode::{PolicyPermits, RequestInvalid};
    let has = |rest: &str| format!("context.args has x && context.args.x {rest}");
    let text = json!({"type": "string"});
    check_type(
        text.clone(),
        &has("like \"a*\""),
        json!({"x": "abc"}),
        PolicyPermits,
    );
    check_type(text, &has("like \"a*\""), json!({"x": 1}), RequestInvalid);
    let whole = json!({"type": "integer"});
    check_type(
        whole.clone(),
        &has("<= 100"),
        json!({"x": 100}),
        PolicyPermits,
    );
    check_type(
        whole.clone(),
        &has("<= 100"),
        json!({"x": 5.0}),
        PolicyPermits,
    );
    check_type(
        whole.clone(),
        &has("<= 100"),
        json!({"x": 5.5}),
        RequestInvalid,
    );
    check_type(
        whole.clone(),
        &has("<= 100"),
        json!({"x": u64::MAX}),
        RequestInvalid,
    );
    check_type(
        whole.clone(),
        &has("<= 100"),
        json!({"x": 1e300}),
        RequestInvalid,
    );
    check_type(
        whole,
        &has("== -9223372036854775808"),
        json!({"x": i64::MIN}),
        PolicyPermits,
    );
    let number = json!({"type": "number"});
    let limit = has(".lessThanOrEqual(decimal(\"100.0\"))").replace(" .", ".");
    check_type(number.clone(), &limit, json!({"x": 99.99}), PolicyPermits);
    check_type(number.clone(), &limit, json!({"x": 100}), PolicyPermits);
    check_type(number.clone(), &limit, json!({"x": -0.0}), PolicyPermits);
    check_type(
        number.clone(),
        &limit,
        json!({"x": 1.000_05}),
        RequestInvalid,
    );
    check_type(number.clone(), &limit, json!({"x": 1e16}), RequestInvalid);
    check_type(number, &limit, json!({"x": 1e-9}), RequestInvalid);
    let flag = json!({"type": "boolean"});
    check_type(
        flag.clone(),
        &has("== true"),
        json!({"x": true}),
        PolicyPermits,
    );
    check_type(flag, &has("== true"), json!({"x": "true"}), RequestInvalid);
    let choice = json!({"enum": ["low", "high"]});
    check_type(
        choice.clone(),
        &has("== \"low\""),
        json!({"x": "low"}),
        PolicyPermits,
    );
    check_type(
        choice,
        &has("== \"low\""),
        json!({"x": "other"}),
        RequestInvalid,
    );
    let list = json!({"type": "array", "items": {"type": "string"}});
    let contains = has(".contains(\"a\")").replace(" .", ".");
    check_type(
        list.clone(),
        &contains,
        json!({"x": ["b", "a"]}),
        PolicyPermits,
    );
    check_type(list, &contains, json!({"x": ["b", 1]}), RequestInvalid);
    let nested =
        json!({"type": "object", "properties": {"y": {"type": "integer"}}, "required": ["y"]});
    let deep = has(".y == 1").replace(" .", ".");
    check_type(nested.clone(), &deep, json!({"x": {"y": 1}}), PolicyPermits);
    check_type(nested.clone(), &deep, json!({"x": {}}), RequestInvalid);
    check_type(
        nested,
        &deep,
        json!({"x": {"y": 1, "z": 2}}),
        RequestInvalid,
    );
}

#[test]
fn what_has_no_plain_type_is_named_but_not_seen() {
    use ReasonCode::{NoPolicyPermits, PolicyPermits};
    for schema in [
        json!({"anyOf": [{"type": "string"}, {"type": "integer"}]}),
        json!({"type": ["string", "integer"]}),
        json!({"type": "object"}),
        json!({"type": "object", "additionalProperties": {"type": "string"}}),
        json!({"type": "array", "items": {"type": "object", "properties": {}}}),
        json!({"type": "array"}),
        json!({"$ref": "#/properties/x"}),
        json!({"enum": [1, 2]}),
        json!({}),
        json!(true),
    ] {
        let named = "context.untyped.contains(\"x\") && !(context.args has x)";
        check_type(
            schema.clone(),
            named,
            json!({"x": {"any": 1}}),
            PolicyPermits,
        );
        check_type(schema, named, json!({}), NoPolicyPermits);
    }
    let open = json!({"type": "object", "properties": {}, "additionalProperties": true});
    let text = "permit (principal, action == Chancery::Action::\"call/desk/issue_refund\", resource) when { context.untyped.contains(\"x\") };";
    assert_eq!(
        call(&snapshot_of(text, &open), json!({"x": 1})).code,
        PolicyPermits
    );
}

#[test]
fn a_nullable_argument_is_optional_and_its_null_is_named() {
    use ReasonCode::PolicyPermits;
    for schema in [
        json!({"type": ["integer", "null"]}),
        json!({"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        json!({"allOf": [{"type": ["null", "integer"]}]}),
    ] {
        let one = "context.args has x && context.args.x == 1";
        check_type(schema.clone(), one, json!({"x": 1}), PolicyPermits);
        let null = "!(context.args has x) && context.untyped.contains(\"x\")";
        check_type(schema, null, json!({"x": null}), PolicyPermits);
    }
}

#[test]
fn undeclared_and_missing_arguments_are_refused() {
    let snapshot = snapshot(PERMIT);
    let good = call(&snapshot, json!({"ticket": "T-1", "amount": 1}));
    assert_eq!((good.effect, good.snapshot), (Effect::Permit, 1));
    let missing = call(&snapshot, json!({"ticket": "T-1"}));
    assert_eq!(missing.code, ReasonCode::RequestInvalid);
    assert_eq!(missing.reason, "argument `amount` is missing");
    let undeclared = call(&snapshot, json!({"ticket": "T-1", "amount": 1, "to": "x"}));
    assert_eq!(undeclared.reason, "argument `to` is not declared");
    let odd = call(
        &snapshot,
        json!({"ticket": "T-1", "amount": 1, "ok\nadmin: yes": 1}),
    );
    assert_eq!(odd.reason, "some argument is not declared");
}

#[test]
fn reasons_are_plain_sentences() {
    let decision = call(&snapshot(""), json!({"ticket": "T-1", "amount": 1}));
    assert_eq!(
        decision.reason,
        "no policy permits agent refund-bot to call desk/issue_refund"
    );
    let text = "permit (principal, action, resource);
        @id(\"refund-limit\") @reason(\"refunds above 100 need a person\")
        forbid (principal, action == Chancery::Action::\"call/desk/issue_refund\", resource)
        when { context.args.amount > 100 };";
    let snapshot = snapshot(text);
    let decision = call(&snapshot, json!({"ticket": "T-1", "amount": 101}));
    assert_eq!(
        decision.reason,
        "forbidden by policy refund-limit: refunds above 100 need a person"
    );
    assert_eq!(decision.policies, ["refund-limit"]);
    let decision = call(&snapshot, json!({"ticket": "T-1", "amount": 100}));
    assert_eq!(decision.reason, "permitted by policy test/0");
}

#[test]
fn an_explanation_shows_what_each_policy_said() {
    let text = "@id(\"all\") permit (principal, action, resource);
@id(\"limit\") forbid (principal, action == Chancery::Action::\"call/desk/issue_refund\", resource) when { context.args.amount > 100 };
@id(\"overflow\") forbid (principal, action == Chancery::Action::\"call/desk/issue_refund\", resource) when { context.args.amount + 1 < 0 };
@id(\"other\") permit (principal is Chancery::Human, action, resource);";
    let snapshot = snapshot(text);
    let args = map(json!({"ticket": "T-1", "amount": i64::MAX}));
    let question = Question::ToolCall {
        agent: &agent(),
        server: "desk",
        tool: "issue_refund",
        args: &args,
        context: &CONTEXT,
    };
    let explanation = snapshot.explain(id(), &question);
    assert_eq!(explanation.decision, snapshot.decide(id(), &question));
    let json = serde_json::to_value(&explanation).expect("JSON");
    assert_eq!(json["decision"]["code"], "policy_error");
    let told: Vec<_> = json["candidates"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|said| {
            (
                said["id"].as_str().unwrap_or(""),
                said["effect"].as_str().unwrap_or(""),
                said["outcome"].as_str().unwrap_or(""),
                said["line"].as_u64().unwrap_or(0),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("all", "permit", "satisfied", 1),
            ("limit", "forbid", "satisfied", 2),
            ("overflow", "forbid", "error", 3),
        ]
    );
}

#[test]
fn a_suspended_agent_is_told_so() {
    let question = Question::ToolCall {
        agent: &agent_named("refund-bot", "suspended"),
        server: "desk",
        tool: "issue_refund",
        args: &map(json!({"ticket": "T-1", "amount": 1})),
        context: &CONTEXT,
    };
    let snapshot = super::snapshot(crate::DEFAULT.text);
    assert_eq!(
        snapshot.decide(id(), &question).reason,
        "no policy permits agent refund-bot to call desk/issue_refund, which is suspended"
    );
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        Just(json!("__entity")),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let key = prop_oneof!["[a-d]", ".{0,4}", Just("__extn".to_owned())];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// A JSON Schema of the kinds that tools declare, with the odd ones among them.
fn any_schema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!({"type": "string"})),
        Just(json!({"type": "integer"})),
        Just(json!({"type": "number"})),
        Just(json!({"type": "boolean"})),
        Just(json!({"type": ["string", "null"]})),
        Just(json!({"enum": ["a", "b"]})),
        Just(json!({"anyOf": [{"type": "string"}, {"type": "number"}]})),
        any_json(),
    ];
    leaf.prop_recursive(2, 12, 4, |inner| {
        let properties =
            prop::collection::btree_map(prop_oneof!["[a-d]", ".{0,4}"], inner.clone(), 0..4);
        prop_oneof![
            inner.prop_map(|items| json!({"type": "array", "items": items})),
            (properties, any::<bool>()).prop_map(|(properties, strict)| {
                let required: Vec<_> = properties.keys().take(1).cloned().collect();
                json!({
                    "type": "object",
                    "properties": properties,
                    "required": required,
                    "additionalProperties": !strict,
                })
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever the schema and the arguments: no panic, and what is asked fits the schema that the
    /// policies were checked against.
    #[test]
    fn any_call_is_refused_or_fits_the_schema(schema in any_schema(), args in any_json()) {
        let schema = json!({"type": "object", "properties": {"a": schema.clone(), "b": schema}});
        let snapshot = snapshot_of(PERMIT, &schema);
        let args = match args {
            Value::Object(args) => args,
            other => map(json!({"a": other})),
        };
        let agent = agent();
        let question = Question::ToolCall {
            agent: &agent, server: "desk", tool: "issue_refund", args: &args, context: &CONTEXT,
        };
        if let Ok(asked) = snapshot.ask(&question) {
            let checked = snapshot.external.check(&asked);
            prop_assert!(checked.is_ok(), "{:?}", checked);
        }
        snapshot.decide(id(), &question);
    }
}

#[test]
fn the_schema_of_the_tests_is_read() {
    assert!(crate::input_schema::arguments(&refund_schema()).is_ok());
}
