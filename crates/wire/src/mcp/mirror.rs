//! Arguments that a tool's schema wants repeated in headers (`x-mcp-header`).

use serde_json::{Map, Value};

use super::{Era, HeaderSource, PARAM_HEADER_PREFIX, RpcError, decode_header, mismatch};

/// An argument that a tool's schema wants repeated in a header (`x-mcp-header`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirroredArgument {
    /// The header, lower case, with its prefix.
    pub header: String,
    /// The members that lead to the argument.
    path: Vec<String>,
}

/// A schema asks for headers in a way that MCP does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`x-mcp-header` at `{at}` is not usable")]
pub struct InvalidMirror {
    /// Where in the arguments.
    pub at: String,
}

/// The arguments that `schema` wants repeated: texts, whole numbers and flags on a pure chain of `properties`.
pub fn mirrored_arguments(schema: &Value) -> Result<Vec<MirroredArgument>, InvalidMirror> {
    let mut found = Vec::new();
    collect_mirrors(schema, &mut Vec::new(), &mut found)?;
    Ok(found)
}

fn collect_mirrors(
    schema: &Value,
    path: &mut Vec<String>,
    found: &mut Vec<MirroredArgument>,
) -> Result<(), InvalidMirror> {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return Ok(());
    };
    // A schema nested deeper than a body may be can never match.
    if path.len() >= 32 {
        return Ok(());
    }
    for (name, property) in properties {
        path.push(name.clone());
        if let Some(wanted) = property.get("x-mcp-header") {
            let invalid = || InvalidMirror { at: path.join(".") };
            let wanted = wanted.as_str().filter(|text| is_token(text));
            let header = format!(
                "{PARAM_HEADER_PREFIX}{}",
                wanted.ok_or_else(invalid)?.to_ascii_lowercase()
            );
            let kind = property.get("type").and_then(Value::as_str);
            let usable = matches!(kind, Some("string" | "integer" | "boolean"));
            if !usable || found.iter().any(|mirror| mirror.header == header) {
                return Err(invalid());
            }
            found.push(MirroredArgument {
                header,
                path: path.clone(),
            });
        }
        collect_mirrors(property, path, found)?;
        path.pop();
    }
    Ok(())
}

/// RFC 9110 §5.6.2: the characters of a header name.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 64
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

impl MirroredArgument {
    /// The value that the header carries for `arguments`; `None` when the argument is absent or null.
    pub fn value(&self, arguments: &Map<String, Value>) -> Option<String> {
        let (last, chain) = self.path.split_last()?;
        let mut members = arguments;
        for step in chain {
            members = members.get(step)?.as_object()?;
        }
        match members.get(last)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }
}

/// Checks that every `Mcp-Param-…` header repeats an argument exactly, and none is there beside them.
pub fn check_mirrors(
    era: Era,
    headers: &impl HeaderSource,
    mirrors: &[MirroredArgument],
    arguments: &Map<String, Value>,
) -> Result<(), RpcError> {
    for name in headers.names() {
        if name.starts_with(PARAM_HEADER_PREFIX)
            && !mirrors.iter().any(|mirror| mirror.header == name)
        {
            return Err(mismatch("an mcp-param header repeats no argument"));
        }
    }
    for mirror in mirrors {
        let expected = mirror.value(arguments);
        let given = headers.single(&mirror.header)?;
        let agree = match (given, &expected) {
            (None, None) => true,
            (None, Some(_)) => era == Era::Legacy,
            (Some(_), None) => false,
            (Some(raw), Some(expected)) => {
                decode_header(raw).is_some_and(|value| value == *expected)
            }
        };
        if !agree {
            return Err(mismatch(format!(
                "the {} header does not match the argument",
                mirror.header
            )));
        }
    }
    Ok(())
}
