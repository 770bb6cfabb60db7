//! Finding the authority: the address and the credential in the data folder, or those of the environment.

use std::fs::File;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use chancery_client::address;
use chancery_client::authority::{Authority, Local};
use chancery_client::presence::PresenceKey;
use chancery_model::entropy::Entropy;
use chancery_model::secret::Secret;
use chancery_wire::{json, origin};
use serde::Deserialize;

use crate::args::Login;
use crate::failure::Failure;

/// Where a running authority writes its address, and the key by which it proves that it is there.
const SERVER: &str = "server.json";

/// Where it keeps the credential of the local administrator.
const CREDENTIAL: &str = "admin.token";

/// What a running authority says of itself.
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) pid: u32,
    pub(crate) key: PresenceKey,
}

/// The same, as it is written.
#[derive(Deserialize)]
struct Written {
    url: String,
    #[serde(default)]
    listen: Option<SocketAddr>,
    pid: u32,
    key: String,
}

/// The authority that `login` means, ready to be asked.
pub(crate) fn authority(login: &Login, entropy: &Arc<dyn Entropy>) -> Result<Authority, Failure> {
    if let Some(token) = &login.token {
        return Ok(Authority::at(
            &url(login)?,
            Some(Secret::new(token.clone())),
        )?);
    }
    let Some(server) = local(login)? else {
        return Ok(Authority::at(&url(login)?, None)?);
    };
    let local = Local {
        credential: read_private(&folder(login)?.join(CREDENTIAL))?,
        key: server.key,
        entropy: Arc::clone(entropy),
    };
    Ok(Authority::of_folder(&server.url, local)?)
}

/// The address of the authority.
pub(crate) fn url(login: &Login) -> Result<String, Failure> {
    if let Some(url) = &login.url {
        return Ok(url.clone());
    }
    published(folder(login)?).map(|server| server.url)
}

/// What the authority of `folder` says of itself, or said before it was killed.
pub(crate) fn published(folder: &Path) -> Result<Server, Failure> {
    let path = folder.join(SERVER);
    if !path.exists() {
        let message = format!("no authority runs on the data folder {}", folder.display());
        return Err(Failure::unreachable(message).with_fix(
            "start one with `chancery up`, name its folder with `--data DIR`, or its address with `--url URL`",
        ));
    }
    // Whoever could write another address here could have the credential sent there.
    let text = read_private(&path)?;
    let foreign = |why: String| {
        let message = format!("{} is not what an authority writes: {why}", path.display());
        Failure::unreadable(message).with_fix("restart the authority, which writes it anew")
    };
    let written: Written = json::parse_as(text.expose().as_bytes(), json::BODY)
        .map_err(|error| foreign(error.to_string()))?;
    Ok(Server {
        key: PresenceKey::parse(&written.key).map_err(|error| foreign(error.to_string()))?,
        url: written.url,
        listen: written.listen,
        pid: written.pid,
    })
}

/// The authority that the credential of the data folder is for, when that is the one that is meant: what runs on the
/// folder, also under its address, when that is named beside the folder. It is never sent anywhere else.
fn local(login: &Login) -> Result<Option<Server>, Failure> {
    let Some(named) = &login.url else {
        return published(folder(login)?).map(Some);
    };
    let named = address::parse(named)?;
    if !login.data_was_named || !origin::is_loopback(&named) {
        return Ok(None);
    }
    let server = published(folder(login)?)?;
    let own = address::parse(&server.url)?;
    let is_same = named.port_or_known_default() == own.port_or_known_default()
        && (named.host() == own.host() || named.host_str() == Some("localhost"));
    if is_same {
        return Ok(Some(server));
    }
    let message = format!(
        "the credential of {} is for its own authority, at {}, and not for {named}",
        folder(login)?.display(),
        server.url
    );
    Err(Failure::unreadable(message)
        .with_fix("leave out `--url`, or act as a person with CHANCERY_TOKEN"))
}

fn folder(login: &Login) -> Result<&Path, Failure> {
    login.data.as_deref().ok_or_else(|| {
        Failure::unreadable("there is no home folder to look for an authority in")
            .with_fix("name the data folder with `--data DIR`, or an address with `--url URL`")
    })
}

/// Reads what nobody but the file's owner may read.
fn read_private(path: &Path) -> Result<Secret<String>, Failure> {
    let failed = |error| Failure::file("read", path, &error);
    let file = File::open(path).map_err(|error| {
        failed(error).with_fix(
            "act as a person with CHANCERY_TOKEN, or run the command as the owner of the data folder",
        )
    })?;
    // Asked of the open file, so that what is checked is what is read.
    refuse_when_shared(path, &file.metadata().map_err(failed)?)?;
    let mut text = Secret::new(String::new());
    file.take(16 * 1024)
        .read_to_string(text.expose_mut())
        .map_err(failed)?;
    let secret = Secret::new(text.expose().trim().to_owned());
    if secret.expose().is_empty() {
        return Err(Failure::unreadable(format!("{} is empty", path.display())));
    }
    Ok(secret)
}

#[cfg(unix)]
fn refuse_when_shared(path: &Path, metadata: &std::fs::Metadata) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let path = path.display();
    let message = format!("{path} can be read by others (mode {mode:03o}), so it proves nothing");
    Err(Failure::unreadable(message).with_fix(format!("chmod 600 {path}")))
}

