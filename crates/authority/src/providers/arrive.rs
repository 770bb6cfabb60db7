//! Somebody whom a provider identified arrives: they are known, become known, or are linked, and their session begins.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, header};
use axum::response::Response;
use chancery_model::author::Author;
use chancery_model::event::{Event, EventKind};
use chancery_model::id::OwnerId;
use chancery_model::owner::{Owner, OwnerKind};
use chancery_model::time::Timestamp;
use chancery_store::error::StoreError;
use chancery_store::provider_links::{self, KeptToken, Link};
use chancery_store::providers::{self, Kept};
use chancery_store::sessions::{AtProvider, Means};
use chancery_store::tx::Tx;
use chancery_store::{owners, provider_uses, sessions};
use chancery_wire::seal;

use crate::accounts::begin::{self, Beginning, Begun};
use crate::error::{self, Error};
use crate::providers::attempt::{Attempt, InSession};
use crate::providers::exchange::Identified;
use crate::providers::{link, page, watch};
use crate::refresh;
use crate::state::Authority;

/// How long a session lives whose provider gave nothing to ask whether its person is still there: then leaving there is
/// leaving here all the same.
pub(crate) const UNASKED: Duration = Duration::from_secs(3_600);

/// What came of an arrival.
pub(crate) enum Arrived {
    /// Somebody is signed in, or linked.
    SignedIn(Response),
    /// The provider calls somebody this whom nobody knows here.
    Nobody,
}

/// Lets in whom a provider identified.
pub(crate) async fn arrive(
    authority: &Arc<Authority>,
    headers: &HeaderMap,
    kept: &Kept,
    attempt: &Attempt,
    identified: Identified,
) -> Result<Arrived, Error> {
    if let Err(not_admitted) = kept.provider.rules.admit(&identified.claims) {
        return Err(begin::refused(not_admitted.code()));
    }
    let arrival = Arrival {
        authority,
        headers,
        kept,
        attempt,
        identified,
    };
    // The code is spent, so the browser cannot ask for it again.
    match attempt.links {
        Some(linking) => error::again(|| arrival.link(linking)).await,
        None => error::again(|| arrival.sign_in()).await,
    }
}

struct Arrival<'a> {
    authority: &'a Arc<Authority>,
    headers: &'a HeaderMap,
    kept: &'a Kept,
    attempt: &'a Attempt,
    identified: Identified,
}

