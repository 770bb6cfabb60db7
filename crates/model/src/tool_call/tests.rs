use proptest::prelude::*;
use serde_json::json;

use super::*;

const R: &str = "https://r.example/mcp/desk";

fn calls(details: Value) -> Result<ToolCalls, InvalidDetails> {
    let details = serde_json::from_value(details).map_err(|_| InvalidDetails)?;
    ToolCalls::of(details, R)
}

fn arguments(value: Value) -> Map<String, Value> {
    value.as_object().expect("an object").clone()
}

#[test]
fn call_is_admitted_by_its_tool_and_every_argument_that_is_spoken_of() {
    let refund = calls(json!([{
        "type": "tool_call", "identifier": "refund",
        "constraints": {
            "amount": {"at_least": 1, "at_most": 50},
            "currency": {"one_of": ["EUR", "USD"]},
            "order": {},
        },
    }]))
    .expect("details");
    let right = json!({"amount": 50, "currency": "EUR", "order": "A-1", "note": "x"});
    assert!(refund.admit("refund", &arguments(right.clone())));
    assert!(!refund.admit("refund2", &arguments(right.clone())));
    assert!(refund.name("refund") && !refund.name("lookup"));
    for (name, value) in [
        ("amount", json!(51)),
        ("amount", json!(0)),
        ("amount", json!(50.5)),
        ("amount", json!("50")),
        ("amount", json!(null)),
        ("amount", json!([50])),
        ("amount", json!(1e300)),
        ("amount", json!(u64::MAX)),
        ("currency", json!("eur")),
        ("currency", json!(["EUR"])),
    ] {
        let mut wrong = arguments(right.clone());
        wrong.insert(name.to_owned(), value.clone());
        assert!(!refund.admit("refund", &wrong), "{name} {value}");
    }
    // What is spoken of must be there.
    for name in ["amount", "currency", "order"] {
        let mut wrong = arguments(right.clone());
        wrong.remove(name);
        assert!(!refund.admit("refund", &wrong), "{name}");
    }
    assert!(refund.admit(
        "refund",
        &arguments(json!({"amount": 1.5, "currency": "USD", "order": null}))
    ));
}

#[test]
fn details_say_what_is_understood_and_nothing_else() {
    let full = calls(json!([{"type": "tool_call", "identifier": "refund"}])).expect("details");
    let written = serde_json::to_value(&full).expect("JSON");
    let expected = json!([{
        "type": "tool_call", "locations": [R], "actions": ["call"], "identifier": "refund",
    }]);
    assert_eq!(written, expected);
    let again: ToolCalls = serde_json::from_value(written).expect("the same");
    assert_eq!(again, full);
    let long = "x".repeat(LONGEST + 1);
    let many: Vec<Value> = vec![json!({"type": "tool_call", "identifier": "a"}); MOST + 1];
    let wide: Map<String, Value> = (0..=MOST_CONSTRAINTS)
        .map(|n| (n.to_string(), json!({})))
        .collect();
    for bad in [
        json!([]),
        json!({}),
        json!(many),
        json!([{"type": "payment", "identifier": "a"}]),
        json!([{"identifier": "a"}]),
        json!([{"type": "tool_call"}]),
        json!([{"type": "tool_call", "identifier": ""}]),
        json!([{"type": "tool_call", "identifier": "a b"}]),
        json!([{"type": "tool_call", "identifier": "a", "additional": "no"}]),
        json!([{"type": "tool_call", "identifier": "a", "constraints": {"b at most 5 and c": {}}}]),
        json!([{"type": "tool_call", "identifier": "a", "constraints": {"": {}}}]),
        json!([{"type": "tool_call", "identifier": "a", "constraints": {"b": {"at_most": null}}}]),
        json!([{"type": "tool_call", "identifier": long}]),
        json!([{"type": "tool_call", "identifier": "a", "privileges": ["all"]}]),
        json!([{"type": "tool_call", "identifier": "a", "locations": ["https://other.example"]}]),
        json!([{"type": "tool_call", "identifier": "a", "locations": [R, R]}]),
        json!([{"type": "tool_call", "identifier": "a", "actions": ["read"]}]),
        json!([{"type": "tool_call", "identifier": "a", "actions": ["call", "call"]}]),
        json!([{"type": "tool_call", "identifier": "a", "constraints": wide}]),
        json!([{"type": "tool_call", "identifier": "a", "constraints": {"b": {"matches": ".*"}}}]),
        json!([{"type": "tool_call", "identifier": "a", "constraints": {"b": {"one_of": []}}}]),
        json!([{"type": "tool_call", "identifier": "a", "constraints": {"b": {"one_of": [null]}}}]),
        json!([{"type": "tool_call", "identifier": "a", "constraints": {"b": {"one_of": [1.5]}}}]),
        json!([{"type": "tool_call", "identifier": "a", "constraints": {"b": {"at_most": i64::MAX}}}]),
        json!([{"type": "tool_call", "identifier": "a", "constraints": {"b": {"at_most": "9"}}}]),
    ] {
        assert_eq!(calls(bad.clone()), Err(InvalidDetails), "{bad}");
    }
}

