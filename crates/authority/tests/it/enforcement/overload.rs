//! DOS-08: ten times what can be done. Told by numbers and order, not by the time that it takes.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::house::House;
use crate::request::ask;

const R1: &str = "https://r1.example";

/// Requests at a time; a process of one worker works on a tenth of them at most.
const ASKED: usize = 2_560;

#[tokio::test]
async fn dos_08_ten_times_the_load_is_shed_early_while_stops_and_reads_go_on() {
    let house = Arc::new(House::found().await);
    let server = house.resource(R1).await;
    let questions = house.questions(&server).await;
    let agent = Arc::new(house.register("refund-bot").await);
    house.register("other-bot").await;
    let live = house.token(&agent, R1).await;
    let request = house.right_request(&agent, R1).await;
    for _ in 0..2 {
        let asked: Vec<_> = (0..ASKED)
            .map(|_| {
                let (house, request) = (Arc::clone(&house), request.clone());
                tokio::spawn(async move { request.send_once(&house.router).await })
            })
            .collect();
        tokio::task::yield_now().await;
        // The lane of stops is its own: it is not behind what waits.
        house.suspend("other-bot").await.ok();
        house.resume("other-bot").await.ok();
        let health = house.send(ask("GET", "/healthz")).await;
        assert_eq!(health.status, 200);
        let mut shed = 0;
        for asked in asked {
            let answer = asked.await.expect("a task");
            match answer.status.as_u16() {
                503 => {
                    shed += 1;
                    assert_eq!(answer.header("retry-after"), "1");
                    assert_eq!(answer.json()["error"], "temporarily_unavailable");
                }
                // One use is one use under any load.
                200 | 401 => {}
                _ => panic!("{answer:?}"),
            }
        }
        assert!(shed > 0, "it took all of it");
        // And then it is over: nothing has piled up.
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(house.is_told_active(&questions, &live).await);
        house.token(&agent, R1).await;
    }
    assert_eq!(house.get("/v1/agents/other-bot").await["status"], "active");
    let issued = house.events_of("token.issued").await.len();
    assert!(issued < 10, "one assertion gave {issued} tokens");
    let body = json!({"handle": "carol@example.com"});
    house.admin("POST", "/v1/owners", body).await.ok();
}
