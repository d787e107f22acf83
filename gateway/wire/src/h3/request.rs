//! From a field section to a request (RFC 9114 §4.3.1).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;

use super::section::Section;
use super::{Priority, SectionError};
use crate::grammar::is_token;
use crate::h1::framing::Framing;
use crate::h1::request::expectations;
use crate::h1::target::{Target, is_http};
use crate::h1::{self, Body, HeadError};
use crate::head::{Field, Head, Method, Name, Span, Version};

/// A request over HTTP/3.
#[derive(Clone, Debug)]
pub struct Request {
    /// The request as HTTP/1.1 would have it; the same rules made it.
    ///
    /// Its fields hold one `Host`, and at most one `Cookie`. `body` is [`Body::Chunked`] where no
    /// `Content-Length` is: also if the stream ends with the head, which only the reader of the
    /// stream knows; then it is [`Body::Empty`], and the reader says so. `keep_alive` is always
    /// true.
    ///
    /// A WebSocket handshake (RFC 9220, RFC 8441 §5) looks like that of HTTP/1.1: its method is
    /// `GET`, it has a `Sec-WebSocket-Key`, `websocket` is true and `body` is [`Body::Empty`].
    pub message: h1::Request,
    /// The `Priority` field (RFC 9218 §5).
    pub priority: Priority,
}

/// Decodes and parses the field section of one request head, as strict as
/// [`h1::parse_request`]: what that refuses is refused here, and what is malformed by
/// RFC 9114 §4.1.2–§4.3.1.
///
/// The section may be at most `max_size` large, counted as in RFC 9114 §4.2.2: names, values and
/// 32 for each line. `arena` takes the decoded bytes; the head is a slice of it, and once all
/// slices are gone its memory is used again. `table` is a recycled field table. `nonce` gives 16
/// random bytes; it is called for a WebSocket handshake only, whose key they become
/// (RFC 6455 §4.1).
///
/// # Errors
///
/// See [`SectionError`]. A `CONNECT` without `:protocol` is [`HeadError::Connect`], one with
/// another than `websocket` [`HeadError::Protocol`] (an answer of 501, RFC 9220 §3).
pub fn parse_request(
    section: &[u8],
    max_size: u64,
    arena: &mut BytesMut,
    table: Vec<Field>,
    nonce: impl FnOnce() -> [u8; 16],
) -> Result<Request, SectionError> {
    let mut section = Section::decode(section, max_size, arena, table)?;
    let websocket = is_websocket(&section)?;
    if websocket {
        section.set_method(b"GET");
        // RFC 8441 §5: the client's own is of no use.
        section.set(Name::SecWebSocketKey, &websocket_key(nonce()))?;
    }
    let pseudo = section.pseudo();
    let fields = section.finish();
    let bytes = &fields.bytes;
    let of = |span: Option<Span>| {
        span.map(|span| span.of(bytes))
            .ok_or(HeadError::PseudoHeader)
    };

    // §4.3.1: all requests have a method, a scheme and a path.
    let method = of(pseudo.method)?;
    // As with the absolute form of HTTP/1.1, the scheme is dropped.
    if !is_http(of(pseudo.scheme)?) {
        return Err(HeadError::Target.into());
    }
    let path = of(pseudo.path)?;
    // §4.3.1: the path is no absolute form. What `OPTIONS *` asks is nobody's here.
    if !path.starts_with(b"/") {
        return Err(HeadError::Target.into());
    }
    let target = Target::parse(path)?;
    let (path, query) = (target.path, target.query);
    // §4.3.1: an authority, or else a host. There is no second one: `Section` saw to that.
    let host = fields.only(Name::Host).ok_or(HeadError::Host)?;
    let body = match Framing::of(&fields, Version::Http11)? {
        Framing::Unframed if websocket => Body::Empty,
        // A tunnel has no length.
        Framing::Length(_) if websocket => return Err(HeadError::Upgrade.into()),
        Framing::Chunked | Framing::Unframed => Body::Chunked,
        Framing::Length(0) => Body::Zero,
        Framing::Length(length) => Body::Length(length),
    };
    // RFC 6455 §4.2.1. Without it there is no handshake, and no other request either.
    if websocket && fields.only(Name::SecWebSocketVersion) != Some(b"13") {
        return Err(HeadError::Upgrade.into());
    }
    let (expects_continue, expects_other) = expectations(&fields);
    let priority = Priority::of(&fields);

    let head = Head {
        method: Method::of(method),
        method_span: Span::within(bytes, method),
        path: Span::within(bytes, path),
        query: query.map(|query| Span::within(bytes, query)),
        authority: Span::within(bytes, host),
        version: Version::Http11,
        fields,
    };
    Ok(Request {
        message: h1::Request {
            head,
            body,
            expects_continue,
            expects_other,
            keep_alive: true,
            websocket,
        },
        priority,
    })
}

/// Whether a request is a WebSocket handshake (RFC 9220 §3, RFC 8441 §4); no other CONNECT is
/// served.
fn is_websocket(section: &Section<'_>) -> Result<bool, HeadError> {
    let pseudo = section.pseudo();
    // §4.3: a status is an answer's.
    let method = pseudo.method.filter(|_| pseudo.status.is_none());
    let method = section.bytes(method.ok_or(HeadError::PseudoHeader)?);
    if !is_token(method) {
        return Err(HeadError::Syntax);
    }
    let protocol = pseudo.protocol.map(|span| section.bytes(span));
    match (method, protocol) {
        (b"CONNECT", None) => Err(HeadError::Connect),
        (b"CONNECT", Some(protocol)) => match protocol.eq_ignore_ascii_case(b"websocket") {
            true => Ok(true),
            false => Err(HeadError::Protocol),
        },
        (_, None) => Ok(false),
        // RFC 8441 §4: with another method it is unknown.
        (_, Some(_)) => Err(HeadError::PseudoHeader),
    }
}

/// Sixteen bytes in base64 (RFC 6455 §4.1).
fn websocket_key(nonce: [u8; 16]) -> [u8; 24] {
    let mut key = [0; 24];
    let written = STANDARD.encode_slice(nonce, &mut key);
    debug_assert_eq!(written, Ok(key.len()));
    key
}
