//! Finding the authority: the address and the credential in the data folder, or those of the environment.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use chancery_client::address;
use chancery_client::authority::Authority;
use chancery_model::secret::Secret;
use chancery_wire::json;
use serde::Deserialize;

use crate::args::Login;
use crate::failure::Failure;

/// Where a running authority writes its address.
const SERVER: &str = "server.json";

/// Where it keeps the credential of the local administrator.
const CREDENTIAL: &str = "admin.token";

/// What a running authority says of itself.
#[derive(Debug, Deserialize)]
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) pid: u32,
}

/// The authority that `login` means, ready to be asked.
pub(crate) fn authority(login: &Login) -> Result<Authority, Failure> {
    let url = url(login)?;
    let secret = match &login.token {
        Some(token) => Some(token.clone()),
        None => local_credential(login, &url)?,
    };
    Ok(Authority::at(&url, secret.map(Secret::new))?)
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
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let message = format!("no authority runs on the data folder {}", folder.display());
            return Err(Failure::unreachable(message).with_fix(
                "start one with `chancery up`, name its folder with `--data DIR`, or its address with `--url URL`",
            ));
        }
        Err(error) => return Err(Failure::file("read", &path, &error)),
    };
    json::parse_as(&text, json::BODY).map_err(|error| {
        let message = format!(
            "{} is not what an authority writes: {error}",
            path.display()
        );
        Failure::unreadable(message).with_fix("restart the authority, which writes it anew")
    })
}

/// The credential of the data folder: for the authority of that folder, or for one that was named beside the folder
/// and is on this machine. It is never sent anywhere else.
fn local_credential(login: &Login, url: &str) -> Result<Option<String>, Failure> {
    let meant = login.url.is_none()
        || (login.data_was_named && address::is_loopback(&address::parse(url)?));
    if !meant {
        return Ok(None);
    }
    read_credential(&folder(login)?.join(CREDENTIAL)).map(Some)
}

fn folder(login: &Login) -> Result<&Path, Failure> {
    login.data.as_deref().ok_or_else(|| {
        Failure::unreadable("there is no home folder to look for an authority in")
            .with_fix("name the data folder with `--data DIR`, or an address with `--url URL`")
    })
}

/// Reads a secret that nobody but the file's owner may read.
fn read_credential(path: &Path) -> Result<String, Failure> {
    let failed = |error| Failure::file("read", path, &error);
    let mut file = File::open(path).map_err(|error| {
        failed(error).with_fix(
            "act as a person with CHANCERY_TOKEN, or run the command as the owner of the data folder",
        )
    })?;
    // Asked of the open file, so that what is checked is what is read.
    refuse_when_shared(path, &file.metadata().map_err(failed)?)?;
    let mut text = String::new();
    file.by_ref()
        .take(16 * 1024)
        .read_to_string(&mut text)
        .map_err(failed)?;
    let secret = text.trim();
    if secret.is_empty() {
        return Err(Failure::unreadable(format!("{} is empty", path.display())));
    }
    Ok(secret.to_owned())
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

    #[test]
    fn a_credential_that_others_can_read_is_refused_and_the_fix_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(CREDENTIAL);
        for mode in [0o644, 0o640, 0o604, 0o620, 0o601] {
            write(&path, "secret", mode);
            let refused = read_credential(&path).expect_err("shared").text();
            assert!(
                refused.contains(&format!("chmod 600 {}", path.display())),
                "{refused}"
            );
            assert!(!refused.contains("secret"));
        }
        for mode in [0o600, 0o400] {
            write(&path, "secret\n", mode);
            assert_eq!(read_credential(&path).expect("private"), "secret");
        }
    }

    #[test]
    fn the_local_credential_goes_to_the_local_authority_only() {
        let folder = tempfile::tempdir().expect("a folder");
        write(&folder.path().join(CREDENTIAL), "secret", 0o600);
        write(
            &folder.path().join(SERVER),
            r#"{"url":"http://127.0.0.1:7421","pid":1}"#,
            0o600,
        );
        let here = at(folder.path());
        assert_eq!(url(&here).expect("an address"), "http://127.0.0.1:7421");
        let given = |login: &Login| {
            let url = url(login).expect("an address");
            local_credential(login, &url).expect("readable")
        };
        assert_eq!(given(&here).as_deref(), Some("secret"));
        let beside = |url: &str, data_was_named| Login {
            url: Some(url.to_owned()),
            data_was_named,
            ..here.clone()
        };
        assert_eq!(
            given(&beside("http://127.0.0.1:9", true)).as_deref(),
            Some("secret")
        );
        assert_eq!(given(&beside("http://127.0.0.1:9", false)), None);
        assert_eq!(given(&beside("https://id.example.com", true)), None);
    }

    #[test]
    fn a_folder_without_an_authority_is_unreachable() {
        let folder = tempfile::tempdir().expect("a folder");
        let failure = url(&at(folder.path())).expect_err("nobody");
        assert_eq!(failure.exit, crate::exit::Exit::Unreachable);
        assert!(failure.text().contains("chancery up"));
    }
}
