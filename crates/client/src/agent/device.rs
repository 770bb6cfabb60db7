//! Acting on behalf of a person where no browser is: say what is asked for, show a code, and ask until there is an answer
//! (RFC 8628).

use std::time::Duration;

use chancery_model::secret::Secret;
use chancery_wire::json;
use chancery_wire::oauth::DEVICE_CODE;
use http::StatusCode;
use serde::Deserialize;

use crate::address;
use crate::agent::AgentError;
use crate::agent::token::{Caller, TokenResponse, refused, understand};
use crate::authority::not_ours;
use crate::error::ClientError;

/// How long to wait between two questions when the server does not say (RFC 8628 3.2).
const PAUSE: Duration = Duration::from_secs(5);
/// How much longer, when the server says that it was too soon (RFC 8628 3.5).
const LONGER: Duration = Duration::from_secs(5);
/// The longest that a server may have us wait between two questions, and in all.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(3_600);

/// A request that waits for a person.
pub struct Waiting {
    /// What the person enters.
    pub user_code: String,
    /// Where they enter it.
    pub verification_uri: String,
    /// The same with the code in it.
    pub verification_uri_complete: Option<String>,
    /// How long it waits.
    pub expires_in: Duration,
    /// How long to wait before the next question.
    pub pause: Duration,
    device_code: Secret<String>,
}

/// What came of a question.
#[derive(Debug)]
pub enum Polled {
    /// Nobody has answered yet.
    Pending,
    /// The person let the caller have a token.
    Given(TokenResponse),
}

/// The answer of RFC 8628 3.2; what may be left out is left out by other servers.
#[derive(Deserialize)]
struct RawResponse {
    device_code: String,
    user_code: String,
    verification_uri: String,
    #[serde(default)]
    verification_uri_complete: Option<String>,
    expires_in: u64,
    #[serde(default)]
    interval: Option<u64>,
}

/// Asks for a person; what they give will be bound to the key of the caller's session.
pub async fn ask(
    caller: &Caller<'_>,
    resource: &str,
    scope: Option<&str>,
) -> Result<Waiting, AgentError> {
    let server = caller.server;
    let endpoint = server.device_authorization_endpoint.as_deref();
    let endpoint = endpoint.ok_or_else(|| AgentError::Metadata {
        url: server.issuer.clone(),
        why: "it has no `device_authorization_endpoint`".to_owned(),
    })?;
    let endpoint = address::parse(endpoint)?;
    let client_id = caller.client_id.to_string();
    let mut form = vec![("client_id", &*client_id), ("resource", resource)];
    form.extend(scope.map(|scope| ("scope", scope)));
    let jkt = caller.dpop.map(|dpop| dpop.thumbprint().to_owned());
    form.extend(jkt.as_deref().map(|jkt| ("dpop_jkt", jkt)));
    let answer = caller.without_proof().send(&endpoint, &form).await?;
    if answer.status != StatusCode::OK {
        return Err(refused(&endpoint, &answer));
    }
    let told: RawResponse = json::parse_as(&answer.body, json::BODY)
        .map_err(|error| not_ours(&endpoint, error.to_string()))?;
    // The person is sent there with nothing but a code, so it must be a page.
    address::parse(&told.verification_uri)?;
    if let Some(complete) = &told.verification_uri_complete {
        address::parse(complete)?;
    }
    let pause = told.interval.map_or(PAUSE, Duration::from_secs);
    Ok(Waiting {
        user_code: told.user_code,
        verification_uri: told.verification_uri,
        verification_uri_complete: told.verification_uri_complete,
        expires_in: Duration::from_secs(told.expires_in).min(LONGEST),
        pause: pause.min(LONGEST_PAUSE),
        device_code: Secret::new(told.device_code),
    })
}

impl Waiting {
    /// Asks whether there is an answer; after it, `pause` says how long to wait before the next question.
    pub async fn poll(&mut self, caller: &Caller<'_>) -> Result<Polled, AgentError> {
        let endpoint = address::parse(&caller.server.token_endpoint)?;
        let form = [
            ("grant_type", DEVICE_CODE),
            ("device_code", &**self.device_code.expose()),
        ];
        let answer = match caller.send(&endpoint, &form).await {
            // What could not be asked is asked later (RFC 8628 3.5).
            Err(AgentError::Client(ClientError::Unreachable { .. })) => return Ok(self.later()),
            answer => answer?,
        };
        match understand(&endpoint, &answer) {
            Ok(given) => Ok(Polled::Given(given)),
            Err(AgentError::Refused { error, .. }) if error == "authorization_pending" => {
                Ok(Polled::Pending)
            }
            Err(AgentError::Refused { error, .. })
                if error == "slow_down" || error == "temporarily_unavailable" =>
            {
                Ok(self.later())
            }
            Err(error) => Err(error),
        }
    }

