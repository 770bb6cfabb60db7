//! Compiled conditions say what the engine says, or leave it to the engine.

use chancery_model::action::Action;
use chancery_model::decision::{Effect, ReasonCode};
use chancery_model::document::{AutonomyLevel, Risk};
use chancery_model::time::Timestamp;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{CONTEXT, agent, agent_named, call, grant, map, snapshot_of};
use crate::agent::{AgentEntity, AgentFacts};
use crate::compile::{PolicySource, Snapshot, ToolDefinition};
use crate::evaluate::Unsure;
use crate::explain::Outcome;
use crate::question::{AdminFacts, CallContext, Question, Target, TargetFacts};
use crate::request::Posed;

/// Arguments of every type that policies know.
fn input_schema() -> Value {
    let record = json!({
        "type": "object",
        "properties": {"n": {"type": "integer"}, "s": {"type": "string"}},
        "required": ["n"],
    });
    json!({
        "type": "object",
        "properties": {
            "n": {"type": "integer"}, "m": {"type": "integer"}, "o": {"type": ["integer", "null"]},
            "s": {"type": "string"}, "t": {"enum": ["a", "ab", "x"]},
            "f": {"type": "boolean"},
            "d": {"type": "number"}, "e": {"type": "number"},
            "l": {"type": "array", "items": {"type": "string"}},
            "k": {"type": "array", "items": {"type": "integer"}},
            "r": record.clone(), "q": record,
            "x": {},
        },
        "required": ["n", "m", "s", "t", "f", "d", "e", "l", "k", "r", "q"],
    })
}

fn one_of(texts: &'static [&'static str]) -> BoxedStrategy<String> {
    prop::sample::select(texts).prop_map(str::to_owned).boxed()
}

/// Puts operands into the gaps (`_`) of one of the shapes.
fn shaped(
    shapes: &'static [&'static str],
    left: BoxedStrategy<String>,
    right: BoxedStrategy<String>,
) -> BoxedStrategy<String> {
    (prop::sample::select(shapes), left, right)
        .prop_map(|(shape, left, right)| {
            let shape = shape.replacen('_', &left, 1);
            match shape.split_once('~') {
                Some((before, after)) => format!("{before}{right}{after}"),
                None => shape,
            }
        })
        .boxed()
}

fn long(depth: u32) -> BoxedStrategy<String> {
    let plain = one_of(&[
        "0",
        "1",
        "-1",
        "5",
        "9223372036854775807",
        "(-9223372036854775808)",
        "context.args.n",
        "context.args.m",
        "context.args.r.n",
    ]);
    let Some(depth) = depth.checked_sub(1) else {
        return plain;
    };
    let numbers = &["(_ + ~)", "(_ - ~)", "(_ * ~)", "(-(_))"];
    let spans = &[
        "(_).toMilliseconds()",
        "(_).toSeconds()",
        "(_).toMinutes()",
        "(_).toHours()",
        "(_).toDays()",
    ];
    prop_oneof![
        2 => plain,
        2 => shaped(numbers, long(depth), long(depth)),
        1 => shaped(spans, span(depth), span(depth)),
        1 => (flag(depth), long(depth), long(depth))
            .prop_map(|(test, then, other)| format!("(if {test} then {then} else {other})")),
    ]
    .boxed()
}

fn text() -> BoxedStrategy<String> {
    one_of(&[
        r#""""#,
        r#""a""#,
        r#""ab""#,
        r#""é*""#,
        r#""active""#,
        "context.args.s",
        "context.args.t",
        "principal.name",
        "principal.status",
        "resource.name",
    ])
}

fn decimal() -> BoxedStrategy<String> {
    one_of(&[
        r#"decimal("0.5")"#,
        r#"decimal("-0.0001")"#,
        r#"decimal("100.0")"#,
        "context.args.d",
        "context.args.e",
    ])
}

fn moment(depth: u32) -> BoxedStrategy<String> {
    let plain = one_of(&[
        "context.now",
        r#"datetime("2027-01-01")"#,
        r#"datetime("2026-12-31T23:59:59.999Z")"#,
        r#"datetime("1969-12-31T23:00:00+0100")"#,
    ]);
    let Some(depth) = depth.checked_sub(1) else {
        return plain;
    };
    prop_oneof![
        2 => plain,
        1 => shaped(&["(_).offset(~)"], moment(depth), span(depth)),
        1 => shaped(&["(_).toDate()"], moment(depth), moment(depth)),
    ]
    .boxed()
}

