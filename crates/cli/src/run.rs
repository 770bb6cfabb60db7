//! Running a command: one arm for each noun.

use std::process::ExitCode;
use std::sync::Arc;

use chancery_model::entropy::Entropy;
use chancery_model::time::Clock;
use futures_util::future::LocalBoxFuture;

use crate::args::{Asked, Command};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;
use crate::session::Session;
use crate::{
    agent, attester, client, completions, grant, issuer, key, log, man, mcp, owner, policy,
    provider, resource, status, token,
};

/// What only the roof has: the clock, randomness, and what it knows of the streams.
pub struct World<'a> {
    /// The present.
    pub clock: &'a dyn Clock,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Whether the standard output is a terminal.
    pub stdout_is_terminal: bool,
    /// Whether the standard error is a terminal.
    pub stderr_is_terminal: bool,
}

/// Runs a command to its end and prints what came of it.
///
/// Boxed, so that all commands are compiled with this crate and not anew with the program.
pub fn run<'a>(asked: Asked, world: &'a World<'_>) -> LocalBoxFuture<'a, ExitCode> {
    let output = Output::standard(
        asked.json,
        world.stdout_is_terminal,
        world.stderr_is_terminal,
    );
    Box::pin(async { run_to(asked, world, output).await.into() })
}

pub(crate) async fn run_to(asked: Asked, world: &World<'_>, output: Output) -> Exit {
    let session = Session {
        output,
        login: asked.login,
        now: world.clock.now(),
        entropy: Arc::clone(&world.entropy),
    };
    match dispatch(&session, asked.command).await {
        Ok(exit) => exit,
        Err(failure) => {
            session.output.fail(&failure);
            failure.exit
        }
    }
}

