//! A request head that is accepted has one meaning: written anew from what was parsed, it is
//! accepted again and says the same.
//!
//! Input: one byte, the size of the pieces in which the head arrives; then the bytes.

#![no_main]

use bytes::Bytes;
use gateway_fuzz::{check_fields, emit_request, find_end, parse_own, same_fields};
use libfuzzer_sys::fuzz_target;
use wire::h1::{Body, Request, parse_request};
use wire::{Authority, Name, Version};

fuzz_target!(|data: &[u8]| {
    let Some((size, bytes)) = data.split_first() else {
        return;
    };
    let end = find_end(bytes, usize::from(*size));
    let parsed = parse_request(Bytes::copy_from_slice(bytes), Vec::new());
    if parsed.is_ok() {
        assert_eq!(
            end,
            Ok(Some(bytes.len())),
            "accepted, though it ends elsewhere"
        );
    }
    let Ok(Some(len)) = end else {
        return;
    };
    if let Ok(request) = parse_request(Bytes::copy_from_slice(&bytes[..len]), Vec::new()) {
        check(&request);
        let emitted = emit_request(&request.head);
        let again = parse_own(&emitted);
        assert_same(&request, &again);
        assert_eq!(emit_request(&again.head), emitted);
    }
});

fn check(request: &Request) {
    let head = &request.head;
    let fields = head.fields();
    check_fields(fields);
    assert!(head.path().starts_with(b"/"));
    let is_path = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%".contains(byte);
    assert!(head.path().iter().all(is_path));
    for (index, _) in head
        .path()
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'%')
    {
        let digits = head.path().get(index + 1..index + 3);
        assert!(digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)));
    }
    let is_query = |byte: &u8| (byte.is_ascii_graphic() && *byte != b'#') || *byte >= 0x80;
    assert!(head.query().is_none_or(|query| query.iter().all(is_query)));
    assert_eq!(fields.only(Name::Host), Some(head.authority()));
    assert!(Authority::parse(head.authority()).is_ok());
    assert_ne!(head.method_bytes(), b"CONNECT");

    let lengths = fields.all(Name::ContentLength).count();
    let codings = fields.all(Name::TransferEncoding).count();
    match request.body {
        Body::Chunked => {
            assert_eq!((lengths, codings), (0, 1));
            assert_eq!(head.version(), Version::Http11);
        }
        Body::Empty => assert_eq!((lengths, codings), (0, 0)),
        Body::Length(length) => {
            assert_eq!((lengths, codings), (1, 0));
            assert!(length > 0 && length < 1 << 63);
        }
        Body::Zero => assert_eq!((lengths, codings), (1, 0)),
    }
    if head.version() == Version::Http10 {
        assert!(!request.expects_continue && !request.expects_other && !request.websocket);
    }
    if request.websocket {
        assert!(matches!(request.body, Body::Empty | Body::Zero));
    }
}

fn assert_same(one: &Request, other: &Request) {
    let (head, again) = (&one.head, &other.head);
    assert_eq!(head.method_bytes(), again.method_bytes());
    assert_eq!(head.path(), again.path());
    assert_eq!(head.query(), again.query());
    assert_eq!(head.authority(), again.authority());
    assert_eq!(head.version(), again.version());
    assert!(same_fields(head.fields(), again.fields()));
    assert_eq!(one.body, other.body);
    assert_eq!(one.keep_alive, other.keep_alive);
    assert_eq!(one.websocket, other.websocket);
    assert_eq!(one.expects_continue, other.expects_continue);
    assert_eq!(one.expects_other, other.expects_other);
}
