//! Which key of the log is believed, and who vouches for it.

use std::path::Path;

use chancery_client::authority::Authority;
use chancery_ledger::note::NoteVerifier;

use crate::documents::read_within;
use crate::failure::Failure;
use crate::session::Session;

/// The file that holds the verifier key of a log, in a data folder and in a copy.
pub(super) const KEY_FILE: &str = "log.key";

/// A verifier key, and whether it came from elsewhere than what it verifies.
pub(super) struct Trust {
    pub(super) verifier: NoteVerifier,
    pub(super) pinned: bool,
    /// Where it came from, in words.
    pub(super) source: String,
}

/// The key on the command line, or the one in the data folder of the authority that is meant.
pub(super) fn pinned(
    session: &Session,
    named: Option<&NoteVerifier>,
) -> Result<Option<Trust>, Failure> {
    if let Some(verifier) = named {
        return Ok(Some(Trust {
            verifier: verifier.clone(),
            pinned: true,
            source: "`--key`".to_owned(),
        }));
    }
    let login = &session.login;
    // The data folder vouches for its own authority, not for one that only `--url` names.
    let folder = login.data.as_deref();
    let folder = folder.filter(|_| login.url.is_none() || login.data_was_named);
    let Some(folder) = folder else {
        return Ok(None);
    };
    Ok(from_file(&folder.join(KEY_FILE))?.map(|verifier| Trust {
        verifier,
        pinned: true,
        source: folder.join(KEY_FILE).display().to_string(),
    }))
}

/// A key that came with what it verifies: it tells accidents, not forgeries.
pub(super) fn unpinned(session: &Session, verifier: NoteVerifier, source: String) -> Trust {
    session.output.remark(&format!(
        "warning: the key of the log comes from {source}, and nothing vouches for it\n\
         fix: give the key that you know with `--key`"
    ));
    Trust {
        verifier,
        pinned: false,
        source,
    }
}

/// The key that a log tells of itself, at `/log/key`.
pub(super) async fn told(session: &Session, authority: &Authority) -> Result<Trust, Failure> {
    let unreadable = |why: &str| Failure::unreadable(format!("the log's own key: {why}"));
    let told = authority.log_file("key").await?;
    let told = told.ok_or_else(|| unreadable("there is none"))?;
    let verifier = parse(String::from_utf8_lossy(&told).trim()).map_err(|why| unreadable(&why))?;
    Ok(unpinned(session, verifier, "the log itself".to_owned()))
}

/// The key in a file; `None` when there is no such file.
pub(super) fn from_file(path: &Path) -> Result<Option<NoteVerifier>, Failure> {
    if !path.exists() {
        return Ok(None);
    }
    let text = read_within(path, 4096)?;
    let text = String::from_utf8_lossy(&text);
    parse(text.trim())
        .map(Some)
        .map_err(|why| Failure::unreadable(format!("{}: {why}", path.display())))
}

/// Parses a verifier key, `name+id+key`.
pub(super) fn parse(text: &str) -> Result<NoteVerifier, String> {
    text.parse::<NoteVerifier>()
        .map_err(|error| error.to_string())
}
