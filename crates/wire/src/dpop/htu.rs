//! Whether `htu` names the URL of a request (RFC 9449 4.3, DPOP-04).
//!
//! Only what RFC 3986 6.2.2.1 and 6.2.3 make equal is equal: letter case of scheme and host, the
//! default port, an absent path and `/`. A URL library would do more (it drops tabs, turns
//! backslashes, resolves dots), and what it made equal, the server behind us might not.

/// The parts of an http or https URL, without query and fragment.
struct Parts<'a> {
    secure: bool,
    host: &'a str,
    port: u16,
    path: &'a str,
}

/// Whether two URLs are the same, query and fragment aside.
pub(super) fn same(left: &str, right: &str) -> bool {
    let (Some(left), Some(right)) = (parts(left), parts(right)) else {
        return false;
    };
    left.secure == right.secure
        && left.host.eq_ignore_ascii_case(right.host)
        && left.port == right.port
        && left.path == right.path
}

fn parts(url: &str) -> Option<Parts<'_>> {
    if !url
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    {
        return None;
    }
    let (scheme, rest) = url.split_once("://")?;
    let secure = scheme.eq_ignore_ascii_case("https");
    if !secure && !scheme.eq_ignore_ascii_case("http") {
        return None;
    }
    let rest = &rest[..rest.find(['?', '#']).unwrap_or(rest.len())];
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    // Nobody's name belongs into the URL of a request.
    if authority.contains('@') {
        return None;
    }
    let default = if secure { 443 } else { 80 };
    // The colons of an IPv6 address stand before its closing bracket.
    let after_address = authority.rfind(']').map_or(0, |place| place + 1);
    let (host, port) = match authority[after_address..].find(':') {
        None => (authority, default),
        Some(place) => {
            let (host, port) = authority.split_at(after_address + place);
            match &port[1..] {
                "" => (host, default),
                digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                    (host, digits.parse().ok()?)
                }
                _ => return None,
            }
        }
    };
    if host.is_empty() {
        return None;
    }
    let path = if path.is_empty() { "/" } else { path };
    Some(Parts {
        secure,
        host,
        port,
        path,
    })
}

#[cfg(test)]
mod tests {
    use super::same;

    #[test]
    fn dpop_04_only_case_of_host_default_port_query_and_fragment_do_not_count() {
        let url = "https://h.example/r";
        for equal in [
            "https://h.example/r",
            "HTTPS://H.Example:443/r",
            "https://h.example:/r",
            "https://h.example/r?a=1",
            "https://h.example/r#f",
            "https://h.example:0443/r",
        ] {
            assert!(same(equal, url), "{equal}");
        }
        for other in [
            "http://h.example/r",
            "https://h.example/r/",
            "https://h.example/R",
            "https://h.example/%72",
            "https://h.example/a/../r",
            "https://h.example/./r",
            "https://h.example//r",
            "https://h.example:8443/r",
            "https://h.example:443x/r",
            "https://h.example.evil.example/r",
            "https://u@h.example/r",
            "https://h.example@evil.example/r",
            "https://evil.example/r?https://h.example/r",
            "https:\\\\h.example\\r",
            "https://h.example/r ",
            "https://h.exa\tmple/r",
            "//h.example/r",
            "h.example/r",
            "https:///r",
            "",
        ] {
            assert!(!same(other, url), "{other}");
        }
        assert!(!same("https://h.example/a%2Fb", "https://h.example/a/b"));
        assert!(same("https://h.example", "https://h.example/"));
        assert!(same("http://[::1]:80/r", "http://[::1]/r"));
        assert!(!same("http://[::1]:8080/r", "http://[::1]/r"));
        assert!(!same("", ""));
    }
}
