//! Decisions: what the decision point answers, and the permit that enforcement consumes.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::DecisionId;

/// The answer to one question, made against one numbered snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Names this decision in the record.
    pub id: DecisionId,
    /// Whether the act may happen.
    pub effect: Effect,
    /// The number of the snapshot that was asked.
    pub snapshot: u64,
    /// The policies that determined the effect, sorted.
    pub policies: Vec<String>,
    /// A stable code for machines.
    pub code: ReasonCode,
    /// One plain sentence for people, without input that could mislead.
    pub reason: String,
}

/// Permit or deny.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// The act may happen.
    Permit,
    /// The act may not happen.
    Deny,
}

/// Why a decision came out as it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReasonCode {
    /// A policy permits it and none forbids it.
    PolicyPermits,
    /// No policy permits it.
    NoPolicyPermits,
    /// A policy forbids it.
    PolicyForbids,
    /// A policy could not be evaluated, so nothing is permitted.
    PolicyError,
    /// The request does not fit the schema of its action.
    RequestInvalid,
    /// The action is not known.
    UnknownAction,
}

/// The stable name, as answers and the record have it.
impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// The stable name, as answers and the record have it.
impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// Evidence that a decision permitted the act it was asked about; enforcement consumes it.
#[derive(Debug)]
pub struct Permit {
    decision: Decision,
}

impl Decision {
    /// Splits into the evidence for a permit, or the refusal.
    pub fn into_permit(self) -> Result<Permit, Decision> {
        match self.effect {
            Effect::Permit => Ok(Permit { decision: self }),
            Effect::Deny => Err(self),
        }
    }
}

impl Permit {
    /// The decision behind the permit.
    pub fn decision(&self) -> &Decision {
        &self.decision
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_printed_as_they_are_written() {
        assert_eq!(ReasonCode::NoPolicyPermits.to_string(), "no_policy_permits");
        assert_eq!(Effect::Permit.to_string(), "permit");
        let written = serde_json::to_value(ReasonCode::NoPolicyPermits).expect("JSON");
        assert_eq!(written, "no_policy_permits");
    }
}
