//! What the record says: everything, once, with everything that a reader needs.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::house::{ADMIN, House, Party};
use crate::request::ask;
use crate::upstream::{self, Upstream};

const R1: &str = "https://r1.example";

/// One of everything that this authority does, by people and agents, with refusals.
pub(crate) async fn tour(house: &House) -> Party {
    let agent = house.register("refund-bot").await;
    house.add_person("bob@example.com").await;
    house
        .admin(
            "POST",
            "/v1/owners",
            json!({"handle": "team:desk", "members": ["bob@example.com"]}),
        )
        .await
        .ok();
    house
        .admin(
            "POST",
            "/v1/owners",
            json!({"handle": "team:desk", "members": ["alice@example.com"]}),
        )
        .await
        .ok();
    let bob = house.login("bob@example.com", &["administrator"]).await;
    let server = house.resource(R1).await;

    // Versions: one that waits and is refused, one that is accepted, a draft that is put into force.
    let widen = async |tool: &str| {
        let view = house.get("/v1/agents/refund-bot").await;
        let mut document = view["document"].clone();
        document["tools"] = json!([{"server": "desk", "tool": tool}]);
        let update = ask("PUT", "/v1/agents/refund-bot").bearer(&bob);
        let update = update.header("if-match", view["revision"].to_string());
        let view = house
            .send(update.json(&json!({"document": document})))
            .await
            .ok();
        view["pending_version"].as_i64().expect("one that waits")
    };
    let number = widen("add").await;
    let path = format!("/v1/agents/refund-bot/versions/{number}/reject");
    house
        .admin("POST", &path, json!({"reason": "not needed"}))
        .await
        .ok();
    let number = widen("look").await;
    let path = format!("/v1/agents/refund-bot/versions/{number}/accept");
    house.admin("POST", &path, Value::Null).await.ok();
    let draft = json!({"document": {"name": "draft-bot", "owner": "bob@example.com"}});
    house.as_login(&bob, "POST", "/v1/agents", draft).await.ok();
    house.activate(ADMIN, "draft-bot").await.ok();

    let upstream = Upstream::start(vec![upstream::add()]).await;
    house
        .admin("POST", "/v1/mcp", upstream.as_server("desk"))
        .await
        .ok();
    house
        .admin("POST", "/v1/mcp/desk/accept", Value::Null)
        .await
        .ok();
    house
        .admin("DELETE", "/v1/mcp/desk", Value::Null)
        .await
        .ok();
    let text = json!({"text": "@id(\"none\") forbid(principal is Chancery::Agent, action == Chancery::Action::\"issue_token\", resource) when { false };"});
    house.admin("PUT", "/v1/policies/none", text).await.ok();
    house
        .admin("DELETE", "/v1/policies/none", Value::Null)
        .await
        .ok();
    house
        .admin(
            "POST",
            "/v1/keys/rotate",
            json!({"purpose": "access_token"}),
        )
        .await
        .ok();

    let token = house.token(&agent, R1).await;
    house.introspect(&server, &token).await.ok();
    house
        .send(house.token_request(&agent, "https://r9.example", ""))
        .await
        .oauth_error(400, "invalid_target");
    house
        .admin(
            "POST",
            "/v1/tokens/revoke",
            json!({"token": token, "reason": "leaked"}),
        )
        .await
        .ok();
    let question = json!({
        "subject": {"type": "agent", "id": agent.id},
        "action": {"name": "call_tool"},
        "resource": {"type": "tool", "id": "desk/add"},
    });
    house
        .admin("POST", "/access/v1/evaluation", question)
        .await
        .ok();
    house
        .as_login(
            "chl_nobody-knows-this-one",
            "GET",
            "/v1/agents",
            Value::Null,
        )
        .await
        .refused(401, "unauthenticated");
    let auditor = house.login("bob@example.com", &["auditor"]).await;
    house
        .as_login(
            &auditor,
            "POST",
            "/v1/owners",
            json!({"handle": "carol@example.com"}),
        )
        .await
        .refused(403, "access_denied");

    let keys = json!({"jwks": crate::house::jwks(&agent.key)});
    house
        .admin("PUT", "/v1/agents/refund-bot/keys", keys)
        .await
        .ok();
    house.suspend("refund-bot").await.ok();
    house.resume("refund-bot").await.ok();
    let to = json!({"owner": "bob@example.com"});
    house
        .admin("POST", "/v1/agents/refund-bot/transfer", to)
        .await
        .ok();
    house
        .admin(
            "POST",
            "/v1/agents/refund-bot/retire",
            json!({"reason": "done"}),
        )
        .await
        .ok();
    house
        .admin(
            "POST",
            "/v1/owners/bob@example.com/disable",
            json!({"reason": "left"}),
        )
        .await
        .ok();
    agent
}

