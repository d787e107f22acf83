//! Prefixed integers (RFC 9204 §4.1.1, RFC 7541 §5.1).

use bytes::BufMut;

/// Takes an integer with a prefix of `bits` bits (1–8) from the front of `input`; the bits before
/// it are not looked at. `None` if it is cut off, or 2^62 or more, or longer than such need be.
pub(super) fn take_integer(input: &mut &[u8], bits: u32) -> Option<u64> {
    let (first, mut rest) = input.split_first()?;
    let most = prefix_mask(bits);
    let mut value = u64::from(first & most);
    if value == u64::from(most) {
        let mut shift = 0;
        loop {
            let (byte, tail) = rest.split_first()?;
            rest = tail;
            // Nine times 7 bits, so that this cannot overflow.
            if shift > MAX_SHIFT {
                return None;
            }
            value += u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
    }
    *input = rest;
    (value < 1 << 62).then_some(value)
}

/// Appends an integer below 2^62 with a prefix of `bits` bits (1–8) behind `flags`.
pub(super) fn push_integer(out: &mut impl BufMut, flags: u8, bits: u32, value: u64) {
    let most = prefix_mask(bits);
    debug_assert!(flags & most == 0 && value < 1 << 62);
    match value.checked_sub(u64::from(most)) {
        None => out.put_u8(flags | value as u8),
        Some(mut left) => {
            out.put_u8(flags | most);
            while left >= 0x80 {
                out.put_u8(0x80 | left as u8);
                left >>= 7;
            }
            out.put_u8(left as u8);
        }
    }
}

/// The prefix of `bits` bits, all of them set.
fn prefix_mask(bits: u32) -> u8 {
    debug_assert!((1..=8).contains(&bits));
    u8::MAX >> (8 - bits)
}

/// Of the last byte of an integer that is below 2^62.
const MAX_SHIFT: u32 = 56;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn take(mut input: &[u8], bits: u32) -> Option<(u64, usize)> {
        let before = input.len();
        let value = take_integer(&mut input, bits)?;
        Some((value, before - input.len()))
    }

    /// RFC 7541 Appendix C.1.
    #[test]
    fn the_examples_of_the_rfc_are_read_and_written() {
        for (bytes, bits, flags, value) in [
            (&[0b1110_1010][..], 5, 0b1110_0000, 10),
            (&[0b0001_1111, 0b1001_1010, 0b0000_1010], 5, 0, 1337),
            (&[0b0010_1010], 8, 0, 42),
        ] {
            assert_eq!(take(bytes, bits), Some((value, bytes.len())));
            let mut out = Vec::new();
            push_integer(&mut out, flags, bits, value);
            assert_eq!(out, bytes);
        }
    }

    #[test]
    fn only_integers_of_62_bits_are_read() {
        let largest = [0xff, 0x80, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f];
        assert_eq!(take(&largest, 8), Some(((1 << 62) - 1, 10)));
        for bytes in [
            &[0xff, 0x81, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f][..],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
            &[
                0xff, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00,
            ],
            &[0xff; 100],
            &[],
            &[0xff],
            &[0xff, 0x80],
        ] {
            assert_eq!(take(bytes, 8), None, "{bytes:x?}");
        }
        // Longer than need be is no fault as such.
        assert_eq!(take(&[0xff, 0x80, 0x80, 0x00], 8), Some((255, 4)));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value in 0_u64..1 << 62, shift in 0_u32..62, bits in 1_u32..=8) {
            let value = value >> shift;
            let mut out = Vec::new();
            push_integer(&mut out, 0, bits, value);
            prop_assert_eq!(take(&out, bits), Some((value, out.len())));
            for cut in 0..out.len() {
                prop_assert_eq!(take(&out[..cut], bits), None);
            }
        }
    }
}
