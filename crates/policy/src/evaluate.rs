//! Evaluating a compiled condition in a situation.
//!
//! The result is true, false, or [`Unsure`]: an attribute that is not there, a number that overflows,
//! values of types that do not go together. What such a thing means is for the engine to say, so the
//! whole question goes to it.

use crate::condition::{One, Path, Root, Term, Two};
use crate::situation::Situation;
use crate::thing::Thing;
use crate::value::{Seen, Uid, Value};

/// A day in milliseconds.
const DAY: i64 = 86_400_000;

/// The condition cannot be evaluated here: the engine decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unsure;

impl Term {
    /// Whether the condition holds.
    pub(crate) fn holds(&self, situation: &Situation<'_>) -> Result<bool, Unsure> {
        match self {
            Self::Every(terms) => {
                for term in terms {
                    if !term.holds(situation)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Self::Either(terms) => {
                for term in terms {
                    if term.holds(situation)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Self::Not(term) => Ok(!term.holds(situation)?),
            Self::Is(term, kind) => {
                let Seen::Entity(uid) = term.see(situation)? else {
                    return Err(Unsure);
                };
                Ok(uid.is(kind))
            }
            Self::Like(term, pattern) => {
                let Seen::Text(text) = term.see(situation)? else {
                    return Err(Unsure);
                };
                Ok(pattern.matches(text))
            }
            Self::Has(path, missing) => {
                let surely = path.names.len().saturating_sub(*missing);
                let (names, maybe) = path.names.split_at(surely);
                let mut at = path.root(situation);
                for name in names {
                    at = attribute(situation, at, name)?.ok_or(Unsure)?;
                }
                for name in maybe {
                    match attribute(situation, at, name)? {
                        Some(inside) => at = inside,
                        None => return Ok(false),
                    }
                }
                Ok(true)
            }
            Self::Known(_) | Self::Path(_) | Self::If(_) | Self::One(..) | Self::Two(..) => {
                let Seen::Flag(flag) = self.see(situation)? else {
                    return Err(Unsure);
                };
                Ok(flag)
            }
        }
    }

    /// The value of the term.
    fn see<'a>(&'a self, situation: &'a Situation<'a>) -> Result<Seen<'a>, Unsure> {
        match self {
            Self::Known(value) => Ok(value.see()),
            Self::Path(path) => {
                let mut at = path.root(situation);
                for name in &path.names {
                    at = attribute(situation, at, name)?.ok_or(Unsure)?;
                }
                Ok(at)
            }
            Self::If(branches) => {
                let [condition, then, otherwise] = &**branches;
                let branch = if condition.holds(situation)? {
                    then
                } else {
                    otherwise
                };
                branch.see(situation)
            }
            Self::One(op, term) => one(*op, term.see(situation)?).ok_or(Unsure),
            Self::Two(op, terms) => {
                let [left, right] = &**terms;
                let (left, right) = (left.see(situation)?, right.see(situation)?);
                two(*op, left, right, situation).ok_or(Unsure)
            }
            Self::Has(..)
            | Self::Every(_)
            | Self::Either(_)
            | Self::Not(_)
            | Self::Is(..)
            | Self::Like(..) => self.holds(situation).map(Seen::Flag),
        }
    }
}

impl Path {
    fn root<'a>(&self, situation: &'a Situation<'a>) -> Seen<'a> {
        match self.root {
            Root::Principal => Seen::Entity(&situation.principal().uid),
            Root::Action => Seen::Entity(&situation.act.uid),
            Root::Resource => Seen::Entity(&situation.resource().uid),
            Root::Context => Seen::Record(&situation.context),
        }
    }
}

/// What the record or the entity has under this name.
fn attribute<'a>(
    situation: &'a Situation<'a>,
    whole: Seen<'a>,
    name: &str,
) -> Result<Option<Seen<'a>>, Unsure> {
    let found = if let Seen::Record(record) = whole {
        record.get(name)
    } else if let Seen::Entity(uid) = whole {
        described(situation, uid).and_then(|thing| thing.attributes.get(name))
    } else {
        return Err(Unsure);
    };
    match found {
        // Only the engine can read it.
        Some(Value::Written(..)) => Err(Unsure),
        found => Ok(found.map(Value::see)),
    }
}

