//! The web console: static files, embedded. They are strangers to the authority and use its public API only.

use axum::extract::Path;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};

use crate::error::Error;

/// Only our own files and our own API; nothing inline, nothing framed.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

macro_rules! files {
    ($($name:literal: $content_type:literal),* $(,)?) => {
        &[$(($name, $content_type, include_bytes!(concat!("../../../console/", $name)))),*]
    };
}

/// Name, content type and content of every file.
const FILES: &[(&str, &str, &[u8])] = files! {
    "index.html": "text/html; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "agents.js": "text/javascript; charset=utf-8",
    "api.js": "text/javascript; charset=utf-8",
    "app.js": "text/javascript; charset=utf-8",
    "dom.js": "text/javascript; charset=utf-8",
    "overview.js": "text/javascript; charset=utf-8",
    "owners.js": "text/javascript; charset=utf-8",
    "passkey.js": "text/javascript; charset=utf-8",
    "policies.js": "text/javascript; charset=utf-8",
    "record.js": "text/javascript; charset=utf-8",
    "servers.js": "text/javascript; charset=utf-8",
    "sign-in.js": "text/javascript; charset=utf-8",
    "you.js": "text/javascript; charset=utf-8",
};

/// `GET /console`.
pub async fn enter() -> Redirect {
    Redirect::permanent("/console/")
}

/// `GET /console/`.
pub async fn index() -> Result<Response, Error> {
    serve("index.html")
}

/// `GET /console/{file}`.
pub async fn file(Path(name): Path<String>) -> Result<Response, Error> {
    serve(&name)
}

fn serve(name: &str) -> Result<Response, Error> {
    let found = FILES.iter().find(|(known, ..)| *known == name);
    let (_, content_type, content) = found.ok_or(Error::NotFound("page"))?;
    let mut response = (*content).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(POLICY),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn web_01_console_makes_no_markup_of_data_and_runs_nothing_that_is_not_a_file() {
        assert!(POLICY.starts_with("default-src 'none'; script-src 'self';"));
        for word in ["unsafe-", "data:", "blob:", "*"] {
            assert!(!POLICY.contains(word), "{word}");
        }
        let markup = [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "setHTML",
            "DOMParser",
            "createContextualFragment",
            "srcdoc",
            "eval(",
            "new Function",
            "javascript:",
        ];
        let mut looked_at = 0;
        for (name, _, content) in FILES {
            let text = String::from_utf8_lossy(content);
            for word in markup {
                assert!(!text.contains(word), "{name}: {word}");
            }
            if *name == "index.html" {
                assert!(!text.contains(" style=") && !text.contains(" on"), "{name}");
            }
            looked_at += 1;
        }
        assert!(looked_at > 10);
    }

    #[test]
    fn every_file_of_the_console_is_served() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../console");
        let there = std::fs::read_dir(folder).expect("the console's folder");
        let mut there: Vec<String> = there
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .filter(|name| name != "README.md")
            .collect();
        let mut served: Vec<&str> = FILES.iter().map(|(name, ..)| *name).collect();
        there.sort();
        served.sort_unstable();
        assert_eq!(served, there);
    }
}
