//! What a question is about: an entity with its attributes and what is above it.

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

use cedar_policy::Entity;

use crate::index::Place;
use crate::value::{Record, Uid};

/// An entity as conditions read it.
#[derive(Debug, Clone)]
pub(crate) struct Thing<'a> {
    pub(crate) uid: Uid<'a>,
    pub(crate) attributes: Record<'a>,
    pub(crate) above: Vec<Uid<'a>>,
    /// Its form for the engine, made when the engine is first asked about it.
    engine: OnceLock<Box<Entity>>,
}

/// An entity that is kept, or one made for a question.
#[derive(Debug)]
pub(crate) enum Held<'a> {
    Kept(&'a Thing<'a>),
    Made(Thing<'a>),
}

impl<'a> Thing<'a> {
    pub(crate) fn new(uid: Uid<'a>, attributes: Record<'a>, above: Vec<Uid<'a>>) -> Self {
        Self {
            uid,
            attributes,
            above,
            engine: OnceLock::new(),
        }
    }

    /// An entity of which only the name matters.
    pub(crate) fn bare(uid: Uid<'a>) -> Self {
        Self::new(uid, Record::default(), Vec::new())
    }

    pub(crate) fn place(&self) -> Place<'_> {
        Place {
            uid: &self.uid,
            above: &self.above,
        }
    }

    /// The entity as the engine takes it; `None` when it cannot be written.
    pub(crate) fn express(&self) -> Option<Entity> {
        if let Some(ready) = self.engine.get() {
            return Some(Entity::clone(ready));
        }
        let attributes = HashMap::from_iter(self.attributes.express()?);
        let above = HashSet::from_iter(self.above.iter().map(Uid::express));
        let made = Entity::new(self.uid.express(), attributes, above).ok()?;
        Some(Entity::clone(self.engine.get_or_init(|| Box::new(made))))
    }
}

impl<'a> Held<'a> {
    pub(crate) fn thing(&self) -> &Thing<'a> {
        match self {
            Self::Kept(thing) => thing,
            Self::Made(thing) => thing,
        }
    }
}
