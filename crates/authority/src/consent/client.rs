//! What a client asks that nobody registered beforehand: found out for a person who signed in, and shown.
//!
//! The request is all in the query, since such a client has nothing to push it with. It is read by the same functions as a
//! pushed one, and read again when the person answers: nothing is kept of a page that was shown.

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use chancery_gateway::snapshot::{KnownServer, Snapshot};
use chancery_model::event::EventKind;
use chancery_model::grant;
use chancery_model::id::names_public_client;
use chancery_model::time::Timestamp;
use chancery_store::codes::ANY_KEY;
use chancery_store::wish::Prompt;
use chancery_wire::hash;
use chancery_wire::oauth::{ErrorCode, Form};
use chancery_wire::redirect_uri::{InvalidRedirectUri, RedirectUri};

use crate::clients::adopt::{self, Standing, Waiting};
use crate::clients::find::{self, KnownClient};
use crate::consent::answer::{self, Enough};
use crate::consent::client_page::{self, ClientQuestion};
use crate::consent::page::{self, Door, Page};
use crate::consent::push::{self, Redirect, Wanted};
use crate::consent::secrets;
use crate::consent::way;
use crate::ctx::Ctx;
use crate::directory::KnownLogin;
use crate::error::{Error, ToRecord};
use crate::state::Authority;
use crate::tokens::bond::Bond;
use crate::tokens::calls;
use crate::tokens::refusal::Refusal;

/// How long a page that was shown may be answered.
const SHOWN: Duration = Duration::from_secs(10 * 60);
/// How much of what a client calls itself the record takes, in characters.
const RECORDED: usize = 200;

/// What a client asks, once it is known which one, that the answer may go where it says, and what stands.
pub(crate) struct AskedByClient {
    pub client: KnownClient,
    pub wanted: Wanted,
    pub server: Arc<KnownServer>,
    pub standing: Standing,
    pub snapshot: Arc<Snapshot>,
}

/// Whether a query is of a client that nobody registered, and that pushed nothing.
pub(crate) fn is_of_client(query: &str) -> bool {
    Form::parse(query.as_bytes()).is_ok_and(|form| {
        let id = form.fetch("client_id");
        form.fetch("request_uri").is_none() && id.is_some_and(names_public_client)
    })
}

/// Asks the person, or says why nobody is asked.
pub(crate) async fn ask(authority: Arc<Authority>, headers: &HeaderMap, query: &str) -> Response {
    let ctx = match Ctx::authenticate(Arc::clone(&authority), headers) {
        Ok(ctx) => ctx,
        // Before it is known who asks, nothing is fetched and nothing is looked up.
        Err(Error::Unauthenticated) => {
            let door = Door::of(&authority);
            return page::sign_in_to(&door, query, asks_anew(query)).into_response();
        }
        Err(error) => return page::of(error),
    };
    let login = match answer::person(&ctx) {
        Ok(login) => login,
        Err(halt) => return halt.of(&ctx).answer(None),
    };
    let asked = match find(&ctx, &login, query).await {
        Ok(asked) => asked,
        Err(response) => return *response,
    };
    if asked.wanted.prompt == Prompt::None {
        // What a client becomes is never decided without a person.
        let code = ErrorCode::ConsentRequired;
        let text = "the client wants an answer without asking you, and none is given to a client like this";
        return offer(
            &asked.wanted.redirect,
            &asked.wanted.state,
            &asked.snapshot,
            code,
            text,
        );
    }
    question(&ctx, &asked, &login, query)
}

