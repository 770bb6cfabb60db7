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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, OnceLock};

    use chancery_wire::jwk::{Algorithm, PrivateKey};

    use super::*;
    use crate::trial::{Ended, kept, run};

    /// A value of a form or a query, as it stands there.
    fn value<'a>(text: &'a str, name: &str) -> &'a str {
        let begin = format!("{name}=");
        let rest = text.split(&*begin).nth(1).unwrap_or_default();
        rest.split('&').next().unwrap_or_default()
    }

    /// Comes to the port as a browser does, with each of these queries.
    fn browse(redirect_uri: &str, queries: Vec<String>) {
        let port = redirect_uri
            .split("%3A")
            .nth(2)
            .and_then(|rest| rest.split("%2F").next());
        let port: u16 = port.and_then(|port| port.parse().ok()).expect("a port");
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.expect("a runtime").block_on(async {
                for query in queries {
                    let stream = TcpStream::connect(("127.0.0.1", port)).await;
                    let mut stream = stream.expect("somebody listens");
                    let head = format!("GET {query} HTTP/1.1\r\nhost: x\r\n\r\n");
                    stream.write_all(head.as_bytes()).await.expect("sent");
                    let mut answer = String::new();
                    let _ended = stream.read_to_string(&mut answer).await;
                }
            });
        });
    }

    /// Asks, while the browser comes back with what `answers` makes of our issuer and the state.
    fn asked(answers: fn(&str, &str) -> Vec<String>) -> (Ended, Vec<String>) {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("bot.key.json");
        let key = PrivateKey::generate(Algorithm::Es256).expect("a key");
        std::fs::write(&file, key.to_jwk().expose()).expect("written");
        type Seen = Arc<Mutex<Vec<String>>>;
        let own = Arc::new(OnceLock::<(String, Seen)>::new());
        let known = Arc::clone(&own);
        let (url, requests) = kept(move |asked| {
            let (issuer, seen) = known.get().expect("an address");
            let body = match asked {
                "POST /oauth/par" => {
                    let seen = seen.lock().expect("a lock");
                    let form = seen.last().expect("this request");
                    let queries = answers(issuer, value(form, "state"));
                    browse(value(form, "redirect_uri"), queries);
                    let pushed = json!({"request_uri": "urn:example:1", "expires_in": 60});
                    return ("201 Created", pushed.to_string().into());
                }
                "POST /oauth/token" => json!({
                    "access_token": "a.b.c", "token_type": "DPoP", "refresh_token": "chr_x",
                }),
                _ => json!({
                    "issuer": issuer,
                    "token_endpoint": format!("{issuer}/oauth/token"),
                    "authorization_endpoint": format!("{issuer}/oauth/authorize"),
                    "pushed_authorization_request_endpoint": format!("{issuer}/oauth/par"),
                }),
            };
            ("200 OK", body.to_string().into())
        });
        let both = (url.clone(), Arc::clone(&requests));
        assert!(own.set(both).is_ok(), "once");
        let file = file.display();
        let ended = run(&format!(
            "chancery token mint --agent agt_01hzy0000000000000000000aa --key {file} --resource {url}/mcp/desk \
             --url {url} --on-behalf --json"
        ));
        let seen = requests.lock().expect("a lock").clone();
        (ended, seen)
    }

    #[test]
    fn token_is_fetched_with_the_answer_that_is_ours_and_no_other() {
        let (ended, seen) = asked(|issuer, state| {
            let issuer = issuer.replace(':', "%3A").replace('/', "%2F");
            vec![
                "/favicon.ico".to_owned(),
                format!("/callback?code=theirs&state=another&iss={issuer}"),
                format!("/callback?code=theirs&state={state}&iss=https%3A%2F%2Fother.example"),
                format!("/callback?code=ours&state={state}&iss={issuer}"),
            ]
        });
        assert_eq!(ended.code, 0, "{}", ended.err);
        let printed = ended.json();
        assert_eq!(printed["access_token"], "a.b.c");
        assert_eq!(printed["refresh_token"], "chr_x");
        assert!(ended.err.contains("authorization_url"), "{}", ended.err);
        assert!(
            ended.err.contains("request_uri=urn%3Aexample%3A1"),
            "{}",
            ended.err
        );
        let pushed = seen
            .iter()
            .find(|text| text.starts_with("POST /oauth/par"))
            .expect("a request");
        assert_eq!(value(pushed, "code_challenge_method"), "S256");
        assert!(!value(pushed, "dpop_jkt").is_empty());
        let fetched = seen
            .iter()
            .find(|text| text.starts_with("POST /oauth/token"))
            .expect("a request");
        assert_eq!(value(fetched, "code"), "ours");
        assert_eq!(
            value(fetched, "redirect_uri"),
            value(pushed, "redirect_uri")
        );
        assert!(fetched.to_lowercase().contains("\r\ndpop:"));
        assert_eq!(
            seen.iter().filter(|text| text.contains("theirs")).count(),
            0
        );
    }

    #[test]
    fn refusal_is_told_and_no_token_is_asked_for() {
        let (ended, seen) = asked(|issuer, state| {
            let issuer = issuer.replace(':', "%3A").replace('/', "%2F");
            vec![format!(
                "/callback?error=access_denied&state={state}&iss={issuer}"
            )]
        });
        assert_eq!(ended.code, 1);
        assert!(ended.err.contains("`access_denied`"), "{}", ended.err);
        assert!(
            !seen
                .iter()
                .any(|text| text.starts_with("POST /oauth/token"))
        );
    }
}