/// The members that an entry of each kind must have beside `actor`, `at`, `id`, `kind` and `outcome`.
fn needed(kind: &str) -> &'static [&'static str] {
    match kind {
        "authority.founded" => &["facts.issuer", "facts.log_origin"],
        "agent.registered" => &[
            "agent",
            "decision",
            "facts.status",
            "facts.version",
            "facts.keys",
        ],
        "agent.activated" | "agent.version_accepted" | "agent.resumed" => {
            &["agent", "agent.version"]
        }
        "agent.version_proposed" => &[
            "agent",
            "decision",
            "facts.version",
            "facts.number",
            "facts.widens",
        ],
        "agent.version_rejected" => &[
            "agent",
            "decision",
            "reason",
            "facts.version",
            "facts.number",
        ],
        "agent.keys_changed" => &["agent", "decision", "facts.keys"],
        "agent.suspended" | "agent.retired" => &["agent", "agent.version", "decision", "reason"],
        "agent.transferred" => &["agent", "decision", "facts.from", "facts.to"],
        "owner.added" => &["facts.owner", "facts.handle"],
        "owner.members_changed" => &["decision", "facts.owner", "facts.members"],
        "owner.disabled" => &["decision", "reason", "facts.owner", "facts.handle"],
        "login.issued" => &[
            "decision",
            "facts.owner",
            "facts.handle",
            "facts.roles",
            "facts.login",
            "facts.expires_at",
        ],
        "resource.registered" => &["decision", "facts.resource", "facts.url"],
        "mcp.added" => &["decision", "facts.server", "facts.upstream", "facts.tools"],
        "mcp.tools_accepted" => &["decision", "facts.server", "facts.before", "facts.tools"],
        "mcp.removed" => &["decision", "facts.server"],
        "policy.added" => &[
            "decision",
            "facts.policy",
            "facts.policy_id",
            "facts.digest",
        ],
        "policy.removed" => &["decision", "facts.policy", "facts.policy_id"],
        "key.created" | "key.rotated" => &["facts.purpose", "facts.kid"],
        "client.authenticated" => &["facts.endpoint"],
        "token.issued" => &[
            "agent",
            "agent.version",
            "decision",
            "token.jti",
            "token.audience",
            "token.jkt",
        ],
        "token.refused" => &["facts.endpoint", "facts.error"],
        "token.revoked" => &["decision", "reason", "token.jti"],
        "decision.made" => &["subject", "call.action", "call.resource", "decision"],
        "request.refused" => &["facts.method", "facts.path"],
        other => panic!("no test knows `{other}`"),
    }
}

#[tokio::test]
async fn aud_08_every_kind_of_event_says_who_what_why_and_by_which_decision() {
    let house = House::found().await;
    tour(&house).await;
    let events = house.events().await;
    let mut kinds = BTreeSet::new();
    for event in &events {
        let kind = event["kind"].as_str().expect("a kind");
        kinds.insert(kind);
        assert!(
            event["actor"]["kind"].is_string() && event["at"].is_i64(),
            "{event}"
        );
        assert!(
            event["id"].as_str().expect("an id").starts_with("evt_"),
            "{event}"
        );
        assert!(event["outcome"].is_string(), "{event}");
        for path in needed(kind) {
            let pointer = format!("/{}", path.replace('.', "/"));
            let member = event.pointer(&pointer);
            assert!(
                member.is_some_and(|member| !member.is_null()),
                "no `{path}` in {event}"
            );
        }
        if let Some(decision) = event.get("decision") {
            for member in ["code", "effect", "id", "policies", "reason", "snapshot"] {
                assert!(!decision[member].is_null(), "no `{member}` in {event}");
            }
        }
        if let Some(agent) = event.get("agent") {
            for member in ["id", "name", "owner"] {
                assert!(agent[member].is_string(), "no `{member}` in {event}");
            }
        }
    }
    let toured = [
        "authority.founded",
        "agent.registered",
        "agent.activated",
        "agent.version_proposed",
        "agent.version_accepted",
        "agent.version_rejected",
        "agent.keys_changed",
        "agent.suspended",
        "agent.resumed",
        "agent.retired",
        "agent.transferred",
        "owner.added",
        "owner.members_changed",
        "owner.disabled",
        "login.issued",
        "resource.registered",
        "mcp.added",
        "mcp.tools_accepted",
        "mcp.removed",
        "policy.added",
        "policy.removed",
        "key.created",
        "key.rotated",
        "client.authenticated",
        "token.issued",
        "token.refused",
        "token.revoked",
        "decision.made",
        "request.refused",
    ];
    assert_eq!(kinds, BTreeSet::from(toured));
    // Who acted is told apart: the administrator, a person, an agent, a resource server, a stranger.
    let of = |kind: &str| {
        events
            .iter()
            .filter(|event| event["actor"]["kind"] == kind)
            .count()
    };
    for kind in [
        "local_administrator",
        "human",
        "agent",
        "resource",
        "authority",
        "unknown",
    ] {
        assert!(of(kind) > 0, "nothing by {kind}");
    }
}

