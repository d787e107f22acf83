//! Reading an encoded field section (RFC 9204 §4.5), line by line.

use bytes::BytesMut;

use super::integer::take_integer;
use super::{huffman, statics};
use crate::h3::{Code, Error};

/// The lines of an encoded field section.
///
/// Whatever needs the dynamic table, whose capacity is 0, is an error, and so is what is cut off:
/// a connection error of [`Code::QpackDecompressionFailed`] (RFC 9204 §2.2.3, §6).
#[derive(Clone, Copy, Debug)]
pub(in crate::h3) struct Decoder<'a> {
    rest: &'a [u8],
}

/// One field line.
#[derive(Clone, Copy, Debug)]
pub(in crate::h3) struct Line<'a> {
    pub(in crate::h3) name: Text<'a>,
    pub(in crate::h3) value: Text<'a>,
}

/// A string literal, or one of the static table's.
#[derive(Clone, Copy, Debug)]
pub(in crate::h3) enum Text<'a> {
    Huffman(&'a [u8]),
    Plain(&'a [u8]),
}

impl<'a> Decoder<'a> {
    /// Reads the prefix (§4.5.1).
    pub(in crate::h3) fn new(section: &'a [u8]) -> Result<Self, Error> {
        let mut rest = section;
        let required_insert_count = take_integer(&mut rest, 8).ok_or(BROKEN)?;
        let sign = rest.first().ok_or(BROKEN)? & 0x80;
        take_integer(&mut rest, 7).ok_or(BROKEN)?;
        // §4.5.1.1: nothing was inserted. §4.5.1.2: with a sign, the count must be more than the
        // delta.
        if required_insert_count != 0 || sign != 0 {
            return Err(DYNAMIC);
        }
        Ok(Self { rest })
    }

    /// The next line; `None` at the end.
    pub(in crate::h3) fn next_line(&mut self) -> Result<Option<Line<'a>>, Error> {
        let Some(first) = self.rest.first() else {
            return Ok(None);
        };
        match first {
            // §4.5.2: both from the static table.
            0b1100_0000.. => {
                let (name, value) = self.indexed(6)?;
                Ok(Some(Line {
                    name: Text::Plain(name),
                    value: Text::Plain(value),
                }))
            }
            // §4.5.4: a name from the static table. The bit that forbids to index is of no
            // meaning: nothing is indexed here.
            0b0101_0000..=0b0101_1111 | 0b0111_0000..=0b0111_1111 => {
                let (name, _) = self.indexed(4)?;
                Ok(Some(Line {
                    name: Text::Plain(name),
                    value: self.text(7)?,
                }))
            }
            // §4.5.6: neither.
            0b0010_0000..=0b0011_1111 => Ok(Some(Line {
                name: self.text(3)?,
                value: self.text(7)?,
            })),
            // §4.5.2, §4.5.4: T = 0. §4.5.3, §4.5.5: post-base.
            _ => Err(DYNAMIC),
        }
    }

    /// An entry of the static table (RFC 9204 §3.1: an index that is none is an error).
    fn indexed(&mut self, bits: u32) -> Result<(&'static [u8], &'static [u8]), Error> {
        let index = take_integer(&mut self.rest, bits).ok_or(BROKEN)?;
        statics::entry(index).ok_or(BROKEN)
    }

    /// A string literal (§4.1.2), whose Huffman bit stands before a length of `bits` bits.
    fn text(&mut self, bits: u32) -> Result<Text<'a>, Error> {
        let is_huffman = self.rest.first().ok_or(BROKEN)? >> bits & 1 == 1;
        let len = take_integer(&mut self.rest, bits).ok_or(BROKEN)?;
        let len = usize::try_from(len).map_err(|_| BROKEN)?;
        let (text, rest) = self.rest.split_at_checked(len).ok_or(BROKEN)?;
        self.rest = rest;
        Ok(match is_huffman {
            true => Text::Huffman(text),
            false => Text::Plain(text),
        })
    }
}

impl Text<'_> {
    /// Appends the text to `out`; at most 8 bytes for 5 of the section.
    pub(in crate::h3) fn append_to(self, out: &mut BytesMut) -> Result<(), Error> {
        match self {
            Self::Huffman(encoded) => huffman::decode(encoded, out).ok_or(BROKEN),
            Self::Plain(text) => {
                out.extend_from_slice(text);
                Ok(())
            }
        }
    }
}

const BROKEN: Error = Error::connection(Code::QpackDecompressionFailed, "a section that is none");