#[cfg(not(unix))]
fn refuse_when_shared(_: &Path, _: &std::fs::Metadata) -> Result<(), Failure> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn write(path: &Path, text: &str, mode: u32) {
        std::fs::write(path, text).expect("written");
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(path, permissions).expect("set");
    }

    fn at(folder: &Path) -> Login {
        Login {
            data: Some(folder.to_owned()),
            data_was_named: true,
            url: None,
            token: None,
        }
    }

    const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    fn server(url: &str) -> String {
        format!(r#"{{"url":"{url}","pid":1,"key":"{KEY}"}}"#)
    }

    #[test]
    fn what_others_can_read_is_refused_and_the_fix_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(CREDENTIAL);
        let read = || read_private(&path);
        for mode in [0o644, 0o640, 0o604, 0o620, 0o601] {
            write(&path, "secret", mode);
            let refused = read().expect_err("shared").text();
            assert!(
                refused.contains(&format!("chmod 600 {}", path.display())),
                "{refused}"
            );
            assert!(!refused.contains("secret"));
        }
        for mode in [0o600, 0o400] {
            write(&path, "secret\n", mode);
            assert_eq!(read().expect("private").expose(), "secret");
        }
        let whereabouts = folder.path().join(SERVER);
        write(&whereabouts, &server("http://127.0.0.1:7421"), 0o644);
        assert!(published(folder.path()).is_err());
        write(&whereabouts, &server("http://127.0.0.1:7421"), 0o600);
        assert!(published(folder.path()).is_ok());
    }

    #[test]
    fn the_local_credential_goes_to_the_local_authority_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let own = "http://127.0.0.1:7421";
        write(&folder.path().join(SERVER), &server(own), 0o600);
        let here = at(folder.path());
        assert_eq!(url(&here).expect("an address"), own);
        let given = |login: &Login| {
            local(login)
                .map(|server| server.map(|server| server.url))
                .map_err(|failure| failure.text())
        };
        assert_eq!(given(&here), Ok(Some(own.to_owned())));
        let beside = |url: &str, data_was_named| Login {
            url: Some(url.to_owned()),
            data_was_named,
            ..here.clone()
        };
        for same in [own, "http://127.0.0.1:7421/", "http://localhost:7421"] {
            assert_eq!(
                given(&beside(same, true)),
                Ok(Some(own.to_owned())),
                "{same}"
            );
            assert_eq!(given(&beside(same, false)), Ok(None), "{same}");
        }
        for other in [
            "http://127.0.0.1:9",
            "http://[::1]:7421",
            "http://localhost:9",
        ] {
            let refused = given(&beside(other, true)).expect_err("another authority");
            assert!(refused.contains("leave out `--url`"), "{refused}");
        }
        assert_eq!(given(&beside("https://id.example.com", true)), Ok(None));
    }

    #[test]
    fn whereabouts_without_a_key_are_not_believed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(SERVER);
        for text in [
            r#"{"url":"http://127.0.0.1:7421","pid":1}"#.to_owned(),
            server("http://127.0.0.1:7421").replace(KEY, "short"),
            String::new(),
        ] {
            write(&path, &text, 0o600);
            assert!(published(folder.path()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_folder_without_an_authority_is_unreachable() {
        let folder = tempfile::tempdir().expect("a folder");
        let failure = url(&at(folder.path())).expect_err("nobody");
        assert_eq!(failure.exit, crate::exit::Exit::Unreachable);
        assert!(failure.text().contains("chancery up"));
    }

    /// What took over the port of an authority that was killed gets to see a nonce, and nothing of the folder.
    #[test]
    fn a_process_on_the_port_of_one_that_was_killed_is_not_sent_the_credential() {
        use crate::trial::{kept, run};

        let folder = tempfile::tempdir().expect("a folder");
        write(&folder.path().join(CREDENTIAL), "chl_secret", 0o600);
        let login = r#"{"kind":"local_administrator","id":"local-administrator"}"#;
        let (fake, asked) = kept(move |_| ("200 OK", login.into()));
        write(&folder.path().join(SERVER), &server(&fake), 0o600);
        let data = folder.path().display();
        for line in [
            format!("chancery --data {data} whoami"),
            format!("chancery --data {data} --url {fake} whoami"),
            format!("chancery --data {data} agent list --json"),
        ] {
            let ended = run(&line);
            assert_eq!(ended.code, 3, "{line}: {}{}", ended.out, ended.err);
            assert!(ended.err.contains("chancery up"), "{}", ended.err);
        }
        let asked = asked.lock().expect("a lock");
        assert_eq!(asked.len(), 3);
        for request in asked.iter() {
            assert!(
                request.starts_with("GET /.well-known/chancery/presence?nonce="),
                "{request}"
            );
            assert!(!request.contains("chl_secret"), "{request}");
        }
    }

    #[test]
    fn the_authority_of_the_folder_is_sent_the_credential_once_it_has_proved_itself() {
        use crate::trial::{authority, run};

        let folder = tempfile::tempdir().expect("a folder");
        write(&folder.path().join(CREDENTIAL), "chl_secret", 0o600);
        let login = r#"{"kind":"local_administrator","id":"local-administrator"}"#;
        let (url, asked) = authority(KEY, move |_| ("200 OK", login.into()));
        write(&folder.path().join(SERVER), &server(&url), 0o600);
        let ended = run(&format!(
            "chancery --data {} whoami",
            folder.path().display()
        ));
        assert_eq!(ended.code, 0, "{}", ended.err);
        let asked = asked.lock().expect("a lock");
        assert_eq!(asked.len(), 2);
        assert!(!asked[0].contains("chl_secret"), "{}", asked[0]);
        assert!(
            asked[1].contains("authorization: Bearer chl_secret"),
            "{}",
            asked[1]
        );
    }
}
