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
    let (expects_continue, expects_other) = match version {
        Version::Http10 => (false, false),
        Version::Http11 => expectations(&fields),
    };
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
        expects_other,
        keep_alive: connection.persists(version),
        websocket,
    })
}

/// Whether the request line of a head that grew too large does not end within `most` bytes: then
/// it is the target that is too long, and not the fields (RFC 9112 §3).
pub fn has_long_line(head: &[u8], most: usize) -> bool {
    let line = head.get(..most);
    line.is_some_and(|line| memchr::memchr(b'\n', line).is_none())
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

/// Whether `Expect` asks for `100 Continue`, and whether it asks for anything else.
pub(crate) fn expectations(fields: &Fields) -> (bool, bool) {
    let expects = fields.contains(Name::Expect);
    let expects_continue = expects
        && fields
            .only(Name::Expect)
            .is_some_and(|value| value.eq_ignore_ascii_case(b"100-continue"));
    (expects_continue, expects && !expects_continue)
}

/// The one `Host` (RFC 9112 §3.2). HTTP/1.0 needs it too: requests are routed by it.
fn host<'a>(fields: &'a Fields, absolute: Option<&[u8]>) -> Result<&'a [u8], HeadError> {
    let host = fields.only(Name::Host).ok_or(HeadError::Host)?;
    check_host(host, absolute)?;
    Ok(host)
}

