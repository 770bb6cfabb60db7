//! The one shell of the pages that we write, with the one policy of what a browser may do with them, and the one escaping.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chancery_wire::redirect_uri::RedirectUri;

/// Where the forms of a page lead.
#[derive(Clone, Copy)]
pub(crate) enum Sends<'a> {
    /// It has none.
    Nothing,
    /// To us.
    Here,
    /// To us, and from there to where the answer goes.
    There(&'a RedirectUri),
}

/// A whole page. Where it has a form, browsers hold the redirect that follows to `form-action` too, so the origin of
/// the answer is named there; and the form's own origin must be told to us, which `no-referrer` would suppress.
pub(crate) fn document(status: StatusCode, title: &str, body: &str, sends: Sends<'_>) -> Response {
    let targets = match sends {
        Sends::Nothing => "'none'".to_owned(),
        Sends::Here => "'self'".to_owned(),
        Sends::There(uri) => format!("'self' {}", uri.source()),
    };
    let policy = format!(
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action {targets}; \
         frame-ancestors 'none'"
    );
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>{title} · Chancery</title>\
         <link rel=\"stylesheet\" href=\"/console/style.css\"><link rel=\"icon\" href=\"/console/icon.svg\"></head>\
         <body><header class=\"top\"><span class=\"brand\"><img src=\"/console/icon.svg\" alt=\"\" width=\"26\" \
         height=\"26\">Chancery</span></header><main class=\"question\"><h1>{title}</h1>{body}</main></body></html>"
    );
    let mut response = (status, html).into_response();
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    match HeaderValue::from_str(&policy) {
        Ok(policy) => {
            headers.insert(header::CONTENT_SECURITY_POLICY, policy);
            response
        }
        // A page without its policy is not shown.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// A text of somebody else: escaped, whatever cannot be seen written out, and kept from turning what is beside it.
pub(crate) fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    out.push_str("<bdi>");
    for letter in text.chars() {
        if is_visible(letter) {
            out.push_str(&escaped(letter.encode_utf8(&mut [0; 4])));
        } else {
            let code = u32::from(letter);
            out.push_str(&format!(
                "<span class=\"invisible\" title=\"an invisible character\">U+{code:04X}</span>"
            ));
        }
    }
    out.push_str("</bdi>");
    out
}

/// Letters that are drawn as nothing.
const BLANK_LETTERS: [char; 6] = [
    '\u{115f}', '\u{1160}', '\u{17b4}', '\u{17b5}', '\u{3164}', '\u{ffa0}',
];

/// Whether a character is certainly seen. Signs that are none of ASCII are written out too, seen or not.
fn is_visible(letter: char) -> bool {
    letter == ' '
        || letter.is_ascii_graphic()
        || letter.is_alphanumeric() && !BLANK_LETTERS.contains(&letter)
}

/// The one escaping of these pages: the text can neither end an attribute nor begin a tag.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_of_others_stay_texts_and_hide_nothing() {
        assert_eq!(
            shown("<script>\"a\"&'b'"),
            "<bdi>&lt;script&gt;&quot;a&quot;&amp;&#39;b&#39;</bdi>"
        );
        let hidden = shown("a\u{202e}b\u{200b}c\u{3164}d\ne");
        for code in ["U+202E", "U+200B", "U+3164", "U+000A"] {
            assert!(hidden.contains(code), "{hidden}");
        }
        assert!(shown("Zoë 北京").contains("Zoë 北京"));
    }

    proptest! {
        #[test]
        fn no_text_ends_an_attribute_or_begins_a_tag(text in any::<String>()) {
            prop_assert!(!escaped(&text).contains(['<', '>', '"', '\'']));
        }
    }
}
