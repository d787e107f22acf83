//! Parsing an answer's head from a back-end, which is as hostile as a client.

use bytes::Bytes;

use super::HeadError;
use super::connection::Connection;
use super::framing::Framing;
use super::lines;
use crate::grammar::is_text;
use crate::head::{AnswerHead, Field, Method, Span, Version};

/// An answer's head with what RFC 9112 says about the message around it.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The head.
    pub head: AnswerHead,
    /// How the body is framed.
    pub body: AnswerBody,
    /// Whether the connection may be used again after this message; never after a 101, which
    /// ends HTTP on it.
    pub keep_alive: bool,
}

/// How an answer's body is framed (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerBody {
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// No body, whatever the fields say: HEAD, 1xx, 204, 304.
    Empty,
    /// `Content-Length`, possibly zero, below 2^62.
    Length(u64),
    /// Until the connection ends.
    UntilClose,
}

/// Parses one complete answer head to a request with `method`; `upgrading` says whether that
/// request asked for a WebSocket, without which a 101 is an error.
///
/// As strict as [`parse_request`](super::parse_request). In addition: a 1xx or 204 with
/// `Transfer-Encoding` or a non-zero `Content-Length` is an error, a 1xx in HTTP/1.0 is one, and a
/// 101 must carry `Connection: upgrade` and `Upgrade: websocket`.
pub fn parse_answer(
    bytes: Bytes,
    table: Vec<Field>,
    method: Method,
    upgrading: bool,
) -> Result<Answer, HeadError> {
    let (line, fields) = lines::split(bytes, table)?;
    let StatusLine {
        version,
        status,
        reason,
    } = StatusLine::parse(line.of(&fields.bytes))?;
    let connection = Connection::of(&fields)?;
    let framing = Framing::of(&fields, version)?;

    let bodiless = matches!(status, 100..=199 | 204);
    // RFC 9112 §6.1, RFC 9110 §8.6: neither field may be there. A zero is common and harmless.
    if bodiless && !matches!(framing, Framing::Length(0) | Framing::Unframed) {
        return Err(HeadError::Status);
    }
    // RFC 9110 §15.2: HTTP/1.0 knows no interim answer.
    if status < 200 && version == Version::Http10 {
        return Err(HeadError::Status);
    }
    if status == 101 && !(upgrading && connection.names_websocket(&fields)) {
        return Err(HeadError::Upgrade);
    }

    let body = match framing {
        _ if bodiless || status == 304 || method == Method::Head => AnswerBody::Empty,
        Framing::Chunked => AnswerBody::Chunked,
        Framing::Length(length) if length > MAX_LENGTH => return Err(HeadError::ContentLength),
        Framing::Length(length) => AnswerBody::Length(length),
        Framing::Unframed => AnswerBody::UntilClose,
    };
    Ok(Answer {
        keep_alive: connection.persists(version) && body != AnswerBody::UntilClose && status != 101,
        head: AnswerHead {
            status,
            reason: Span::within(&fields.bytes, reason),
            version,
            fields,
        },
        body,
    })
}

/// `HTTP-version SP status-code [SP reason-phrase]` (RFC 9112 §4). The RFC demands the second SP
/// even without a reason; real servers leave it out, and nothing hangs on it.
struct StatusLine<'a> {
    version: Version,
    status: u16,
    reason: &'a [u8],
}

impl<'a> StatusLine<'a> {
    fn parse(line: &'a [u8]) -> Result<Self, HeadError> {
        let (version, rest) = if let Some(rest) = line.strip_prefix(b"HTTP/1.1 ") {
            (Version::Http11, rest)
        } else if let Some(rest) = line.strip_prefix(b"HTTP/1.0 ") {
            (Version::Http10, rest)
        } else if line.starts_with(b"HTTP/") {
            return Err(HeadError::Version);
        } else {
            return Err(HeadError::Status);
        };
        let (code, reason) = match rest {
            [a, b, c] => ([*a, *b, *c], &[][..]),
            [a, b, c, b' ', reason @ ..] => ([*a, *b, *c], reason),
            _ => return Err(HeadError::Status),
        };
        let status = status_code(code).filter(|_| is_text(reason));
        Ok(Self {
            version,
            status: status.ok_or(HeadError::Status)?,
            reason,
        })
    }
}

/// Three digits for 100–599 (RFC 9110 §15).
pub(crate) fn status_code(code: [u8; 3]) -> Option<u16> {
    let valid = matches!(code, [b'1'..=b'5', b'0'..=b'9', b'0'..=b'9']);
    valid.then(|| {
        code.iter()
            .fold(0, |status, digit| status * 10 + u16::from(digit - b'0'))
    })
}

