//! As much of HTTP/1.1 as a client needs that sends ready-made requests: where an answer ends.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longer answers are a fault of whoever answers.
const MOST: usize = 4 * 1024 * 1024;

/// A connection that carries one request at a time.
pub(crate) struct Connection {
    stream: TcpStream,
    received: BytesMut,
}

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    /// Status line, headers and body, as they came.
    bytes: Bytes,
    head: usize,
}

impl Connection {
    /// Connects.
    pub(crate) async fn open(to: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(to)
            .await
            .with_context(|| format!("connecting to {to}"))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            received: BytesMut::with_capacity(16 * 1024),
        })
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<Answer> {
        self.stream.write_all(request).await?;
        loop {
            if let Some(shape) = shape_of(&self.received)? {
                let bytes = self.received.split_to(shape.length).freeze();
                return Ok(Answer {
                    status: shape.status,
                    bytes,
                    head: shape.head,
                });
            }
            if self.received.len() > MOST {
                bail!("an answer has more than {MOST} bytes");
            }
            if self.stream.read_buf(&mut self.received).await? == 0 {
                bail!("the connection ended within an answer");
            }
        }
    }
}

impl Answer {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header_in(std::str::from_utf8(&self.bytes[..self.head]).ok()?, name)
    }

    /// The body; of an answer that came in chunks, with the chunks' frames.
    pub(crate) fn body(&self) -> &[u8] {
        &self.bytes[self.head..]
    }

    /// The beginning of the answer, for a message.
    pub(crate) fn beginning(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        text.chars().take(600).collect()
    }
}

/// Where an answer ends.
#[derive(Debug, PartialEq, Eq)]
struct Shape {
    status: u16,
    head: usize,
    length: usize,
}

/// The shape of the answer that `bytes` begins with; `None` while it is not whole.
fn shape_of(bytes: &[u8]) -> Result<Option<Shape>> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = end + 4;
    let text = std::str::from_utf8(&bytes[..head]).context("an answer whose head is not text")?;
    let status = text.get(9..12).and_then(|status| status.parse().ok());
    let status = status.context("an answer without a status")?;
    let length = match header_in(text, "content-length") {
        Some(length) => Some(head + length.parse::<usize>().context("a malformed length")?),
        None if header_in(text, "transfer-encoding").is_some() => chunked_end(bytes, head)?,
        None => Some(head),
    };
    Ok(length
        .filter(|length| *length <= bytes.len())
        .map(|length| Shape {
            status,
            head,
            length,
        }))
}

fn chunked_end(bytes: &[u8], head: usize) -> Result<Option<usize>> {
    let mut rest = &bytes[head..];
    loop {
        let Some(line) = rest.windows(2).position(|window| window == b"\r\n") else {
            return Ok(None);
        };
        let size = std::str::from_utf8(&rest[..line])?;
        let size = usize::from_str_radix(size.split(';').next().unwrap_or("").trim(), 16)?;
        let needed = line + 2 + size + 2;
        if rest.len() < needed {
            return Ok(None);
        }
        rest.advance(needed);
        if size == 0 {
            return Ok(Some(bytes.len() - rest.len()));
        }
    }
}

fn header_in<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.split("\r\n").skip(1).find_map(|line| {
        let (own, value) = line.split_once(':')?;
        own.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// A request with its length, ready to be sent any number of times.
pub(crate) fn request(
    method: &str,
    to: SocketAddr,
    path: &str,
    headers: &str,
    body: &str,
) -> Bytes {
    let length = body.len();
    Bytes::from(format!(
        "{method} {path} HTTP/1.1\r\nHost: {to}\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_ends_where_its_length_says() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1";
        let shape = shape_of(text).unwrap().unwrap();
        assert_eq!((shape.status, shape.length), (200, 40));
        assert_eq!(shape_of(&text[..39]).unwrap(), None);
        assert_eq!(shape_of(&text[..20]).unwrap(), None);
    }

    #[test]
    fn answer_in_chunks_ends_after_the_empty_one() {
        let text = b"HTTP/1.1 503 No\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nrest";
        let shape = shape_of(text).unwrap().unwrap();
        assert_eq!((shape.status, shape.length), (503, text.len() - 4));
        for cut in 0..shape.length {
            assert_eq!(shape_of(&text[..cut]).unwrap(), None, "{cut}");
        }
    }
}
