//! Deciding: one question in, one decision out, and a sentence that says why.

use std::borrow::Cow;

use chancery_model::decision::{Decision, Effect, ReasonCode};
use chancery_model::id::DecisionId;

use crate::compile::Snapshot;
use crate::question::{AdminFacts, Question, Target};
use crate::request::{Posed, Refusal};
use crate::rules::Verdict;

impl Snapshot {
    /// Answers the question; whatever goes wrong on the way is a denial that says so.
    pub fn decide(&self, id: DecisionId, question: &Question<'_>) -> Decision {
        match self.judge(question) {
            Ok(verdict) => self.decision(id, question, &verdict),
            Err(refusal) => Decision {
                id,
                effect: Effect::Deny,
                snapshot: self.number(),
                policies: Vec::new(),
                code: refusal.code,
                reason: refusal.reason,
            },
        }
    }

    /// What the policies say: evaluated here where that is plain, else by the engine.
    fn judge(&self, question: &Question<'_>) -> Result<Verdict, Refusal> {
        let asked = match self.pose(question)? {
            Posed::Ours(situation) => match self.rules.judge(&situation) {
                Some(verdict) => return Ok(verdict),
                None => self.express(&situation)?,
            },
            Posed::Theirs(asked) => asked,
        };
        let rules = &self.rules;
        Ok(rules.evaluate(&asked.key, &asked.request, &asked.entities))
    }

    pub(crate) fn decision(
        &self,
        id: DecisionId,
        question: &Question<'_>,
        verdict: &Verdict,
    ) -> Decision {
        let effect = match verdict.code {
            ReasonCode::PolicyPermits => Effect::Permit,
            ReasonCode::NoPolicyPermits
            | ReasonCode::PolicyForbids
            | ReasonCode::PolicyError
            | ReasonCode::RequestInvalid
            | ReasonCode::UnknownAction => Effect::Deny,
        };
        let names = verdict.determining.iter();
        let mut policies: Vec<String> =
            names.map(|&at| self.rules.summary(at).id.clone()).collect();
        policies.sort();
        Decision {
            id,
            effect,
            snapshot: self.number(),
            reason: self.reason(question, verdict, &policies),
            policies,
            code: verdict.code,
        }
    }

    /// One plain sentence. It repeats names that were registered and texts of policies, never what
    /// the asker sent.
    fn reason(&self, question: &Question<'_>, verdict: &Verdict, policies: &[String]) -> String {
        let kind = match policies {
            [_] => "policy ",
            _ => "policies ",
        };
        let names = match policies {
            [only] => Cow::Borrowed(only.as_str()),
            several => Cow::Owned(several.join(", ")),
        };
        let mut said = verdict.determining.iter();
        let said = said.find_map(|&at| self.rules.summary(at).reason());
        let (colon, said) = said.map_or(("", ""), |said| (": ", said));
        match verdict.code {
            ReasonCode::PolicyPermits => ["permitted by ", kind, &names, colon, said].concat(),
            ReasonCode::PolicyForbids => ["forbidden by ", kind, &names, colon, said].concat(),
            ReasonCode::PolicyError if policies.is_empty() => {
                "the policies could not be evaluated".to_owned()
            }
            ReasonCode::PolicyError => [kind, &names, " could not be evaluated"].concat(),
            ReasonCode::NoPolicyPermits
            | ReasonCode::RequestInvalid
            | ReasonCode::UnknownAction => no_policy_permits(question),
        }
    }
}

fn no_policy_permits(question: &Question<'_>) -> String {
    match question {
        // The names of the server and the tool were found in the snapshot before policies were asked.
        Question::ToolCall {
            agent,
            server,
            tool,
            ..
        } => inactive(
            agent.status(),
            format!(
                "no policy permits agent {} to call {server}/{tool}",
                agent.name()
            ),
        ),
        Question::ListTool {
            agent,
            server,
            tool,
        } => inactive(
            agent.status(),
            format!(
                "no policy permits agent {} to see {server}/{tool}",
                agent.name()
            ),
        ),
        Question::IssueToken { agent, .. } => inactive(
            agent.status(),
            format!(
                "no policy permits a token for agent {} with these scopes",
                agent.name()
            ),
        ),
        Question::Administer {
            actor,
            action,
            target,
        } => {
            let who = match actor {
                AdminFacts::LocalAdministrator => "the local administrator",
                AdminFacts::Human { .. } => "this person",
                AdminFacts::Agent(agent) => agent.name(),
            };
            let what = match target.target {
                Target::Agent(agent) => format!(" on agent {}", agent.name()),
                Target::Authority
                | Target::Owner(_)
                | Target::Resource(_)
                | Target::Server(_)
                | Target::Policy(_) => String::new(),
            };
            format!("no policy permits {who} the act {action}{what}")
        }
        Question::External { .. } => "no policy permits this request".to_owned(),
    }
}

fn inactive(status: &str, sentence: String) -> String {
    match status {
        "active" => sentence,
        status => format!("{sentence}, which is {status}"),
    }
}
