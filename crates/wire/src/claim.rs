//! Claims as they are read: absent, valid or an error, and never one for another (L5, JWT-09).

use std::fmt;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde_json::Value;

/// How far ahead of ours the clock of whoever signed may be.
pub(crate) const AHEAD: Duration = Duration::from_secs(10);

/// How long after its end a token still passes.
pub(crate) const BEHIND: Duration = Duration::from_secs(5);

/// Whether an audience is this one and no other; some write a list even of one (RFC 7519 4.1.3).
pub(crate) fn is_alone(audience: &Value, expected: &str) -> bool {
    match audience {
        Value::String(one) => one == expected,
        Value::Array(list) => list.len() == 1 && list[0].as_str() == Some(expected),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    }
}

/// Reads a member that may be absent but, when present, must be valid: `null` is not absent.
pub(crate) fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// A `NumericDate` of RFC 7519: seconds since the epoch; a fraction is rounded down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NumericDate(pub(crate) i64);

/// The year 9999 ends before this; anything later is no date but an attack on arithmetic.
const LATEST: i64 = 253_402_300_800;

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumericDateVisitor)
    }
}

struct NumericDateVisitor;

impl Visitor<'_> for NumericDateVisitor {
    type Value = NumericDate;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("seconds since 1970-01-01T00:00:00Z as a number")
    }

    fn visit_i64<E: Error>(self, seconds: i64) -> Result<NumericDate, E> {
        if !(0..LATEST).contains(&seconds) {
            return Err(E::custom("a date is out of range"));
        }
        Ok(NumericDate(seconds))
    }

    fn visit_u64<E: Error>(self, seconds: u64) -> Result<NumericDate, E> {
        self.visit_i64(i64::try_from(seconds).unwrap_or(i64::MAX))
    }

    fn visit_f64<E: Error>(self, seconds: f64) -> Result<NumericDate, E> {
        // The conversion saturates, so nothing outside the range comes back into it.
        self.visit_i64(seconds.floor() as i64)
    }
}
