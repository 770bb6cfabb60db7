//! What the gateway knows: one immutable snapshot of agents, keys, revocations, servers and policy.
//!
//! The authority builds a new snapshot after each committed change and swaps it in; a request reads
//! the pointer once and judges everything against what it got. Nothing here reaches a database.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use chancery_model::agent::{Agent, NotLive};
use chancery_model::bearer;
use chancery_model::event::AgentFacts as RecordedAgent;
use chancery_model::grant::Grant;
use chancery_model::id::{AgentId, GrantId, OwnerId, TokenId};
use chancery_model::mcp::McpServer;
use chancery_model::time::Timestamp;
use chancery_model::tool_call;
use chancery_policy::PersonFacts;
use chancery_wire::access_token::{Acting, Claims, VerifiedAccessToken};
use chancery_wire::jwk::{KeySet, PublicKey};
use chancery_wire::mcp::MirroredArgument;

/// Everything that enforcement needs to judge a call.
#[derive(Clone)]
pub struct Snapshot {
    /// Grows with every change; decisions name it.
    pub number: u64,
    /// When it was last known to be current; one that is older than the bound refuses everything.
    pub freshness: Arc<Freshness>,
    /// Our issuer identifier, byte for byte.
    pub issuer: String,
    /// The keys that sign access tokens, active and overlapping.
    pub token_keys: Vec<PublicKey>,
    /// Every agent that is not retired.
    pub agents: HashMap<AgentId, Arc<KnownAgent>>,
    /// The MCP servers behind the gateway, by name.
    pub servers: HashMap<String, Arc<KnownServer>>,
    /// Access tokens that were revoked before their end.
    pub revoked: Arc<HashSet<TokenId>>,
    /// Every person who has not left.
    pub people: Arc<HashMap<OwnerId, Arc<PersonFacts>>>,
    /// What people let agents do in their names, as far as it was in force when this was read. What is not here
    /// is not in force.
    pub grants: Arc<HashMap<GrantId, Arc<Grant>>>,
    /// The compiled policies.
    pub policy: Arc<chancery_policy::Snapshot>,
}

/// When a snapshot was last known to be current, shared by all snapshots of a process.
#[derive(Debug)]
pub struct Freshness(AtomicI64);

/// How long a snapshot may go without being known to be current.
pub const STALE_AFTER: Duration = Duration::from_secs(30);

impl Freshness {
    /// Fresh at `now`.
    pub fn new(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.as_micros()))
    }

    /// The snapshot was seen to be current at `now`.
    pub fn mark(&self, now: Timestamp) {
        self.0.fetch_max(now.as_micros(), Ordering::Relaxed);
    }

    /// Whether the snapshot is too old to permit anything.
    pub fn is_stale(&self, now: Timestamp) -> bool {
        now.since(Timestamp::from_micros(self.0.load(Ordering::Relaxed))) > STALE_AFTER
    }
}

/// Why a token that verifies is of no use: somewhere its chain is not live (SI-1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Inactive {
    /// It has ended.
    #[error("the token has expired")]
    Expired,
    /// It was revoked.
    #[error("the token was revoked")]
    Revoked,
    /// Its agent is not there, or not live.
    #[error("the agent is not active")]
    Agent,
    /// Its agent was stopped, or given other keys, after it was issued.
    #[error("the token is from before the agent was stopped")]
    Stopped,
    /// Another version of the agent is in force.
    #[error("the token is for a version of the agent that is no longer in force")]
    Version,
    /// The person on whose behalf it is has left, or it does not say on whose behalf it is.
    #[error("the person on whose behalf the token is has left")]
    Subject,
    /// The person no longer lets the agent act.
    #[error("what the person consented to is no longer in force")]
    Grant,
}

impl Inactive {
    /// The stable code in the record.
    pub fn code(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Agent => "principal_inactive",
            Self::Stopped => "stopped",
            Self::Version => "version_superseded",
            Self::Subject => "subject_inactive",
            Self::Grant => "grant_not_in_force",
        }
    }
}

impl Snapshot {
    /// The MCP server that a resource identifier names, when it is one behind this gateway.
    pub fn server_of(&self, resource: &str) -> Option<&Arc<KnownServer>> {
        let path = resource.strip_prefix(self.issuer.as_str())?;
        self.servers.get(path.strip_prefix("/mcp/")?)
    }

    /// Whether the whole chain of a verified token is live at `now`: the one rule for every use of a token.
    pub fn admit(
        &self,
        token: &VerifiedAccessToken,
        now: Timestamp,
    ) -> Result<&Arc<KnownAgent>, Inactive> {
        if token.expires_at() <= now {
            return Err(Inactive::Expired);
        }
        self.uphold(token, now)
    }

    /// The same for what a token began while it was in its time: its end alone ends nothing.
    pub fn uphold(
        &self,
        token: &VerifiedAccessToken,
        now: Timestamp,
    ) -> Result<&Arc<KnownAgent>, Inactive> {
        let claims = token.claims();
        if self.revoked.contains(&claims.jti) {
            return Err(Inactive::Revoked);
        }
        let known = self.holder(claims).ok_or(Inactive::Agent)?;
        self.uphold_claims(known, claims, now)?;
        Ok(known)
    }

