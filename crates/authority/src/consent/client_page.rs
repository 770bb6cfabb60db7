//! What a person sees of a client that nobody registered: first who answers for it and where the answer goes, since the
//! rest is what it says of itself (REG-03).

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use chancery_model::scope::Scope;
use chancery_model::time::Timestamp;
use chancery_wire::id_token::{OPENID, SCOPES};
use chancery_wire::redirect_uri::RedirectUri;

use crate::clients::adopt::Waiting;
use crate::consent::client::Shown;
use crate::consent::question::learns;
use crate::html::{Sends, document, escaped, shown};
use crate::text::rfc3339;

/// What a person is asked.
pub(crate) struct ClientQuestion<'a> {
    /// Who is asked.
    pub person: &'a str,
    /// The host that answers for the client, if one does.
    pub host: Option<&'a str>,
    /// Its `client_id`.
    pub client: &'a str,
    /// The name that it gives itself.
    pub claimed: Option<&'a str>,
    /// The agent that it is for this person already.
    pub agent: Option<&'a str>,
    /// What it would reach.
    pub resource: &'a str,
    /// The tools there, and whether it may call them now.
    pub tools: Vec<(&'a str, bool)>,
    /// What it asks for.
    pub scope: &'a Scope,
    /// Until when it could act.
    pub until: Timestamp,
    /// How long one token lives.
    pub token_lifetime: Duration,
    /// Where the answer goes.
    pub redirect_uri: &'a RedirectUri,
    /// Whether what it gets is bound to a key of its own.
    pub is_bound: bool,
    /// Which page this is, and the proof that an answer is to it.
    pub shown: &'a Shown<'a>,
    pub form: &'a str,
}

impl ClientQuestion<'_> {
    /// The page with the question, the tools to choose from, and the two answers.
    pub(crate) fn page(&self) -> Response {
        let from = match self.host {
            Some(host) => shown(host),
            None => "A client that registered itself, unverified".to_owned(),
        };
        let mut body = format!(
            "<p><strong class=\"client\">{from}</strong> asks to act in your name. The answer goes to \
             <strong>{}</strong>.</p><p>You are <strong>{}</strong>. If you agree, the client becomes an agent of \
             yours: the record will name you both, and you answer for what it does.</p><dl>",
            shown(self.redirect_uri.place()),
            shown(self.person),
        );
        let mut tell = |term: &str, text: String| {
            body.push_str(&format!("<div><dt>{term}</dt><dd>{text}</dd></div>"));
        };
        tell("Known by", shown(self.client));
        let claimed = self.claimed.map(shown);
        tell(
            "It calls itself",
            claimed.unwrap_or("nothing that can be shown".to_owned()),
        );
        if let Some(agent) = self.agent {
            tell("It is your agent", shown(agent));
        }
        tell("What it would reach", shown(self.resource));
        if self.scope.has(OPENID) {
            tell("What it learns of you", learns(self.scope));
        }
        let scope = self.scope.names().filter(|name| !SCOPES.contains(name));
        let scope: Vec<String> = scope.map(shown).collect();
        let scope = match scope.is_empty() {
            true => "the tools that you choose, as far as policies let it".to_owned(),
            false => scope.join(", "),
        };
        tell("What for", scope);
        let minutes = self.token_lifetime.as_secs().div_ceil(60);
        let held = match self.is_bound {
            true => "that only its own key can use",
            false => "that whoever holds one can use",
        };
        let until = rfc3339(self.until);
        tell(
            "For how long",
            format!(
                "until {until}, in tokens of {minutes} minutes {held}; you can take it back at any time"
            ),
        );
        tell("Where the answer goes", shown(self.redirect_uri.as_str()));
        body.push_str("</dl><form method=\"post\" action=\"/oauth/authorize/adopt\">");
        let until = self.shown.until.as_micros().to_string();
        for (name, value) in [
            ("uri", self.shown.uri),
            ("until", &until),
            ("query", self.shown.query),
            ("form", self.form),
        ] {
            let value = escaped(value);
            body.push_str(&format!(
                "<input type=\"hidden\" name=\"{name}\" value=\"{value}\">"
            ));
        }
        body.push_str("<fieldset><legend>Which tools may it call there?</legend>");
        for (place, (tool, is_granted)) in self.tools.iter().enumerate() {
            let checked = if *is_granted { " checked" } else { "" };
            let tool = shown(tool);
            body.push_str(&format!(
                "<p><label><input type=\"checkbox\" name=\"t{place}\" value=\"on\"{checked}> {tool}</label></p>"
            ));
        }
        body.push_str(
            "</fieldset><p class=\"answers\"><button name=\"answer\" value=\"deny\">No</button> \
             <button class=\"primary\" name=\"answer\" value=\"approve\">Yes, let it call these in my name</button></p></form>",
        );
        let title = "May this client act in your name?";
        document(
            StatusCode::OK,
            title,
            &body,
            Sends::There(self.redirect_uri),
        )
    }
}

/// Why a client is given nothing; the person may go back to it with that.
pub(crate) fn cannot(why: &str, address: &str, redirect_uri: &str) -> Response {
    let body = format!(
        "<p>The client asks for something that it cannot have: {}.</p><p>Nothing was decided, and nothing was sent \
         anywhere.</p><p><a rel=\"noreferrer\" href=\"{}\">Go back to the client</a>, at {}</p>",
        shown(why),
        escaped(address),
        shown(redirect_uri)
    );
    document(
        StatusCode::BAD_REQUEST,
        "This cannot be asked of you",
        &body,
        Sends::Nothing,
    )
}

/// Something that the person agreed to waits for somebody else; nothing goes to the client.
pub(crate) fn waits(waiting: &Waiting) -> Response {
    let Waiting { name, version, .. } = waiting;
    let name = shown(name.as_str());
    let verb = match waiting.is_draft {
        true => "activate",
        false => "accept",
    };
    let body = format!(
        "<p>You agreed. The client is now your agent {name}, and somebody else has to agree too before it may act, or \
         may do more than before. An approver looks at it with <code>chancery agent show {name}</code> and puts into \
         force what you agreed to with <code>chancery agent {verb} {name} --version {version}</code>.</p>\
         <p>Nothing was sent to the client. Once that is done, begin again there.</p>"
    );
    document(
        StatusCode::OK,
        "A second person has to agree",
        &body,
        Sends::Nothing,
    )
}