fn span(depth: u32) -> BoxedStrategy<String> {
    let plain = one_of(&[
        r#"duration("1h")"#,
        r#"duration("-1d2h3m4s5ms")"#,
        r#"duration("9223372036854775807ms")"#,
    ]);
    let Some(depth) = depth.checked_sub(1) else {
        return plain;
    };
    let shapes = &["(_).toTime()", "(_).durationSince(~)"];
    prop_oneof![
        1 => plain,
        2 => shaped(shapes, moment(depth), moment(depth)),
    ]
    .boxed()
}

fn texts() -> BoxedStrategy<String> {
    one_of(&[
        r#"["a", "ab", "a"]"#,
        r#"["active"]"#,
        "context.args.l",
        "context.untyped",
    ])
}

fn longs() -> BoxedStrategy<String> {
    one_of(&["[1, 5, -1]", "context.args.k"])
}

fn tools() -> BoxedStrategy<String> {
    one_of(&[
        "principal.callable",
        "principal.listable",
        r#"[Chancery::Tool::"desk/read"]"#,
    ])
}

fn servers() -> BoxedStrategy<String> {
    one_of(&[
        "principal.callable_servers",
        r#"[Chancery::Server::"shop", Chancery::Server::"desk"]"#,
    ])
}

fn tool() -> BoxedStrategy<String> {
    one_of(&[
        "resource",
        r#"Chancery::Tool::"desk/refund""#,
        r#"Chancery::Tool::"desk/read""#,
    ])
}

