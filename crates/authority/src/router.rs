//! The routes: which verb answers where, and what stands in front of all of them.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use chancery_api::openapi;
use chancery_model::document::Document;
use chancery_wire::json;
use tower::service_fn;

use crate::accounts;
use crate::agents;
use crate::attesters;
use crate::audit::{find, prove, serve};
use crate::clients;
use crate::config::USERINFO;
use crate::consent;
use crate::console;
use crate::ctx::Ctx;
use crate::enforcement::authzen;
use crate::error::{Error, RunAgain};
use crate::grants;
use crate::keys;
use crate::policies;
use crate::providers;
use crate::resources;
use crate::state::Authority;
use crate::tokens::{self, Endpoints};
use crate::workloads;

mod guard;
mod lane;

use self::lane::Lane;

/// How often a unit of work is run when another one wins.
const ATTEMPTS: usize = 4;

/// Everything that the authority answers; the gateway's routes join it at the roof.
pub fn router(authority: Arc<Authority>) -> Router {
    let v1 = v1().layer(from_fn_with_state(Arc::clone(&authority), known_run_again));
    let sign_in = sign_in().layer(from_fn(run_again));
    let oauth = Router::new()
        .route("/oauth/revoke", post(tokens::revoke::revoke))
        .route(
            "/oauth/authorize",
            get(consent::authorize::authorize).post(consent::authorize::authorize_by_form),
        )
        .route("/oauth/authorize/decide", post(consent::decide::decide))
        .route("/oauth/authorize/adopt", post(consent::adopt::adopt))
        .route(
            "/oauth/logout",
            get(consent::logout::ask).post(consent::logout::sign_out),
        )
        .route(
            "/device",
            get(consent::enter::show).post(consent::enter::enter),
        )
        .route("/oauth/register", post(clients::register::register))
        .route("/oauth/challenge", post(tokens::challenge::give))
        .route("/oauth/jwks", get(keys::publish::token_keys))
        .route(
            "/.well-known/oauth-authorization-server",
            get(tokens::metadata::authorization_server),
        )
        .route(
            "/.well-known/openid-configuration",
            get(tokens::metadata::authorization_server),
        )
        .route(
            "/.well-known/chancery/document-keys",
            get(keys::publish::document_keys),
        )
        .route(
            "/.well-known/authzen-configuration",
            get(authzen::configuration),
        )
        .route(
            "/sign-in/providers/{provider}",
            get(providers::start::start),
        )
        .route(
            "/sign-in/providers/{provider}/callback",
            get(providers::callback::callback),
        )
        .route(
            "/sign-in/providers/{provider}/logout",
            post(providers::logout::logout),
        )
        .route("/log/key", get(prove::key))
        .route("/log/{*path}", get(serve::serve))
        .route("/schemas/agent-identity/1", get(schema))
        .route("/openapi.json", get(description))
        .route("/console", get(console::enter))
        .route("/console/", get(console::index))
        .route("/console/{file}", get(console::file))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready));
    v1.merge(sign_in)
        .merge(oauth)
        .fallback(|| async { Error::NotFound("page") })
        .method_not_allowed_fallback(|| async { Error::MethodNotAllowed })
        .layer(DefaultBodyLimit::max(json::BODY.bytes))
        .layer(from_fn_with_state(Arc::clone(&authority), guarded))
        .with_state(Arc::clone(&authority))
        .merge(lanes(authority))
}

/// What is asked most, each behind the guard without more steps on the way.
fn lanes(authority: Arc<Authority>) -> Router {
    let endpoints = Arc::new(Endpoints::new(authority));
    let to = |lane| {
        let endpoints = Arc::clone(&endpoints);
        service_fn(move |request: Request| {
            let endpoints = Arc::clone(&endpoints);
            async move { Ok::<_, Infallible>(lane::answer(&endpoints, lane, request).await) }
        })
    };
    Router::new()
        .route_service("/oauth/token", to(Lane::Token))
        .route_service("/oauth/par", to(Lane::Push))
        .route_service("/oauth/device_authorization", to(Lane::Device))
        .route_service("/oauth/introspect", to(Lane::Introspection))
        .route_service(USERINFO, to(Lane::UserInfo))
        .route_service("/access/v1/evaluation", to(Lane::Evaluation))
        .route_service("/access/v1/evaluations", to(Lane::Evaluations))
}

