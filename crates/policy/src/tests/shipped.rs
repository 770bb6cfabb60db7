//! The shipped policies and the examples do what their cases say.

use serde_json::Value;

use crate::cases::Cases;
use crate::compile::{PolicySource, Snapshot};

const DEFAULT_CASES: &str = include_str!("../../../../policies/default.tests.json");
const EXAMPLE_CASES: &str = include_str!("../../../../policies/examples/examples.tests.json");

/// The examples, each to be added to the default policies.
const EXAMPLES: [PolicySource<'static>; 5] = [
    PolicySource {
        name: "refund-limit",
        text: include_str!("../../../../policies/examples/refund-limit.cedar"),
    },
    PolicySource {
        name: "production-only",
        text: include_str!("../../../../policies/examples/production-only.cedar"),
    },
    PolicySource {
        name: "critical-needs-review",
        text: include_str!("../../../../policies/examples/critical-needs-review.cedar"),
    },
    PolicySource {
        name: "bearer-never",
        text: include_str!("../../../../policies/examples/bearer-never.cedar"),
    },
    PolicySource {
        name: "on-behalf",
        text: include_str!("../../../../policies/examples/on-behalf.cedar"),
    },
];

fn check(policies: &[PolicySource<'_>], cases: &str, at_least: usize) {
    let json: Value = serde_json::from_str(cases).expect("JSON");
    let cases = Cases::parse(&json).expect("cases");
    let snapshot = match Snapshot::compile(1, policies, &[], &cases.tools()) {
        Ok(snapshot) => snapshot,
        Err(error) => panic!("{error}"),
    };
    assert_eq!(snapshot.warnings(), []);
    let report = cases.run(&snapshot);
    let failures: Vec<_> = report.failures().collect();
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(report.cases.len() >= at_least, "{}", report.cases.len());
}

#[test]
fn the_default_policies_decide_as_their_cases_say() {
    check(&[crate::DEFAULT], DEFAULT_CASES, 100);
}

#[test]
fn the_examples_decide_as_their_cases_say() {
    let mut policies = vec![crate::DEFAULT];
    policies.extend(EXAMPLES);
    check(&policies, EXAMPLE_CASES, 20);
}

#[test]
fn the_default_policies_compile_before_any_tool_is_known() {
    let snapshot = Snapshot::compile(7, &[crate::DEFAULT], &[], &[]).expect("compiles");
    assert_eq!(snapshot.number(), 7);
    assert!(snapshot.policies().all(|policy| policy.reason().is_some()));
}

#[test]
fn a_case_that_differs_is_reported_with_the_difference() {
    let snapshot = Snapshot::compile(1, &[crate::DEFAULT], &[], &[]).expect("compiles");
    let failure_of = |expect: serde_json::Value| {
        let json = serde_json::json!({"cases": [{
            "name": "wrong",
            "question": {"administer": {"actor": "local_administrator", "action": "agent_read"}},
            "expect": expect,
        }]});
        let report = crate::Cases::parse(&json).expect("cases").run(&snapshot);
        let failure = report
            .failures()
            .next()
            .and_then(|case| case.failure.clone());
        failure.expect("a difference")
    };
    let effect = failure_of(serde_json::json!({"effect": "deny"}));
    assert_eq!(effect, "expected deny, got permit");
    let code = serde_json::json!({"effect": "permit", "code": "no_policy_permits"});
    let expected = "expected no_policy_permits, got policy_permits";
    assert_eq!(failure_of(code), expected);
    assert!(crate::Cases::parse(&serde_json::json!({"cases": 1})).is_err());
}
