//! `log tail` and `log search`: the record as people read it.

use std::time::Duration;

use chancery_api::log::{EventQuery, LoggedEvent};
use chancery_api::page::Page;
use chancery_client::authority::Authority;
use chancery_model::event::Event;
use chancery_model::id::AgentId;
use clap::Args;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::layout;
use crate::session::{Session, all};

/// How often `tail -f` asks for more.
const PERIOD: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
struct Filter {
    /// Only this kind, such as `call.denied`
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// Only about this agent
    #[arg(long, value_name = "NAME|ID")]
    agent: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Tail {
    #[command(flatten)]
    filter: Filter,
    /// How many to begin with
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    lines: u32,
    /// Go on with what follows, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Search {
    #[command(flatten)]
    filter: Filter,
    /// Begin after this index
    #[arg(long, value_name = "INDEX")]
    after: Option<u64>,
    /// The newest first
    #[arg(long)]
    newest: bool,
    /// At most this many
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u32,
}

pub(super) async fn search(session: &Session, args: &Search) -> Result<Exit, Failure> {
    let authority = session.authority()?;
    let query = query(&authority, &args.filter).await?;
    let page = fetch(&authority, &query, args.limit, args.after, args.newest).await?;
    session.output.show(&page, || table(&page.items))?;
    Ok(Exit::Done)
}

pub(super) async fn tail(session: &Session, args: &Tail) -> Result<Exit, Failure> {
    let authority = session.authority()?;
    let query = query(&authority, &args.filter).await?;
    // What is sealed already is not looked through again for what follows.
    let mut last = match args.follow {
        true => authority.log_state().await?.size.checked_sub(1),
        false => None,
    };
    let mut page = fetch(&authority, &query, args.lines, None, true).await?;
    page.items.reverse();
    if !args.follow {
        page.next = None;
        session.output.show(&page, || table(&page.items))?;
        return Ok(Exit::Done);
    }
    loop {
        for logged in &page.items {
            session.output.show(logged, || line(logged))?;
            last = last.max(Some(logged.index));
        }
        // A page that found nothing still says how far it looked.
        let looked_at = page.next.as_deref().and_then(|next| next.parse().ok());
        last = last.max(looked_at);
        tokio::time::sleep(PERIOD).await;
        page = authority
            .event_list(&EventQuery {
                after: last,
                ..query.clone()
            })
            .await?;
    }
}

/// The filters, with the agent by id, as the record names it.
async fn query(authority: &Authority, filter: &Filter) -> Result<EventQuery, Failure> {
    let agent = match &filter.agent {
        Some(agent) if agent.parse::<AgentId>().is_err() => {
            Some(authority.agent_show(agent).await?.id.to_string())
        }
        agent => agent.clone(),
    };
    Ok(EventQuery {
        kind: filter.kind.clone(),
        agent,
        ..EventQuery::default()
    })
}

async fn fetch(
    authority: &Authority,
    query: &EventQuery,
    limit: u32,
    after: Option<u64>,
    newest: bool,
) -> Result<Page<LoggedEvent>, Failure> {
    all(Some(limit), async |page| {
        let next = page.after.as_deref().and_then(|next| next.parse().ok());
        let query = EventQuery {
            after: next.or(after),
            limit: page.limit,
            newest,
            ..query.clone()
        };
        authority.event_list(&query).await
    })
    .await
}

fn table(events: &[LoggedEvent]) -> String {
    let rows = events.iter().map(|logged| cells(logged).into()).collect();
    let headings = ["index", "time", "kind", "agent", "what", "outcome", "id"];
    layout::table(&headings, rows, "no events")
}

/// One event on one line, in columns that fit most.
fn line(logged: &LoggedEvent) -> String {
    let [index, time, kind, agent, what, outcome, id] =
        cells(logged).map(|cell| layout::plain(&cell));
    format!("{index:>7}  {time}  {kind:22}  {agent:16}  {what:24}  {outcome}  {id}")
}

fn cells(logged: &LoggedEvent) -> [String; 7] {
    let event = &logged.event;
    [
        logged.index.to_string(),
        layout::moment(event.at),
        word(&event.kind),
        event
            .agent
            .as_ref()
            .map(|agent| agent.name.clone())
            .unwrap_or_default(),
        what(event),
        outcome(event),
        event.id.to_string(),
    ]
}

fn word(kind: &chancery_model::event::EventKind) -> String {
    let text = serde_json::to_value(kind).ok();
    let text = text.and_then(|text| text.as_str().map(str::to_owned));
    text.unwrap_or_default()
}

/// What it was about: the call, the token's audience, or who did it.
fn what(event: &Event) -> String {
    match (&event.call, &event.token) {
        (Some(call), _) => call.tool.clone().unwrap_or_else(|| call.action.clone()),
        (None, Some(token)) => token.audience.clone(),
        (None, None) => event.actor.id.clone(),
    }
}

fn outcome(event: &Event) -> String {
    let why = event
        .reason
        .as_ref()
        .or(event.decision.as_ref().map(|decision| &decision.reason));
    match why {
        Some(why) => format!("{}: {why}", event.outcome),
        None => event.outcome.clone(),
    }
}
