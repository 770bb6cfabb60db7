//! The index: which policies have a scope that holds for a request.
//!
//! Each policy names in its scope whom, what act and what thing it is about; a policy whose scope
//! does not hold is false before its conditions are looked at, so leaving it out changes nothing. For
//! each of the three places a policy has one *tag*, for what its scope says there. A request has a
//! few tags per place: those of all scopes that hold for it and no other. The policies that it meets
//! are those under the combinations of its tags, so their scopes need not be looked at again. The
//! policies of one tag of an act and one of a thing are a *cell*: a tool knows its cells, and a call
//! looks up no more than the tags of its principal.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use cedar_policy::{
    ActionConstraint, EntityTypeName, EntityUid, Policy, PolicySet, PrincipalConstraint,
    ResourceConstraint,
};

use crate::value::Uid;

/// The tag of a scope that is not constrained.
const ANYTHING: u32 = 0;

/// How many slices are kept ready; beyond that they are built for each request.
const MAX_SLICES: usize = 4_096;

/// What the policies of a set are about.
#[derive(Debug, Default)]
pub(crate) struct Index {
    principals: Tags,
    actions: Tags,
    resources: Tags,
    /// The tag of a principal and the position of a policy, those of one cell together and in order.
    entries: Vec<(u32, u32)>,
    /// Where the cell of an act and a thing begins and ends.
    cells: HashMap<[u32; 2], (u32, u32)>,
    slices: RwLock<HashMap<SliceKey, Arc<PolicySet>>>,
}

/// The tags that the policies of a set use in one place.
#[derive(Debug, Default)]
struct Tags {
    /// Sorted by name.
    kinds: Vec<(Box<str>, KindTags)>,
    count: u32,
}

/// The tags of scopes that name a type or an entity of it.
#[derive(Debug, Default)]
struct KindTags {
    /// `is` this type.
    is: Option<u32>,
    entities: HashMap<Box<str>, EntityTags>,
}

/// The tags of scopes that name one entity.
#[derive(Debug, Default)]
struct EntityTags {
    /// `==` the entity.
    equal: Option<u32>,
    /// `in` the entity.
    within: Option<u32>,
    /// `is` a type and `in` the entity.
    kind_within: Vec<(Box<str>, u32)>,
}

/// An entity of a request with everything above it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) uid: &'a Uid<'a>,
    pub(crate) above: &'a [Uid<'a>],
}

/// The cells of an act on a thing, in order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Cells(Box<[(u32, u32)]>);

/// The tags of the principal of a request and its cells (POL-07: two requests with the same key meet
/// the same policies, because nothing else is looked at to find them).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct SliceKey {
    principals: Vec<u32>,
    cells: Cells,
}

impl Tags {
    fn kind(&mut self, name: &str) -> (&mut KindTags, &mut u32) {
        let at = match self
            .kinds
            .binary_search_by(|(other, _)| (**other).cmp(name))
        {
            Ok(at) => at,
            Err(at) => {
                self.kinds.insert(at, (name.into(), KindTags::default()));
                at
            }
        };
        (&mut self.kinds[at].1, &mut self.count)
    }

    fn entity(&mut self, uid: &EntityUid) -> (&mut EntityTags, &mut u32) {
        let (kind, count) = self.kind(&uid.type_name().to_string());
        let entity = kind.entities.entry(uid.id().unescaped().into());
        (entity.or_default(), count)
    }

    fn is(&mut self, kind: &EntityTypeName) -> u32 {
        let (kind, count) = self.kind(&kind.to_string());
        *kind.is.get_or_insert_with(|| next(count))
    }

    fn equal(&mut self, uid: &EntityUid) -> u32 {
        let (entity, count) = self.entity(uid);
        *entity.equal.get_or_insert_with(|| next(count))
    }

    fn within(&mut self, uid: &EntityUid) -> u32 {
        let (entity, count) = self.entity(uid);
        *entity.within.get_or_insert_with(|| next(count))
    }

    fn kind_within(&mut self, kind: &EntityTypeName, uid: &EntityUid) -> u32 {
        let (entity, count) = self.entity(uid);
        let kind = kind.to_string().into_boxed_str();
        match entity.kind_within.iter().find(|(other, _)| *other == kind) {
            Some((_, tag)) => *tag,
            None => {
                let tag = next(count);
                entity.kind_within.push((kind, tag));
                tag
            }
        }
    }

    fn of_kind(&self, uid: &Uid<'_>) -> Option<&KindTags> {
        let name = uid.kind().name();
        let found = self
            .kinds
            .binary_search_by(|(other, _)| (**other).cmp(name));
        found.ok().map(|at| &self.kinds[at].1)
    }

    /// The tags of one place of a request, in order.
    fn tags(&self, place: Place<'_>) -> Vec<u32> {
        let mut tags = Vec::with_capacity(4);
        tags.push(ANYTHING);
        let kind = self.of_kind(place.uid);
        tags.extend(kind.and_then(|kind| kind.is));
        let own = kind.and_then(|kind| kind.entities.get(place.uid.id()));
        tags.extend(own.and_then(|own| own.equal));
        let above = place.above.iter();
        let above = above.filter_map(|uid| self.of_kind(uid)?.entities.get(uid.id()));
        for entity in own.into_iter().chain(above) {
            tags.extend(entity.within);
            let kind = place.uid.kind().name();
            let same = entity.kind_within.iter().filter(|(of, _)| **of == *kind);
            tags.extend(same.map(|(_, tag)| tag));
        }
        // What is above comes in no order; sorted, the same set is the same key.
        tags.sort_unstable();
        tags
    }
}

