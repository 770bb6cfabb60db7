//! The machine's clock leaps: it is recorded once, what has ended stays ended, and soon nothing is permitted.

use std::time::Duration;

use crate::house::House;

const R1: &str = "https://r1.example";

#[tokio::test]
async fn time_01_02_aud_04_leap_of_the_clock_is_recorded_and_refuses_until_it_is_right_again() {
    let house = House::found().await;
    let begun = house.now().before(Duration::from_secs(1));
    let server = house.resource(R1).await;
    let agent = house.register("refund-bot").await;
    let ended = house.token(&agent, R1).await;
    house.advance(Duration::from_secs(301)).await;
    house.forget_nonce();
    assert!(!house.is_active(&server, &ended).await);
    let token = house.token(&agent, R1).await;
    for (leap, to) in [
        house.now().before(Duration::from_secs(3_600)),
        house.now().after(Duration::from_secs(31_536_000)),
    ]
    .into_iter()
    .enumerate()
    {
        house.leap(Some(to));
        while house.events_of("clock.anomaly").await.len() <= leap {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(
            !house.is_active(&server, &ended).await,
            "what has ended stays ended"
        );
        // The last good look at the database grows old, and then nothing is believed.
        house.advance_unseen(Duration::from_secs(31));
        house
            .introspect(&server, &token)
            .await
            .oauth_error(503, "temporarily_unavailable");
        house.leap(None);
        house.advance(Duration::ZERO).await;
        assert!(
            house.is_active(&server, &token).await,
            "it recovers by itself"
        );
        assert!(!house.is_active(&server, &ended).await);
    }
    let recorded = house.events_of("clock.anomaly").await;
    assert_eq!(recorded.len(), 2, "once for each leap");
    assert_eq!(recorded[0]["outcome"], "clock_anomaly");
    // Order in the log is by index, and no entry says another time than the believed clock: what is noticed beside a request
    // may have its place a moment behind it, and nothing is an hour early or a year late.
    let times: Vec<i64> = house
        .events()
        .await
        .iter()
        .map(|event| event["at"].as_i64().expect("a time"))
        .collect();
    let moment = i64::try_from(Duration::from_millis(1).as_micros()).expect("a number");
    assert!(times.windows(2).all(|pair| pair[0] < pair[1] + moment));
    let believed = begun.as_micros()..=house.now().as_micros();
    assert!(times.iter().all(|at| believed.contains(at)));
}
