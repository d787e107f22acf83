//! As much of HTTP/1.1 as the programs of a benchmark need. What they read comes from each other,
//! from the proxies between, and with `--url` from a deployment: nothing is hardened here.

use std::io::{self, ErrorKind};

use bytes::BytesMut;
use httparse::Header;
use tokio::io::{AsyncRead, AsyncReadExt};

/// How a body ends (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Length {
    /// After so many bytes.
    Bytes(u64),
    /// With a last chunk.
    Chunked,
    /// With the connection.
    Close,
}

impl Length {
    /// What the fields of an answer say; an error names what cannot be read.
    pub fn of(fields: &[Header<'_>]) -> Result<Self, HttpError> {
        if find(fields, "transfer-encoding").is_some() {
            return Ok(Self::Chunked);
        }
        match find(fields, "content-length") {
            None => Ok(Self::Close),
            Some(value) => str::from_utf8(value)
                .ok()
                .and_then(|value| value.parse().ok())
                .map(Self::Bytes)
                .ok_or(HttpError::Length),
        }
    }
}

/// The first field of that name, which is in lower case.
pub fn find<'a>(fields: &[Header<'a>], name: &str) -> Option<&'a [u8]> {
    let mut fields = fields.iter();
    let field = fields.find(|field| field.name.eq_ignore_ascii_case(name))?;
    Some(field.value)
}

/// Whether the fields ask for the connection's end.
pub fn closes(fields: &[Header<'_>]) -> bool {
    find(fields, "connection").is_some_and(|value| value.eq_ignore_ascii_case(b"close"))
}

/// Reads more into `buffer`; the end of the stream is an error.
pub async fn read_more(
    io: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
) -> Result<(), HttpError> {
    buffer.reserve(READ);
    match io.read_buf(buffer).await? {
        0 => Err(HttpError::Ended),
        _ => Ok(()),
    }
}

/// What cannot be understood, or is not there.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The connection ended within a message.
    #[error("the connection ended early")]
    Ended,
    /// It is no HTTP.
    #[error("not HTTP: {0}")]
    Head(#[from] httparse::Error),
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A Content-Length that is no number.
    #[error("a content-length that is no number")]
    Length,
}

impl HttpError {
    /// Whether the other side has gone, in whatever way.
    pub fn is_end(&self) -> bool {
        match self {
            Self::Ended => true,
            Self::Io(error) => matches!(
                error.kind(),
                ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof
            ),
            Self::Head(_) | Self::Length => false,
        }
    }
}

/// Under which name the back-end says how many requests came before one on its connection.
pub const SERVED: &str = "bench-served";
/// The most fields of a head.
pub const FIELDS: usize = 64;
/// How much is read at once.
const READ: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_ends_as_its_head_says() {
        for (fields, length) in [
            ("Content-Length: 7\r\n", Some(Length::Bytes(7))),
            (
                "content-length: 7\r\nTransfer-Encoding: chunked\r\n",
                Some(Length::Chunked),
            ),
            ("Server: x\r\n", Some(Length::Close)),
            ("Content-Length: 7a\r\n", None),
        ] {
            let text = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
            let mut headers = [httparse::EMPTY_HEADER; 4];
            let mut answer = httparse::Response::new(&mut headers);
            assert!(answer.parse(text.as_bytes()).unwrap().is_complete());
            assert_eq!(Length::of(answer.headers).ok(), length, "{fields:?}");
        }
    }
}
