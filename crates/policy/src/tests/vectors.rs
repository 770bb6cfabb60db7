//! Cedar's own test cases through our path: parse, check, index, evaluate the slice.
//!
//! Cedar skips a policy that errs; here it denies (POL-02), so cases with errors expect that.

#![allow(
    clippy::disallowed_methods,
    reason = "tests read where the vectors are from the environment"
)]

use std::borrow::Cow;
use std::path::PathBuf;
use std::str::FromStr;

use cedar_policy::{
    Context, Entities, Entity, EntityUid, EvalResult, PolicySet, Request, Schema, ValidationMode,
    ValidationWarning, Validator,
};
use chancery_model::decision::ReasonCode;
use serde_json::Value;

use crate::compile::PolicySource;
use crate::condition::milliseconds;
use crate::rules::{Rules, TOO_FAR};
use crate::shape::decimal;
use crate::situation::{Act, Met, Situation};
use crate::thing::{Held, Thing};
use crate::value::{Extension, Record, Set, Uid, Value as OurValue};

pub(super) fn vectors() -> Option<PathBuf> {
    let folder = std::env::var("CHANCERY_VECTORS").unwrap_or_else(|_| {
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors").to_owned()
    });
    let folder = PathBuf::from(folder);
    if !folder.is_dir() {
        println!("vectors absent: not run");
        return None;
    }
    Some(folder)
}

#[derive(Debug, Default)]
struct Counts {
    cases: usize,
    requests: usize,
    /// Requests that needed no engine; those of policies that do not compile are not tried.
    judged: usize,
    erring: usize,
    refused_as_expected: usize,
    /// Legal policies that follow references further than the entities that we give: not compiled
    /// by a snapshot, but evaluated here, where the entities are given whole.
    beyond_our_depth: Vec<String>,
    /// Policies that this version of the engine finds impossible (a warning) before it finds what
    /// else is wrong with them.
    never_applies: Vec<String>,
}

fn uid(json: &Value) -> EntityUid {
    EntityUid::from_json(json.clone()).expect("an entity reference")
}

/// An entity of the engine as conditions read it.
fn described(uid: &EntityUid, entities: &Entities) -> Thing<'static> {
    let above = entities.ancestors(uid).into_iter().flatten();
    let attributes = entities.get(uid).into_iter().flat_map(Entity::attrs);
    let attributes = attributes.map(|(name, seen)| {
        let seen = seen.expect("a value");
        (Cow::Owned(name.to_owned()), value(&seen))
    });
    Thing::new(
        Uid::of(uid),
        Record::new(attributes.collect()),
        above.map(Uid::of).collect(),
    )
}

fn record(context: Context) -> Record<'static> {
    let names: Vec<String> = context.clone().into_iter().map(|(name, _)| name).collect();
    let members = names.into_iter().map(|name| {
        let seen = context.get(&name).expect("a member");
        (Cow::Owned(name), value(&seen))
    });
    Record::new(members.collect())
}

fn value(seen: &EvalResult) -> OurValue<'static> {
    match seen {
        EvalResult::Bool(flag) => OurValue::Flag(*flag),
        EvalResult::Long(long) => OurValue::Long(*long),
        EvalResult::String(text) => OurValue::owned(text),
        EvalResult::EntityUid(uid) => OurValue::Entity(Uid::of(uid)),
        EvalResult::Set(set) => OurValue::Set(Set::new(set.iter().map(value).collect())),
        EvalResult::Record(record) => {
            let members = record.iter();
            let members = members.map(|(name, seen)| (Cow::Owned(name.clone()), value(seen)));
            OurValue::Record(Record::new(members.collect()))
        }
        EvalResult::ExtensionValue(text) => extension(text),
    }
}

fn extension(text: &str) -> OurValue<'static> {
    let decimal_text = text.strip_prefix("decimal(\"");
    let decimal_text = decimal_text.and_then(|text| text.strip_suffix("\")"));
    if let Some(decimal) = decimal_text.and_then(decimal) {
        return OurValue::Decimal(decimal);
    }
    if let Some(span) = milliseconds(text) {
        return OurValue::Span(span);
    }
    let since_epoch = format!("{text}.durationSince(datetime(\"1970-01-01\"))");
    match milliseconds(&since_epoch) {
        Some(at) => OurValue::Moment(at),
        None => OurValue::Written(Extension::Address, Cow::Owned(text.to_owned())),
    }
}

