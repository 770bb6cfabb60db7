//! `token mint`: the standard OAuth calls, as the agent makes them.

use std::path::{Path, PathBuf};

use chancery_client::agent::AgentError;
use chancery_client::agent::discovery::{self, AuthorizationServer};
use chancery_client::agent::dpop::DpopSession;
use chancery_client::agent::token::{self, Caller, TokenRequest, TokenResponse};
use chancery_client::agent::workload::{self, VouchedRequest};
use chancery_client::transport::Transport;
use chancery_model::id::ClientId;
use chancery_model::secret::Secret;
use chancery_wire::json;
use chancery_wire::jwk::PrivateKey;
use clap::Args;
use serde::Serialize;

use crate::documents::{read, read_text};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::layout::Facts;
use crate::login;
use crate::session::Session;
use crate::token::{device, on_behalf};

#[derive(Debug, Args)]
pub(crate) struct Mint {
    /// Who asks: an agent, or a resource server by its id `rsc_…`; by id, nothing but the key is needed
    #[arg(long, visible_alias = "client", value_name = "NAME|ID")]
    agent: String,
    /// Its private key, a JWK
    #[arg(long, value_name = "FILE", required_unless_present = "assertion")]
    key: Option<PathBuf>,
    /// The token of a workload's issuer that vouches for the agent, in place of a key; `-` is the standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["key", "on_behalf", "device"])]
    assertion: Option<PathBuf>,
    /// The resource that the token is for
    #[arg(long, value_name = "URL")]
    resource: String,
    /// The scopes, separated by spaces
    #[arg(long, value_name = "SCOPE")]
    scope: Option<String>,
    /// Ask for a plain bearer token; without it that is done only where the gateway has the exception
    #[arg(long, conflicts_with = "dpop_key")]
    bearer: bool,
    /// Bind the token to this private key; an agent's to its own when absent
    #[arg(long, value_name = "FILE")]
    dpop_key: Option<PathBuf>,
    /// Ask a person, and act in their name; bound to a key unless `--bearer` says otherwise
    #[arg(long)]
    on_behalf: bool,
    /// The same where no browser is: prints a link and a code for the person
    #[arg(long, conflicts_with = "on_behalf")]
    device: bool,
    /// The issuer, when it is not the address of the authority
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
}

impl Mint {
    fn asks_a_person(&self) -> bool {
        self.on_behalf || self.device
    }
}

/// What `token mint` prints: the token response, and the key that the token is bound to.
#[derive(Serialize)]
struct Minted<'a> {
    access_token: &'a str,
    token_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jkt: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
}

pub(super) async fn run(session: &Session, args: &Mint) -> Result<Exit, Failure> {
    let key = args.key.as_deref();
    let key = key.map(|path| read_private(session, path)).transpose()?;
    let client_id = match args.agent.parse::<ClientId>() {
        Ok(id) => id,
        Err(_) => session
            .authority()?
            .agent_show(&args.agent)
            .await?
            .id
            .into(),
    };
    let transport = Transport::new();
    let server = server(session, args, &transport).await?;
    let (Some(key), Some(own)) = (&key, &args.key) else {
        return vouched(session, args, &transport, &server, client_id).await;
    };
    let dpop = match (&args.dpop_key, client_id) {
        (Some(_), ClientId::Resource(_)) => {
            let message = "the token of a resource server is a bearer token, bound to no key";
            return Err(Failure::unreadable(message).with_fix("leave out `--dpop-key`"));
        }
        (None, ClientId::Resource(_)) => None,
        (Some(path), ClientId::Agent(_)) => Some(DpopSession::new(read_private(session, path)?)),
        (None, ClientId::Agent(_))
            if args.bearer
                || !args.asks_a_person()
                    && takes_bearer(&transport, &server, &args.resource).await =>
        {
            None
        }
        (None, ClientId::Agent(_)) => Some(DpopSession::new(read_private(session, own)?)),
    };
    if args.asks_a_person() {
        let caller = Caller {
            transport: &transport,
            server: &server,
            client_id,
            key,
            dpop: dpop.as_ref(),
            now: session.now,
            entropy: &*session.entropy,
        };
        let scope = args.scope.as_deref();
        let response = match args.device {
            true => device::ask(session, &caller, &args.resource, scope).await?,
            false => on_behalf::ask(session, &caller, &args.resource, scope).await?,
        };
        print(session, &response, dpop.as_ref())?;
        return Ok(Exit::Done);
    }
    let wanted = TokenRequest {
        client_id,
        key,
        resource: &args.resource,
        scope: args.scope.as_deref(),
        dpop: dpop.as_ref(),
    };
    let response =
        token::request(&transport, &server, &wanted, session.now, &*session.entropy).await?;
    print(session, &response, dpop.as_ref())?;
    Ok(Exit::Done)
}

