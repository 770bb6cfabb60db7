//! `token mint --device`: a person lets the agent act by entering a code wherever they have a browser (RFC 8628).

use chancery_client::agent::device::{self, Polled};
use chancery_client::agent::token::{Caller, TokenResponse};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::failure::Failure;
use crate::session::Session;

/// Shows the code, and asks until a person answered or it ended.
pub(super) async fn ask(
    session: &Session,
    caller: &Caller<'_>,
    resource: &str,
    scope: Option<&str>,
) -> Result<TokenResponse, Failure> {
    let mut waiting = device::ask(caller, resource, scope).await?;
    let mut text = format!(
        "the person who decides opens {}\nand enters      {}",
        waiting.verification_uri, waiting.user_code
    );
    if let Some(complete) = &waiting.verification_uri_complete {
        text.push_str(&format!("\nor opens        {complete}"));
    }
    let told = json!({
        "user_code": waiting.user_code,
        "verification_uri": waiting.verification_uri,
        "verification_uri_complete": waiting.verification_uri_complete,
    });
    session.output.wants(&text, &told);
    let began = Instant::now();
    while began.elapsed() < waiting.expires_in {
        sleep(waiting.pause).await;
        // The person takes their time: what proves who we are must be of now.
        let now = caller.now.after(began.elapsed());
        match waiting.poll(&Caller { now, ..*caller }).await? {
            Polled::Given(response) => return Ok(response),
            Polled::Pending => {}
        }
    }
    Err(Failure::refused(
        "no_answer",
        "nobody answered in time".to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, OnceLock};

    use chancery_wire::jwk::{Algorithm, PrivateKey};
    use serde_json::json;

    use crate::trial::{Ended, kept, run};

    /// Asks a server whose second poll ends with `answer`; what follows `--json` is `more`.
    fn asked(answer: (&'static str, serde_json::Value), more: &str) -> (Ended, Vec<String>) {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("bot.key.json");
        let key = PrivateKey::generate(Algorithm::Es256).expect("a key");
        std::fs::write(&file, key.to_jwk().expose()).expect("written");
        let own = Arc::new(OnceLock::<String>::new());
        let known = Arc::clone(&own);
        let polls = AtomicUsize::new(0);
        let (url, requests) = kept(move |asked| {
            let issuer = known.get().expect("an address");
            let body = match asked {
                "POST /oauth/device_authorization" => json!({
                    "device_code": "chd_x", "user_code": "WDJB-MJHT", "expires_in": 60, "interval": 0,
                    "verification_uri": format!("{issuer}/device"),
                    "verification_uri_complete": format!("{issuer}/device?user_code=WDJB-MJHT"),
                }),
                "POST /oauth/token" if polls.fetch_add(1, Ordering::SeqCst) == 0 => {
                    let pending = json!({"error": "authorization_pending"});
                    return ("400 Bad Request", pending.to_string().into());
                }
                "POST /oauth/token" => return (answer.0, answer.1.to_string().into()),
                _ => json!({
                    "issuer": issuer,
                    "token_endpoint": format!("{issuer}/oauth/token"),
                    "device_authorization_endpoint": format!("{issuer}/oauth/device_authorization"),
                }),
            };
            ("200 OK", body.to_string().into())
        });
        assert!(own.set(url.clone()).is_ok(), "once");
        let file = file.display();
        let line = format!(
            "chancery token mint --agent agt_01hzy0000000000000000000aa --key {file} --resource {url}/mcp/desk \
             --url {url} --device {more}"
        );
        let ended = run(line.trim_end());
        let seen = requests.lock().expect("a lock").clone();
        (ended, seen)
    }

    #[test]
    fn link_and_code_are_shown_and_the_token_is_fetched_once_somebody_said_yes() {
        let given =
            json!({"access_token": "a.b.c", "token_type": "DPoP", "refresh_token": "chr_x"});
        let (ended, seen) = asked(("200 OK", given.clone()), "--json");
        assert_eq!(ended.code, 0, "{}", ended.err);
        assert_eq!(ended.json()["access_token"], "a.b.c");
        assert!(
            ended.err.contains("\"user_code\":\"WDJB-MJHT\""),
            "{}",
            ended.err
        );
        assert!(!ended.err.contains("chd_x"), "{}", ended.err);
        let fetched = seen.last().expect("a request");
        assert!(fetched.contains("device_code=chd_x"), "{fetched}");
        assert!(fetched.to_lowercase().contains("\r\ndpop:"));
        let (ended, _) = asked(("200 OK", given), "");
        assert!(ended.err.contains("enters      WDJB-MJHT"), "{}", ended.err);
        assert!(
            ended.err.contains("/device?user_code=WDJB-MJHT"),
            "{}",
            ended.err
        );
    }

    #[test]
    fn no_is_told() {
        let refused = json!({"error": "access_denied", "error_description": "the person said no"});
        let (ended, _) = asked(("400 Bad Request", refused), "--json");
        assert_eq!(ended.code, 1);
        assert!(ended.err.contains("access_denied"), "{}", ended.err);
    }
}