/// Of a body that comes: what a frame of HTTP/3 can hold (RFC 9000 §16).
const MAX_LENGTH: u64 = (1 << 62) - 1;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::h1::{CRLF, push_field, push_status_line};

    fn parse(head: &str, method: Method, upgrading: bool) -> Result<Answer, HeadError> {
        let head = format!("{head}\r\n\r\n");
        parse_answer(Bytes::from(head), Vec::new(), method, upgrading)
    }

    #[test]
    fn status_lines_are_read() {
        for (line, version, status, reason) in [
            ("HTTP/1.1 200 OK", Version::Http11, 200, "OK"),
            ("HTTP/1.0 404 Not Found", Version::Http10, 404, "Not Found"),
            ("HTTP/1.1 599 ", Version::Http11, 599, ""),
            ("HTTP/1.1 200", Version::Http11, 200, ""),
            (
                "HTTP/1.1 200  O\tK\u{e9} ",
                Version::Http11,
                200,
                " O\tK\u{e9} ",
            ),
        ] {
            let head = parse(line, Method::Get, false).unwrap().head;
            assert_eq!(head.version(), version, "{line}");
            assert_eq!(head.status(), status, "{line}");
            assert_eq!(head.reason(), reason.as_bytes(), "{line}");
        }
    }

    #[test]
    fn what_is_no_status_line_is_refused() {
        for (line, expected) in [
            ("HTTP/1.1 099 x", HeadError::Status),
            ("HTTP/1.1 600 x", HeadError::Status),
            ("HTTP/1.1 20 OK", HeadError::Status),
            ("HTTP/1.1 2000 OK", HeadError::Status),
            ("HTTP/1.1  200 OK", HeadError::Status),
            ("HTTP/1.1 200\tOK", HeadError::Status),
            ("HTTP/1.1 +20 OK", HeadError::Status),
            ("HTTP/1.1 ", HeadError::Status),
            ("HTTP/1.1 200 O\0K", HeadError::Status),
            ("HTTP/1.1 200 O\u{7f}K", HeadError::Status),
            ("HTTP/1.1 200 O\rK", HeadError::BareLineBreak),
            ("HTTP/1.1 200 O\nK", HeadError::BareLineBreak),
            ("ICY 200 OK", HeadError::Status),
            (" HTTP/1.1 200 OK", HeadError::Status),
            ("http/1.1 200 OK", HeadError::Status),
            ("HTTP/1.1", HeadError::Version),
            ("HTTP/2.0 200 OK", HeadError::Version),
            ("HTTP/1.2 200 OK", HeadError::Version),
            ("HTTP/1.10 200 OK", HeadError::Version),
            ("HTTP/1.1\t200 OK", HeadError::Version),
            ("", HeadError::NoStartLine),
        ] {
            assert_eq!(
                parse(line, Method::Get, false).unwrap_err(),
                expected,
                "{line:?}"
            );
        }
    }

    #[test]
    fn no_body_is_longer_than_a_frame() {
        for (method, length, expected) in [
            (Method::Get, MAX_LENGTH, Ok(AnswerBody::Length(MAX_LENGTH))),
            (Method::Get, MAX_LENGTH + 1, Err(HeadError::ContentLength)),
            (Method::Head, MAX_LENGTH + 1, Ok(AnswerBody::Empty)),
        ] {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}");
            let parsed = parse(&head, method, false).map(|answer| answer.body);
            assert_eq!(parsed, expected, "{method:?} {length}");
        }
    }

    #[test]
    fn bodies_are_framed_by_status_method_and_fields() {
        use AnswerBody::{Chunked, Empty, Length, UntilClose};
        for (head, method, body, keep_alive) in [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5",
                Method::Get,
                Length(5),
                true,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 0",
                Method::Get,
                Length(0),
                true,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked",
                Method::Post,
                Chunked,
                true,
            ),
            ("HTTP/1.1 200 OK", Method::Get, UntilClose, false),
            (
                "HTTP/1.1 200 OK\r\nConnection: keep-alive",
                Method::Get,
                UntilClose,
                false,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close",
                Method::Get,
                Length(5),
                false,
            ),
            (
                "HTTP/1.0 200 OK\r\nContent-Length: 5",
                Method::Get,
                Length(5),
                false,
            ),
            (
                "HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive",
                Method::Get,
                Length(5),
                true,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5",
                Method::Head,
                Empty,
                true,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked",
                Method::Head,
                Empty,
                true,
            ),
            ("HTTP/1.1 200 OK", Method::Head, Empty, true),
            (
                "HTTP/1.1 304 Not Modified\r\nContent-Length: 5",
                Method::Get,
                Empty,
                true,
            ),
            (
                "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked",
                Method::Get,
                Empty,
                true,
            ),
            ("HTTP/1.1 204 No Content", Method::Get, Empty, true),
            (
                "HTTP/1.1 204 No Content\r\nContent-Length: 0",
                Method::Get,
                Empty,
                true,
            ),
            ("HTTP/1.1 100 Continue", Method::Post, Empty, true),
            (
                "HTTP/1.1 103 Early Hints\r\nLink: </a>",
                Method::Get,
                Empty,
                true,
            ),
        ] {
            let answer = parse(head, method, false).unwrap();
            assert_eq!(
                (answer.body, answer.keep_alive),
                (body, keep_alive),
                "{head:?} {method:?}"
            );
        }
    }

    #[test]
    fn answers_are_as_strict_as_requests() {
        for (head, expected) in [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5",
                HeadError::ContentLength,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5, 5",
                HeadError::ContentLength,
            ),
            (
                "HTTP/1.1 304 Not Modified\r\nContent-Length: +5",
                HeadError::ContentLength,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
                HeadError::Framing,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip",
                HeadError::TransferEncoding,
            ),
            (
                "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked",
                HeadError::TransferEncoding,
            ),
            ("HTTP/1.1 200 OK\r\nConnection: a b", HeadError::Syntax),
            ("HTTP/1.1 200 OK\r\nX : 1", HeadError::Syntax),
            ("HTTP/1.1 200 OK\r\nX: 1\r\n 2", HeadError::LineFold),
            ("HTTP/1.1 200 OK\r\nX: 1\n", HeadError::BareLineBreak),
            (
                "HTTP/1.1 100 Continue\r\nContent-Length: 5",
                HeadError::Status,
            ),
            (
                "HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked",
                HeadError::Status,
            ),
            (
                "HTTP/1.1 204 No Content\r\nContent-Length: 5",
                HeadError::Status,
            ),
            (
                "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked",
                HeadError::Status,
            ),
            ("HTTP/1.0 100 Continue", HeadError::Status),
        ] {
            assert_eq!(
                parse(head, Method::Get, false).unwrap_err(),
                expected,
                "{head:?}"
            );
            assert_eq!(
                parse(head, Method::Head, true).unwrap_err(),
                expected,
                "{head:?}"
            );
        }
    }

    #[test]
    fn upgrade_tunnel_only_after_101() {
        let good = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket";
        let answer = parse(good, Method::Get, true).unwrap();
        assert_eq!((answer.body, answer.keep_alive), (AnswerBody::Empty, false));
        assert_eq!(
            parse(good, Method::Get, false).unwrap_err(),
            HeadError::Upgrade
        );
        for bad in [
            "HTTP/1.1 101 x",
            "HTTP/1.1 101 x\r\nConnection: upgrade",
            "HTTP/1.1 101 x\r\nUpgrade: websocket",
            "HTTP/1.1 101 x\r\nConnection: close\r\nUpgrade: websocket",
            "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: h2c",
            "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket, h2c",
            "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\nUpgrade: websocket",
        ] {
            assert_eq!(
                parse(bad, Method::Get, true).unwrap_err(),
                HeadError::Upgrade,
                "{bad:?}"
            );
        }
        let with_body = format!("{good}\r\nContent-Length: 5");
        assert_eq!(
            parse(&with_body, Method::Get, true).unwrap_err(),
            HeadError::Status
        );
        let http10 = good.replace("HTTP/1.1", "HTTP/1.0");
        assert_eq!(
            parse(&http10, Method::Get, true).unwrap_err(),
            HeadError::Status
        );
        // An answer that declines the upgrade is an ordinary one.
        let declined = parse("HTTP/1.1 403 No\r\nContent-Length: 2", Method::Get, true).unwrap();
        assert_eq!(
            (declined.body, declined.keep_alive),
            (AnswerBody::Length(2), true)
        );
    }
    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn what_is_accepted_means_the_same_once_written(
            line in "HTTP/1\\.[01] [1-6][0-9]{2}( [\t -~\u{80}-\u{ff}]{0,9})?",
            fields in "([Xx]-[a-z]{0,9}:[ \t]{0,2}[\t -~\u{80}-\u{ff}]{0,20}\r\n){0,4}",
            framing in prop::sample::select(vec![
                "", "Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n", "\n",
            ]),
        ) {
            let head = format!("{line}\r\n{fields}{framing}");
            let Ok(first) = parse(head.trim_end_matches("\r\n"), Method::Get, false) else {
                return Ok(());
            };
            let mut written = Vec::new();
            push_status_line(&mut written, first.head.status(), first.head.reason());
            for line in first.head.fields().iter() {
                push_field(&mut written, line.name, line.value);
            }
            written.extend_from_slice(CRLF);
            let written = Bytes::from(written);
            let second = parse_answer(written, Vec::new(), Method::Get, false).unwrap();
            prop_assert_eq!(second.head.status(), first.head.status());
            prop_assert_eq!(second.head.reason(), first.head.reason());
            prop_assert!(second.head.fields().iter().eq(first.head.fields().iter()));
            prop_assert_eq!(second.body, first.body);
        }

        #[test]
        fn any_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let line = [b"HTTP/1.1 200 ", &bytes[..], b"\r\n\r\n"].concat();
            for bytes in [bytes, line] {
                let bytes = Bytes::from(bytes);
                if let Ok(answer) = parse_answer(bytes, Vec::new(), Method::Get, true) {
                    prop_assert!((100..=599).contains(&answer.head.status()));
                    prop_assert!(is_text(answer.head.reason()));
                }
            }
        }
    }
}