/// The entity, when it is one of the two that are described.
fn described<'a>(situation: &'a Situation<'a>, uid: &Uid<'_>) -> Option<&'a Thing<'a>> {
    let two = [situation.principal(), situation.resource()];
    let mut same = two.into_iter();
    let found = same.find(|thing| std::ptr::eq(&thing.uid, uid));
    found.or_else(|| two.into_iter().find(|thing| thing.uid == *uid))
}

/// Whether the entity is that one, or below it.
fn is_in(situation: &Situation<'_>, uid: &Uid<'_>, above: &Uid<'_>) -> bool {
    let over = match described(situation, uid) {
        Some(thing) => &thing.above[..],
        None if situation.act.uid == *uid => &situation.act.above,
        None => &[],
    };
    uid == above || over.contains(above)
}

fn one(op: One, value: Seen<'_>) -> Option<Seen<'_>> {
    Some(match (op, value) {
        (One::Negate, Seen::Long(long)) => Seen::Long(long.checked_neg()?),
        (One::IsEmpty, Seen::Set(set)) => Seen::Flag(set.items().is_empty()),
        (One::Date, Seen::Moment(at)) => Seen::Moment(at.checked_sub(at.rem_euclid(DAY))?),
        (One::Time, Seen::Moment(at)) => Seen::Span(at.rem_euclid(DAY)),
        (One::Units(unit), Seen::Span(span)) => Seen::Long(span.checked_div(unit)?),
        _ => return None,
    })
}

fn two<'a>(
    op: Two,
    left: Seen<'a>,
    right: Seen<'a>,
    situation: &Situation<'_>,
) -> Option<Seen<'a>> {
    let long = |operate: fn(i64, i64) -> Option<i64>| match (left, right) {
        (Seen::Long(left), Seen::Long(right)) => operate(left, right).map(Seen::Long),
        _ => None,
    };
    let flag = match (op, left, right) {
        (Two::Add, ..) => return long(i64::checked_add),
        (Two::Subtract, ..) => return long(i64::checked_sub),
        (Two::Multiply, ..) => return long(i64::checked_mul),
        (Two::Offset, Seen::Moment(at), Seen::Span(span)) => {
            return at.checked_add(span).map(Seen::Moment);
        }
        (Two::Since, Seen::Moment(at), Seen::Moment(since)) => {
            return at.checked_sub(since).map(Seen::Span);
        }
        (Two::Equal, left, right) => left == right,
        (Two::Less, Seen::Long(left), Seen::Long(right))
        | (Two::Less, Seen::Moment(left), Seen::Moment(right))
        | (Two::Less, Seen::Span(left), Seen::Span(right))
        | (Two::DecimalLess, Seen::Decimal(left), Seen::Decimal(right)) => left < right,
        (Two::LessOrEqual, Seen::Long(left), Seen::Long(right))
        | (Two::LessOrEqual, Seen::Moment(left), Seen::Moment(right))
        | (Two::LessOrEqual, Seen::Span(left), Seen::Span(right))
        | (Two::DecimalLessOrEqual, Seen::Decimal(left), Seen::Decimal(right)) => left <= right,
        (Two::In, Seen::Entity(uid), Seen::Entity(above)) => is_in(situation, uid, above),
        (Two::In, Seen::Entity(uid), Seen::Set(set)) => {
            let mut is_below = false;
            for above in set.items() {
                match above {
                    Value::Entity(above) => is_below |= is_in(situation, uid, above),
                    _ => return None,
                }
            }
            is_below
        }
        (Two::Contains, Seen::Set(set), item) => set.contains(item),
        (Two::ContainsAll, Seen::Set(set), Seen::Set(items)) => {
            items.items().iter().all(|item| set.contains(item.see()))
        }
        (Two::ContainsAny, Seen::Set(set), Seen::Set(items)) => {
            items.items().iter().any(|item| set.contains(item.see()))
        }
        _ => return None,
    };
    Some(Seen::Flag(flag))
}
