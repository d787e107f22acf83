//! From bytes to a start line and field lines, the part that requests and answers share.

use bytes::Bytes;

use super::HeadError;
use crate::grammar::{is_blank, is_text, is_token};
use crate::head::{Field, Fields, Name, Span};

/// Splits one complete head, terminator included, into its start line (without CRLF) and its
/// fields. The fields' bytes are the whole head.
///
/// httparse finds the fields; what it lets pass (bare LF, leading blank lines) is refused here,
/// and what the rest of the gateway relies on is checked here once more.
pub(super) fn split(bytes: Bytes, table: Vec<Field>) -> Result<(Span, Fields), HeadError> {
    // Spans are 32 bits wide.
    if u32::try_from(bytes.len()).is_err() {
        return Err(HeadError::Syntax);
    }
    match split_strictly(&bytes, table) {
        Ok((line, table)) => Ok((line, Fields { bytes, table })),
        // This rule comes before whatever else is broken.
        Err(_) if has_bare_line_feed(&bytes) => Err(HeadError::BareLineBreak),
        Err(error) => Err(error),
    }
}

fn split_strictly(bytes: &[u8], table: Vec<Field>) -> Result<(Span, Vec<Field>), HeadError> {
    let first = memchr::memchr(b'\n', bytes).ok_or(HeadError::NoStartLine)? + 1;
    let (line, rest) = bytes.split_at_checked(first).ok_or(HeadError::Syntax)?;
    let line = line.strip_suffix(b"\r\n").ok_or(HeadError::NoStartLine)?;
    if line.is_empty() {
        return Err(HeadError::NoStartLine);
    }
    if line.contains(&b'\r') {
        return Err(HeadError::BareLineBreak);
    }
    // Making room for all that there may be costs as much as parsing a few.
    let mut few = [httparse::EMPTY_HEADER; FEW];
    let table = match httparse::parse_headers(rest, &mut few) {
        Err(httparse::Error::TooManyHeaders) => {
            let mut most = [httparse::EMPTY_HEADER; Fields::MAX];
            let found = httparse::parse_headers(rest, &mut most);
            fields(bytes, first, found, table)?
        }
        found => fields(bytes, first, found, table)?,
    };
    Ok((Span::within(bytes, line), table))
}

/// Takes over what httparse found behind `first`, if it is what the bytes say: each line a token,
/// a colon, a value and CRLF, with nothing between the lines, and the empty line as their end.
fn fields(
    bytes: &[u8],
    first: usize,
    found: httparse::Result<(usize, &[httparse::Header<'_>])>,
    mut table: Vec<Field>,
) -> Result<Vec<Field>, HeadError> {
    let rest = bytes.get(first..).unwrap_or_default();
    let parsed = match found {
        Ok(httparse::Status::Complete((used, parsed))) if used == rest.len() => parsed,
        // Without its end, or with more behind it.
        Ok(_) => return Err(HeadError::Syntax),
        Err(error) => return Err(refusal(error, rest)),
    };
    table.clear();
    table.reserve(parsed.len());
    let mut at = first;
    for header in parsed {
        let (field, end) = field(bytes, at, header).ok_or(HeadError::Syntax)?;
        table.push(field);
        at = end;
    }
    // Nothing was skipped or joined. No input is known that httparse would fail this on; a later
    // httparse may learn to be lenient.
    match bytes.get(at..) {
        Some(b"\r\n") => Ok(table),
        _ => Err(HeadError::Syntax),
    }
}

/// The field line at `at`, and where it ends.
fn field(bytes: &[u8], at: usize, header: &httparse::Header<'_>) -> Option<(Field, usize)> {
    let colon = at + header.name.len();
    let start = blanks(bytes, colon + 1);
    let end = start + header.value.len();
    let crlf = blanks(bytes, end);
    let (name, value) = (bytes.get(at..colon)?, bytes.get(start..end)?);
    let sound = bytes.get(colon) == Some(&b':')
        && bytes.get(crlf..crlf + 2) == Some(b"\r\n")
        && is_token(name)
        && is_text(value);
    let field = Field {
        known: Name::of(name),
        name: Span::within(bytes, name),
        value: Span::within(bytes, value),
    };
    sound.then_some((field, crlf + 2))
}

/// Where the blanks from `at` on end.
fn blanks(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(|byte| is_blank(*byte)) {
        at += 1;
    }
    at
}

/// Whether any line does not end with CRLF.
#[cold]
fn has_bare_line_feed(bytes: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', bytes).any(|lf| {
        let before = lf.checked_sub(1).and_then(|at| bytes.get(at));
        before != Some(&b'\r')
    })
}

/// Names the rule that `rest`, which is no field section, broke.
#[cold]
fn refusal(error: httparse::Error, rest: &[u8]) -> HeadError {
    if error == httparse::Error::TooManyHeaders {
        return HeadError::FieldCount;
    }
    let mut lines = rest.split(|byte| *byte == b'\n');
    let has_bare_cr = |line: &[u8]| line.strip_suffix(b"\r").unwrap_or(line).contains(&b'\r');
    if lines.clone().any(has_bare_cr) {
        return HeadError::BareLineBreak;
    }
    if lines.any(|line| line.first().is_some_and(|byte| is_blank(*byte))) {
        return HeadError::LineFold;
    }
    HeadError::Syntax
}

