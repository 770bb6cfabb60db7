//! IDR-01: an identity document that someone changed in the database.

use serde_json::{Value, json};

use crate::house::{House, Party, life, logged};

const R1: &str = "https://r1.example";

async fn is_neither_served_nor_able_to_act(house: &House, agent: &Party) {
    let answer = house.send(house.token_request(agent, R1, "")).await;
    answer.oauth_error(401, "invalid_client");
    house
        .admin("GET", "/v1/agents/refund-bot", Value::Null)
        .await
        .refused(500, "internal_error");
}

#[test]
fn idr_01_changed_document_is_not_served_and_its_agent_cannot_act() {
    let widened =
        r#"UPDATE agent_version SET document = replace(document, 'refunds', 'everything')"#;
    let another_owner =
        "UPDATE agent_version SET document = replace(document, 'alice@', 'mallory@')";
    let unsigned = "UPDATE agent_version SET signature = ''";
    // The signature of another version, which is genuine there.
    let swapped = "UPDATE agent_version SET signature = (SELECT signature FROM agent_version AS other \
        WHERE other.agent_id <> agent_version.agent_id) WHERE document LIKE '%refunds%'";
    let renumbered = "UPDATE agent_version SET number = 2; UPDATE agent SET version_number = 2";
    for damage in [widened, another_owner, unsigned, swapped, renumbered] {
        let (database, clock, agent) = life(async {
            let house = House::found().await;
            house.resource(R1).await;
            house.register("other-bot").await;
            let document = json!({"name": "refund-bot", "owner": "alice@example.com", "description": "pays refunds"});
            let agent = house.register_document(document).await;
            house.token(&agent, R1).await;
            house.get("/v1/agents/refund-bot").await;
            (house.database.clone(), house.clock.clone(), agent)
        });
        life(async {
            database.run(damage).await;
            let house = House::open(database, clock, 2, |_| {}).await;
            is_neither_served_nor_able_to_act(&house, &agent).await;
            let versions = "/v1/agents/refund-bot/versions";
            house
                .admin("GET", versions, Value::Null)
                .await
                .refused(500, "internal_error");
            assert!(logged().contains("does not verify"), "an alarm");
            // It can still be stopped.
            house.advance(std::time::Duration::from_secs(11)).await;
            house.suspend("refund-bot").await.ok();
        });
    }
}

#[test]
fn idr_01_agent_does_not_act_by_a_version_that_nobody_accepted() {
    let (database, clock, agent) = life(async {
        let house = House::found().await;
        house.resource(R1).await;
        let agent = house.register("refund-bot").await;
        house.token(&agent, R1).await;
        (house.database.clone(), house.clock.clone(), agent)
    });
    life(async {
        let not_accepted =
            "UPDATE agent_version SET state = 'pending', decided_at = NULL, decided_by = NULL";
        database.run(not_accepted).await;
        let house = House::open(database, clock, 2, |_| {}).await;
        is_neither_served_nor_able_to_act(&house, &agent).await;
    });
}