impl Arrival<'_> {
    /// A transaction in which the attempt is used up and the provider is still there.
    async fn begin(&self) -> Result<Tx, Error> {
        let mut tx = self.authority.store.begin().await?;
        let name = self.kept.provider.name.as_str();
        let current = providers::fetch_by_name(&mut tx, name).await?;
        let id = self.kept.provider.id;
        if current.is_none_or(|current| current.provider.id != id) {
            return Err(begin::refused("provider_removed"));
        }
        let (hash, ends) = (self.attempt.use_hash(), self.attempt.expires_at());
        if !provider_uses::use_once(&mut tx, hash, ends, self.identified.now).await? {
            return Err(begin::refused("attempt_used"));
        }
        Ok(tx)
    }

    async fn sign_in(&self) -> Result<Arrived, Error> {
        let (authority, now) = (self.authority, self.identified.now);
        let provider = &self.kept.provider;
        let mut tx = self.begin().await?;
        let known =
            provider_links::fetch(&mut tx, &provider.issuer, self.identified.token.subject())
                .await?;
        let (owner, link, mut events) = match known {
            Some(link) => {
                let (owner, returned) = self.present(&mut tx, &link).await?;
                (owner, link, returned.into_iter().collect())
            }
            None if provider.rules.lets_join => self.join(&mut tx).await?,
            None => return Ok(Arrived::Nobody),
        };
        // Some give nothing new to whom they gave something before.
        let token = self.wrap(&link).or_else(|| {
            let before = link.token.clone();
            before.filter(|token| token.provider == provider.id)
        });
        let known_as = provider.rules.handle(&self.identified.claims);
        let known_as = known_as.as_ref().map(|handle| handle.as_str());
        let due = now.after(watch::SOON);
        provider_links::vouch(&mut tx, &link, known_as, token.as_ref(), now, due).await?;
        let beginning = Beginning {
            owner: &owner,
            means: Means::Provider(AtProvider {
                provider: provider.id,
                subject: link.subject.clone(),
                sid: self.identified.token.session().map(str::to_owned),
            }),
            authenticated_at: self.authenticated_at(),
            lifetime: match token {
                Some(_) => begin::LIFETIME,
                None => UNASKED,
            },
            makers: both(&link.makers, &provider.makers),
            // WAN-07: what a role is for takes a passkey.
            roles: Vec::new(),
        };
        let (begun, more) = begin::begin(authority, self.headers, &mut tx, now, beginning).await?;
        events.extend(more);
        if let Some(before) = self.attempt.before
            && sessions::end(&mut tx, before.owner, before.session, now).await?
        {
            let ended = begin::event(authority, EventKind::SessionEnded, &owner, now);
            events.push(begin::ended_before(ended, before.owner, before.session));
        }
        let first = events.remove(0);
        refresh::commit(authority, tx, first, events).await?;
        Ok(Arrived::SignedIn(self.answer(begun, &owner)))
    }

    /// When the person proved who they are. Where that was asked for anew, it was after the question, whatever the clock of
    /// the provider says to the second.
    fn authenticated_at(&self) -> Option<Timestamp> {
        let at = self.identified.token.auth_time()?;
        Some(match self.attempt.is_fresh {
            true => at.max(self.attempt.began_at),
            false => at,
        })
    }

    fn answer(&self, begun: Begun, owner: &Owner) -> Response {
        let mut response = match &self.attempt.next {
            Some(next) => page::signed_in(owner.handle.as_str(), next),
            // The console asks for itself who is signed in.
            None => page::go("/console/#signed-in").unwrap_or_else(page::unavailable),
        };
        let cookie = begun.into_cookie();
        response.headers_mut().append(header::SET_COOKIE, cookie);
        response
    }

    /// The person of a link, who has not left. Whom the provider alone said had left is back by its word; whom somebody
    /// here said had left is not.
    async fn present(&self, tx: &mut Tx, link: &Link) -> Result<(Owner, Option<Event>), Error> {
        let now = self.identified.now;
        if let Some(left_at) = link.left_at
            && owners::restore(tx, link.owner_id, left_at).await?
        {
            let owner = begin::require_present(tx, link.owner_id).await?;
            let mut event = begin::event(self.authority, EventKind::OwnerReturned, &owner, now);
            link::describe(&mut event, link, &owner, "provider");
            return Ok((owner, Some(event)));
        }
        let owner = begin::require_present(tx, link.owner_id).await?;
        Ok((owner, None))
    }

    /// A person who was not known becomes one, without any role. A handle that somebody has already is not theirs: that they
    /// are the same says nobody who could know (FED-03).
    async fn join(&self, tx: &mut Tx) -> Result<(Owner, Link, Vec<Event>), Error> {
        let (authority, now) = (self.authority, self.identified.now);
        let provider = &self.kept.provider;
        let handle = provider.rules.handle(&self.identified.claims);
        let handle = handle.ok_or_else(|| begin::refused("no_handle"))?;
        if owners::fetch_by_handle(tx, &handle).await?.is_some() {
            return Err(begin::refused("handle_taken"));
        }
        let owner = Owner {
            id: OwnerId::generate(now, &*authority.entropy),
            kind: OwnerKind::Person,
            handle,
            created_at: now,
            disabled_at: None,
        };
        owners::insert(tx, &owner).await?;
        let added = begin::event(authority, EventKind::OwnerAdded, &owner, now);
        let subject = self.identified.token.subject();
        let makers = provider.makers.clone();
        let link = link::made(&provider.issuer, subject, &owner, makers, now);
        provider_links::insert(tx, &link).await?;
        let mut linked = begin::event(authority, EventKind::PersonLinked, &owner, now);
        link::describe(&mut linked, &link, &owner, "provider");
        Ok((owner, link, vec![added, linked]))
    }

    /// Links the person who asked for it in a session of theirs, which must still be live.
    async fn link(&self, linking: InSession) -> Result<Arrived, Error> {
        let (authority, now) = (self.authority, self.identified.now);
        let provider = &self.kept.provider;
        let mut tx = self.begin().await?;
        let owner = begin::require_present(&mut tx, linking.owner).await?;
        let live = sessions::list_for_owner(&mut tx, owner.id, now).await?;
        let session = live
            .into_iter()
            .find(|session| session.id == linking.session);
        let session = session.ok_or_else(|| begin::refused("session_ended"))?;
        if provider_links::list_for_owner(&mut tx, owner.id)
            .await?
            .len()
            >= link::MOST
        {
            return Err(begin::refused("too_many_links"));
        }
        let subject = self.identified.token.subject();
        let link = link::made(&provider.issuer, subject, &owner, session.makers, now);
        match provider_links::insert(&mut tx, &link).await {
            Err(StoreError::Constraint) => return Err(begin::refused("linked_already")),
            inserted => inserted?,
        }
        // From now on it can be asked whether the person is still there.
        let token = self.wrap(&link);
        let known_as = provider.rules.handle(&self.identified.claims);
        let known_as = known_as.as_ref().map(|handle| handle.as_str());
        let due = now.after(watch::SOON);
        provider_links::vouch(&mut tx, &link, known_as, token.as_ref(), now, due).await?;
        let mut linked = begin::event(authority, EventKind::PersonLinked, &owner, now);
        link::describe(&mut linked, &link, &owner, "person");
        refresh::commit(authority, tx, linked, Vec::new()).await?;
        Ok(Arrived::SignedIn(page::linked(owner.handle.as_str())))
    }

    /// What the provider can be asked with later, wrapped for this link.
    fn wrap(&self, link: &Link) -> Option<KeptToken> {
        let token = self.identified.refresh_token.as_ref()?;
        Some(KeptToken {
            provider: self.kept.provider.id,
            sealed: wrap(self.authority, link, token.expose()),
        })
    }
}

/// Wraps a refresh token of a person.
pub(crate) fn wrap(authority: &Authority, link: &Link, token: &str) -> String {
    let (master, entropy) = (&authority.master, &*authority.entropy);
    seal::seal(master, &aad(link), token.as_bytes(), entropy)
}

/// What a wrapped refresh token is bound to: it opens for this link alone.
pub(crate) fn aad(link: &Link) -> String {
    format!("provider_link/{} {}/token", link.issuer, link.subject)
}

/// All who had a hand in a link or in its provider. Where it is not known who had, it is not known of both.
fn both(link: &[Author], provider: &[Author]) -> Vec<Author> {
    let is_known = |makers: &[Author]| makers.last() == Some(&Author::LocalAdministrator);
    let people = link.iter().chain(provider);
    let mut makers: Vec<Author> = Vec::new();
    for author in people.filter(|author| **author != Author::LocalAdministrator) {
        if !makers.contains(author) {
            makers.push(author.clone());
        }
    }
    if is_known(link) && is_known(provider) {
        makers.push(Author::LocalAdministrator);
    }
    makers
}
