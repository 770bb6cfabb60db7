use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

struct Pairs(Vec<(&'static str, &'static str)>);

impl HeaderSource for Pairs {
    fn single(&self, name: &str) -> Result<Option<&str>, RpcError> {
        let mut values = self.0.iter().filter(|(key, _)| *key == name);
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(mismatch("twice")),
            (first, None) => Ok(first.map(|(_, value)| *value)),
        }
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(key, _)| *key)
    }
}

fn call(extra: Value) -> Request {
    let mut params = json!({"name": "add", "arguments": {"a": 1}});
    for (key, value) in extra.as_object().expect("an object") {
        params[key] = value.clone();
    }
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    parse_request(body).expect("a request")
}

fn modern() -> Value {
    json!({"_meta": {META_VERSION: MODERN, META_CAPABILITIES: {}}})
}

#[track_caller]
fn check_refused(body: Value, code: i64, id: Option<Id>) {
    let (read, error) = parse_request(body).expect_err("a refusal");
    assert_eq!((error.code, read), (code, id));
}

#[test]
fn mcp_06_the_envelope_has_exactly_the_members_of_json_rpc() {
    let one = Some(Id::Number(1));
    check_refused(json!([]), INVALID_REQUEST, None);
    check_refused(json!("x"), INVALID_REQUEST, None);
    check_refused(
        json!({"jsonrpc": "2.0", "id": 1}),
        INVALID_REQUEST,
        one.clone(),
    );
    check_refused(
        json!({"id": 1, "method": "x"}),
        INVALID_REQUEST,
        one.clone(),
    );
    for id in [
        json!(null),
        json!(1.5),
        json!({}),
        json!(true),
        json!(1e300),
    ] {
        let body = json!({"jsonrpc": "2.0", "id": id, "method": "x"});
        check_refused(body, INVALID_REQUEST, None);
    }
    let cased = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "Method": "tools/call"});
    check_refused(cased, INVALID_REQUEST, one.clone());
    let params = json!({"jsonrpc": "2.0", "id": 1, "method": "x", "params": [1]});
    check_refused(params, INVALID_REQUEST, one);
}

#[test]
fn ids_are_echoed_with_their_type() {
    for id in [json!(0), json!("server-discover-probe-1"), json!(-7)] {
        let read = Id::read(&id).expect("an id");
        assert_eq!(read.to_value(), id);
    }
}

#[test]
fn the_era_follows_from_header_and_body_and_they_agree() {
    let header = |version| Pairs(vec![(VERSION_HEADER, version)]);
    let none = Pairs(vec![]);
    assert_eq!(era(&none, &call(json!({}))), Ok(Era::Legacy));
    assert_eq!(
        era(&header("2025-06-18"), &call(json!({}))),
        Ok(Era::Legacy)
    );
    assert_eq!(era(&header(MODERN), &call(modern())), Ok(Era::Modern));
    assert_eq!(era(&header(MODERN), &call(json!({}))), Ok(Era::Modern));
    let code = |headers: &Pairs, request| era(headers, &request).map_err(|error| error.code);
    assert_eq!(code(&none, call(modern())), Err(HEADER_MISMATCH));
    assert_eq!(
        code(&header("2025-11-25"), call(modern())),
        Err(HEADER_MISMATCH)
    );
    assert_eq!(
        code(&header("2030-01-01"), call(json!({}))),
        Err(UNSUPPORTED_VERSION)
    );
    let twice = Pairs(vec![(VERSION_HEADER, MODERN), (VERSION_HEADER, MODERN)]);
    assert_eq!(code(&twice, call(modern())), Err(HEADER_MISMATCH));
}

#[test]
fn mcp_05_headers_that_disagree_with_the_body_are_refused() {
    let check = |pairs: Vec<(&'static str, &'static str)>, era| {
        check_headers(era, &Pairs(pairs), &call(modern())).map_err(|error| error.code)
    };
    let good = vec![(METHOD_HEADER, "tools/call"), (NAME_HEADER, "add")];
    assert_eq!(check(good.clone(), Era::Modern), Ok(()));
    assert_eq!(check(good, Era::Legacy), Ok(()));
    assert_eq!(check(vec![], Era::Legacy), Ok(()));
    let sentinel = vec![
        (METHOD_HEADER, "tools/call"),
        (NAME_HEADER, "=?base64?YWRk?="),
    ];
    assert_eq!(check(sentinel, Era::Modern), Ok(()));
    for bad in [
        vec![],
        vec![(METHOD_HEADER, "tools/call")],
        vec![(METHOD_HEADER, "tools/list"), (NAME_HEADER, "add")],
        vec![(METHOD_HEADER, "tools/call"), (NAME_HEADER, "safe")],
        vec![
            (METHOD_HEADER, "tools/call"),
            (NAME_HEADER, "=?base64?YWRk"),
        ],
        vec![
            (METHOD_HEADER, "tools/call"),
            (NAME_HEADER, "=?base64?YWRl?="),
        ],
        vec![
            (METHOD_HEADER, "tools/call"),
            (NAME_HEADER, "=?base64?YWR=?="),
        ],
        vec![
            (METHOD_HEADER, "tools/call"),
            (NAME_HEADER, "add"),
            (NAME_HEADER, "add"),
        ],
    ] {
        assert_eq!(
            check(bad.clone(), Era::Modern),
            Err(HEADER_MISMATCH),
            "{bad:?}"
        );
    }
    let lie = vec![(METHOD_HEADER, "tools/list")];
    assert_eq!(check(lie, Era::Legacy), Err(HEADER_MISMATCH));
}

