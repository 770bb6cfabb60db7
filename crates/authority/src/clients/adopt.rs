//! Makes the client of a person into one agent of theirs, or gives that agent other tools: by the same rules, and through
//! the same functions, as whatever else is registered or changed.

use chancery_model::agent::AgentState;
use chancery_model::document::{
    AgentName, AutonomyLevel, CLIENT_PLATFORM, Document, Integrity, SCHEMA, ToolGrant,
    ToolPermission,
};
use chancery_model::id::AgentId;
use chancery_model::owner::OwnerHandle;
use chancery_model::version::VersionState;
use chancery_store::tx::Tx;
use chancery_store::{client_agents, registered_clients, versions};

use crate::agents::load::{self, Loaded};
use crate::agents::register::{self, Credentials};
use crate::agents::update;
use crate::clients::find::KnownClient;
use crate::ctx::Ctx;
use crate::directory::KnownLogin;
use crate::error::Error;

/// What the client of a person is now.
pub(crate) enum Standing {
    /// Nothing yet, or nothing any more: the agent that it was, if it was retired.
    New(Option<AgentId>),
    /// An agent that nobody has put into force yet.
    Waits(Box<Loaded>),
    /// An agent that is stopped.
    Stopped,
    /// An agent.
    Is(Box<Loaded>),
}

/// What came of adopting a client.
pub(crate) enum Adopted {
    /// The agent, with the tools that were chosen.
    Ready(AgentId),
    /// Something waits for a second person.
    Waits(Waiting),
    /// The person has as many clients as one person may have.
    TooMany,
}

/// What waits for a second person.
pub(crate) struct Waiting {
    /// The name of the agent.
    pub name: AgentName,
    /// The number of the version that waits: only that one was agreed to.
    pub version: i64,
    /// Whether the agent has never acted.
    pub is_draft: bool,
}

impl Waiting {
    pub(crate) fn draft(loaded: &Loaded) -> Self {
        Self {
            name: loaded.agent.name.clone(),
            version: loaded.version.number,
            is_draft: true,
        }
    }
}

/// The most agents, retired ones apart, that the clients of one person may be.
const MOST: u64 = 50;

/// Finds what the client of a person became.
pub(crate) async fn standing(
    ctx: &Ctx,
    tx: &mut Tx,
    login: &KnownLogin,
    client: &KnownClient,
) -> Result<Standing, Error> {
    let Some(id) = client_agents::fetch(tx, login.owner_id, &client.id).await? else {
        return Ok(Standing::New(None));
    };
    let loaded = load::require(ctx, tx, &id.to_string()).await?;
    if loaded.agent.owner_id != login.owner_id {
        return Err(Error::Broken);
    }
    Ok(match loaded.agent.state {
        AgentState::Retired { .. } => Standing::New(Some(id)),
        AgentState::Suspended { .. } => Standing::Stopped,
        AgentState::Draft => Standing::Waits(Box::new(loaded)),
        AgentState::Active => Standing::Is(Box::new(loaded)),
    })
}

/// Makes the client into an agent that may call `tools` of `server`, or lets the agent that it is call these and no
/// others there.
pub(crate) async fn adopt(
    ctx: &Ctx,
    login: &KnownLogin,
    client: &KnownClient,
    server: &str,
    tools: &[&str],
) -> Result<Adopted, Error> {
    let mut tx = ctx.begin().await?;
    match standing(ctx, &mut tx, login, client).await? {
        Standing::New(before) => {
            let document = document(ctx, client, server, tools)?;
            make(ctx, tx, login, client, document, before).await
        }
        Standing::Waits(loaded) => Ok(Adopted::Waits(Waiting::draft(&loaded))),
        Standing::Stopped => Err(Error::Conflict("the agent is stopped".to_owned())),
        Standing::Is(loaded) => change(ctx, tx, *loaded, server, tools).await,
    }
}