/// The same where the issuer of a workload vouches for the agent, which has no key of its own.
async fn vouched(
    session: &Session,
    args: &Mint,
    transport: &Transport,
    server: &AuthorizationServer,
    client_id: ClientId,
) -> Result<Exit, Failure> {
    let file = args.assertion.as_deref().unwrap_or(Path::new("-"));
    let assertion = Secret::new(read_text(file)?.trim().to_owned());
    let dpop = match &args.dpop_key {
        Some(path) => Some(DpopSession::new(read_private(session, path)?)),
        None if args.bearer || takes_bearer(transport, server, &args.resource).await => None,
        None => {
            let message = "the token must be bound to a key: a new one for each run will do";
            return Err(Failure::unreadable(message).with_fix(
                "make one with `chancery key generate --out FILE` and name it with `--dpop-key FILE`",
            ));
        }
    };
    let wanted = VouchedRequest {
        client_id,
        assertion: &assertion,
        resource: &args.resource,
        scope: args.scope.as_deref(),
        dpop: dpop.as_ref(),
    };
    let (now, entropy) = (session.now, &*session.entropy);
    let response = workload::request(transport, server, &wanted, now, entropy).await?;
    print(session, &response, dpop.as_ref())?;
    Ok(Exit::Done)
}

/// Whether the resource is behind the authority's own gateway and says that it takes plain bearer tokens for now.
async fn takes_bearer(transport: &Transport, server: &AuthorizationServer, resource: &str) -> bool {
    let behind_gateway = format!("{}/mcp/", server.issuer);
    if !resource.starts_with(&behind_gateway) {
        return false;
    }
    let found = discovery::protected_resource(transport, resource).await;
    found.is_ok_and(|found| found.dpop_bound_access_tokens_required == Some(false))
}

async fn server(
    session: &Session,
    args: &Mint,
    transport: &Transport,
) -> Result<AuthorizationServer, Failure> {
    let issuer = match &args.issuer {
        Some(issuer) => issuer.clone(),
        None => login::url(&session.login)?.trim_end_matches('/').to_owned(),
    };
    let found = discovery::authorization_server(transport, &issuer).await;
    found.map_err(|error| {
        let other_issuer = matches!(error, AgentError::Metadata { .. });
        let failure = Failure::from(error);
        if other_issuer {
            return failure.with_fix("name the issuer with `--issuer URL`");
        }
        failure
    })
}

fn print(
    session: &Session,
    response: &TokenResponse,
    dpop: Option<&DpopSession>,
) -> Result<(), Failure> {
    // The token decides whether it is bound: an answer of `Bearer` is not.
    let bound = response.token_type.eq_ignore_ascii_case("DPoP");
    let minted = Minted {
        access_token: response.access_token.expose(),
        token_type: &response.token_type,
        expires_in: response.expires_in,
        scope: response.scope.as_deref(),
        jkt: dpop.filter(|_| bound).map(DpopSession::thumbprint),
        refresh_token: response
            .refresh_token
            .as_ref()
            .map(|token| &**token.expose()),
    };
    session.output.show(&minted, || {
        Facts::new()
            .add("token type", minted.token_type)
            .maybe(
                "expires in",
                minted.expires_in.map(|secs| format!("{secs} s")),
            )
            .maybe("scope", minted.scope)
            .maybe("bound to key", minted.jkt)
            .maybe("refresh token", minted.refresh_token)
            .add("access token", minted.access_token)
            .render()
    })
}

/// Reads a private JWK; says so when others can read it too.
fn read_private(session: &Session, path: &Path) -> Result<PrivateKey, Failure> {
    let wrong = |why: String| {
        Failure::unreadable(format!("{}: {why}", path.display()))
            .with_fix("make a key with `chancery key generate --out FILE`")
    };
    let value = json::parse(&read(path)?, json::TOKEN).map_err(|error| wrong(error.to_string()))?;
    let key = PrivateKey::from_jwk(&value).map_err(|error| wrong(error.to_string()))?;
    if is_shared(path) {
        let path = path.display();
        session.output.remark(&format!(
            "warning: {path} can be read by others\nfix: chmod 600 {path}"
        ));
    }
    Ok(key)
}

