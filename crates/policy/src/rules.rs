//! A compiled set of policies: parsed, checked against the schema, indexed, ready to evaluate.

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use cedar_policy::ffi::DetailedError;
use cedar_policy::{
    Authorizer, Decision, Effect, Entities, Policy, PolicyId, PolicySet, Request, Response, Schema,
    ValidationMode, Validator,
};
use chancery_model::decision::{self, ReasonCode};
use serde::Serialize;

use crate::compile::PolicySource;
use crate::condition::{Compiler, Term};
use crate::diagnose::{CompileError, Diagnostic, position};
#[cfg(test)]
use crate::evaluate::Unsure;
use crate::explain::Outcome;
use crate::index::{Index, SliceKey};
use crate::situation::Situation;

/// How far a condition may follow references: the attributes of the principal and the resource, but
/// not those of what they refer to, because only the two of them are given to the engine.
const DEPTH: u32 = 1;

/// What a policy is told that goes further than [`DEPTH`].
pub(crate) const TOO_FAR: &str = "a condition reads attributes of something other than the principal, the resource and the context";

/// The compiled policies.
#[derive(Debug)]
pub(crate) struct Rules {
    rules: Vec<Rule>,
    /// Of the rules at the same positions; apart from them, so that a decision reads little memory.
    conditions: Vec<Condition>,
    positions: HashMap<String, usize>,
    warnings: Vec<Diagnostic>,
    index: Index,
    authorizer: Authorizer,
}

#[derive(Debug)]
struct Rule {
    policy: Policy,
    summary: PolicySummary,
}

/// What a rule says when its scope holds.
#[derive(Debug)]
struct Condition {
    effect: decision::Effect,
    /// `None` when only the engine can evaluate it.
    term: Option<Term>,
}

/// One policy of a snapshot, as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicySummary {
    /// Names the policy in decisions: its `@id`, or the name of its text and its place there.
    pub id: String,
    /// The name of the text that holds it.
    pub source: String,
    /// The line on which it begins, from 1.
    pub line: u32,
    /// The column at which it begins, from 1.
    pub column: u32,
    /// Whether it permits or forbids.
    #[serde(rename = "effect", serialize_with = "effect_name")]
    pub effect: decision::Effect,
    /// Its annotations, sorted by name.
    pub annotations: Vec<(String, String)>,
    /// What it is about, in one line.
    pub summary: String,
}

fn effect_name<S: serde::Serializer>(
    effect: &decision::Effect,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match effect {
        decision::Effect::Permit => "permit",
        decision::Effect::Deny => "forbid",
    })
}

impl PolicySummary {
    /// The plain sentence of its `@reason`.
    pub fn reason(&self) -> Option<&str> {
        let reason = self.annotations.iter().find(|(name, _)| name == "reason");
        reason.map(|(_, reason)| reason.as_str())
    }
}

/// What the policies say to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) code: ReasonCode,
    /// The positions of the policies that determined it.
    pub(crate) determining: Vec<usize>,
}

impl Verdict {
    fn failed() -> Self {
        Self {
            code: ReasonCode::PolicyError,
            determining: Vec::new(),
        }
    }
}