async fn dispatch(session: &Session, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Agent(verb) => agent::run(session, verb).await,
        Command::Owner(verb) => owner::run(session, verb).await,
        Command::Resource(verb) => resource::run(session, verb).await,
        Command::Mcp(verb) => mcp::run(session, verb).await,
        Command::Client(verb) => client::run(session, verb).await,
        Command::Attester(verb) => attester::run(session, verb).await,
        Command::Issuer(verb) => issuer::run(session, verb).await,
        Command::Policy(verb) => policy::run(session, verb).await,
        Command::Token(verb) => token::run(session, verb).await,
        Command::Provider(verb) => provider::run(session, verb).await,
        Command::Grant(verb) => grant::run(session, verb).await,
        Command::Key(verb) => key::run(session, verb).await,
        Command::Log(verb) => log::run(session, verb).await,
        Command::Whoami => status::whoami(session).await,
        Command::Status => status::status(session).await,
        Command::Completions(args) => completions::run(session, &args),
        Command::Man(args) => man::run(session, &args),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::trial::{run, serve};

    const AGENT: &str = r#"{"id":"agt_01hzy0000000000000000000aa","name":"bot","status":"draft","live":false,
        "version":"sha256:0000000000000000000000000000000000000000000000000000000000000000","version_number":1,
        "owner":"a@b.example","owner_id":"own_01hzy0000000000000000000aa",
        "document":{"name":"bot","owner":"a@b.example"},"signature":"s","keys":["k"],
        "created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z","revision":1}"#;

    #[test]
    fn an_answer_is_json_on_one_line_or_aligned_facts() {
        let url = serve(|_| ("200 OK", AGENT.into()));
        let json = run(&format!("chancery agent show bot --json --url {url}"));
        assert_eq!((json.code, json.out.lines().count()), (0, 1));
        assert_eq!(json.json()["version_number"], 1);
        let text = run(&format!("chancery agent show bot --url {url}"));
        assert!(text.out.contains("name      bot\n"), "{}", text.out);
        assert!(text.out.contains("status    draft\n"), "{}", text.out);
    }

    /// What `agent show` prints of [`AGENT`] after `changes`, and what `agent list` does.
    fn shown(changes: serde_json::Value) -> (String, String) {
        let mut agent: serde_json::Value = serde_json::from_str(AGENT).expect("JSON");
        for (name, value) in changes.as_object().expect("an object") {
            agent[name] = value.clone();
        }
        let page = serde_json::json!({"items": [&agent]}).to_string();
        let url = serve(move |asked| {
            let body = match asked.contains("/agents/") {
                true => agent.to_string(),
                false => page.clone(),
            };
            ("200 OK", body.into())
        });
        let show = run(&format!("chancery agent show bot --url {url}"));
        let list = run(&format!("chancery agent list --url {url}"));
        (show.out, list.out)
    }

    #[test]
    fn a_pending_version_says_why_it_waits_when_that_is_known() {
        let (text, _) = shown(json!({"pending_version": 1}));
        assert!(
            text.contains("version 1 waits for a second person\n"),
            "{text}"
        );
        let because = ["the autonomy", "a tool"];
        let (text, _) = shown(json!({"pending_version": 2, "pending_because": because}));
        let expected = "version 2 waits for a second person: the autonomy, a tool\n";
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn a_model_is_shown_with_its_version_and_provider() {
        let check = |model: serde_json::Value, expected: &str| {
            let document = json!({"name": "bot", "owner": "a@b.example", "model": model});
            let (text, _) = shown(json!({"document": document}));
            assert!(text.contains(&format!("model     {expected}\n")), "{text}");
        };
        check(json!({"name": "m"}), "m");
        check(json!({"name": "m", "version": "1.10"}), "m 1.10");
        check(
            json!({"name": "m", "version": "1.10", "provider": "example"}),
            "m 1.10 (example)",
        );
    }

    #[test]
    fn an_active_agent_that_cannot_act_says_why() {
        let why = "its owner left";
        let (show, list) =
            shown(json!({"status": "active", "live": false, "not_live_because": why}));
        let expected = "active, but cannot act: its owner left";
        assert!(show.contains(&format!("status    {expected}\n")), "{show}");
        assert!(list.contains(expected), "{list}");
        let (show, list) = shown(json!({"status": "active", "live": true}));
        assert!(show.contains("status    active\n"), "{show}");
        assert!(!list.contains("cannot act"), "{list}");
    }

    #[test]
    fn what_waits_to_be_sealed_is_counted_in_flushes() {
        let check = |pending: u64, expected: &str| {
            let url = serve(move |asked| {
                let whoami = json!({"kind": "person", "id": "own_1", "roles": []});
                let log = json!({"origin": "o", "size": 7, "root": "r", "log_key": "k", "pending": pending});
                let body = if asked.contains("whoami") {
                    whoami
                } else {
                    log
                };
                ("200 OK", body.to_string().into())
            });
            let text = run(&format!("chancery status --url {url}")).out;
            assert!(text.contains(&format!("record   {expected}\n")), "{text}");
        };
        check(0, "7 entries, 0 flushes wait to be sealed");
        check(1, "7 entries, 1 flush waits to be sealed");
        check(2, "7 entries, 2 flushes wait to be sealed");
    }

    #[test]
    fn a_key_is_withdrawn_only_when_that_is_said() {
        let check = |flag: &str, expected: bool| {
            let (url, requests) = crate::trial::kept(|_| {
                let key = json!({"kid": "k", "purpose": "document", "alg": "ES256",
                    "status": "active", "created_at": "2026-01-01T00:00:00Z"});
                ("200 OK", key.to_string().into())
            });
            let ended = run(&format!("chancery key rotate document {flag} --url {url}"));
            assert_eq!(ended.code, 0, "{}", ended.err);
            let request = requests.lock().expect("a lock").remove(0);
            let (_, body) = request.split_once("\r\n\r\n").expect("a body");
            let sent: serde_json::Value = serde_json::from_str(body).expect("JSON");
            assert_eq!(sent, json!({"purpose": "document", "withdraw": expected}));
        };
        check("--withdraw", true);
        check("--json", false);
    }

    #[test]
    fn a_draft_says_what_comes_next_beside_the_answer() {
        let url = serve(|_| ("200 OK", AGENT.into()));
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("bot.yaml");
        std::fs::write(&file, "name: bot\nowner: a@b.example\n").expect("written");
        let line = format!("chancery agent register {} --url {url}", file.display());
        let ended = run(&line);
        assert_eq!(ended.code, 0);
        assert!(
            ended.err.contains("chancery agent activate bot"),
            "{}",
            ended.err
        );
        assert_eq!(run(&format!("{line} --json")).err, "");
    }

    #[test]
    fn a_refusal_is_exit_code_1_and_the_problem_on_the_standard_error() {
        let problem =
            r#"{"status":404,"code":"agent_not_found","title":"no agent `bot`","fix":"look"}"#;
        let url = serve(move |_| ("404 Not Found", problem.into()));
        let text = run(&format!("chancery agent show bot --url {url}"));
        assert_eq!((text.code, text.out.as_str()), (1, ""));
        assert_eq!(text.err, "error: no agent `bot`\nfix: look\n");
        let json = run(&format!("chancery agent show bot --json --url {url}"));
        assert_eq!((json.code, json.out.as_str()), (1, ""));
        assert_eq!(json.json()["code"], "agent_not_found");
    }

    #[test]
    fn unreadable_input_is_exit_code_2_and_nobody_there_is_3() {
        let text = run("chancery agent register /nonexistent.yaml --url http://127.0.0.1:9");
        assert_eq!(text.code, 2);
        assert!(
            text.err.starts_with("error: cannot read /nonexistent.yaml"),
            "{}",
            text.err
        );
        let json = run("chancery whoami --json --url http://127.0.0.1:9");
        assert_eq!(
            (json.code, &json.json()["code"]),
            (3, &"unreachable".into())
        );
        let clear = run("chancery whoami --url http://id.example.com");
        assert_eq!(clear.code, 2);
    }
}
