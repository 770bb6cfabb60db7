//! The story: an agent is hired, works, is held back, is robbed, is stopped, and leaves a record that cannot lie.
//!
//! Thirteen chapters, the last of which is the end. Everything that is told has just happened to a running authority,
//! through its public API and the standards alone, and was checked; the first thing that is not as the story says
//! ends it with a [`Failure`]. Start reading at [`tell`]; the chapters are in [`opening`], [`work`], [`theft`],
//! [`stop`] and [`proof`].

mod copy;
pub mod narrator;
mod opening;
mod process;
mod proof;
mod record;
mod stop;
mod theft;
mod work;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chancery_client::authority::Authority;
use chancery_client::transport::Transport;
use chancery_model::entropy::Entropy;
use chancery_model::secret::Secret;
use chancery_model::time::Clock;
use futures_util::future::LocalBoxFuture;

use crate::story::narrator::{Form, Narrator};

/// What the story needs: an authority that runs, and a way to run our own program beside it.
pub struct Stage {
    /// The address of a fresh authority, such as `http://127.0.0.1:7420`.
    pub url: String,
    /// The login of its administrator.
    pub admin_token: Secret<String>,
    /// The authority's data folder; the copy of the record goes into a folder of its own in it.
    pub data: PathBuf,
    /// Whether that folder is still there when the program has ended.
    pub is_kept: bool,
    /// Our own program: run as `PROGRAM desk --listen 127.0.0.1:0` and `PROGRAM log verify …`.
    pub program: PathBuf,
    /// Where the present comes from.
    pub clock: Arc<dyn Clock>,
    /// What makes proofs unique.
    pub entropy: Arc<dyn Entropy>,
    /// How to print.
    pub form: Form,
}

/// A story that went as it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// How many steps it had.
    pub steps: u32,
    /// The copy of the record, altered in one byte.
    pub copy: PathBuf,
}

/// A step that did not go as it said; it has been printed already.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("step {step} ({title}): expected {expected}, got {got}")]
pub struct Failure {
    /// The number of the step; 0 before the first.
    pub step: u32,
    /// Its title.
    pub title: &'static str,
    /// What should have happened.
    pub expected: String,
    /// What happened.
    pub got: String,
}

/// What every chapter has at hand.
struct Scene<'a> {
    stage: &'a Stage,
    authority: Authority,
    transport: Arc<Transport>,
}

/// Plays and prints the whole story; every process that it started is gone when it returns.
///
/// Boxed, so that it is compiled with this crate and not anew with the program.
pub fn tell(stage: Stage, out: &mut dyn Write) -> LocalBoxFuture<'_, Result<Told, Failure>> {
    Box::pin(async move {
        let clock = stage.clock.clone();
        let mut narrator = Narrator::new(out, clock.as_ref(), stage.form);
        let played = play(&stage, &mut narrator).await;
        if let Err(failure) = &played {
            // The failure itself matters more than that it could not be printed.
            let _ = narrator.failed(failure);
        }
        played
    })
}

async fn play(stage: &Stage, tell: &mut Narrator<'_>) -> Result<Told, Failure> {
    let login = Secret::new(stage.admin_token.expose().clone());
    let authority = tell.must(
        Authority::at(&stage.url, Some(login)),
        "an address of an authority",
    )?;
    let scene = Scene {
        stage,
        authority,
        transport: Arc::new(Transport::new()),
    };
    tell.open(
        "The first agent, from its first day to its last",
        "All of this happens now, on this machine: an authority with an empty data folder, a tool server in a \
         process of its own, and an agent with a key of its own.",
    )?;

    let desk = opening::open_the_desk(&scene, tell).await?;
    let agent = opening::hire(&scene, tell).await?;
    let badge = opening::issue_a_token(&scene, tell, &desk, &agent).await?;

    let session = work::look_around(&scene, tell, &desk, &badge).await?;
    work::refund(&scene, tell, &agent, &session).await?;
    work::hit_the_limit(&scene, tell, &desk, &agent, &session).await?;
    work::leave_the_document(&scene, tell, &desk, &agent, &session).await?;

    theft::steal(&scene, tell, &desk, &badge).await?;
    theft::look_at_the_desk(&scene, tell, &desk).await?;

    let stopped = stop::suspend(&scene, tell, &desk, &agent, &session).await?;
    session.close().await;

    let copy = proof::verify(&scene, tell, &desk, &stopped).await?;
    proof::tamper(&scene, tell, &desk, &copy).await?;
    let desk_key = desk.log_key;
    tell.must(desk.process.stop().await, "the desk ends")?;

    close(stage, tell, &desk_key, &copy.folder)?;
    Ok(Told {
        steps: tell.steps(),
        copy: copy.folder,
    })
}

