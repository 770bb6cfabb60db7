//! Looking things up in the record, as an auditor would.

use std::time::Duration;

use chancery_api::log::{EventQuery, LoggedEvent};
use chancery_model::event::EventKind;

use crate::story::narrator::Narrator;
use crate::story::opening::Agent;
use crate::story::{Failure, Scene};

/// How often the record is asked, and how long to wait between: an event is searchable once it is sealed.
const TRIES: u32 = 200;
const PAUSE: Duration = Duration::from_millis(50);

/// The newest event of one of these kinds about the agent's use of `tool`.
pub(super) async fn newest(
    scene: &Scene<'_>,
    tell: &Narrator<'_>,
    agent: &Agent,
    kinds: &[EventKind],
    tool: &str,
) -> Result<LoggedEvent, Failure> {
    let query = EventQuery {
        agent: Some(agent.view.id.to_string()),
        limit: Some(20),
        newest: true,
        ..EventQuery::default()
    };
    for _ in 0..TRIES {
        let page = tell.must(
            scene.authority.event_list(&query).await,
            "the newest events",
        )?;
        let found = page.items.into_iter().find(|logged| {
            let event = &logged.event;
            let about = event.call.as_ref().and_then(|call| call.tool.as_deref());
            kinds.contains(&event.kind) && about == Some(tool)
        });
        if let Some(found) = found {
            return Ok(found);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(tell.failure(
        format!("one of {kinds:?} about `{tool}` in the record"),
        "none within ten seconds",
    ))
}
