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
