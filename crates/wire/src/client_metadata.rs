//! What a client that nobody registered beforehand says about itself (RFC 7591), in a document at its own URL
//! (client ID metadata documents) or in a request to be registered.
//!
//! Nothing of it is believed. What would give something, or would have to be obeyed and is not, is refused; so is every
//! member that is not known here (REG-05). What only describes is read and forgotten, but for the name, which is shown
//! as what it is: a claim.

use serde_json::{Map, Value};

use crate::json::{self, Limits};
use crate::oauth::{ErrorCode, OAuthError};
use crate::origin;
use crate::redirect_uri::RedirectUri;

/// How large a document may be, and how deep (T12).
pub const DOCUMENT: Limits = Limits {
    bytes: 5 * 1024,
    depth: 8,
};

/// The most redirect URIs of one client (REG-06).
pub const MOST_REDIRECT_URIS: usize = 10;
/// The longest name that is read, in characters, and the longest that is shown (REG-03).
const LONGEST_NAME_READ: usize = 1_000;
const LONGEST_NAME: usize = 60;
/// The longest URL that is a client's name, in bytes.
const LONGEST_URL: usize = 512;

/// What a client says about itself, as far as it is of use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientMetadata {
    /// The name it gives itself, cut and cleaned; `None` when nothing is left of it.
    pub name: Option<String>,
    /// Where answers to it may go.
    pub redirect_uris: Vec<RedirectUri>,
    /// Whether it says that its tokens are bound to a key, which then must be so (RFC 9449 5.2).
    pub is_bound: bool,
}

/// Members that describe and give nothing, each with its shape.
const DESCRIBING: [(&str, Shape); 13] = [
    ("application_type", Shape::Text),
    ("client_uri", Shape::Text),
    ("logo_uri", Shape::Text),
    ("tos_uri", Shape::Text),
    ("policy_uri", Shape::Text),
    ("contacts", Shape::Texts),
    ("software_id", Shape::Text),
    ("software_version", Shape::Text),
    // What a client asks for is said again with each request, and decided then.
    ("scope", Shape::Text),
    ("client_name", Shape::Text),
    ("redirect_uris", Shape::Texts),
    ("grant_types", Shape::Texts),
    ("response_types", Shape::Texts),
];

#[derive(Clone, Copy)]
enum Shape {
    Text,
    Texts,
}

impl ClientMetadata {
    /// Reads the document that was found at `url`, which must say that it is about exactly this client (REG-01).
    pub fn of_document(bytes: &[u8], url: &str) -> Result<Self, OAuthError> {
        let refuse = |description| OAuthError::new(ErrorCode::InvalidClientMetadata, description);
        let mut members = object(bytes)?;
        if members.remove("client_id") != Some(Value::String(url.to_owned())) {
            return Err(refuse("`client_id` is not the URL of the document"));
        }
        Self::read(members)
    }

    /// Reads a request to be registered.
    pub fn of_request(bytes: &[u8]) -> Result<Self, OAuthError> {
        Self::read(object(bytes)?)
    }

