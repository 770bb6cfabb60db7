//! The pages that a person sees: plain HTML without a script, in which texts of others stay texts.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::error::{Error, ToRecord};
use crate::html::{Sends, document, escaped, shown};
use crate::state::Authority;

/// A page that says one thing.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    /// The stable code of the record.
    pub(crate) code: &'static str,
    status: StatusCode,
    title: &'static str,
    /// One paragraph of ours.
    text: &'static str,
    /// Where to go on, with what the links say.
    links: Vec<(String, String)>,
}

pub(crate) const fn page(
    code: &'static str,
    status: StatusCode,
    title: &'static str,
    text: &'static str,
) -> Page {
    Page {
        code,
        status,
        title,
        text,
        links: Vec::new(),
    }
}

/// One answer for a client that is unknown, a request that never was, has ended or is another client's, and a
/// redirect URI that is not registered: whoever sent the browser here is told nothing (AUTHZ-03).
pub(crate) const UNKNOWN: Page = page(
    "invalid_request_uri",
    StatusCode::BAD_REQUEST,
    "There is nothing to decide here",
    "The request is not known, has ended, or is not one that its client may make. Nothing was sent anywhere. Go back \
     to where you came from and begin again.",
);
/// The request has its answer.
pub(crate) const ANSWERED: Page = page(
    "answered",
    StatusCode::CONFLICT,
    "This was answered already",
    "A request is answered once. If that was not you, look at what acts in your name, and take it back.",
);
/// The caller is nobody.
pub(crate) const NOBODY: Page = page(
    "not_a_person",
    StatusCode::FORBIDDEN,
    "Only a person can decide this",
    "The local administrator is not a person in whose name an agent could act. Sign in as yourself.",
);
/// The login may be in somebody else's hands.
pub(crate) const OTHER_HANDS: Page = page(
    "login_of_other_hands",
    StatusCode::FORBIDDEN,
    "Only you can decide this",
    "Somebody else had this login made, and may have it too. Sign in with your own passkey.",
);
/// The person has given the agent as much as is kept.
pub(crate) const TOO_MANY: Page = page(
    "too_many_grants",
    StatusCode::CONFLICT,
    "You have given this agent a hundred grants",
    "Nothing was decided. Take back what you no longer need, and begin again.",
);
/// The form is not from the page that this person was shown.
pub(crate) const STRANGE_FORM: Page = page(
    "strange_form",
    StatusCode::FORBIDDEN,
    "This answer does not belong to the question",
    "The page is from another sign-in, or the agent changed since it was shown. Nothing was decided. Open the page \
     again and read it once more.",
);
/// One answer for a client that is not known: no document at its URL, one that is not acceptable, a URL that is none, or
/// an id that was never given or has ended. Which, nobody is told (SSRF-04).
pub(crate) const UNKNOWN_CLIENT: Page = page(
    "unknown_client",
    StatusCode::BAD_REQUEST,
    "This client cannot be recognised",
    "There is no acceptable description of the client where it says that there is one, or it never registered itself \
     here. Nothing was sent anywhere.",
);
/// Nothing was ticked.
pub(crate) const NO_TOOLS: Page = page(
    "no_tools",
    StatusCode::BAD_REQUEST,
    "Choose at least one tool",
    "A client that may call nothing needs nobody's consent. Nothing was decided. Go back and choose.",
);
/// The person has let as many clients become agents as there may be.
pub(crate) const TOO_MANY_CLIENTS: Page = page(
    "too_many_clients",
    StatusCode::CONFLICT,
    "You have fifty clients already",
    "Nothing was decided. Have those retired that you no longer use, and begin again.",
);
/// The agent that the client is was stopped.
pub(crate) const STOPPED: Page = page(
    "principal_inactive",
    StatusCode::FORBIDDEN,
    "This client was stopped",
    "The agent that this client is for you was stopped, and only somebody who may resume it lets it act again. Nothing \
     was sent anywhere.",
);
/// A client asks that the person sign out.
pub(crate) const SIGN_OUT: &str = "Do you want to sign out?";
/// The person signed out.
pub(crate) const SIGNED_OUT_NOW: Page = page(
    "signed_out",
    StatusCode::OK,
    "You are signed out",
    "What you let agents do in your name goes on until you take it back.",
);
/// The sign-in ended between the question and the answer.
pub(crate) const SIGNED_OUT: Page = page(
    "unauthenticated",
    StatusCode::UNAUTHORIZED,
    "You are no longer signed in",
    "Nothing was decided. Sign in, and begin again where you came from.",
);