async fn guarded(
    State(authority): State<Arc<Authority>>,
    request: Request,
    next: Next,
) -> Response {
    guard::guard(&authority, request, |request| next.run(request)).await
}

fn v1() -> Router<Arc<Authority>> {
    Router::new()
        .route("/v1/whoami", get(accounts::whoami::whoami))
        .route(
            "/v1/agents",
            post(agents::register::register).get(agents::list::list),
        )
        .route(
            "/v1/agents/{agent}",
            get(agents::show::show).put(agents::update::update),
        )
        .route("/v1/agents/{agent}/keys", put(agents::keys::replace))
        .route(
            "/v1/agents/{agent}/authentication",
            put(agents::authentication::replace),
        )
        .route(
            "/v1/agents/{agent}/redirect-uris",
            put(agents::redirects::replace),
        )
        .route("/v1/agents/{agent}/trusts", post(agents::trust::add))
        .route(
            "/v1/agents/{agent}/trusts/{trust}",
            delete(agents::trust::remove),
        )
        .route("/v1/agents/{agent}/versions", get(agents::versions::list))
        .route(
            "/v1/agents/{agent}/versions/{number}/accept",
            post(agents::accept::accept),
        )
        .route(
            "/v1/agents/{agent}/versions/{number}/reject",
            post(agents::reject::reject),
        )
        .route(
            "/v1/agents/{agent}/activate",
            post(agents::activate::activate),
        )
        .route("/v1/agents/{agent}/suspend", post(agents::stop::suspend))
        .route("/v1/agents/{agent}/resume", post(agents::resume::resume))
        .route("/v1/agents/{agent}/retire", post(agents::stop::retire))
        .route(
            "/v1/agents/{agent}/transfer",
            post(agents::transfer::transfer),
        )
        .route(
            "/v1/owners",
            post(accounts::add::add).get(accounts::list::list),
        )
        .route(
            "/v1/owners/{owner}/disable",
            post(accounts::disable::disable),
        )
        .route("/v1/owners/{owner}/logins", post(accounts::login::issue))
        .route("/v1/owners/{owner}/logout", post(accounts::logout::logout))
        .route(
            "/v1/owners/{owner}/invitations",
            post(accounts::invite::invite),
        )
        .route("/v1/owners/{owner}/passkeys", get(accounts::passkeys::list))
        .route(
            "/v1/owners/{owner}/passkeys/{passkey}/revoke",
            post(accounts::passkeys::revoke),
        )
        .route("/v1/owners/{owner}/sessions", get(accounts::sessions::list))
        .route(
            "/v1/owners/{owner}/sessions/{session}/end",
            post(accounts::sessions::end_of_owner),
        )
        .route(
            "/v1/owners/{owner}/links",
            get(providers::link::list).post(providers::link::link),
        )
        .route(
            "/v1/owners/{owner}/links/remove",
            post(providers::link::unlink),
        )
        .route(
            "/v1/links",
            get(providers::link::list_own).post(providers::start::link_own),
        )
        .route(
            "/v1/providers",
            post(providers::add::add).get(providers::list::list),
        )
        .route(
            "/v1/providers/{provider}",
            get(providers::list::show).delete(providers::remove::remove),
        )
        .route(
            "/v1/passkeys",
            get(accounts::passkeys::list_own).post(accounts::enrol::own),
        )
        .route("/v1/passkeys/options", post(accounts::enrol::begin_own))
        .route(
            "/v1/passkeys/{passkey}/rename",
            post(accounts::passkeys::rename),
        )
        .route(
            "/v1/passkeys/{passkey}/revoke",
            post(accounts::passkeys::revoke_own),
        )
        .route(
            "/v1/recovery-codes",
            get(accounts::recover::left).post(accounts::recover::make),
        )
        .route("/v1/sessions", get(accounts::sessions::list_own))
        .route(
            "/v1/sessions/{session}/end",
            post(accounts::sessions::end_own),
        )
        .route(
            "/v1/resources",
            post(resources::register::register).get(resources::list::list),
        )
        .route(
            "/v1/mcp",
            post(resources::add_mcp::add).get(resources::show_mcp::list),
        )
        .route(
            "/v1/mcp/{server}",
            get(resources::show_mcp::show).delete(resources::remove_mcp::remove),
        )
        .route(
            "/v1/mcp/{server}/accept",
            post(resources::accept_tools::accept),
        )
        .route("/v1/policies", get(policies::list::list))
        .route("/v1/policies/check", post(policies::check::check))
        .route("/v1/policies/explain", post(policies::explain::explain))
        .route("/v1/policies/schema", get(policies::schema::schema))
        .route("/v1/policies/{policy}", put(policies::add::put))
        .route("/v1/policies/{policy}", delete(policies::remove::remove))
        .route("/v1/keys", get(keys::list::list))
        .route("/v1/keys/rotate", post(keys::rotate::rotate))
        .route("/v1/tokens/revoke", post(tokens::revoke::administer))
        .route("/v1/grants", get(grants::list::list))
        .route("/v1/grants/{grant}/revoke", post(grants::revoke::revoke))
        .route("/v1/clients", get(clients::list::list))
        .route("/v1/clients/open", post(clients::open::open))
        .route("/v1/clients/{client}", delete(clients::remove::remove))
        .route(
            "/v1/attesters",
            post(attesters::add::add).get(attesters::list::list),
        )
        .route(
            "/v1/attesters/{attester}",
            delete(attesters::remove::remove),
        )
        .route(
            "/v1/issuers",
            post(workloads::add::add).get(workloads::list::list),
        )
        .route(
            "/v1/issuers/{issuer}",
            get(workloads::list::show).delete(workloads::remove::remove),
        )
        .route("/v1/log", get(prove::state))
        .route("/v1/events", get(find::find))
        .route("/v1/receipts/{event}", get(prove::show))
}

