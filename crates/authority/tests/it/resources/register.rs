//! `POST /v1/resources`.

use serde_json::json;

use crate::house::{House, ISSUER};

#[tokio::test]
async fn resource_has_one_url_of_one_form() {
    let house = House::found().await;
    for bad in [
        "",
        "r1.example",
        "HTTPS://r1.example",
        "https://R1.example",
        "https://r1.example:443/",
        "https://r1.example/#f",
        "https://u:p@r1.example",
        "https://r1.example/../x",
        "javascript:alert(1)",
        "file:///etc/passwd",
        ISSUER,
        "https://id.example/mcp/desk",
    ] {
        house
            .admin("POST", "/v1/resources", json!({"url": bad}))
            .await
            .refused(400, "invalid_request");
    }
    let url = json!({"url": "https://r1.example"});
    house.admin("POST", "/v1/resources", url.clone()).await.ok();
    house
        .admin("POST", "/v1/resources", url)
        .await
        .refused(409, "conflict");
    let items = house.get("/v1/resources").await["items"]
        .as_array()
        .expect("a list")
        .len();
    assert_eq!(items, 1);
    for seconds in [json!(0), json!(7_776_001), json!(-1), json!("60")] {
        let body = json!({"url": "https://r2.example", "allow_bearer": seconds});
        house
            .admin("POST", "/v1/resources", body)
            .await
            .refused(400, "invalid_request");
    }
}
