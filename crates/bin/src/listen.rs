//! The accept loop: limits on every connection before anything is parsed.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_io_timeout::TimeoutWriter;
use tower::Service;

/// Connections at a time; more wait in the kernel's queue.
const CONNECTIONS: usize = 4_096;
/// How long a client may take to send its headers (DOS-02).
const HEADERS: Duration = Duration::from_secs(10);
/// How long a client may take to read any of what it is sent: one that reads nothing gives its connection back (DOS-02).
const STALLED: Duration = Duration::from_secs(60);
/// How long requests in flight may take to end once the process is told to.
const DRAIN: Duration = Duration::from_secs(5);

/// The next connection on any of the listeners.
async fn accept(listeners: &[TcpListener]) -> std::io::Result<(TcpStream, SocketAddr)> {
    poll_fn(|context| {
        let accepted = |listener: &TcpListener| match listener.poll_accept(context) {
            Poll::Ready(accepted) => Some(accepted),
            Poll::Pending => None,
        };
        let accepted = listeners.iter().find_map(accepted);
        accepted.map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

/// Serves `router` until `stop` resolves, then lets what runs end.
pub(crate) async fn serve(
    listeners: Vec<TcpListener>,
    router: Router,
    stop: impl Future<Output = ()>,
) {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .max_buf_size(64 * 1024);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(128)
        .max_header_list_size(64 * 1024)
        .max_pending_accept_reset_streams(Some(32))
        .keep_alive_interval(Some(Duration::from_secs(30)));
    let builder = Arc::new(builder);
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = GracefulShutdown::new();
    tokio::pin!(stop);
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            return;
        };
        let accepted = tokio::select! {
            accepted = accept(&listeners) => accepted,
            () = &mut stop => break,
        };
        let (stream, remote) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors: let some go before asking again.
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a connection was not accepted"
                );
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let _without_delay = stream.set_nodelay(true);
        let router = router.clone();
        let has_asked = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&has_asked);
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            asked.store(true, Ordering::Relaxed);
            // Refusals are counted by who asked.
            request.extensions_mut().insert(ConnectInfo(remote));
            let mut router = router.clone();
            async move {
                Ok::<_, Infallible>(
                    router
                        .call(request.map(Body::new))
                        .await
                        .unwrap_or_else(|never| match never {}),
                )
            }
        });
        let mut stream = TimeoutWriter::new(stream);
        stream.set_timeout(Some(STALLED));
        let connection = builder
            .serve_connection(TokioIo::new(Box::pin(stream)), service)
            .into_owned();
        let watched = graceful.watch(connection);
        tokio::spawn(async move {
            tokio::pin!(watched);
            // The protocol is found out from the first bytes, so until then no other limit holds (DOS-02).
            let in_time = tokio::time::timeout(HEADERS, &mut watched).await;
            // A client that breaks off or sends garbage is its own affair.
            if in_time.is_err() && has_asked.load(Ordering::Relaxed) {
                let _ended = watched.await;
            }
            drop(slot);
        });
    }
    let _drained = tokio::time::timeout(DRAIN, graceful.shutdown()).await;
}