/// Checks a host, which must also be what was named `elsewhere`.
pub(crate) fn check_host(host: &[u8], elsewhere: Option<&[u8]>) -> Result<(), HeadError> {
    // RFC 9112 §3.2.2 lets an absolute target win; two recipients would still name two hosts.
    let agrees = elsewhere.is_none_or(|authority| authority.eq_ignore_ascii_case(host));
    match agrees && authority::is_valid(host) {
        true => Ok(()),
        false => Err(HeadError::Host),
    }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::h1::{CRLF, HeadEnd, push_field, push_request_line};

    fn parse(head: impl AsRef<[u8]>) -> Result<Request, HeadError> {
        parse_request(Bytes::copy_from_slice(head.as_ref()), Vec::new())
    }

    #[test]
    fn a_request_is_taken_apart() {
        let request = parse(
            "POST /__api__/x?filter=account_id:7&%zz HTTP/1.1\r\nhost: Connect.example:8443\r\n\
             X-Auth-Token:  abc \r\nContent-Length: 12\r\n\r\n",
        )
        .unwrap();
        let head = &request.head;
        assert_eq!(
            (head.method(), head.method_bytes()),
            (Method::Post, &b"POST"[..])
        );
        assert_eq!(head.path(), b"/__api__/x");
        assert_eq!(head.query(), Some(&b"filter=account_id:7&%zz"[..]));
        assert_eq!(head.authority(), b"Connect.example:8443");
        assert_eq!(head.version(), Version::Http11);
        assert_eq!(head.fields().only(Name::XAuthToken), Some(&b"abc"[..]));
        assert_eq!(head.fields().len(), 3);
        assert_eq!(request.body, Body::Length(12));
        assert!(request.keep_alive && !request.websocket);
        assert!(!request.expects_continue && !request.expects_other);
    }

    #[test]
    fn a_long_line_is_told_from_long_fields() {
        for (head, most, expected) in [
            (&b"GET /aaaa"[..], 9, true),
            (b"GET /aaaa", 10, false),
            (b"GET /\r\nA: b", 9, false),
            (b"GET /aaa\r\nA: b", 9, true),
            (b"", 0, true),
        ] {
            assert_eq!(has_long_line(head, most), expected, "{head:?}");
        }
    }

    #[test]
    fn unknown_methods_pass_as_they_are() {
        for method in ["get", "PROPFIND", "M-SEARCH", "!#$%&'*+-.^_`|~"] {
            let request = parse(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n")).unwrap();
            assert_eq!(request.head.method(), Method::Other, "{method}");
            assert_eq!(request.head.method_bytes(), method.as_bytes());
        }
    }

    #[test]
    fn absolute_forms_must_agree_with_host() {
        for (target, path, query) in [
            ("http://A.example/b?c", "/b", Some("c")),
            ("https://a.EXAMPLE", "/", None),
            ("http://a.example?c", "/", Some("c")),
        ] {
            let head = parse(format!("GET {target} HTTP/1.1\r\nHost: a.example\r\n\r\n"))
                .unwrap()
                .head;
            assert_eq!(head.path(), path.as_bytes(), "{target}");
            assert_eq!(head.query(), query.map(str::as_bytes), "{target}");
        }
        for target in [
            "http://b.example/",
            "http://a.example:80/",
            "http://u@a.example/",
            "http://a.example.evil/",
            "http:///",
        ] {
            let head = format!("GET {target} HTTP/1.1\r\nHost: a.example\r\n\r\n");
            assert_eq!(parse(head).unwrap_err(), HeadError::Host, "{target}");
        }
        // That both carry the same user info makes it no better.
        let head = "GET http://u@a/ HTTP/1.1\r\nHost: u@a\r\n\r\n";
        assert_eq!(parse(head).unwrap_err(), HeadError::Host);
    }

    /// Published smuggling variants, and what httparse lets pass.
    #[test]
    fn ambiguous_heads_are_refused() {
        for (name, head, expected) in [
            ("te_cl_conflict_rejected", &b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n"[..], HeadError::Framing),
            ("te_http10_rejected", b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", HeadError::TransferEncoding),
            ("te_not_final_rejected", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n", HeadError::TransferEncoding),
            ("te xchunked", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", HeadError::TransferEncoding),
            ("cl_list_rejected", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\n", HeadError::ContentLength),
            ("cl repeated", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", HeadError::ContentLength),
            ("cl different", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\ncontent-length: 4\r\n\r\n", HeadError::ContentLength),
            ("cl +3", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\n", HeadError::ContentLength),
            ("space_before_colon", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 3\r\n\r\n", HeadError::Syntax),
            ("space before colon of Host", b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", HeadError::Syntax),
            ("obs-fold", b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n", HeadError::LineFold),
            ("obs-fold of the request line", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", HeadError::LineFold),
            ("bare LF everywhere", b"GET / HTTP/1.1\nHost: a\nX: 1\n\n", HeadError::BareLineBreak),
            ("bare LF in one field", b"GET / HTTP/1.1\r\nHost: a\nX: 1\r\n\r\n", HeadError::BareLineBreak),
            ("bare LF as terminator", b"GET / HTTP/1.1\r\nHost: a\r\n\n", HeadError::BareLineBreak),
            ("bare CR in a value", b"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", HeadError::BareLineBreak),
            ("bare CR in the request line", b"GET /\r HTTP/1.1\r\nHost: a\r\n\r\n", HeadError::BareLineBreak),
            ("leading blank line", b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", HeadError::NoStartLine),
            ("leading bare LF", b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", HeadError::BareLineBreak),
            ("NUL in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", HeadError::Syntax),
            ("CTL in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x01b\r\n\r\n", HeadError::Syntax),
            ("DEL in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x7fb\r\n\r\n", HeadError::Syntax),
            ("empty field name", b"GET / HTTP/1.1\r\nHost: a\r\n: a\r\n\r\n", HeadError::Syntax),
            ("no colon", b"GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", HeadError::Syntax),
            ("second head behind the first", b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", HeadError::Syntax),
            ("no terminator", b"GET / HTTP/1.1\r\nHost: a\r\n", HeadError::Syntax),
            ("several Host", b"GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", HeadError::Host),
            ("no Host", b"GET / HTTP/1.1\r\nX: a\r\n\r\n", HeadError::Host),
            ("no Host in HTTP/1.0", b"GET / HTTP/1.0\r\n\r\n", HeadError::Host),
            ("empty Host", b"GET / HTTP/1.1\r\nHost:\r\n\r\n", HeadError::Host),
            ("Host list", b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", HeadError::Host),
            ("Host with a path", b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", HeadError::Host),
            ("high bytes in Host", b"GET / HTTP/1.1\r\nHost: a\xff\r\n\r\n", HeadError::Host),
            ("absolute-form host is not Host", b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", HeadError::Host),
            ("fragment in target", b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", HeadError::Target),
            ("fragment in query", b"GET /a?b#c HTTP/1.1\r\nHost: a\r\n\r\n", HeadError::Target),
            ("high bytes in path", b"GET /\xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n", HeadError::Target),
            ("no URI characters in path", b"GET /\\\"<>{}|^` HTTP/1.1\r\nHost: a\r\n\r\n", HeadError::Target),
            ("no slash", b"GET foo HTTP/1.1\r\nHost: a\r\n\r\n", HeadError::Target),
            ("asterisk form", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", HeadError::Target),
            ("two spaces before the target", b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", HeadError::Version),
            ("two spaces before the version", b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n", HeadError::Version),
            ("space in target", b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", HeadError::Version),
            ("space behind the version", b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", HeadError::Version),
            ("tab for a space", b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", HeadError::Syntax),
            ("leading space", b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", HeadError::Syntax),
            ("no token as method", b"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", HeadError::Syntax),
            ("HTTP/0.9", b"GET /\r\nHost: a\r\n\r\n", HeadError::Version),
            ("HTTP/1.2", b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", HeadError::Version),
            ("HTTP/01.1", b"GET / HTTP/01.1\r\nHost: a\r\n\r\n", HeadError::Version),
            ("lower-case version", b"GET / http/1.1\r\nHost: a\r\n\r\n", HeadError::Version),
            ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\n", HeadError::Version),
            ("CONNECT", b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", HeadError::Connect),
            ("CONNECT with a path", b"CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", HeadError::Connect),
            ("authority form", b"GET a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", HeadError::Connect),
            ("Connection names no token", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: a b\r\n\r\n", HeadError::Syntax),
        ] {
            assert_eq!(parse(head).unwrap_err(), expected, "{name}");
        }
    }

    #[test]
    fn bodies_and_persistence_are_read() {
        for (version, fields, body, keep_alive) in [
            ("1.1", "", Body::Empty, true),
            ("1.1", "Content-Length: 0\r\n", Body::Zero, true),
            (
                "1.1",
                "Transfer-Encoding: Chunked\r\nConnection: close\r\n",
                Body::Chunked,
                false,
            ),
            ("1.0", "Content-Length: 5\r\n", Body::Length(5), false),
            ("1.0", "Connection: keep-alive\r\n", Body::Empty, true),
        ] {
            let request =
                parse(format!("POST / HTTP/{version}\r\nHost: a\r\n{fields}\r\n")).unwrap();
            assert_eq!(
                (request.body, request.keep_alive),
                (body, keep_alive),
                "{version} {fields:?}"
            );
        }
    }

    #[test]
    fn expectations_are_told_apart() {
        for (version, fields, expected) in [
            ("1.1", "", (false, false)),
            ("1.1", "Expect: 100-Continue\r\n", (true, false)),
            ("1.1", "Expect: 200-ok\r\n", (false, true)),
            ("1.1", "Expect:\r\n", (false, true)),
            ("1.1", "Expect: 100-continue, x\r\n", (false, true)),
            (
                "1.1",
                "Expect: 100-continue\r\nExpect: 100-continue\r\n",
                (false, true),
            ),
            ("1.0", "Expect: 100-continue\r\n", (false, false)),
            ("1.0", "Expect: x\r\n", (false, false)),
        ] {
            let request =
                parse(format!("POST / HTTP/{version}\r\nHost: a\r\n{fields}\r\n")).unwrap();
            let found = (request.expects_continue, request.expects_other);
            assert_eq!(found, expected, "{version} {fields:?}");
        }
    }

    #[test]
    fn a_websocket_handshake_is_whole_or_none() {
        let good = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\n\
                    Upgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n\
                    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        assert!(parse(good).unwrap().websocket);
        for (part, other) in [
            ("GET", "POST"),
            ("HTTP/1.1", "HTTP/1.0"),
            ("keep-alive, Upgrade", "keep-alive"),
            ("Upgrade: WebSocket", "Upgrade: h2c"),
            ("Upgrade: WebSocket", "Upgrade: websocket, h2c"),
            (
                "Upgrade: WebSocket",
                "Upgrade: websocket\r\nUpgrade: websocket",
            ),
            ("Upgrade: WebSocket", "X: y"),
            ("13", "8"),
            ("13", "13, 8"),
            ("13", "13\r\nSec-WebSocket-Version: 13"),
            ("dGhlIHNhbXBsZSBub25jZQ==", ""),
            ("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ="),
            ("dGhlIHNhbXBsZSBub25jZQ==", "SGVsbG8sIHdvcmxkIQ=="),
            ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j!!=="),
            (
                "dGhlIHNhbXBsZSBub25jZQ==",
                "dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            ),
            ("Host: a", "Host: a\r\nContent-Length: 5"),
            ("Host: a", "Host: a\r\nTransfer-Encoding: chunked"),
        ] {
            let less = good.replacen(part, other, 1);
            assert_ne!(less, good, "{part}");
            assert!(!parse(&less).unwrap().websocket, "{other:?} for {part:?}");
        }
    }

    /// What a peer reads from the head that the gateway writes.
    fn written(head: &Head) -> Vec<u8> {
        let mut out = Vec::new();
        push_request_line(&mut out, head.method_bytes(), head.path(), head.query());
        for line in head.fields().iter() {
            push_field(&mut out, line.name, line.value);
        }
        out.extend_from_slice(CRLF);
        out
    }

    /// Pieces of heads, so that random ones come far.
    fn soup() -> impl Strategy<Value = Vec<u8>> {
        let pieces: Vec<&[u8]> = vec![
            b"GET",
            b"POST",
            b" ",
            b" ",
            b"/",
            b"/a%20b",
            b"?x=\"\xe9",
            b"http://a",
            b"#",
            b"%4",
            b" HTTP/1.1\r\n",
            b" HTTP/1.0\r\n",
            b"\r\n",
            b"\r\n",
            b"\r",
            b"\n",
            b"Host: a\r\n",
            b"host:b:80 \r\n",
            b"X:",
            b"y\t",
            b"Connection: close, ,x\r\n",
            b"Content-Length: 3\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"Expect: 100-continue\r\n",
            b"Upgrade: websocket\r\n",
            b"\0",
            b"\xff",
            b"(",
        ];
        prop::collection::vec(prop::sample::select(pieces), 0..16).prop_map(|parts| parts.concat())
    }

    /// Heads of which most are good.
    fn likely() -> impl Strategy<Value = Vec<u8>> {
        (
            "[A-Z]{1,6}",
            "(http://a)?/([a-z;:@~.]|%[0-9A-F]{2}|/){0,9}(\\?[!-\"$-~]{0,9})?",
            "[01]",
            "([Xx]-[!#-'*+.^_`|~0-9a-z]{0,9}:[ \t]{0,2}[\t -~\u{80}-\u{ff}]{0,20}\r\n){0,5}",
            prop::sample::select(vec![
                "",
                "Content-Length: 3\r\n",
                "Transfer-Encoding: chunked\r\n",
            ]),
        )
            .prop_map(|(method, target, minor, fields, framing)| {
                format!("{method} {target} HTTP/1.{minor}\r\nHost: a\r\n{fields}{framing}\r\n")
                    .into_bytes()
            })
    }

    fn check_round_trip(bytes: &[u8]) -> Result<bool, TestCaseError> {
        let Ok(first) = parse(bytes) else {
            return Ok(false);
        };
        let first_written = written(&first.head);
        prop_assert_eq!(
            HeadEnd::default().find(&first_written),
            Ok(Some(first_written.len()))
        );
        // An HTTP/1.0 head becomes an HTTP/1.1 one; the rest stays.
        let second =
            parse(&first_written).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(&written(&second.head), &first_written);
        prop_assert_eq!(second.head.method_bytes(), first.head.method_bytes());
        prop_assert_eq!(second.head.path(), first.head.path());
        prop_assert_eq!(second.head.query(), first.head.query());
        prop_assert_eq!(second.head.authority(), first.head.authority());
        prop_assert!(second.head.fields().iter().eq(first.head.fields().iter()));
        prop_assert_eq!(second.body, first.body);
        Ok(true)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn any_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            check_round_trip(&bytes)?;
        }

        #[test]
        fn what_is_accepted_means_the_same_once_written(bytes in soup()) {
            check_round_trip(&bytes)?;
        }

        #[test]
        fn good_heads_are_accepted_and_mean_the_same_once_written(bytes in likely()) {
            let te_http10 = bytes.windows(9).any(|part| part == b"HTTP/1.0\r")
                && bytes.ends_with(b"chunked\r\n\r\n");
            prop_assert_eq!(check_round_trip(&bytes)?, !te_http10);
        }

        #[test]
        fn one_changed_byte_is_refused_or_means_one_thing(
            bytes in likely(),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let mut bytes = bytes;
            let at = at.index(bytes.len());
            bytes[at] = byte;
            check_round_trip(&bytes)?;
        }
    }
}
