//! Events: facts in the past tense, written together with the change that they describe.
//!
//! The members are declared in alphabetical order and hold only texts, whole numbers, flags and
//! lists, so plain serialisation *is* the canonical form of RFC 8785; a test holds that true.

use serde::{Deserialize, Serialize};

use crate::agent::Agent;
use crate::decision::{Decision, Effect, ReasonCode};
use crate::digest::Digest;
use crate::document::Document;
use crate::entropy::Entropy;
use crate::id::{AgentId, DecisionId, EventId, OwnerId, TokenId};
use crate::time::Timestamp;

/// What happened.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
pub enum EventKind {
    /// The authority began a new log.
    #[serde(rename = "authority.founded")]
    AuthorityFounded,
    /// The authority answers under another loopback address.
    #[serde(rename = "authority.moved")]
    AuthorityMoved,
    /// An agent was registered.
    #[serde(rename = "agent.registered")]
    AgentRegistered,
    /// A draft became active.
    #[serde(rename = "agent.activated")]
    AgentActivated,
    /// A new version was proposed.
    #[serde(rename = "agent.version_proposed")]
    AgentVersionProposed,
    /// A version came into force.
    #[serde(rename = "agent.version_accepted")]
    AgentVersionAccepted,
    /// A proposed version was refused.
    #[serde(rename = "agent.version_rejected")]
    AgentVersionRejected,
    /// The keys that an agent authenticates with changed.
    #[serde(rename = "agent.keys_changed")]
    AgentKeysChanged,
    /// How an agent authenticates changed.
    #[serde(rename = "agent.authentication_changed")]
    AgentAuthenticationChanged,
    /// Where answers for an agent may be sent changed.
    #[serde(rename = "agent.redirects_changed")]
    AgentRedirectsChanged,
    /// A workload may act as an agent.
    #[serde(rename = "agent.trust_added")]
    AgentTrustAdded,
    /// A workload may no longer act as an agent.
    #[serde(rename = "agent.trust_removed")]
    AgentTrustRemoved,
    /// An agent was stopped for now.
    #[serde(rename = "agent.suspended")]
    AgentSuspended,
    /// An agent may act again.
    #[serde(rename = "agent.resumed")]
    AgentResumed,
    /// An agent was stopped for good.
    #[serde(rename = "agent.retired")]
    AgentRetired,
    /// An agent was given to another owner.
    #[serde(rename = "agent.transferred")]
    AgentTransferred,
    /// An owner was added.
    #[serde(rename = "owner.added")]
    OwnerAdded,
    /// A team has other members.
    #[serde(rename = "owner.members_changed")]
    OwnerMembersChanged,
    /// An owner left.
    #[serde(rename = "owner.disabled")]
    OwnerDisabled,
    /// An owner who had left is back.
    #[serde(rename = "owner.returned")]
    OwnerReturned,
    /// A person was given a login.
    #[serde(rename = "login.issued")]
    LoginIssued,
    /// A login was ended.
    #[serde(rename = "login.revoked")]
    LoginRevoked,
    /// A person was given a link by which to enrol a passkey.
    #[serde(rename = "person.invited")]
    PersonInvited,
    /// A person has one more passkey.
    #[serde(rename = "passkey.enrolled")]
    PasskeyEnrolled,
    /// A passkey has another name.
    #[serde(rename = "passkey.renamed")]
    PasskeyRenamed,
    /// A passkey was ended, and the sessions that it began.
    #[serde(rename = "passkey.revoked")]
    PasskeyRevoked,
    /// A person has new recovery codes; those from before are void.
    #[serde(rename = "recovery_codes.made")]
    RecoveryCodesMade,
    /// A recovery code was used up.
    #[serde(rename = "recovery_code.used")]
    RecoveryCodeUsed,
    /// A person signed in with a browser.
    #[serde(rename = "session.began")]
    SessionBegan,
    /// A session was ended before its time.
    #[serde(rename = "session.ended")]
    SessionEnded,
    /// A provider was added that people may sign in with.
    #[serde(rename = "provider.added")]
    ProviderAdded,
    /// A provider was removed; the sessions that people began by it ended.
    #[serde(rename = "provider.removed")]
    ProviderRemoved,
    /// A provider said that somebody signed out there.
    #[serde(rename = "provider.signed_out")]
    ProviderSignedOut,
    /// A person may sign in with a provider.
    #[serde(rename = "person.linked")]
    PersonLinked,
    /// A person may no longer sign in with a provider.
    #[serde(rename = "person.unlinked")]
    PersonUnlinked,
    /// A resource server was registered.
    #[serde(rename = "resource.registered")]
    ResourceRegistered,
    /// An issuer was named whose workloads may act as agents.
    #[serde(rename = "issuer.added")]
    IssuerAdded,
    /// An issuer was removed, and every trust in its workloads with it.
    #[serde(rename = "issuer.removed")]
    IssuerRemoved,
    /// An MCP server was put behind the gateway.
    #[serde(rename = "mcp.added")]
    McpAdded,
    /// The tools of an MCP server were accepted as they are.
    #[serde(rename = "mcp.tools_accepted")]
    McpToolsAccepted,
    /// An MCP server was removed.
    #[serde(rename = "mcp.removed")]
    McpRemoved,
    /// A policy was added.
    #[serde(rename = "policy.added")]
    PolicyAdded,
    /// A policy was removed.
    #[serde(rename = "policy.removed")]
    PolicyRemoved,
    /// A signing key came into use.
    #[serde(rename = "key.created")]
    KeyCreated,
    /// A signing key was replaced.
    #[serde(rename = "key.rotated")]
    KeyRotated,
    /// A client used up an assertion at an endpoint that issues nothing.
    #[serde(rename = "client.authenticated")]
    ClientAuthenticated,
    /// An access token was issued.
    #[serde(rename = "token.issued")]
    TokenIssued,
    /// A request for a token was refused.
    #[serde(rename = "token.refused")]
    TokenRefused,
    /// A token was revoked.
    #[serde(rename = "token.revoked")]
    TokenRevoked,
    /// A client was told who a person is that signed in to it.
    #[serde(rename = "person.told")]
    PersonTold,
    /// A person let an agent act in their name.
    #[serde(rename = "grant.given")]
    GrantGiven,
    /// A person did not let an agent act in their name.
    #[serde(rename = "grant.refused")]
    GrantRefused,
    /// What an agent may do in a person's name ended before its time.
    #[serde(rename = "grant.revoked")]
    GrantRevoked,
    /// A client was sent the code that it fetches tokens with.
    #[serde(rename = "code.issued")]
    CodeIssued,
    /// Clients may register themselves until a moment that is said, or no longer.
    #[serde(rename = "client.registration_opened")]
    ClientRegistrationOpened,
    /// A client registered itself.
    #[serde(rename = "client.registered")]
    ClientRegistered,
    /// A client that had registered itself was removed.
    #[serde(rename = "client.removed")]
    ClientRemoved,
    /// Somebody vouches for running copies of clients.
    #[serde(rename = "attester.added")]
    AttesterAdded,
    /// Somebody vouches for them no more.
    #[serde(rename = "attester.removed")]
    AttesterRemoved,
    /// A call is about to be forwarded.
    #[serde(rename = "call.permitted")]
    CallPermitted,
    /// A call was refused by policy.
    #[serde(rename = "call.denied")]
    CallDenied,
    /// A call was refused before it reached policy.
    #[serde(rename = "call.refused")]
    CallRefused,
    /// A forwarded call ended.
    #[serde(rename = "call.completed")]
    CallCompleted,
    /// A decision was made for an outside enforcement point.
    #[serde(rename = "decision.made")]
    DecisionMade,
    /// Someone was refused at our own surface.
    #[serde(rename = "request.refused")]
    RequestRefused,
    /// The sealed log is not what was signed.
    #[serde(rename = "record.altered")]
    RecordAltered,
    /// A waiting entry could not be read; its bytes are sealed under this.
    #[serde(rename = "record.damaged")]
    RecordDamaged,
    /// The clock went back or leapt.
    #[serde(rename = "clock.anomaly")]
    ClockAnomaly,
}

