//! A question as conditions read it, and its form for the engine.

use std::sync::{OnceLock, PoisonError, RwLock};

use cedar_policy::{Context, Entities, Entity, Request, RestrictedExpression};

use crate::index::{Cells, Index, Place, SliceKey};
use crate::thing::{Held, Thing};
use crate::value::{Record, Uid, Value};

/// Who would do what to what, and in what circumstances.
#[derive(Debug)]
pub(crate) struct Situation<'a> {
    pub(crate) principal: Held<'a>,
    pub(crate) act: &'a Act,
    pub(crate) resource: Held<'a>,
    pub(crate) context: Record<'a>,
    pub(crate) cells: Met<'a>,
    /// The act and the resource as the engine takes them, where that is kept.
    pub(crate) ready: Option<&'a OnceLock<Box<Entities>>>,
}

/// Where the policies of the act on the resource are, known beforehand or looked up.
#[derive(Debug)]
pub(crate) enum Met<'a> {
    Kept(&'a Cells),
    Made(Cells),
}

/// An action with the groups that it is in.
#[derive(Debug)]
pub(crate) struct Act {
    pub(crate) uid: Uid<'static>,
    pub(crate) above: Vec<Uid<'static>>,
    pub(crate) entity: Entity,
}

/// A question as the engine takes it.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) key: SliceKey,
    pub(crate) request: Request,
    pub(crate) entities: Entities,
}

impl Act {
    /// An action of the schema with the groups that it is in.
    pub(crate) fn of(uid: Uid<'static>, actions: &Entities) -> Self {
        let engine = uid.express();
        let above = actions.ancestors(&engine).into_iter().flatten();
        Self {
            uid,
            above: above.map(Uid::of).collect(),
            entity: actions
                .get(&engine)
                .cloned()
                .unwrap_or_else(|| Entity::with_uid(engine)),
        }
    }

    pub(crate) fn place(&self) -> Place<'_> {
        Place {
            uid: &self.uid,
            above: &self.above,
        }
    }
}

impl<'a> Situation<'a> {
    pub(crate) fn principal(&self) -> &Thing<'a> {
        self.principal.thing()
    }

    pub(crate) fn resource(&self) -> &Thing<'a> {
        self.resource.thing()
    }

    pub(crate) fn cells(&self) -> &Cells {
        match &self.cells {
            Met::Kept(cells) => cells,
            Met::Made(cells) => cells,
        }
    }

    /// The question as the engine takes it; `None` when it cannot be written.
    pub(crate) fn express(&self, index: &Index, last: &LastMoment) -> Option<Asked> {
        let (principal, resource) = (self.principal(), self.resource());
        let members = self.context.members().iter();
        let members = members.map(|(name, value)| {
            let expressed = match value {
                Value::Moment(at) => last.express(*at),
                other => other.express(),
            };
            Some((name.to_string(), expressed?))
        });
        let context = Context::from_pairs(members.collect::<Option<Vec<_>>>()?).ok()?;
        // What was built here fits the schema by construction, so it is not checked once more; the
        // tests do.
        let request = Request::new(
            principal.uid.express(),
            self.act.uid.express(),
            resource.uid.express(),
            context,
            None,
        );
        let entities = self.about()?.add_entities([principal.express()?], None);
        Some(Asked {
            key: index.key(principal.place(), self.cells()),
            request: request.ok()?,
            entities: entities.ok()?,
        })
    }

    /// The act and the resource as the engine takes them.
    fn about(&self) -> Option<Entities> {
        if let Some(ready) = self.ready.and_then(OnceLock::get) {
            return Some(Entities::clone(ready));
        }
        let about = [self.resource().express()?, self.act.entity.clone()];
        let made = Entities::from_entities(about, None).ok()?;
        if let Some(ready) = self.ready {
            ready.get_or_init(|| Box::new(made.clone()));
        }
        Some(made)
    }
}

/// The last moment that the engine was given: it takes longer to make one than to make all the rest
/// of a request, and most requests of a second share it.
#[derive(Debug, Default)]
pub(crate) struct LastMoment(RwLock<Option<(i64, RestrictedExpression)>>);

impl LastMoment {
    fn express(&self, at: i64) -> Option<RestrictedExpression> {
        // A panic while the lock was held cannot leave half a value.
        let last = self.0.read().unwrap_or_else(PoisonError::into_inner);
        match last.as_ref() {
            Some((known, moment)) if *known == at => return Some(moment.clone()),
            Some(_) | None => drop(last),
        }
        let moment = Value::Moment(at).express()?;
        let mut last = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *last = Some((at, moment.clone()));
        Some(moment)
    }
}
