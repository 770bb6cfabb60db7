//! Tool calls that somebody authorised one by one: the details of the type `tool_call` of rich authorization requests
//! (RFC 9396), and the rule by which they only shrink.
//!
//! A detail names one tool, and for each argument that it speaks of, which values are within. Whoever has details may make the
//! calls that one of them admits, and no other; whoever has none is not limited in this way.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::mcp::is_legal_tool_name;

/// The type of details that exists here.
pub const TYPE: &str = "tool_call";
/// The most details of one authorization.
const MOST: usize = 32;
/// The most arguments that one detail speaks of.
const MOST_CONSTRAINTS: usize = 16;
/// The most values that one argument may have.
const MOST_VALUES: usize = 32;
/// The longest text in a detail, in bytes.
const LONGEST: usize = 256;
/// Whole numbers up to this are the same for every reader of JSON (RFC 8259 6).
const LARGEST: i64 = 1 << 53;

/// The one type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Kind {
    /// Calling a tool of an MCP server.
    #[serde(rename = "tool_call")]
    ToolCall,
}

/// The one thing that is done with a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Act {
    /// To call it.
    #[serde(rename = "call")]
    Call,
}

/// A value that an argument may have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum Scalar {
    /// A flag.
    Flag(bool),
    /// A whole number.
    Number(i64),
    /// A text.
    Text(String),
}

impl Scalar {
    fn is(&self, value: &Value) -> bool {
        match self {
            Self::Flag(flag) => value.as_bool() == Some(*flag),
            Self::Number(number) => value.as_i64() == Some(*number),
            Self::Text(text) => value.as_str() == Some(text),
        }
    }

    fn number(&self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Flag(_) | Self::Text(_) => None,
        }
    }
}

/// A member that is there says something: `null` is not the same as leaving it out.
fn present<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Which values of one argument are within. All that is said must hold; saying nothing wants the argument to be there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Constraint {
    /// One of these.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub one_of: Option<Vec<Scalar>>,
    /// A number that is not less.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub at_least: Option<i64>,
    /// A number that is not more.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub at_most: Option<i64>,
}

impl Constraint {
    fn admits(&self, value: &Value) -> bool {
        let is_listed = (self.one_of.as_ref())
            .is_none_or(|listed| listed.iter().any(|scalar| scalar.is(value)));
        let is_above = self
            .at_least
            .is_none_or(|least| is_ordered(Some(least), value, None));
        let is_below = self
            .at_most
            .is_none_or(|most| is_ordered(None, value, Some(most)));
        is_listed && is_above && is_below
    }

    /// Whether every value that this admits is one that `other` admits. It says no where it cannot be sure.
    fn is_within(&self, other: &Self) -> bool {
        let listed = self.one_of.as_deref();
        let is_listed = match &other.one_of {
            None => true,
            Some(theirs) => {
                listed.is_some_and(|own| own.iter().all(|scalar| theirs.contains(scalar)))
            }
        };
        let all_listed = |holds: &dyn Fn(i64) -> bool| {
            listed.is_some_and(|own| own.iter().all(|scalar| scalar.number().is_some_and(holds)))
        };
        let is_above = other.at_least.is_none_or(|least| {
            self.at_least.is_some_and(|own| own >= least) || all_listed(&|number| number >= least)
        });
        let is_below = other.at_most.is_none_or(|most| {
            self.at_most.is_some_and(|own| own <= most) || all_listed(&|number| number <= most)
        });
        is_listed && is_above && is_below
    }

    fn is_legal(&self) -> bool {
        let is_legal = |scalar: &Scalar| match scalar {
            Scalar::Flag(_) => true,
            Scalar::Number(number) => is_exact(*number),
            Scalar::Text(text) => text.len() <= LONGEST,
        };
        let listed = self.one_of.as_deref();
        let list_is_legal = listed.is_none_or(|listed| {
            (1..=MOST_VALUES).contains(&listed.len()) && listed.iter().all(is_legal)
        });
        let limits = [self.at_least, self.at_most];
        list_is_legal && limits.into_iter().flatten().all(is_exact)
    }
}

/// Names of arguments are words, so that no name reads like a sentence about others.
fn is_legal_argument(name: &str) -> bool {
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.$@/".contains(&byte);
    (1..=LONGEST).contains(&name.len()) && name.bytes().all(is_legal)
}

fn is_exact(number: i64) -> bool {
    (-LARGEST..=LARGEST).contains(&number)
}

/// Whether a value is a number between the limits. These are exact as floating point too.
fn is_ordered(least: Option<i64>, value: &Value, most: Option<i64>) -> bool {
    if let Some(number) = value.as_i64() {
        return least.is_none_or(|least| least <= number) && most.is_none_or(|most| number <= most);
    }
    let Some(number) = value.as_f64() else {
        return false;
    };
    least.is_none_or(|least| least as f64 <= number)
        && most.is_none_or(|most| number <= most as f64)
}

