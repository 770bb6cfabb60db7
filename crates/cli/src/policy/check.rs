//! `policy check`: whether a text could come into force, and whether policies decide as their cases say.
//!
//! The first is for the authority to say, which knows what is in force. The second needs nobody: a file of cases
//! describes its tools and agents itself, so the decision point is asked here, as a copy of the log is verified here.

use std::path::{Path, PathBuf};

use chancery_api::policies::PolicyText;
use chancery_policy::{CaseOutcome, Cases, DEFAULT, PolicySource, Snapshot};
use clap::Args;
use serde::Serialize;

use super::{name_of, text};
use crate::documents::{read_as, read_text};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::layout;
use crate::session::Session;

/// The name of a text that has none of its own.
const PROPOSED: &str = "proposed";

/// How the name of a schema fragment ends.
const SCHEMA: &str = "cedarschema";

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Cedar policies; `-` is the standard input. Any number with `--cases`, else one
    #[arg(value_name = "FILE", required_unless_present = "cases")]
    files: Vec<PathBuf>,
    /// The file is a Cedar schema fragment
    #[arg(long, conflicts_with = "cases")]
    schema: bool,
    /// Test cases, YAML or JSON: questions with the decisions that are expected
    #[arg(long, value_name = "CASES")]
    cases: Option<PathBuf>,
}

pub(super) async fn run(session: &Session, args: &Check) -> Result<Exit, Failure> {
    match (&args.cases, args.files.as_slice()) {
        (Some(cases), files) => check_cases(session, files, cases),
        (None, [file]) => check_in_place(session, file, args.schema).await,
        (None, _) => Err(
            Failure::unreadable("the authority checks one text at a time")
                .with_fix("check one file after another, or all of them with `--cases CASES`"),
        ),
    }
}

/// Has the authority compile the text together with what is in force.
async fn check_in_place(session: &Session, file: &Path, is_schema: bool) -> Result<Exit, Failure> {
    let text = PolicyText {
        // A file from a pipe has no name, and is then checked beside everything that is in force.
        name: name_of(file).ok(),
        ..text(file, is_schema)?
    };
    let report = session.authority()?.policy_check(&text).await?;
    session.output.show(&report, || {
        if report.ok {
            return "ok: it could come into force".to_owned();
        }
        layout::plain(&report.problems.join("\n"))
    })?;
    Ok(if report.ok { Exit::Done } else { Exit::Refused })
}

/// What a check by cases prints as JSON.
#[derive(Serialize)]
struct Report {
    /// Whether the texts compile and every case came out as expected.
    ok: bool,
    /// What is wrong with the texts; then no case was asked.
    problems: Vec<String>,
    /// What came of each case, in the order of the file.
    cases: Vec<CaseOutcome>,
}

/// Asks the questions of a file of cases of the shipped policies and `files`.
fn check_cases(session: &Session, files: &[PathBuf], cases: &Path) -> Result<Exit, Failure> {
    let asked: Cases = read_as(cases)?;
    let mut texts = Vec::with_capacity(files.len());
    for file in files {
        let name = name_of(file).unwrap_or_else(|_| PROPOSED.to_owned());
        texts.push((name, read_text(file)?, is_schema(file)));
    }
    let of_kind = |schema: bool| {
        let chosen = texts.iter().filter(move |(_, _, is)| *is == schema);
        chosen.map(|(name, text, _)| PolicySource { name, text })
    };
    let policies: Vec<_> = std::iter::once(DEFAULT).chain(of_kind(false)).collect();
    let schemas: Vec<_> = of_kind(true).collect();
    let report = match Snapshot::compile(1, &policies, &schemas, &asked.tools()) {
        Ok(snapshot) => {
            let cases = asked.run(&snapshot).cases;
            Report {
                ok: cases.iter().all(|case| case.failure.is_none()),
                problems: Vec::new(),
                cases,
            }
        }
        Err(error) => Report {
            ok: false,
            problems: error.diagnostics.iter().map(ToString::to_string).collect(),
            cases: Vec::new(),
        },
    };
    if report.ok && report.cases.is_empty() {
        // Nothing that was asked would otherwise look like everything that holds.
        return Err(
            Failure::unreadable(format!("{} has no cases", cases.display()))
                .with_fix("write some: docs/policies.md has an example"),
        );
    }
    session.output.show(&report, || render(&report))?;
    Ok(if report.ok { Exit::Done } else { Exit::Refused })
}

