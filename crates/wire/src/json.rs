//! Strict JSON: the only way by which JSON from elsewhere becomes a value of ours.
//!
//! Size is checked before anything is parsed, then depth, duplicate member names at any depth,
//! UTF-8 and trailing bytes, in one pass that never recurses beyond the depth limit (DOS-01,
//! JWT-11). Two parsers cannot disagree about what passed: there is no second reading of a name.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use chancery_model::digest::Digest;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::hash;

/// How large and how deep a text may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes.
    pub bytes: usize,
    /// The most levels of arrays and objects.
    pub depth: usize,
}

/// For the body of a request.
pub const BODY: Limits = Limits {
    bytes: 256 * 1024,
    depth: 32,
};

/// For a token, and everything in it.
pub const TOKEN: Limits = Limits {
    bytes: 16 * 1024,
    depth: 32,
};

/// Why a text was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// More bytes than the limit.
    #[error("the JSON is too large")]
    TooLarge,
    /// More levels than the limit.
    #[error("the JSON is nested too deeply")]
    TooDeep,
    /// An object has two members of one name.
    #[error("the JSON has an object with two members of one name")]
    DuplicateMember,
    /// Not JSON as RFC 8259 has it, in UTF-8, without a byte order mark.
    #[error("not JSON")]
    NotJson,
    /// An integer that a double cannot hold exactly.
    #[error("the JSON has an integer beyond 2^53")]
    NotIJson,
    /// JSON, but not of the shape that was asked for. The text never repeats the input.
    #[error("{0}")]
    Shape(String),
}

/// Parses any JSON value.
pub fn parse(bytes: &[u8], limits: Limits) -> Result<Value, JsonError> {
    read::<KEEP>(bytes, limits)
}

/// Parses JSON of the shape of `T`; members that `T` does not know are `T`'s to refuse.
pub fn parse_as<T: DeserializeOwned>(bytes: &[u8], limits: Limits) -> Result<T, JsonError> {
    read::<DROP>(bytes, limits)?;
    serde_json::from_slice(bytes).map_err(|error| JsonError::Shape(without_echo(&error)))
}

/// The same for an object, whose members come by their names: a list would be read by its order.
pub fn parse_object_as<T: DeserializeOwned>(bytes: &[u8], limits: Limits) -> Result<T, JsonError> {
    let read = parse_as(bytes, limits)?;
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Err(JsonError::Shape("not an object".to_owned()));
    }
    Ok(read)
}

/// The canonical text of `value` (RFC 8785).
pub fn canonical(value: &Value) -> Result<String, JsonError> {
    refuse_wide_integers(value)?;
    serde_json_canonicalizer::to_string(value).map_err(|_| JsonError::NotIJson)
}

/// The SHA-256 of the canonical text of an object.
pub fn digest_of_object(members: &Map<String, Value>) -> Result<Digest, JsonError> {
    members.values().try_for_each(refuse_wide_integers)?;
    let text = serde_json_canonicalizer::to_vec(members).map_err(|_| JsonError::NotIJson)?;
    Ok(hash::sha256(&text))
}

/// The SHA-256 of the canonical text of `value`.
pub fn digest(value: &Value) -> Result<Digest, JsonError> {
    Ok(hash::sha256(canonical(value)?.as_bytes()))
}

/// RFC 7493 2.2: from here on, readers disagree about which integer was meant.
const FIRST_WIDE: f64 = 9_007_199_254_740_992.0;

/// From here on, RFC 8785 writes an exponent, and nobody takes that for an integer.
const FIRST_WITH_EXPONENT: f64 = 1e21;

fn refuse_wide_integers(value: &Value) -> Result<(), JsonError> {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => Ok(()),
        Value::Number(number) => {
            // An integer below the limit converts exactly, and one above it stays above. A double
            // counts as well when it would be written as an integer: what has a canonical text must
            // still have it after that text was read back.
            let size = number.as_f64().ok_or(JsonError::NotIJson)?.abs();
            let is_wide = size >= FIRST_WIDE && (!number.is_f64() || size < FIRST_WITH_EXPONENT);
            if is_wide {
                Err(JsonError::NotIJson)
            } else {
                Ok(())
            }
        }
        Value::Array(items) => items.iter().try_for_each(refuse_wide_integers),
        Value::Object(members) => members.values().try_for_each(refuse_wide_integers),
    }
}

/// Whether a value that is read is kept, or only looked at.
const KEEP: bool = true;
const DROP: bool = false;