/// One fact. What does not apply is absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// Who did it.
    pub actor: Actor,
    /// The agent that it is about, as it was at the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentFacts>,
    /// When, in microseconds since the epoch.
    pub at: Timestamp,
    /// What was asked for, for calls and decisions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<CallFacts>,
    /// The decision behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<DecisionFacts>,
    /// Further facts, by kind of event; texts only, sorted.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub facts: std::collections::BTreeMap<String, String>,
    /// Names this event.
    pub id: EventId,
    /// What happened.
    pub kind: EventKind,
    /// How it ended: a stable code (`ok`, or why not).
    pub outcome: String,
    /// Why, in a person's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// On whose behalf; absent when the agent acts for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The credential that was used or made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenFacts>,
    /// W3C trace context of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Actor {
    /// The id within its kind: a handle, an agent id, a resource id; empty when unknown.
    pub id: String,
    /// What kind of principal.
    pub kind: ActorKind,
}

impl Actor {
    /// The authority itself: nobody asked for it.
    pub fn authority() -> Self {
        Self {
            id: String::new(),
            kind: ActorKind::Authority,
        }
    }
}

/// Kinds of principals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    /// A person with a login.
    Human,
    /// Whoever holds the credential of the data folder.
    LocalAdministrator,
    /// A registered agent.
    Agent,
    /// A registered resource server.
    Resource,
    /// The authority itself.
    Authority,
    /// Someone who did not prove who they are.
    Unknown,
}

