//! Running a command: one arm for each noun.

use std::process::ExitCode;

use chancery_model::entropy::Entropy;
use chancery_model::time::Clock;

use crate::args::{Asked, Command};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;
use crate::session::Session;
use crate::{agent, completions, key, log, man, mcp, owner, policy, resource, status, token};

/// What only the roof has: the clock, randomness, and what it knows of the streams.
pub struct World<'a> {
    /// The present.
    pub clock: &'a dyn Clock,
    /// Randomness.
    pub entropy: &'a dyn Entropy,
    /// Whether the standard output is a terminal.
    pub stdout_is_terminal: bool,
    /// Whether the standard error is a terminal.
    pub stderr_is_terminal: bool,
}

/// Runs a command to its end and prints what came of it.
pub async fn run(asked: Asked, world: &World<'_>) -> ExitCode {
    let output = Output::standard(
        asked.json,
        world.stdout_is_terminal,
        world.stderr_is_terminal,
    );
    run_to(asked, world, output).await.into()
}

pub(crate) async fn run_to(asked: Asked, world: &World<'_>, output: Output) -> Exit {
    let session = Session {
        output,
        login: asked.login,
        now: world.clock.now(),
        entropy: world.entropy,
    };
    match dispatch(&session, asked.command).await {
        Ok(exit) => exit,
        Err(failure) => {
            session.output.fail(&failure);
            failure.exit
        }
    }
}

async fn dispatch(session: &Session<'_>, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Agent(verb) => agent::run(session, verb).await,
        Command::Owner(verb) => owner::run(session, verb).await,
        Command::Resource(verb) => resource::run(session, verb).await,
        Command::Mcp(verb) => mcp::run(session, verb).await,
        Command::Policy(verb) => policy::run(session, verb).await,
        Command::Token(verb) => token::run(session, verb).await,
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
    use crate::trial::{run, serve};

    const AGENT: &str = r#"{"id":"agt_01hzy0000000000000000000aa","name":"bot","status":"draft",
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
