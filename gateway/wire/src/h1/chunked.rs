//! The chunked coding (RFC 9112 §7.1): data out as slices, everything else dropped.

use bytes::{Buf, Bytes, BytesMut};

use super::ChunkError;
use crate::grammar::{is_blank, is_tchar, is_text_byte};

/// Decodes a chunked body. Extensions and trailers are checked, bounded and dropped (trailers
/// must never become headers: promise P1).
///
/// Bounds: a size of 16 hexadecimal digits and below 2^63, 256 bytes of extensions to a chunk and
/// 16 KiB to a body, 8 KiB of trailers. After an error the decoder is of no more use.
#[derive(Clone, Debug, Default)]
pub struct ChunkedDecoder {
    state: State,
    /// Bytes of extensions in the whole body.
    extensions: u32,
    /// Bytes of the trailer section.
    trailers: u32,
}

/// One step of a [`ChunkedDecoder`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chunked {
    /// Payload: a slice of the receive buffer, not a copy. Never empty.
    Data(Bytes),
    /// The body is complete; what is left in the buffer belongs to the next message.
    End,
    /// The buffer is used up.
    NeedMore,
}

impl ChunkedDecoder {
    /// Takes what it can from the front of `buffer`; of a chunk, what is there. A fault is an
    /// error as soon as its byte has come.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Chunked, ChunkError> {
        let mut used = 0;
        for byte in buffer.iter() {
            if matches!(self.state, State::Data { .. } | State::End) {
                break;
            }
            self.state = self.step(*byte)?;
            used += 1;
        }
        buffer.advance(used);
        match self.state {
            State::Data { left } if !buffer.is_empty() => {
                let len = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
                let left = left - len as u64;
                self.state = match left {
                    0 => State::DataCr,
                    left => State::Data { left },
                };
                Ok(Chunked::Data(buffer.split_to(len).freeze()))
            }
            State::End => Ok(Chunked::End),
            _ => {
                debug_assert!(buffer.is_empty());
                Ok(Chunked::NeedMore)
            }
        }
    }

    /// The state after one byte that is not data.
    fn step(&mut self, byte: u8) -> Result<State, ChunkError> {
        match (self.state, byte) {
            (State::Size { size, digits }, _) if byte.is_ascii_hexdigit() => {
                size_digit(size, digits, byte)
            }
            // No digit at all, blanks before the size, or before the extension: other parsers skip
            // them or take them for zero.
            (State::Size { digits: 0, .. }, _) => Err(ChunkError::Size),
            (State::Size { size, .. }, b';') => self.extension(size, 0),
            (State::Size { size, .. }, b'\r') => Ok(State::SizeLf { size }),
            (State::Size { .. }, b'\n') => Err(ChunkError::BareLineBreak),
            (State::Size { .. }, _) => Err(ChunkError::Size),

            (State::Extension { size, .. }, b'\r') => Ok(State::SizeLf { size }),
            (State::Extension { .. }, b'\n') => Err(ChunkError::BareLineBreak),
            (State::Extension { size, len }, _) if is_blank(byte) || byte.is_ascii_graphic() => {
                self.extension(size, len)
            }
            (State::Extension { .. }, _) => Err(ChunkError::Extension),

            (State::SizeLf { size: 0 }, b'\n') => Ok(State::TrailerStart),
            (State::SizeLf { size }, b'\n') => Ok(State::Data { left: size }),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataCr, b'\n') => Err(ChunkError::BareLineBreak),
            (State::DataCr, _) => Err(ChunkError::DataEnd),
            (State::DataLf, b'\n') => Ok(State::default()),

            (State::TrailerStart, b'\r') => Ok(State::LastLf),
            (State::LastLf, b'\n') => Ok(State::End),
            (State::TrailerStart | State::TrailerName, _) if is_tchar(byte) => {
                self.trailer(State::TrailerName)
            }
            (State::TrailerName, b':') => self.trailer(State::TrailerValue),
            (State::TrailerValue, b'\r') => self.trailer(State::TrailerLf),
            (State::TrailerValue, _) if is_text_byte(byte) => self.trailer(State::TrailerValue),
            (State::TrailerLf, b'\n') => self.trailer(State::TrailerStart),
            (State::TrailerStart | State::TrailerName | State::TrailerValue, b'\n') => {
                Err(ChunkError::BareLineBreak)
            }
            (State::TrailerStart | State::TrailerName | State::TrailerValue, _) => {
                Err(ChunkError::Extension)
            }

            // A CR that no LF follows.
            (State::SizeLf { .. } | State::DataLf | State::LastLf | State::TrailerLf, _) => {
                Err(ChunkError::BareLineBreak)
            }
            // `decode` takes data by itself, and nothing after the end.
            (state @ (State::Data { .. } | State::End), _) => {
                debug_assert!(false, "no byte for {state:?}");
                Err(ChunkError::DataEnd)
            }
        }
    }

    fn extension(&mut self, size: u64, len: u32) -> Result<State, ChunkError> {
        self.extensions += 1;
        if len == MAX_CHUNK_EXTENSION || self.extensions > MAX_EXTENSIONS {
            return Err(ChunkError::Extension);
        }
        Ok(State::Extension { size, len: len + 1 })
    }

    fn trailer(&mut self, next: State) -> Result<State, ChunkError> {
        self.trailers += 1;
        match self.trailers {
            ..=MAX_TRAILERS => Ok(next),
            _ => Err(ChunkError::Extension),
        }
    }
}