fn is_schema(file: &Path) -> bool {
    file.extension()
        .is_some_and(|extension| extension == SCHEMA)
}

fn render(report: &Report) -> String {
    if !report.problems.is_empty() {
        return layout::plain(&report.problems.join("\n"));
    }
    let mut lines = Vec::new();
    let mut held = 0;
    for case in &report.cases {
        let Some(failure) = &case.failure else {
            held += 1;
            continue;
        };
        lines.push(format!("FAIL  {}", layout::plain(&case.name)));
        lines.push(format!("      {}", layout::plain(failure)));
        lines.push(format!("      reason: {}", layout::plain(&case.reason)));
    }
    let all = report.cases.len();
    lines.push(if held == all {
        format!("ok: {all} cases decide as expected")
    } else {
        format!("{held} of {all} cases decide as expected")
    });
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::trial::{Ended, run};

    /// From the root of the repository.
    fn here(path: &str) -> String {
        format!("{}/../../{path}", env!("CARGO_MANIFEST_DIR"))
    }

    /// The block of `docs/policies.md` in `language` that holds `words`.
    fn documented(language: &str, words: &str) -> String {
        let page = std::fs::read_to_string(here("docs/policies.md")).expect("the page");
        let fence = format!("```{language}\n");
        let blocks = page.split(&fence).skip(1);
        let mut blocks = blocks.filter_map(|rest| rest.split("\n```").next());
        let block = blocks.find(|block| block.contains(words));
        block.expect("the block is in the page").to_owned()
    }

    /// Runs the check of a policy text against a text of cases.
    fn check(policy: &str, cases: &str, flags: &str) -> Ended {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(path("limit.cedar"), policy).expect("written");
        std::fs::write(path("limit.cases.yaml"), cases).expect("written");
        run(&format!(
            "chancery policy check {} --cases {}{flags}",
            path("limit.cedar"),
            path("limit.cases.yaml")
        ))
    }

    #[test]
    fn the_documented_cases_hold_for_the_documented_policy() {
        let policy = documented("cedar", "@id(\"refund-limit\")");
        let cases = documented("yaml", "cases:");
        let ended = check(&policy, &cases, "");
        assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{}", ended.out);
        assert_eq!(ended.out, "ok: 5 cases decide as expected\n");
    }

    #[test]
    fn a_case_that_comes_out_otherwise_is_told_with_both_decisions_and_the_reason() {
        let policy = documented("cedar", "@id(\"refund-limit\")").replace("> 100", "> 1000");
        let cases = documented("yaml", "cases:");
        let ended = check(&policy, &cases, "");
        assert_eq!(ended.code, 1, "{}", ended.err);
        let shown = documented("console", "FAIL");
        let (_, expected) = shown
            .split_once('\n')
            .expect("a command and what it prints");
        assert_eq!(ended.out.trim_end(), expected);

        let as_json = check(&policy, &cases, " --json");
        assert_eq!(as_json.code, 1);
        let report = as_json.json();
        assert_eq!(report["ok"], false);
        assert_eq!(report["cases"][0]["failure"], serde_json::Value::Null);
        assert_eq!(report["cases"][1]["failure"], "expected deny, got permit");
    }

    #[test]
    fn another_policy_than_the_expected_one_is_a_failure() {
        let policy = documented("cedar", "@id(\"refund-limit\")").replace("refund-limit", "other");
        let ended = check(&policy, &documented("yaml", "cases:"), "");
        assert_eq!(ended.code, 1);
        let expected = "expected it from [refund-limit], got it from [other]";
        assert!(ended.out.contains(expected), "{}", ended.out);
    }

    #[test]
    fn the_examples_of_the_repository_hold_here_as_they_are() {
        let examples = [
            "bearer-never",
            "critical-needs-review",
            "on-behalf",
            "production-only",
            "refund-limit",
        ];
        let files = examples.map(|name| here(&format!("policies/examples/{name}.cedar")));
        let cases = here("policies/examples/examples.tests.json");
        let ended = run(&format!(
            "chancery policy check {} --cases {cases} --json",
            files.join(" ")
        ));
        assert_eq!(ended.code, 0, "{}", ended.err);
        assert_eq!(ended.json()["ok"], true);

        let cases = here("policies/default.tests.json");
        let shipped = run(&format!("chancery policy check --cases {cases}"));
        assert_eq!(shipped.code, 0, "{}", shipped.out);
    }

    #[test]
    fn a_policy_that_does_not_fit_the_tools_of_its_cases_is_a_failed_check() {
        let policy = documented("cedar", "@id(\"refund-limit\")").replace("amount", "amuont");
        let ended = check(&policy, &documented("yaml", "cases:"), "");
        assert_eq!(ended.code, 1, "{}", ended.err);
        assert!(
            ended.out.contains("did you mean `amount`?"),
            "{}",
            ended.out
        );
        assert!(ended.out.starts_with("limit:"), "{}", ended.out);
    }

    #[test]
    fn types_of_an_organisation_come_in_a_schema_fragment() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let policy = r#"@id("shop") permit (principal is Shop::Employee, action == Shop::Action::"order.read", resource)
            when { principal.department == "sales" };"#;
        std::fs::write(path("shop.cedar"), policy).expect("written");
        let schema = documented("cedarschema", "namespace Shop");
        std::fs::write(path("types.cedarschema"), schema).expect("written");
        let question = |department| {
            json!({"evaluation": {"subject": {"type": "Shop::Employee", "id": "bob", "properties": {"department": department}},
                "action": {"name": "order.read"}, "resource": {"type": "Shop::Order", "id": "o-1"}}})
        };
        let cases = json!({"cases": [
            {"name": "sales reads", "question": question("sales"), "expect": {"effect": "permit", "policies": ["shop"]}},
            {"name": "others do not", "question": question("legal"), "expect": {"effect": "deny"}},
        ]});
        std::fs::write(path("cases.json"), cases.to_string()).expect("written");
        let files = format!("{} {}", path("shop.cedar"), path("types.cedarschema"));
        let ended = run(&format!(
            "chancery policy check {files} --cases {}",
            path("cases.json")
        ));
        assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
    }

    #[test]
    fn cases_that_cannot_be_read_are_no_failed_check() {
        let policy = documented("cedar", "@id(\"refund-limit\")");
        let cases = documented("yaml", "cases:");
        let (tools, _) = cases.split_once("cases:").expect("tools, then cases");
        for (cases, expected) in [
            (
                cases.replace("effect: deny", "efect: deny"),
                "did you mean `effect`?",
            ),
            (format!("{tools}cases: []\n"), "has no cases"),
            ("tools: []\n".to_owned(), "missing field `cases`"),
            ("cases: [\n".to_owned(), "limit.cases.yaml"),
        ] {
            let ended = check(&policy, &cases, "");
            assert_eq!(ended.code, 2, "{}", ended.out);
            assert!(ended.err.contains(expected), "{}", ended.err);
        }
    }

    #[test]
    fn without_cases_one_text_is_checked_by_the_authority() {
        let ended = run("chancery policy check a.cedar b.cedar");
        assert_eq!(ended.code, 2);
        assert!(ended.err.contains("--cases"), "{}", ended.err);
    }
}
