//! Owners: people and teams.

use serde_json::json;

use crate::house::House;

#[tokio::test]
async fn teams_have_people_as_members_and_nobody_else() {
    let house = House::found().await;
    house.add_person("bob@example.com").await;
    for bad in [
        json!({"handle": "team:desk", "members": ["carol@example.com"]}),
        json!({"handle": "team:desk", "members": ["team:desk"]}),
        json!({"handle": "carol@example.com", "members": ["bob@example.com"]}),
        json!({"handle": "nobody"}),
        json!({"handle": "agt_01hzy0000000000000000000aa"}),
        json!({"handle": "bob@example.com\n"}),
        json!({"handle": "team:desk", "kind": "person"}),
    ] {
        house
            .admin("POST", "/v1/owners", bad)
            .await
            .refused(400, "invalid_request");
    }
    let team = json!({"handle": "team:desk", "members": ["bob@example.com", "BOB@example.com"]});
    let view = house.admin("POST", "/v1/owners", team).await.ok();
    assert_eq!(view["members"], json!(["bob@example.com"]));
    house
        .admin("POST", "/v1/owners", json!({"handle": "bob@example.com"}))
        .await
        .refused(409, "conflict");
    let view = house
        .admin("POST", "/v1/owners", json!({"handle": "team:desk"}))
        .await
        .ok();
    assert!(view["members"].is_null());
    assert_eq!(house.events_of("owner.members_changed").await.len(), 1);
}

#[tokio::test]
async fn owners_are_listed_page_by_page() {
    let house = House::found().await;
    for number in 0..5 {
        house
            .add_person(&format!("person{number}@example.com"))
            .await;
    }
    let mut handles = Vec::new();
    let mut path = "/v1/owners?limit=2".to_owned();
    loop {
        let page = house.get(&path).await;
        let items = page["items"].as_array().expect("a list");
        handles.extend(
            items
                .iter()
                .map(|owner| owner["handle"].as_str().expect("a handle").to_owned()),
        );
        let Some(next) = page["next"].as_str() else {
            break;
        };
        path = format!("/v1/owners?limit=2&after={next}");
    }
    handles.sort();
    handles.dedup();
    assert_eq!(handles.len(), 5);
}