fn read<const KEPT: bool>(bytes: &[u8], limits: Limits) -> Result<Value, JsonError> {
    if bytes.len() > limits.bytes {
        return Err(JsonError::TooLarge);
    }
    let fault = Cell::new(None);
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let strict = Strict::<KEPT> {
        levels_left: limits.depth,
        fault: &fault,
    };
    let whole = strict
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value));
    whole.map_err(|_| fault.take().unwrap_or(JsonError::NotJson))
}

/// Reads a value and refuses what no value of ours may contain; of one that is not kept, texts, lists and
/// objects come out as null.
#[derive(Clone, Copy)]
struct Strict<'a, const KEPT: bool> {
    levels_left: usize,
    fault: &'a Cell<Option<JsonError>>,
}

impl<const KEPT: bool> Strict<'_, KEPT> {
    fn refuse<T, E: serde::de::Error>(self, fault: JsonError) -> Result<T, E> {
        self.fault.set(Some(fault));
        Err(E::custom("refused"))
    }

    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.levels_left.checked_sub(1) {
            Some(levels_left) => Ok(Self {
                levels_left,
                ..self
            }),
            None => self.refuse(JsonError::TooDeep),
        }
    }
}

impl<'de, const KEPT: bool> DeserializeSeed<'de> for Strict<'_, KEPT> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, const KEPT: bool> Visitor<'de> for Strict<'_, KEPT> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::from(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::from(number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::from(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(if KEPT { Value::from(text) } else { Value::Null })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut kept = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            if KEPT {
                kept.push(item);
            }
        }
        Ok(Value::Array(kept))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut kept = Map::new();
        let mut names = Vec::new();
        while let Some(name) = members.next_key_seed(Name)? {
            // The parser gives names of this form a meaning of its own: it would parse the text
            // behind one again, unchecked.
            if name.starts_with("$serde_json::private::") {
                return self.refuse(JsonError::NotJson);
            }
            let value = members.next_value_seed(inner)?;
            if KEPT {
                if kept.insert(name.into_owned(), value).is_some() {
                    return self.refuse(JsonError::DuplicateMember);
                }
            } else {
                names.push(name);
            }
        }
        // Sorting costs no more than the worst input may, whatever the names are: no hash to flood.
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return self.refuse(JsonError::DuplicateMember);
        }
        Ok(Value::Object(kept))
    }
}

/// Reads the name of a member as it is after unescaping, borrowed where it can be.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

