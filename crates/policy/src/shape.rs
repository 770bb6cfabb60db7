//! Shapes: what a value from outside must look like to become a value that policies read.
//!
//! Values are read member by member, by the shape, from the JSON; no JSON ever reaches a parser of
//! the engine, so its escapes (`__entity`, `__extn`, `__expr`) mean nothing here and are
//! refused wherever they appear (POL-04).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Number, Value as Json, json};

use crate::value::{Extension, Kind, Record, Set, Uid, Value, order};

/// What one value must look like.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Shape {
    Text,
    /// One of these texts.
    Choice(BTreeSet<String>),
    /// A whole number of 64 bits.
    Long,
    Flag,
    /// A number with at most four decimals.
    Decimal,
    /// A text that one of the engine's constructors reads.
    Extension(Extension),
    /// A list of which order and repetition do not matter.
    List(Box<Shape>),
    Record(Box<Fields>),
    /// The identifier of an entity of this type.
    Reference(Arc<Kind>),
}

/// The members of a record.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Fields {
    /// In the order in which they are looked up, each name once.
    members: Vec<(Box<str>, Field)>,
    undeclared: Undeclared,
    /// How many of them must be there.
    required: usize,
}

/// One member of a record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Field {
    /// `None` when the values have no type that policies know.
    pub(crate) shape: Option<Shape>,
    /// Whether the member must be there.
    pub(crate) required: bool,
    /// Whether `null` may stand for an absent member.
    pub(crate) nullable: bool,
}

/// What becomes of a member that is not declared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Undeclared {
    /// The value does not fit.
    #[default]
    Refused,
    /// Policies learn that it is there.
    Reported,
    /// Policies never see it.
    Ignored,
}

/// A value that does not fit its shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// Where, as member names joined by dots.
    path: String,
    problem: &'static str,
}

impl Misfit {
    fn new(path: &Path<'_>, problem: &'static str) -> Self {
        Self {
            path: path.to_string(),
            problem,
        }
    }
}

impl Misfit {
    /// One sentence; `what` names the kind of member.
    pub(crate) fn sentence(&self, what: &str) -> String {
        // Names of members are the caller's text: only plain ones are repeated to people.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if self.path.len() <= 64 && self.path.bytes().all(plain) {
            format!("{what} `{}` {}", self.path, self.problem)
        } else {
            format!("some {what} {}", self.problem)
        }
    }
}

/// The way from the root to a value, kept on the stack.
struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    name: &'a str,
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
            if parent.parent.is_some() {
                f.write_str(".")?;
            }
        }
        f.write_str(self.name)
    }
}

/// Whether a key that the engine's JSON form reserves appears anywhere in `map`.
pub(crate) fn has_reserved_key(map: &Map<String, Json>) -> bool {
    let reserved = |key: &String| ["__entity", "__extn", "__expr"].contains(&key.as_str());
    let mut inside: Vec<&Json> = Vec::new();
    let nested = |value: &&Json| value.is_object() || value.is_array();
    if map.keys().any(reserved) {
        return true;
    }
    inside.extend(map.values().filter(nested));
    while let Some(value) = inside.pop() {
        match value {
            Json::Object(map) if map.keys().any(reserved) => return true,
            Json::Object(map) => inside.extend(map.values().filter(nested)),
            Json::Array(items) => inside.extend(items.iter().filter(nested)),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
        }
    }
    false
}

impl Fields {
    pub(crate) fn new(members: BTreeMap<String, Field>, undeclared: Undeclared) -> Self {
        let required = members.values().filter(|field| field.required).count();
        let members = members.into_iter();
        let mut members: Vec<_> = members
            .map(|(name, field)| (name.into_boxed_str(), field))
            .collect();
        members.sort_unstable_by(|(left, _), (right, _)| order(left, right));
        Self {
            members,
            undeclared,
            required,
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Field> {
        let found = self
            .members
            .binary_search_by(|(other, _)| order(other, name));
        found.ok().map(|at| &self.members[at].1)
    }

    /// The record that policies read, and the dotted names of what it leaves out.
    pub(crate) fn read<'a>(
        &self,
        map: &'a Map<String, Json>,
    ) -> Result<(Record<'a>, Vec<String>), Misfit> {
        let root = Path {
            parent: None,
            name: "",
        };
        let mut untyped = Vec::new();
        let record = self.read_at(map, &root, &mut untyped)?;
        Ok((record, untyped))
    }

    fn read_at<'a>(
        &self,
        map: &'a Map<String, Json>,
        parent: &Path<'_>,
        untyped: &mut Vec<String>,
    ) -> Result<Record<'a>, Misfit> {
        let mut record = Vec::with_capacity(map.len().min(self.members.len()));
        let mut required = 0;
        for (name, value) in map {
            let path = Path {
                parent: Some(parent),
                name,
            };
            let Some(field) = self.get(name) else {
                match self.undeclared {
                    Undeclared::Refused => return Err(Misfit::new(&path, "is not declared")),
                    Undeclared::Reported => untyped.push(path.to_string()),
                    Undeclared::Ignored => {}
                }
                continue;
            };
            required += usize::from(field.required);
            match &field.shape {
                None => untyped.push(path.to_string()),
                Some(_) if value.is_null() && field.nullable => untyped.push(path.to_string()),
                Some(shape) => {
                    let value = shape.read(value, &path, untyped)?;
                    record.push((Cow::Borrowed(name.as_str()), value));
                }
            }
        }
        if required == self.required {
            return Ok(Record::new(record));
        }
        let missing =
            |(name, field): &&(Box<str>, Field)| field.required && !map.contains_key(&**name);
        let missing = self.members.iter().filter(missing);
        let name = missing.map(|(name, _)| &**name).min();
        let path = Path {
            parent: Some(parent),
            name: name.unwrap_or_default(),
        };
        Err(Misfit::new(&path, "is missing"))
    }

    /// The type of the record in the engine's JSON form.
    pub(crate) fn schema(&self) -> Json {
        let typed = self.members.iter().filter_map(|(name, field)| {
            let mut kind = field.shape.as_ref()?.schema();
            // A member that may be null is absent from the record when it is.
            kind["required"] = (field.required && !field.nullable).into();
            Some((name.to_string(), kind))
        });
        json!({"type": "Record", "attributes": Map::from_iter(typed)})
    }
}