/// Finds out what is asked; what cannot be asked is answered with what is in `Err`.
pub(crate) async fn find(
    ctx: &Ctx,
    login: &KnownLogin,
    query: &str,
) -> Result<AskedByClient, Box<Response>> {
    let form = Form::parse(query.as_bytes())
        .map_err(|_| here(ctx, "", page::UNKNOWN, "malformed_request"))?;
    let id = form.fetch("client_id").unwrap_or("");
    let client = find::find(&ctx.authority, login.owner_id, id, ctx.now).await;
    let client = client.map_err(|error| Box::new(page::of(error)))?;
    let client =
        client.ok_or_else(|| here(ctx, id, page::UNKNOWN_CLIENT, page::UNKNOWN_CLIENT.code))?;
    let named = form.fetch("redirect_uri");
    let named = named.map_or(Err(InvalidRedirectUri), RedirectUri::parse_of_client);
    // Nothing is sent anywhere before both are proven (AUTHZ-03).
    let redirect = Redirect::find(named, &client.redirect_uris);
    let redirect = redirect.map_err(|refused| here(ctx, id, page::UNKNOWN, refused.code))?;
    let snapshot = ctx.authority.current.load_full();
    if snapshot.freshness.is_stale(ctx.now) {
        return Err(Box::new(page::of(Error::Unavailable)));
    }
    let state = form
        .fetch("state")
        .filter(|state| state.len() <= push::LONGEST_STATE);
    let there = |refused: Refusal| {
        let (code, description) = (refused.error.code, refused.error.description);
        let state = state.unwrap_or("");
        let response = offer(&redirect, state, &snapshot, code, description);
        Box::new(recorded(ctx, &client.id, refused.code, response))
    };
    let (wanted, server) = read(ctx, &form, &client, &redirect, &snapshot).map_err(there)?;
    require_sign_in(ctx, &wanted, query)?;
    let standing = async {
        let mut tx = ctx.read().await?;
        adopt::standing(ctx, &mut tx, login, &client).await
    };
    let standing = standing.await.map_err(|error| Box::new(page::of(error)))?;
    match &standing {
        Standing::New(_) | Standing::Is(_) => {}
        Standing::Stopped => return Err(here(ctx, id, page::STOPPED, page::STOPPED.code)),
        Standing::Waits(loaded) => {
            return Err(Box::new(client_page::waits(&Waiting::draft(loaded))));
        }
    }
    Ok(AskedByClient {
        client,
        wanted,
        server,
        standing,
        snapshot,
    })
}

/// Reads the request as a pushed one is read, for a server behind the gateway.
fn read(
    ctx: &Ctx,
    form: &Form<'_>,
    client: &KnownClient,
    redirect: &Redirect,
    snapshot: &Snapshot,
) -> Result<(Wanted, Arc<KnownServer>), Refusal> {
    push::refuse_foreign(form)?;
    let named = push::bound_key(form, None)?;
    // Who says that its tokens are bound, shows with which key when it fetches them.
    let held = Bond::of_parts(named.or(client.is_bound.then_some(ANY_KEY)), None);
    let wanted = push::read(&ctx.authority, form, redirect.clone(), &held, ctx.now);
    let wanted = wanted.map_err(|refused| match refused.code {
        "proof_missing" => Refusal::new(
            ErrorCode::InvalidTarget,
            "tokens for this server are bound to a key: say so in the metadata of the client \
             (dpop_bound_access_tokens) or with dpop_jkt, or have an administrator let the server take bearer tokens \
             for a while (--allow-bearer)",
            refused.code,
        ),
        _ => refused,
    })?;
    if wanted.target.calls.is_some() {
        // Its person chooses its tools.
        return Err(calls::invalid("details_of_a_public_client"));
    }
    let server = snapshot.server_of(&wanted.target.resource);
    let server = server.ok_or(Refusal::new(
        ErrorCode::InvalidTarget,
        "a client that nobody registered may ask for an MCP server of this authority alone",
        "not_an_mcp_server",
    ))?;
    Ok((wanted, Arc::clone(server)))
}

/// Requires a sign-in that is recent enough for the client; one of which nothing is known is none.
fn require_sign_in(ctx: &Ctx, wanted: &Wanted, query: &str) -> Result<(), Box<Response>> {
    let enough = Enough {
        prompt: wanted.prompt,
        max_age: wanted.max_age,
        acr: wanted.authentication.acr,
    };
    if enough.is_met(ctx, None) {
        return Ok(());
    }
    let door = Door::of(&ctx.authority);
    Err(Box::new(
        page::sign_in_to(&door, query, true).into_response(),
    ))
}

/// Whether a request may need a new sign-in, as far as that can be told before it is known who asks.
fn asks_anew(query: &str) -> bool {
    Form::parse(query.as_bytes()).is_ok_and(|form| {
        ["prompt", "max_age"]
            .iter()
            .any(|name| form.fetch(name).is_some())
    })
}

