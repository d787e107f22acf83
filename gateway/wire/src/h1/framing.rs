//! How long the body is (RFC 9112 §6): the one place where smuggling is decided.

use super::HeadError;
use crate::head::{Fields, Name, Version};

/// What the fields of a message say about its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// `Content-Length`, below 2^63.
    Length(u64),
    /// Neither.
    Unframed,
}

impl Framing {
    /// Reads `Transfer-Encoding` and `Content-Length`. Whatever two recipients could read in two
    /// ways is an error, also where RFC 9112 §6.3 would allow to repair it.
    pub(crate) fn of(fields: &Fields, version: Version) -> Result<Self, HeadError> {
        let coded = fields.contains(Name::TransferEncoding);
        let counted = fields.contains(Name::ContentLength);
        match (coded, counted) {
            (false, false) => Ok(Self::Unframed),
            (false, true) => fields
                .only(Name::ContentLength)
                .and_then(content_length)
                .map(Self::Length)
                .ok_or(HeadError::ContentLength),
            (true, false) => match fields.only(Name::TransferEncoding) {
                // RFC 9112 §6.1: with HTTP/1.0 the framing is faulty, whatever the coding.
                Some(coding)
                    if version == Version::Http11 && coding.eq_ignore_ascii_case(b"chunked") =>
                {
                    Ok(Self::Chunked)
                }
                _ => Err(HeadError::TransferEncoding),
            },
            (true, true) => Err(HeadError::Framing),
        }
    }
}

/// `1*DIGIT` below 2^63, the bound that peers with signed lengths share. No sign and no list,
/// although RFC 9110 §8.6 would allow `5, 5`.
fn content_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value
        .iter()
        .try_fold(0_u64, |length, byte| {
            let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
            length.checked_mul(10)?.checked_add(digit)
        })
        .filter(|length| *length <= MAX_LENGTH)
}

const MAX_LENGTH: u64 = i64::MAX as u64;

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::h1::lines;

    fn framing(lines: &str, version: Version) -> Result<Framing, HeadError> {
        let head = format!("X\r\n{lines}\r\n");
        Framing::of(&lines::split(Bytes::from(head), Vec::new())?.1, version)
    }

    #[test]
    fn plain_framings_are_read() {
        for (lines, expected) in [
            ("", Framing::Unframed),
            ("Content-Length: 0\r\n", Framing::Length(0)),
            ("content-length: 007\r\n", Framing::Length(7)),
            (
                "Content-Length: 9223372036854775807\r\n",
                Framing::Length(MAX_LENGTH),
            ),
            ("Transfer-Encoding: chunked\r\n", Framing::Chunked),
            ("transfer-encoding:\tCHUNKED\t\r\n", Framing::Chunked),
            // Aliases frame nothing; policy strips them.
            (
                "Content_Length: 5\r\nTransfer_Encoding: chunked\r\n",
                Framing::Unframed,
            ),
        ] {
            assert_eq!(framing(lines, Version::Http11), Ok(expected), "{lines:?}");
        }
    }

    #[test]
    fn te_cl_conflict_rejected() {
        for lines in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
            "Transfer-Encoding: identity\r\nContent-Length: 5\r\n",
        ] {
            assert_eq!(
                framing(lines, Version::Http11),
                Err(HeadError::Framing),
                "{lines:?}"
            );
            assert_eq!(
                framing(lines, Version::Http10),
                Err(HeadError::Framing),
                "{lines:?}"
            );
        }
    }

    #[test]
    fn te_http10_rejected() {
        let lines = "Transfer-Encoding: chunked\r\n";
        assert_eq!(
            framing(lines, Version::Http10),
            Err(HeadError::TransferEncoding)
        );
    }

    #[test]
    fn te_not_final_rejected() {
        for value in [
            "",
            "xchunked",
            "chunkedx",
            "chunked, identity",
            "chunked, gzip",
            "gzip, chunked",
            "chunked, chunked",
            "chunked,",
            ", chunked",
            "chunked;q=1",
            "\"chunked\"",
            "identity",
            "chunked\r\nTransfer-Encoding: chunked",
            "gzip\r\nTransfer-Encoding: chunked",
            "\u{b}chunked",
        ] {
            let lines = format!("Transfer-Encoding: {value}\r\n");
            let expected = match value.contains('\u{b}') {
                true => HeadError::Syntax,
                false => HeadError::TransferEncoding,
            };
            assert_eq!(framing(&lines, Version::Http11), Err(expected), "{value:?}");
        }
    }

    #[test]
    fn cl_list_rejected() {
        for value in [
            "",
            "+3",
            "-3",
            "3 3",
            "3, 3",
            "3,4",
            "3,",
            "0x3",
            "3.0",
            "3;a=b",
            "\"3\"",
            "1e3",
            "\u{663}",
            "9223372036854775808",
            "18446744073709551615",
            "18446744073709551616",
            "99999999999999999999999",
            "3\r\nContent-Length: 3",
            "3\r\nContent-Length: 4",
        ] {
            let lines = format!("Content-Length: {value}\r\n");
            for version in [Version::Http10, Version::Http11] {
                assert_eq!(
                    framing(&lines, version),
                    Err(HeadError::ContentLength),
                    "{value:?}"
                );
            }
        }
    }
}