const DYNAMIC: Error = Error::connection(
    Code::QpackDecompressionFailed,
    "a section that needs the dynamic table",
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::h3::qpack::{push_indexed, push_line, push_named, push_prefix};

    /// The lines of a section.
    fn decode(section: &[u8]) -> Result<Vec<[Vec<u8>; 2]>, Error> {
        let mut decoder = Decoder::new(section)?;
        let mut lines = Vec::new();
        while let Some(line) = decoder.next_line()? {
            let mut out = BytesMut::new();
            line.name.append_to(&mut out)?;
            let name = out.split().to_vec();
            line.value.append_to(&mut out)?;
            lines.push([name, out.to_vec()]);
        }
        Ok(lines)
    }

    fn line(name: &str, value: &str) -> [Vec<u8>; 2] {
        [name, value].map(|text| text.as_bytes().to_vec())
    }

    fn refused(section: &[u8]) {
        let error = decode(section).unwrap_err();
        assert_eq!(error.code(), Code::QpackDecompressionFailed, "{section:x?}");
        assert!(error.ends_connection());
    }

    /// RFC 9204 Appendix B.1, the one example without a dynamic table.
    #[test]
    fn the_example_of_the_rfc_is_read() {
        let section = b"\x00\x00\x51\x0b/index.html";
        assert_eq!(decode(section).unwrap(), [line(":path", "/index.html")]);
    }

    /// RFC 9204 Appendix B.2 to B.5: sections that need the dynamic table.
    #[test]
    fn dynamic_references_are_refused() {
        for section in [
            // B.2, B.4, B.5.
            &[0x03, 0x81, 0x10, 0x11][..],
            &[0x05, 0x00, 0x80, 0xc1, 0x81],
            // Each representation, with a Required Insert Count of 0.
            &[0x00, 0x00, 0x80],
            &[0x00, 0x00, 0xbf, 0x00],
            &[0x00, 0x00, 0x40, 0x01, b'a'],
            &[0x00, 0x00, 0x60, 0x01, b'a'],
            &[0x00, 0x00, 0x10],
            &[0x00, 0x00, 0x1f, 0x00],
            &[0x00, 0x00, 0x00, 0x01, b'a'],
            &[0x00, 0x00, 0x0f, 0x00, 0x01, b'a'],
        ] {
            refused(section);
        }
    }

    #[test]
    fn a_required_insert_count_is_refused_even_if_nothing_is_referred_to() {
        refused(&[0x01, 0x00]);
        refused(&[0x02, 0x00, 0xd1]);
        refused(&[0xff, 0x00, 0x00, 0xd1]);
    }

    #[test]
    fn a_base_is_not_negative_and_otherwise_of_no_meaning() {
        refused(&[0x00, 0x80]);
        refused(&[0x00, 0x85, 0xd1]);
        for section in [&[0x00, 0x05, 0xd1][..], &[0x00, 0x7f, 0x80, 0x01, 0xd1]] {
            assert_eq!(decode(section).unwrap(), [line(":method", "GET")]);
        }
    }

    #[test]
    fn static_indices_end_at_98() {
        let section = [0x00, 0x00, 0xff, 98 - 63];
        assert_eq!(
            decode(&section).unwrap(),
            [line("x-frame-options", "sameorigin")]
        );
        refused(&[0x00, 0x00, 0xff, 99 - 63]);
        refused(&[0x00, 0x00, 0x5f, 99 - 15, 0x01, b'a']);
        refused(&[
            0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f,
        ]);
    }

    #[test]
    fn literals_are_read_with_and_without_huffman_and_the_never_indexed_bit() {
        for section in [
            &b"\x00\x00\x22ab\x01c"[..],
            b"\x00\x00\x32ab\x01c",
            // "ab" is 00011 100011, "c" is 00100.
            b"\x00\x00\x2a\x1c\x7f\x81\x27",
        ] {
            assert_eq!(decode(section).unwrap(), [line("ab", "c")], "{section:x?}");
        }
        for section in [&b"\x00\x00\x5f\x28\x01c"[..], b"\x00\x00\x7f\x28\x81\x27"] {
            assert_eq!(decode(section).unwrap(), [line("range", "c")]);
        }
    }

    #[test]
    fn a_section_that_is_cut_off_is_refused() {
        let section = b"\x00\x00\xd1\x51\x04/a/b\x22ab\x01c\x7f\x28\x81\x27";
        assert_eq!(decode(section).unwrap().len(), 4);
        let mut whole = 0;
        for cut in 0..section.len() {
            match cut {
                // Between two lines.
                2 | 3 | 9 | 14 => whole += decode(&section[..cut]).is_ok() as usize,
                _ => refused(&section[..cut]),
            }
        }
        assert_eq!(whole, 4);
    }

    #[test]
    fn bad_huffman_is_refused() {
        // Padding of 8 bits; padding that is not of ones; EOS.
        refused(b"\x00\x00\x51\x82\x1f\xff");
        refused(b"\x00\x00\x51\x81\x18");
        refused(b"\x00\x00\x51\x84\xff\xff\xff\xff");
        refused(b"\x00\x00\x29\x18\x01c");
    }

    #[test]
    fn a_length_beyond_memory_is_refused() {
        refused(&[
            0x00, 0x00, 0x51, 0x7f, 0x80, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f, b'a',
        ]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            lines in prop::collection::vec(("[a-z-]{1,20}", "[ -~\u{80}-\u{ff}]{0,40}"), 0..20),
            index in 0_u8..99,
        ) {
            let mut section = BytesMut::new();
            push_prefix(&mut section);
            push_indexed(&mut section, index);
            push_named(&mut section, index, b"value");
            for (name, value) in &lines {
                push_line(&mut section, name.as_bytes(), value.as_bytes());
            }
            let (name, value) = statics::entry(index.into()).unwrap();
            let mut expected = vec![
                [name.to_vec(), value.to_vec()],
                [name.to_vec(), b"value".to_vec()],
            ];
            expected.extend(lines.iter().map(|(name, value)| line(name, value)));
            prop_assert_eq!(decode(&section).unwrap(), expected);
        }

        #[test]
        fn any_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let section = [&[0, 0], &bytes[..]].concat();
            if let Err(error) = decode(&section) {
                prop_assert_eq!(error.code(), Code::QpackDecompressionFailed);
            }
        }
    }
}