    fn read(mut members: Map<String, Value>) -> Result<Self, OAuthError> {
        let refuse = |description| OAuthError::new(ErrorCode::InvalidClientMetadata, description);
        if members.contains_key("software_statement") {
            return Err(OAuthError::new(
                ErrorCode::InvalidSoftwareStatement,
                "no issuer of software statements is trusted here",
            ));
        }
        if ["jwks", "jwks_uri"]
            .iter()
            .any(|keys| members.contains_key(*keys))
        {
            return Err(refuse(
                "clients with keys are registered by an administrator; leave the keys out",
            ));
        }
        match members.remove("token_endpoint_auth_method") {
            None => {}
            Some(Value::String(method)) if method == "none" => {}
            Some(_) => return Err(refuse("`token_endpoint_auth_method` must be `none`")),
        }
        let is_bound = match members.remove("dpop_bound_access_tokens") {
            None => false,
            Some(Value::Bool(is_bound)) => is_bound,
            Some(_) => return Err(refuse("`dpop_bound_access_tokens` is true or false")),
        };
        for (name, value) in &members {
            // RFC 7591 2.2: `client_name#ja` is the same member in another language.
            let plain = name.split_once('#').map_or(&**name, |(plain, _)| plain);
            let known = DESCRIBING.iter().find(|(known, _)| *known == plain);
            let (_, shape) = known.ok_or(refuse(
                "a member is not known here, and would not be obeyed",
            ))?;
            if !shape.is_of(value) {
                return Err(refuse("a member is not of its type"));
            }
        }
        let listed = |name: &str| texts(members.get(name));
        let offered = ["authorization_code", "refresh_token"];
        // Common clients name the device grant beside the one that they use; it is not given.
        let left_out = "urn:ietf:params:oauth:grant-type:device_code";
        if let Some(types) = listed("grant_types") {
            let is_known = |kind: &&str| offered.contains(kind) || *kind == left_out;
            if !types.contains(&"authorization_code") || !types.iter().all(is_known) {
                return Err(refuse(
                    "`grant_types` are `authorization_code` and `refresh_token`",
                ));
            }
        }
        if listed("response_types").is_some_and(|types| types != ["code"]) {
            return Err(refuse("`response_types` is `code` alone"));
        }
        Ok(Self {
            name: members
                .get("client_name")
                .and_then(Value::as_str)
                .and_then(shown_name),
            redirect_uris: redirect_uris(&listed("redirect_uris").unwrap_or_default())?,
            is_bound,
        })
    }
}

impl Shape {
    fn is_of(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Text, Value::String(_)) => true,
            (Self::Texts, Value::Array(values)) => values.iter().all(Value::is_string),
            (Self::Text | Self::Texts, _) => false,
        }
    }
}

fn object(bytes: &[u8]) -> Result<Map<String, Value>, OAuthError> {
    match json::parse(bytes, DOCUMENT) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) | Err(_) => Err(OAuthError::new(
            ErrorCode::InvalidClientMetadata,
            "the metadata must be one JSON object of at most 5 KiB",
        )),
    }
}

fn texts(value: Option<&Value>) -> Option<Vec<&str>> {
    let values = value?.as_array()?;
    Some(values.iter().filter_map(Value::as_str).collect())
}

fn redirect_uris(texts: &[&str]) -> Result<Vec<RedirectUri>, OAuthError> {
    let refuse = |description| OAuthError::new(ErrorCode::InvalidRedirectUri, description);
    if texts.is_empty() || texts.len() > MOST_REDIRECT_URIS {
        return Err(refuse("a client has 1 to 10 redirect URIs"));
    }
    let parse = |text: &&str| {
        RedirectUri::parse_of_client(text).map_err(|_| {
            refuse("a redirect URI is neither https, nor http on this machine, nor of a private scheme")
        })
    };
    texts.iter().map(parse).collect()
}

/// The name as it may be shown: letters, digits and few signs of ASCII, no more than fit a line. A letter of another
/// script may look like one of ASCII, so where both are mixed in one name nothing is left of it (REG-03).
fn shown_name(claimed: &str) -> Option<String> {
    if claimed.chars().count() > LONGEST_NAME_READ {
        return None;
    }
    let letters: Vec<char> = claimed
        .chars()
        .filter(|letter| letter.is_alphabetic())
        .collect();
    let is_latin = |letter: &char| letter.is_ascii() || ('\u{c0}'..='\u{24f}').contains(letter);
    if letters.iter().any(is_latin) && !letters.iter().all(is_latin) {
        return None;
    }
    let is_shown = |letter: char| letter.is_alphanumeric() || " .-_+&'".contains(letter);
    let kept: String = claimed
        .chars()
        .map(|letter| if is_shown(letter) { letter } else { ' ' })
        .collect();
    let words: Vec<&str> = kept.split(' ').filter(|word| !word.is_empty()).collect();
    let name: String = words.join(" ").chars().take(LONGEST_NAME).collect();
    let name = name.trim_end().to_owned();
    (!name.is_empty()).then_some(name)
}

/// The text is no URL that a client may be known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a client is known by an https URL with a path, as a URL parser prints it, without user, query and fragment"
)]
pub struct InvalidClientUrl;

