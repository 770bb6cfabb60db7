//! The peer: npm `oidc-provider`, configured to do what our token endpoint does.

use anyhow::{Context, Result};
use chancery_wire::jwk::PrivateKey;

use crate::bench;
use crate::child::Server;
use crate::cores::Side;
use crate::signing::{TokenEndpoint, for_itself};

/// The running peer.
pub(super) struct Peer {
    /// The process.
    pub(super) server: Server,
    /// Its token endpoint.
    pub(super) endpoint: TokenEndpoint,
}

/// The client that its script registers.
const CLIENT: &str = "bench-agent";

/// Starts it with one client, whose key is `key`.
pub(super) async fn start(peer: &bench::Peer, key: &PrivateKey) -> Result<Peer> {
    let script = peer.script.to_str().context("a path that is not text")?;
    let jwk = key.public().to_jwk().to_string();
    let server = Server::start(Side::Server, &peer.node, &[script, CLIENT, &jwk]).await?;
    let endpoint = TokenEndpoint {
        address: server.address,
        path: "/token",
        audience: format!("http://{}", server.address),
        client_id: CLIENT.to_owned(),
        asks: for_itself("https://api.example.com"),
    };
    Ok(Peer { server, endpoint })
}
