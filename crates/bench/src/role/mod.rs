//! The servers that stand for a limit: each does the least that its kind of work needs.

mod echo;
mod proxy;
pub(crate) mod upstream;

use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;

use anyhow::Result;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::spawn_local;

/// A server of ours.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Role {
    /// Answers each request with its own body.
    Echo,
    /// Hands each request on and its answer back, and looks at neither.
    Proxy {
        /// Where to.
        to: SocketAddr,
    },
    /// An MCP server with one tool that does nothing.
    Upstream,
}

/// Serves until the process is ended.
pub(crate) async fn run(role: Role) -> Result<()> {
    match role {
        Role::Echo => serve(echo::answer).await,
        Role::Proxy { to } => {
            let upstream = std::rc::Rc::new(proxy::Upstream::new(to));
            serve(move |request| std::rc::Rc::clone(&upstream).answer(request)).await
        }
        Role::Upstream => serve(upstream::answer).await,
    }
}

/// The bare accept loop: one thread, HTTP/1.1, nothing in front of the handler.
async fn serve<H, A>(handler: H) -> Result<()>
where
    H: Fn(Request<Incoming>) -> A + Clone + 'static,
    A: Future<Output = Result<Response<Full<Bytes>>>> + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let mut out = std::io::stdout();
    writeln!(out, "{}", serde_json::json!({"ready": true, "url": url}))?;
    out.flush()?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let handler = handler.clone();
        let service = service_fn(move |request| {
            let answering = handler(request);
            async move { Ok::<_, Infallible>(answering.await.unwrap_or_else(failed)) }
        });
        let connection = http1::Builder::new()
            .pipeline_flush(true)
            .serve_connection(TokioIo::new(stream), service);
        spawn_local(async move {
            // A client that goes away is its own affair.
            let _ended = connection.await;
        });
    }
}

fn failed(error: anyhow::Error) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(format!("{error:#}"))));
    *response.status_mut() = http::StatusCode::BAD_GATEWAY;
    response
}