#[cfg(unix)]
fn is_shared(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_shared(_: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, OnceLock};

    use chancery_wire::jwk::Algorithm;
    use chancery_wire::jws::Unverified;
    use serde_json::{Value, json};

    use crate::trial::{kept, run};

    use super::*;

    const SERVER: &str = "rsc_01hzy0000000000000000000aa";

    #[test]
    fn workload_asks_with_what_its_issuer_gave_it_and_a_key_of_this_run() {
        let folder = tempfile::tempdir().expect("a folder");
        let (assertion, file) = (folder.path().join("token"), folder.path().join("run.json"));
        std::fs::write(&assertion, "the.workload.token\n").expect("written");
        let key = PrivateKey::generate(Algorithm::Es256).expect("a key");
        std::fs::write(&file, key.to_jwk().expose()).expect("written");
        let own = Arc::new(OnceLock::<String>::new());
        let issuer = Arc::clone(&own);
        let (url, requests) = kept(move |asked| {
            let issuer = issuer.get().expect("an address");
            let body = match asked {
                "POST /oauth/token" => json!({"access_token": "a.b.c", "token_type": "DPoP"}),
                _ => json!({"issuer": issuer, "token_endpoint": format!("{issuer}/oauth/token")}),
            };
            ("200 OK", body.to_string().into())
        });
        own.set(url.clone()).expect("once");
        let (assertion, file) = (assertion.display(), file.display());
        let agent = "agt_01hzy0000000000000000000aa";
        let line = format!(
            "chancery token mint --agent {agent} --assertion {assertion} --resource {url}/x --url {url} --json"
        );
        let ended = run(&format!("{line} --dpop-key {file}"));
        assert_eq!(ended.code, 0, "{}", ended.err);
        assert_eq!(ended.json()["jkt"], key.public().thumbprint());
        let seen = requests.lock().expect("a lock").clone();
        assert_eq!(seen.len(), 2, "discovery and the token, no more");
        let (head, form) = seen[1].split_once("\r\n\r\n").expect("a body");
        assert!(head.to_lowercase().contains("\r\ndpop:"), "{head}");
        for part in [
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer",
            &format!("client_id={agent}"),
            "assertion=the.workload.token",
        ] {
            assert!(form.contains(part), "{form}");
        }
        assert!(!form.contains("client_assertion"), "{form}");
        // Without a key and without an exception nothing is asked for.
        let ended = run(&line);
        assert_eq!(ended.code, 2, "{}", ended.err);
        assert!(ended.err.contains("--dpop-key"), "{}", ended.err);
        let ended = run(&format!("{line} --bearer"));
        assert_eq!(ended.code, 0, "{}", ended.err);
    }

    #[test]
    fn a_resource_server_gets_a_bearer_token_for_the_issuer_with_nothing_but_its_key() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("ledger.key.json");
        let key = PrivateKey::generate(Algorithm::Es256).expect("a key");
        std::fs::write(&file, key.to_jwk().expose()).expect("written");
        let own = Arc::new(OnceLock::<String>::new());
        let issuer = Arc::clone(&own);
        let (url, requests) = kept(move |asked| {
            let issuer = issuer.get().expect("an address");
            let body = match asked {
                "POST /oauth/token" => json!({"access_token": "a.b.c", "token_type": "Bearer"}),
                _ => json!({"issuer": issuer, "token_endpoint": format!("{issuer}/oauth/token")}),
            };
            ("200 OK", body.to_string().into())
        });
        own.set(url.clone()).expect("once");
        for flag in ["--agent", "--client"] {
            requests.lock().expect("a lock").clear();
            let file = file.display();
            let line = format!(
                "chancery token mint {flag} {SERVER} --key {file} --resource {url} --url {url} --json"
            );
            let ended = run(&line);
            assert_eq!(ended.json()["access_token"], "a.b.c", "{}", ended.err);
            let requests = requests.lock().expect("a lock").clone();
            assert_eq!(requests.len(), 2, "discovery and the token, no more");
            let (head, form) = requests[1].split_once("\r\n\r\n").expect("a body");
            assert!(!head.to_lowercase().contains("\r\ndpop:"), "{head}");
            let assertion = form
                .split("client_assertion=")
                .nth(1)
                .expect("an assertion");
            let assertion = assertion.split('&').next().expect("its text");
            let unverified = Unverified::parse(assertion, json::TOKEN).expect("a token");
            let claims: Value = unverified.untrusted_claims(json::TOKEN).expect("claims");
            assert_eq!(
                (&claims["iss"], &claims["sub"]),
                (&SERVER.into(), &SERVER.into())
            );
        }
        let file = file.display();
        let line = format!(
            "chancery token mint --agent {SERVER} --key {file} --dpop-key {file} --resource {url} --url {url}"
        );
        let bound = run(&line);
        assert_eq!(bound.code, 2);
        assert!(
            bound.err.contains("leave out `--dpop-key`"),
            "{}",
            bound.err
        );
    }
}