#[test]
fn arguments_that_are_not_spoken_of_are_free_unless_the_detail_says_otherwise() {
    let of = |additional: bool| {
        let constraints = json!({"path": {"one_of": ["/tmp/a"]}});
        calls(json!([{
            "type": "tool_call", "identifier": "delete", "constraints": constraints, "additional": additional,
        }]))
        .expect("details")
    };
    let (open, closed) = (of(true), of(false));
    let more = arguments(json!({"path": "/tmp/a", "recursive": true}));
    assert!(open.admit("delete", &more) && !closed.admit("delete", &more));
    assert!(closed.admit("delete", &arguments(json!({"path": "/tmp/a"}))));
    assert!(closed.are_within(&open) && !open.are_within(&closed));
}

#[test]
fn no_details_are_no_limit_and_some_are_one() {
    let some = calls(json!([{"type": "tool_call", "identifier": "a"}])).expect("details");
    assert!(is_within(Some(&some), None) && is_within(None, None));
    assert!(!is_within(None, Some(&some)) && is_within(Some(&some), Some(&some)));
}

fn scalar() -> impl Strategy<Value = Scalar> {
    prop_oneof![
        any::<bool>().prop_map(Scalar::Flag),
        (-3..4_i64).prop_map(Scalar::Number),
        "[ab]".prop_map(Scalar::Text),
    ]
}

fn constraint() -> impl Strategy<Value = Constraint> {
    let one_of = prop::option::of(prop::collection::vec(scalar(), 1..4));
    let limit = || prop::option::of(-3..4_i64);
    (one_of, limit(), limit()).prop_map(|(one_of, at_least, at_most)| Constraint {
        one_of,
        at_least,
        at_most,
    })
}

fn detail() -> impl Strategy<Value = ToolCall> {
    let constraints = prop::collection::btree_map("[xy]", constraint(), 0..3);
    let parts = ("[tu]", constraints, any::<bool>());
    parts.prop_map(|(identifier, constraints, additional)| ToolCall {
        kind: Kind::ToolCall,
        locations: Vec::new(),
        actions: Vec::new(),
        identifier,
        constraints,
        additional,
    })
}

fn some_calls() -> impl Strategy<Value = ToolCalls> {
    prop::collection::vec(detail(), 1..4)
        .prop_map(|details| ToolCalls::of(details, R).expect("legal details"))
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::from),
        (-4..5_i64).prop_map(Value::from),
        (-8..9_i64).prop_map(|half| Value::from(half as f64 / 2.0)),
        "[abc]".prop_map(Value::from),
        Just(Value::Null),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_096))]

    /// The law of the type: what is within admits nothing that the other does not.
    #[test]
    fn what_is_within_admits_no_more(
        narrow in some_calls(),
        wide in some_calls(),
        tool in "[tu]",
        given in prop::collection::btree_map("[xyz]", value(), 0..4),
    ) {
        let given: Map<String, Value> = given.into_iter().collect();
        if narrow.are_within(&wide) && narrow.admit(&tool, &given) {
            prop_assert!(wide.admit(&tool, &given));
        }
    }

    #[test]
    fn being_within_is_an_order(one in some_calls(), two in some_calls(), three in some_calls()) {
        prop_assert!(one.are_within(&one));
        if one.are_within(&two) && two.are_within(&three) {
            prop_assert!(one.are_within(&three));
        }
    }

    /// A constraint that is added to a detail, or a detail that is left out, makes it no wider.
    #[test]
    fn more_constraints_and_fewer_details_are_narrower(all in some_calls(), more in constraint()) {
        let mut fewer = all.0.clone();
        fewer.truncate(1);
        for detail in fewer.iter_mut().filter(|detail| detail.additional) {
            detail.constraints.entry("z".to_owned()).or_insert_with(|| more.clone());
        }
        prop_assert!(ToolCalls(fewer).are_within(&all));
    }
}
