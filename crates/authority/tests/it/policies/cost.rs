//! DOS-05: hostile patterns and hostile texts cost what their lengths say, and no more.

use std::time::Duration;

use serde_json::json;

use crate::house::House;
use crate::upstream::Upstream;

fn note() -> serde_json::Value {
    json!({
        "name": "note",
        "description": "Keeps a note",
        "inputSchema": {
            "type": "object",
            "properties": {"text": {"type": "string"}},
            "required": ["text"],
        },
    })
}

#[tokio::test]
async fn dos_05_hostile_patterns_of_policies_do_not_explode() {
    let house = House::found().await;
    let upstream = Upstream::start(vec![note()]).await;
    house
        .admin("POST", "/v1/mcp", upstream.as_server("desk"))
        .await
        .ok();
    let document = json!({
        "name": "note-bot",
        "owner": "alice@example.com",
        "tools": [{"server": "desk", "tool": "note"}],
    });
    let agent = house.register_document(document).await;
    // Each would take for ever where a matcher tries every way to cut the text.
    let patterns = [
        format!("{}b", "*a".repeat(400)),
        format!("*{}b", "a".repeat(400)),
        format!("{}b", "*".repeat(1_000)),
        format!("{}b*", "*a*b".repeat(200)),
    ];
    for pattern in &patterns {
        let text = format!(
            "forbid (principal, action == Chancery::Action::\"call/desk/note\", resource) \
             when {{ context.args.text like \"{pattern}\" }};"
        );
        house
            .admin("PUT", "/v1/policies/hostile", json!({"text": text}))
            .await
            .ok();
        let decide = async |text: String| {
            let question = json!({
                "subject": {"type": "agent", "id": agent.id},
                "action": {"name": "call_tool"},
                "resource": {"type": "tool", "id": "desk/note"},
                "context": {"args": {"text": text}},
            });
            let started = tokio::time::Instant::now();
            let answer = house
                .admin("POST", "/access/v1/evaluation", question)
                .await
                .ok();
            (answer["decision"] == true, started.elapsed())
        };
        let (permitted, took) = decide("a".repeat(20_000)).await;
        assert!(permitted, "nothing ends with b");
        // Eight million steps at most; a matcher that tries every way would need more than there are atoms.
        assert!(took < Duration::from_secs(10), "{took:?}");
        let (permitted, _) = decide(format!("{}b", "ab".repeat(1_000))).await;
        let (refused, _) = decide("a".repeat(400) + "b").await;
        assert!(!permitted || !refused, "what matches is forbidden");
    }
}
