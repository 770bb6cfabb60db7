//! What a person sees who comes back from a provider.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use url::form_urlencoded;

use crate::cookie;
use crate::error::{Error, NotSignedIn};
use crate::html::{Sends, document, escaped, shown};

/// There is no such provider.
pub(crate) fn unknown() -> Response {
    let body = "<p>Nobody signs in that way here. Go back, and choose another.</p>";
    document(
        StatusCode::NOT_FOUND,
        "There is no such provider",
        body,
        Sends::Nothing,
    )
}

/// No page of ours led here, but another, a bookmark or the address itself: the person says whether they want to sign in this way.
pub(crate) fn ask(name: &str, next: Option<&str>, is_fresh: bool) -> Response {
    let mut query = form_urlencoded::Serializer::new(String::new());
    if let Some(next) = next {
        query.append_pair("next", next);
    }
    if is_fresh {
        query.append_pair("fresh", "yes");
    }
    let here = format!("/sign-in/providers/{name}?{}", query.finish());
    let body = format!(
        "<p>If you go on, you are signed in in this browser as whoever you are at <strong>{}</strong>, \
         and whoever was signed in before is signed out.</p><p><a href=\"{}\">Sign in with {}</a></p>",
        shown(name),
        escaped(&here),
        shown(name)
    );
    document(StatusCode::OK, "Sign in", &body, Sends::Nothing)
}

/// The provider cannot be asked, whatever the reason is.
pub(crate) fn unavailable() -> Response {
    let body = "<p>The provider gave no answer that could be used. Nobody was signed in. Try again in a moment, or sign \
                in another way.</p>";
    document(
        StatusCode::SERVICE_UNAVAILABLE,
        "The provider does not answer",
        body,
        Sends::Nothing,
    )
}

/// Nobody was signed in. Why, the record is told; the person learns what they can do about it.
pub(crate) fn refused(code: &'static str, subject: Option<&str>) -> Response {
    let body = match subject {
        // The person proved to be who the provider says, so this tells nobody else's name.
        Some(subject) => format!(
            "<p>Nobody here is known by what the provider calls you. If you should be, give this to an administrator, or \
             sign in with your passkey and link the provider yourself.</p><dl><div><dt>It calls you</dt><dd>{}</dd></div></dl>",
            shown(subject)
        ),
        None => "<p>Nobody was signed in, and nothing was changed. Go back to where you came from and begin again; if that \
                 does not help, ask an administrator, whose record says why.</p>"
            .to_owned(),
    };
    let mut response = document(
        StatusCode::FORBIDDEN,
        "You are not signed in",
        &body,
        Sends::Nothing,
    );
    let headers = response.headers_mut();
    headers.append(header::SET_COOKIE, cookie::clear_attempt());
    response.extensions_mut().insert(NotSignedIn {
        code,
        passkey: None,
    });
    response
}

/// What a failure of ours is told as.
pub(crate) fn failed(error: Error) -> Response {
    match error {
        Error::SignInRefused(why) => refused(why.code, None),
        error => {
            let status = error.into_response().status();
            let body = "<p>Nobody was signed in. Try again in a moment.</p>";
            document(status, "That did not work", body, Sends::Nothing)
        }
    }
}

/// Somebody is signed in who came from a page of ours: they see as whom, and go on by themselves. A link of anybody may
/// have brought them here, and a page that needs the session does not get it along with an answer from elsewhere.
pub(crate) fn signed_in(person: &str, next: &str) -> Response {
    let body = format!(
        "<p>You are <strong>{}</strong>.</p><p><a href=\"{}\">Go on</a></p>",
        shown(person),
        escaped(next)
    );
    document(StatusCode::OK, "You are signed in", &body, Sends::Nothing)
}

/// Somebody may sign in with the provider from now on.
pub(crate) fn linked(person: &str) -> Response {
    let body = format!(
        "<p>From now on the provider signs you in as <strong>{}</strong>.</p>\
         <p><a href=\"/console/#/you\">Back to your sign-in</a></p>",
        shown(person)
    );
    document(
        StatusCode::OK,
        "The provider is linked",
        &body,
        Sends::Nothing,
    )
}

/// Sends the browser on.
pub(crate) fn go(location: &str) -> Option<Response> {
    let location = HeaderValue::from_str(location).ok()?;
    Some((StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response())
}
