//! Versions of an agent: a chain of documents, each named by its digest.
//!
//! A version is pending until it is accepted or rejected; the one in force is superseded by the next.

use std::fmt;

use crate::agent::IllegalTransition;
use crate::author::{Author, Hands};
use crate::digest::Digest;
use crate::document::{Document, ToolPermission};
use crate::id::AgentId;
use crate::time::Timestamp;

/// One version: a document with its place in the agent's chain and the authority's signature.
#[derive(Debug, Clone, PartialEq)]
pub struct Version {
    /// Whose version this is.
    pub agent_id: AgentId,
    /// 1 for the first; only ever grows (IDR-02).
    pub number: i64,
    /// The digest of the canonical document: the version's name.
    pub digest: Digest,
    /// The digest of the version before, `None` for the first.
    pub previous: Option<Digest>,
    /// What the owner declared.
    pub document: Document,
    /// The compact JWS over the digest, the number and the previous digest.
    pub signature: String,
    /// Who proposed it, and with whose login.
    pub proposed_by: Hands,
    /// When it was proposed.
    pub proposed_at: Timestamp,
    /// Whether it is in force, waiting, or past.
    pub state: VersionState,
}

/// Where a version stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionState {
    /// Waits for a second person; the version before stays in force.
    Pending,
    /// In force since.
    InForce {
        /// Since when.
        since: Timestamp,
        /// Who accepted it.
        accepted_by: Author,
    },
    /// Replaced by a later version.
    Superseded {
        /// When.
        at: Timestamp,
    },
    /// Refused by the reviewer.
    Rejected {
        /// When.
        at: Timestamp,
        /// By whom.
        by: Author,
    },
}

impl VersionState {
    /// The name that answers and rows use.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::InForce { .. } => "in_force",
            Self::Superseded { .. } => "superseded",
            Self::Rejected { .. } => "rejected",
        }
    }
}

impl Version {
    /// Pending → in force.
    pub fn accept(self, now: Timestamp, by: Author) -> Result<Self, IllegalTransition> {
        let state = VersionState::InForce {
            since: now,
            accepted_by: by,
        };
        self.decided(state, "accepted")
    }

    /// Pending → rejected, for good.
    pub fn reject(self, now: Timestamp, by: Author) -> Result<Self, IllegalTransition> {
        self.decided(VersionState::Rejected { at: now, by }, "rejected")
    }

    /// In force → superseded, by the version that comes into force with the same change.
    pub fn supersede(self, now: Timestamp) -> Result<Self, IllegalTransition> {
        match self.state {
            VersionState::InForce { .. } => Ok(self.moved(VersionState::Superseded { at: now })),
            VersionState::Pending
            | VersionState::Superseded { .. }
            | VersionState::Rejected { .. } => Err(self.no_edge("superseded")),
        }
    }

    fn decided(self, state: VersionState, to: &'static str) -> Result<Self, IllegalTransition> {
        match self.state {
            VersionState::Pending => Ok(self.moved(state)),
            VersionState::InForce { .. }
            | VersionState::Superseded { .. }
            | VersionState::Rejected { .. } => Err(self.no_edge(to)),
        }
    }

    fn moved(self, state: VersionState) -> Self {
        Self { state, ..self }
    }

    fn no_edge(&self, to: &'static str) -> IllegalTransition {
        IllegalTransition {
            what: "a version",
            from: self.state.name(),
            to,
        }
    }
}

