//! Where the answer of an authorization may be sent: what may be registered, and what is the same as what is.

use std::fmt;

use url::Url;

/// The longest redirect URI, in bytes.
const LONGEST: usize = 1_024;

/// The text is no redirect URI that may be registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a redirect URI is an https URL, an http URL of 127.0.0.1 or [::1], or of a private scheme with a dot such as \
     `com.example.app:/done`; as a URL parser prints it, without user, fragment and `*`"
)]
pub struct InvalidRedirectUri;

/// A redirect URI that was checked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RedirectUri(String);

/// What is before the port of a loopback URI.
const LOOPBACK: [&str; 3] = ["http://127.0.0.1", "http://[::1]", LOCALHOST];
/// A name, and no address: which of them it is, the machine of the person decides (RFC 8252 8.3).
const LOCALHOST: &str = "http://localhost";

impl RedirectUri {
    /// Checks a redirect URI. A text that a URL parser would print differently is refused, not changed, so that
    /// comparing texts is comparing where they lead (AUTHZ-01).
    pub fn parse(text: &str) -> Result<Self, InvalidRedirectUri> {
        let uri = Self::parse_of_client(text)?;
        match loopback(text) {
            Some((LOCALHOST, _)) => Err(InvalidRedirectUri),
            Some(_) | None => Ok(uri),
        }
    }

    /// The same for a client that nobody registered: common ones listen at `localhost` and say so. It is never the same
    /// as an address.
    pub fn parse_of_client(text: &str) -> Result<Self, InvalidRedirectUri> {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        if text.len() > LONGEST || !is_plain || text.contains(['*', '\\', '\'', '"', ';', ',']) {
            return Err(InvalidRedirectUri);
        }
        let url = Url::parse(text).map_err(|_| InvalidRedirectUri)?;
        let has_user = !url.username().is_empty() || url.password().is_some();
        if url.as_str() != text || has_user || url.fragment().is_some() {
            return Err(InvalidRedirectUri);
        }
        let is_legal = match url.scheme() {
            "https" => url.has_host(),
            "http" => loopback(text).is_some(),
            // RFC 8252 7.1: of a domain that its owner holds, with a path and without a host.
            scheme => scheme.contains('.') && !url.has_host() && url.path().starts_with('/'),
        };
        if is_legal {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidRedirectUri)
        }
    }

    /// Whether `asked` leads to where this was registered for: the same text, and for a loopback address
    /// whatever its port (RFC 8252 7.3).
    pub fn admits(&self, asked: &Self) -> bool {
        if self == asked {
            return true;
        }
        match (loopback(&self.0), loopback(&asked.0)) {
            (Some(own), Some(other)) => own == other,
            (Some(_) | None, _) => false,
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What a person is told of where it leads: its origin, or its private scheme.
    pub fn place(&self) -> &str {
        let (scheme, rest) = self.0.split_once(':').unwrap_or((&self.0, ""));
        match rest.strip_prefix("//") {
            Some(rest) => {
                let host = rest.find(['/', '?']).unwrap_or(rest.len());
                &self.0[..scheme.len() + 3 + host]
            }
            None => &self.0[..=scheme.len()],
        }
    }

    /// What a content security policy names it by: its origin, or its private scheme. An IPv6 address has no name in the
    /// grammar of such policies, so it is named by its scheme.
    pub fn source(&self) -> String {
        let (scheme, rest) = self.0.split_once(':').unwrap_or((&self.0, ""));
        match rest.strip_prefix("//") {
            Some(rest) => {
                let host = rest.split(['/', '?']).next().unwrap_or(rest);
                if host.starts_with('[') {
                    format!("{scheme}:")
                } else {
                    format!("{scheme}://{host}")
                }
            }
            None => format!("{scheme}:"),
        }
    }

    /// The URI with `parameters` behind those that it has.
    pub fn with(&self, parameters: &[(&str, &str)]) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(parameters);
        let separator = if self.0.contains('?') { '&' } else { '?' };
        format!("{}{separator}{}", self.0, query.finish())
    }
}

