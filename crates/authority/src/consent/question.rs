//! The question that a person reads before an agent acts in their name, in plain words.

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use chancery_model::scope::Scope;
use chancery_model::time::Timestamp;
use chancery_model::tool_call::{Scalar, ToolCall, ToolCalls};
use chancery_wire::id_token::{EMAIL, OPENID, PROFILE, SCOPES};
use chancery_wire::redirect_uri::RedirectUri;
use chancery_wire::user_code::UserCode;

use crate::consent::device_page;
use crate::html::{Sends, document, escaped, shown};
use crate::text::rfc3339;

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
