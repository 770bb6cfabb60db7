//! Receipts: for every event, at once, and for a stranger.

use serde_json::Value;

use crate::audit::record::tour;
use crate::audit::verify_receipt;
use crate::house::{House, life};

#[tokio::test]
async fn every_event_has_a_receipt_that_a_stranger_accepts() {
    let house = House::found().await;
    tour(&house).await;
    for event in house.events().await {
        let id = event["id"].as_str().expect("an id");
        let receipt = house.get(&format!("/v1/receipts/{id}")).await;
        assert_eq!(verify_receipt(&house, &receipt).await, event);
    }
    for nothing in [
        "evt_01hzy0000000000000000000aa",
        "evt_",
        "x",
        "agt_01hzy0000000000000000000aa",
    ] {
        let path = format!("/v1/receipts/{nothing}");
        house
            .admin("GET", &path, Value::Null)
            .await
            .refused(404, "not_found");
    }
}

/// A bundle holds 256 entries; the first entry of the next one is alone in it.
#[tokio::test]
async fn stop_has_its_receipt_at_once_wherever_in_a_bundle_it_falls() {
    let house = House::found().await;
    house.register("refund-bot").await;
    let mut size = house.sealed().await;
    while size < 250 {
        // Refusals of strangers are the cheapest entries.
        house.advance_unseen(std::time::Duration::from_millis(20));
        house
            .as_login("chl_nobody-knows-this", "GET", "/v1/agents", Value::Null)
            .await;
        size += 1;
    }
    house.sealed().await;
    for _ in 0..5 {
        house.advance_unseen(std::time::Duration::from_micros(1_700));
        let stopped = house.suspend("refund-bot").await.ok();
        let event = verify_receipt(&house, &stopped["receipt"]).await;
        assert_eq!(event["kind"], "agent.suspended");
        house.advance_unseen(std::time::Duration::from_micros(1_700));
        house.resume("refund-bot").await.ok();
    }
    assert!(house.sealed().await > 257);
    house.events().await;
}

#[test]
fn receipt_of_before_a_restart_is_still_given_and_leads_to_the_grown_log() {
    let (database, clock, id) = life(async {
        let house = House::found().await;
        house.register("refund-bot").await;
        let stopped = house.suspend("refund-bot").await.ok();
        let event = verify_receipt(&house, &stopped["receipt"]).await;
        (
            house.database.clone(),
            house.clock.clone(),
            event["id"].as_str().expect("an id").to_owned(),
        )
    });
    life(async {
        let house = House::open(database, clock, 2, |_| {}).await;
        // Another process sealed last; its lease has to end before this one may.
        house.advance(std::time::Duration::from_secs(11)).await;
        house.resume("refund-bot").await.ok();
        house.sealed().await;
        let receipt = house.get(&format!("/v1/receipts/{id}")).await;
        assert_eq!(
            verify_receipt(&house, &receipt).await["kind"],
            "agent.suspended"
        );
    });
}

#[test]
fn process_that_was_killed_holds_up_receipts_for_two_seconds_at_most() {
    let (database, clock) = life(async {
        let house = House::found().await;
        house.register("refund-bot").await;
        house.sealed().await;
        (house.database.clone(), house.clock.clone())
    });
    life(async {
        let house = House::open(database, clock, 2, |_| {}).await;
        house.advance_unseen(std::time::Duration::from_micros(2_000_001));
        let stopped = house.suspend("refund-bot").await.ok();
        verify_receipt(&house, &stopped["receipt"]).await;
    });
}