/// One detail, in the form of RFC 9396.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToolCall {
    /// `tool_call`.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The one resource that the tool is at; the resource of the request when it is not said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locations: Vec<String>,
    /// `call`; the same when it is not said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<Act>,
    /// The name of the tool.
    pub identifier: String,
    /// Which values arguments may have, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub constraints: BTreeMap<String, Constraint>,
    /// Whether there may be arguments that `constraints` does not speak of.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub additional: bool,
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_yes(flag: &bool) -> bool {
    *flag
}

impl ToolCall {
    fn admits(&self, tool: &str, arguments: &Map<String, Value>) -> bool {
        self.identifier == tool
            && self.constraints.iter().all(|(name, constraint)| {
                arguments
                    .get(name)
                    .is_some_and(|value| constraint.admits(value))
            })
            && (self.additional || self.speaks_of_all(arguments.keys()))
    }

    fn speaks_of_all<'a>(&self, mut names: impl Iterator<Item = &'a String>) -> bool {
        names.all(|name| self.constraints.contains_key(name))
    }

    fn is_within(&self, other: &Self) -> bool {
        self.identifier == other.identifier
            && self.locations == other.locations
            && other.constraints.iter().all(|(name, theirs)| {
                self.constraints
                    .get(name)
                    .is_some_and(|own| own.is_within(theirs))
            })
            && (other.additional
                || !self.additional && other.speaks_of_all(self.constraints.keys()))
    }
}

/// The details of one authorization.
// INVARIANT: at least one, each legal, with its location and its action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct ToolCalls(Vec<ToolCall>);

/// The details are none that can be authorised here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "`authorization_details` is a list of objects of the type `tool_call`, each with the `identifier` of a tool, at most one \
     location, which is the resource, and `constraints` of `one_of`, `at_least` and `at_most`, and `additional` arguments or none"
)]
pub struct InvalidDetails;

impl ToolCalls {
    /// The details of a request for `resource`, all of which must be there.
    pub fn of(details: Vec<ToolCall>, resource: &str) -> Result<Self, InvalidDetails> {
        if !(1..=MOST).contains(&details.len()) {
            return Err(InvalidDetails);
        }
        let legal = |mut detail: ToolCall| {
            if detail.locations.is_empty() {
                detail.locations.push(resource.to_owned());
            }
            if detail.actions.is_empty() {
                detail.actions.push(Act::Call);
            }
            let is_legal = detail.locations == [resource]
                && detail.actions == [Act::Call]
                && is_legal_tool_name(&detail.identifier)
                && detail.constraints.len() <= MOST_CONSTRAINTS
                && detail
                    .constraints
                    .keys()
                    .all(|name| is_legal_argument(name))
                && detail.constraints.values().all(Constraint::is_legal);
            is_legal.then_some(detail).ok_or(InvalidDetails)
        };
        let details: Result<_, _> = details.into_iter().map(legal).collect();
        details.map(Self)
    }

    /// Whether one of the details admits exactly this call.
    pub fn admit(&self, tool: &str, arguments: &Map<String, Value>) -> bool {
        self.0.iter().any(|detail| detail.admits(tool, arguments))
    }

    /// Whether some call of the tool is admitted.
    pub fn name(&self, tool: &str) -> bool {
        self.0.iter().any(|detail| detail.identifier == tool)
    }

    /// Whether every call that these admit is one that `other` admits (RFC 9396 6.1: a later request only narrows).
    pub fn are_within(&self, other: &Self) -> bool {
        let mut own = self.0.iter();
        own.all(|detail| other.0.iter().any(|theirs| detail.is_within(theirs)))
    }

    /// The details, in the order in which they were asked for.
    pub fn iter(&self) -> impl Iterator<Item = &ToolCall> {
        self.0.iter()
    }
}

/// Whether what is asked for is no more than what was given, where having no details is having no such limit.
pub fn is_within(asked: Option<&ToolCalls>, given: Option<&ToolCalls>) -> bool {
    match (asked, given) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(asked), Some(given)) => asked.are_within(given),
    }
}

impl<'de> Deserialize<'de> for ToolCalls {
    /// Reads what was written: details with their location.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let details = Vec::<ToolCall>::deserialize(deserializer)?;
        let resource = details.first().and_then(|first| first.locations.first());
        let resource = resource.cloned();
        let resource = resource.ok_or_else(|| serde::de::Error::custom(InvalidDetails))?;
        Self::of(details, &resource).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
