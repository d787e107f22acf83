//! Parsing an answer's head from a back-end, which is as hostile as a client.

use bytes::Bytes;

use super::HeadError;
use crate::head::{AnswerHead, Field, Method};

/// An answer's head with what RFC 9112 says about the message around it.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The head.
    pub head: AnswerHead,
    /// How the body is framed.
    pub body: AnswerBody,
    /// Whether the connection may be used again after this message.
    pub keep_alive: bool,
}

/// How an answer's body is framed (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerBody {
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// No body, whatever the fields say: HEAD, 1xx, 204, 304.
    Empty,
    /// `Content-Length`, possibly zero.
    Length(u64),
    /// Until the connection ends.
    UntilClose,
}

/// Parses one complete answer head to a request with `method`; `upgrading` says whether that
/// request asked for a WebSocket, without which a 101 is an error.
///
/// As strict as [`parse_request`](super::parse_request). In addition: a 1xx or 204 with
/// `Transfer-Encoding` or a non-zero `Content-Length` is an error, and a 101 must carry
/// `Connection: upgrade` and `Upgrade: websocket`.
pub fn parse_answer(
    bytes: Bytes,
    table: Vec<Field>,
    method: Method,
    upgrading: bool,
) -> Result<Answer, HeadError> {
    let _ = (bytes, table, method, upgrading);
    todo!()
}