/// Where people sign in, and the ways in which they can.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    origin: String,
    /// Providers, by name.
    providers: Vec<String>,
}

impl Door {
    /// The door of this authority.
    pub(crate) fn of(authority: &Authority) -> Self {
        Self {
            origin: authority.relying_party.origin().to_owned(),
            providers: authority
                .directory
                .load()
                .providers
                .keys()
                .cloned()
                .collect(),
        }
    }

    /// The links by which a person signs in and comes back to `question`, a path of ours; anew when that is needed.
    fn links(&self, question: &str, is_anew: bool) -> Vec<(String, String)> {
        let origin = &self.origin;
        let back: String = url::form_urlencoded::byte_serialize(question.as_bytes()).collect();
        let anew = if is_anew { "&fresh=yes" } else { "" };
        let mut links = vec![(
            format!("{origin}/console/?return={back}"),
            "Sign in".to_owned(),
        )];
        links.extend(self.providers.iter().map(|name| {
            let href = format!("{origin}/sign-in/providers/{name}?next={back}{anew}");
            (href, format!("Sign in with {name}"))
        }));
        // A session does not come along with a link of somebody else, only with one of ours.
        links.push((
            format!("{origin}{question}"),
            "I am signed in already".to_owned(),
        ));
        links
    }
}

/// Where a person signs in first.
pub(crate) fn sign_in(door: &Door, client: &str, uri: &str, is_anew: bool) -> Page {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("client_id", client);
    query.append_pair("request_uri", uri);
    sign_in_to(door, &query.finish(), is_anew)
}

/// The same for a request that is all in `query`.
pub(crate) fn sign_in_to(door: &Door, query: &str, is_anew: bool) -> Page {
    sign_in_at(door, &format!("/oauth/authorize?{query}"), is_anew)
}

/// The same for the question at a path of ours.
pub(crate) fn sign_in_at(door: &Door, question: &str, is_anew: bool) -> Page {
    Page {
        code: "login_required",
        // Nothing was refused: some clients look at the page before they open it for their person.
        status: StatusCode::OK,
        title: "Sign in first",
        text: "An agent asks to act in your name. Who you are must be known before you decide.",
        links: door.links(question, is_anew),
    }
}

/// Where a person signs out, when that is not where they came to.
pub(crate) fn sign_out_at(link: &str) -> Page {
    Page {
        code: "sign_out_elsewhere",
        status: StatusCode::OK,
        title: SIGN_OUT,
        text: "You are signed in at another address of this machine. If you did not ask for this, close the page.",
        links: vec![(link.to_owned(), "Go on".to_owned())],
    }
}

/// What a failure of ours is told as; a refusal by policy is recorded like any other.
pub(crate) fn of(error: Error) -> Response {
    match error {
        Error::Denied { reason, event } => {
            let text = "Policy does not let you decide this:";
            let body = format!("<p>{text} {}.</p>", shown(&reason));
            let title = "You may not decide this";
            let mut response = document(StatusCode::FORBIDDEN, title, &body, Sends::Nothing);
            if let Some(event) = event {
                response.extensions_mut().insert(ToRecord(event));
            }
            response
        }
        error => {
            // What was being written when it failed may be there.
            let may_be_decided = matches!(error, Error::Unproven | Error::Unavailable);
            let status = error.into_response().status();
            let body = match may_be_decided {
                true => {
                    "<p>Try again in a moment. If you had answered already, look first at what acts in your name.</p>"
                }
                false => "<p>Nothing was decided. Try again in a moment.</p>",
            };
            document(status, "That did not work", body, Sends::Nothing)
        }
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let mut body = format!("<p>{}</p>", self.text);
        for (href, says) in &self.links {
            let href = escaped(href);
            body.push_str(&format!("<p><a href=\"{href}\">{says}</a></p>"));
        }
        let mut response = document(self.status, self.title, &body, Sends::Nothing);
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