impl Rules {
    /// Parses, checks and indexes; any problem in any text is a refusal of all.
    pub(crate) fn compile(
        sources: &[PolicySource<'_>],
        schema: Schema,
    ) -> Result<Self, CompileError> {
        Self::parse(sources)?.check(sources, schema)
    }

    /// Parses and indexes; what comes out is not yet checked.
    pub(crate) fn parse(sources: &[PolicySource<'_>]) -> Result<Self, CompileError> {
        let mut rules: Vec<Rule> = Vec::new();
        let mut diagnostics = Vec::new();
        let mut texts = HashSet::new();
        for source in sources {
            if !texts.insert(source.name) {
                let message = "another text has the same name";
                diagnostics.push(Diagnostic::whole(source.name, message));
            }
            match parse_text(source) {
                Ok(parsed) => rules.extend(parsed),
                Err(found) => diagnostics.extend(found),
            }
        }
        let mut positions = HashMap::new();
        for (position, rule) in rules.iter().enumerate() {
            if positions
                .insert(rule.summary.id.clone(), position)
                .is_some()
            {
                let twice = rule.diagnostic("another policy has the same name");
                let hint = "give each policy its own `@id`".to_owned();
                diagnostics.push(twice.with_hint(Some(hint)));
            }
        }
        refuse_if_any(diagnostics)?;
        let mut compiler = Compiler::default();
        let conditions = rules.iter().map(|rule| Condition {
            effect: rule.summary.effect,
            term: compiler.conditions(&rule.policy),
        });
        Ok(Self {
            conditions: conditions.collect(),
            index: Index::of(rules.iter().map(|rule| &rule.policy)),
            rules,
            positions,
            warnings: Vec::new(),
            authorizer: Authorizer::new(),
        })
    }

    fn check(mut self, sources: &[PolicySource<'_>], schema: Schema) -> Result<Self, CompileError> {
        let all: Vec<usize> = (0..self.rules.len()).collect();
        let checked = Validator::new(schema).validate_with_level(
            &self.set(&all),
            ValidationMode::Strict,
            DEPTH,
        );
        let mut errors = Vec::new();
        for error in checked.validation_errors() {
            errors.extend(self.located(sources, error.policy_id(), &error.into()));
        }
        sort(&mut errors, sources);
        refuse_if_any(errors)?;
        let mut warnings = Vec::new();
        for warning in checked.validation_warnings() {
            warnings.extend(self.located(sources, warning.policy_id(), &warning.into()));
        }
        sort(&mut warnings, sources);
        self.warnings = warnings;
        Ok(self)
    }

    /// Places what the engine says about a policy in the text that the policy came from.
    fn located(
        &self,
        sources: &[PolicySource<'_>],
        id: &PolicyId,
        error: &DetailedError,
    ) -> Vec<Diagnostic> {
        let id: &str = id.as_ref();
        let summary = self.positions.get(id).map(|&at| &self.rules[at].summary);
        let source =
            summary.and_then(|summary| sources.iter().find(|source| source.name == summary.source));
        let (Some(summary), Some(source)) = (summary, source) else {
            return vec![Diagnostic::whole(id, error.message.clone())];
        };
        let mut found = Diagnostic::of_engine(source.name, source.text, error);
        for diagnostic in &mut found {
            diagnostic.policy = Some(id.to_owned());
            if diagnostic.line == 0 {
                (diagnostic.line, diagnostic.column) = (summary.line, summary.column);
            }
            if diagnostic.message.contains("requires level")
                || diagnostic.message.contains("cannot be dereferenced")
            {
                diagnostic.message = TOO_FAR.to_owned();
            }
            let prefix = format!("for policy `{id}`, ");
            if let Some(rest) = diagnostic.message.strip_prefix(&prefix) {
                diagnostic.message = rest.to_owned();
            }
        }
        found
    }

    /// What is suspicious but legal, such as a condition that can never hold.
    pub(crate) fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    pub(crate) fn index(&self) -> &Index {
        &self.index
    }

    pub(crate) fn summaries(&self) -> impl Iterator<Item = &PolicySummary> {
        self.rules.iter().map(|rule| &rule.summary)
    }

    pub(crate) fn summary(&self, position: usize) -> &PolicySummary {
        &self.rules[position].summary
    }

    /// What the policies that the situation can meet say, when all of them are plain enough here to
    /// be evaluated without the engine; nothing errs in what it answers.
    pub(crate) fn judge(&self, situation: &Situation<'_>) -> Option<Verdict> {
        let judged = catch_unwind(AssertUnwindSafe(|| {
            let principals = self.index.principals(situation.principal().place());
            let (mut permits, mut forbids) = (Vec::new(), Vec::new());
            for at in self.index.meets(&principals, situation.cells()) {
                let condition = &self.conditions[at];
                if condition.term.as_ref()?.holds(situation).ok()? {
                    match condition.effect {
                        decision::Effect::Permit => permits.push(at),
                        decision::Effect::Deny => forbids.push(at),
                    }
                }
            }
            let (code, mut determining) = match (forbids.is_empty(), permits.is_empty()) {
                (false, _) => (ReasonCode::PolicyForbids, forbids),
                (true, false) => (ReasonCode::PolicyPermits, permits),
                (true, true) => (ReasonCode::NoPolicyPermits, Vec::new()),
            };
            determining.sort_unstable();
            determining.dedup();
            Some(Verdict { code, determining })
        }));
        judged.unwrap_or(Some(Verdict::failed()))
    }

    /// Asks the policies that the request can meet; an error in any of them denies (POL-02).
    pub(crate) fn evaluate(
        &self,
        key: &SliceKey,
        request: &Request,
        entities: &Entities,
    ) -> Verdict {
        // The engine does not panic that we know of; if it ever does, that is a denial too (POL-01).
        let answered = catch_unwind(AssertUnwindSafe(|| {
            let slice = self.index.slice(key, |candidates| self.set(&candidates));
            self.authorizer.is_authorized(request, &slice, entities)
        }));
        answered.map_or_else(|_| Verdict::failed(), |response| self.verdict(&response))
    }

    /// What each policy that the request can meet says by itself.
    pub(crate) fn probe(
        &self,
        key: &SliceKey,
        request: &Request,
        entities: &Entities,
    ) -> Vec<(usize, Outcome)> {
        let outcome = |position: usize| {
            let answered = catch_unwind(AssertUnwindSafe(|| {
                let alone = self.set(&[position]);
                self.authorizer.is_authorized(request, &alone, entities)
            }));
            let Ok(response) = answered else {
                return Outcome::Error("the policy could not be evaluated".to_owned());
            };
            let diagnostics = response.diagnostics();
            match diagnostics.errors().next() {
                Some(error) => Outcome::Error(error.to_string()),
                None if diagnostics.reason().next().is_some() => Outcome::Satisfied,
                None => Outcome::NotSatisfied,
            }
        };
        let candidates = self.index.candidates(key).into_iter();
        candidates.map(|at| (at, outcome(at))).collect()
    }

    /// What one policy whose scope holds says here: nothing when only the engine can evaluate it.
    #[cfg(test)]
    pub(crate) fn holds(
        &self,
        position: usize,
        situation: &Situation<'_>,
    ) -> Option<Result<bool, Unsure>> {
        let term = self.conditions[position].term.as_ref()?;
        Some(term.holds(situation))
    }

    /// The answer of the engine over the whole set, without the index: the oracle of the tests.
    #[cfg(test)]
    pub(crate) fn evaluate_all(&self, request: &Request, entities: &Entities) -> Verdict {
        let all: Vec<usize> = (0..self.rules.len()).collect();
        let response = self
            .authorizer
            .is_authorized(request, &self.set(&all), entities);
        self.verdict(&response)
    }

    fn set(&self, positions: &[usize]) -> PolicySet {
        let policies = positions.iter().map(|&at| self.rules[at].policy.clone());
        // Adding can only fail for a template or a repeated name, and `parse` refused both.
        PolicySet::from_policies(policies).expect("static policies with distinct names")
    }

    fn verdict(&self, response: &Response) -> Verdict {
        let diagnostics = response.diagnostics();
        let mut erring = diagnostics.errors().peekable();
        let (code, mut determining): (_, Vec<usize>) = if erring.peek().is_some() {
            let ids = erring.map(|error| match error {
                cedar_policy::AuthorizationError::PolicyEvaluationError(error) => error.policy_id(),
            });
            (ReasonCode::PolicyError, self.positions_of(ids))
        } else {
            let reasons = self.positions_of(diagnostics.reason());
            let code = match (response.decision(), reasons.is_empty()) {
                (Decision::Allow, false) => ReasonCode::PolicyPermits,
                (Decision::Deny, false) => ReasonCode::PolicyForbids,
                // A permit that no policy gives does not exist; if it did, it would be none.
                (Decision::Allow | Decision::Deny, true) => ReasonCode::NoPolicyPermits,
            };
            (code, reasons)
        };
        determining.sort_unstable();
        Verdict { code, determining }
    }

    fn positions_of<'a>(&self, ids: impl Iterator<Item = &'a PolicyId>) -> Vec<usize> {
        ids.filter_map(|id| self.positions.get::<str>(id.as_ref()).copied())
            .collect()
    }
}

impl Rule {
    fn diagnostic(&self, message: &str) -> Diagnostic {
        let mut diagnostic = Diagnostic::whole(&self.summary.source, message);
        (diagnostic.line, diagnostic.column) = (self.summary.line, self.summary.column);
        diagnostic.in_policy(&self.summary.id)
    }
}

fn refuse_if_any(diagnostics: Vec<Diagnostic>) -> Result<(), CompileError> {
    if diagnostics.is_empty() {
        Ok(())
    } else {
        Err(CompileError { diagnostics })
    }
}

fn sort(diagnostics: &mut [Diagnostic], sources: &[PolicySource<'_>]) {
    let place = |name: &str| sources.iter().position(|source| source.name == name);
    diagnostics.sort_by_key(|found| (place(&found.source), found.line, found.column));
}

/// The policies of one text, in its order.
fn parse_text(source: &PolicySource<'_>) -> Result<Vec<Rule>, Vec<Diagnostic>> {
    let parsed: PolicySet = source
        .text
        .parse()
        .map_err(|errors: cedar_policy::ParseErrors| {
            let errors = errors.iter().map(DetailedError::from);
            let found =
                errors.flat_map(|error| Diagnostic::of_engine(source.name, source.text, &error));
            found.collect::<Vec<_>>()
        })?;
    if parsed.num_of_templates() > 0 {
        return Err(vec![Diagnostic::whole(
            source.name,
            "a policy has a slot such as `?principal`; templates are not supported",
        )]);
    }
    let mut rules = Vec::new();
    let mut found = Vec::new();
    let mut offset = 0;
    for place in 0..parsed.num_of_policies() {
        // The parser numbers the policies of a text in their order.
        let Some(policy) = parsed.policy(&PolicyId::new(format!("policy{place}"))) else {
            return Err(vec![Diagnostic::whole(
                source.name,
                "a policy was lost in parsing",
            )]);
        };
        offset = skip_comments(source.text, offset);
        let (line, column) = position(source.text, offset);
        offset += policy.to_cedar().map_or(0, |text| text.len());
        let rule = name(source, place, (line, column), policy);
        match check_annotations(&rule.summary) {
            Ok(()) => rules.push(rule),
            Err(message) => found.push(rule.diagnostic(message)),
        }
    }
    if found.is_empty() {
        Ok(rules)
    } else {
        Err(found)
    }
}

fn name(
    source: &PolicySource<'_>,
    place: usize,
    (line, column): (u32, u32),
    policy: &Policy,
) -> Rule {
    let id = match policy.annotation("id") {
        Some(id) => id.to_owned(),
        None => format!("{}/{place}", source.name),
    };
    let mut annotations: Vec<_> = policy
        .annotations()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    annotations.sort();
    let effect = match policy.effect() {
        Effect::Permit => decision::Effect::Permit,
        Effect::Forbid => decision::Effect::Deny,
    };
    let summary = PolicySummary {
        source: source.name.to_owned(),
        line,
        column,
        effect,
        annotations,
        summary: summarize(policy),
        id,
    };
    Rule {
        policy: policy.new_id(PolicyId::new(&summary.id)),
        summary,
    }
}

/// Names and reasons are shown to people and written to records.
fn check_annotations(summary: &PolicySummary) -> Result<(), &'static str> {
    let printable = |text: &str| !text.chars().any(char::is_control);
    if summary.id.is_empty() || summary.id.len() > 128 || !printable(&summary.id) {
        return Err("`@id` has 1 to 128 bytes and no control characters");
    }
    let reason = summary.reason().unwrap_or("");
    if reason.len() > 300 || !printable(reason) {
        return Err("`@reason` has at most 300 bytes and no control characters");
    }
    Ok(())
}

/// The scope of a policy in one line.
fn summarize(policy: &Policy) -> String {
    use cedar_policy::{ActionConstraint, PrincipalConstraint, ResourceConstraint};
    let principal = match policy.principal_constraint() {
        PrincipalConstraint::Any => "principal".to_owned(),
        PrincipalConstraint::In(uid) => format!("principal in {uid}"),
        PrincipalConstraint::Eq(uid) => format!("principal == {uid}"),
        PrincipalConstraint::Is(kind) => format!("principal is {kind}"),
        PrincipalConstraint::IsIn(kind, uid) => format!("principal is {kind} in {uid}"),
    };
    let action = match policy.action_constraint() {
        ActionConstraint::Any => "action".to_owned(),
        ActionConstraint::Eq(uid) => format!("action == {uid}"),
        ActionConstraint::In(uids) => {
            let uids: Vec<String> = uids.iter().map(ToString::to_string).collect();
            format!("action in [{}]", uids.join(", "))
        }
    };
    let resource = match policy.resource_constraint() {
        ResourceConstraint::Any => "resource".to_owned(),
        ResourceConstraint::In(uid) => format!("resource in {uid}"),
        ResourceConstraint::Eq(uid) => format!("resource == {uid}"),
        ResourceConstraint::Is(kind) => format!("resource is {kind}"),
        ResourceConstraint::IsIn(kind, uid) => format!("resource is {kind} in {uid}"),
    };
    let effect = match policy.effect() {
        Effect::Permit => "permit",
        Effect::Forbid => "forbid",
    };
    let conditions = if policy.has_non_scope_constraint() {
        " with conditions"
    } else {
        ""
    };
    format!("{effect} ({principal}, {action}, {resource}){conditions}")
}

/// The offset of the next character that is neither space nor in a comment.
fn skip_comments(text: &str, from: usize) -> usize {
    let mut rest = text.get(from..).unwrap_or("");
    loop {
        rest = rest.trim_start();
        match rest.strip_prefix("//") {
            Some(comment) => rest = comment.split_once('\n').map_or("", |(_, after)| after),
            None => return text.len() - rest.len(),
        }
    }
}
