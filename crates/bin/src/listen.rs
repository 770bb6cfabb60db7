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
use chancery_wire::certificate::PeerCertificate;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_io_timeout::TimeoutWriter;
use tokio_rustls::TlsAcceptor;
use tower::Service;

/// Connections at a time; more wait in the kernel's queue.
const CONNECTIONS: usize = 4_096;
/// How long a client may take to shake hands (DOS-02).
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a client may take to send its headers (DOS-02).
const HEADERS: Duration = Duration::from_secs(10);
/// How long a client may take to read any of what it is sent: one that reads nothing gives its connection back (DOS-02).
const STALLED: Duration = Duration::from_secs(60);
/// How long requests in flight may take to end once the process is told to.
const DRAIN: Duration = Duration::from_secs(5);

/// Where connections come in.
pub(crate) struct Listener {
    pub(crate) tcp: TcpListener,
    /// What they are opened with; plain HTTP when absent.
    pub(crate) tls: Option<watch::Receiver<Arc<ServerConfig>>>,
}

/// A connection that came in.
struct Incoming {
    stream: TcpStream,
    remote: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
}

/// The next connection on any of the listeners.
async fn accept(listeners: &[Listener]) -> std::io::Result<Incoming> {
    poll_fn(|context| {
        let accepted = |listener: &Listener| match listener.tcp.poll_accept(context) {
            Poll::Ready(accepted) => Some(accepted.map(|(stream, remote)| Incoming {
                stream,
                remote,
                tls: listener.tls.as_ref().map(|tls| Arc::clone(&tls.borrow())),
            })),
            Poll::Pending => None,
        };
        let accepted = listeners.iter().find_map(accepted);
        accepted.map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

/// Serves `router` until `stop` resolves, then lets what runs end.
pub(crate) async fn serve(
    listeners: Vec<Listener>,
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
        let incoming = match accepted {
            Ok(incoming) => incoming,
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
        let _without_delay = incoming.stream.set_nodelay(true);
        let mut stream = TimeoutWriter::new(incoming.stream);
        stream.set_timeout(Some(STALLED));
        let stream = Box::pin(stream);
        let conversation = Conversation {
            builder: Arc::clone(&builder),
            router: router.clone(),
            remote: incoming.remote,
            watcher: graceful.watcher(),
        };
        tokio::spawn(async move {
            match incoming.tls {
                None => conversation.hold(stream, None).await,
                Some(tls) => conversation.hold_over_tls(stream, tls).await,
            }
            drop(slot);
        });
    }
    let _drained = tokio::time::timeout(DRAIN, graceful.shutdown()).await;
}

/// What a connection is answered by.
struct Conversation {
    builder: Arc<auto::Builder<TokioExecutor>>,
    router: Router,
    remote: SocketAddr,
    watcher: Watcher,
}

impl Conversation {
    /// Shakes hands first, in its time; the certificate of the client goes with each of its requests.
    async fn hold_over_tls<I>(self, stream: I, tls: Arc<ServerConfig>)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let shaking = TlsAcceptor::from(tls).accept(stream);
        let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, shaking).await else {
            return;
        };
        let (_, session) = stream.get_ref();
        let shown = session.peer_certificates().map(|chain| {
            PeerCertificate::of_handshake(chain.iter().map(|certificate| certificate.to_vec()))
        });
        // The handshake took no chain that cannot be one.
        let Ok(peer) = shown.transpose() else { return };
        self.hold(stream, peer).await;
    }

    /// Answers until the connection ends.
    async fn hold<I>(self, stream: I, peer: Option<PeerCertificate>)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self {
            builder,
            router,
            remote,
            watcher,
        } = self;
        let has_asked = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&has_asked);
        let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
            asked.store(true, Ordering::Relaxed);
            // Refusals are counted by who asked.
            request.extensions_mut().insert(ConnectInfo(remote));
            if let Some(peer) = &peer {
                request.extensions_mut().insert(peer.clone());
            }
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
        let connection = builder
            .serve_connection(TokioIo::new(stream), service)
            .into_owned();
        let watched = watcher.watch(connection);
        tokio::pin!(watched);
        // The protocol is found out from the first bytes, so until then no other limit holds (DOS-02).
        let in_time = tokio::time::timeout(HEADERS, &mut watched).await;
        // A client that breaks off or sends garbage is its own affair.
        if in_time.is_err() && has_asked.load(Ordering::Relaxed) {
            let _ended = watched.await;
        }
    }
}