/// Says what happened, where it is now, and what to try next.
fn close(
    stage: &Stage,
    tell: &mut Narrator<'_>,
    log_key: &str,
    copy: &Path,
) -> Result<(), Failure> {
    let (program, data, copy) = (
        stage.program.display(),
        stage.data.display(),
        copy.display(),
    );
    let happened = "It had an identity of its own, did its work, was held to its document and to a rule about amounts, \
                    was of no use to a thief, and was stopped in one move; and the record of all that could not be \
                    changed unseen.";
    let (whereabouts, commands) = if stage.is_kept {
        let commands = [
            (
                "see the altered row for yourself",
                format!("{program} log verify --dir {copy} --key '{log_key}'"),
            ),
            (
                "start the same authority again",
                format!("{program} up --data {data}"),
            ),
            (
                "and, beside it, look at the agent",
                format!("{program} --data {data} agent show refund-bot"),
            ),
        ];
        (
            format!("The authority's data is in {data}, the altered copy of its record in {copy}."),
            commands,
        )
    } else {
        let commands = [
            (
                "do it again, and keep what it made",
                format!("{program} demo --keep chancery-demo"),
            ),
            (
                "run an authority of your own",
                format!("{program} up --data chancery-data"),
            ),
            (
                "write down your first agent",
                format!("{program} agent init my-agent > my-agent.yaml"),
            ),
        ];
        (
            format!("The authority's data was in {data}, which is temporary and goes away now."),
            commands,
        )
    };
    tell.close(
        "That was one agent",
        &format!("{happened}\n{whereabouts}"),
        &commands,
    )
}

/// The beginning of a digest or a thumbprint: enough to recognise it by.
fn short(text: &str) -> String {
    let start = text.find(':').map_or(0, |colon| colon + 1);
    let end = text.char_indices().map(|(at, _)| at).nth(start + 12);
    end.map_or_else(|| text.to_owned(), |end| format!("{}…", &text[..end]))
}

#[cfg(test)]
mod tests {
    use chancery_model::document::Document;
    use chancery_model::time::Timestamp;

    use super::*;

    struct Stopped;

    impl Clock for Stopped {
        fn now(&self) -> Timestamp {
            Timestamp::from_secs(1_790_000_000)
        }
    }

    impl Entropy for Stopped {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(7);
        }
    }

    fn stage(form: Form) -> Stage {
        // Nothing listens on port 1, so the story ends where it asks for the authority.
        Stage {
            url: "http://127.0.0.1:1".to_owned(),
            admin_token: Secret::new("secret".to_owned()),
            data: PathBuf::from("/data"),
            is_kept: true,
            program: PathBuf::from("chancery"),
            clock: Arc::new(Stopped),
            entropy: Arc::new(Stopped),
            form,
        }
    }

    #[tokio::test]
    async fn the_first_step_that_fails_ends_the_story_and_is_printed() {
        let mut out = Vec::new();
        let failure = tell(stage(Form::Plain), &mut out).await.unwrap_err();
        let printed = String::from_utf8(out).unwrap();
        assert_eq!((failure.step, failure.title), (1, "A support desk opens"));
        assert!(printed.contains(" 1  A support desk opens\n"), "{printed}");
        assert!(
            printed.contains("    expected: the state of the record\n    got: cannot reach"),
            "{printed}"
        );
        assert!(
            printed.lines().all(|line| line.chars().count() <= 80),
            "{printed}"
        );

        let mut out = Vec::new();
        tell(stage(Form::Json), &mut out).await.unwrap_err();
        let line: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!((&line["step"], &line["ok"]), (&1.into(), &false.into()));
    }

    #[test]
    fn the_end_names_three_commands_and_tells_no_lies_about_folders() {
        let closed = |is_kept| {
            let (stage, mut out) = (
                Stage {
                    is_kept,
                    ..stage(Form::Plain)
                },
                Vec::new(),
            );
            let mut narrator = Narrator::new(&mut out, &Stopped, Form::Plain);
            close(
                &stage,
                &mut narrator,
                "log+1+key",
                Path::new("/data/record-copy"),
            )
            .unwrap();
            String::from_utf8(out).unwrap()
        };
        let kept = closed(true);
        assert!(
            kept.contains("\n  chancery log verify --dir /data/record-copy --key 'log+1+key'\n"),
            "{kept}"
        );
        let removed = closed(false);
        assert!(
            !removed.contains("--dir") && removed.contains("goes away now"),
            "{removed}"
        );
        for told in [kept, removed] {
            assert_eq!(
                told.lines()
                    .filter(|line| line.starts_with("  chancery "))
                    .count(),
                3,
                "{told}"
            );
        }
    }

    #[test]
    fn digests_are_shortened_and_short_texts_are_not() {
        assert_eq!(short("sha256:0123456789abcdef0123"), "sha256:0123456789ab…");
        assert_eq!(
            short("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"),
            "0ZcOCORZNYy-…"
        );
        assert_eq!(short("agt_1"), "agt_1");
    }

    #[test]
    fn the_agents_document_is_legal_and_grants_four_of_the_six_tools() {
        let document: Document = serde_saphyr::from_str(opening::DOCUMENT).unwrap();
        assert_eq!(document.check(Timestamp::from_secs(1_790_000_000)), Ok(()));
        assert_eq!(document.tools.len(), 4);
        for hidden in ["delete_customer", "export_customers"] {
            assert!(document.tools.iter().all(|grant| grant.tool != hidden));
        }
    }
}
