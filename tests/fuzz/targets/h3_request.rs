//! A request over HTTP/3 that is accepted has one meaning: HTTP/1.1 has it, too, and written anew
//! over either version it says the same.
//!
//! Input: an encoded field section.

#![no_main]

use bytes::BytesMut;
use gateway_fuzz::{check_fields, emit_request, parse_own, same_fields};
use libfuzzer_sys::fuzz_target;
use wire::h1::{self, Body, CRLF, push_field};
use wire::h3::{Event, HeadWriter, Message, Request, SectionError, Side, parse_request};
use wire::{Fields, Head, Method, Name, Version};

fuzz_target!(|section: &[u8]| {
    let mut arena = BytesMut::new();
    let request = match parse(section, MAX_SIZE, &mut arena) {
        Ok(request) => request,
        Err(error) => {
            let broken = matches!(error, SectionError::Broken(_));
            assert_eq!(error.as_error().ends_connection(), broken);
            return;
        }
    };
    check(&request.message);
    // Whoever takes more takes the same.
    let again = parse(section, 2 * MAX_SIZE, &mut arena).expect("there is more room");
    assert_same(&request.message, &again.message);
    assert_eq!(request.priority, again.priority);

    let (written, size) = write(&request.message);
    let anew = read(&written, size).expect("it is our own");
    assert_same(&request.message, &anew.message);
    assert_eq!(request.priority, anew.priority);
    assert_eq!(
        read(&written, size - 1).unwrap_err(),
        SectionError::TooLarge
    );

    let http_1_1 = parse_own(&as_http_1_1(&request.message));
    assert_same_head(&request.message.head, &http_1_1.head);
    assert_eq!(http_1_1.expects_continue, request.message.expects_continue);
    assert_eq!(http_1_1.expects_other, request.message.expects_other);
    let body = match http_1_1.body {
        Body::Empty if !request.message.websocket => Body::Chunked,
        body => body,
    };
    assert_eq!(body, request.message.body);
});

fn parse(section: &[u8], max_size: u64, arena: &mut BytesMut) -> Result<Request, SectionError> {
    parse_request(section, max_size, arena, Vec::new(), || NONCE)
}

fn check(request: &h1::Request) {
    let head = &request.head;
    let fields = head.fields();
    check_fields(fields);
    assert!(head.path().starts_with(b"/"));
    assert_eq!(fields.only(Name::Host), Some(head.authority()));
    assert!(wire::Authority::parse(head.authority()).is_ok());
    assert_ne!(head.method_bytes(), b"CONNECT");
    assert_eq!(head.version(), Version::Http11);
    assert!(request.keep_alive);
    assert!(fields.all(Name::Cookie).count() <= 1);
    for name in [
        Name::Connection,
        Name::KeepAlive,
        Name::ProxyConnection,
        Name::TransferEncoding,
        Name::Upgrade,
    ] {
        assert!(!fields.contains(name));
    }
    for te in fields.all(Name::Te) {
        assert!(te.eq_ignore_ascii_case(b"trailers"));
    }
    for line in fields.iter() {
        assert!(!line.name.iter().any(u8::is_ascii_uppercase));
    }
    if request.websocket {
        assert_eq!((head.method(), request.body), (Method::Get, Body::Empty));
        assert_eq!(fields.only(Name::SecWebSocketVersion), Some(&b"13"[..]));
        let key = fields.only(Name::SecWebSocketKey).expect("a key");
        assert_eq!(key.len(), 24);
    }
}

/// The HEADERS frame of this request, and the size of its section.
fn write(request: &h1::Request) -> (BytesMut, u64) {
    let head = &request.head;
    let (method, protocol) = match request.websocket {
        true => (&b"CONNECT"[..], Some(&b"websocket"[..])),
        false => (head.method_bytes(), None),
    };
    let mut target = head.path().to_vec();
    if let Some(query) = head.query() {
        target.push(b'?');
        target.extend_from_slice(query);
    }
    let mut out = BytesMut::new();
    let mut writer = HeadWriter::request(&mut out, method, head.authority(), &target, protocol);
    for line in head.fields().iter() {
        if line.known != Name::Host && !(request.websocket && line.known == Name::SecWebSocketKey) {
            writer.field(line.name, line.value);
        }
    }
    let size = writer.finish();
    (out, size)
}

fn read(stream: &BytesMut, max_size: u64) -> Result<Request, SectionError> {
    let mut message = Message::new(Side::Server, stream.len());
    let mut input = stream.clone().freeze();
    let Ok(Event::Head(section)) = message.read(&mut input) else {
        panic!("no head");
    };
    assert_eq!((input.len(), message.end()), (0, Ok(())));
    parse(&section, max_size, &mut BytesMut::new())
}

/// The same request as a client of HTTP/1.1 would send it; a handshake without the fields that
/// only HTTP/1.1 has, with which it would be one.
fn as_http_1_1(request: &h1::Request) -> Vec<u8> {
    let head = emit_request(&request.head);
    if request.websocket && request.head.fields().len() + 2 <= Fields::MAX {
        let mut handshake = head[..head.len() - CRLF.len()].to_vec();
        push_field(&mut handshake, b"connection", b"upgrade");
        push_field(&mut handshake, b"upgrade", b"websocket");
        handshake.extend_from_slice(CRLF);
        assert!(parse_own(&handshake).websocket);
    }
    head
}

fn assert_same(one: &h1::Request, other: &h1::Request) {
    assert_same_head(&one.head, &other.head);
    assert_eq!(one.body, other.body);
    assert_eq!(one.keep_alive, other.keep_alive);
    assert_eq!(one.websocket, other.websocket);
    assert_eq!(one.expects_continue, other.expects_continue);
    assert_eq!(one.expects_other, other.expects_other);
}

fn assert_same_head(head: &Head, again: &Head) {
    assert_eq!(head.method_bytes(), again.method_bytes());
    assert_eq!(head.method(), again.method());
    assert_eq!(head.path(), again.path());
    assert_eq!(head.query(), again.query());
    assert_eq!(head.authority(), again.authority());
    assert_eq!(head.version(), again.version());
    let order = |head: &Head| {
        let host = head
            .fields()
            .iter()
            .position(|line| line.known == Name::Host);
        let key = head
            .fields()
            .iter()
            .position(|line| line.known == Name::SecWebSocketKey);
        (host, key)
    };
    // Written, `:authority` comes first, and the key of a handshake last.
    match order(head) == order(again) {
        true => assert!(same_fields(head.fields(), again.fields())),
        false => {
            let others = |head: &Head| {
                let lines = head.fields().iter();
                let others =
                    lines.filter(|line| !matches!(line.known, Name::Host | Name::SecWebSocketKey));
                let others = others.map(|line| (line.name.to_vec(), line.value.to_vec()));
                others.collect::<Vec<_>>()
            };
            assert_eq!(others(head), others(again));
            assert_eq!(head.fields().len(), again.fields().len());
        }
    }
}

const MAX_SIZE: u64 = 16 * 1024;

const NONCE: [u8; 16] = *b"the sample nonce";