impl fmt::Display for RedirectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The address and the path of a loopback URI, without its port.
fn loopback(text: &str) -> Option<(&str, &str)> {
    LOOPBACK.iter().find_map(|address| {
        let rest = text.strip_prefix(address)?;
        let path = match rest.strip_prefix(':') {
            Some(port) => port.trim_start_matches(|digit: char| digit.is_ascii_digit()),
            None => rest,
        };
        path.starts_with('/').then_some((*address, path))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> RedirectUri {
        RedirectUri::parse(text).unwrap_or_else(|_| panic!("{text}"))
    }

    #[test]
    fn authz_02_only_exact_redirect_uris_may_be_registered() {
        for good in [
            "https://app.example/cb",
            "https://app.example:8443/cb?tenant=1",
            "http://127.0.0.1/cb",
            "http://127.0.0.1:8976/cb",
            "http://[::1]:8976/",
            "com.example.app:/oauth/done",
        ] {
            uri(good);
        }
        for bad in [
            "",
            "app.example/cb",
            "https://*.example/cb",
            "https://app.example/*",
            "https://app.example",
            "https://APP.example/cb",
            "https://app.example:443/cb",
            "https://app.example/cb#f",
            "https://app.example/cb#",
            "https://u@app.example/cb",
            "https://app.example/a/../cb",
            "https://app.example/c b",
            "http://app.example/cb",
            "http://localhost/cb",
            "http://localhost:1/cb",
            "http://127.0.0.1.evil.example/cb",
            "http://127.0.0.1@evil.example/cb",
            "http://127.0.0.2/cb",
            "http://127.1/cb",
            "http://0.0.0.0/cb",
            "javascript:alert(1)",
            "data:text/html,x",
            "myapp:/cb",
            "com.example.app://host/cb",
            "com.example.app:cb",
            "file:///etc/passwd",
        ] {
            assert_eq!(RedirectUri::parse(bad), Err(InvalidRedirectUri), "{bad}");
        }
    }

    #[test]
    fn authz_01_redirect_uris_are_compared_exactly() {
        let registered = uri("https://app.example/cb");
        assert!(registered.admits(&uri("https://app.example/cb")));
        for other in [
            "https://app.example/cb/",
            "https://app.example/cb?x=1",
            "https://app.example//cb",
            "https://app.example/cb/..;/evil",
            "https://app.example/cb%2f..%2fevil",
            "https://app.example:8443/cb",
            "https://appxexample/cb",
            "https://app.example.attacker.example/cb",
        ] {
            let admitted = RedirectUri::parse(other).is_ok_and(|other| registered.admits(&other));
            assert!(!admitted, "{other}");
        }
    }

    #[test]
    fn loopback_address_is_the_same_at_every_port() {
        let registered = uri("http://127.0.0.1/cb");
        assert!(registered.admits(&uri("http://127.0.0.1:49152/cb")));
        assert!(uri("http://127.0.0.1:1/cb").admits(&uri("http://127.0.0.1:2/cb")));
        for other in [
            "http://127.0.0.1:49152/cb2",
            "http://[::1]:49152/cb",
            "https://127.0.0.1/cb",
        ] {
            assert!(!registered.admits(&uri(other)), "{other}");
        }
    }

    #[test]
    fn localhost_is_for_clients_alone_and_is_no_address() {
        let of_client = |text: &str| RedirectUri::parse_of_client(text).expect(text);
        let registered = of_client("http://localhost:3000/cb");
        assert!(registered.admits(&of_client("http://localhost:3000/cb")));
        assert!(registered.admits(&of_client("http://localhost:49152/cb")));
        for other in [
            "http://localhost:3000/cb2",
            "http://localhost:3000/cb/",
            "http://127.0.0.1:3000/cb",
            "http://[::1]:3000/cb",
            "https://localhost:3000/cb",
        ] {
            assert!(!registered.admits(&of_client(other)), "{other}");
            assert!(!of_client(other).admits(&registered), "{other}");
        }
        for bad in [
            "http://localhost.evil.example/cb",
            "http://localhost@evil.example/cb",
            "http://LOCALHOST/cb",
        ] {
            assert_eq!(
                RedirectUri::parse_of_client(bad),
                Err(InvalidRedirectUri),
                "{bad}"
            );
        }
        assert_eq!(
            RedirectUri::parse("http://localhost:3000/cb"),
            Err(InvalidRedirectUri)
        );
    }

    #[test]
    fn parameters_come_behind_those_that_were_registered() {
        assert_eq!(
            uri("https://app.example/cb?a=1")
                .with(&[("code", "x y"), ("iss", "https://id.example")]),
            "https://app.example/cb?a=1&code=x+y&iss=https%3A%2F%2Fid.example"
        );
        assert_eq!(
            uri("com.example.app:/cb").with(&[("code", "x")]),
            "com.example.app:/cb?code=x"
        );
    }

    #[test]
    fn source_names_no_more_than_where_the_answer_goes() {
        assert_eq!(
            uri("https://app.example:8443/cb?a=1").source(),
            "https://app.example:8443"
        );
        assert_eq!(uri("http://[::1]:7/cb").source(), "http:");
        assert_eq!(uri("com.example.app:/cb").source(), "com.example.app:");
        assert_eq!(uri("com.example.app:/cb").place(), "com.example.app:");
        assert_eq!(uri("http://[::1]:7/cb").place(), "http://[::1]:7");
        assert_eq!(
            uri("https://app.example:8443/cb?a=1").place(),
            "https://app.example:8443"
        );
    }
}
