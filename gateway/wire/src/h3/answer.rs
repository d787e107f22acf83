//! From a field section to an answer's head (RFC 9114 §4.3.2), for clients.

use bytes::BytesMut;

use super::SectionError;
use super::section::Section;
use crate::h1::HeadError;
use crate::h1::answer::status_code;
use crate::h1::framing::Framing;
use crate::head::{AnswerHead, Field, Span, Version};

/// Decodes and parses the field section of one answer head, interim or final; the arguments are
/// those of [`parse_request`](super::parse_request). The reason phrase is empty.
///
/// # Errors
///
/// See [`SectionError`]. A 101 is malformed (RFC 9114 §4.5).
pub fn parse_answer(
    section: &[u8],
    max_size: u64,
    arena: &mut BytesMut,
    table: Vec<Field>,
) -> Result<AnswerHead, SectionError> {
    let section = Section::decode(section, max_size, arena, table)?;
    let pseudo = section.pseudo();
    let of_requests = [
        pseudo.authority,
        pseudo.method,
        pseudo.path,
        pseudo.protocol,
        pseudo.scheme,
    ];
    // §4.3, §4.3.2: a status and nothing else.
    if of_requests.iter().any(Option::is_some) {
        return Err(HeadError::PseudoHeader.into());
    }
    let status = section.bytes(pseudo.status.ok_or(HeadError::PseudoHeader)?);
    let status = <[u8; 3]>::try_from(status).ok().and_then(status_code);
    // §4.5: there are no upgrades.
    let status = status
        .filter(|status| *status != 101)
        .ok_or(HeadError::Status)?;
    let fields = section.finish();
    let framing = Framing::of(&fields, Version::Http11)?;
    // RFC 9110 §8.6, as with HTTP/1.1.
    let bodiless = matches!(status, 100..=199 | 204);
    if bodiless && !matches!(framing, Framing::Length(0) | Framing::Unframed) {
        return Err(HeadError::Status.into());
    }
    Ok(AnswerHead {
        status,
        reason: Span::default(),
        version: Version::Http11,
        fields,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::h3::testing::section;
    use crate::head::Name;

    fn parse(lines: &[(&str, &str)]) -> Result<AnswerHead, SectionError> {
        parse_answer(&section(lines), 1000, &mut BytesMut::new(), Vec::new())
    }

    #[test]
    fn an_answer_is_taken_apart() {
        let head = parse(&[(":status", "404"), ("server", "x"), ("content-length", "5")]).unwrap();
        assert_eq!((head.status(), head.reason()), (404, &b""[..]));
        assert_eq!(head.version(), Version::Http11);
        assert_eq!(head.fields().len(), 2);
        assert_eq!(head.fields().only(Name::ContentLength), Some(&b"5"[..]));
        for (status, code) in [("100", 100), ("103", 103), ("200", 200), ("599", 599)] {
            let head = parse(&[(":status", status)]).unwrap();
            assert_eq!(head.status(), code);
        }
        // RFC 9110 §8.6: the length that there would be.
        assert!(parse(&[(":status", "304"), ("content-length", "5")]).is_ok());
    }

    #[test]
    fn what_is_no_answer_is_malformed() {
        for (lines, expected) in [
            (&[][..], HeadError::PseudoHeader),
            (&[("server", "x")], HeadError::PseudoHeader),
            (&[(":status", "")], HeadError::Status),
            (&[(":status", "20")], HeadError::Status),
            (&[(":status", "099")], HeadError::Status),
            (&[(":status", "600")], HeadError::Status),
            (&[(":status", "2000")], HeadError::Status),
            (&[(":status", "200 OK")], HeadError::Status),
            (&[(":status", "101")], HeadError::Status),
            (
                &[(":status", "200"), (":status", "200")],
                HeadError::PseudoHeader,
            ),
            (
                &[(":status", "200"), (":method", "GET")],
                HeadError::PseudoHeader,
            ),
            (
                &[(":authority", "a"), (":status", "200")],
                HeadError::PseudoHeader,
            ),
            (
                &[(":status", "200"), ("content-length", "+5")],
                HeadError::ContentLength,
            ),
            (
                &[(":status", "204"), ("content-length", "5")],
                HeadError::Status,
            ),
            (
                &[(":status", "200"), ("connection", "close")],
                HeadError::ConnectionSpecific,
            ),
            (&[(":status", "200"), ("Server", "x")], HeadError::UpperCase),
        ] {
            assert_eq!(
                parse(lines).unwrap_err(),
                SectionError::Malformed(expected),
                "{lines:?}"
            );
        }
    }
}
