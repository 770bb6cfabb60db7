//! The cookie of a session: read only from requests that a page of our own made, and written for browsers alone. Beside it
//! the cookie of an attempt to sign in with a provider, which signs nobody in.
//!
//! A browser sends a cookie with whatever any page makes it ask, so a cookie alone says nothing about who wanted the
//! request (WEB-02). It counts when the browser itself says that a page of our origin asked: `Sec-Fetch-Site`, which no
//! page can set, or where that is missing an `Origin` that is exactly ours.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use chancery_api::people::SESSION_COOKIE;
use chancery_wire::webauthn::RelyingParty;

use crate::error::Error;
use crate::extract;
use crate::issuers::ATTEMPT;

/// The cookie of an attempt to sign in with a provider.
const ATTEMPT_COOKIE: &str = "__Host-chancery-provider";

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a browser asks at the origin of people, where their cookies are: on loopback that is another than the address that
/// clients know.
pub(crate) fn is_at_home(uri: &Uri, headers: &HeaderMap, party: &RelyingParty) -> bool {
    let own = party.origin().split_once("://").map(|(_, own)| own);
    let asked = extract::host(uri, headers);
    own.zip(asked)
        .is_some_and(|(own, asked)| own.eq_ignore_ascii_case(asked))
}

/// Whether the browser says that a page of our own asked.
pub(crate) fn is_same_origin(headers: &HeaderMap, party: &RelyingParty) -> bool {
    let mut sites = headers.get_all(FETCH_SITE).iter();
    match (sites.next(), sites.next()) {
        (Some(site), None) => site.as_bytes() == b"same-origin",
        (None, _) => {
            let origin = headers.get(header::ORIGIN);
            origin.is_some_and(|origin| origin.as_bytes() == party.origin().as_bytes())
        }
        (Some(_), Some(_)) => false,
    }
}

/// Refuses what a page of our own did not ask.
pub(crate) fn require_same_origin(headers: &HeaderMap, party: &RelyingParty) -> Result<(), Error> {
    if is_same_origin(headers, party) {
        return Ok(());
    }
    Err(Error::Denied {
        reason: "people sign in on a page of the authority's own".to_owned(),
        event: None,
    })
}

/// The secret of the session in a request of our own page; none when there are two.
pub(crate) fn session_secret<'a>(headers: &'a HeaderMap, party: &RelyingParty) -> Option<&'a str> {
    if !is_same_origin(headers, party) {
        return None;
    }
    only(headers, SESSION_COOKIE)
}

/// The attempt to sign in with a provider that this browser began. It is read from a request that the provider's page
/// caused: that is what it is for, and what is in it must fit the answer that came along.
pub(crate) fn attempt(headers: &HeaderMap) -> Option<&str> {
    only(headers, ATTEMPT_COOKIE)
}

/// The value of the one cookie of this name; none when there are two.
fn only<'a>(headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).iter();
    let pairs = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'));
    let mut ours = pairs
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| *name == wanted)
        .map(|(_, value)| value);
    // Whoever could plant a second one must not choose which of them counts (WEB-05).
    match (ours.next(), ours.next()) {
        (Some(secret), None) => Some(secret),
        (None, _) | (Some(_), Some(_)) => None,
    }
}

/// Gives the browser a session: for this host alone, never for scripts, and gone when the browser closes.
pub(crate) fn set(secret: &str) -> HeaderValue {
    value(SESSION_COOKIE, secret, "; SameSite=Strict")
}

/// Takes the session from the browser.
pub(crate) fn clear() -> HeaderValue {
    value(SESSION_COOKIE, "", "; SameSite=Strict; Max-Age=0")
}

/// Gives the browser an attempt to sign in with a provider. It comes back with the provider's answer, which another site
/// sends the browser to, so it is not as strict as a session; nothing is done by it alone.
pub(crate) fn set_attempt(sealed: &str) -> HeaderValue {
    let more = format!("; SameSite=Lax; Max-Age={}", ATTEMPT.as_secs());
    value(ATTEMPT_COOKIE, sealed, &more)
}

/// Takes the attempt from the browser.
pub(crate) fn clear_attempt() -> HeaderValue {
    value(ATTEMPT_COOKIE, "", "; SameSite=Lax; Max-Age=0")
}

fn value(name: &str, secret: &str, more: &str) -> HeaderValue {
    let text = format!("{name}={secret}; Path=/; Secure; HttpOnly{more}");
    // A secret of ours is base64url.
    let mut value = HeaderValue::try_from(text).expect("a cookie is printable ASCII");
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party() -> RelyingParty {
        RelyingParty::of_issuer("https://id.example").expect("a party")
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            let name = HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    const OURS: (&str, &str) = ("sec-fetch-site", "same-origin");

    #[track_caller]
    fn check(pairs: &[(&'static str, &'static str)], expected: Option<&str>) {
        let headers = headers(pairs);
        assert_eq!(session_secret(&headers, &party()), expected, "{pairs:?}");
    }

    #[test]
    fn web_02_cookie_counts_only_when_a_page_of_ours_asked() {
        let cookie = ("cookie", "a=b; __Host-chancery=chs_x; c=d");
        check(&[OURS, cookie], Some("chs_x"));
        check(&[("origin", "https://id.example"), cookie], Some("chs_x"));
        check(&[cookie], None);
        for site in ["cross-site", "same-site", "none", "Same-Origin", ""] {
            check(&[("sec-fetch-site", site), cookie], None);
            let origin = ("origin", "https://id.example");
            check(&[("sec-fetch-site", site), origin, cookie], None);
        }
        check(&[OURS, ("sec-fetch-site", "cross-site"), cookie], None);
        for origin in [
            "https://evil.example",
            "null",
            "http://id.example",
            "https://id.example:1",
        ] {
            check(&[("origin", origin), cookie], None);
        }
    }

    #[test]
    fn web_05_of_two_cookies_neither_counts() {
        check(
            &[OURS, ("cookie", "__Host-chancery=a; __Host-chancery=b")],
            None,
        );
        let two = [
            ("cookie", "__Host-chancery=a"),
            ("cookie", "__Host-chancery=b"),
        ];
        check(&[OURS, two[0], two[1]], None);
        check(
            &[
                OURS,
                (
                    "cookie",
                    "chancery=a; __host-chancery=b; __Host-chancery2=c",
                ),
            ],
            None,
        );
    }

    #[test]
    fn web_06_cookie_is_for_this_host_and_no_script() {
        let given = set("chs_x");
        let expected = "__Host-chancery=chs_x; Path=/; Secure; HttpOnly; SameSite=Strict";
        assert_eq!(given.as_bytes(), expected.as_bytes());
        assert!(given.is_sensitive());
        let attempt = set_attempt("sealed");
        let expected =
            "__Host-chancery-provider=sealed; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600";
        assert_eq!(attempt.as_bytes(), expected.as_bytes());
        let taken = clear();
        let taken = taken.to_str().expect("ASCII");
        assert!(taken.ends_with("SameSite=Strict; Max-Age=0"), "{taken}");
    }
}
