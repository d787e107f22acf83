//! A field section of an answer that is accepted has one meaning: written anew from what was
//! parsed, it is accepted again and says the same. Trailers meet the same rules.
//!
//! Input: an encoded field section.

#![no_main]

use bytes::BytesMut;
use gateway_fuzz::{check_fields, same_fields};
use libfuzzer_sys::fuzz_target;
use wire::h3::{
    Event, HeadWriter, Message, SectionError, Side, check_trailers, parse_answer, parse_request,
};
use wire::{AnswerHead, Fields, Name};

fuzz_target!(|section: &[u8]| {
    let arena = &mut BytesMut::new();
    let answer = parse_answer(section, MAX_SIZE, arena, Vec::new());
    let request = parse_request(section, MAX_SIZE, arena, Vec::new(), || [0; 16]);
    let trailers = check_trailers(section, MAX_SIZE);
    // No section is two things.
    let accepted = [answer.is_ok(), request.is_ok(), trailers.is_ok()];
    assert!(accepted.iter().filter(|good| **good).count() <= 1);
    // QPACK is what it is, whoever reads it; unless a fault was found before.
    if let Err(SectionError::Broken(error)) = &trailers {
        assert!(error.ends_connection());
        assert!(answer.is_err() && request.is_err());
    }
    if trailers.is_ok() {
        check_as_head(section);
    }
    let Ok(head) = answer else {
        return;
    };
    check_fields(head.fields());
    assert!((100..=599).contains(&head.status()) && head.status() != 101);
    let (written, size) = write(head.status(), head.fields());
    let again = read(&written, size).expect("it is our own");
    assert_eq!(again.status(), head.status());
    assert!(same_fields(again.fields(), head.fields()));
    assert_eq!(
        read(&written, size - 1).unwrap_err(),
        SectionError::TooLarge
    );
});

/// The lines of good trailers are good lines of a head, behind a status; but a head has rules for
/// all its lines together.
fn check_as_head(trailers: &[u8]) {
    let Some(lines) = trailers.get(2..).filter(|_| trailers.starts_with(&[0, 0])) else {
        return;
    };
    let section = [&[0, 0, STATUS_200], lines].concat();
    match parse_answer(&section, 2 * MAX_SIZE, &mut BytesMut::new(), Vec::new()) {
        Ok(head) => check_fields(head.fields()),
        Err(SectionError::TooLarge) => {}
        Err(SectionError::Malformed(error)) => {
            use wire::h1::HeadError::{ContentLength, Host};
            assert!(matches!(error, ContentLength | Host), "{error}");
        }
        Err(SectionError::Broken(error)) => panic!("{error}"),
    }
}

/// The HEADERS frame of an answer, and the size of its section.
fn write(status: u16, fields: &Fields) -> (BytesMut, u64) {
    let mut out = BytesMut::new();
    let mut writer = HeadWriter::answer(&mut out, status);
    for line in fields.iter() {
        assert_eq!(line.known, Name::of(line.name));
        writer.field(line.name, line.value);
    }
    let size = writer.finish();
    (out, size)
}

fn read(stream: &BytesMut, max_size: u64) -> Result<AnswerHead, SectionError> {
    let mut message = Message::new(Side::Client, stream.len());
    let mut input = stream.clone().freeze();
    let Ok(Event::Head(section)) = message.read(&mut input) else {
        panic!("no head");
    };
    assert_eq!((input.len(), message.end()), (0, Ok(())));
    parse_answer(&section, max_size, &mut BytesMut::new(), Vec::new())
}

/// `:status: 200`, indexed.
const STATUS_200: u8 = 0xc0 | 25;

const MAX_SIZE: u64 = 16 * 1024;
