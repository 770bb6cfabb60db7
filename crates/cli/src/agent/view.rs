//! How agents, versions and stops look to people.

use chancery_api::agents::{AgentView, VersionView};
use chancery_model::document::Model;

use super::trust;
use crate::authentication;
use crate::failure::Failure;
use crate::layout::{self, Facts, plain};
use crate::session::Session;

/// Prints one agent.
pub(super) fn agent(session: &Session, agent: &AgentView) -> Result<(), Failure> {
    session.output.show(agent, || facts(agent).render())
}

fn facts(agent: &AgentView) -> Facts {
    let document = &agent.document;
    let tools: Vec<String> = document
        .tools
        .iter()
        .map(|grant| format!("{}/{}", grant.server, grant.tool))
        .collect();
    let capabilities: Vec<String> = document
        .capabilities
        .iter()
        .map(|capability| format!("{} ({})", capability.name, word(&capability.risk)))
        .collect();
    let pending = agent.pending_version.map(|number| {
        let because = match agent.pending_because.as_slice() {
            [] => String::new(),
            because => format!(": {}", because.join(", ")),
        };
        format!("version {number} waits for a second person{because}")
    });
    let trusts: Vec<String> = agent.trusts.iter().map(trust::line).collect();
    let but = plain(&cannot_act(agent));
    Facts::new()
        .add("name", &agent.name)
        .add("id", agent.id)
        .styled("status", format!("{}{but}", layout::status(&agent.status)))
        .maybe("reason", agent.reason.as_ref())
        .add(
            "version",
            format!("{} ({})", agent.version_number, agent.version),
        )
        .maybe("pending", pending)
        .add("owner", &agent.owner)
        .maybe(
            "about",
            Some(&document.description).filter(|text| !text.is_empty()),
        )
        .maybe("model", document.model.as_ref().map(model))
        .add("autonomy", word(&document.autonomy_level))
        .each("can", &capabilities)
        .each("tools", &tools)
        .each("keys", &agent.keys)
        .maybe("known by", authentication::told(&agent.authentication))
        .each("answers go to", &agent.redirect_uris)
        .each("after signing out", &agent.post_logout_redirect_uris)
        .each("trusts", &trusts)
        .add("created", &agent.created_at)
        .add("updated", &agent.updated_at)
        .maybe("expires", agent.expires_at.as_ref())
        .add("revision", agent.revision)
}

/// What follows the status of an agent that may not act for another reason than its status.
fn cannot_act(agent: &AgentView) -> String {
    match &agent.not_live_because {
        Some(why) if !agent.live => format!(", but cannot act: {why}"),
        Some(_) | None => String::new(),
    }
}

/// A model by name, version and provider.
fn model(model: &Model) -> String {
    let version = model.version.as_ref().map(|version| format!(" {version}"));
    let provider = model.provider.as_ref();
    let provider = provider.map(|provider| format!(" ({provider})"));
    [Some(model.name.clone()), version, provider]
        .into_iter()
        .flatten()
        .collect()
}

/// The word that documents have for a value of one of their enumerations.
fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// A list of agents.
pub(super) fn agents(agents: &[AgentView]) -> String {
    let rows = agents.iter().map(|agent| {
        let pending = agent
            .pending_version
            .map(|number| format!(" (+{number} pending)"));
        vec![
            agent.name.clone(),
            format!("{}{}", agent.status, cannot_act(agent)),
            format!("{}{}", agent.version_number, pending.unwrap_or_default()),
            agent.owner.clone(),
            agent.id.to_string(),
        ]
    });
    layout::table(
        &["name", "status", "version", "owner", "id"],
        rows.collect(),
        "no agents",
    )
}

/// A list of versions.
pub(super) fn versions(versions: &[VersionView]) -> String {
    let rows = versions.iter().map(|version| {
        vec![
            version.number.to_string(),
            version.state.clone(),
            version.proposed_by.clone(),
            version.proposed_at.clone(),
            version.decided_by.clone().unwrap_or_default(),
            version.digest.to_string(),
            version.widens.join(", "),
        ]
    });
    layout::table(
        &[
            "version",
            "state",
            "proposed by",
            "at",
            "decided by",
            "digest",
            "widens",
        ],
        rows.collect(),
        "no versions",
    )
}
