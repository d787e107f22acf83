//! Parsing a request head.

use bytes::Bytes;

use super::HeadError;
use super::connection::Connection;
use super::framing::Framing;
use super::lines;
use super::target::Target;
use crate::authority;
use crate::grammar::{is_token, split_once};
use crate::head::{Field, Fields, Head, Method, Name, Span, Version};

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
    /// `Content-Length`, greater than zero and below 2^63.
    Length(u64),
    /// `Content-Length: 0`, kept apart so that it is re-emitted.
    Zero,
}

/// Parses one complete request head, terminator included, as found by
/// [`HeadEnd`](super::HeadEnd). `table` is a recycled field table.
///
/// Strict (P4): everything that two parsers could read in two ways is an error. The path may hold
/// only RFC 3986 path characters and well-formed percent-encodings; the query any visible
/// character but `#` (R sends raw `filter=account_id:7`), and bytes from 0x80. An absolute form
/// must name the same authority as `Host`; the scheme is dropped.
pub fn parse_request(bytes: Bytes, table: Vec<Field>) -> Result<Request, HeadError> {
    let (line, fields) = lines::split(bytes, table)?;
    let bytes = &fields.bytes;
    let RequestLine {
        method,
        target,
        version,
    } = RequestLine::parse(line.of(bytes))?;
    let host = host(&fields, target.authority)?;
    let connection = Connection::of(&fields)?;
    let body = match Framing::of(&fields, version)? {
        Framing::Chunked => Body::Chunked,
        Framing::Length(0) => Body::Zero,
        Framing::Length(length) => Body::Length(length),
        Framing::Unframed => Body::Empty,
    };
    // RFC 9110 §10.1.1: an HTTP/1.0 expectation is ignored.
    let expects = version == Version::Http11 && fields.contains(Name::Expect);
    let expects_continue = expects
        && fields
            .only(Name::Expect)
            .is_some_and(|value| value.eq_ignore_ascii_case(b"100-continue"));
    let websocket = method == b"GET"
        && version == Version::Http11
        && matches!(body, Body::Empty | Body::Zero)
        && connection.names_websocket(&fields)
        && fields.only(Name::SecWebSocketVersion) == Some(b"13")
        && fields
            .only(Name::SecWebSocketKey)
            .is_some_and(is_websocket_key);

    let head = Head {
        method: Method::of(method),
        method_span: Span::within(bytes, method),
        path: Span::within(bytes, target.path),
        query: target.query.map(|query| Span::within(bytes, query)),
        authority: Span::within(bytes, host),
        version,
        fields,
    };
    debug_assert!(head.path().starts_with(b"/") && !head.authority().is_empty());
    Ok(Request {
        head,
        body,
        expects_continue,
        expects_other: expects && !expects_continue,
        keep_alive: connection.persists(version),
        websocket,
    })
}

/// `method SP request-target SP HTTP-version` (RFC 9112 §3).
struct RequestLine<'a> {
    method: &'a [u8],
    target: Target<'a>,
    version: Version,
}

impl<'a> RequestLine<'a> {
    fn parse(line: &'a [u8]) -> Result<Self, HeadError> {
        let (method, rest) = split_once(line, b' ').ok_or(HeadError::Syntax)?;
        if !is_token(method) {
            return Err(HeadError::Syntax);
        }
        // HTTP/0.9 has no version at all.
        let (target, version) = split_once(rest, b' ').ok_or(HeadError::Version)?;
        let version = match version {
            b"HTTP/1.0" => Version::Http10,
            b"HTTP/1.1" => Version::Http11,
            _ => return Err(HeadError::Version),
        };
        if method == b"CONNECT" {
            return Err(HeadError::Connect);
        }
        Ok(Self {
            method,
            target: Target::parse(target)?,
            version,
        })
    }
}

/// The one `Host` (RFC 9112 §3.2). HTTP/1.0 needs it too: requests are routed by it.
fn host<'a>(fields: &'a Fields, absolute: Option<&[u8]>) -> Result<&'a [u8], HeadError> {
    let host = fields.only(Name::Host).ok_or(HeadError::Host)?;
    // RFC 9112 §3.2.2 lets an absolute target win; two recipients would still name two hosts.
    let agrees = absolute.is_none_or(|authority| authority.eq_ignore_ascii_case(host));
    if !agrees || !authority::is_valid(host) {
        return Err(HeadError::Host);
    }
    Ok(host)
}

/// Sixteen bytes in base64 (RFC 6455 §4.1): 22 characters and two of padding.
fn is_websocket_key(value: &[u8]) -> bool {
    value.len() == 24
        && value.strip_suffix(b"==").is_some_and(|digits| {
            digits
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
        })
}
