//! The least that handing a request on takes: connections that are kept, bodies that are copied.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use anyhow::Result;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::spawn_local;

/// The server behind, with the connections to it that are free.
pub(super) struct Upstream {
    address: SocketAddr,
    free: RefCell<Vec<SendRequest<Full<Bytes>>>>,
}

impl Upstream {
    /// The server at `address`.
    pub(super) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            free: RefCell::default(),
        }
    }

    /// Asks the server behind and answers what it answers.
    pub(super) async fn answer(
        self: Rc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let mut link = self.link().await?;
        let request = Request::from_parts(parts, Full::new(body));
        let (parts, body) = link.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        self.free.borrow_mut().push(link);
        Ok(Response::from_parts(parts, Full::new(body)))
    }

    async fn link(&self) -> Result<SendRequest<Full<Bytes>>> {
        while let Some(mut link) = self.take_free() {
            if link.ready().await.is_ok() {
                return Ok(link);
            }
        }
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let (link, connection) = handshake(TokioIo::new(stream)).await?;
        spawn_local(async move {
            // The next request on a broken connection finds out.
            let _ended = connection.await;
        });
        Ok(link)
    }

    fn take_free(&self) -> Option<SendRequest<Full<Bytes>>> {
        self.free.borrow_mut().pop()
    }
}
