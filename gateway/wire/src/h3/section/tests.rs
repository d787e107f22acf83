use proptest::prelude::*;

use super::*;
use crate::h3::testing::section;
use crate::h3::{Code, Error};

type Lines = Vec<(String, String)>;

fn decode(lines: &[(&str, &str)], max_size: u64) -> Result<Lines, SectionError> {
    let mut arena = BytesMut::new();
    let section = Section::decode(&section(lines), max_size, &mut arena, Vec::new())?;
    Ok(lines_of(&section.finish()))
}

fn lines_of(fields: &Fields) -> Lines {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let lines = fields.iter();
    lines
        .map(|line| {
            assert_eq!(line.known, Name::of(line.name));
            (text(line.name), text(line.value))
        })
        .collect()
}

fn owned(lines: &[(&str, &str)]) -> Lines {
    let lines = lines.iter();
    lines
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn field_lines_keep_their_order_and_bytes() {
    let lines = [
        ("b", "1"),
        ("a", ""),
        ("b", "2 3\t4"),
        ("x_y.z!", "\u{e9}\"<>"),
        ("te", "trailers"),
    ];
    assert_eq!(decode(&lines, 1000).unwrap(), owned(&lines));
}

#[test]
fn what_is_malformed_is_named() {
    for (name, value, expected) in [
        ("X-a", "b", HeadError::UpperCase),
        ("x-A", "b", HeadError::UpperCase),
        ("", "b", HeadError::Syntax),
        ("a b", "c", HeadError::Syntax),
        ("a:", "c", HeadError::Syntax),
        ("a:b", "c", HeadError::Syntax),
        ("\u{e9}", "c", HeadError::Syntax),
        ("a\0", "c", HeadError::Syntax),
        ("a\r\nb", "c", HeadError::Syntax),
        ("a", "b\0", HeadError::Syntax),
        ("a", "b\r", HeadError::Syntax),
        ("a", "b\nc: d", HeadError::Syntax),
        ("a", "b\u{7f}", HeadError::Syntax),
        ("a", " b", HeadError::Syntax),
        ("a", "b ", HeadError::Syntax),
        ("a", "\tb", HeadError::Syntax),
        ("a", " ", HeadError::Syntax),
        ("cookie", "b\0", HeadError::Syntax),
        ("cookie", " b", HeadError::Syntax),
        ("connection", "close", HeadError::ConnectionSpecific),
        ("connection", "", HeadError::ConnectionSpecific),
        ("keep-alive", "timeout=5", HeadError::ConnectionSpecific),
        ("proxy-connection", "close", HeadError::ConnectionSpecific),
        (
            "transfer-encoding",
            "chunked",
            HeadError::ConnectionSpecific,
        ),
        ("upgrade", "websocket", HeadError::ConnectionSpecific),
        ("te", "gzip", HeadError::ConnectionSpecific),
        ("te", "trailers, gzip", HeadError::ConnectionSpecific),
        ("te", "", HeadError::ConnectionSpecific),
        (":status ", "200", HeadError::PseudoHeader),
        (":", "x", HeadError::PseudoHeader),
        (":Method", "GET", HeadError::PseudoHeader),
        (":host", "x", HeadError::PseudoHeader),
    ] {
        let malformed = Err(SectionError::Malformed(expected));
        assert_eq!(decode(&[(name, value)], 1000), malformed, "{name:?}");
        let behind = [("a", "b"), (name, value), ("c", "d")];
        assert_eq!(decode(&behind, 1000), malformed, "{name:?}: {value:?}");
        // Trailers meet the same rules.
        let trailers = check_trailers(&section(&behind), 1000);
        assert_eq!(trailers, malformed.map(|_: Lines| ()), "{name:?}");
    }
}

#[test]
fn pseudo_header_fields_come_first_and_once() {
    for known in [
        ":authority",
        ":method",
        ":path",
        ":protocol",
        ":scheme",
        ":status",
    ] {
        assert!(decode(&[(known, "x")], 1000).is_ok(), "{known}");
        for lines in [
            &[(known, "x"), (known, "x")][..],
            &[("a", "b"), (known, "x")],
            &[("cookie", "b"), (known, "x")],
        ] {
            let malformed = Err(SectionError::Malformed(HeadError::PseudoHeader));
            assert_eq!(decode(lines, 1000), malformed, "{lines:?}");
        }
        let trailers = check_trailers(&section(&[(known, "x")]), 1000);
        let malformed = Err(SectionError::Malformed(HeadError::PseudoHeader));
        assert_eq!(trailers, malformed, "{known}");
    }
}

#[test]
fn there_is_one_host() {
    let host = owned(&[("host", "a.example:8443")]);
    for lines in [
        &[(":authority", "a.example:8443")][..],
        &[("host", "a.example:8443")],
        &[(":authority", "a.example:8443"), ("host", "a.example:8443")],
        &[(":authority", "a.example:8443"), ("host", "A.Example:8443")],
    ] {
        assert_eq!(decode(lines, 1000).unwrap(), host, "{lines:?}");
    }
    for lines in [
        &[(":authority", "a"), ("host", "b")][..],
        &[(":authority", "a"), ("host", "a:443")],
        &[(":authority", "a"), ("host", "a"), ("host", "a")],
        &[("host", "a"), ("host", "a")],
        &[(":authority", "")],
        &[(":authority", "a"), ("host", "")],
        &[("host", "")],
        &[(":authority", "u@a")],
        &[(":authority", "a/b")],
        &[(":authority", "a, b")],
        &[("host", "a b")],
    ] {
        let malformed = Err(SectionError::Malformed(HeadError::Host));
        assert_eq!(decode(lines, 1000), malformed, "{lines:?}");
    }
}

#[test]
fn crumbs_are_joined_at_the_place_of_the_first() {
    for (lines, expected) in [
        (
            &[("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "c=3")][..],
            &[("cookie", "a=1; b=2; c=3")][..],
        ),
        (
            &[("x", "1"), ("cookie", "a=1; b=2"), ("y", "2")],
            &[("x", "1"), ("cookie", "a=1; b=2"), ("y", "2")],
        ),
        (
            &[
                ("x", "1"),
                ("cookie", "a=1"),
                ("cookie", "b=2"),
                ("y", "2"),
                ("cookie", "c=3"),
                ("z", "3"),
                ("cookie", "d=4"),
                ("cookie", "e=5"),
            ],
            &[
                ("x", "1"),
                ("cookie", "a=1; b=2; c=3; d=4; e=5"),
                ("y", "2"),
                ("z", "3"),
            ],
        ),
        // An empty crumb is none.
        (
            &[("cookie", ""), ("cookie", "a=1"), ("cookie", "")],
            &[("cookie", "a=1")],
        ),
        (
            &[
                ("cookie", ""),
                ("x", "1"),
                ("cookie", "a=1"),
                ("y", "2"),
                ("cookie", ""),
                ("cookie", ""),
                ("z", "3"),
                ("cookie", "b=2"),
            ],
            &[("cookie", "a=1; b=2"), ("x", "1"), ("y", "2"), ("z", "3")],
        ),
        (&[("cookie", ""), ("cookie", "")], &[("cookie", "")]),
        // A host that is only compared is nothing that comes between.
        (
            &[
                (":authority", "a"),
                ("cookie", "a=1"),
                ("host", "a"),
                ("cookie", "b=2"),
            ],
            &[("host", "a"), ("cookie", "a=1; b=2")],
        ),
    ] {
        assert_eq!(decode(lines, 1000).unwrap(), owned(expected), "{lines:?}");
    }
}

#[test]
fn cookie_crumb_limit() {
    let most = u64::MAX;
    let crumbs = |count| vec![("cookie", "a"); count];
    let cookie = decode(&crumbs(MAX_CRUMBS), most).unwrap();
    assert_eq!(cookie.len(), 1);
    assert_eq!(cookie[0].1.len(), 3 * MAX_CRUMBS - 2);
    let too_many = decode(&crumbs(MAX_CRUMBS + 1), most);
    assert_eq!(too_many, Err(SectionError::TooLarge));
    // The crumbs beside as many field lines as there can be, in one run and in many.
    let mut lines = vec![("a", "b"); Fields::MAX - 1];
    lines.extend(crumbs(MAX_CRUMBS));
    assert_eq!(decode(&lines, most).unwrap().len(), Fields::MAX);
    let mut lines = [("a", "b"), ("cookie", "c")].repeat(Fields::MAX - 1);
    assert_eq!(decode(&lines, most).unwrap().len(), Fields::MAX);
    lines.push(("a", "b"));
    assert_eq!(decode(&lines, most), Err(SectionError::TooLarge));
}

#[test]
fn field_count_limit() {
    for count in [Fields::MAX, Fields::MAX + 1, 10 * Fields::MAX] {
        let found = decode(&vec![("a", "b"); count], u64::MAX);
        match count {
            ..=Fields::MAX => assert_eq!(found.unwrap().len(), count),
            _ => assert_eq!(found, Err(SectionError::TooLarge)),
        }
    }
}

/// RFC 9114 §4.2.2.
#[test]
fn list_size_32_bytes_per_field() {
    for (lines, size) in [
        (&[][..], 0),
        (&[("abc", "de")], 37),
        (&[("cookie", "ab"), ("cookie", "c")], 79),
        (&[(":authority", "ab"), ("host", "ab")], 82),
        (&[("a", "b"), ("a", "b"), ("a", "b")], 102),
    ] {
        assert!(decode(lines, size).is_ok(), "{lines:?}");
        if let Some(less) = size.checked_sub(1) {
            assert_eq!(decode(lines, less), Err(SectionError::TooLarge));
        }
    }
    let trailers = section(&[("abc", "de")]);
    assert_eq!(check_trailers(&trailers, 37), Ok(()));
    assert_eq!(check_trailers(&trailers, 36), Err(SectionError::TooLarge));
}

/// What is small on the wire and large once decoded.
#[test]
fn qpack_bomb() {
    // `x-frame-options: sameorigin` in two bytes, 2,000 times.
    let mut bomb = vec![0, 0];
    bomb.extend([0xff, 98 - 63].repeat(2_000));
    let mut arena = BytesMut::new();
    let found = Section::decode(&bomb, 65_536, &mut arena, Vec::new());
    assert_eq!(found.unwrap_err(), SectionError::TooLarge);
    assert!(arena.len() <= Fields::MAX * 2 * 25 + 50);
}

#[test]
fn a_section_that_is_no_qpack_ends_the_connection() {
    for broken in [&b""[..], b"\0", b"\x01\0", b"\0\0\x80", b"\0\0\x21a"] {
        let expected = Code::QpackDecompressionFailed;
        let mut arena = BytesMut::new();
        let found = Section::decode(broken, 1000, &mut arena, Vec::new());
        for error in [
            found.unwrap_err(),
            check_trailers(broken, 1000).unwrap_err(),
        ] {
            let SectionError::Broken(error @ Error::Connection { code, .. }) = error else {
                panic!("{error:?}");
            };
            assert_eq!((code, error.code()), (expected, expected));
        }
    }
}

#[test]
fn an_arena_and_a_table_are_used_again() {
    let mut arena = BytesMut::with_capacity(4096);
    arena.extend_from_slice(b"left over");
    let first = arena.as_ptr() as usize;
    let left_over = Field {
        known: Name::Other,
        name: Span::at(0, 4),
        value: Span::at(5, 4),
    };
    // Far more than the arena holds at once.
    for _ in 0..1000 {
        let encoded = section(&[("name", "a value"), ("cookie", "b")]);
        let mut table = Vec::with_capacity(200);
        table.push(left_over);
        let section = Section::decode(&encoded, 1000, &mut arena, table).unwrap();
        assert!(section.table.capacity() >= 200);
        let fields = section.finish();
        let expected = owned(&[("name", "a value"), ("cookie", "b")]);
        assert_eq!(lines_of(&fields), expected);
        let place = fields.bytes.as_ptr() as usize;
        assert!((first..first + 4096).contains(&place));
    }
}

/// Lines of which most are good.
fn lines() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = prop_oneof![
        4 => "[a-z-]{1,9}",
        3 => Just("cookie".to_owned()),
        1 => Just("host".to_owned()),
        1 => Just("te".to_owned()),
    ];
    let value = prop_oneof![8 => "([!-~]([ -~]{0,9}[!-~])?)?", 1 => Just("trailers".to_owned())];
    prop::collection::vec((name, value), 0..12)
}

proptest! {
    #[test]
    fn what_is_decoded_is_what_came(lines in lines(), authority in any::<bool>()) {
        let mut sent: Vec<_> = lines.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        if authority {
            sent.insert(0, (":authority", "a"));
        }
        let Ok(found) = decode(&sent, 10_000) else {
            return Ok(());
        };
        // The naive form: what is no crumb in order, and the crumbs joined.
        let plain = |lines: &[(&str, &str)]| -> Lines {
            let lines = lines.iter().filter(|(name, _)| !["cookie", "host"].contains(name));
            owned(&lines.filter(|(name, _)| !name.starts_with(':')).copied().collect::<Vec<_>>())
        };
        let crumbs: Vec<_> = sent
            .iter()
            .filter(|(name, _)| *name == "cookie")
            .map(|(_, value)| *value)
            .collect();
        let found: Vec<_> = found.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        prop_assert_eq!(plain(&found), plain(&sent));
        let cookies: Vec<_> = found.iter().filter(|(name, _)| *name == "cookie").collect();
        prop_assert_eq!(cookies.len(), usize::from(!crumbs.is_empty()));
        let crumbs: Vec<_> = crumbs.into_iter().filter(|crumb| !crumb.is_empty()).collect();
        for cookie in cookies {
            prop_assert_eq!(cookie.1, crumbs.join("; "));
        }
    }

    #[test]
    fn trailers_are_judged_as_fields_are(lines in lines()) {
        let lines: Vec<_> = lines
            .iter()
            .filter(|(name, _)| name != "host")
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let head = decode(&lines, 10_000).map(|_| ());
        prop_assert_eq!(check_trailers(&section(&lines), 10_000), head);
    }
}