/// Checks the URL that a client is known by; `http` on this machine only where `is_development` says that we are
/// there ourselves. URLs are compared as texts, so one that a parser would print differently is refused.
pub fn client_url(text: &str, is_development: bool) -> Result<url::Url, InvalidClientUrl> {
    let url = url::Url::parse(text).map_err(|_| InvalidClientUrl)?;
    let has_user = !url.username().is_empty() || url.password().is_some();
    let is_protected = match url.scheme() {
        "https" => url.has_host(),
        "http" => is_development && origin::is_loopback(&url),
        _ => false,
    };
    let is_plain =
        url.as_str() == text && !has_user && url.query().is_none() && url.fragment().is_none();
    // The URL of a whole site is nobody's in particular.
    if is_protected && is_plain && url.path() != "/" && text.len() <= LONGEST_URL {
        Ok(url)
    } else {
        Err(InvalidClientUrl)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const URL: &str = "https://app.example/client.json";

    fn document(change: impl FnOnce(&mut Value)) -> Result<ClientMetadata, ErrorCode> {
        let mut document = json!({
            "client_id": URL, "client_name": "An editor", "redirect_uris": ["http://127.0.0.1/cb"],
            "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
            "token_endpoint_auth_method": "none", "application_type": "native", "client_uri": "https://app.example",
        });
        change(&mut document);
        let bytes = document.to_string();
        ClientMetadata::of_document(bytes.as_bytes(), URL).map_err(|error| error.code)
    }

    #[test]
    fn reg_01_document_is_about_exactly_the_url_that_it_was_found_at() {
        assert!(document(|_| {}).is_ok());
        for other in [
            json!("https://other.example/client.json"),
            json!("https://app.example:443/client.json"),
            json!("https://app.example/client.json/"),
            json!("https://APP.example/client.json"),
            json!("https://app.example/Client.json"),
            json!([URL]),
            Value::Null,
        ] {
            let refused = document(|document| document["client_id"] = other.clone());
            assert_eq!(refused, Err(ErrorCode::InvalidClientMetadata), "{other}");
        }
        let missing = document(|document| {
            document
                .as_object_mut()
                .expect("an object")
                .remove("client_id");
        });
        assert_eq!(missing, Err(ErrorCode::InvalidClientMetadata));
    }

    #[test]
    fn reg_05_members_that_would_give_something_are_refused_and_not_ignored() {
        for (name, value) in [
            ("service_account", json!(true)),
            ("roles", json!(["administrator"])),
            ("tenant", json!("other")),
            ("trusted", json!(true)),
            ("enabled", json!(true)),
            ("access_token_lifetime", json!(315_360_000)),
            ("protocol_mappers", json!([{"claim": "sub"}])),
            ("client_secret", json!("secret")),
            ("client_secret_expires_at", json!(0)),
            ("jwks", json!({"keys": []})),
            ("jwks_uri", json!("https://app.example/jwks")),
            ("token_endpoint_auth_method", json!("client_secret_basic")),
            ("token_endpoint_auth_method", json!("private_key_jwt")),
            ("grant_types", json!(["client_credentials"])),
            (
                "grant_types",
                json!(["authorization_code", "client_credentials"]),
            ),
            ("grant_types", json!(["authorization_code", "password"])),
            ("response_types", json!(["token"])),
            ("response_types", json!(["code", "token"])),
            ("contacts", json!("not a list")),
            ("client_name", json!({"en": "x"})),
            ("dpop_bound_access_tokens", json!("true")),
        ] {
            let refused = document(|document| document[name] = value.clone());
            assert_eq!(
                refused,
                Err(ErrorCode::InvalidClientMetadata),
                "{name}: {value}"
            );
        }
        let statement = document(|document| document["software_statement"] = json!("e30.e30."));
        assert_eq!(statement, Err(ErrorCode::InvalidSoftwareStatement));
        let translated = document(|document| document["client_name#ja"] = json!("エディタ"));
        assert!(translated.is_ok());
    }

    #[test]
    fn reg_06_few_redirect_uris_and_each_of_a_legal_kind() {
        let uris = |uris: Value| document(|document| document["redirect_uris"] = uris);
        let many = |count: usize| {
            (0..count)
                .map(|n| format!("https://app.example/{n}"))
                .collect::<Vec<_>>()
        };
        assert!(uris(json!(many(10))).is_ok());
        assert!(
            uris(json!([
                "http://localhost:1/cb",
                "http://[::1]/cb",
                "com.example.app:/cb"
            ]))
            .is_ok()
        );
        for bad in [
            json!(many(11)),
            json!([]),
            json!(["https://*.example/cb"]),
            json!(["http://app.example/cb"]),
            json!(["javascript:alert(1)"]),
            json!(["http://localhost.evil.example/cb"]),
        ] {
            assert_eq!(
                uris(bad.clone()),
                Err(ErrorCode::InvalidRedirectUri),
                "{bad}"
            );
        }
    }

    #[test]
    fn reg_03_name_is_short_and_cannot_pass_for_another() {
        let name = |name: &str| shown_name(name);
        assert_eq!(name("Claude Code"), Some("Claude Code".to_owned()));
        assert_eq!(name("Zoë's editor"), Some("Zoë's editor".to_owned()));
        assert_eq!(name("エディタ"), Some("エディタ".to_owned()));
        assert_eq!(name("G\u{43e}\u{43e}gle"), None);
        assert_eq!(
            name("Drive\u{202e} (verified) ✓"),
            Some("Drive verified".to_owned())
        );
        assert_eq!(name("<script>"), Some("script".to_owned()));
        assert_eq!(name("\u{200b}"), None);
        assert_eq!(
            name(&"x".repeat(500)).map(|name| name.len()),
            Some(LONGEST_NAME)
        );
        assert_eq!(name(&"x".repeat(5_000)), None);
    }

    #[test]
    fn reg_02_document_that_is_too_large_too_deep_or_no_json_is_refused() {
        let deep = format!(
            "{{\"client_id\":\"{URL}\",\"contacts\":{}{}}}",
            "[".repeat(10_000),
            "]".repeat(10_000)
        );
        let large = format!(
            "{{\"client_id\":\"{URL}\",\"client_uri\":\"{}\"}}",
            "x".repeat(6_000)
        );
        let bad: [&[u8]; 6] = [
            deep.as_bytes(),
            large.as_bytes(),
            b"<html>",
            b"\xff\xfe",
            b"",
            b"[]",
        ];
        for bytes in bad {
            assert!(ClientMetadata::of_document(bytes, URL).is_err());
        }
    }

    #[test]
    fn ssrf_01_client_is_known_by_one_spelling_of_a_protected_url() {
        for good in [URL, "https://app.example:8443/a/b"] {
            assert!(client_url(good, false).is_ok(), "{good}");
        }
        for bad in [
            "https://app.example",
            "https://app.example/",
            "http://app.example/c.json",
            "http://127.0.0.1:1/c.json",
            "https://app.example:443/c.json",
            "https://APP.example/c.json",
            "https://app.example/a/../c.json",
            "https://app.example/c.json?x=1",
            "https://app.example/c.json#x",
            "https://u@app.example/c.json",
            "https://2130706433/c.json",
            "https://0x7f.1/c.json",
            "HTTPS://app.example/c.json",
            "ftp://app.example/c.json",
            "file:///c.json",
            "cli_x",
        ] {
            assert!(client_url(bad, false).is_err(), "{bad}");
        }
        assert!(client_url("http://127.0.0.1:1/c.json", true).is_ok());
        assert!(client_url("http://localhost:1/c.json", true).is_ok());
        assert!(client_url("http://app.example/c.json", true).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _read = ClientMetadata::of_document(&bytes, URL);
        }

        #[test]
        fn no_name_that_is_shown_has_signs_of_markup(name in any::<String>()) {
            if let Some(name) = shown_name(&name) {
                let has_markup = name.contains(['<', '>', '"', '\u{202e}', '\u{200b}']);
                prop_assert!(!has_markup);
                prop_assert!(name.chars().count() <= LONGEST_NAME);
            }
        }
    }
}
