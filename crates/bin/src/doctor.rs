//! Finds what is wrong with an installation, and says the fix.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use chancery_cli::presence;
use chancery_cli::roles::{DoctorArgs, Place};
use chancery_gateway::probe;
use chancery_gateway::upstream::Reach;
use chancery_model::mcp::McpServer;
use chancery_model::time::Clock;
use chancery_store::connect::{DatabaseUrl, SchemaState, Store};
use chancery_store::mcp_servers;
use chancery_wire::{certificate, origin};
use serde_json::{Value, json};

use crate::world::{OperatingSystem, SystemClock};
use crate::{role, tls};

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
    let mut findings = vec![clock(&place.data), folder(&place.data), port(place).await];
    findings.extend(of_tls(place));
    if place.database.is_none() && !place.data.exists() {
        return findings;
    }
    findings.push(secrets(&place.data));
    let servers = match role::database(place, &place.data) {
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
    let is_open = fs::metadata(data).is_ok_and(|found| found.permissions().mode() & 0o077 != 0);
    if is_open {
        let found = format!("`{}` can be read by others", data.display());
        return Finding::ill(WHAT, found, format!("chmod 700 {}", data.display()));
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

async fn port(place: &Place) -> Finding {
    const WHAT: &str = "port";
    let address = place.listen;
    let Err(error) = tokio::net::TcpListener::bind(address).await else {
        return Finding::well(WHAT, format!("`{address}` is free"));
    };
    match presence::running(&place.data, &OperatingSystem).await {
        Some(running) if running.listen == Some(address) => {
            let found = format!(
                "the authority runs here: `{address}`, process {}",
                running.pid
            );
            Finding::well(WHAT, found)
        }
        Some(_) | None => Finding::ill(
            WHAT,
            format!("`{address}` cannot be listened on: {error}"),
            "stop what listens there (perhaps the authority of another data folder), or give another with `--listen`",
        ),
    }
}

/// How long before its end a certificate is to be renewed at the latest.
const RENEW_BEFORE: Duration = Duration::from_secs(7 * 86_400);

/// The certificate of TLS, where one was named: read as at a start, and held to the public name.
fn of_tls(place: &Place) -> Option<Finding> {
    const WHAT: &str = "tls";
    let files = tls::Files::of(place)?;
    let now = SystemClock::new().now();
    let loaded = match files.load(now) {
        Ok(loaded) => loaded,
        Err(error) => {
            let fix =
                "give a certificate with its chain, and its key, both in PEM and in their time";
            return Some(Finding::ill(WHAT, format!("{error:#}"), fix));
        }
    };
    let until = loaded.validity.until;
    let host = place.issuer.as_deref().and_then(origin::host_of);
    if let Some(host) = host.filter(|host| !certificate::is_of_server(&loaded.certificate, host)) {
        return Some(Finding::ill(
            WHAT,
            format!("the certificate is not one of `{host}`"),
            "have one issued for the name in `--issuer`",
        ));
    }
    let key = files.key();
    if fs::metadata(key).is_ok_and(|found| found.permissions().mode() & 0o077 != 0) {
        return Some(Finding::ill(
            WHAT,
            format!("`{}` can be read by others", key.display()),
            format!("chmod 600 {}", key.display()),
        ));
    }
    let days = until.since(now).as_secs() / 86_400;
    Some(if until <= now.after(RENEW_BEFORE) {
        Finding::ill(
            WHAT,
            format!("the certificate ends in {days} days"),
            "renew it; the running process reads it again by itself",
        )
    } else {
        Finding::well(WHAT, format!("the certificate is good for {days} days"))
    })
}

fn secrets(data: &Path) -> Finding {
    const WHAT: &str = "secrets";
    const DATABASE: [&str; 2] = ["chancery.db", "chancery.db-entries"];
    for name in ["master.key", "admin.token", "server.json"]
        .iter()
        .chain(&DATABASE)
    {
        let path = data.join(name);
        let Ok(metadata) = fs::metadata(&path) else {
            continue;
        };
        let is_private = metadata.permissions().mode() & 0o077 == 0;
        if !is_private && !DATABASE.contains(name) {
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
    let store = match Store::open_as_it_is(url).await {
        Ok((store, SchemaState::Present)) => store,
        Ok((_, SchemaState::Empty)) => {
            let found = "opens, and has no schema yet: the first start makes it";
            return (Finding::well(WHAT, found), Vec::new());
        }
        Ok((_, SchemaState::Other { found, known })) => {
            return (other_schema(found, known), Vec::new());
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

fn other_schema(found: i64, known: i64) -> Finding {
    let fix = if found < known {
        "make a backup, then start the authority once: it brings the schema up to date"
    } else {
        "run the newer program, or restore an older backup"
    };
    let found = format!("has schema {found}, and this program writes schema {known}");
    Finding::ill("database", found, fix)
}

async fn upstream(server: &McpServer) -> Finding {
    const WHAT: &str = "upstream";
    let reach = Reach::new(role::environment());
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

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use chancery_client::presence::PresenceKey;
    use chancery_model::mcp::Upstream;
    use chancery_model::time::Timestamp;
    use tokio::net::TcpListener;

    use super::*;
    use crate::data::DataFolder;
    use crate::listen;

    fn place(data: &Path, listen: SocketAddr) -> Place {
        Place {
            data: data.to_owned(),
            listen,
            issuer: None,
            tls_cert: None,
            tls_key: None,
            tls_client_ca: None,
            tls_client_crl: None,
            database: None,
        }
    }

    /// A server of the legacy era that needs to know its home; it names no tools.
    const SERVER: &str = r#"#!/bin/sh
[ -n "$HOME" ] && [ -n "$PATH" ] || exit 1
while read -r line; do
  case "$line" in *'"id":'*) ;; *) continue ;; esac
  id=${line#*'"id":'}; id=${id%%,*}
  case "$line" in
    *'"initialize"'*) answer='"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"s","version":"1"}}' ;;
    *'"tools/list"'*) answer='"result":{"tools":[]}' ;;
    *) answer='"error":{"code":-32601,"message":"unknown"}' ;;
  esac
  printf '{"jsonrpc":"2.0","id":%s,%s}\n' "$id" "$answer"
done
"#;

    #[tokio::test]
    async fn a_server_process_is_probed_with_the_environment_that_the_gateway_gives_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("server");
        fs::write(&path, SERVER).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("set");
        let server = McpServer {
            id: "rsc_01hzy0000000000000000000aa".parse().expect("an id"),
            name: "files".to_owned(),
            upstream: Upstream::Stdio {
                command: path.display().to_string(),
                args: Vec::new(),
            },
            bearer_until: None,
            sign_in: Default::default(),
            created_at: Timestamp::from_secs(0),
            removed_at: None,
            revision: 1,
            tools: Vec::new(),
        };
        let finding = upstream(&server).await;
        assert!(finding.is_well, "{}", finding.found);
        assert_eq!(finding.found, "`files` answers with 0 tools");
    }

    #[tokio::test]
    async fn looking_makes_neither_a_folder_nor_a_schema() {
        let folder = tempfile::tempdir().expect("a folder");
        let absent = folder.path().join("absent");
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let findings = examine(&place(&absent, anywhere)).await;
        assert!(findings.iter().all(|finding| finding.is_well));
        assert!(!absent.exists());

        let url = DatabaseUrl::Sqlite(folder.path().join("old.db"));
        fs::write(folder.path().join("old.db"), b"").expect("written");
        let (finding, _) = database(&url).await;
        assert!(finding.is_well, "{}", finding.found);
        let (_, state) = Store::open_as_it_is(&url).await.expect("opens");
        assert_eq!(state, SchemaState::Empty);

        Store::open(&url).await.expect("opens");
        let (finding, _) = database(&url).await;
        assert_eq!(finding.found, "opens, with the present schema");
    }

    #[test]
    fn another_schema_is_a_finding_with_its_fix() {
        let check = |found, known, expected: &str| {
            let finding = other_schema(found, known);
            assert!(!finding.is_well);
            let fix = finding.fix.expect("a fix");
            assert!(fix.contains(expected), "{fix}");
        };
        check(1, 2, "start the authority once");
        check(3, 2, "run the newer program");
    }

    /// A process that serves a data folder, until the test ends; with its key as it stands in such a folder.
    async fn authority() -> (SocketAddr, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let key = PresenceKey::generate(&OperatingSystem);
        let text = key.to_text().expose().clone();
        let router = crate::presence::router(key, address);
        let listener = listen::Listener {
            tcp: listener,
            tls: None,
        };
        tokio::spawn(listen::serve(
            vec![listener],
            router,
            std::future::pending(),
        ));
        (address, text)
    }

    #[tokio::test]
    async fn an_authority_of_this_folder_on_the_port_is_no_failure() {
        let outside = tempfile::tempdir().expect("a folder");
        let folder = DataFolder::open(&outside.path().join("data")).expect("made");
        let (here, key) = authority().await;
        let (elsewhere, other_key) = authority().await;
        let publish = |address: SocketAddr, key: &str| {
            let text = json!({
                "url": format!("http://{address}"), "listen": address, "pid": 7, "key": key,
            });
            let published = folder.publish("server.json", &text.to_string());
            published.expect("written");
        };
        assert!(!port(&place(folder.path(), here)).await.is_well);
        publish(here, &key);
        let finding = port(&place(folder.path(), here)).await;
        assert!(finding.is_well, "{}", finding.found);
        assert!(
            finding.found.contains("the authority runs here"),
            "{}",
            finding.found
        );
        publish(here, &other_key);
        assert!(!port(&place(folder.path(), here)).await.is_well);
        publish(elsewhere, &other_key);
        assert!(!port(&place(folder.path(), here)).await.is_well);
    }

    #[tokio::test]
    async fn looking_leaves_an_open_folder_as_it_is_and_says_how_to_close_it() {
        let outside = tempfile::tempdir().expect("a folder");
        let path = outside.path().join("open");
        fs::create_dir(&path).expect("made");
        for (mode, is_well) in [(0o755, false), (0o700, true)] {
            let wanted = fs::Permissions::from_mode(mode);
            fs::set_permissions(&path, wanted.clone()).expect("set");
            let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
            let findings = examine(&place(&path, anywhere)).await;
            let finding = findings.iter().find(|finding| finding.what == "folder");
            let finding = finding.expect("it was looked at");
            assert_eq!(finding.is_well, is_well, "{}", finding.found);
            let fix = format!("chmod 700 {}", path.display());
            assert_eq!(finding.fix, (!is_well).then_some(fix));
            let found = fs::metadata(&path).expect("it is there").permissions();
            assert_eq!(found.mode() & 0o777, mode);
        }
    }
}
