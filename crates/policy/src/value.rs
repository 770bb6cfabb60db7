//! Values: what policies read, in the form in which conditions are evaluated here. The engine is
//! given the same values in its own form, made only when it is asked.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use cedar_policy::{EntityId, EntityTypeName, EntityUid, RestrictedExpression};
use chancery_model::document::DateTime;
use chancery_model::time::Timestamp;

use crate::schema;

/// A value that policies read.
#[derive(Debug, Clone)]
pub(crate) enum Value<'a> {
    Flag(bool),
    Long(i64),
    Text(Cow<'a, str>),
    /// A decimal, in ten-thousandths.
    Decimal(i64),
    /// A moment, in milliseconds since the epoch.
    Moment(i64),
    /// A duration, in milliseconds.
    Span(i64),
    /// A text that one of the engine's constructors reads; nothing here can tell what it means.
    Written(Extension, Cow<'a, str>),
    Entity(Uid<'a>),
    Set(Set<'a>),
    Record(Record<'a>),
}

/// The extension types that are written as texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extension {
    Datetime,
    Duration,
    Address,
}

/// Values of which order and repetition do not matter.
// INVARIANT: sorted, each once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Set<'a>(Vec<Value<'a>>);

/// Values with names.
// INVARIANT: sorted by the length of the name and then by the name, each name once.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Record<'a>(Vec<(Cow<'a, str>, Value<'a>)>);

/// A value that is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Seen<'a> {
    Flag(bool),
    Long(i64),
    Text(&'a str),
    Decimal(i64),
    Moment(i64),
    Span(i64),
    Written(&'a str),
    Entity(&'a Uid<'a>),
    Set(&'a Set<'a>),
    Record(&'a Record<'a>),
}

/// A type of entities.
pub(crate) struct Kind {
    name: Box<str>,
    engine: EntityTypeName,
}

/// A reference to an entity; both parts stay data whatever they contain (POL-03).
#[derive(Debug, Clone)]
pub(crate) struct Uid<'a> {
    kind: Arc<Kind>,
    id: Cow<'a, str>,
}

impl<'a> Value<'a> {
    pub(crate) fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    pub(crate) fn owned(text: impl Into<String>) -> Self {
        Self::Text(Cow::Owned(text.into()))
    }

    pub(crate) fn see(&self) -> Seen<'_> {
        match self {
            Self::Flag(flag) => Seen::Flag(*flag),
            Self::Long(long) => Seen::Long(*long),
            Self::Text(text) => Seen::Text(text),
            Self::Decimal(decimal) => Seen::Decimal(*decimal),
            Self::Moment(moment) => Seen::Moment(*moment),
            Self::Span(span) => Seen::Span(*span),
            Self::Written(_, text) => Seen::Written(text),
            Self::Entity(uid) => Seen::Entity(uid),
            Self::Set(set) => Seen::Set(set),
            Self::Record(record) => Seen::Record(record),
        }
    }

    /// The value as the engine takes it; `None` when it cannot be written.
    pub(crate) fn express(&self) -> Option<RestrictedExpression> {
        Some(match self {
            Self::Flag(flag) => RestrictedExpression::new_bool(*flag),
            Self::Long(long) => RestrictedExpression::new_long(*long),
            Self::Text(text) => RestrictedExpression::new_string(text.to_string()),
            Self::Decimal(decimal) => {
                let sign = if *decimal < 0 { "-" } else { "" };
                let (whole, rest) = (
                    decimal.unsigned_abs() / 10_000,
                    decimal.unsigned_abs() % 10_000,
                );
                RestrictedExpression::new_decimal(format!("{sign}{whole}.{rest:04}"))
            }
            Self::Moment(moment) => {
                let second = Timestamp::from_secs(moment.div_euclid(1_000));
                let rest = moment.rem_euclid(1_000);
                // Every moment that comes from outside is a whole second.
                if rest != 0 {
                    return None;
                }
                RestrictedExpression::new_datetime(DateTime(second).to_string())
            }
            Self::Span(span) => RestrictedExpression::new_duration(format!("{span}ms")),
            Self::Written(Extension::Datetime, text) => RestrictedExpression::new_datetime(text),
            Self::Written(Extension::Duration, text) => RestrictedExpression::new_duration(text),
            Self::Written(Extension::Address, text) => RestrictedExpression::new_ip(text),
            Self::Entity(uid) => RestrictedExpression::new_entity_uid(uid.express()),
            Self::Set(Set(items)) => {
                let items: Option<Vec<_>> = items.iter().map(Self::express).collect();
                RestrictedExpression::new_set(items?)
            }
            Self::Record(record) => RestrictedExpression::new_record(record.express()?).ok()?,
        })
    }
}

impl<'a> Set<'a> {
    pub(crate) fn new(mut items: Vec<Value<'a>>) -> Self {
        items.sort_unstable();
        items.dedup();
        Self(items)
    }

    pub(crate) fn items(&self) -> &[Value<'a>] {
        &self.0
    }

    pub(crate) fn contains(&self, item: Seen<'_>) -> bool {
        let found = self.0.binary_search_by(|other| other.see().cmp(&item));
        found.is_ok()
    }
}

impl<'a> Record<'a> {
    /// The names are distinct.
    pub(crate) fn new(mut members: Vec<(Cow<'a, str>, Value<'a>)>) -> Self {
        members.sort_unstable_by(|(left, _), (right, _)| order(left, right));
        Self(members)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value<'a>> {
        let found = self.0.binary_search_by(|(other, _)| order(other, name));
        found.ok().map(|at| &self.0[at].1)
    }

    pub(crate) fn members(&self) -> &[(Cow<'a, str>, Value<'a>)] {
        &self.0
    }

    /// The members as the engine takes them.
    pub(crate) fn express(&self) -> Option<Vec<(String, RestrictedExpression)>> {
        let members = self.0.iter();
        members
            .map(|(name, value)| Some((name.to_string(), value.express()?)))
            .collect()
    }
}

/// The order of names that are looked up: mostly their lengths tell them apart.
pub(crate) fn order(left: &str, right: &str) -> Ordering {
    let lengths = left.len().cmp(&right.len());
    lengths.then_with(|| left.cmp(right))
}

// Two values are the same when what is seen of them is.
impl PartialEq for Value<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.see() == other.see()
    }
}