fn run(
    name: &str,
    policies: &str,
    schema: &str,
    entities: Value,
    case: &Value,
    counts: &mut Counts,
) {
    let schema = Schema::from_cedarschema_str(schema)
        .unwrap_or_else(|error| panic!("{name}: {error}"))
        .0;
    let sources = [PolicySource {
        name,
        text: policies,
    }];
    counts.cases += 1;
    let set: PolicySet = policies.parse().expect("policies");
    let checked = Validator::new(schema.clone()).validate(&set, ValidationMode::Strict);
    let valid = checked.validation_passed();
    if Some(valid) != case["shouldValidate"].as_bool() {
        assert!(valid, "{name}: should validate and does not");
        let mut warnings = checked.validation_warnings();
        let never =
            |warning: &ValidationWarning| matches!(warning, ValidationWarning::ImpossiblePolicy(_));
        assert!(warnings.any(never), "{name}: validates and should not");
        counts.never_applies.push(name.to_owned());
    }
    let compiled = match Rules::compile(&sources, schema.clone()) {
        Ok(rules) => {
            assert!(valid, "{name}: compiles and should not");
            Some(rules)
        }
        Err(_) if !valid => {
            counts.refused_as_expected += 1;
            None
        }
        Err(error) => {
            assert!(error.to_string().contains(TOO_FAR), "{name}: {error}");
            counts.beyond_our_depth.push(name.to_owned());
            None
        }
    };
    let rules = Rules::parse(&sources).unwrap_or_else(|error| panic!("{name}: {error}"));
    let entities = Entities::from_json_value(entities, Some(&schema))
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    for asked in case["requests"].as_array().expect("requests") {
        let [principal, action, resource] =
            ["principal", "action", "resource"].map(|place| uid(&asked[place]));
        let context = Context::from_json_value(asked["context"].clone(), Some((&schema, &action)))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let act = Act::of(Uid::of(&action), &entities);
        let [subject, thing] = [&principal, &resource].map(|uid| described(uid, &entities));
        let cells = rules.index().cells(act.place(), thing.place());
        let key = rules.index().key(subject.place(), &cells);
        let situation = Situation {
            principal: Held::Made(subject),
            act: &act,
            resource: Held::Made(thing),
            context: record(context.clone()),
            cells: Met::Made(cells),
            ready: None,
        };
        let request = Request::new(principal, action, resource, context, Some(&schema))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let verdict = rules.evaluate(&key, &request, &entities);
        assert_eq!(verdict, rules.evaluate_all(&request, &entities), "{name}");
        if let Some(judged) = compiled.as_ref().and_then(|rules| rules.judge(&situation)) {
            assert_eq!(verdict, judged, "{name}");
            counts.judged += 1;
        }
        counts.requests += 1;
        let list = |member: &str| -> Vec<usize> {
            let ids = asked[member].as_array().expect("a list").iter();
            let mut places: Vec<usize> = ids
                .map(|id| {
                    let id = id.as_str().expect("an id");
                    let place = id.strip_prefix("policy").expect("a numbered policy");
                    usize::from_str(place).expect("a number")
                })
                .collect();
            places.sort_unstable();
            places
        };
        let (erring, reasons) = (list("errors"), list("reason"));
        let (code, determining) = if !erring.is_empty() {
            counts.erring += 1;
            (ReasonCode::PolicyError, erring)
        } else if asked["decision"] == "allow" {
            (ReasonCode::PolicyPermits, reasons)
        } else if reasons.is_empty() {
            (ReasonCode::NoPolicyPermits, reasons)
        } else {
            (ReasonCode::PolicyForbids, reasons)
        };
        assert_eq!(
            (verdict.code, verdict.determining),
            (code, determining),
            "{name}"
        );
    }
}

#[test]
fn cedar_integration_cases() {
    let Some(folder) = vectors() else { return };
    let folder = folder.join("cedar-integration");
    let read = |path: &str| {
        std::fs::read_to_string(folder.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    let mut counts = Counts::default();
    for group in std::fs::read_dir(folder.join("tests")).expect("a folder") {
        for file in std::fs::read_dir(group.expect("an entry").path()).expect("a folder") {
            let path = file.expect("an entry").path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("a file");
            let case: Value = serde_json::from_str(&text).expect("JSON");
            let named = |member: &str| read(case[member].as_str().expect("a path"));
            let entities = serde_json::from_str(&named("entities")).expect("JSON");
            let name = path.display().to_string();
            run(
                &name,
                &named("policies"),
                &named("schema"),
                entities,
                &case,
                &mut counts,
            );
        }
    }
    println!("cedar-integration: {counts:#?}");
    assert!(counts.cases >= 14 && counts.requests >= 47 && counts.judged >= 29);
}

#[test]
fn cedar_corpus_cases() {
    let Some(folder) = vectors() else { return };
    let text = std::fs::read_to_string(folder.join("cedar-corpus/cases.jsonl")).expect("a file");
    let mut counts = Counts::default();
    for line in text.lines() {
        let case: Value = serde_json::from_str(line).expect("JSON");
        let [name, policies, schema] =
            ["id", "policies", "schema"].map(|member| case[member].as_str().expect("a text"));
        run(
            name,
            policies,
            schema,
            case["entities"].clone(),
            &case,
            &mut counts,
        );
    }
    println!("cedar-corpus: {counts:#?}");
    assert!(counts.cases >= 494 && counts.requests >= 3_952 && counts.judged >= 2_800);
}