/// An agent as it was when the event happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentFacts {
    /// Its id.
    pub id: AgentId,
    /// The model that it declares, name and version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Its name.
    pub name: String,
    /// Who answered for it.
    pub owner: OwnerId,
    /// The digest of its version in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Digest>,
}

impl AgentFacts {
    /// What the record says of an agent that `document` describes.
    pub fn of(agent: &Agent, document: &Document) -> Self {
        let model = document.model.as_ref().map(|model| match &model.version {
            Some(version) => format!("{} {version}", model.name),
            None => model.name.clone(),
        });
        Self {
            id: agent.id,
            model,
            name: agent.name.as_str().to_owned(),
            owner: agent.owner_id,
            version: agent.version.map(|(_, digest)| digest),
        }
    }
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CallFacts {
    /// The action: a tool call, a method, an act on the authority.
    pub action: String,
    /// The digest of the canonical arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args_digest: Option<Digest>,
    /// What it acts on.
    pub resource: String,
    /// The tool, when it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
}

/// A decision, as the record holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DecisionFacts {
    /// Why, for machines.
    pub code: ReasonCode,
    /// Permit or deny.
    pub effect: Effect,
    /// Names the decision.
    pub id: DecisionId,
    /// The policies that determined it.
    pub policies: Vec<String>,
    /// Why, for people.
    pub reason: String,
    /// The snapshot that it was made against.
    pub snapshot: u64,
}

/// The most policies that the record names for one decision.
const MOST_POLICIES: usize = 64;
/// The longest text of a fact or a reason in the record, in bytes.
const LONGEST_TEXT: usize = 4_000;
/// The longest event: an entry of the log is at most this long (C2SP tlog-tiles).
pub const LONGEST_EVENT: usize = 65_535;
/// Most events are no longer than so many bytes.
const USUAL_EVENT: usize = 1_024;

impl From<&Decision> for DecisionFacts {
    fn from(decision: &Decision) -> Self {
        let mut policies = decision.policies.clone();
        if let Some(more) = policies
            .len()
            .checked_sub(MOST_POLICIES)
            .filter(|more| *more > 0)
        {
            policies.truncate(MOST_POLICIES);
            policies.push(format!("… and {more} more"));
        }
        Self {
            policies,
            code: decision.code,
            effect: decision.effect,
            id: decision.id,
            reason: decision.reason.clone(),
            snapshot: decision.snapshot,
        }
    }
}

/// A token, never its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenFacts {
    /// Whom it is for.
    pub audience: String,
    /// When it ends, in seconds since the epoch.
    pub expires_at: i64,
    /// The thumbprint of the key that it is bound to, if it is bound to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jkt: Option<String>,
    /// Its id.
    pub jti: TokenId,
    /// The SHA-256 of the certificate that it is bound to, if it is bound to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x5t: Option<String>,
}