impl Eq for Value<'_> {}

impl PartialOrd for Value<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Value<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.see().cmp(&other.see())
    }
}

impl Kind {
    pub(crate) fn new(engine: EntityTypeName) -> Arc<Self> {
        let name = engine.to_string().into_boxed_str();
        Arc::new(Self { name, engine })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn express(&self) -> &EntityTypeName {
        &self.engine
    }
}

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl<'a> Uid<'a> {
    pub(crate) fn new(kind: &Arc<Kind>, id: impl Into<Cow<'a, str>>) -> Self {
        Self {
            kind: Arc::clone(kind),
            id: id.into(),
        }
    }

    pub(crate) fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Whether it is of this type.
    pub(crate) fn is(&self, kind: &Arc<Kind>) -> bool {
        Arc::ptr_eq(&self.kind, kind) || self.kind == *kind
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// A reference of the engine.
    pub(crate) fn of(uid: &EntityUid) -> Uid<'static> {
        let kind = schema::kind(&uid.type_name().to_string());
        let kind = kind.unwrap_or_else(|| Kind::new(uid.type_name().clone()));
        Uid::new(&kind, uid.id().unescaped().to_owned())
    }

    /// The reference as the engine takes it.
    pub(crate) fn express(&self) -> EntityUid {
        EntityUid::from_type_name_and_id(self.kind.engine.clone(), EntityId::new(&*self.id))
    }
}

impl PartialEq for Uid<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.is(&other.kind) && self.id == other.id
    }
}

impl Eq for Uid<'_> {}

impl PartialOrd for Uid<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Uid<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let kinds = if Arc::ptr_eq(&self.kind, &other.kind) {
            Ordering::Equal
        } else {
            self.kind.name.cmp(&other.kind.name)
        };
        kinds.then_with(|| self.id.cmp(&other.id))
    }
}
