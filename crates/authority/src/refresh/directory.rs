//! Owners, logins of people and resource servers.

use std::collections::HashMap;
use std::sync::Arc;

use chancery_model::author::{Author, Hands};
use chancery_model::id::OwnerId;
use chancery_model::owner::{Owner, OwnerKind};
use chancery_model::time::Timestamp;
use chancery_policy::PersonFacts;
use chancery_store::tx::Tx;
use chancery_store::{attesters, logins, meta, owners, providers, resources, sessions};
use chancery_wire::json;
use chancery_wire::jwk::KeySet;

use crate::directory::{Directory, KnownAttester, KnownLogin, KnownResource, LastUse, Session};
use crate::error::Error;
use crate::refresh::PAGE;

/// Every owner by id.
pub(crate) async fn read_owners(tx: &mut Tx) -> Result<HashMap<OwnerId, Owner>, Error> {
    let mut all = HashMap::new();
    let mut after = String::new();
    loop {
        let page = owners::list(tx, &after, PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(all);
        };
        after = last.id.to_string();
        all.extend(page.into_iter().map(|owner| (owner.id, owner)));
    }
}

/// The people who have not left, each with the teams that are there, as policies see them.
pub(crate) fn present_people(
    owners: &HashMap<OwnerId, Owner>,
) -> HashMap<OwnerId, Arc<PersonFacts>> {
    let mut teams: HashMap<OwnerId, Vec<String>> = HashMap::new();
    for owner in owners.values().filter(|owner| owner.disabled_at.is_none()) {
        if let OwnerKind::Team { members } = &owner.kind {
            for member in members {
                let of_member = teams.entry(*member).or_default();
                of_member.push(owner.handle.as_str().to_owned());
            }
        }
    }
    let people = owners.values().filter(|owner| owner.is_present());
    let people = people.map(|person| {
        let facts = PersonFacts {
            id: person.id.to_string(),
            handle: person.handle.as_str().to_owned(),
            teams: teams.remove(&person.id).unwrap_or_default(),
        };
        (person.id, Arc::new(facts))
    });
    people.collect()
}

/// Whether an owner is live, among the owners that were read.
pub(crate) fn is_live(owner: &Owner, people: &HashMap<OwnerId, Owner>) -> bool {
    owner.is_live(|member| people.get(&member).is_some_and(Owner::is_present))
}

/// Whether an owner is live, reading the members of a team.
pub(crate) async fn find_live(tx: &mut Tx, owner: &Owner) -> Result<bool, Error> {
    let mut people = HashMap::new();
    if let OwnerKind::Team { members } = &owner.kind {
        for member in members {
            let person = owners::fetch(tx, *member).await?.ok_or(Error::Broken)?;
            people.insert(person.id, person);
        }
    }
    Ok(is_live(owner, &people))
}

/// The name under which it is kept until when clients may register themselves.
pub(crate) const REGISTRATION_UNTIL: &str = "client_registration_until";

async fn registration_until(tx: &mut Tx) -> Result<Option<Timestamp>, Error> {
    let kept = meta::fetch(tx, REGISTRATION_UNTIL).await?;
    let micros = kept.map(|text| text.parse()).transpose();
    Ok(micros
        .map_err(|_| Error::Broken)?
        .map(Timestamp::from_micros))
}

/// The logins and sessions that are live, and every resource server; `before` knows when sessions were used.
pub(crate) async fn read(
    tx: &mut Tx,
    people: &HashMap<OwnerId, Owner>,
    before: &Directory,
    now: Timestamp,
) -> Result<Directory, Error> {
    let mut directory = Directory {
        registration_until: registration_until(tx).await?,
        ..Directory::default()
    };
    for attester in attesters::list(tx).await? {
        let known = KnownAttester {
            issuer: attester.issuer,
            keys: parse_keys(&attester.jwks)?,
        };
        directory.attesters.insert(attester.name, known);
    }
    for kept in providers::list(tx).await? {
        let name = kept.provider.name.as_str().to_owned();
        directory.providers.insert(name, Arc::new(kept));
    }
    for login in logins::list_live(tx, now).await? {
        let Some(owner) = people
            .get(&login.owner_id)
            .filter(|owner| is_live(owner, people))
        else {
            continue;
        };
        let known = KnownLogin {
            secret_hash: login.secret_hash,
            owner_id: login.owner_id,
            hands: Hands {
                author: Author::Person(owner.handle.clone()),
                makers: login.makers,
            },
            roles: login.roles,
            expires_at: login.expires_at,
            session: None,
        };
        directory.logins.insert(login.secret_hash, Arc::new(known));
    }
    for row in sessions::list_live(tx, now).await? {
        let Some(owner) = people
            .get(&row.owner_id)
            .filter(|owner| is_live(owner, people))
        else {
            continue;
        };
        // One that began while its provider was removed is none.
        if let Some(provider) = row.means.provider()
            && directory.provider(provider).is_none()
        {
            continue;
        }
        let known_before = before.logins.get(&row.secret_hash);
        let known_before = known_before.and_then(|login| login.session.as_ref());
        let used_at = known_before.map(|session| Arc::clone(&session.used_at));
        let used_at = used_at.unwrap_or_else(|| Arc::new(LastUse::new(row.used_at)));
        used_at.raise(row.used_at);
        let session = Session {
            id: row.id,
            means: row.means,
            authenticated_at: row.authenticated_at,
            began_at: row.began_at,
            used_at,
        };
        let known = KnownLogin {
            secret_hash: row.secret_hash,
            owner_id: row.owner_id,
            hands: Hands {
                author: Author::Person(owner.handle.clone()),
                makers: row.makers,
            },
            roles: row.roles,
            expires_at: row.ends_at,
            session: Some(session),
        };
        directory.logins.insert(row.secret_hash, Arc::new(known));
    }
    let mut after = String::new();
    loop {
        let page = resources::list(tx, &after, PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(directory);
        };
        after = last.id.to_string();
        for resource in page {
            let keys = resource.jwks.as_deref().map(parse_keys).transpose()?;
            let known = Arc::new(KnownResource { resource, keys });
            directory
                .by_url
                .insert(known.resource.url.clone(), Arc::clone(&known));
            directory.resources.insert(known.resource.id, known);
        }
    }
}

fn parse_keys(text: &str) -> Result<KeySet, Error> {
    let jwks = json::parse(text.as_bytes(), json::BODY).map_err(|_| Error::Broken)?;
    KeySet::parse(&jwks).map_err(|_| Error::Broken)
}
