//! REV-02: whoever guesses without a credential learns nothing, not even from the time it takes.

use std::time::Duration;

use crate::house::House;
use crate::request::{Ask, ask};

const R1: &str = "https://r1.example";

fn guess(token: &str) -> Ask {
    ask("POST", "/oauth/introspect").form(&[("token", token)])
}

#[tokio::test]
async fn rev_02_ten_thousand_guesses_learn_nothing_and_cost_the_record_a_hundred_lines() {
    let house = House::found().await;
    let server = house.resource(R1).await;
    let agent = house.register("refund-bot").await;
    let live = house.token(&agent, R1).await;
    let stopped = house.register("stopped-bot").await;
    let ended = house.token(&stopped, R1).await;
    house.suspend("stopped-bot").await.ok();
    let kinds = [live.as_str(), &ended, &live[..live.len() - 2], "x"];
    let mut times = vec![Vec::new(); kinds.len()];
    let mut answers = Vec::new();
    for _ in 0..2_500 {
        for (kind, token) in kinds.iter().enumerate() {
            let started = tokio::time::Instant::now();
            let answer = house.send(guess(token)).await;
            times[kind].push(started.elapsed());
            assert_eq!(answer.status, 401);
            let mut names: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
            names.sort();
            answers.push((answer.bytes, names));
        }
        answers.dedup();
        assert_eq!(answers.len(), 1, "two guesses are told apart");
    }
    let medians = times.iter_mut().map(|times| {
        times.sort();
        times[times.len() / 2]
    });
    let medians: Vec<Duration> = medians.collect();
    let (least, most) = (medians.iter().min(), medians.iter().max());
    let apart = *most.expect("some") - *least.expect("some");
    assert!(apart < Duration::from_millis(5), "{medians:?}");
    let refused = house.events_of("token.refused").await;
    assert!(refused.len() <= 100, "{} lines", refused.len());
    // Who may ask is told, and at once.
    assert!(house.is_active(&server, &live).await);
    assert!(!house.is_active(&server, &ended).await);
}