    /// The agent whose token it is, whether or not it may act.
    pub fn holder(&self, claims: &Claims) -> Option<&Arc<KnownAgent>> {
        self.agents.get(&claims.agent_id()?)
    }

    /// Whether everything still stands behind the claims of a token of `known`: the agent, and the person and the
    /// grant when it acts for one. Minting asks the same of what it has just made.
    pub fn uphold_claims(
        &self,
        known: &KnownAgent,
        claims: &Claims,
        now: Timestamp,
    ) -> Result<(), Inactive> {
        let acting = claims.acting().map_err(|_| Inactive::Subject)?;
        known.uphold(claims, now)?;
        match acting {
            Acting::Autonomous => Ok(()),
            Acting::Delegated { subject, grant } => {
                let (_, grant) = self.delegation(subject, grant, now)?;
                let details = claims.authorization_details.as_ref();
                let is_of_grant = grant.agent == known.agent.id
                    && grant.resource == claims.aud
                    && tool_call::is_within(details, grant.calls.as_ref());
                is_of_grant.then_some(()).ok_or(Inactive::Grant)
            }
        }
    }

    /// The person and the grant behind an act on behalf of `subject`, when both are live at `now`.
    pub fn delegation(
        &self,
        subject: OwnerId,
        grant: GrantId,
        now: Timestamp,
    ) -> Result<(&Arc<PersonFacts>, &Arc<Grant>), Inactive> {
        let person = self.people.get(&subject).ok_or(Inactive::Subject)?;
        let grant = self.grants.get(&grant);
        let grant = grant.filter(|grant| grant.subject == subject && grant.is_in_force(now));
        Ok((person, grant.ok_or(Inactive::Grant)?))
    }

    /// On whose behalf a token is that was admitted; `None` when for the agent itself.
    pub fn subject_of(&self, claims: &Claims) -> Option<&Arc<PersonFacts>> {
        match claims.acting() {
            Ok(Acting::Delegated { subject, .. }) => self.people.get(&subject),
            Ok(Acting::Autonomous) | Err(_) => None,
        }
    }
}

/// An agent with what enforcement derives from it once.
pub struct KnownAgent {
    /// The agent.
    pub agent: Agent,
    /// Whether its owner is live: a person who has not left, or a team with such a person.
    pub owner_is_live: bool,
    /// The keys that it authenticates with; `None` when it has none.
    pub keys: Option<KeySet>,
    /// What the decision point knows about it.
    pub facts: chancery_policy::AgentEntity,
    /// What the record says about it.
    pub recorded: RecordedAgent,
    /// The last stop of this agent, or change of its keys: tokens of before are void.
    pub not_before: Timestamp,
    /// The public client of its owner that became this agent; `None` when it was registered as itself.
    pub client: Option<String>,
}

impl KnownAgent {
    /// Whether the agent may act at `now`; the one rule, in [`Agent::live`].
    pub fn live(&self, now: Timestamp) -> Result<(), NotLive> {
        self.agent.live(now, self.owner_is_live)
    }

    /// Which stop of the agent was the last one, as tokens name it. It is compared for being the same and
    /// never for being earlier, so that neither a race nor another node's clock can outlive a stop (RACE-04).
    pub fn epoch(&self) -> i64 {
        self.not_before.as_micros()
    }

    /// The `client_id` of its tokens: that of its client, or its own.
    pub fn client_id(&self) -> String {
        match &self.client {
            Some(client) => client.clone(),
            None => self.agent.id.to_string(),
        }
    }

    /// Whether the agent still stands behind a token of its own; for whom it acts is asked of the snapshot.
    fn uphold(&self, claims: &Claims, now: Timestamp) -> Result<(), Inactive> {
        self.live(now).map_err(|_| Inactive::Agent)?;
        if claims.agent_id() != Some(self.agent.id) || claims.client_id != self.client_id() {
            return Err(Inactive::Agent);
        }
        let agent = claims.agent.as_ref().ok_or(Inactive::Version)?;
        if agent.epoch != self.epoch() {
            return Err(Inactive::Stopped);
        }
        if self.agent.version.map(|(_, digest)| digest) != Some(agent.version) {
            return Err(Inactive::Version);
        }
        Ok(())
    }
}

/// An MCP server with its compiled tools.
pub struct KnownServer {
    /// The server as registered.
    pub server: McpServer,
    /// Its resource identifier: the issuer, `/mcp/` and its name.
    pub resource: String,
    /// Its accepted tools, by name.
    pub tools: HashMap<String, KnownTool>,
}

impl KnownServer {
    /// Whether tokens that are bound to no key are taken at `now`: by an exception, which ends by itself.
    pub fn takes_bearer(&self, now: Timestamp) -> bool {
        bearer::is_allowed(self.server.bearer_until, now)
    }
}

/// A tool as accepted, ready to check arguments.
pub struct KnownTool {
    /// The digest of the accepted definition.
    pub digest: chancery_model::digest::Digest,
    /// The accepted definition, as clients see it.
    pub definition: serde_json::Value,
    /// Checks arguments against the accepted input schema; undeclared members are refused.
    pub arguments: jsonschema::Validator,
    /// The arguments that its schema wants repeated in headers.
    pub mirrors: Vec<MirroredArgument>,
}

/// The present snapshot, shared by all who enforce.
pub type Current = Arc<ArcSwap<Snapshot>>;
