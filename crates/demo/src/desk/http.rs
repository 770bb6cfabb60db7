//! The desk over Streamable HTTP, on a listener that the caller opened.
//!
//! Beside `/mcp` it answers `GET /received`: which headers each request carried, by name. That is how anyone can see
//! for themselves that a gateway did not hand on the caller's credentials.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::ensure;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use futures_util::future::BoxFuture;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use crate::desk::records::Records;
use crate::desk::tools::Desk;

/// How many requests are remembered: the newest.
const REMEMBERED: usize = 1_000;

/// What one request to `/mcp` carried: names, never values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// `POST`, `GET` or `DELETE`.
    pub method: String,
    /// The names of its headers, sorted.
    pub headers: Vec<String>,
    /// Whether a credential came with it: an `Authorization`, a `DPoP` or a `Cookie` header.
    pub credential: bool,
}

type Memory = Arc<Mutex<VecDeque<Received>>>;

/// Serves the desk until `shutdown` ends; refuses a listener that is not on loopback, since it authenticates nobody.
///
/// Boxed, so that it is compiled with this crate and not anew with the program.
pub fn serve_http(
    listener: TcpListener,
    shutdown: BoxFuture<'static, ()>,
) -> BoxFuture<'static, anyhow::Result<()>> {
    Box::pin(async {
        let address = listener.local_addr()?;
        ensure!(
            address.ip().is_loopback(),
            "the desk authenticates nobody, so it listens on loopback only, not on {address}"
        );
        axum::serve(listener, router(Desk::new(Records::seeded())))
            .with_graceful_shutdown(shutdown)
            .await?;
        Ok(())
    })
}

fn router(desk: Desk) -> Router {
    let memory = Memory::default();
    // Without sessions every request stands alone, in either era of the protocol.
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true);
    let mcp = StreamableHttpService::new(
        move || Ok(desk.clone()),
        Arc::new(NeverSessionManager::default()),
        config,
    );
    Router::new()
        .nest_service("/mcp", mcp)
        .route_layer(middleware::from_fn_with_state(memory.clone(), remember))
        .route("/received", get(received))
        .with_state(memory)
}

async fn remember(State(memory): State<Memory>, request: Request, next: Next) -> Response {
    let mut headers: Vec<String> = request
        .headers()
        .keys()
        .map(|name| name.as_str().to_owned())
        .collect();
    headers.sort_unstable();
    let credential = ["authorization", "dpop", "cookie"]
        .iter()
        .any(|name| request.headers().contains_key(*name));
    let entry = Received {
        method: request.method().to_string(),
        headers,
        credential,
    };
    {
        let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
        if memory.len() == REMEMBERED {
            memory.pop_front();
        }
        memory.push_back(entry);
    }
    next.run(request).await
}

