//! Shapes: what a value from outside must look like to become a value that policies read.
//!
//! Values are built natively, member by member, from the shape and the JSON; no JSON ever reaches a
//! parser of the engine, so its escapes (`__entity`, `__extn`, `__expr`) mean nothing here and are
//! refused wherever they appear (POL-04).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use cedar_policy::{EntityTypeName, RestrictedExpression};
use serde_json::{Map, Number, Value, json};

use crate::schema;

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
    Record(Fields),
    /// The identifier of an entity of this type.
    Reference(EntityTypeName),
}

/// The extension types that are written as texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extension {
    Datetime,
    Duration,
    Address,
}

/// The members of a record.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Fields {
    pub(crate) members: BTreeMap<String, Field>,
    pub(crate) undeclared: Undeclared,
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

/// The members of a record as the engine takes them.
pub(crate) type Record = Vec<(String, RestrictedExpression)>;

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
pub(crate) fn has_reserved_key(map: &Map<String, Value>) -> bool {
    let mut maps = vec![map];
    let mut values: Vec<&Value> = Vec::new();
    loop {
        if let Some(map) = maps.pop() {
            let reserved = |key: &String| ["__entity", "__extn", "__expr"].contains(&key.as_str());
            if map.keys().any(reserved) {
                return true;
            }
            values.extend(map.values());
        } else if let Some(value) = values.pop() {
            match value {
                Value::Object(map) => maps.push(map),
                Value::Array(items) => values.extend(items),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        } else {
            return false;
        }
    }
}

impl Fields {
    /// The record that policies read, and the dotted names of what it leaves out.
    pub(crate) fn express(
        &self,
        map: &Map<String, Value>,
    ) -> Result<(Record, Vec<String>), Misfit> {
        let root = Path {
            parent: None,
            name: "",
        };
        let mut untyped = Vec::new();
        let record = self.express_at(map, &root, &mut untyped)?;
        Ok((record, untyped))
    }

    fn express_at(
        &self,
        map: &Map<String, Value>,
        parent: &Path<'_>,
        untyped: &mut Vec<String>,
    ) -> Result<Record, Misfit> {
        let mut record = Vec::with_capacity(map.len());
        for (name, value) in map {
            let path = Path {
                parent: Some(parent),
                name,
            };
            let Some(field) = self.members.get(name) else {
                match self.undeclared {
                    Undeclared::Refused => return Err(Misfit::new(&path, "is not declared")),
                    Undeclared::Reported => untyped.push(path.to_string()),
                    Undeclared::Ignored => {}
                }
                continue;
            };
            match &field.shape {
                None => untyped.push(path.to_string()),
                Some(_) if value.is_null() && field.nullable => untyped.push(path.to_string()),
                Some(shape) => {
                    record.push((name.clone(), shape.express(value, &path, untyped)?));
                }
            }
        }
        let missing = self
            .members
            .iter()
            .find(|(name, field)| field.required && !map.contains_key(*name));
        match missing {
            None => Ok(record),
            Some((name, _)) => {
                let path = Path {
                    parent: Some(parent),
                    name,
                };
                Err(Misfit::new(&path, "is missing"))
            }
        }
    }

    /// The type of the record in the engine's JSON form.
    pub(crate) fn schema(&self) -> Value {
        let typed = self.members.iter().filter_map(|(name, field)| {
            let mut kind = field.shape.as_ref()?.schema();
            // A member that may be null is absent from the record when it is.
            kind["required"] = (field.required && !field.nullable).into();
            Some((name.clone(), kind))
        });
        json!({"type": "Record", "attributes": Map::from_iter(typed)})
    }
}

impl Shape {
    fn express(
        &self,
        value: &Value,
        path: &Path<'_>,
        untyped: &mut Vec<String>,
    ) -> Result<RestrictedExpression, Misfit> {
        let misfit = |problem| Misfit::new(path, problem);
        match (self, value) {
            (Self::Text, Value::String(text)) => Ok(RestrictedExpression::new_string(text.clone())),
            (Self::Text, _) => Err(misfit("must be a text")),
            (Self::Choice(choices), Value::String(text)) if choices.contains(text) => {
                Ok(RestrictedExpression::new_string(text.clone()))
            }
            (Self::Choice(_), _) => Err(misfit("must be one of the declared texts")),
            (Self::Long, Value::Number(number)) => whole(number)
                .map(RestrictedExpression::new_long)
                .ok_or_else(|| misfit("must be a whole number of 64 bits")),
            (Self::Long, _) => Err(misfit("must be a whole number of 64 bits")),
            (Self::Flag, Value::Bool(flag)) => Ok(RestrictedExpression::new_bool(*flag)),
            (Self::Flag, _) => Err(misfit("must be true or false")),
            (Self::Decimal, Value::Number(number)) => decimal(number)
                .map(RestrictedExpression::new_decimal)
                .ok_or_else(|| misfit("must be a number with at most four decimals")),
            (Self::Decimal, _) => Err(misfit("must be a number with at most four decimals")),
            (Self::Extension(kind), Value::String(text)) => Ok(match kind {
                Extension::Datetime => RestrictedExpression::new_datetime(text),
                Extension::Duration => RestrictedExpression::new_duration(text),
                Extension::Address => RestrictedExpression::new_ip(text),
            }),
            (Self::Extension(_), _) => Err(misfit("must be a text")),
            (Self::List(element), Value::Array(items)) => items
                .iter()
                .map(|item| element.express(item, path, untyped))
                .collect::<Result<Vec<_>, _>>()
                .map(RestrictedExpression::new_set),
            (Self::List(_), _) => Err(misfit("must be a list")),
            (Self::Record(fields), Value::Object(map)) => {
                let record = fields.express_at(map, path, untyped)?;
                RestrictedExpression::new_record(record).map_err(|_| misfit("repeats a member"))
            }
            (Self::Record(_), _) => Err(misfit("must be an object")),
            (Self::Reference(kind), Value::String(id)) => {
                Ok(RestrictedExpression::new_entity_uid(schema::uid(kind, id)))
            }
            (Self::Reference(_), _) => Err(misfit("must be an identifier")),
        }
    }

    fn schema(&self) -> Value {
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
            Self::Reference(kind) => json!({"type": "Entity", "name": kind.to_string()}),
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

/// The number as the engine writes decimals, when it is one: at most four places, 64 bits in all.
fn decimal(number: &Number) -> Option<String> {
    let text = number.to_string();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.as_str()),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = fraction.trim_end_matches('0');
    let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !plain(whole) || !plain(fraction) || fraction.len() > 4 {
        return None;
    }
    // A decimal of the engine is 64 bits, scaled by 10^4.
    format!("{sign}{whole}{fraction:0<4}").parse::<i64>().ok()?;
    let fraction = if fraction.is_empty() { "0" } else { fraction };
    Some(format!("{sign}{whole}.{fraction}"))
}
