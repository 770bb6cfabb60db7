//! What a person sees of a device that waits for them: where its code is entered, whose it may be, and what came of it.
//!
//! Whoever asks on their own machine can send the code to somebody else (RFC 8628 5.4). Nothing here can tell; the person
//! can, so each page says it before anything can be agreed to.

use axum::http::StatusCode;
use axum::response::Response;
use chancery_wire::user_code::UserCode;

use crate::consent::enter;
use crate::consent::page::{Page, page};
use crate::html::{Sends, document, shown};

/// One answer for a code that never was, that ended, that was answered, and that of an agent that may not act.
pub(crate) const UNKNOWN_CODE: Page = page(
    "unknown_user_code",
    StatusCode::BAD_REQUEST,
    "No device waits with this code",
    "The code is not known, has ended, or was used. Look at the device, have it show a new code if it must, and enter that.",
);
/// The person, or all people, entered too many codes that were none.
pub(crate) const TOO_MANY_CODES: Page = page(
    "too_many_user_codes",
    StatusCode::TOO_MANY_REQUESTS,
    "Too many codes that were none",
    "Codes are not looked up for a while, right or wrong. Try again in ten minutes.",
);
/// The agent could not have what it asks for, whatever the person says.
pub(crate) const CANNOT: Page = page(
    "cannot_be_given",
    StatusCode::FORBIDDEN,
    "You cannot give this",
    "Policies do not let this agent act in your name there. Nothing was decided, and the device was told nothing.",
);
/// The person said yes.
pub(crate) const GIVEN: Page = page(
    "given",
    StatusCode::OK,
    "The agent may act in your name",
    "Go back to the device: it goes on by itself within a few seconds. You can take this back at any time, where you see \
     what acts in your name. You can close this page.",
);
/// The person said no.
pub(crate) const REFUSED: Page = page(
    "refused",
    StatusCode::OK,
    "The agent was given nothing",
    "The device is told that you said no. You can close this page.",
);

/// What a person must know before they answer about a device.
pub(crate) fn warning(code: &UserCode) -> String {
    format!(
        "<div class=\"notice warn\"><p>You entered the code <strong>{code}</strong>. Answer only if you began this \
         yourself, and the device in front of you shows this very code.</p><p>If somebody sent you the code or a link, in a \
         message, by mail or on the phone, say no: the agent on <em>their</em> machine would act in <em>your</em> \
         name.</p></div>"
    )
}

/// Where the code is entered; `code` stands there already when the link had it.
pub(crate) fn entry(person: &str, code: Option<&UserCode>) -> Response {
    let value = code.map(UserCode::to_string).unwrap_or_default();
    let body = format!(
        "<p>You are <strong>{}</strong>. An agent on a machine without a browser shows a code of eight letters, and waits \
         for you to enter it here.</p><div class=\"notice warn\"><p>Go on only if you began this yourself, and read the \
         code on the machine in front of you. A code that somebody sent you is for <em>their</em> agent.</p></div>\
         <form method=\"post\" action=\"{}\"><p><label for=\"user_code\">The code that the device shows</label> \
         <input id=\"user_code\" name=\"user_code\" value=\"{value}\" required maxlength=\"20\" autocomplete=\"off\" \
         autocapitalize=\"characters\" spellcheck=\"false\"></p>\
         <p class=\"answers\"><button class=\"primary\">Look at what it asks</button></p></form>",
        shown(person),
        enter::PATH,
    );
    document(
        StatusCode::OK,
        "Let an agent on a device act in your name",
        &body,
        Sends::Here,
    )
}