/// One way in which a new version may do, reach or be more than the old one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Widening {
    /// A capability that the old version lacked, or with a higher risk.
    Capability(String),
    /// Data, or a kind of access to it, or a higher class, that the old version lacked.
    DataAccess(String),
    /// A tool or a permission on it that the old version lacked.
    Tool(String),
    /// Less human oversight.
    Oversight(String),
    /// More autonomy.
    Autonomy,
    /// The end was moved out or removed.
    Expiry,
    /// A fact that policies decide by is another one; whichever way it changed, somebody has to look.
    Fact(&'static str),
    /// Another model, prompt, image, code or configuration: what was reviewed is not what would run.
    Composition(&'static str),
}

impl fmt::Display for Widening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Capability(name) => write!(f, "capability `{name}` added or riskier"),
            Self::DataAccess(name) => write!(f, "data access to `{name}` added or widened"),
            Self::Tool(name) => write!(f, "tool `{name}` added or widened"),
            Self::Oversight(name) => write!(f, "human oversight of `{name}` removed"),
            Self::Autonomy => f.write_str("more autonomy"),
            Self::Expiry => f.write_str("later expiry"),
            Self::Fact(fact) => write!(f, "another {fact}, which policies decide by"),
            Self::Composition(part) => write!(f, "another {part}"),
        }
    }
}