/// Most heads have no more fields.
const FEW: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(head: &[u8]) -> Result<Vec<[Vec<u8>; 2]>, HeadError> {
        let (_, fields) = split(Bytes::copy_from_slice(head), Vec::new())?;
        Ok(fields
            .iter()
            .map(|line| [line.name.to_vec(), line.value.to_vec()])
            .collect())
    }

    #[test]
    fn values_are_trimmed_and_kept_in_order() {
        let head = b"X\r\na: \t1 2\t \r\nB:\r\na:3\r\nc:  \r\n\r\n";
        let expected = [("a", "1 2"), ("B", ""), ("a", "3"), ("c", "")]
            .map(|(name, value)| [name, value].map(|text| text.as_bytes().to_vec()));
        assert_eq!(fields(head).unwrap(), expected);
    }

    #[test]
    fn the_start_line_stands_alone() {
        let (line, fields) = split(Bytes::from_static(b"X y z\r\n\r\n"), Vec::new()).unwrap();
        assert_eq!(line.of(&fields.bytes), b"X y z");
        assert!(fields.is_empty());
    }

    #[test]
    fn what_is_no_field_section_is_refused_by_its_rule() {
        for (head, expected) in [
            (&b""[..], HeadError::NoStartLine),
            (b"X", HeadError::NoStartLine),
            (b"X\r\n", HeadError::Syntax),
            (b"X\r\na: 1\r\n", HeadError::Syntax),
            (b"X\r\na: 1\r\n\r\nb: 2\r\n\r\n", HeadError::Syntax),
            (b"X\r\na: 1\r\n\r\n\0", HeadError::Syntax),
            (b"\r\nX\r\n\r\n", HeadError::NoStartLine),
            (b"\r\n\r\n", HeadError::NoStartLine),
            (b"X\na: 1\r\n\r\n", HeadError::BareLineBreak),
            (b"X\r\na: 1\n\r\n", HeadError::BareLineBreak),
            (b"X\r\na: 1\r\n\n", HeadError::BareLineBreak),
            (b"X\ry\r\na: 1\r\n\r\n", HeadError::BareLineBreak),
            (b"X\r\na: 1\r2\r\n\r\n", HeadError::BareLineBreak),
            (b"X\r\na: 1\r\r\n\r\n", HeadError::BareLineBreak),
            (b"X\r\na\r: 1\r\n\r\n", HeadError::BareLineBreak),
            (b"X\r\na: 1\r\n 2\r\n\r\n", HeadError::LineFold),
            (b"X\r\na: 1\r\n\t2\r\n\r\n", HeadError::LineFold),
            (b"X\r\n a: 1\r\n\r\n", HeadError::LineFold),
            (b"X\r\na : 1\r\n\r\n", HeadError::Syntax),
            (b"X\r\na\t: 1\r\n\r\n", HeadError::Syntax),
            (b"X\r\n: 1\r\n\r\n", HeadError::Syntax),
            (b"X\r\na\r\n\r\n", HeadError::Syntax),
            (b"X\r\na(b): 1\r\n\r\n", HeadError::Syntax),
            (b"X\r\n\xe9: 1\r\n\r\n", HeadError::Syntax),
        ] {
            assert_eq!(fields(head), Err(expected), "{}", head.escape_ascii());
        }
    }

    /// Vectorised scanners have blind spots at block borders, so each byte is tried at many places.
    #[test]
    fn every_byte_is_judged_at_every_place() {
        for byte in 0..=u8::MAX {
            for place in 0..70 {
                let mut text = [b'v'; 70];
                text[place] = byte;
                let value = [b"X\r\na: ", &text[..], b"\r\n\r\n"].concat();
                let is_value = byte == b'\t' || !byte.is_ascii_control();
                assert_eq!(
                    fields(&value).is_ok(),
                    is_value,
                    "{byte:#x} in a value at {place}"
                );
                if byte != b':' {
                    let name = [b"X\r\n", &text[..], b": 1\r\n\r\n"].concat();
                    assert_eq!(
                        fields(&name).is_ok(),
                        is_token(&[byte]),
                        "{byte:#x} in a name at {place}"
                    );
                }
            }
        }
    }

    #[test]
    fn field_count_limit() {
        let head = |count: usize| {
            [
                b"X\r\n".to_vec(),
                b"a: 1\r\n".repeat(count),
                b"\r\n".to_vec(),
            ]
            .concat()
        };
        assert_eq!(fields(&head(Fields::MAX)).unwrap().len(), Fields::MAX);
        assert_eq!(fields(&head(Fields::MAX + 1)), Err(HeadError::FieldCount));
    }

    #[test]
    fn a_used_table_starts_empty() {
        let (_, first) =
            split(Bytes::from_static(b"X\r\na: 1\r\nb: 2\r\n\r\n"), Vec::new()).unwrap();
        let (_, second) = split(Bytes::from_static(b"X\r\nc: 3\r\n\r\n"), first.table).unwrap();
        assert_eq!(
            second.iter().map(|line| line.value).collect::<Vec<_>>(),
            [b"3"]
        );
    }
}