impl Event {
    /// An event of `kind` that went well, with nothing but who and when.
    pub fn new(kind: EventKind, actor: Actor, now: Timestamp, entropy: &dyn Entropy) -> Self {
        Self {
            actor,
            agent: None,
            at: now,
            call: None,
            decision: None,
            facts: Default::default(),
            id: EventId::generate(now, entropy),
            kind,
            outcome: "ok".to_owned(),
            reason: None,
            subject: None,
            token: None,
            traceparent: None,
        }
    }

    /// The event with texts of others cut to what an entry can hold; a cut is marked (AUD-06).
    pub fn bounded(mut self) -> Self {
        let texts = self.facts.values_mut().chain(&mut self.reason);
        texts
            .chain(
                self.decision
                    .iter_mut()
                    .map(|decision| &mut decision.reason),
            )
            .for_each(cut);
        self
    }

    /// The canonical JSON of the event: the entry that the log's leaf hash covers.
    pub fn to_canonical_json(&self) -> String {
        let mut json = Vec::with_capacity(USUAL_EVENT);
        // Serialising to memory fails only for maps with keys that are not texts; there are none.
        serde_json::to_writer(&mut json, self).expect("an event has only text keys");
        String::from_utf8(json).expect("JSON is text")
    }
}

fn cut(text: &mut String) {
    if text.len() > LONGEST_TEXT {
        let all = text.len();
        text.truncate(text.floor_char_boundary(LONGEST_TEXT));
        text.push_str(&format!("… [cut from {all} bytes]"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn aud_06_a_long_text_is_cut_and_says_so() {
        let mut event = event("plain");
        event.reason = Some("é".repeat(50_000));
        let bounded = event.bounded();
        let reason = bounded.reason.as_deref().expect("a reason");
        assert!(reason.ends_with("… [cut from 100000 bytes]"), "{reason}");
        assert!(bounded.to_canonical_json().len() < LONGEST_EVENT);
    }

    fn event(text: &str) -> Event {
        Event {
            actor: Actor {
                id: text.to_owned(),
                kind: ActorKind::Agent,
            },
            agent: Some(AgentFacts {
                id: "agt_01hzy0000000000000000000aa".parse().expect("an id"),
                model: Some(text.to_owned()),
                name: "bot".to_owned(),
                owner: "own_01hzy0000000000000000000aa".parse().expect("an id"),
                version: Some(Digest::from_bytes([7; 32])),
            }),
            at: Timestamp::from_micros(1_234_567_890_123_456),
            call: Some(CallFacts {
                action: "call_tool".to_owned(),
                args_digest: Some(Digest::from_bytes([9; 32])),
                resource: text.to_owned(),
                tool: Some("refund".to_owned()),
            }),
            decision: Some(DecisionFacts {
                code: ReasonCode::PolicyPermits,
                effect: Effect::Permit,
                id: "dec_01hzy0000000000000000000aa".parse().expect("an id"),
                policies: vec!["b".to_owned(), text.to_owned()],
                reason: text.to_owned(),
                snapshot: 7,
            }),
            facts: [("zeta", "1"), ("alpha", text)]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            id: "evt_01hzy0000000000000000000aa".parse().expect("an id"),
            kind: EventKind::CallPermitted,
            outcome: "ok".to_owned(),
            reason: Some(text.to_owned()),
            subject: Some(text.to_owned()),
            token: Some(TokenFacts {
                audience: text.to_owned(),
                expires_at: 1_900_000_000,
                jkt: Some(text.to_owned()),
                jti: "tok_01hzy0000000000000000000aa".parse().expect("an id"),
                x5t: None,
            }),
            traceparent: Some(text.to_owned()),
        }
    }

    proptest! {
        #[test]
        fn aud_06_plain_serialisation_is_canonical_and_one_line(text in any::<String>()) {
            let json = event(&text).to_canonical_json();
            let value: serde_json::Value = serde_json::from_str(&json).expect("JSON");
            let canonical = serde_json_canonicalizer::to_string(&value).expect("canonical");
            prop_assert_eq!(&json, &canonical);
            prop_assert!(!json.bytes().any(|byte| byte < 0x20));
        }
    }

    #[test]
    fn what_was_written_is_read_back() {
        let event = event("plain");
        let read: Event = serde_json::from_str(&event.to_canonical_json()).expect("an event");
        assert_eq!(read, event);
    }
}