async fn received(State(memory): State<Memory>) -> Json<Vec<Received>> {
    Json(
        memory
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .cloned()
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chancery_client::transport::Transport;
    use chancery_model::secret::Secret;
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::agent::credential::Credential;
    use crate::agent::link::Link;
    use crate::agent::session::{Era, Session, SessionError};

    const ERAS: [Era; 2] = [Era::Modern, Era::Legacy];

    /// Serves a desk until the end of the test; gives its address.
    async fn desk() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve_http(listener, Box::pin(std::future::pending())));
        format!("http://{address}")
    }

    async fn session(desk: &str, era: Era, credential: Credential) -> Session {
        let link = Link::new(Arc::new(Transport::new()), credential);
        Session::connect(&format!("{desk}/mcp"), link, era)
            .await
            .unwrap()
    }

    async fn seen(desk: &str) -> Vec<Received> {
        let request = http::Request::get(format!("{desk}/received"))
            .body(Default::default())
            .unwrap();
        serde_json::from_slice(&Transport::new().send(request).await.unwrap().body).unwrap()
    }

    fn arguments(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[tokio::test]
    async fn the_desk_offers_its_six_tools_in_both_eras() {
        let desk = desk().await;
        for era in ERAS {
            let mut tools = session(&desk, era, Credential::Nothing)
                .await
                .tools()
                .await
                .unwrap();
            tools.sort_unstable();
            let all = [
                "delete_customer",
                "export_customers",
                "find_customer",
                "get_order",
                "issue_refund",
                "list_orders",
            ];
            assert_eq!(tools, all, "{era:?}");
        }
    }

    #[tokio::test]
    async fn every_tool_works_and_the_records_outlive_the_connection() {
        let desk = desk().await;
        let legacy = session(&desk, Era::Legacy, Credential::Nothing).await;
        let found = legacy
            .call("find_customer", arguments(json!({"query": "nora"})))
            .await
            .unwrap();
        assert_eq!(found["customers"][0]["id"], "cus_1");
        let orders = legacy
            .call("list_orders", arguments(json!({"customer_id": "cus_1"})))
            .await
            .unwrap();
        assert_eq!(orders["orders"].as_array().unwrap().len(), 2);
        let refund = json!({"order_id": "ord_1001", "amount": 40, "reason": "damaged in transit"});
        let refunded = legacy
            .call("issue_refund", arguments(refund))
            .await
            .unwrap();
        assert_eq!(refunded["refund"]["id"], "ref_1");
        legacy.close().await;

        let modern = session(&desk, Era::Modern, Credential::Nothing).await;
        let order = modern
            .call("get_order", arguments(json!({"order_id": "ord_1001"})))
            .await
            .unwrap();
        assert_eq!(
            (&order["order"]["refunded"], &order["refunds"][0]["amount"]),
            (&json!(40), &json!(40))
        );
        let deleted = modern
            .call(
                "delete_customer",
                arguments(json!({"customer_id": "cus_1"})),
            )
            .await
            .unwrap();
        assert_eq!(
            deleted,
            json!({"customer_id": "cus_1", "orders_deleted": 2})
        );
        let rest = modern.call("export_customers", Map::new()).await.unwrap();
        assert_eq!(rest["customers"].as_array().unwrap().len(), 3);
    }

    #[tokio::test]
    async fn what_the_records_refuse_is_said_in_words() {
        let desk = desk().await;
        for era in ERAS {
            let session = session(&desk, era, Credential::Nothing).await;
            let too_much = json!({"order_id": "ord_1001", "amount": 481, "reason": "greed"});
            let error = session
                .call("issue_refund", arguments(too_much))
                .await
                .unwrap_err();
            let expected = "481 euros is more than the 480 that are left of order `ord_1001`";
            assert!(
                matches!(&error, SessionError::Tool(said) if said == expected),
                "{era:?}: {error:?}"
            );
            let malformed = json!({"order_id": "ord_1001", "amount": "40", "reason": "damaged"});
            assert!(
                session
                    .call("issue_refund", arguments(malformed))
                    .await
                    .is_err(),
                "{era:?}"
            );
        }
    }

    #[tokio::test]
    async fn the_desk_tells_which_headers_came_and_never_what_they_said() {
        let desk = desk().await;
        session(&desk, Era::Modern, Credential::Nothing)
            .await
            .tools()
            .await
            .unwrap();
        let without = seen(&desk).await;
        assert!(
            !without.is_empty() && without.iter().all(|request| !request.credential),
            "{without:?}"
        );
        assert!(
            without
                .iter()
                .all(|request| request.headers.contains(&"mcp-method".to_owned())),
            "{without:?}"
        );

        let bearer = Credential::Bearer(Arc::new(Secret::new("topsecret".to_owned())));
        session(&desk, Era::Modern, bearer)
            .await
            .tools()
            .await
            .unwrap();
        let with = seen(&desk).await;
        assert!(
            with.len() > without.len()
                && with[without.len()..]
                    .iter()
                    .all(|request| request.credential)
        );
        assert!(!serde_json::to_string(&with).unwrap().contains("topsecret"));
    }

    #[tokio::test]
    async fn a_desk_in_public_is_refused() {
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let error = serve_http(listener, Box::pin(std::future::ready(())))
            .await
            .unwrap_err();
        assert!(error.to_string().contains("loopback only"), "{error}");
    }
}
