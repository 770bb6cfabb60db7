//! The pages that a person sees: plain HTML without a script, in which texts of others stay texts.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chancery_model::scope::Scope;
use chancery_model::time::Timestamp;
use chancery_model::tool_call::{Scalar, ToolCall, ToolCalls};
use chancery_wire::id_token::{EMAIL, OPENID, PROFILE, SCOPES};
use chancery_wire::redirect_uri::RedirectUri;
use chancery_wire::user_code::UserCode;

use crate::consent::device_page;
use crate::error::{Error, ToRecord};
use crate::state::Authority;
use crate::text::rfc3339;

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

/// What a person is asked.
pub(crate) struct Question<'a> {
    /// Who is asked.
    pub person: &'a str,
    /// The name of the agent.
    pub agent: &'a str,
    pub agent_id: &'a str,
    /// What its document says of it.
    pub description: &'a str,
    /// Who answers for it.
    pub owner: &'a str,
    /// Its version in force.
    pub version: &'a str,
    /// The model that it declares.
    pub model: Option<&'a str>,
    /// What it would reach.
    pub resource: &'a str,
    /// The tools that its document lets it call there, when that is known here.
    pub tools: Option<Vec<String>>,
    /// Whether its document lets it call all tools there, also those that come later.
    pub takes_later_tools: bool,
    /// What it asks for.
    pub scope: &'a Scope,
    /// The tool calls that it would be limited to.
    pub calls: Option<&'a ToolCalls>,
    /// Until when it could act.
    pub until: Timestamp,
    /// How long one token lives.
    pub token_lifetime: Duration,
    /// Where the answer goes.
    pub place: Place<'a>,
    /// Whether what it gets is bound to its key.
    pub is_bound: bool,
    /// Whether it asks for nothing but who the person is.
    pub is_sign_in: bool,
    /// The name of the request, and the proof that the answer is to this page.
    pub name: &'a str,
    pub form: &'a str,
}

