//! Who a client is that nobody registered beforehand, by its document or by its own registration.

use chancery_gateway::document;
use chancery_gateway::outbound::Network;
use chancery_model::digest::Digest;
use chancery_model::id::{OwnerId, RegisteredClientId};
use chancery_model::time::Timestamp;
use chancery_store::registered_clients;
use chancery_wire::client_metadata::{ClientMetadata, DOCUMENT, client_url};
use chancery_wire::hash;
use chancery_wire::redirect_uri::RedirectUri;

use crate::error::Error;
use crate::state::Authority;

/// A client, with nothing but what is of use.
pub(crate) struct KnownClient {
    /// Its `client_id`.
    pub id: String,
    /// The host that answers for it; `None` for one that registered itself, for which nobody does.
    pub host: Option<String>,
    /// The name that it gives itself: a claim.
    pub name: Option<String>,
    /// Where answers to it may go.
    pub redirect_uris: Vec<RedirectUri>,
    /// Whether it says that its tokens are bound to a key.
    pub is_bound: bool,
    /// Its id, when it registered itself.
    pub registered: Option<RegisteredClientId>,
}

impl KnownClient {
    /// All that a person was shown of it, or relies on.
    pub(crate) fn digest(&self) -> Digest {
        let name = self.name.as_deref().unwrap_or("");
        let mut texts = vec![&*self.id, name, if self.is_bound { "bound" } else { "" }];
        texts.extend(self.redirect_uris.iter().map(RedirectUri::as_str));
        hash::sha256_for("client", &texts)
    }
}

/// The client that `id` names. `None` for every failure alike, so that nobody learns by asking us what answers at an
/// address (SSRF-04). Only for a person who signed in: strangers have us fetch nothing.
pub(crate) async fn find(
    authority: &Authority,
    person: OwnerId,
    id: &str,
    now: Timestamp,
) -> Result<Option<KnownClient>, Error> {
    if let Ok(registered) = id.parse() {
        return find_registered(authority, registered, now).await;
    }
    let is_development = authority.config.is_development();
    let Ok(url) = client_url(id, is_development) else {
        return Ok(None);
    };
    let documents = &authority.documents;
    let read = match documents.recall(id, now) {
        Some(read) => read,
        None => {
            let Some(turn) = documents.turn(person) else {
                return Err(Error::Unavailable);
            };
            let read = |bytes: &[u8]| ClientMetadata::of_document(bytes, id);
            let (reach, most) = (&authority.reach, DOCUMENT.bytes);
            let network = Network::of_stranger(is_development);
            let fetched = document::fetch(reach, id, network, most, read, turn).await;
            let max_age = fetched.as_ref().ok().and_then(|fetched| fetched.max_age);
            let read = fetched.ok().map(|fetched| fetched.read);
            documents.remember(id, read, max_age, now)
        }
    };
    Ok(read.as_ref().as_ref().map(|metadata| KnownClient {
        id: id.to_owned(),
        host: url.host_str().map(|host| match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }),
        name: metadata.name.clone(),
        redirect_uris: metadata.redirect_uris.clone(),
        is_bound: metadata.is_bound,
        registered: None,
    }))
}

async fn find_registered(
    authority: &Authority,
    id: RegisteredClientId,
    now: Timestamp,
) -> Result<Option<KnownClient>, Error> {
    let mut tx = authority.store.read().await?;
    let Some(client) = registered_clients::fetch(&mut tx, id, now).await? else {
        return Ok(None);
    };
    let parse = |text: &String| RedirectUri::parse_of_client(text).map_err(|_| Error::Broken);
    Ok(Some(KnownClient {
        id: client.id.to_string(),
        host: None,
        name: client.name,
        redirect_uris: client
            .redirect_uris
            .iter()
            .map(parse)
            .collect::<Result<_, _>>()?,
        is_bound: client.is_bound,
        registered: Some(client.id),
    }))
}