/// What the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Data, of which `left` bytes are to come, more than none.
    Data { left: u64 },
    /// The CR after the data.
    DataCr,
    /// The LF after the data.
    DataLf,
    /// Nothing of this body.
    End,
    /// Of an extension, of which there were `len` bytes, or the CR behind it.
    Extension { size: u64, len: u32 },
    /// The LF of the last line.
    LastLf,
    /// A digit of the size, of which there were `digits`, or what follows it.
    Size { size: u64, digits: u8 },
    /// The LF of the size line.
    SizeLf { size: u64 },
    /// The LF of a trailer.
    TrailerLf,
    /// Of a trailer's name, or the colon.
    TrailerName,
    /// The first byte of a trailer or the CR of the last line.
    TrailerStart,
    /// Of a trailer's value, or the CR behind it.
    TrailerValue,
}

impl Default for State {
    fn default() -> Self {
        Self::Size { size: 0, digits: 0 }
    }
}

fn size_digit(size: u64, digits: u8, byte: u8) -> Result<State, ChunkError> {
    let digit = char::from(byte).to_digit(16).ok_or(ChunkError::Size)?;
    let size = (size << 4) | u64::from(digit);
    if digits == MAX_DIGITS || size > MAX_SIZE {
        return Err(ChunkError::Size);
    }
    Ok(State::Size {
        size,
        digits: digits + 1,
    })
}

