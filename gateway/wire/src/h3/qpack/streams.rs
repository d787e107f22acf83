//! The peer's encoder and decoder streams (RFC 9204 §4.2), without a dynamic table.

use crate::h3::{Code, Error};

/// Judges a peer's encoder stream, behind its type: with a capacity of 0 it may set the capacity
/// to 0, and nothing else (RFC 9204 §3.2.3, §4.3).
///
/// Bound: 16 times, of which one is of use.
#[derive(Clone, Copy, Debug, Default)]
pub struct EncoderStream {
    instructions: u8,
}

impl EncoderStream {
    /// Judges what came.
    ///
    /// # Errors
    ///
    /// A connection error: [`Code::QpackEncoderStreamError`], or [`Code::ExcessiveLoad`] beyond
    /// the bound.
    pub fn read(&mut self, input: &[u8]) -> Result<(), Error> {
        for byte in input {
            // §4.3.1: a larger capacity than was allowed. §3.2.2: an entry larger than that.
            if *byte != SET_CAPACITY_0 {
                let why = "an instruction that needs a dynamic table";
                return Err(Error::connection(Code::QpackEncoderStreamError, why));
            }
            self.instructions += 1;
            if self.instructions > MAX_INSTRUCTIONS {
                let why = "too many instructions for the dynamic table";
                return Err(Error::connection(Code::ExcessiveLoad, why));
            }
        }
        Ok(())
    }
}

/// Judges a peer's decoder stream, behind its type: nothing was inserted and no section needs the
/// table, so that it may cancel streams and nothing else (RFC 9204 §4.4).
///
/// Nothing is kept but the place in an instruction; what it costs is a look at each byte.
#[derive(Clone, Copy, Debug, Default)]
pub struct DecoderStream {
    /// How many bytes of an instruction have come that is not whole yet.
    partial: u8,
}

impl DecoderStream {
    /// Judges what came.
    ///
    /// # Errors
    ///
    /// A connection error of [`Code::QpackDecoderStreamError`].
    pub fn read(&mut self, input: &[u8]) -> Result<(), Error> {
        for byte in input {
            self.partial = match self.partial {
                // §4.4.2: a stream is cancelled; its ID has a prefix of 6 bits.
                0 if byte >> 6 == 0b01 => u8::from(byte & 0x3f == 0x3f),
                // §4.4.1: a section that needs the table. §4.4.3: an insertion, or none.
                0 => return Err(fault("an answer to what was never encoded")),
                MAX_INSTRUCTION => return Err(fault("an integer of more than 62 bits")),
                _ if byte & 0x80 == 0 => 0,
                partial => partial + 1,
            };
        }
        Ok(())
    }
}

fn fault(why: &'static str) -> Error {
    Error::connection(Code::QpackDecoderStreamError, why)
}

/// Set Dynamic Table Capacity (RFC 9204 §4.3.1) with the one value that there may be, which has
/// one encoding.
const SET_CAPACITY_0: u8 = 0b0010_0000;

/// Of an encoder.
const MAX_INSTRUCTIONS: u8 = 16;

/// The most bytes of an integer of 62 bits.
const MAX_INSTRUCTION: u8 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    /// Judges at once and byte by byte, which must agree.
    fn encoder(input: &[u8]) -> Result<(), Code> {
        let at_once = EncoderStream::default().read(input);
        let mut stream = EncoderStream::default();
        let in_pieces = input.chunks(1).try_for_each(|piece| stream.read(piece));
        assert_eq!(at_once, in_pieces);
        at_once.map_err(|error| {
            assert!(error.ends_connection());
            error.code()
        })
    }

    fn decoder(input: &[u8]) -> Result<(), Code> {
        let at_once = DecoderStream::default().read(input);
        let mut stream = DecoderStream::default();
        let in_pieces = input.chunks(1).try_for_each(|piece| stream.read(piece));
        assert_eq!(at_once, in_pieces);
        at_once.map_err(|error| {
            assert!(error.ends_connection());
            error.code()
        })
    }

    #[test]
    fn an_encoder_may_set_the_capacity_to_0() {
        assert_eq!(encoder(&[]), Ok(()));
        assert_eq!(encoder(&[0x20]), Ok(()));
        assert_eq!(encoder(&[0x20; 16]), Ok(()));
        assert_eq!(encoder(&[0x20; 17]), Err(Code::ExcessiveLoad));
    }

    /// RFC 9204 Appendix B.2: capacity, insertions with a name reference and with a literal name;
    /// B.4: a duplicate.
    #[test]
    fn an_encoder_may_do_nothing_else() {
        for input in [
            &[0x3f, 0xbd, 0x01][..],
            &[0x21],
            &[0xc0, 0x0f],
            &[0x4a],
            &[0x02],
            &[0x00],
            &[0x20, 0x20, 0x80],
        ] {
            assert_eq!(
                encoder(input),
                Err(Code::QpackEncoderStreamError),
                "{input:x?}"
            );
        }
    }

    /// The last is of RFC 9204 Appendix B.3.
    #[test]
    fn a_decoder_may_cancel_streams() {
        for input in [
            &[][..],
            &[0x40],
            &[0x7e, 0x40],
            &[0x7f, 0x00],
            &[0x7f, 0xff, 0x01, 0x7f, 0x80, 0x80, 0x00, 0x44],
            &[0x7f, 0xc1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f],
            &[0x48],
        ] {
            assert_eq!(decoder(input), Ok(()), "{input:x?}");
        }
    }

    /// Section Acknowledgment and Insert Count Increment; RFC 9204 Appendix B.2 and B.3.
    #[test]
    fn a_decoder_may_do_nothing_else() {
        for input in [
            &[0x84][..],
            &[0x01],
            &[0x00],
            &[0x48, 0x80],
            &[0x7f, 0x80, 0x00, 0x02],
            &[
                0x7f, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00,
            ],
        ] {
            assert_eq!(
                decoder(input),
                Err(Code::QpackDecoderStreamError),
                "{input:x?}"
            );
        }
    }
}
