//! An answer's head that is accepted has one meaning, and its framing fits the request.
//!
//! Input: one byte that chooses the method and whether an upgrade was asked for, one byte for the
//! size of the pieces; then the bytes.

#![no_main]

use bytes::Bytes;
use gateway_fuzz::{check_fields, emit_answer, find_end, same_fields};
use libfuzzer_sys::fuzz_target;
use wire::h1::{Answer, AnswerBody, parse_answer};
use wire::{Method, Name};

fuzz_target!(|data: &[u8]| {
    let [choice, size, bytes @ ..] = data else {
        return;
    };
    let upgrading = choice & 8 != 0;
    let method = match choice & 7 {
        0 => Method::Get,
        1 => Method::Head,
        2 => Method::Options,
        3 => Method::Post,
        _ => Method::Other,
    };
    let parse =
        |bytes: &[u8]| parse_answer(Bytes::copy_from_slice(bytes), Vec::new(), method, upgrading);
    let end = find_end(bytes, usize::from(*size));
    if parse(bytes).is_ok() {
        assert_eq!(
            end,
            Ok(Some(bytes.len())),
            "accepted, though it ends elsewhere"
        );
    }
    let Ok(Some(len)) = end else {
        return;
    };
    let Ok(answer) = parse(&bytes[..len]) else {
        return;
    };
    check(&answer, method, upgrading);
    let emitted = emit_answer(&answer.head);
    match parse(&emitted) {
        Ok(again) => {
            assert_same(&answer, &again);
            assert_eq!(emit_answer(&again.head), emitted);
        }
        Err(error) => panic!("{error}: {}", emitted.escape_ascii()),
    }
});

fn check(answer: &Answer, method: Method, upgrading: bool) {
    let head = &answer.head;
    let fields = head.fields();
    check_fields(fields);
    let status = head.status();
    assert!((100..=599).contains(&status));
    assert!(
        !head
            .reason()
            .iter()
            .any(|byte| byte.is_ascii_control() && *byte != b'\t')
    );
    assert!(upgrading || status != 101);

    let lengths = fields.all(Name::ContentLength).count();
    let codings = fields.all(Name::TransferEncoding).count();
    assert!(lengths + codings <= 1);
    let bodiless = method == Method::Head || status < 200 || status == 204 || status == 304;
    match answer.body {
        AnswerBody::Chunked => assert_eq!((lengths, codings), (0, 1)),
        AnswerBody::Empty => assert!(bodiless),
        AnswerBody::Length(length) => {
            assert_eq!((lengths, codings), (1, 0));
            assert!(length < 1 << 63);
        }
        AnswerBody::UntilClose => {
            assert_eq!((lengths, codings), (0, 0));
            assert!(
                !answer.keep_alive,
                "the end of the connection ends the body"
            );
        }
    }
    assert_eq!(bodiless, answer.body == AnswerBody::Empty);
}

fn assert_same(one: &Answer, other: &Answer) {
    assert_eq!(one.head.status(), other.head.status());
    assert_eq!(one.head.reason(), other.head.reason());
    assert_eq!(one.head.version(), other.head.version());
    assert!(same_fields(one.head.fields(), other.head.fields()));
    assert_eq!(one.body, other.body);
    assert_eq!(one.keep_alive, other.keep_alive);
}
