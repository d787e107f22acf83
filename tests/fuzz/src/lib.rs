//! What several fuzz targets share.

pub mod fixture;

use bytes::Bytes;
use wire::h1::{CRLF, HeadEnd, HeadError, Request, parse_request, push_field};
use wire::{AnswerHead, Fields, Head, Version};

/// Finds the end of a head at once and in pieces of `size` bytes, which must agree.
pub fn find_end(bytes: &[u8], size: usize) -> Result<Option<usize>, HeadError> {
    let at_once = HeadEnd::default().find(bytes);
    let mut end = HeadEnd::default();
    let mut seen = 0;
    let in_pieces = loop {
        seen = bytes.len().min(seen + size.max(1));
        let found = end.find(&bytes[..seen]);
        if found != Ok(None) || seen == bytes.len() {
            break found;
        }
    };
    assert_eq!(
        at_once, in_pieces,
        "the end depends on how the head arrives"
    );
    at_once
}

/// Parses a request that the code under test wrote itself.
pub fn parse_own(bytes: &[u8]) -> Request {
    assert_eq!(HeadEnd::default().find(bytes), Ok(Some(bytes.len())));
    match parse_request(Bytes::copy_from_slice(bytes), Vec::new()) {
        Ok(request) => request,
        Err(error) => panic!("{error}: {}", bytes.escape_ascii()),
    }
}

/// Writes a request's head from its parsed values.
pub fn emit_request(head: &Head) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(head.method_bytes());
    out.push(b' ');
    out.extend_from_slice(head.path());
    if let Some(query) = head.query() {
        out.push(b'?');
        out.extend_from_slice(query);
    }
    out.push(b' ');
    out.extend_from_slice(version(head.version()));
    out.extend_from_slice(CRLF);
    emit_fields(head.fields(), &mut out);
    out
}

/// Writes an answer's head from its parsed values.
pub fn emit_answer(head: &AnswerHead) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(version(head.version()));
    out.extend_from_slice(format!(" {} ", head.status()).as_bytes());
    out.extend_from_slice(head.reason());
    out.extend_from_slice(CRLF);
    emit_fields(head.fields(), &mut out);
    out
}

/// What every accepted field section keeps to, whoever sent it.
pub fn check_fields(fields: &Fields) {
    assert!(fields.len() <= Fields::MAX);
    for line in fields.iter() {
        let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        assert!(!line.name.is_empty() && line.name.iter().all(token));
        assert_eq!(line.known, wire::Name::of(line.name));
        let control = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
        assert!(!line.value.iter().any(control));
        assert_eq!(line.value, trim(line.value));
    }
}

/// Without blanks at the ends.
pub fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// Whether two field sections have the same lines.
pub fn same_fields(one: &Fields, other: &Fields) -> bool {
    one.iter().eq(other.iter())
}

/// Whether a cookie's name is one of the gateway's.
pub fn is_own_cookie(name: &[u8]) -> bool {
    let prefix = policy::Realm::COOKIE_PREFIX.as_bytes();
    name.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn emit_fields(fields: &Fields, out: &mut Vec<u8>) {
    for line in fields.iter() {
        push_field(out, line.name, line.value);
    }
    out.extend_from_slice(CRLF);
}

fn version(version: Version) -> &'static [u8] {
    match version {
        Version::Http10 => b"HTTP/1.0",
        Version::Http11 => b"HTTP/1.1",
    }
}