#[tokio::test]
async fn aud_10_every_acknowledged_act_has_exactly_one_entry_and_no_index_is_missing() {
    let house = House::found().await;
    tour(&house).await;
    let size = house.sealed().await;
    let mut path = "/v1/events?limit=7".to_owned();
    let (mut indexes, mut ids) = (Vec::new(), BTreeSet::new());
    loop {
        let page = house.get(&path).await;
        for item in page["items"].as_array().expect("a list") {
            indexes.push(item["index"].as_u64().expect("an index"));
            assert!(ids.insert(item["event"]["id"].to_string()), "twice: {item}");
        }
        let Some(next) = page["next"].as_str() else {
            break;
        };
        path = format!("/v1/events?limit=7&after={next}");
    }
    assert_eq!(indexes, (0..size).collect::<Vec<_>>());
    let registered = house.events_of("agent.registered").await;
    assert_eq!(registered.len(), 2);
    assert_eq!(house.events_of("agent.suspended").await.len(), 1);
}

#[tokio::test]
async fn aud_06_texts_of_others_stay_texts_and_one_event_stays_one_line() {
    let house = House::found().await;
    house.register("refund-bot").await;
    let forged = "x\",\"kind\":\"agent.retired\"},{\"outcome\":\"ok";
    let reason = format!("odd {forged} \u{202e}\u{1f4a3} {}", "é".repeat(100));
    let path = "/v1/agents/refund-bot/suspend";
    let request = ask("POST", path)
        .bearer(ADMIN)
        .json(&json!({"reason": reason}));
    let request = request
        .header("user-agent", b"a\xff\xfe[2J".to_vec())
        .header("traceparent", "00-x\",\"y");
    house.send(request).await.ok();
    // Control characters are refused where a person gives a reason.
    for control in ["a\nb", "a\u{0}b", "\u{1b}[31m", ""] {
        house.resume("refund-bot").await;
        house
            .admin("POST", path, json!({"reason": control}))
            .await
            .refused(400, "invalid_request");
    }
    // A stranger's path goes into the record, shortened and escaped.
    let long = format!(
        "/v1/agents/%0a%22%7D,%7B%22kind%22:%22x%22/{}",
        "y".repeat(5_000)
    );
    house.send(ask("GET", &long)).await;
    house
        .send(ask("GET", "/v1/agents/%0a%22kind").bearer("chl_nobody-knows-this"))
        .await
        .refused(401, "unauthenticated");
    let suspended = house.last_event("agent.suspended").await;
    assert_eq!(suspended["reason"], reason);
    assert_eq!(suspended["traceparent"], "00-x\",\"y");
    assert!(house.events_of("agent.retired").await.is_empty());
    for batch in house.database.bundles().await {
        for line in batch.lines() {
            let event: Value = serde_json::from_str(line).expect("one event on one line");
            assert!(
                !line.bytes().any(|byte| byte < 0x20 || byte == 0x7f),
                "{line}"
            );
            assert!(event["facts"]["path"].as_str().unwrap_or("").len() <= 200);
        }
    }
}

#[tokio::test]
async fn aud_05_act_that_cannot_be_recorded_does_not_happen() {
    let house = House::found().await;
    let agent = house.register("refund-bot").await;
    house.resource(R1).await;
    house.token(&agent, R1).await;
    let size = house.sealed().await;
    house.database.lose_record().await;
    let started = tokio::time::Instant::now();
    house
        .ask_token(&agent, R1)
        .await
        .oauth_error(503, "temporarily_unavailable");
    let refused = house
        .admin("POST", "/v1/owners", json!({"handle": "carol@example.com"}))
        .await;
    refused.refused(503, "unavailable");
    assert!(!refused.header("retry-after").is_empty());
    house
        .suspend("refund-bot")
        .await
        .refused(503, "unavailable");
    house
        .admin("GET", "/v1/agents/refund-bot", Value::Null)
        .await
        .ok();
    assert!(started.elapsed() < Duration::from_secs(10), "nothing hangs");
    house.database.restore_record().await;
    // Nothing of it happened, and all of it works again.
    assert_eq!(house.get("/v1/agents/refund-bot").await["status"], "active");
    assert_eq!(house.sealed().await, size);
    house.token(&agent, R1).await;
    house.suspend("refund-bot").await.ok();
}