async fn make(
    ctx: &Ctx,
    mut tx: Tx,
    login: &KnownLogin,
    client: &KnownClient,
    document: Document,
    before: Option<AgentId>,
) -> Result<Adopted, Error> {
    if client_agents::count_living(&mut tx, login.owner_id).await? >= MOST {
        return Ok(Adopted::TooMany);
    }
    let registered = register::propose(ctx, &mut tx, document, Credentials::default()).await?;
    let agent = &registered.loaded.agent;
    if agent.owner_id != login.owner_id {
        return Err(Error::Broken);
    }
    let (id, state) = (agent.id, agent.state.clone());
    let waiting = Waiting::draft(&registered.loaded);
    // Of two who adopt the same client for the same person, one is first, and the other looks again.
    if !client_agents::put(&mut tx, login.owner_id, &client.id, id, before).await? {
        return Err(Error::Busy);
    }
    // A client that registered itself stays while its agent waits for a second person.
    if let Some(registered) = client.registered
        && !registered_clients::note_use(&mut tx, registered, ctx.now).await?
    {
        return Err(Error::Busy);
    }
    let mut event = registered.event;
    event.facts.insert("client".to_owned(), client.id.clone());
    ctx.commit(registered.permit, tx, event, registered.more)
        .await?;
    Ok(match state {
        AgentState::Active => Adopted::Ready(id),
        AgentState::Draft | AgentState::Suspended { .. } | AgentState::Retired { .. } => {
            Adopted::Waits(waiting)
        }
    })
}

async fn change(
    ctx: &Ctx,
    mut tx: Tx,
    loaded: Loaded,
    server: &str,
    tools: &[&str],
) -> Result<Adopted, Error> {
    let (id, name) = (loaded.agent.id, loaded.agent.name.clone());
    let mut document = loaded.version.document.clone();
    document.tools.retain(|grant| grant.server != server);
    document.tools.extend(grants(server, tools));
    if is_same(&document, &loaded.version.document) {
        return Ok(Adopted::Ready(id));
    }
    let latest = versions::fetch_latest(&mut tx, id).await?;
    let waiting = |version| {
        Adopted::Waits(Waiting {
            name: name.clone(),
            version,
            is_draft: false,
        })
    };
    let latest = latest.ok_or(Error::Broken)?;
    if latest.state == VersionState::Pending {
        return Ok(waiting(latest.number));
    }
    let seen = loaded.agent.revision;
    let proposed = update::propose(ctx, &mut tx, loaded, document, seen).await?;
    ctx.commit(proposed.permit, tx, proposed.event, proposed.more)
        .await?;
    Ok(match proposed.is_in_force {
        true => Adopted::Ready(id),
        false => waiting(latest.number + 1),
    })
}

/// Whether two documents grant the same tools, in whatever order.
fn is_same(one: &Document, other: &Document) -> bool {
    let sorted = |document: &Document| {
        let mut tools: Vec<_> = document
            .tools
            .iter()
            .map(|grant| {
                (
                    grant.server.clone(),
                    grant.tool.clone(),
                    grant.is_of_calls(),
                )
            })
            .collect();
        tools.sort();
        tools
    };
    sorted(one) == sorted(other)
}

fn grants(server: &str, tools: &[&str]) -> Vec<ToolGrant> {
    let grant = |tool: &&str| ToolGrant {
        server: server.to_owned(),
        tool: (*tool).to_owned(),
        permissions: vec![ToolPermission::Call],
    };
    tools.iter().map(grant).collect()
}

fn document(
    ctx: &Ctx,
    client: &KnownClient,
    server: &str,
    tools: &[&str],
) -> Result<Document, Error> {
    let owner = ctx.caller.hands().author.to_string();
    let by = match &client.host {
        Some(host) => format!("known by a document at {host}"),
        None => "that registered itself, unverified".to_owned(),
    };
    Ok(Document {
        schema: SCHEMA.to_owned(),
        name: name(ctx, client)?,
        description: format!("An MCP client of {owner}, {by}"),
        owner: OwnerHandle::parse(&owner).map_err(|_| Error::Broken)?,
        team: None,
        platform: Some(CLIENT_PLATFORM.to_owned()),
        model: None,
        hosting: None,
        // It acts on behalf of its owner, who is at the client.
        autonomy_level: AutonomyLevel::Supervised,
        capabilities: Vec::new(),
        data_access: Vec::new(),
        tools: grants(server, tools),
        human_oversight: None,
        connected_systems: client.host.clone().into_iter().collect(),
        integrity: Integrity::default(),
        expires_at: None,
    })
}

/// The name that the client gives itself, or its host, as far as an agent may be called so, and a few random letters.
fn name(ctx: &Ctx, client: &KnownClient) -> Result<AgentName, Error> {
    let called = client
        .name
        .as_deref()
        .or(client.host.as_deref())
        .unwrap_or("client");
    let lower = called.to_ascii_lowercase();
    let words = lower.split(|letter: char| !letter.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let mut slug: String = words.join("-").chars().take(40).collect();
    if slug.is_empty() {
        slug.push_str("client");
    }
    let mut random = [0; 4];
    ctx.authority.entropy.fill(&mut random);
    let suffix: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    AgentName::parse(&format!("{}-{suffix}", slug.trim_end_matches('-'))).map_err(|_| Error::Broken)
}
