//! Searching the record: by kind and agent, forwards or newest first.

use axum::Json;
use chancery_api::log::{EventQuery, LoggedEvent};
use chancery_api::page::{MAX_LIMIT, Page};
use chancery_model::action::Action;
use chancery_model::event::Event;
use chancery_policy::Target;
use chancery_store::log::{self, Search};

use crate::audit::sequence::BUNDLE;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::extract::Query;

/// Bundles that one search looks into before it gives what it has.
const BUNDLES: i64 = 400;

/// `GET /v1/events`.
pub async fn find(
    ctx: Ctx,
    Query(query): Query<EventQuery>,
) -> Result<Json<Page<LoggedEvent>>, Error> {
    ctx.authorize(Action::LogRead, Target::Authority)?;
    let limit = query.limit.unwrap_or(100).clamp(1, MAX_LIMIT) as usize;
    let is_plain = |text: &String| {
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._".contains(&byte))
    };
    if !query.kind.iter().chain(&query.agent).all(is_plain) {
        return Err(Error::Invalid(
            "`kind` and `agent` are names such as `call.denied` and `agt_…`".to_owned(),
        ));
    }
    let search = Search {
        kind: query.kind.clone(),
        agent: query.agent.clone(),
    };
    let mut tx = ctx.read().await?;
    let first = match (query.after, query.newest) {
        (Some(after), false) => after.saturating_add(1),
        (Some(after), true) => after.saturating_sub(1),
        (None, false) => 0,
        (None, true) => i64::MAX as u64,
    };
    if query.newest && query.after == Some(0) {
        return Ok(Json(Page {
            items: Vec::new(),
            next: None,
        }));
    }
    let from = (first / BUNDLE) as i64;
    let numbers = if query.newest {
        log::list_descending(&mut tx, &search, from, BUNDLES).await?
    } else {
        log::list_ascending(&mut tx, &search, from, BUNDLES).await?
    };
    let mut items = Vec::new();
    let mut looked_at = None;
    for number in &numbers {
        let Some(bundle) = log::fetch_bundle(&mut tx, *number).await? else {
            continue;
        };
        let base = number.unsigned_abs() * BUNDLE;
        let mut within: Vec<(u64, &str)> = (base..).zip(bundle.entries.lines()).collect();
        if query.newest {
            within.reverse();
        }
        for (index, entry) in within {
            let is_past = if query.newest {
                index > first
            } else {
                index < first
            };
            if is_past {
                continue;
            }
            let event: Event = serde_json::from_str(entry).map_err(|_| Error::Broken)?;
            if items.len() == limit {
                return Ok(Json(Page {
                    next: looked_at.map(|at: u64| at.to_string()),
                    items,
                }));
            }
            looked_at = Some(index);
            if matches(&query, &event) {
                items.push(LoggedEvent { index, event });
            }
        }
    }
    let more = numbers.len() as i64 == BUNDLES;
    let next = looked_at.filter(|_| more).map(|at| at.to_string());
    Ok(Json(Page { items, next }))
}

fn matches(query: &EventQuery, event: &Event) -> bool {
    let kind_matches = query.kind.as_ref().is_none_or(|wanted| {
        serde_json::to_value(event.kind).is_ok_and(|kind| kind.as_str() == Some(wanted))
    });
    let agent_matches = query.agent.as_ref().is_none_or(|wanted| {
        event
            .agent
            .as_ref()
            .is_some_and(|agent| agent.id.to_string() == *wanted)
    });
    kind_matches && agent_matches
}