const MAX_CHUNK_EXTENSION: u32 = 256;
const MAX_DIGITS: u8 = 16;
const MAX_EXTENSIONS: u32 = 16 * 1024;
const MAX_SIZE: u64 = i64::MAX as u64;
const MAX_TRAILERS: u32 = 8 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Decodes `parts` as they arrive. Returns the payload and what is left behind the end, or
    /// nothing if the body is not complete.
    fn decode<'a>(
        parts: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Option<[Vec<u8>; 2]>, ChunkError> {
        let mut decoder = ChunkedDecoder::default();
        let mut buffer = BytesMut::new();
        let mut payload = Vec::new();
        let mut ended = false;
        for part in parts {
            buffer.extend_from_slice(part);
            loop {
                match decoder.decode(&mut buffer)? {
                    Chunked::Data(data) => {
                        assert!(!data.is_empty() && !ended);
                        payload.extend_from_slice(&data);
                    }
                    Chunked::End => {
                        ended = true;
                        break;
                    }
                    Chunked::NeedMore => {
                        assert!(buffer.is_empty() && !ended);
                        break;
                    }
                }
            }
        }
        Ok(ended.then(|| [payload, buffer.to_vec()]))
    }

    #[test]
    fn bodies_are_decoded() {
        for (body, payload, rest) in [
            (&b"0\r\n\r\n"[..], &b""[..], &b""[..]),
            (b"3\r\nabc\r\n0\r\n\r\n", b"abc", b""),
            (
                b"3\r\nabc\r\n0000000000000002\r\nde\r\n00\r\n\r\n",
                b"abcde",
                b"",
            ),
            (
                b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\nGET /",
                b"01234567890123456789",
                b"GET /",
            ),
            (b"2\r\n\r\n\r\n0\r\n\r\n\r\n", b"\r\n", b"\r\n"),
            (b"1;a=\"b c\"\t;d\r\nx\r\n0;\r\n\r\n", b"x", b""),
            (
                b"1\r\nx\r\n0\r\nX-Auth-Username: admin\r\nb:\r\nc: \xe9\t\r\n\r\n",
                b"x",
                b"",
            ),
        ] {
            let expected = Some([payload.to_vec(), rest.to_vec()]);
            assert_eq!(decode([body]), Ok(expected), "{}", body.escape_ascii());
        }
    }

    #[test]
    fn data_is_delivered_as_it_comes_and_not_copied() {
        let mut decoder = ChunkedDecoder::default();
        let mut buffer = BytesMut::from(&b"7fffffffffffffff\r\nabc"[..]);
        let place = buffer[18..].as_ptr();
        let Ok(Chunked::Data(data)) = decoder.decode(&mut buffer) else {
            panic!("no data");
        };
        assert_eq!((data.as_ptr(), &data[..]), (place, &b"abc"[..]));
        assert_eq!(decoder.decode(&mut buffer), Ok(Chunked::NeedMore));
    }

    #[test]
    fn the_end_stays_the_end() {
        let mut decoder = ChunkedDecoder::default();
        let mut buffer = BytesMut::from(&b"0\r\n\r\n1\r\nx"[..]);
        for _ in 0..3 {
            assert_eq!(decoder.decode(&mut buffer), Ok(Chunked::End));
            assert_eq!(buffer, b"1\r\nx"[..]);
        }
    }

    #[test]
    fn malformed_bodies_are_refused_at_their_byte() {
        for (body, expected) in [
            (&b"\r"[..], ChunkError::Size),
            (b";", ChunkError::Size),
            (b" ", ChunkError::Size),
            (b"\n", ChunkError::Size),
            (b"-", ChunkError::Size),
            (b"+", ChunkError::Size),
            (b"g", ChunkError::Size),
            (b"0x", ChunkError::Size),
            (b"3 ", ChunkError::Size),
            (b"3\t", ChunkError::Size),
            (b"3,", ChunkError::Size),
            (b"3.", ChunkError::Size),
            (b"3\0", ChunkError::Size),
            (b"8000000000000000", ChunkError::Size),
            (b"ffffffffffffffff", ChunkError::Size),
            (b"00000000000000000", ChunkError::Size),
            (b"3\n", ChunkError::BareLineBreak),
            (b"3\rx", ChunkError::BareLineBreak),
            (b"3\r\r", ChunkError::BareLineBreak),
            (b"3;a\n", ChunkError::BareLineBreak),
            (b"3;a\rb", ChunkError::BareLineBreak),
            (b"3;\0", ChunkError::Extension),
            (b"3;\x7f", ChunkError::Extension),
            (b"3;\xe9", ChunkError::Extension),
            (b"1\r\nx\n", ChunkError::BareLineBreak),
            (b"1\r\nx\rx", ChunkError::BareLineBreak),
            (b"1\r\nxx", ChunkError::DataEnd),
            (b"1\r\nx0", ChunkError::DataEnd),
            (b"1\r\nx\r\n\r", ChunkError::Size),
            (b"0\n", ChunkError::BareLineBreak),
            (b"0\r\n\n", ChunkError::BareLineBreak),
            (b"0\r\n\rx", ChunkError::BareLineBreak),
            (b"0\r\n ", ChunkError::Extension),
            (b"0\r\n:", ChunkError::Extension),
            (b"0\r\na ", ChunkError::Extension),
            (b"0\r\na\r", ChunkError::Extension),
            (b"0\r\na\n", ChunkError::BareLineBreak),
            (b"0\r\na: b\n", ChunkError::BareLineBreak),
            (b"0\r\na: b\rc", ChunkError::BareLineBreak),
            (b"0\r\na: b\0", ChunkError::Extension),
            (b"0\r\na: b\r\n\t", ChunkError::Extension),
        ] {
            assert_eq!(decode([body]), Err(expected), "{}", body.escape_ascii());
            let before = &body[..body.len() - 1];
            assert_eq!(
                decode([before]),
                Ok(None),
                "{} is good so far",
                before.escape_ascii()
            );
        }
    }

    #[test]
    fn te_bare_lf_chunk_rejected() {
        for lf in [
            "1\nx\r\n0\r\n\r\n",
            "1\r\nx\n0\r\n\r\n",
            "1\r\nx\r\n0\n\r\n",
            "1\r\nx\r\n0\r\n\n",
        ] {
            assert_eq!(
                decode([lf.as_bytes()]),
                Err(ChunkError::BareLineBreak),
                "{lf:?}"
            );
        }
    }

    #[test]
    fn chunk_extension_overflow_rejected() {
        let chunk = |len| [b"1", ";".repeat(len).as_bytes(), b"\r\nx\r\n"].concat();
        assert_eq!(decode([&chunk(256)[..]]), Ok(None));
        assert_eq!(decode([&chunk(257)[..]]), Err(ChunkError::Extension));
        let full = chunk(256).repeat(64);
        assert_eq!(decode([&full[..]]), Ok(None));
        assert_eq!(decode([&full[..], b"1;"]), Err(ChunkError::Extension));
        assert_eq!(
            decode([&full[..], b"0\r\n\r\n"]),
            Ok(Some([vec![b'x'; 64], vec![]]))
        );
    }

    #[test]
    fn trailer_overflow_rejected() {
        let body = |lines| [b"0\r\n", "abcde:\r\n".repeat(lines).as_bytes(), b"\r\n"].concat();
        assert_eq!(decode([&body(1024)[..]]), Ok(Some([vec![], vec![]])));
        assert_eq!(decode([&body(1025)[..]]), Err(ChunkError::Extension));
    }

    /// `bytes` in pieces of the given lengths, and then the rest.
    fn split<'a>(bytes: &'a [u8], lens: &[usize]) -> Vec<&'a [u8]> {
        let mut rest = bytes;
        let mut parts = Vec::new();
        for len in lens {
            let (part, tail) = rest.split_at((*len).min(rest.len()));
            parts.push(part);
            rest = tail;
        }
        parts.push(rest);
        parts
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn any_split_gives_the_same_payload(
            chunks in prop::collection::vec(
                (prop::collection::vec(any::<u8>(), 1..80), "(;[a-z]{0,9}){0,2}"),
                0..8,
            ),
            trailer in "([a-z]{1,9}:[ -~]{0,9}\r\n){0,3}",
            rest in prop::collection::vec(any::<u8>(), 0..20),
            lens in prop::collection::vec(0_usize..24, 0..60),
        ) {
            let mut body = Vec::new();
            let mut payload = Vec::new();
            for (data, extension) in &chunks {
                body.extend_from_slice(format!("{:X}{extension}\r\n", data.len()).as_bytes());
                body.extend_from_slice(data);
                body.extend_from_slice(b"\r\n");
                payload.extend_from_slice(data);
            }
            body.extend_from_slice(format!("0\r\n{trailer}\r\n").as_bytes());
            body.extend_from_slice(&rest);
            prop_assert_eq!(decode(split(&body, &lens)), Ok(Some([payload, rest])));
        }

        #[test]
        fn any_bytes_mean_the_same_however_they_are_split(
            body in prop::collection::vec(
                prop::sample::select(&b"012af;:x \t\r\n\r\n\r\n\0\xe9"[..]),
                0..40,
            ),
            lens in prop::collection::vec(0_usize..4, 0..40),
        ) {
            prop_assert_eq!(decode(split(&body, &lens)), decode([&body[..]]));
        }
    }
}