/// Where an answer goes, as a person is told.
#[derive(Clone, Copy)]
pub(crate) enum Place<'a> {
    /// With their browser.
    Redirect(&'a RedirectUri),
    /// To the device that shows the code that they entered.
    Device(&'a UserCode),
}

impl Question<'_> {
    /// The page with the question and its two answers.
    pub(crate) fn page(&self) -> Response {
        let means = match self.is_sign_in {
            true => "this agent is told who you are. It cannot do anything in your name.",
            false => {
                "the record will say that this agent acts on your behalf, and what it does is done in your name."
            }
        };
        let person = shown(self.person);
        let mut body =
            format!("<p>You are <strong>{person}</strong>. If you agree, {means}</p><dl>");
        if let Place::Device(code) = self.place {
            let warning = device_page::warning(code);
            body.insert_str(0, &warning);
        }
        let mut tell = |term: &str, text: String| {
            body.push_str(&format!("<div><dt>{term}</dt><dd>{text}</dd></div>"));
        };
        tell(
            "Agent",
            format!("{} ({})", shown(self.agent), shown(self.agent_id)),
        );
        if !self.description.is_empty() {
            tell("It says of itself", shown(self.description));
        }
        tell("Who answers for it", shown(self.owner));
        tell("Version", shown(self.version));
        let model = self.model.map_or("not declared".to_owned(), shown);
        tell("Model", model);
        if self.scope.has(OPENID) {
            tell("What it learns of you", learns(self.scope));
        }
        if !self.is_sign_in {
            tell("What it would reach", shown(self.resource));
            let scope = self.scope.names().filter(|name| !SCOPES.contains(name));
            let scope: Vec<String> = scope.map(shown).collect();
            let scope = match scope.is_empty() {
                true => "everything that policies let this agent do there".to_owned(),
                false => scope.join(", "),
            };
            tell("What for", scope);
        }
        if let Some(calls) = self.calls {
            let calls: Vec<String> = calls.iter().map(in_words).collect();
            tell("Calls like these alone", calls.join("<br>"));
        }
        if let Some(tools) = self.tools.as_ref().filter(|_| self.calls.is_none()) {
            let tools: Vec<String> = tools.iter().map(|tool| shown(tool)).collect();
            let tools = match tools.is_empty() {
                true => "none at present".to_owned(),
                false => tools.join(", "),
            };
            let tools = match self.takes_later_tools {
                true => format!("{tools}, and all that are added there later"),
                false => tools,
            };
            tell("Tools that it may call there", tools);
        }
        let minutes = self.token_lifetime.as_secs().div_ceil(60);
        let renewed = match self.is_bound {
            true => format!(
                "until {}, in tokens of {minutes} minutes that only its own key can use; you can take it back at any \
                 time",
                rfc3339(self.until)
            ),
            false => format!(
                "{minutes} minutes, with a token that whoever holds it can use; you can take it back at any time"
            ),
        };
        tell("For how long", renewed);
        let place = match self.place {
            Place::Redirect(uri) => shown(uri.as_str()),
            Place::Device(code) => format!("to the device that shows <strong>{code}</strong>"),
        };
        tell("Where the answer goes", place);
        body.push_str("</dl><form method=\"post\" action=\"/oauth/authorize/decide\">");
        for (name, value) in [("request_uri", self.name), ("form", self.form)] {
            let value = escaped(value);
            body.push_str(&format!(
                "<input type=\"hidden\" name=\"{name}\" value=\"{value}\">"
            ));
        }
        let (title, yes) = match self.is_sign_in {
            true => ("Sign in to this agent?", "Yes, tell it who I am"),
            false => (
                "May this agent act in your name?",
                "Yes, let it act in my name",
            ),
        };
        body.push_str(&format!(
            "<p class=\"answers\"><button name=\"answer\" value=\"deny\">No</button> \
             <button class=\"primary\" name=\"answer\" value=\"approve\">{yes}</button></p></form>",
        ));
        let sends = match self.place {
            Place::Redirect(uri) => Sends::There(uri),
            Place::Device(_) => Sends::Here,
        };
        document(StatusCode::OK, title, &body, sends)
    }
}

/// A tool call as a person reads it.
fn in_words(call: &ToolCall) -> String {
    let mut words = shown(&call.identifier);
    let mut join = " with ";
    for (name, constraint) in &call.constraints {
        words.push_str(join);
        join = " and ";
        words.push_str(&shown(name));
        let mut is_any = true;
        let mut add = |means: &str, value: String| {
            words.push_str(means);
            words.push_str(&value);
            is_any = false;
        };
        if let Some(listed) = &constraint.one_of {
            let listed: Vec<String> = listed.iter().map(scalar).collect();
            add(" ", listed.join(" or "));
        }
        if let Some(least) = constraint.at_least {
            add(" at least ", least.to_string());
        }
        if let Some(most) = constraint.at_most {
            add(" at most ", most.to_string());
        }
        if is_any {
            words.push_str(" of any value");
        }
    }
    words.push_str(match (call.constraints.is_empty(), call.additional) {
        (true, true) => " with whatever it likes",
        (true, false) => " without anything",
        (false, true) => ", and everything else in it as it likes",
        (false, false) => ", and nothing else in it",
    });
    words
}

fn scalar(scalar: &Scalar) -> String {
    match scalar {
        Scalar::Flag(flag) => flag.to_string(),
        Scalar::Number(number) => number.to_string(),
        Scalar::Text(text) => format!("“{}”", shown(text)),
    }
}

/// What scopes of OpenID Connect let be told of a person.
pub(crate) fn learns(scope: &Scope) -> String {
    let told = SCOPES.iter().filter(|name| scope.has(name));
    let told: Vec<&str> = told
        .map(|name| match *name {
            PROFILE => "what you are called here",
            EMAIL => "the e-mail address that you were registered with",
            _ => "that it is you, by the same mark each time, and when you signed in",
        })
        .collect();
    told.join("; ")
}

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