#[test]
fn arguments_that_a_schema_mirrors_are_compared() {
    let schema = json!({"type": "object", "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "deep": {"type": "object", "properties": {"n": {"type": "integer", "x-mcp-header": "N"}}},
    }});
    let mirrors = mirrored_arguments(&schema).expect("mirrors");
    let arguments = json!({"region": "eu", "deep": {"n": 7}});
    let arguments = arguments.as_object().expect("an object");
    let check = |pairs, era| {
        check_mirrors(era, &Pairs(pairs), &mirrors, arguments).map_err(|error| error.code)
    };
    let good = vec![("mcp-param-region", "eu"), ("mcp-param-n", "7")];
    assert_eq!(check(good, Era::Modern), Ok(()));
    assert_eq!(check(vec![], Era::Legacy), Ok(()));
    for bad in [
        vec![],
        vec![("mcp-param-region", "us"), ("mcp-param-n", "7")],
        vec![("mcp-param-region", "eu"), ("mcp-param-n", "07")],
        vec![
            ("mcp-param-region", "eu"),
            ("mcp-param-n", "7"),
            ("mcp-param-x", "1"),
        ],
    ] {
        assert_eq!(
            check(bad.clone(), Era::Modern),
            Err(HEADER_MISMATCH),
            "{bad:?}"
        );
    }
    let none = check_mirrors(
        Era::Modern,
        &Pairs(vec![("mcp-param-region", "eu")]),
        &mirrors,
        &Map::new(),
    );
    assert!(none.is_err());
}

#[test]
fn mirrors_that_could_be_confused_are_refused() {
    for properties in [
        json!({"a": {"type": "string", "x-mcp-header": "X"}, "b": {"type": "string", "x-mcp-header": "x"}}),
        json!({"a": {"type": "number", "x-mcp-header": "X"}}),
        json!({"a": {"type": "string", "x-mcp-header": "X: y"}}),
        json!({"a": {"type": "string", "x-mcp-header": 1}}),
    ] {
        assert!(mirrored_arguments(&json!({"properties": properties})).is_err());
    }
}

#[test]
fn messages_of_servers_are_told_apart() {
    let answer = json!({"jsonrpc": "2.0", "id": 1, "result": {"x": 1}});
    assert!(matches!(
        parse_from_server(answer),
        Some(FromServer::Answer {
            outcome: Ok(_),
            id: Some(Id::Number(1))
        })
    ));
    let error = json!({"jsonrpc": "2.0", "id": null, "error": {"code": -1, "message": "m"}});
    assert!(matches!(
        parse_from_server(error),
        Some(FromServer::Answer {
            outcome: Err(_),
            id: None
        })
    ));
    let request = json!({"jsonrpc": "2.0", "id": "a", "method": "roots/list"});
    assert!(matches!(
        parse_from_server(request),
        Some(FromServer::Request { .. })
    ));
    let told = json!({"jsonrpc": "2.0", "method": "notifications/progress"});
    assert!(matches!(
        parse_from_server(told),
        Some(FromServer::Notification { .. })
    ));
    for bad in [
        json!([]),
        json!({"id": 1}),
        json!({"id": 1, "result": {}, "error": {"code": 1, "message": "m"}}),
        json!({"id": 1, "result": 5}),
    ] {
        assert!(parse_from_server(bad).is_none());
    }
}

#[test]
fn results_cross_between_the_eras() {
    let mut result = Map::new();
    modernise(&mut result);
    forbid_caching(&mut result);
    let expected = json!({"resultType": "complete", "ttlMs": 0, "cacheScope": "private"});
    assert_eq!(Value::Object(result.clone()), expected);
    antiquate(&mut result);
    assert!(result.is_empty());
}

proptest! {
    #[test]
    fn a_header_value_written_then_read_is_the_same(value in any::<String>()) {
        let header = encode_header(&value);
        prop_assert!(header.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
        prop_assert_eq!(header.trim(), header.as_str());
        prop_assert_eq!(decode_header(&header), Some(value));
    }

    #[test]
    fn any_header_is_read_or_refused_without_panic(raw in ".{0,60}") {
        let _ = decode_header(&raw);
    }
}
