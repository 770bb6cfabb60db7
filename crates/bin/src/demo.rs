//! The demonstration: an authority on a folder of its own, and the story told against it.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use chancery_cli::roles::{DemoArgs, Place};
use chancery_demo::story::narrator::Form;
use chancery_demo::story::{Stage, tell};

use crate::role;
use crate::world::{OperatingSystem, SystemClock};

/// `chancery demo`: non-zero when any step does not go as it says.
pub(crate) async fn run(args: DemoArgs) -> ExitCode {
    match try_run(&args).await {
        Ok(true) => ExitCode::SUCCESS,
        // The story has said which step it was, and why.
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn try_run(args: &DemoArgs) -> Result<bool> {
    let temporary = tempfile::Builder::new()
        .prefix("chancery-demo-")
        .tempdir()?;
    let data: PathBuf = match &args.keep {
        Some(folder) if folder.exists() => {
            bail!(
                "`{}` exists already; name a folder that does not",
                folder.display()
            )
        }
        Some(folder) => folder.clone(),
        None => temporary.path().to_owned(),
    };
    let place = Place {
        data,
        listen: ([127, 0, 0, 1], 0).into(),
        issuer: None,
        tls_cert: None,
        tls_key: None,
        tls_client_ca: None,
        tls_client_crl: None,
        database: None,
    };
    let running = role::start(&place).await?;
    let stage = Stage {
        url: running.url.clone(),
        admin_token: running.folder.admin_token(&OperatingSystem)?,
        data: running.folder.path().to_owned(),
        is_kept: args.keep.is_some(),
        program: std::env::current_exe().context("our own program cannot be found")?,
        clock: Arc::new(SystemClock::new()),
        entropy: Arc::new(OperatingSystem),
        form: form(args.json),
    };
    let (done, stop) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(running.serve(async move {
        let _told = stop.await;
    }));
    let told = tell(stage, &mut std::io::stdout()).await;
    std::io::stdout().flush()?;
    drop(done);
    serving.await?;
    Ok(told.is_ok())
}

fn form(json: bool) -> Form {
    let is_coloured = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    match (json, is_coloured) {
        (true, _) => Form::Json,
        (false, true) => Form::Coloured,
        (false, false) => Form::Plain,
    }
}
