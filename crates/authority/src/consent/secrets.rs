//! The secrets of one request, derived from the name that it has: nothing of them is kept.
//!
//! The name is random, and the key is one that every process of the authority has.

use chancery_model::digest::Digest;
use chancery_wire::user_code::UserCode;
use chancery_wire::{base64url, hash};

use crate::ctx::Ctx;
use crate::directory::KnownLogin;
use crate::state::Authority;
use crate::tokens::code::CODE;

/// What every `request_uri` of ours begins with (RFC 9126 2.2).
pub(crate) const URI: &str = "urn:ietf:params:oauth:request_uri:";

/// A new name for a request.
pub(crate) fn new_uri(authority: &Authority) -> String {
    let mut random = [0; 32];
    authority.entropy.fill(&mut random);
    format!("{URI}{}", base64url::encode(&random))
}

/// The hash by which a request is kept.
pub(crate) fn uri_hash(uri: &str) -> Digest {
    hash::sha256_for("request uri", &[uri])
}

/// What the names begin with under which pages speak of a device's request.
const DEVICE: &str = "urn:chancery:device:";

/// The name of a device's request: that of its code's hash, which only a page tells to whoever entered its user code, and
/// which is of no use at the token endpoint.
pub(crate) fn device_name(code_hash: Digest) -> String {
    format!("{DEVICE}{code_hash}")
}

/// The hash of the device code that a name is of.
pub(crate) fn device_of(name: &str) -> Option<Digest> {
    name.strip_prefix(DEVICE)?.parse().ok()
}

/// As a user code is kept: under the master key, since there are so few of them that a hash alone could be tried out.
pub(crate) fn user_code(authority: &Authority, code: &UserCode) -> Digest {
    Digest::from_bytes(derive(authority, "user code", &[&code.to_string()]))
}

/// What proves that a decision comes from the page that this login was shown about this request and this version of
/// the agent: no other page, no other person and no other request has it.
pub(crate) fn form_token(ctx: &Ctx, uri: &str, login: &KnownLogin, version: Digest) -> String {
    let person = login.owner_id.to_string();
    let end = login.expires_at.as_micros().to_string();
    let texts = [uri, &person, &end, &version.to_string()];
    derive_text(&ctx.authority, "consent form", &texts)
}

/// The same for the page of a client that nobody registered: `asked` is all that the page was about.
pub(crate) fn client_form_token(ctx: &Ctx, login: &KnownLogin, asked: &[&str]) -> String {
    let person = login.owner_id.to_string();
    let end = login.expires_at.as_micros().to_string();
    let mut texts = vec![&*person, &*end];
    texts.extend(asked);
    derive_text(&ctx.authority, "client consent form", &texts)
}

/// The code of a request that this person lets through. The same each time, so that a form that is sent twice is
/// answered with one code.
pub(crate) fn code(ctx: &Ctx, uri: &str, login: &KnownLogin) -> String {
    let person = login.owner_id.to_string();
    let secret = derive_text(&ctx.authority, "authorization code", &[uri, &person]);
    format!("{CODE}{secret}")
}

fn derive_text(authority: &Authority, purpose: &str, texts: &[&str]) -> String {
    base64url::encode(&derive(authority, purpose, texts))
}

fn derive(authority: &Authority, purpose: &str, texts: &[&str]) -> [u8; 32] {
    let label = hash::sha256_for("consent", &[purpose]);
    let key = hash::hmac_sha256(authority.master.expose(), label.as_bytes());
    let about = hash::sha256_for(purpose, texts);
    hash::hmac_sha256(&key, about.as_bytes())
}