/// How people sign in, which nobody has done yet who asks.
fn sign_in() -> Router<Arc<Authority>> {
    Router::new()
        .route(
            "/v1/enrolment/options",
            post(accounts::enrol::open_invitation),
        )
        .route("/v1/enrolment", post(accounts::enrol::accept_invitation))
        .route("/v1/sign-in/options", post(accounts::sign_in::options))
        .route("/v1/sign-in", post(accounts::sign_in::sign_in))
        .route("/v1/sign-in/recovery", post(accounts::recover::sign_in))
}

/// The same as [`run_again`] for those who are known.
async fn known_run_again(
    State(authority): State<Arc<Authority>>,
    request: Request,
    next: Next,
) -> Response {
    // A stranger's body is not even read.
    match Ctx::authenticate(Arc::clone(&authority), request.headers()) {
        Ok(ctx) => accounts::sessions::note_use(&authority, &ctx).await,
        Err(error) => return error.into_response(),
    }
    run_again(request, next).await
}

/// Runs a request of `/v1` again as a whole when another transaction won; a handler does nothing that
/// could be seen before its commit, so running it again is running it once.
async fn run_again(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(bytes) = to_bytes(body, json::BODY.bytes).await else {
        return Error::Invalid("the body is larger than 256 KiB or was cut off".to_owned())
            .into_response();
    };
    let mut attempt = 1;
    loop {
        let request = Request::from_parts(parts.clone(), Body::from(bytes.clone()));
        let response = next.clone().run(request).await;
        if attempt == ATTEMPTS || response.extensions().get::<RunAgain>().is_none() {
            return response;
        }
        attempt += 1;
    }
}

async fn schema() -> axum::Json<serde_json::Value> {
    axum::Json(Document::json_schema())
}

async fn description() -> axum::Json<serde_json::Value> {
    axum::Json(openapi::document(env!("CARGO_PKG_VERSION")))
}

/// Ready while the database was followed recently.
async fn ready(State(authority): State<Arc<Authority>>) -> Result<&'static str, Error> {
    let is_stale = authority.freshness.is_stale(authority.clock.now());
    if is_stale {
        Err(Error::Unavailable)
    } else {
        Ok("ready\n")
    }
}