    fn later(&mut self) -> Polled {
        self.pause = (self.pause + LONGER).min(LONGEST_PAUSE);
        Polled::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use chancery_model::entropy::Entropy;
    use chancery_model::id::ClientId;
    use chancery_model::time::Timestamp;
    use chancery_wire::jwk::{Algorithm, PrivateKey};
    use serde_json::json;

    use super::*;
    use crate::agent::discovery::AuthorizationServer;
    use crate::agent::dpop::DpopSession;
    use crate::fake::{Answer, Asked, Fake};
    use crate::transport::Transport;

    struct Same;

    impl Entropy for Same {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(7);
        }
    }

    fn server(url: &str) -> AuthorizationServer {
        AuthorizationServer {
            issuer: url.to_owned(),
            token_endpoint: format!("{url}/token"),
            authorization_endpoint: None,
            pushed_authorization_request_endpoint: None,
            device_authorization_endpoint: Some(format!("{url}/device_authorization")),
            jwks_uri: None,
        }
    }

    /// Asks a server whose polls are answered by `answers`, one after the other; gives the pauses and how it ended.
    async fn polled(answers: &'static [&'static str]) -> (Vec<u64>, Option<String>, Vec<Asked>) {
        let next = AtomicUsize::new(0);
        let fake = Fake::start(move |_, asked| -> Answer {
            if asked.target == "/device_authorization" {
                let told = json!({
                    "device_code": "the-device-code", "user_code": "WDJB-MJHT",
                    "verification_uri": "https://id.example/device", "expires_in": 600,
                });
                return ("200 OK", "", told.to_string());
            }
            match answers[next.fetch_add(1, Ordering::SeqCst)] {
                "" => {
                    let given = json!({"access_token": "a.b.c", "token_type": "DPoP"});
                    ("200 OK", "", given.to_string())
                }
                error => ("400 Bad Request", "", json!({"error": error}).to_string()),
            }
        });
        let fake = fake.await;
        let transport = Transport::new();
        let server = server(&fake.url);
        let key = PrivateKey::generate(Algorithm::Es256).expect("a key");
        let own = PrivateKey::generate(Algorithm::Es256).expect("a key");
        let dpop = DpopSession::new(own);
        let client_id: ClientId = "agt_01hzy0000000000000000000aa".parse().expect("an id");
        let caller = Caller {
            transport: &transport,
            server: &server,
            client_id,
            key: &key,
            dpop: Some(&dpop),
            now: Timestamp::from_secs(1_800_000_000),
            entropy: &Same,
        };
        let mut waiting = ask(&caller, "https://r.example", Some("read"))
            .await
            .expect("codes");
        assert_eq!(waiting.user_code, "WDJB-MJHT");
        let mut pauses = vec![waiting.pause.as_secs()];
        let ended = loop {
            match waiting.poll(&caller).await {
                Ok(Polled::Pending) => pauses.push(waiting.pause.as_secs()),
                Ok(Polled::Given(_)) => break None,
                Err(AgentError::Refused { error, .. }) => break Some(error),
                Err(error) => panic!("{error}"),
            }
        };
        (pauses, ended, fake.asked())
    }

    #[tokio::test]
    async fn device_asks_on_more_slowly_when_it_is_told_to_and_until_there_is_an_answer() {
        let answers = &[
            "authorization_pending",
            "slow_down",
            "authorization_pending",
            "slow_down",
            "",
        ];
        let (pauses, ended, asked) = polled(answers).await;
        assert_eq!(pauses, [5, 5, 10, 10, 15]);
        assert_eq!(ended, None);
        assert_eq!(asked.len(), 6);
        let [first, polls @ ..] = &*asked else {
            panic!("nothing was asked");
        };
        assert_eq!(first.form("resource").as_deref(), Some("https://r.example"));
        assert_eq!(first.form("scope").as_deref(), Some("read"));
        assert!(first.form("dpop_jkt").is_some() && first.header("dpop").is_none());
        for poll in polls {
            assert_eq!(poll.form("grant_type").as_deref(), Some(DEVICE_CODE));
            assert_eq!(poll.form("device_code").as_deref(), Some("the-device-code"));
            assert!(poll.header("dpop").is_some());
        }
    }

    #[tokio::test]
    async fn any_other_refusal_is_the_end() {
        for (answers, expected) in [
            (&["authorization_pending", "access_denied"], "access_denied"),
            (&["authorization_pending", "expired_token"], "expired_token"),
            (&["authorization_pending", "invalid_grant"], "invalid_grant"),
        ] {
            let (_, ended, _) = polled(answers).await;
            assert_eq!(ended.as_deref(), Some(expected));
        }
    }
}
