//! ID tokens: who signed in, told to the client that asked with the scope `openid`, once, with the access token of its code.

use chancery_model::event::Event;
use chancery_model::scope::Scope;
use chancery_model::time::Timestamp;
use chancery_wire::id_token::{self, Claims, OPENID, Person};

use crate::state::Authority;
use crate::tokens::mint::Minted;
use crate::tokens::redeem::refuse;
use crate::tokens::refusal::Refusal;

/// The ID token that goes with an access token, when the client asked for one. Only a token that was minted leads here, so
/// everything that it hangs on is live: the person, the grant and the agent.
pub(crate) fn make(
    authority: &Authority,
    minted: &Minted,
    scope: &Scope,
    nonce: Option<&str>,
    now: Timestamp,
) -> Result<Option<String>, Refusal> {
    if !scope.has(OPENID) {
        return Ok(None);
    }
    let claims = &minted.claims;
    let snapshot = authority.current.load();
    // Who acts for nobody has nobody who signed in.
    let person = snapshot.subject_of(claims);
    let person = person.ok_or_else(|| refuse("subject_inactive"))?;
    let claims = Claims {
        iss: claims.iss.clone(),
        aud: claims.client_id.clone(),
        iat: claims.iat,
        exp: id_token::ends(now).as_secs(),
        auth_time: claims.auth_time,
        nonce: nonce.map(str::to_owned),
        acr: claims.acr.clone(),
        at_hash: id_token::at_hash(&minted.token),
        person: Person::told(claims.sub.clone(), &person.handle, scope.names()),
    };
    let key = &authority.keys.load().id_token;
    Ok(Some(id_token::sign(&claims, key)))
}

/// The event of a token, which says whether the client was told who signed in.
pub(crate) fn told(mut event: Event, is_told: bool) -> Event {
    if is_told {
        let facts = &mut event.facts;
        facts.insert("id_token".to_owned(), "issued".to_owned());
    }
    event
}