fn server() -> BoxedStrategy<String> {
    one_of(&["resource.server", r#"Chancery::Server::"shop""#])
}

fn record() -> BoxedStrategy<String> {
    one_of(&["context.args.r", "context.args.q"])
}

/// Conditions of every form that is compiled, with operands that make them hold, fail or err.
fn flag(depth: u32) -> BoxedStrategy<String> {
    const SAME: &[&str] = &["_ == ~", "_ != ~"];
    const ORDER: &[&str] = &["_ < ~", "_ <= ~", "_ > ~", "_ >= ~", "_ == ~", "_ != ~"];
    const SETS: &[&str] = &[
        "_.containsAll(~)",
        "_.containsAny(~)",
        "_ == ~",
        "_.isEmpty()",
    ];
    let facts = one_of(&[
        "true",
        "context.args.f",
        "context.sender_constrained",
        "!context.second_person",
        "principal has environment",
        "principal has nothing",
        "context.args has o",
        "context.args has r.s",
        "context has args.r.s",
        "(context.args has r.s && context.args.r.s like \"*b\")",
        "(context.args has o && context.args.o > 3)",
        "(principal has risk && principal.risk == \"high\")",
        "principal is Chancery::Agent",
        "principal is Chancery::Human",
        "principal in Chancery::Agent::\"agt_a\"",
        "principal == Chancery::Agent::\"agt_b\"",
        "resource in Chancery::Server::\"desk\"",
        "resource in [Chancery::Server::\"shop\", Chancery::Server::\"desk\"]",
        "resource is Chancery::Tool in Chancery::Server::\"shop\"",
        "action in Chancery::Action::\"call_tool\"",
        "action == Chancery::Action::\"call/desk/refund\"",
    ]);
    let bracketed = |inner: BoxedStrategy<String>| inner.prop_map(|inner| format!("({inner})"));
    let facts = bracketed(facts).boxed();
    let Some(depth) = depth.checked_sub(1) else {
        return facts;
    };
    let likes = &[
        "_ like \"*\"",
        "_ like \"\"",
        "_ like \"a*\"",
        "_ like \"*b\"",
        "_ like \"*a*b*\"",
        "_ like \"é\\*\"",
        "_ like \"a**b\"",
        "_ like \"ab*b\"",
    ];
    let decimals = &[
        "(_).lessThan(~)",
        "(_).lessThanOrEqual(~)",
        "(_).greaterThan(~)",
        "(_).greaterThanOrEqual(~)",
        "_ == ~",
    ];
    let together = &[
        "(_ && ~)",
        "(_ || ~)",
        "!(_)",
        "(_ && ~ && true)",
        "(_ == ~)",
    ];
    let plain = prop_oneof![
        bracketed(shaped(ORDER, long(depth), long(depth))),
        bracketed(shaped(ORDER, moment(depth), moment(depth))),
        bracketed(shaped(ORDER, span(depth), span(depth))),
        bracketed(shaped(decimals, decimal(), decimal())),
        bracketed(shaped(likes, text(), text())),
        bracketed(shaped(SAME, text(), text())),
        bracketed(shaped(SAME, tool(), tool())),
        bracketed(shaped(SAME, server(), server())),
        bracketed(shaped(SAME, record(), record())),
        bracketed(shaped(SETS, texts(), texts())),
        bracketed(shaped(SETS, longs(), longs())),
        bracketed(shaped(SETS, tools(), tools())),
        bracketed(shaped(&["_.contains(~)"], texts(), text())),
        bracketed(shaped(&["_.contains(~)"], longs(), long(depth))),
        bracketed(shaped(&["_.contains(~)"], tools(), tool())),
        bracketed(shaped(&["_.contains(~)"], servers(), server())),
    ];
    prop_oneof![
        2 => facts,
        4 => plain,
        4 => shaped(together, flag(depth), flag(depth)),
        1 => (flag(depth), flag(depth), flag(depth))
            .prop_map(|(test, then, other)| format!("(if {test} then {then} else {other})")),
    ]
    .boxed()
}

/// Arguments that fit the schema.
fn args() -> impl Strategy<Value = Map<String, Value>> {
    let number = || prop_oneof![-6..6_i64, Just(i64::MAX), Just(i64::MIN)];
    let text = || prop::sample::select(vec!["", "a", "ab", "aab", "é*", "active", "refund"]);
    let decimal = || prop::sample::select(vec![0.5, -0.0001, 100.0, -0.0, 12.25]);
    let record = move || {
        (number(), prop::option::of(text())).prop_map(|(n, s)| match s {
            Some(s) => json!({"n": n, "s": s}),
            None => json!({"n": n}),
        })
    };
    let optional = prop_oneof![
        Just(None),
        Just(Some(Value::Null)),
        number().prop_map(|o| Some(o.into()))
    ];
    (
        (number(), number(), optional, any::<bool>(), any::<bool>()),
        (text(), prop::sample::select(vec!["a", "ab", "x"])),
        (decimal(), decimal()),
        prop::collection::vec(text(), 0..4),
        prop::collection::vec(number(), 0..4),
        (record(), record()),
    )
        .prop_map(|((n, m, o, f, x), (s, t), (d, e), l, k, (r, q))| {
            let mut args = map(json!({
                "n": n, "m": m, "f": f, "s": s, "t": t, "d": d, "e": e, "l": l, "k": k, "r": r, "q": q,
            }));
            args.extend(o.map(|o| ("o".to_owned(), o)));
            args.extend(x.then(|| ("x".to_owned(), json!([1, {"any": "thing"}]))));
            args
        })
}

fn compile(conditions: &[String]) -> Snapshot {
    let schema = input_schema();
    let tools = ["refund", "read"].map(|tool| ToolDefinition {
        server: "desk",
        tool,
        input_schema: &schema,
    });
    let policies = conditions.iter().map(|condition| {
        format!("forbid (principal is Chancery::Agent, action == Chancery::Action::\"call/desk/refund\", resource) when {{ {condition} }};\n")
    });
    let text: String = policies.collect();
    let source = PolicySource {
        name: "generated",
        text: &text,
    };
    match Snapshot::compile(1, &[source], &[], &tools) {
        Ok(snapshot) => snapshot,
        Err(error) => panic!("{error}: {text}"),
    }
}

fn compile_text(text: &str) -> Snapshot {
    match Snapshot::compile(1, &[super::source(text)], &[], &[]) {
        Ok(snapshot) => snapshot,
        Err(error) => panic!("{error}"),
    }
}

fn agents() -> [AgentEntity; 2] {
    let facts = AgentFacts {
        id: "agt_a",
        name: "a",
        owner: "team:desk",
        team: None,
        status: "active",
        autonomy: AutonomyLevel::Supervised,
        highest_risk: None,
        platform: None,
        environment: None,
        version: None,
        tools: &[grant("desk", "refund"), grant("desk", "*")],
    };
    let other = AgentFacts {
        id: "agt_b",
        name: "refund",
        highest_risk: Some(Risk::High),
        environment: Some("production"),
        tools: &[],
        ..facts
    };
    [AgentEntity::new(&facts), AgentEntity::new(&other)]
}

/// Compares each policy by itself; `plain` says that none of them needs the engine unless it errs.
fn compare(snapshot: &Snapshot, question: &Question<'_>, plain: bool) -> Result<(), TestCaseError> {
    let Ok(Posed::Ours(situation)) = snapshot.pose(question) else {
        return Err(TestCaseError::fail("the question cannot be decided"));
    };
    let asked = snapshot.express(&situation).expect("expressible");
    let checked = snapshot.external.check(&asked);
    prop_assert!(checked.is_ok(), "{:?}", checked);
    let rules = &snapshot.rules;
    for (at, outcome) in rules.probe(&asked.key, &asked.request, &asked.entities) {
        let ours = rules.holds(at, &situation);
        let same = match (ours, &outcome) {
            (Some(Ok(holds)), Outcome::Satisfied) => holds,
            (Some(Ok(holds)), Outcome::NotSatisfied) => !holds,
            (Some(Ok(_)), Outcome::Error(_)) => false,
            (Some(Err(Unsure)), Outcome::Error(_)) => true,
            (Some(Err(Unsure)) | None, _) => !plain,
        };
        prop_assert!(
            same,
            "{:?} but {:?}: {:?}",
            ours,
            outcome,
            rules.summary(at)
        );
    }
    let whole = rules.evaluate_all(&asked.request, &asked.entities);
    let decision = snapshot.decide(super::id(), question);
    prop_assert_eq!(decision, snapshot.decision(super::id(), question, &whole));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_condition_says_what_the_engine_says(
        conditions in prop::collection::vec(flag(3), 12),
        calls in prop::collection::vec((args(), 0..4_000_000_000_i64, any::<bool>()), 6),
    ) {
        let snapshot = compile(&conditions);
        for agent in &agents() {
            for (args, now, flag) in &calls {
                let context = CallContext {
                    now: Timestamp::from_secs(*now),
                    sender_constrained: *flag,
                    second_person: !*flag,
                    subject: None,
                };
                let question = Question::ToolCall {
                    agent, server: "desk", tool: "refund", args, context: &context,
                };
                compare(&snapshot, &question, true)?;
            }
        }
    }
}

/// Arguments for conditions that are written out.
fn known_args() -> Map<String, Value> {
    map(json!({
        "n": 2, "m": -7, "s": "aab", "t": "ab", "f": true, "d": 12.25, "e": 0.5,
        "l": ["b", "a", "b"], "k": [3, 1, 3], "r": {"n": 1}, "q": {"n": 1}, "x": {},
    }))
}

#[track_caller]
fn check(condition: &str, expected: Option<Result<bool, Unsure>>, code: ReasonCode) {
    let snapshot = compile(&[condition.to_owned()]);
    let (agents, args) = (agents(), known_args());
    let question = Question::ToolCall {
        agent: &agents[0],
        server: "desk",
        tool: "refund",
        args: &args,
        context: &CONTEXT,
    };
    let Ok(Posed::Ours(situation)) = snapshot.pose(&question) else {
        panic!("the question cannot be decided");
    };
    let ours = snapshot.rules.holds(0, &situation);
    assert_eq!(ours, expected, "{condition}");
    assert_eq!(
        snapshot.decide(super::id(), &question).code,
        code,
        "{condition}"
    );
    if let Err(error) = compare(&snapshot, &question, false) {
        panic!("{condition}: {error}");
    }
}

#[test]
fn every_plain_form_is_evaluated_without_the_engine() {
    for holds in [
        "!context.on_behalf && !(context has subject)",
        "true && !false",
        "false || true",
        "if context.args.f then true else false",
        "context.args.n + 3 == 5 && context.args.n - 3 == -1 && context.args.n * 3 == 6",
        "-(context.args.n) == -2",
        "1 < 2 && 2 <= 2 && 3 > 2 && 3 >= 3 && 1 != 2",
        "context.args.s == \"aab\" && context.args.s like \"a*b\"",
        "context.args.d.greaterThan(decimal(\"12.2\")) && context.args.d == decimal(\"12.25\")",
        "context.args.e.lessThan(context.args.d) && context.args.e.lessThanOrEqual(decimal(\"0.5\"))",
        "context.args.d.greaterThanOrEqual(decimal(\"12.2500\"))",
        "context.now > datetime(\"2020-01-01\") && context.now < datetime(\"2100-01-01T00:00:00Z\")",
        "context.now.toTime() < duration(\"24h\") && context.now.toDate() <= context.now",
        "context.now.offset(duration(\"1h\")).durationSince(context.now).toMinutes() == 60",
        "duration(\"-90s\").toSeconds() == -90 && duration(\"-90s\").toMinutes() == -1",
        "duration(\"36h\").toHours() == 36 && duration(\"36h\").toDays() == 1",
        "duration(\"1s\").toMilliseconds() == 1000",
        "context.args.l.contains(\"a\") && !context.args.l.contains(\"c\")",
        "context.args.l == [\"a\", \"b\"] && context.args.k.containsAll([3, 1])",
        "context.args.k.containsAny([7, 3]) && !context.args.k.isEmpty()",
        "context.args.r == context.args.q",
        "context.untyped.contains(\"x\") && !(context.args has x)",
        "context.args has r.n && !(context.args has r.s) && !(context.args has o)",
        "principal.name == \"a\" && principal.callable.contains(resource)",
        "principal.callable_servers.contains(resource.server)",
        "principal is Chancery::Agent && !(principal is Chancery::Human)",
        "resource in Chancery::Server::\"desk\" && !(resource in Chancery::Server::\"shop\")",
        "resource in [Chancery::Server::\"shop\", Chancery::Server::\"desk\"]",
        "resource is Chancery::Tool in Chancery::Server::\"desk\"",
        "action in Chancery::Action::\"call_tool\"",
        "action != Chancery::Action::\"call/desk/read\"",
    ] {
        check(holds, Some(Ok(true)), ReasonCode::PolicyForbids);
        let not = format!("!({holds})");
        check(&not, Some(Ok(false)), ReasonCode::NoPolicyPermits);
    }
}

#[test]
fn what_is_not_plain_is_left_to_the_engine() {
    for holds in [
        "{n: context.args.n}.n == 2",
        "ip(\"10.0.0.1\").isInRange(ip(\"10.0.0.0/8\"))",
        "[context.args.s, \"b\"].contains(\"b\")",
        "(if context.args.f then context.args.r else context.args.q).n == 1",
    ] {
        check(holds, None, ReasonCode::PolicyForbids);
    }
    // An unoptimised engine needs more stack for what is deep than a test has.
    let deep = format!("{} == 60", vec!["1"; 60].join(" + "));
    let deep = std::thread::Builder::new()
        .stack_size(64 << 20)
        .spawn(move || check(&deep, None, ReasonCode::PolicyForbids));
    assert!(deep.expect("a thread").join().is_ok());
}

#[test]
fn what_errs_is_left_to_the_engine_which_denies() {
    for errs in [
        "context.args.n + 9223372036854775807 > 0",
        "-(context.args.n - 9223372036854775807 - 3) > 0",
        "context.args.n * 9223372036854775807 > 0",
        "context.now.offset(duration(\"9223372036854775807ms\")) > context.now",
        "context.args.f && context.args.n + 9223372036854775807 > 0",
    ] {
        check(errs, Some(Err(Unsure)), ReasonCode::PolicyError);
    }
    // What is not reached does not err.
    let unreached = "context.args.f || context.args.n + 9223372036854775807 > 0";
    check(unreached, Some(Ok(true)), ReasonCode::PolicyForbids);
}

#[test]
fn a_long_list_is_read_in_order_of_its_length() {
    let many: Vec<String> = (0..20_000).map(|number| format!("{number}")).collect();
    let schema = json!({"type": "object", "properties": {
        "l": {"type": "array", "items": {"type": "string"}},
        "k": {"type": "array", "items": {"type": "string"}},
    }});
    let text = "permit (principal, action == Chancery::Action::\"call/desk/issue_refund\", resource) when { context.args has l && context.args has k && context.args.l.containsAll(context.args.k) && context.args.l == context.args.k };";
    let snapshot = snapshot_of(text, &schema);
    let backwards: Vec<&String> = many.iter().rev().chain(&many).collect();
    let decision = call(&snapshot, json!({"l": many, "k": backwards}));
    assert_eq!(decision.effect, Effect::Permit);
    let decision = call(&snapshot, json!({"l": many[1..], "k": backwards}));
    assert_eq!(decision.code, ReasonCode::NoPolicyPermits);
}

#[test]
fn an_agent_that_is_described_in_two_ways_is_not_judged() {
    let text = "permit (principal, action, resource) when { principal is Chancery::Agent && principal.status == \"active\" };";
    let snapshot = compile_text(text);
    let decide = |actor: &AgentEntity, target: &AgentEntity| {
        let question = Question::Administer {
            actor: &AdminFacts::Agent(actor),
            action: Action::AgentRead,
            target: TargetFacts {
                target: Target::Agent(target),
                widens: false,
                second_person: false,
                now: CONTEXT.now,
            },
        };
        snapshot.decide(super::id(), &question).code
    };
    let active = agent();
    let suspended = agent_named("refund-bot", "suspended");
    assert_eq!(decide(&active, &suspended), ReasonCode::RequestInvalid);
    assert_eq!(decide(&active, &agent()), ReasonCode::PolicyPermits);
}
