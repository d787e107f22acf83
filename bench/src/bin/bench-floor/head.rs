//! Heads, rewritten.

use anyhow::{Context, Result, bail};
use bytes::{Buf, BytesMut};
use gateway_bench::http::{FIELDS, Length, closes, find};

/// A request whose new head has been written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Request {
    pub(crate) body: u64,
    pub(crate) upgrades: bool,
    pub(crate) kept: bool,
}

/// An answer whose new head has been written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Answer {
    pub(crate) body: u64,
    pub(crate) upgraded: bool,
}

/// Takes a whole head from `buffer` and writes the back-end's to `out`.
pub(crate) fn request(buffer: &mut BytesMut, out: &mut Vec<u8>) -> Result<Option<Request>> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    let httparse::Status::Complete(len) = request.parse(buffer)? else {
        return Ok(None);
    };
    let path = request.path.context("no path")?;
    let body = match Length::of(request.headers)? {
        Length::Bytes(len) => len,
        Length::Chunked => bail!("a chunked request"),
        // RFC 9112 §6.3: a request that says nothing has no body.
        Length::Close => 0,
    };
    let upgrades = find(request.headers, "upgrade").is_some();
    out.clear();
    for part in [
        request.method.context("no method")?,
        " ",
        path,
        " HTTP/1.1\r\n",
    ] {
        out.extend_from_slice(part.as_bytes());
    }
    for field in request.headers.iter() {
        if !REPLACED.iter().any(|name| is(field.name, name)) {
            write(out, field.name, field.value);
        }
    }
    if upgrades {
        out.extend_from_slice(UPGRADE);
    }
    write(out, "X-Auth-Username", USER);
    out.extend_from_slice(b"X-RSC-Request: https://localhost");
    out.extend_from_slice(path.as_bytes());
    out.extend_from_slice(b"\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: https\r\n\r\n");
    let kept = !closes(request.headers);
    buffer.advance(len);
    Ok(Some(Request {
        body,
        upgrades,
        kept,
    }))
}

/// Takes a whole head from `buffer` and writes the client's to `out`.
pub(crate) fn answer(buffer: &mut BytesMut, out: &mut Vec<u8>) -> Result<Option<Answer>> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut answer = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(len) = answer.parse(buffer)? else {
        return Ok(None);
    };
    let status = answer.code.context("no status")?;
    let upgraded = status == 101;
    let body = match Length::of(answer.headers)? {
        Length::Bytes(len) => len,
        _ if upgraded => 0,
        Length::Chunked | Length::Close => bail!("an answer without a length"),
    };
    out.clear();
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(answer.reason.unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
    for field in answer.headers.iter() {
        if !HOP_BY_HOP.iter().any(|name| is(field.name, name)) {
            write(out, field.name, field.value);
        }
    }
    if upgraded {
        out.extend_from_slice(UPGRADE);
    }
    out.extend_from_slice(b"\r\n");
    buffer.advance(len);
    Ok(Some(Answer { body, upgraded }))
}

fn write(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

/// Whether a field is the one with that name, an underscore counting as a hyphen.
fn is(field: &str, name: &str) -> bool {
    let same = |(byte, other): (u8, u8)| match byte {
        b'_' => other == b'-',
        byte => byte.eq_ignore_ascii_case(&other),
    };
    field.len() == name.len() && field.bytes().zip(name.bytes()).all(same)
}

const USER: &[u8] = b"alice";
const UPGRADE: &[u8] = b"Connection: Upgrade\r\nUpgrade: websocket\r\n";
/// RFC 9110 §7.6.1.
const HOP_BY_HOP: &[&str] = &["connection", "keep-alive", "upgrade"];
/// What a client does not say itself.
const REPLACED: &[&str] = &[
    "authorization",
    "connection",
    "forwarded",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
    "x-auth-email",
    "x-auth-first-name",
    "x-auth-groups",
    "x-auth-id",
    "x-auth-last-name",
    "x-auth-rsc-role",
    "x-auth-username",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-rsc-request",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_goes_on_with_the_name_that_is_set_here() {
        let mut buffer = BytesMut::from(
            "POST /a?b HTTP/1.1\r\nHost: h\r\nX_Auth-Username: mallory\r\n\
             Authorization: Basic x\r\nContent-Length: 3\r\n\r\nabc",
        );
        let mut out = Vec::new();
        assert_eq!(
            request(&mut buffer, &mut out).unwrap(),
            Some(Request {
                body: 3,
                upgrades: false,
                kept: true
            })
        );
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "POST /a?b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nX-Auth-Username: alice\r\n\
             X-RSC-Request: https://localhost/a?b\r\nX-Forwarded-For: 127.0.0.1\r\n\
             X-Forwarded-Proto: https\r\n\r\n"
        );
        assert_eq!(&buffer[..], b"abc");
    }

    #[test]
    fn an_answer_goes_on_without_what_is_the_connections() {
        let mut buffer =
            BytesMut::from("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
        let mut out = Vec::new();
        let answer = answer(&mut buffer, &mut out).unwrap().unwrap();
        assert_eq!((answer.body, answer.upgraded), (2, false));
        assert_eq!(out, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
    }
}
