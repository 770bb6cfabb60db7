//! The decision point, pure: compile, check, decide, explain, over an immutable snapshot.
//!
//! Policies are Cedar texts; no other crate names the engine behind them. A [`Snapshot`] is compiled
//! once per change and then only read: [`Snapshot::decide`] answers one [`Question`] without I/O,
//! clock or randomness, and whatever goes wrong on the way is a denial with a code that says what.
//! Plain conditions are evaluated here (`condition`), all others by the engine, with the same result.
//! Nothing that a caller sends ever becomes policy text, and nothing that an agent asserts about
//! itself is a fact: facts come in as [`AgentEntity`], built from the registry. Start reading at
//! [`Question`], then at [`Snapshot`]; the types that policies see are in `schema`.

mod agent;
mod cases;
mod compile;
mod condition;
mod decide;
mod diagnose;
mod evaluate;
mod explain;
mod external;
mod index;
mod input_schema;
mod limits;
mod question;
mod request;
mod rules;
mod schema;
mod shape;
mod situation;
#[cfg(test)]
mod tests;
mod thing;
mod value;

pub use agent::{AgentEntity, AgentFacts};
pub use cases::{CaseOutcome, CaseReport, Cases, InvalidCases};
pub use compile::{PolicySource, Snapshot, ToolDefinition};
pub use diagnose::{CompileError, Diagnostic};
pub use explain::{Candidate, Explanation, Outcome};
pub use question::{
    AdminFacts, CallContext, EntityRef, ExternalAction, PersonFacts, Question, Target, TargetFacts,
};
pub use rules::PolicySummary;

/// The shipped policies: what holds until an organisation writes its own.
pub const DEFAULT: PolicySource<'static> = PolicySource {
    name: "default",
    text: include_str!("../../../policies/default.cedar"),
};
