//! The AuthZEN certification scenario and interop payloads, asked in types of an organisation.

use std::path::Path;

use chancery_model::decision::Effect;
use serde_json::{Map, Value};

use super::{id, vectors::vectors};
use crate::compile::{PolicySource, Snapshot};
use crate::question::{EntityRef, ExternalAction, Question};

/// The fixture of the certification scenario: alice and bob, records, and what they may do.
const RECORDS: [&str; 2] = [
    "entity user = { role?: String };
     entity record = { status?: String };
     action read, write appliesTo { principal: [user], resource: [record], context: { time?: String } };
     action delete appliesTo {
         principal: [user], resource: [record], context: { action?: { soft?: Bool } }
     };",
    "permit (principal is user, action == Action::\"read\", resource is record);
     permit (principal == user::\"alice\", action == Action::\"write\", resource is record);
     permit (principal is user, action == Action::\"write\", resource is record)
     when { principal has role && principal.role == \"admin\" };
     forbid (principal is user, action == Action::\"write\", resource is record)
     when { resource has status && resource.status == \"archived\" }
     unless { principal has role && principal.role == \"admin\" };
     permit (principal == user::\"alice\", action == Action::\"delete\", resource is record)
     when { context has action && context.action has soft && context.action.soft };",
];

/// The todo scenario: rick is admin and evil genius, morty and summer edit, beth and jerry view.
const TODOS: [&str; 2] = [
    "entity user;
     entity todo = { ownerID?: String };
     action can_read_user appliesTo { principal: [user], resource: [user] };
     action can_read_todos, can_create_todo, can_update_todo, can_delete_todo appliesTo {
         principal: [user], resource: [todo]
     };",
    "permit (principal, action in [Action::\"can_read_user\", Action::\"can_read_todos\"], resource);
     permit (principal == user::\"CiRmZDA2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs\",
         action in [Action::\"can_create_todo\", Action::\"can_update_todo\", Action::\"can_delete_todo\"],
         resource is todo);
     permit (principal is user, action == Action::\"can_create_todo\", resource is todo)
     when { [user::\"CiRmZDE2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs\",
             user::\"CiRmZDI2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs\"].contains(principal) };
     permit (principal == user::\"CiRmZDE2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs\",
         action in [Action::\"can_update_todo\", Action::\"can_delete_todo\"], resource is todo)
     when { resource has ownerID && resource.ownerID == \"morty@the-citadel.com\" };
     permit (principal == user::\"CiRmZDI2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs\",
         action in [Action::\"can_update_todo\", Action::\"can_delete_todo\"], resource is todo)
     when { resource has ownerID && resource.ownerID == \"summer@the-smiths.com\" };",
];

/// The API gateway scenario: the same people, asked about routes.
const ROUTES: [&str; 2] = [
    "entity identity;
     entity route;
     action GET, POST, PUT, DELETE appliesTo { principal: [identity], resource: [route] };",
    "permit (principal, action == Action::\"GET\", resource is route);
     permit (principal is identity,
         action in [Action::\"POST\", Action::\"PUT\", Action::\"DELETE\"], resource is route)
     when { [identity::\"CiRmZDA2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs\",
             identity::\"CiRmZDE2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs\",
             identity::\"CiRmZDI2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs\"].contains(principal) };",
];

fn compile([schema, policies]: [&str; 2]) -> Snapshot {
    let named = |text| PolicySource {
        name: "fixture",
        text,
    };
    match Snapshot::compile(1, &[named(policies)], &[named(schema)], &[]) {
        Ok(snapshot) => snapshot,
        Err(error) => panic!("{error}"),
    }
}

fn decide(snapshot: &Snapshot, request: &Value) -> bool {
    let map = |value: &Value| value.as_object().cloned().unwrap_or_default();
    let text = |pointer: &str| {
        let text = request.pointer(pointer).and_then(Value::as_str);
        text.unwrap_or_else(|| panic!("no {pointer} in {request}"))
    };
    let at = |pointer: &str| map(request.pointer(pointer).unwrap_or(&Value::Null));
    let (of_subject, of_action): (Map<_, _>, Map<_, _>) =
        (at("/subject/properties"), at("/action/properties"));
    let (of_resource, context) = (at("/resource/properties"), at("/context"));
    let question = Question::External {
        subject: EntityRef {
            kind: text("/subject/type"),
            id: text("/subject/id"),
            properties: &of_subject,
        },
        action: ExternalAction {
            name: text("/action/name"),
            properties: &of_action,
        },
        resource: EntityRef {
            kind: text("/resource/type"),
            id: text("/resource/id"),
            properties: &of_resource,
        },
        context: &context,
    };
    snapshot.decide(id(), &question).effect == Effect::Permit
}

/// The items of a request with the defaults of the request filled in.
fn items(request: &Value) -> Vec<Value> {
    let merged = |item: &Value| {
        let mut whole = request.clone();
        for (name, value) in item.as_object().expect("an object") {
            whole[name] = value.clone();
        }
        whole
    };
    let items = request["evaluations"].as_array();
    items.into_iter().flatten().map(merged).collect()
}

fn read(folder: &Path, name: &str) -> Value {
    let text = std::fs::read_to_string(folder.join("authzen").join(name)).expect("a file");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn the_certification_scenario_is_decided_as_it_says() {
    let Some(folder) = vectors() else { return };
    let scenario = read(&folder, "certification-scenario-1_0.json");
    let snapshot = compile(RECORDS);
    let (mut decided, mut skipped) = (0, Vec::new());
    for case in scenario["cases"].as_array().expect("cases") {
        let id = case["id"].as_str().expect("an id");
        let blocks = case["blocks"].as_array().expect("blocks");
        let evaluated = id.starts_with("c-2-2-") || id.starts_with("c-3-2-");
        if !evaluated && id != "c-3-4-2" && id != "c-3-4-3" {
            skipped.push(id);
            continue;
        }
        let request = &blocks[0]["json"];
        let expected = blocks.get(1).map(|block| &block["json"]);
        let several = items(request);
        if several.is_empty() {
            // Where the scenario expects any answer only, the fixture permits.
            let expected = expected.is_none_or(|answer| answer["decision"] == true);
            assert_eq!(decide(&snapshot, request), expected, "{id}");
            decided += 1;
        }
        for (at, item) in several.iter().enumerate() {
            let expected =
                expected.is_none_or(|answer| answer["evaluations"][at]["decision"] == true);
            assert_eq!(decide(&snapshot, item), expected, "{id} item {at}");
            decided += 1;
        }
    }
    println!(
        "authzen certification: {decided} decisions; not applicable: {skipped:?} (malformed requests are the parser's, search is not offered)"
    );
    assert!(decided >= 25, "{decided}");
}

#[test]
fn the_interop_payloads_are_decided_as_they_say() {
    let Some(folder) = vectors() else { return };
    let mut decided = 0;
    for (name, fixture) in [
        ("interop-todo-1.0-02.json", TODOS),
        ("interop-api-gateway.json", ROUTES),
    ] {
        let payloads = read(&folder, name);
        let snapshot = compile(fixture);
        for case in payloads["evaluation"].as_array().expect("a list") {
            let request = &case["request"];
            assert_eq!(
                decide(&snapshot, request),
                case["expected"] == true,
                "{request}"
            );
            decided += 1;
        }
        for case in payloads["evaluations"].as_array().into_iter().flatten() {
            for (at, item) in items(&case["request"]).iter().enumerate() {
                let expected = case["expected"][at]["decision"] == true;
                assert_eq!(decide(&snapshot, item), expected, "{item}");
                decided += 1;
            }
        }
    }
    println!(
        "authzen interop: {decided} decisions; not applicable: interop-idp-search and interop-search-* (search is not offered)"
    );
    assert!(decided >= 44, "{decided}");
}