/// Everything in which `new` is wider than `old`; empty when it only narrows (R3, IDR-06).
pub fn widenings(old: &Document, new: &Document) -> Vec<Widening> {
    let mut found = Vec::new();
    for capability in &new.capabilities {
        let known = old
            .capabilities
            .iter()
            .any(|before| before.name == capability.name && before.risk >= capability.risk);
        if !known {
            found.push(Widening::Capability(capability.name.clone()));
        }
    }
    for data in &new.data_access {
        let known = old.data_access.iter().any(|before| {
            before.resource == data.resource
                && before.classification >= data.classification
                && data
                    .access
                    .iter()
                    .all(|access| before.access.contains(access))
        });
        if !known {
            found.push(Widening::DataAccess(data.resource.clone()));
        }
    }
    for grant in &new.tools {
        let known = old.tools.iter().any(|before| {
            before.server == grant.server
                && (before.tool == grant.tool || before.tool == "*")
                && grant.permissions.iter().all(|permission| {
                    before.permissions.contains(permission)
                        || before.permissions.contains(&ToolPermission::Call)
                })
        });
        if !known {
            found.push(Widening::Tool(format!("{}/{}", grant.server, grant.tool)));
        }
    }
    if let Some(oversight) = &old.human_oversight {
        for what in &oversight.required_for {
            let kept = new.human_oversight.as_ref().is_some_and(|after| {
                after.required_for.contains(what) && after.approvers == oversight.approvers
            });
            if !kept {
                found.push(Widening::Oversight(what.clone()));
            }
        }
    }
    if new.autonomy_level > old.autonomy_level {
        found.push(Widening::Autonomy);
    }
    let later = match (old.expires_at, new.expires_at) {
        (Some(before), Some(after)) => after > before,
        (Some(_), None) => true,
        (None, _) => false,
    };
    if later {
        found.push(Widening::Expiry);
    }
    let environment = |document: &Document| {
        document
            .hosting
            .as_ref()
            .and_then(|hosting| hosting.environment.clone())
    };
    let facts = [
        ("team", old.team == new.team),
        ("platform", old.platform == new.platform),
        ("environment", environment(old) == environment(new)),
        // A higher one is named with its capability; a lower one may lift a policy about risk.
        (
            "risk",
            new.highest_risk() >= old.highest_risk() || new.capabilities.is_empty(),
        ),
    ];
    found.extend(
        facts
            .into_iter()
            .filter(|(_, same)| !same)
            .map(|(fact, _)| Widening::Fact(fact)),
    );
    let composition = [
        ("model", old.model == new.model),
        ("code", old.integrity.code == new.integrity.code),
        (
            "configuration",
            old.integrity.configuration == new.integrity.configuration,
        ),
        ("image", old.integrity.image == new.integrity.image),
        ("prompt", old.integrity.prompt == new.integrity.prompt),
        ("skills", old.integrity.skills == new.integrity.skills),
    ];
    let changed = composition.into_iter().filter(|(_, same)| !same);
    found.extend(changed.map(|(part, _)| Widening::Composition(part)));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idr_09_version_is_decided_once_and_superseded_only_from_force() {
        let at = Timestamp::from_secs(1);
        let by = Author::LocalAdministrator;
        let states = [
            VersionState::Pending,
            VersionState::InForce {
                since: at,
                accepted_by: by.clone(),
            },
            VersionState::Superseded { at },
            VersionState::Rejected { at, by: by.clone() },
        ];
        let edges = states.map(|state| {
            let from = state.name();
            let version = Version {
                agent_id: "agt_01hzy0000000000000000000aa".parse().expect("an id"),
                number: 1,
                digest: Digest::from_bytes([1; 32]),
                previous: None,
                document: document(serde_json::json!({})),
                signature: String::new(),
                proposed_by: "local-administrator".parse().expect("hands"),
                proposed_at: at,
                state,
            };
            let name = |moved: Result<Version, _>| moved.map_or("-", |moved| moved.state.name());
            (
                from,
                name(version.clone().accept(at, by.clone())),
                name(version.clone().reject(at, by.clone())),
                name(version.supersede(at)),
            )
        });
        assert_eq!(
            edges,
            [
                ("pending", "in_force", "rejected", "-"),
                ("in_force", "-", "-", "superseded"),
                ("superseded", "-", "-", "-"),
                ("rejected", "-", "-", "-"),
            ]
        );
    }

    fn document(extra: serde_json::Value) -> Document {
        let mut json = serde_json::json!({"name": "bot", "owner": "alice@example.com"});
        for (key, value) in extra.as_object().expect("an object") {
            json[key] = value.clone();
        }
        serde_json::from_value(json).expect("a document")
    }

    #[track_caller]
    fn check(old: serde_json::Value, new: serde_json::Value, expected: &[&str]) {
        let found: Vec<String> = widenings(&document(old), &document(new))
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn idr_06_growth_is_named_and_shrinking_is_not_growth() {
        use serde_json::json;
        let low = json!({"capabilities": [{"name": "pay", "risk": "low"}]});
        let high = json!({"capabilities": [{"name": "pay", "risk": "high"}]});
        check(
            json!({}),
            low.clone(),
            &["capability `pay` added or riskier"],
        );
        check(
            low.clone(),
            high.clone(),
            &["capability `pay` added or riskier"],
        );
        check(
            high,
            low.clone(),
            &["another risk, which policies decide by"],
        );
        check(low, json!({}), &[]);

        let all = json!({"tools": [{"server": "desk", "tool": "*"}]});
        let one = json!({"tools": [{"server": "desk", "tool": "refund"}]});
        check(all.clone(), one.clone(), &[]);
        check(one, all, &["tool `desk/*` added or widened"]);

        let read = json!({"data_access": [{"resource": "crm", "access": ["read"], "classification": "internal"}]});
        let write = json!({"data_access": [{"resource": "crm", "access": ["read", "write"], "classification": "internal"}]});
        check(
            read.clone(),
            write.clone(),
            &["data access to `crm` added or widened"],
        );
        check(write, read, &[]);

        let watched =
            json!({"human_oversight": {"required_for": ["pay"], "approvers": ["bob@example.com"]}});
        check(
            watched.clone(),
            json!({}),
            &["human oversight of `pay` removed"],
        );
        check(json!({}), watched, &[]);

        let staging = json!({"hosting": {"provider": "own", "environment": "staging"}});
        let production = json!({"hosting": {"provider": "own", "environment": "production"}});
        check(
            staging,
            production,
            &["another environment, which policies decide by"],
        );
        check(
            json!({"team": "a"}),
            json!({"team": "b"}),
            &["another team, which policies decide by"],
        );

        check(
            json!({}),
            json!({"autonomy_level": "autonomous"}),
            &["more autonomy"],
        );
        check(json!({}), json!({"autonomy_level": "assisted"}), &[]);
        check(
            json!({"expires_at": "2027-01-01T00:00:00Z"}),
            json!({}),
            &["later expiry"],
        );
        check(
            json!({"model": {"name": "a"}}),
            json!({"model": {"name": "b"}}),
            &["another model"],
        );
    }
}
