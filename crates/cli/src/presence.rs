//! Whether the authority of a data folder runs at this moment.

use std::net::SocketAddr;
use std::path::Path;

use chancery_client::address;
use chancery_client::presence::Nonce;
use chancery_client::transport::Transport;
use chancery_model::entropy::Entropy;

use crate::login;

/// An authority that answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// Where.
    pub url: String,
    /// Where it listens for everybody, where that is said.
    pub listen: Option<SocketAddr>,
    /// Its process.
    pub pid: u32,
}

/// The authority that says it serves `data`, if it proves that it does; it is told nothing but a nonce.
pub async fn running(data: &Path, entropy: &dyn Entropy) -> Option<Running> {
    let server = login::published(data).ok()?;
    let base = address::parse(&server.url).ok()?;
    let nonce = Nonce::generate(entropy);
    let proved = server.key.challenge(&Transport::new(), &base, &nonce).await;
    proved.ok().map(|()| Running {
        url: server.url,
        listen: server.listen,
        pid: server.pid,
    })
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use serde_json::json;

    use crate::trial::{Seeded, authority, serve};

    use super::*;

    #[tokio::test]
    async fn an_authority_runs_when_it_proves_that_it_serves_the_folder() {
        let (own, another) = ("A".repeat(43), "B".repeat(42) + "A");
        let (here, _) = authority(&own, |_| ("404 Not Found", Vec::new()));
        let (elsewhere, _) = authority(&another, |_| ("404 Not Found", Vec::new()));
        let stranger = serve(|_| ("200 OK", b"<html>".to_vec()));
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(running(folder.path(), &Seeded).await, None);
        for (url, runs) in [
            (here.as_str(), true),
            (elsewhere.as_str(), false),
            (stranger.as_str(), false),
            ("http://127.0.0.1:9", false),
        ] {
            let path = folder.path().join("server.json");
            let text = json!({"url": url, "pid": 7, "key": own}).to_string();
            std::fs::write(&path, text).expect("written");
            let private = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(&path, private).expect("set");
            let found = running(folder.path(), &Seeded).await;
            let expected = runs.then(|| Running {
                url: url.to_owned(),
                listen: None,
                pid: 7,
            });
            assert_eq!(found, expected, "{url}");
        }
    }
}