impl Shape {
    fn read<'a>(
        &self,
        value: &'a Json,
        path: &Path<'_>,
        untyped: &mut Vec<String>,
    ) -> Result<Value<'a>, Misfit> {
        let misfit = |problem| Misfit::new(path, problem);
        match (self, value) {
            (Self::Text, Json::String(text)) => Ok(Value::text(text)),
            (Self::Text, _) => Err(misfit("must be a text")),
            (Self::Choice(choices), Json::String(text)) if choices.contains(text) => {
                Ok(Value::text(text))
            }
            (Self::Choice(_), _) => Err(misfit("must be one of the declared texts")),
            (Self::Long, Json::Number(number)) => whole(number)
                .map(Value::Long)
                .ok_or_else(|| misfit("must be a whole number of 64 bits")),
            (Self::Long, _) => Err(misfit("must be a whole number of 64 bits")),
            (Self::Flag, Json::Bool(flag)) => Ok(Value::Flag(*flag)),
            (Self::Flag, _) => Err(misfit("must be true or false")),
            (Self::Decimal, Json::Number(number)) => decimal(&number.to_string())
                .map(Value::Decimal)
                .ok_or_else(|| misfit("must be a number with at most four decimals")),
            (Self::Decimal, _) => Err(misfit("must be a number with at most four decimals")),
            (Self::Extension(kind), Json::String(text)) => {
                Ok(Value::Written(*kind, Cow::Borrowed(text)))
            }
            (Self::Extension(_), _) => Err(misfit("must be a text")),
            (Self::List(element), Json::Array(items)) => items
                .iter()
                .map(|item| element.read(item, path, untyped))
                .collect::<Result<Vec<_>, _>>()
                .map(|items| Value::Set(Set::new(items))),
            (Self::List(_), _) => Err(misfit("must be a list")),
            (Self::Record(fields), Json::Object(map)) => {
                fields.read_at(map, path, untyped).map(Value::Record)
            }
            (Self::Record(_), _) => Err(misfit("must be an object")),
            (Self::Reference(kind), Json::String(id)) => {
                Ok(Value::Entity(Uid::new(kind, id.as_str())))
            }
            (Self::Reference(_), _) => Err(misfit("must be an identifier")),
        }
    }

    fn schema(&self) -> Json {
        match self {
            Self::Text | Self::Choice(_) => json!({"type": "String"}),
            Self::Long => json!({"type": "Long"}),
            Self::Flag => json!({"type": "Boolean"}),
            Self::Decimal => json!({"type": "Extension", "name": "decimal"}),
            Self::Extension(Extension::Datetime) => {
                json!({"type": "Extension", "name": "datetime"})
            }
            Self::Extension(Extension::Duration) => {
                json!({"type": "Extension", "name": "duration"})
            }
            Self::Extension(Extension::Address) => json!({"type": "Extension", "name": "ipaddr"}),
            Self::List(element) => json!({"type": "Set", "element": element.schema()}),
            Self::Record(fields) => fields.schema(),
            Self::Reference(kind) => json!({"type": "Entity", "name": kind.name()}),
        }
    }
}

/// The number as a whole one, when it is: JSON does not tell `5` from `5.0`.
fn whole(number: &Number) -> Option<i64> {
    if let Some(whole) = number.as_i64() {
        return Some(whole);
    }
    if number.is_u64() {
        return None;
    }
    // Up to 2^53 every whole number has its own double; beyond that, what was meant is lost.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let double = number.as_f64()?;
    (double.fract() == 0.0 && double.abs() < EXACT).then_some(double as i64)
}

/// The number in ten-thousandths, when it is one: at most four places, 64 bits in all.
pub(crate) fn decimal(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = fraction.trim_end_matches('0');
    let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !plain(whole) || !plain(fraction) || fraction.len() > 4 {
        return None;
    }
    // A decimal of the engine is 64 bits, scaled by 10^4.
    format!("{sign}{whole}{fraction:0<4}").parse().ok()
}
