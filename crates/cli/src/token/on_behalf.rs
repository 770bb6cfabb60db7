//! `token mint --on-behalf`: the whole flow by which a person lets an agent act, as any program on a machine does it
//! (RFC 8252): the browser is sent to the authority, and comes back to a port of this machine.

use std::time::Duration;

use chancery_client::agent::AgentError;
use chancery_client::agent::behalf::{self, Returned, Wanted};
use chancery_client::agent::token::{Caller, TokenResponse};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

use crate::failure::Failure;
use crate::session::Session;

/// How long the person has.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long a browser may take to say what it wants, and how much that may be.
const SOON: Duration = Duration::from_secs(5);
const LONGEST: usize = 8 * 1024;
/// Where the browser comes back to.
const CALLBACK: &str = "/callback";

/// Asks a person, and fetches the token that they let the agent have.
pub(super) async fn ask(
    session: &Session,
    caller: &Caller<'_>,
    resource: &str,
    scope: Option<&str>,
) -> Result<TokenResponse, Failure> {
    // Before anybody is asked: an answer that nobody takes would be lost.
    let listener = TcpListener::bind(("127.0.0.1", 0)).await;
    let listener = listener.map_err(|error| no_port(&error))?;
    let port = listener
        .local_addr()
        .map_err(|error| no_port(&error))?
        .port();
    let redirect_uri = format!("http://127.0.0.1:{port}{CALLBACK}");
    let wanted = Wanted {
        resource,
        scope,
        redirect_uri: &redirect_uri,
    };
    let pushed = behalf::push(caller, &wanted).await.map_err(|error| {
        let is_about_redirects =
            matches!(&error, AgentError::Refused { error, .. } if error == "invalid_request");
        let failure = Failure::from(error);
        if is_about_redirects {
            return failure.with_fix("chancery agent redirects AGENT http://127.0.0.1/callback");
        }
        failure
    })?;
    let text = "open this in the browser of the person who decides:";
    session.output.wants(
        &format!("{text}\n{}", pushed.url),
        &json!({"authorization_url": pushed.url}),
    );
    let issuer = &caller.server.issuer;
    let began = Instant::now();
    let returned = timeout(PATIENCE, async {
        loop {
            let (stream, _) = listener.accept().await.map_err(|error| no_port(&error))?;
            // Whatever else comes to the port, the answer is what carries our state.
            if let Some(query) = come_back(stream).await
                && let Ok(returned) = pushed.read(issuer, &query)
            {
                return Ok::<_, Failure>(returned);
            }
        }
    });
    let returned = returned
        .await
        .map_err(|_| Failure::refused("no_answer", "nobody answered in time".to_owned()))?;
    match returned? {
        Returned::Code(code) => {
            // The person took their time: what proves who we are must be of now.
            let now = caller.now.after(began.elapsed());
            Ok(pushed.redeem(&Caller { now, ..*caller }, &code).await?)
        }
        Returned::Refused(error) => Err(Failure::refused(
            "not_let",
            format!("the agent was not let: `{error}`"),
        )),
    }
}

fn no_port(error: &std::io::Error) -> Failure {
    Failure::refused(
        "no_port",
        format!("no port of this machine can be listened on: {error}"),
    )
}

/// Reads one request, tells the browser that it can be closed, and gives the query that it came with.
async fn come_back(mut stream: TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let reading = async {
        let mut piece = [0; 1_024];
        while !head.windows(4).any(|four| four == b"\r\n\r\n") && head.len() < LONGEST {
            let read = stream.read(&mut piece).await.ok()?;
            if read == 0 {
                break;
            }
            head.extend_from_slice(piece.get(..read)?);
        }
        Some(())
    };
    timeout(SOON, reading).await.ok()??;
    let head = String::from_utf8(head).ok()?;
    let target = head.strip_prefix("GET ")?.split(' ').next()?;
    let query = target.strip_prefix(CALLBACK)?.strip_prefix('?');
    let text = "The answer is here. You can close this page.\n";
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\n\
         cache-control: no-store\r\nreferrer-policy: no-referrer\r\nconnection: close\r\n\r\n{text}",
        text.len()
    );
    // Who closed the page early has answered all the same.
    let _gone = timeout(SOON, stream.write_all(answer.as_bytes())).await;
    query.map(str::to_owned)
}