/// What was wrong with the shape, in words that are all ours: what was found is left out, what was
/// expected stays.
fn without_echo(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let at = match error.line() {
        // The parser does not always know the place.
        0 => String::new(),
        line => format!(" at line {line} column {}", error.column()),
    };
    let text = text.strip_suffix(&at).unwrap_or(&text);
    let echoes = ["invalid ", "unknown "];
    if !echoes.iter().any(|start| text.starts_with(start)) {
        return format!("{text}{at}");
    }
    let what = if text.starts_with("unknown field") {
        "unknown member"
    } else {
        "wrong value"
    };
    // Everything behind the last of these was written by us, whatever the input holds.
    match text.rsplit_once(", expected ") {
        Some((_, expected)) => format!("{what}{at}, expected {expected}"),
        None => format!("{what}{at}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;

    #[track_caller]
    fn refused(text: &[u8], expected: JsonError) {
        assert_eq!(parse(text, BODY), Err(expected));
    }

    #[test]
    fn jwt_11_duplicate_names_are_refused_at_any_depth_and_through_escapes() {
        refused(br#"{"a":1,"a":1}"#, JsonError::DuplicateMember);
        refused(br#"{"a":1,"\u0061":2}"#, JsonError::DuplicateMember);
        refused(
            br#"[{"b":{"a":1,"c":2,"a":3}}]"#,
            JsonError::DuplicateMember,
        );
        assert!(parse(br#"{"a":{"a":1},"b":{"a":1}}"#, BODY).is_ok());
    }

    #[test]
    fn dos_01_size_and_depth_are_refused_and_what_fits_is_not() {
        let nested = |levels| [vec![b'['; levels], vec![b']'; levels]].concat();
        assert!(parse(&nested(32), BODY).is_ok());
        refused(&nested(33), JsonError::TooDeep);
        refused(&nested(100_000), JsonError::TooDeep);
        refused(&vec![b' '; BODY.bytes + 1], JsonError::TooLarge);
        let wide: Vec<String> = (0..20_000).map(|n| format!("\"k{n}\":0")).collect();
        assert!(parse(format!("{{{}}}", wide.join(",")).as_bytes(), BODY).is_ok());
    }

    #[test]
    fn only_json_is_json() {
        for bad in [
            &b""[..],
            b"\xef\xbb\xbf{}",
            b"{} x",
            b"{}{}",
            b"NaN",
            b"1e999",
            b"-",
            b"01",
            b"\"\xff\"",
            b"\"\\ud800\"",
            b"{'a':1}",
            b"[1,]",
            b"{\"a\":1,}",
            b"\"a\nb\"",
        ] {
            refused(bad, JsonError::NotJson);
        }
        assert!(parse(b" [1e30, -0.0, \"\\ud83d\\ude00\", null] ", BODY).is_ok());
    }

    #[test]
    fn names_that_the_parser_would_read_twice_are_refused() {
        let hidden = br#"{"$serde_json::private::RawValue":"{\"a\":1,\"a\":2}"}"#;
        refused(hidden, JsonError::NotJson);
        assert!(parse(br#"{"$schema":"{\"a\":1,\"a\":2}"}"#, BODY).is_ok());
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Shape {
        #[allow(dead_code)]
        count: u64,
    }

    #[test]
    fn what_has_names_is_not_read_by_its_order() {
        assert!(parse_object_as::<Shape>(b" {\"count\":1}", BODY).is_ok());
        let refused = parse_object_as::<Shape>(b"[1]", BODY).expect_err("refused");
        assert_eq!(refused, JsonError::Shape("not an object".to_owned()));
    }

    #[test]
    fn a_wrong_shape_is_named_without_repeating_the_input() {
        let message = |text: &str| {
            let error = parse_as::<Shape>(text.as_bytes(), BODY).expect_err("refused");
            error.to_string()
        };
        for text in [
            r#"{"count":"hunter2, expected hunter2"}"#,
            r#"{"hunter2, expected hunter2":1}"#,
        ] {
            let message = message(text);
            assert!(!message.contains("hunter2"), "{message}");
            assert!(message.contains("expected"), "{message}");
        }
        assert!(message("{}").contains("`count`"));
    }

    #[test]
    fn integers_beyond_a_double_have_no_canonical_form() {
        let of = |text: &str| canonical(&parse(text.as_bytes(), BODY).expect("JSON"));
        assert_eq!(of("9007199254740991"), Ok("9007199254740991".to_owned()));
        assert_eq!(of("[9007199254740992]"), Err(JsonError::NotIJson));
        assert_eq!(of("-9007199254740992"), Err(JsonError::NotIJson));
        assert_eq!(of("18446744073709551616"), Err(JsonError::NotIJson));
        assert_eq!(of("1e20"), Err(JsonError::NotIJson));
        assert_eq!(of("1e21"), Ok("1e+21".to_owned()));
        assert_eq!(of(r#"{"b":1,"a":[]}"#), Ok(r#"{"a":[],"b":1}"#.to_owned()));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-(1i64 << 53) + 1..1i64 << 53).prop_map(Value::from),
            any::<f64>()
                .prop_filter("has a canonical text", |n| {
                    n.is_finite() && !(FIRST_WIDE..FIRST_WITH_EXPONENT).contains(&n.abs())
                })
                .prop_map(Value::from),
            "\\PC{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::btree_map("\\PC{0,6}", inner, 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn canonical_text_parses_and_is_its_own_canonical_text(value in any_json()) {
            let text = canonical(&value).expect("I-JSON");
            let again = parse(text.as_bytes(), BODY).expect("JSON");
            prop_assert_eq!(canonical(&again).expect("I-JSON"), text);
        }

        #[test]
        fn what_is_kept_is_what_the_parser_reads(value in any_json()) {
            let text = value.to_string();
            let kept = parse(text.as_bytes(), BODY).expect("JSON");
            prop_assert_eq!(&kept, &serde_json::from_str::<Value>(&text).expect("JSON"));
            prop_assert_eq!(parse_as::<Value>(text.as_bytes(), BODY).expect("JSON"), kept);
        }

        #[test]
        fn any_bytes_are_parsed_or_refused_without_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes, TOKEN);
        }
    }

    #[test]
    fn vectors_jcs_rfc8785() {
        let Some(folder) = crate::vectors::folder("jcs-rfc8785") else {
            return;
        };
        let mut ran = 0;
        for entry in std::fs::read_dir(folder.join("input")).expect("a folder") {
            let input = entry.expect("an entry").path();
            let output = folder
                .join("output")
                .join(input.file_name().expect("a name"));
            let value = parse(&std::fs::read(&input).expect("a file"), BODY).expect("JSON");
            let expected = std::fs::read_to_string(output).expect("a file");
            assert_eq!(canonical(&value).expect("I-JSON"), expected, "{input:?}");
            ran += 1;
        }
        println!("jcs-rfc8785: {ran} cases");
        assert!(ran >= 4);
    }
}
