//! Questions in an organisation's own types: the schema says what each attribute must be.
//!
//! The asker vouches for the attributes, so none of them may be of our types: nobody outside can
//! describe an agent, a person or a tool of ours to us (POL-09).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use cedar_policy::{
    Context, Entities, Entity, Request, RestrictedExpression, Schema, SchemaFragment,
};
use serde_json::{Map, Value};

use crate::index::Index;
use crate::question::{EntityRef, ExternalAction};
use crate::request::{Refusal, inexpressible};
use crate::schema;
use crate::shape::{Field, Fields, Misfit, Shape, Undeclared, has_reserved_key};
use crate::situation::{Act, Asked};
use crate::thing::Thing;
use crate::value::{Extension, Kind, Uid};

/// What common types may nest; the engine refuses cycles, so this is never reached in practice.
const MAX_DEPTH: usize = 64;

/// The types and actions of an organisation.
#[derive(Debug)]
pub(crate) struct External {
    /// By their names.
    types: HashMap<String, (Arc<Kind>, Fields)>,
    /// By their namespaces and names.
    actions: HashMap<String, HashMap<String, (Act, Fields)>>,
    schema: Schema,
}

impl External {
    /// Reads the shapes of everything that the fragments declare.
    pub(crate) fn read(fragments: &[SchemaFragment], schema: Schema, all: &Entities) -> Self {
        let declared = fragments.iter().filter_map(|fragment| {
            let json = fragment.clone().to_json_value().ok()?;
            Some(json.as_object()?.clone())
        });
        let declared: Vec<(String, Value)> = declared.flatten().collect();
        let reader = Reader {
            namespaces: &declared,
        };
        let mut types = HashMap::new();
        let mut actions: HashMap<String, HashMap<_, _>> = HashMap::new();
        for (namespace, body) in &declared {
            for (name, entity) in members(body, "entityTypes") {
                let fields = match entity.get("shape") {
                    Some(shape) => reader.fields(namespace, shape),
                    None => ignoring(),
                };
                if let Some(kind) = schema::kind(&qualified(namespace, name)) {
                    types.insert(kind.name().to_owned(), (kind, fields));
                }
            }
            for (name, action) in members(body, "actions") {
                let context = action.pointer("/appliesTo/context");
                let fields = match context {
                    Some(context) => reader.fields(namespace, context),
                    None => ignoring(),
                };
                if let Some(kind) = schema::kind(&qualified(namespace, "Action")) {
                    let act = Act::of(Uid::new(&kind, name.clone()), all);
                    let named = actions.entry(namespace.clone()).or_default();
                    named.insert(name.clone(), (act, fields));
                }
            }
        }
        Self {
            types,
            actions,
            schema,
        }
    }

    /// Expresses a question in these types.
    pub(crate) fn ask(
        &self,
        index: &Index,
        subject: &EntityRef<'_>,
        action: &ExternalAction<'_>,
        resource: &EntityRef<'_>,
        context: &Map<String, Value>,
    ) -> Result<Asked, Refusal> {
        let maps = [
            subject.properties,
            resource.properties,
            action.properties,
            context,
        ];
        if maps.into_iter().any(has_reserved_key) {
            return Err(Refusal::invalid("the request uses a reserved key"));
        }
        let (principal, principal_entity) = self.entity("subject", subject)?;
        let (thing, thing_entity) = self.entity("resource", resource)?;
        let kind = thing.uid.kind().name();
        let namespace = kind
            .rsplit_once("::")
            .map_or("", |(namespace, _)| namespace);
        let known = self.actions.get(namespace);
        let known = known.and_then(|actions| actions.get(action.name));
        let (act, fields) =
            known.ok_or_else(|| Refusal::unknown("the action is not known to the policies"))?;
        let context = express_context(fields, context, action.properties)?;
        let context = Context::from_pairs(context).map_err(|_| inexpressible())?;
        let misfit = |_| Refusal::invalid("the request does not fit the schema of its action");
        let request = Request::new(
            principal_entity.uid(),
            act.uid.express(),
            thing_entity.uid(),
            context,
            Some(&self.schema),
        )
        .map_err(misfit)?;
        let cells = index.cells(act.place(), thing.place());
        Ok(Asked {
            key: index.key(principal.place(), &cells),
            request,
            entities: self.store([principal_entity, thing_entity], act)?,
        })
    }

    /// The two entities, which must fit the schema, and the action.
    fn store(&self, described: [Entity; 2], act: &Act) -> Result<Entities, Refusal> {
        Entities::empty()
            .add_entities(described, Some(&self.schema))
            .map_err(|_| Refusal::invalid("the entities do not fit the schema"))?
            .add_entities([act.entity.clone()], None)
            .map_err(|_| inexpressible())
    }

    /// Whether what is asked fits the schema that the policies were checked against.
    #[cfg(test)]
    pub(crate) fn check(&self, asked: &Asked) -> Result<(), String> {
        let request = &asked.request;
        let uid = |uid: Option<&cedar_policy::EntityUid>| uid.cloned().ok_or("unknown");
        Request::new(
            uid(request.principal())?,
            uid(request.action())?,
            uid(request.resource())?,
            request.context().cloned().ok_or("no context")?,
            Some(&self.schema),
        )
        .map_err(|error| error.to_string())?;
        Entities::from_entities(asked.entities.iter().cloned(), Some(&self.schema))
            .map(drop)
            .map_err(|error| error.to_string())
    }

