//! Finds what is wrong with an installation, and says the fix.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use chancery_cli::roles::{DoctorArgs, Place};
use chancery_gateway::probe;
use chancery_gateway::upstream::Reach;
use chancery_model::mcp::McpServer;
use chancery_store::connect::{DatabaseUrl, Store};
use chancery_store::error::StoreError;
use chancery_store::mcp_servers;
use serde_json::{Value, json};

use crate::data::DataFolder;
use crate::role;

/// One thing that was looked at.
struct Finding {
    what: &'static str,
    is_well: bool,
    found: String,
    fix: Option<String>,
}

impl Finding {
    fn well(what: &'static str, found: impl Into<String>) -> Self {
        Self {
            what,
            is_well: true,
            found: found.into(),
            fix: None,
        }
    }

    fn ill(what: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            what,
            is_well: false,
            found: found.into(),
            fix: Some(fix.into()),
        }
    }
}

/// `chancery doctor`: 0 when all is well, 1 when something is not.
pub(crate) async fn run(args: DoctorArgs) -> ExitCode {
    let findings = examine(&args.place).await;
    let is_well = findings.iter().all(|finding| finding.is_well);
    if args.json {
        let each: Vec<Value> = findings
            .iter()
            .map(|finding| {
                json!({"check": finding.what, "ok": finding.is_well, "found": finding.found, "fix": finding.fix})
            })
            .collect();
        println!("{}", json!({"ok": is_well, "findings": each}));
    } else {
        for finding in &findings {
            println!(
                "{}  {:<10} {}",
                if finding.is_well { "ok  " } else { "FAIL" },
                finding.what,
                finding.found
            );
            if let Some(fix) = &finding.fix {
                println!("      fix: {fix}");
            }
        }
    }
    if is_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

async fn examine(place: &Place) -> Vec<Finding> {
    let mut findings = vec![
        clock(&place.data),
        folder(&place.data),
        port(place.listen).await,
    ];
    let Ok(folder) = DataFolder::open(&place.data) else {
        return findings;
    };
    findings.push(secrets(folder.path()));
    let servers = match role::database(place, &folder) {
        Ok(url) => {
            let (finding, servers) = database(&url).await;
            findings.push(finding);
            servers
        }
        Err(error) => {
            findings.push(Finding::ill(
                "database",
                error.to_string(),
                "give `sqlite:PATH` or `postgres://…`",
            ));
            Vec::new()
        }
    };
    for server in &servers {
        findings.push(upstream(server).await);
    }
    findings
}

/// A clock behind the newest file that we wrote has been set back.
fn clock(data: &Path) -> Finding {
    const WHAT: &str = "clock";
    let now = SystemTime::now();
    let year = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
        / 31_556_952
        + 1970;
    if !(2026..2100).contains(&year) {
        return Finding::ill(
            WHAT,
            format!("the clock says the year {year}"),
            "set the clock, and keep it with NTP",
        );
    }
    let newest = fs::read_dir(data)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.metadata().ok()?.modified().ok())
        .max();
    match newest.and_then(|newest| newest.duration_since(now).ok()) {
        Some(ahead) if ahead > Duration::from_secs(60) => Finding::ill(
            WHAT,
            format!(
                "the data folder was written {} s in the future: the clock went back",
                ahead.as_secs()
            ),
            "set the clock, and keep it with NTP",
        ),
        Some(_) | None => Finding::well(WHAT, "the clock is plausible"),
    }
}

fn folder(data: &Path) -> Finding {
    const WHAT: &str = "folder";
    if !data.exists() {
        return Finding::well(
            WHAT,
            format!("`{}` will be made at the first start", data.display()),
        );
    }
    let probe = data.join(".doctor");
    let written = fs::write(&probe, b"x").and_then(|()| fs::remove_file(&probe));
    match written {
        Ok(()) => Finding::well(WHAT, format!("`{}` can be written", data.display())),
        Err(error) => Finding::ill(
            WHAT,
            format!("`{}` cannot be written: {error}", data.display()),
            format!(
                "free space, or run `chown -R $USER {0} && chmod 700 {0}`",
                data.display()
            ),
        ),
    }
}

async fn port(address: SocketAddr) -> Finding {
    const WHAT: &str = "port";
    match tokio::net::TcpListener::bind(address).await {
        Ok(_) => Finding::well(WHAT, format!("`{address}` is free")),
        Err(error) => Finding::ill(
            WHAT,
            format!("`{address}` cannot be listened on: {error}"),
            "stop what listens there (perhaps a running authority), or give another with `--listen`",
        ),
    }
}

fn secrets(data: &Path) -> Finding {
    const WHAT: &str = "secrets";
    for name in ["master.key", "admin.token", "chancery.db"] {
        let path = data.join(name);
        let Ok(metadata) = fs::metadata(&path) else {
            continue;
        };
        let is_private = metadata.permissions().mode() & 0o077 == 0;
        if !is_private && name != "chancery.db" {
            let found = format!("`{}` can be read by others", path.display());
            return Finding::ill(WHAT, found, format!("chmod 600 {}", path.display()));
        }
        if metadata.len() == 0 {
            let found = format!("`{}` is empty", path.display());
            return Finding::ill(WHAT, found, "restore it from a backup");
        }
    }
    Finding::well(
        WHAT,
        "keys and credentials are readable by their owner alone",
    )
}

async fn database(url: &DatabaseUrl) -> (Finding, Vec<McpServer>) {
    const WHAT: &str = "database";
    if matches!(url, DatabaseUrl::Sqlite(path) if !path.exists()) {
        return (
            Finding::well(WHAT, "a new one will be made at the first start"),
            Vec::new(),
        );
    }
    let store = match Store::open(url).await {
        Ok(store) => store,
        Err(error @ StoreError::NewerSchema { .. }) => {
            let finding = Finding::ill(
                WHAT,
                error.to_string(),
                "run the newer program, or restore an older backup",
            );
            return (finding, Vec::new());
        }
        Err(error) => {
            let why = std::error::Error::source(&error)
                .map(|source| format!(": {source}"))
                .unwrap_or_default();
            let fix = "start the database, or correct `--database`";
            return (Finding::ill(WHAT, format!("{error}{why}"), fix), Vec::new());
        }
    };
    let read = async {
        let mut tx = store.read().await?;
        mcp_servers::list(&mut tx, "", 500).await
    };
    match read.await {
        Ok(servers) => (
            Finding::well(WHAT, "opens, with the present schema"),
            servers,
        ),
        Err(error) => (
            Finding::ill(WHAT, error.to_string(), "restore from a backup"),
            Vec::new(),
        ),
    }
}

async fn upstream(server: &McpServer) -> Finding {
    const WHAT: &str = "upstream";
    let reach = Reach::new([]);
    match probe::probe(&reach, &server.upstream).await {
        Ok(probed) => Finding::well(
            WHAT,
            format!(
                "`{}` answers with {} tools",
                server.name,
                probed.tools.len()
            ),
        ),
        Err(error) => Finding::ill(
            WHAT,
            format!("`{}`: {error}", server.name),
            format!(
                "start the server, or run `chancery mcp remove {}`",
                server.name
            ),
        ),
    }
}
