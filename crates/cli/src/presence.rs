//! Whether the authority of a data folder runs at this moment.

use std::path::Path;

use chancery_client::authority::Authority;
use chancery_client::error::ClientError;

use crate::login;

/// An authority that answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// Where.
    pub url: String,
    /// Its process.
    pub pid: u32,
}

/// The authority that says it serves `data`, if its process lives and it answers as an authority does.
///
/// It is asked without a credential: what listens at that address now may be somebody else.
pub async fn running(data: &Path) -> Option<Running> {
    let server = login::published(data).ok()?;
    if is_gone(server.pid) {
        return None;
    }
    let asked = Authority::at(&server.url, None).ok()?.whoami().await;
    match asked {
        Ok(_) | Err(ClientError::Refused(_)) => Some(Running {
            url: server.url,
            pid: server.pid,
        }),
        Err(
            ClientError::Unreachable { .. }
            | ClientError::NotOurs { .. }
            | ClientError::BadAddress { .. }
            | ClientError::BadName(_),
        ) => None,
    }
}

/// Whether the process is known to be gone; where there is no `/proc`, nothing is known.
fn is_gone(pid: u32) -> bool {
    Path::new("/proc/self").exists() && !Path::new(&format!("/proc/{pid}")).exists()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::trial::serve;

    use super::*;

    #[tokio::test]
    async fn an_authority_runs_when_its_process_lives_and_it_answers_as_one() {
        let problem = json!({"status": 401, "code": "unauthenticated", "title": "log in"});
        let authority = serve(move |_| ("401 Unauthorized", problem.to_string().into()));
        let stranger = serve(|_| ("200 OK", b"<html>".to_vec()));
        let us = std::process::id();
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(running(folder.path()).await, None);
        for (url, pid, runs) in [
            (authority.as_str(), us, true),
            (authority.as_str(), u32::MAX, false),
            (stranger.as_str(), us, false),
            ("http://127.0.0.1:9", us, false),
        ] {
            let text = json!({"url": url, "pid": pid}).to_string();
            std::fs::write(folder.path().join("server.json"), text).expect("written");
            let found = running(folder.path()).await;
            let expected = runs.then(|| Running {
                url: url.to_owned(),
                pid,
            });
            assert_eq!(found, expected, "{url} {pid}");
        }
    }
}
