//! Addresses: which URLs a credential may be sent to, and how paths are put together.

use chancery_wire::origin;
use url::Url;

use crate::error::ClientError;

/// Parses the base URL of an authority: `https`, or `http` on the loopback interface only.
pub fn parse(text: &str) -> Result<Url, ClientError> {
    let bad = |why| ClientError::BadAddress {
        url: text.to_owned(),
        why,
    };
    let url = Url::parse(text).map_err(|_| bad("it is not an absolute URL"))?;
    if !url.username().is_empty() || url.password().is_some() {
        // Never echoed: what stands there is a secret.
        return Err(ClientError::BadAddress {
            url: "the address".to_owned(),
            why: "a URL must not carry a user name or password",
        });
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if origin::is_loopback(&url) => Ok(url),
        "http" => Err(bad("plain HTTP is for the loopback interface only")),
        _ => Err(bad("its scheme is neither `https` nor `http`")),
    }
}

/// `base` with `segments` after its path, each encoded so that it stays one segment.
pub(crate) fn join(base: &Url, segments: &[&str]) -> Result<Url, ClientError> {
    let mut url = base.clone();
    url.set_query(None);
    url.set_fragment(None);
    if let Some(illegal) = segments
        .iter()
        .find(|segment| matches!(**segment, "" | "." | ".."))
    {
        return Err(ClientError::BadName((*illegal).to_owned()));
    }
    match url.path_segments_mut() {
        Ok(mut path) => {
            path.pop_if_empty().extend(segments);
        }
        Err(()) => {
            return Err(ClientError::BadAddress {
                url: base.to_string(),
                why: "it has no path",
            });
        }
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_stays_on_this_machine() {
        for good in [
            "https://id.example.com",
            "http://127.0.0.1:7420",
            "http://[::1]:7420",
            "http://localhost:7420/",
        ] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in [
            "http://id.example.com",
            "http://10.0.0.1",
            "http://127.0.0.1.example.com",
            "ftp://127.0.0.1",
            "127.0.0.1:7420",
            "",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        let secret = parse("https://alice:hunter2@id.example.com").expect_err("refused");
        assert!(!secret.to_string().contains("hunter2"));
    }

    #[test]
    fn a_name_stays_one_segment() {
        let base = parse("https://id.example.com/prefix/").expect("a URL");
        let joined = |segment| join(&base, &["v1", "agents", segment]).map(String::from);
        assert_eq!(
            joined("a/../b?c#d").expect("joined"),
            "https://id.example.com/prefix/v1/agents/a%2F..%2Fb%3Fc%23d"
        );
        for bad in ["", ".", ".."] {
            assert!(joined(bad).is_err(), "{bad}");
        }
    }
}
