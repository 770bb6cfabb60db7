//! Origins: what an issuer is, and which URLs mean this very machine.

use url::{Host, Url};

/// The text is not the origin of an authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected an origin such as `https://id.example.com`, in lower case and without a path, a user or a default port; \
     `http` is for `localhost` and loopback addresses"
)]
pub struct NotAnOrigin;

/// Parses an issuer: an origin over `https`, or over `http` on this machine.
///
/// Issuers are compared as texts (RFC 8414 §3.3, RFC 9207 §2.4), so there is one way to write each.
pub fn parse_issuer(text: &str) -> Result<Url, NotAnOrigin> {
    let url = Url::parse(text).map_err(|_| NotAnOrigin)?;
    let is_protected = match url.scheme() {
        "https" => true,
        "http" => is_loopback(&url),
        _ => false,
    };
    if is_protected && url.origin().ascii_serialization() == text {
        Ok(url)
    } else {
        Err(NotAnOrigin)
    }
}

/// Whether what is sent to `url` stays on this machine.
pub fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(names_loopback)
}

/// The host of a URL, without its port.
pub fn host_of(url: &str) -> Option<String> {
    Some(Url::parse(url).ok()?.host_str()?.to_owned())
}

/// Whether the host of a URL is written as this machine: `localhost` or a loopback address.
///
/// Names under `localhost` are not among them: not every resolver keeps those here (RFC 6761 §6.3).
pub fn names_loopback(host: &str) -> bool {
    match Host::parse(host) {
        Ok(Host::Domain(name)) => name == "localhost",
        Ok(Host::Ipv4(address)) => address.is_loopback(),
        Ok(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_looks_like_this_machine_is_another() {
        let stays = |text: &str| is_loopback(&Url::parse(text).expect(text));
        for ours in [
            "http://127.0.0.1",
            "http://127.0.0.1:7420/v1",
            "http://127.9.9.9",
            "http://127.1",
            "http://0x7f.1",
            "http://localhost:80",
            "http://LOCALHOST:7420",
            "http://[::1]",
            "http://[0:0::1]:7420",
            "http://[::ffff:127.0.0.1]",
            "https://evil.example@localhost",
        ] {
            assert!(stays(ours), "{ours}");
        }
        for other in [
            "http://127.0.0.1.evil.example",
            "http://127.0.0.1@evil.example",
            "http://127.0.0.1:80@evil.example",
            "http://localhost@evil.example",
            "http://localhost.evil.example",
            "http://localhost.",
            "http://evil.localhost",
            "http://evil.example/127.0.0.1",
            "http://evil.example#@127.0.0.1",
            "http://128.0.0.1",
            "http://10.0.0.1",
            "http://0.0.0.0",
            "http://[::]",
            "http://[::2]",
            "http://[::ffff:10.0.0.1]",
            "file:///localhost",
            "data:localhost",
        ] {
            assert!(!stays(other), "{other}");
        }
    }

    #[test]
    fn issuer_is_an_origin_written_in_its_one_way() {
        for good in [
            "https://id.example.com",
            "https://id.example.com:8443",
            "https://localhost",
            "http://localhost:7420",
            "http://127.0.0.1:7420",
            "http://127.0.0.1",
            "http://[::1]:7420",
        ] {
            assert!(parse_issuer(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "https://",
            "id.example.com",
            "http://id.example.com",
            "http://127.0.0.1.evil.example",
            "http://127.0.0.1@evil.example",
            "http://127.0.0.1:7420@evil.example",
            "http://evil.localhost",
            "http://10.0.0.1",
            "ftp://127.0.0.1",
            "https://alice@id.example.com",
            "https://id.example.com/",
            "https://id.example.com/tenant",
            "https://id.example.com?x",
            "https://id.example.com#x",
            "https://id.example.com ",
            "https://id.example.com:443",
            "https://ID.example.com",
            "http://LOCALHOST:7420",
            "http://localhost:80",
            "http://127.1:7420",
            "http://[0::1]:7420",
        ] {
            assert_eq!(parse_issuer(bad), Err(NotAnOrigin), "{bad}");
        }
    }
}
