//! Explaining: a decision with what each policy said by itself.

use chancery_model::decision::{Decision, Effect, ReasonCode};
use chancery_model::id::DecisionId;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::compile::Snapshot;
use crate::question::Question;
use crate::rules::PolicySummary;

/// A decision and every policy that could have mattered to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The decision, the same that [`Snapshot::decide`] gives.
    pub decision: Decision,
    /// The policies whose scope the request can meet, in the order of their texts.
    pub candidates: Vec<Candidate>,
}

/// One policy and what it said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// The policy and its place.
    #[serde(flatten)]
    pub policy: PolicySummary,
    /// What it said by itself.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What a policy said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", content = "error", rename_all = "snake_case")]
pub enum Outcome {
    /// Its scope and its conditions hold.
    Satisfied,
    /// Its scope or a condition does not hold.
    NotSatisfied,
    /// It could not be evaluated, which denies.
    Error(String),
}

impl Snapshot {
    /// Decides, and asks each policy that could matter by itself.
    pub fn explain(&self, id: DecisionId, question: &Question<'_>) -> Explanation {
        let decision = self.decide(id, question);
        let Ok(asked) = self.ask(question) else {
            return Explanation {
                decision,
                candidates: Vec::new(),
            };
        };
        let outcomes = self
            .rules
            .probe(&asked.key, &asked.request, &asked.entities);
        let candidates = outcomes.into_iter().map(|(at, outcome)| Candidate {
            policy: self.rules.summary(at).clone(),
            outcome,
        });
        Explanation {
            decision,
            candidates: candidates.collect(),
        }
    }
}

impl Serialize for Explanation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// The members of a decision, in the order in which people read them.
        #[derive(Serialize)]
        struct View<'a> {
            id: DecisionId,
            effect: Effect,
            code: ReasonCode,
            reason: &'a str,
            policies: &'a [String],
            snapshot: u64,
        }
        let Decision {
            id,
            effect,
            snapshot,
            policies,
            code,
            reason,
        } = &self.decision;
        let view = View {
            id: *id,
            effect: *effect,
            code: *code,
            reason,
            policies,
            snapshot: *snapshot,
        };
        let mut explanation = serializer.serialize_struct("Explanation", 2)?;
        explanation.serialize_field("decision", &view)?;
        explanation.serialize_field("candidates", &self.candidates)?;
        explanation.end()
    }
}