fn next(count: &mut u32) -> u32 {
    *count += 1;
    *count
}

/// The positions of the policies of a cell under the tag of a principal.
fn under(cell: &[(u32, u32)], tag: u32) -> impl Iterator<Item = usize> {
    let from = cell.partition_point(|(other, _)| *other < tag);
    let same = cell[from..]
        .iter()
        .take_while(move |(other, _)| *other == tag);
    same.map(|(_, position)| *position as usize)
}

impl Index {
    /// The index of policies, in the order of their positions.
    pub(crate) fn of<'a>(policies: impl Iterator<Item = &'a Policy>) -> Self {
        let mut index = Self::default();
        let mut cells: BTreeMap<[u32; 2], Vec<(u32, u32)>> = BTreeMap::new();
        // There is less memory than would hold more policies than numbers.
        for (position, policy) in (0_u32..).zip(policies) {
            let (principal, places) = index.enter(policy);
            for place in places {
                cells.entry(place).or_default().push((principal, position));
            }
        }
        for (place, mut cell) in cells {
            cell.sort_unstable();
            let from = index.entries.len();
            index.entries.extend(cell);
            let end = |at| u32::try_from(at).unwrap_or(u32::MAX);
            let range = (end(from), end(index.entries.len()));
            index.cells.insert(place, range);
        }
        index
    }

    /// The tags of what the scope of a policy says about principals, and of the acts on things.
    fn enter(&mut self, policy: &Policy) -> (u32, Vec<[u32; 2]>) {
        let principal = match policy.principal_constraint() {
            PrincipalConstraint::Any => ANYTHING,
            PrincipalConstraint::Is(kind) => self.principals.is(&kind),
            PrincipalConstraint::Eq(uid) => self.principals.equal(&uid),
            PrincipalConstraint::In(uid) => self.principals.within(&uid),
            PrincipalConstraint::IsIn(kind, uid) => self.principals.kind_within(&kind, &uid),
        };
        let resource = match policy.resource_constraint() {
            ResourceConstraint::Any => ANYTHING,
            ResourceConstraint::Is(kind) => self.resources.is(&kind),
            ResourceConstraint::Eq(uid) => self.resources.equal(&uid),
            ResourceConstraint::In(uid) => self.resources.within(&uid),
            ResourceConstraint::IsIn(kind, uid) => self.resources.kind_within(&kind, &uid),
        };
        let actions = match policy.action_constraint() {
            ActionConstraint::Any => vec![ANYTHING],
            ActionConstraint::Eq(uid) => vec![self.actions.equal(&uid)],
            ActionConstraint::In(uids) => {
                let uids = uids.iter();
                uids.map(|uid| self.actions.within(uid)).collect()
            }
        };
        let places = actions.into_iter().map(|action| [action, resource]);
        (principal, places.collect())
    }

    /// The cells of an act on a thing.
    pub(crate) fn cells(&self, action: Place<'_>, resource: Place<'_>) -> Cells {
        let (actions, resources) = (self.actions.tags(action), self.resources.tags(resource));
        let mut cells = Vec::new();
        for action in actions {
            let places = resources.iter().map(|&resource| [action, resource]);
            cells.extend(places.filter_map(|place| self.cells.get(&place)));
        }
        cells.sort_unstable();
        Cells(cells.into_boxed_slice())
    }

    /// What decides which policies a request meets.
    pub(crate) fn key(&self, principal: Place<'_>, cells: &Cells) -> SliceKey {
        SliceKey {
            principals: self.principals(principal),
            cells: cells.clone(),
        }
    }

    /// The tags of the principal of a request.
    pub(crate) fn principals(&self, principal: Place<'_>) -> Vec<u32> {
        self.principals.tags(principal)
    }

    /// The positions of the policies that a principal with these tags meets in these cells; one that
    /// names several acts can come up more than once.
    pub(crate) fn meets<'a>(
        &'a self,
        principals: &'a [u32],
        cells: &'a Cells,
    ) -> impl Iterator<Item = usize> + 'a {
        let cells = cells.0.iter();
        let cells = cells.map(|&(from, to)| &self.entries[from as usize..to as usize]);
        cells.flat_map(|cell| principals.iter().flat_map(|&tag| under(cell, tag)))
    }

    /// The positions of the policies that the request meets, in order, each once.
    pub(crate) fn candidates(&self, key: &SliceKey) -> Vec<usize> {
        let mut found: Vec<usize> = self.meets(&key.principals, &key.cells).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The policies that the request meets, from the slices kept ready or made with `build`.
    pub(crate) fn slice(
        &self,
        key: &SliceKey,
        build: impl FnOnce(Vec<usize>) -> PolicySet,
    ) -> Arc<PolicySet> {
        // A panic while the lock was held cannot leave half an entry: entries are inserted whole.
        let ready = self.slices.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(slice) = ready.get(key) {
            return Arc::clone(slice);
        }
        drop(ready);
        let slice = Arc::new(build(self.candidates(key)));
        let mut slices = self.slices.write().unwrap_or_else(PoisonError::into_inner);
        if slices.len() < MAX_SLICES {
            slices.insert(key.clone(), Arc::clone(&slice));
        }
        slice
    }
}
