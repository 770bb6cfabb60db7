//! From the JSON Schema of a tool's arguments to the types that policies read.
//!
//! Whatever has no plain type (alternatives, mixed or free-form values) is left untyped: policies do
//! not see its value but see its name in `context.untyped`, and can forbid it.

use serde_json::{Map, Value};

use crate::shape::{Field, Fields, Shape, Undeclared};

/// How deep definitions may nest or refer to each other before they count as untyped.
const MAX_DEPTH: usize = 12;

/// The arguments of a tool, or why its schema cannot be read.
pub(crate) fn arguments(schema: &Value) -> Result<Fields, &'static str> {
    let reader = Reader { root: schema };
    let Some(object) = schema.as_object() else {
        return Err("the input schema is not an object");
    };
    if object.get("type").is_none_or(|kind| kind != "object") {
        return Err("the input schema does not have the type `object`");
    }
    Ok(reader.fields(object, MAX_DEPTH))
}

struct Reader<'a> {
    root: &'a Value,
}

/// A schema with its references resolved and `null` taken out of its alternatives.
struct Plain<'a> {
    schema: &'a Map<String, Value>,
    nullable: bool,
}

impl<'a> Reader<'a> {
    fn fields(&self, object: &Map<String, Value>, depth: usize) -> Fields {
        let required: Vec<&str> = object
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let properties = object.get("properties").and_then(Value::as_object);
        let members = properties.into_iter().flatten().map(|(name, schema)| {
            let mut field = self.field(schema, depth);
            field.required = required.contains(&name.as_str());
            (name.clone(), field)
        });
        // Absent, JSON Schema would let anything in; a tool that wants that has to say so.
        let undeclared = match object.get("additionalProperties") {
            None | Some(Value::Bool(false)) => Undeclared::Refused,
            Some(_) => Undeclared::Reported,
        };
        Fields::new(members.collect(), undeclared)
    }

    fn field(&self, schema: &Value, depth: usize) -> Field {
        let plain = self.plain(schema, depth);
        Field {
            nullable: plain.as_ref().is_some_and(|plain| plain.nullable),
            shape: plain.and_then(|plain| self.shape(plain.schema, depth)),
            required: false,
        }
    }

    fn shape(&self, schema: &Map<String, Value>, depth: usize) -> Option<Shape> {
        let depth = depth.checked_sub(1)?;
        if let Some(choices) = schema.get("enum") {
            return choices_of(choices.as_array()?);
        }
        if let Some(only) = schema.get("const") {
            return choices_of(std::slice::from_ref(only));
        }
        match kind(schema)? {
            "string" => Some(Shape::Text),
            "integer" => Some(Shape::Long),
            "number" => Some(Shape::Decimal),
            "boolean" => Some(Shape::Flag),
            "array" => {
                let items = self.plain(schema.get("items")?, depth)?;
                if items.nullable {
                    return None;
                }
                match self.shape(items.schema, depth)? {
                    Shape::List(_) | Shape::Record(_) => None,
                    scalar => Some(Shape::List(Box::new(scalar))),
                }
            }
            "object" => {
                let closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
                let declared = schema.get("properties").is_some_and(Value::is_object);
                (declared || closed).then(|| Shape::Record(Box::new(self.fields(schema, depth))))
            }
            _ => None,
        }
    }

    /// Follows local references and single alternatives; `None` when real alternatives remain.
    fn plain<'s>(&self, schema: &'s Value, depth: usize) -> Option<Plain<'s>>
    where
        'a: 's,
    {
        let depth = depth.checked_sub(1)?;
        let schema = schema.as_object()?;
        let unsupported = [
            "not",
            "if",
            "patternProperties",
            "dependentSchemas",
            "$dynamicRef",
        ];
        if unsupported
            .iter()
            .any(|keyword| schema.contains_key(*keyword))
        {
            return None;
        }
        if let Some(reference) = schema.get("$ref") {
            let pointer = reference.as_str()?.strip_prefix('#')?;
            return self.plain(self.root.pointer(pointer)?, depth);
        }
        let combined = ["allOf", "anyOf", "oneOf"]
            .iter()
            .find_map(|keyword| schema.get(*keyword));
        let Some(combined) = combined else {
            let nullable = allows_null(schema);
            return Some(Plain { schema, nullable });
        };
        let is_null = |option: &&Value| option.get("type").is_some_and(|kind| kind == "null");
        let options = combined.as_array()?;
        let mut others = options.iter().filter(|option| !is_null(option));
        let only = others.next()?;
        if others.next().is_some() || schema.contains_key("type") {
            return None;
        }
        let plain = self.plain(only, depth)?;
        let nullable = plain.nullable || (options.len() > 1 && !schema.contains_key("allOf"));
        Some(Plain { nullable, ..plain })
    }
}

/// The one type of the schema beside `null`.
fn kind(schema: &Map<String, Value>) -> Option<&str> {
    match schema.get("type")? {
        Value::String(kind) => Some(kind),
        Value::Array(kinds) => {
            let mut others = kinds.iter().filter(|kind| *kind != "null");
            let only = others.next()?.as_str();
            if others.next().is_some() { None } else { only }
        }
        _ => None,
    }
}

fn allows_null(schema: &Map<String, Value>) -> bool {
    schema
        .get("type")
        .and_then(Value::as_array)
        .is_some_and(|kinds| kinds.iter().any(|kind| kind == "null"))
}

fn choices_of(choices: &[Value]) -> Option<Shape> {
    let texts = choices
        .iter()
        .map(|choice| choice.as_str().map(str::to_owned));
    texts.collect::<Option<_>>().map(Shape::Choice)
}
