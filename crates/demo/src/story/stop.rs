//! Chapter 10: the agent is stopped, and it stops.

use chancery_api::agents::{Because, Stopped};
use chancery_client::agent::{AgentError, discovery, token};
use chancery_wire::mcp;
use serde_json::Map;

use crate::agent::credential::parameter;
use crate::agent::session::{Session, SessionError};
use crate::story::narrator::Narrator;
use crate::story::opening::{Agent, Desk};
use crate::story::{Failure, Scene};

pub(super) async fn suspend(
    scene: &Scene<'_>,
    tell: &mut Narrator<'_>,
    desk: &Desk,
    agent: &Agent,
    session: &Session,
) -> Result<Stopped, Failure> {
    tell.begin(
        "Somebody stops it",
        "One command, and the agent is suspended. Its token has minutes to live, its connection is open; neither \
         helps it any more.",
    )?;
    let because = Because {
        reason: "it asked for a refund that nobody approved".to_owned(),
    };
    let stopped = scene
        .authority
        .agent_suspend(&agent.view.id.to_string(), &because)
        .await;
    let stopped = tell.must(stopped, "a stop with its receipt")?;
    let stopped_at = scene.stage.clock.now();
    tell.expect(stopped.status == "suspended", "a suspended agent", || {
        stopped.status.clone()
    })?;
    tell.fact("stopped", stopped.stopped.join("; "))?;

    let next = session
        .call(
            "list_orders",
            Map::from_iter([("customer_id".to_owned(), "cus_1".into())]),
        )
        .await;
    let within = scene.stage.clock.now().since(stopped_at).as_micros() as f64 / 1_000.0;
    let said = match next {
        Err(SessionError::Unauthorized(said)) => {
            let said = parameter(&said, "error_description")
                .or(parameter(&said, "error"))
                .unwrap_or("401")
                .to_owned();
            format!("401 {said}")
        }
        Err(SessionError::Refused { code, message, .. })
            if [mcp::DENIED, mcp::REFUSED].contains(&code.into()) =>
        {
            message
        }
        other => return Err(tell.failure("the very next call refused", format!("{other:?}"))),
    };
    tell.refused(
        "the next call",
        format!("{said} ({within:.1} ms after the stop)"),
    )?;

    let server = discovery::authorization_server_of(&scene.transport, &desk.url).await;
    let server = tell.must(server, "the metadata of the authorization server")?;
    let dpop = tell.must(agent.fresh_dpop(), "the agent's key")?;
    let wanted = agent.token_request(desk, &dpop);
    let now = scene.stage.clock.now();
    match token::request(
        &scene.transport,
        &server,
        &wanted,
        now,
        scene.stage.entropy.as_ref(),
    )
    .await
    {
        Err(AgentError::Refused {
            error, description, ..
        }) => {
            let why = if description.is_empty() {
                String::new()
            } else {
                format!(": {description}")
            };
            tell.refused("a new token", format!("{error}{why}"))?;
        }
        Err(other) => return Err(tell.failure("a new token refused", other.to_string())),
        Ok(_) => return Err(tell.failure("a new token refused", "one that was issued")),
    }

    let running: Vec<String> = stopped
        .may_still_run
        .iter()
        .map(|still| format!("{}, until {}", still.what, still.until))
        .collect();
    let running = if running.is_empty() {
        "nothing".to_owned()
    } else {
        running.join("; ")
    };
    tell.fact("may still run", running)?;
    tell.fact(
        "receipt",
        format!(
            "entry {} of the record, signed by the log",
            stopped.receipt.index
        ),
    )?;
    tell.end()?;
    Ok(stopped)
}
