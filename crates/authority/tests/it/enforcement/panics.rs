//! A failure that nobody foresaw: the request that met it ends, and nothing else does.

use std::sync::Arc;

use serde_json::json;

use crate::house::House;

const R1: &str = "https://r1.example";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_02_panic_in_the_middle_of_a_request_ends_that_request_alone() {
    let house = Arc::new(House::found().await);
    let server = house.resource(R1).await;
    let agent = Arc::new(house.register("refund-bot").await);
    house.register("other-bot").await;
    house.nonce(&agent).await;
    let token = house.token(&agent, R1).await;
    let size = house.sealed().await;
    // The first, second, … draw of randomness fails, so that each step of a request is where it ends once.
    let (mut ended, mut came_through) = (0, 0);
    for draw in 1..12 {
        for what in 0..3 {
            house.entropy.panic_at(draw);
            let asking = tokio::spawn(act(Arc::clone(&house), Arc::clone(&agent), what, draw));
            let outcome = asking.await;
            house.entropy.panic_at(0);
            match outcome {
                Ok(()) => came_through += 1,
                Err(error) => {
                    assert!(error.is_panic());
                    ended += 1;
                }
            }
            let resumed = house.resume("other-bot").await;
            assert!([200, 409].contains(&resumed.status.as_u16()));
            // The writer is free, nothing is half done, and everybody else is served.
            assert!(house.is_active(&server, &token).await);
            house.token(&agent, R1).await;
        }
    }
    assert!(ended > 4 && came_through > 0, "{ended}, {came_through}");
    assert!(house.sealed().await > size);
    let owners = house.get("/v1/owners?limit=500").await;
    let listed = owners["items"].as_array().expect("a list").len();
    let recorded = house.events_of("owner.added").await.len();
    assert_eq!(listed, recorded, "a change and its event, or neither");
}

async fn act(house: Arc<House>, agent: Arc<crate::house::Party>, what: u64, draw: u64) {
    match what {
        0 => {
            let body = json!({"handle": format!("p{draw}@example.com")});
            house.admin("POST", "/v1/owners", body).await.ok();
        }
        1 => drop(house.ask_token(&agent, R1).await.ok()),
        _ => drop(house.suspend("other-bot").await.ok()),
    }
}
