//! The log as files: what strangers may read of it, and what they may not.

use serde_json::Value;

use crate::audit::record::tour;
use crate::audit::tamper::download;
use crate::house::{ADMIN, House};
use crate::request::ask;

#[tokio::test]
async fn aud_09_strangers_see_hashes_and_never_entries() {
    let house = House::found().await;
    tour(&house).await;
    let size = house.sealed().await;
    let checkpoint = house.send(ask("GET", "/log/checkpoint")).await;
    assert_eq!(checkpoint.status, 200);
    assert_eq!(
        checkpoint.text().lines().nth(1),
        Some(size.to_string().as_str())
    );
    assert!(checkpoint.text().starts_with("id.example/log\n"));
    let tile = house
        .send(ask("GET", &format!("/log/tile/0/000.p/{size}")))
        .await;
    assert_eq!(
        (tile.status.as_u16(), tile.bytes.len() as u64),
        (200, 32 * size)
    );
    let entries = format!("/log/tile/entries/000.p/{size}");
    house
        .send(ask("GET", &entries))
        .await
        .refused(401, "unauthenticated");
    house
        .send(ask("GET", &entries).bearer("chl_nobody-knows-this"))
        .await
        .refused(401, "unauthenticated");
    house.add_person("dora@example.com").await;
    let operator = house.login("dora@example.com", &["operator"]).await;
    house
        .send(ask("GET", &entries).bearer(&operator))
        .await
        .refused(403, "access_denied");
    let whole = house.send(ask("GET", &entries).bearer(ADMIN)).await;
    assert_eq!(whole.status, 200);
    assert!(whole.header("cache-control").starts_with("private"));
    for nonsense in [
        "/log/",
        "/log/nothing",
        "/log/tile/0/x000",
        "/log/tile/9/000",
        "/log/tile/0/000.p/0",
        "/log/tile/0/../checkpoint",
        "/log/tile/0/%2e%2e/checkpoint",
        "/log/tile/0/999",
        "/log/tile/0/000.p/256",
    ] {
        assert_eq!(
            house.send(ask("GET", nonsense).bearer(ADMIN)).await.status,
            404,
            "{nonsense}"
        );
    }
}

#[tokio::test]
async fn whole_log_verifies_offline_from_what_is_served() {
    let house = House::found().await;
    tour(&house).await;
    let size = house.sealed().await;
    let copy = download(&house).await;
    let mut seen = Vec::new();
    let verified = copy.verify(&[], &mut |index, entry| {
        let event: Value = serde_json::from_slice(entry).map_err(|error| error.to_string())?;
        seen.push((index, event["id"].to_string()));
        Ok(())
    });
    assert_eq!(verified.expect("a genuine copy").size(), size);
    assert_eq!(seen.len() as u64, size);
}
