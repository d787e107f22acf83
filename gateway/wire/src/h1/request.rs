//! Parsing a request head.

use bytes::Bytes;

use super::HeadError;
use crate::head::{Field, Head};

/// A request head with what RFC 9112 says about the message around it.
#[derive(Clone, Debug)]
pub struct Request {
    /// The head.
    pub head: Head,
    /// How the body is framed.
    pub body: Body,
    /// Whether the client waits for `100 Continue` (RFC 9110 §10.1.1; never in HTTP/1.0).
    pub expects_continue: bool,
    /// Whether `Expect` asks for anything else: 417.
    pub expects_other: bool,
    /// Whether the connection persists after this message (RFC 9112 §9.3).
    pub keep_alive: bool,
    /// Whether this is a WebSocket handshake: `GET`, HTTP/1.1, `Connection: upgrade`,
    /// `Upgrade: websocket`, version 13, one key, no body (RFC 6455 §4.2.1). Anything less is an
    /// ordinary request whose upgrade fields are dropped.
    pub websocket: bool,
}

/// How a request's body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// No body.
    Empty,
    /// `Content-Length`, greater than zero.
    Length(u64),
    /// `Content-Length: 0`, kept apart so that it is re-emitted.
    Zero,
}

/// Parses one complete request head, terminator included, as found by
/// [`HeadEnd`](super::HeadEnd). `table` is a recycled field table.
///
/// Strict (P4): everything that two parsers could read in two ways is an error. The path may hold
/// only RFC 3986 path characters and well-formed percent-encodings; the query any visible
/// character but `#` (R sends raw `filter=account_id:7`), and bytes from 0x80.
pub fn parse_request(bytes: Bytes, table: Vec<Field>) -> Result<Request, HeadError> {
    let _ = (bytes, table);
    todo!()
}