    fn entity<'a>(
        &self,
        role: &str,
        entity: &EntityRef<'a>,
    ) -> Result<(Thing<'a>, Entity), Refusal> {
        let Some((kind, fields)) = self.types.get(entity.kind) else {
            let reason = format!("the type of the {role} is not known to the policies");
            return Err(Refusal::invalid(reason));
        };
        let (attributes, _) = fields
            .read(entity.properties)
            .map_err(|misfit| Refusal::invalid(misfit.sentence(&format!("{role} property"))))?;
        let thing = Thing::new(Uid::new(kind, entity.id), attributes, Vec::new());
        let unreadable = || Refusal::invalid(format!("{role}: a property cannot be read"));
        let expressed = thing.express().ok_or_else(unreadable)?;
        Ok((thing, expressed))
    }
}

/// The context with the properties of the action under `action`, where the schema asks for them.
fn express_context(
    fields: &Fields,
    context: &Map<String, Value>,
    properties: &Map<String, Value>,
) -> Result<Vec<(String, RestrictedExpression)>, Refusal> {
    let express = |context| {
        let misfit = |misfit: Misfit| Refusal::invalid(misfit.sentence("context member"));
        let (read, _) = fields.read(context).map_err(misfit)?;
        read.express().ok_or_else(inexpressible)
    };
    if fields.get("action").is_none() || properties.is_empty() {
        return express(context);
    }
    let mut whole = context.clone();
    let taken = whole.insert("action".to_owned(), Value::Object(properties.clone()));
    if taken.is_some() {
        return Err(Refusal::invalid(
            "`context.action` is given beside the properties of the action",
        ));
    }
    express(&whole)
}

fn qualified(namespace: &str, name: &str) -> String {
    if namespace.is_empty() {
        name.to_owned()
    } else {
        format!("{namespace}::{name}")
    }
}

fn members<'a>(body: &'a Value, list: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    body.get(list)
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
}

fn ignoring() -> Fields {
    Fields::new(BTreeMap::new(), Undeclared::Ignored)
}

/// Reads types in the engine's JSON form, resolving names as the engine does.
struct Reader<'a> {
    namespaces: &'a [(String, Value)],
}

impl Reader<'_> {
    fn fields(&self, namespace: &str, record: &Value) -> Fields {
        match self.shape(namespace, record, MAX_DEPTH) {
            Some(Shape::Record(fields)) => *fields,
            Some(_) | None => ignoring(),
        }
    }

    fn shape(&self, namespace: &str, kind: &Value, depth: usize) -> Option<Shape> {
        let depth = depth.checked_sub(1)?;
        let name = kind.get("name").and_then(Value::as_str);
        match kind.get("type")?.as_str()? {
            "String" => Some(Shape::Text),
            "Long" => Some(Shape::Long),
            "Boolean" => Some(Shape::Flag),
            "Extension" => extension(name?),
            "Set" => {
                let element = self.shape(namespace, kind.get("element")?, depth)?;
                Some(Shape::List(Box::new(element)))
            }
            "Record" => {
                let attributes = members(kind, "attributes").map(|(name, kind)| {
                    let required = kind.get("required").and_then(Value::as_bool);
                    let field = Field {
                        shape: self.shape(namespace, kind, depth),
                        required: required.unwrap_or(true),
                        nullable: false,
                    };
                    (name.clone(), field)
                });
                let fields = Fields::new(attributes.collect(), Undeclared::Ignored);
                Some(Shape::Record(Box::new(fields)))
            }
            "Entity" => self.reference(namespace, name?),
            "EntityOrCommon" => self.named(namespace, name?, depth),
            common => self.named(namespace, common, depth),
        }
    }

    fn named(&self, namespace: &str, name: &str, depth: usize) -> Option<Shape> {
        for (within, rest) in scopes(namespace, name) {
            let common = self.bodies(within).find_map(|body| {
                let types = body.get("commonTypes")?;
                types.get(rest)
            });
            if let Some(common) = common {
                return self.shape(within, common, depth);
            }
            if let Some(reference) = self.declared(within, rest) {
                return Some(reference);
            }
        }
        match name.strip_prefix("__cedar::").unwrap_or(name) {
            "String" => Some(Shape::Text),
            "Long" => Some(Shape::Long),
            "Bool" | "Boolean" => Some(Shape::Flag),
            other => extension(other),
        }
    }

    fn reference(&self, namespace: &str, name: &str) -> Option<Shape> {
        scopes(namespace, name)
            .into_iter()
            .find_map(|(within, rest)| self.declared(within, rest))
    }

    fn declared(&self, namespace: &str, name: &str) -> Option<Shape> {
        let mut bodies = self.bodies(namespace);
        bodies.find(|body| {
            body.get("entityTypes")
                .is_some_and(|types| types.get(name).is_some())
        })?;
        schema::kind(&qualified(namespace, name)).map(Shape::Reference)
    }

    fn bodies<'b>(&'b self, namespace: &'b str) -> impl Iterator<Item = &'b Value> {
        let same = move |(name, _): &&'b (String, Value)| name == namespace;
        self.namespaces.iter().filter(same).map(|(_, body)| body)
    }
}

/// Where a name may be declared: here and then nowhere in particular, or where it says.
fn scopes<'a>(namespace: &'a str, name: &'a str) -> Vec<(&'a str, &'a str)> {
    match name.rsplit_once("::") {
        Some((within, rest)) => vec![(within, rest)],
        None => vec![(namespace, name), ("", name)],
    }
}

fn extension(name: &str) -> Option<Shape> {
    match name {
        "decimal" => Some(Shape::Decimal),
        "datetime" => Some(Shape::Extension(Extension::Datetime)),
        "duration" => Some(Shape::Extension(Extension::Duration)),
        "ipaddr" => Some(Shape::Extension(Extension::Address)),
        _ => None,
    }
}
