//! The index: which policies can possibly matter to a request.
//!
//! The engine looks at every policy that it is given. Each policy names in its scope whom, what act
//! and what thing it is about; a policy whose scope cannot match is false before its conditions are
//! looked at, so leaving it out changes nothing. For each of the three places a policy has one
//! *tag*: anything, a type, or one entity (with what is below it). A request has a few tags per
//! place, and the policies that it meets are those under the combinations of them.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use cedar_policy::{
    ActionConstraint, EntityTypeName, EntityUid, Policy, PolicySet, PrincipalConstraint,
    ResourceConstraint,
};

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
    buckets: HashMap<[u32; 3], Vec<usize>>,
    slices: RwLock<HashMap<SliceKey, Arc<PolicySet>>>,
}

/// The tags that the policies of a set use in one place.
#[derive(Debug, Default)]
struct Tags {
    entities: HashMap<EntityUid, u32>,
    types: HashMap<EntityTypeName, u32>,
    count: u32,
}

/// An entity of a request with everything above it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) uid: &'a EntityUid,
    pub(crate) ancestors: &'a [EntityUid],
}

/// The tags of a request: for each place how many there are, then which (POL-07: two requests with
/// the same key meet the same policies, because nothing else is looked at to find them).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct SliceKey(Box<[u32]>);

impl Tags {
    fn of_entity(&mut self, uid: EntityUid) -> u32 {
        let count = &mut self.count;
        *self.entities.entry(uid).or_insert_with(|| next(count))
    }

    fn of_type(&mut self, kind: EntityTypeName) -> u32 {
        let count = &mut self.count;
        *self.types.entry(kind).or_insert_with(|| next(count))
    }

    /// Appends the number of tags and the tags of one place of a request.
    fn append(&self, place: Place<'_>, key: &mut Vec<u32>) {
        let at = key.len();
        key.extend([0, ANYTHING]);
        key.extend(self.types.get(place.uid.type_name()));
        key.extend(self.entities.get(place.uid));
        key.extend(
            place
                .ancestors
                .iter()
                .filter_map(|above| self.entities.get(above)),
        );
        // Ancestors come in no order; sorted, the same set is the same key.
        key[at + 1..].sort_unstable();
        key[at] = u32::try_from(key.len() - at - 1).unwrap_or(u32::MAX);
    }
}

fn next(count: &mut u32) -> u32 {
    *count += 1;
    *count
}

impl Index {
    /// Adds the policy at `position` under every combination of tags that its scope names.
    pub(crate) fn add(&mut self, position: usize, policy: &Policy) {
        let principal = match policy.principal_constraint() {
            PrincipalConstraint::Any => ANYTHING,
            PrincipalConstraint::Is(kind) => self.principals.of_type(kind),
            PrincipalConstraint::Eq(uid)
            | PrincipalConstraint::In(uid)
            | PrincipalConstraint::IsIn(_, uid) => self.principals.of_entity(uid),
        };
        let resource = match policy.resource_constraint() {
            ResourceConstraint::Any => ANYTHING,
            ResourceConstraint::Is(kind) => self.resources.of_type(kind),
            ResourceConstraint::Eq(uid)
            | ResourceConstraint::In(uid)
            | ResourceConstraint::IsIn(_, uid) => self.resources.of_entity(uid),
        };
        let actions = match policy.action_constraint() {
            ActionConstraint::Any => vec![ANYTHING],
            ActionConstraint::Eq(uid) => vec![self.actions.of_entity(uid)],
            ActionConstraint::In(uids) => uids
                .into_iter()
                .map(|uid| self.actions.of_entity(uid))
                .collect(),
        };
        for action in actions {
            self.buckets
                .entry([principal, action, resource])
                .or_default()
                .push(position);
        }
    }

    /// What decides which policies a request meets.
    pub(crate) fn key(
        &self,
        principal: Place<'_>,
        action: Place<'_>,
        resource: Place<'_>,
    ) -> SliceKey {
        let mut key = Vec::with_capacity(12);
        self.principals.append(principal, &mut key);
        self.actions.append(action, &mut key);
        self.resources.append(resource, &mut key);
        SliceKey(key.into_boxed_slice())
    }

    /// The positions of the policies that the request meets, in order, each once.
    pub(crate) fn candidates(&self, key: &SliceKey) -> Vec<usize> {
        let mut rest = &*key.0;
        let mut place = || {
            let (tags, after) = match rest.split_first() {
                Some((&count, after)) => after.split_at((count as usize).min(after.len())),
                None => (rest, rest),
            };
            rest = after;
            tags
        };
        let (principals, actions, resources) = (place(), place(), place());
        let mut found = Vec::new();
        for &principal in principals {
            for &action in actions {
                for &resource in resources {
                    let bucket = self.buckets.get(&[principal, action, resource]);
                    found.extend(bucket.into_iter().flatten().copied());
                }
            }
        }
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