impl AskedByClient {
    /// The tools that there are, in the order of the page.
    pub(crate) fn tools(&self) -> Vec<&str> {
        let mut tools: Vec<&str> = self.server.tools.keys().map(String::as_str).collect();
        tools.sort_unstable();
        tools
    }

    /// What proves that an answer is to this page: of this person, about this request, this client and what it is now.
    pub(crate) fn form_token(&self, ctx: &Ctx, login: &KnownLogin, shown: &Shown<'_>) -> String {
        let standing = match &self.standing {
            Standing::Is(loaded) => format!("{} {}", loaded.agent.id, loaded.version.digest),
            Standing::New(_) | Standing::Waits(_) | Standing::Stopped => String::new(),
        };
        let tools = hash::sha256_for("tools", &self.tools()).to_string();
        let client = self.client.digest().to_string();
        let until = shown.until.as_micros().to_string();
        let asked = [shown.uri, &until, shown.query, &client, &tools, &standing];
        secrets::client_form_token(ctx, login, &asked)
    }
}

/// What tells one page from another.
pub(crate) struct Shown<'a> {
    /// A name of its own.
    pub uri: &'a str,
    /// Until when it may be answered.
    pub until: Timestamp,
    /// The request.
    pub query: &'a str,
}

fn question(ctx: &Ctx, asked: &AskedByClient, login: &KnownLogin, query: &str) -> Response {
    let uri = secrets::new_uri(&ctx.authority);
    let shown = Shown {
        uri: &uri,
        until: ctx.now.after(SHOWN),
        query,
    };
    let form = asked.form_token(ctx, login, &shown);
    let document = match &asked.standing {
        Standing::Is(loaded) => Some(&loaded.version.document),
        Standing::New(_) | Standing::Waits(_) | Standing::Stopped => None,
    };
    let name = &asked.server.server.name;
    let tools = asked.tools();
    let question = ClientQuestion {
        person: &login.hands.author.to_string(),
        host: asked.client.host.as_deref(),
        client: &asked.client.id,
        claimed: asked.client.name.as_deref(),
        agent: document.map(|document| document.name.as_str()),
        resource: &asked.wanted.target.resource,
        tools: tools
            .iter()
            .map(|tool| {
                (
                    *tool,
                    document.is_some_and(|document| document.lets_call(name, tool)),
                )
            })
            .collect(),
        scope: &asked.wanted.target.scope,
        until: ctx.now.after(grant::LIFETIME),
        token_lifetime: ctx.authority.config.access_token_lifetime,
        redirect_uri: &asked.wanted.redirect.asked,
        is_bound: asked.wanted.cnf.is_some(),
        shown: &shown,
        form: &form,
    };
    question.page()
}

/// Tells the person why nothing is asked, and lets them go back with that. Whoever wrote the client's document wrote where
/// its answers go, so before the person has decided anything nobody is sent there (RFC 9700 4.11).
fn offer(
    redirect: &Redirect,
    state: &str,
    snapshot: &Snapshot,
    code: ErrorCode,
    description: &str,
) -> Response {
    let mut answer = vec![("error", code.name())];
    if !description.is_empty() {
        answer.push(("error_description", description));
    }
    let address = way::address(&redirect.asked, state, &snapshot.issuer, &answer);
    client_page::cannot(description, &address, redirect.asked.as_str())
}

/// Tells the client that there is no code, and why.
pub(crate) fn refuse(
    redirect: &Redirect,
    state: &str,
    snapshot: &Snapshot,
    code: ErrorCode,
) -> Response {
    let answer = [("error", code.name())];
    way::send(&redirect.asked, state, &snapshot.issuer, &answer)
}

/// Tells the person, and sends nothing anywhere.
fn here(ctx: &Ctx, client: &str, page: Page, code: &'static str) -> Box<Response> {
    Box::new(recorded(ctx, client, code, page.into_response()))
}

/// An answer of no, with what the record says about it.
pub(crate) fn recorded(
    ctx: &Ctx,
    client: &str,
    code: &'static str,
    mut response: Response,
) -> Response {
    let mut event = ctx.event(EventKind::RequestRefused);
    event.outcome = code.to_owned();
    let named: String = client.chars().take(RECORDED).collect();
    if !named.is_empty() {
        event.facts.insert("claimed_client_id".to_owned(), named);
    }
    response.extensions_mut().insert(ToRecord(Box::new(event)));
    response
}
