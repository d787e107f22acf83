//! Variable-length integers (RFC 9000 §16): 1, 2, 4 or 8 bytes for values below 2^62.

use bytes::{Buf, BufMut, Bytes};

/// Reads one integer after the other; each may arrive in pieces.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct VarInt {
    value: u64,
    /// Bytes that are to come; none between two integers.
    left: u8,
}

impl VarInt {
    /// Takes an integer from the front of `input`; `None` if it is used up before.
    pub(super) fn read(&mut self, input: &mut Bytes) -> Option<u64> {
        let mut used = 0;
        let mut whole = None;
        for byte in input.iter() {
            used += 1;
            whole = self.push(*byte);
            if whole.is_some() {
                break;
            }
        }
        input.advance(used);
        whole
    }

    /// Whether no byte of the next integer has come.
    pub(super) fn is_between(self) -> bool {
        self.left == 0
    }

    fn push(&mut self, byte: u8) -> Option<u64> {
        if self.left == 0 {
            // The two highest bits of the first byte are the logarithm of the length.
            self.left = (1 << (byte >> 6)) - 1;
            self.value = u64::from(byte & 0x3f);
        } else {
            self.left -= 1;
            self.value = self.value << 8 | u64::from(byte);
        }
        (self.left == 0).then_some(self.value)
    }
}

/// Takes an integer from the front of `bytes`; `None` if it is cut off.
pub(super) fn split_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = VarInt::default();
    let mut rest = bytes;
    loop {
        let (byte, tail) = rest.split_first()?;
        rest = tail;
        if let Some(value) = number.push(*byte) {
            return Some((value, rest));
        }
    }
}

/// Appends an integer below 2^62 in its shortest form.
pub(super) fn push_varint(out: &mut impl BufMut, value: u64) {
    debug_assert!(value <= MAX);
    match varint_len(value) {
        1 => out.put_u8(value as u8),
        2 => out.put_u16(0x4000 | value as u16),
        4 => out.put_u32(0x8000_0000 | value as u32),
        _ => out.put_u64(0xc000_0000_0000_0000 | value),
    }
}

/// How many bytes [`push_varint`] appends.
pub(super) fn varint_len(value: u64) -> usize {
    match value {
        ..=0x3f => 1,
        0x40..=0x3fff => 2,
        0x4000..=0x3fff_ffff => 4,
        _ => 8,
    }
}

/// The largest value.
pub(super) const MAX: u64 = (1 << 62) - 1;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 9000 Appendix A.1.
    #[test]
    fn the_examples_of_the_rfc_are_read() {
        for (bytes, expected) in [
            (
                &[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c][..],
                151_288_809_941_952_652,
            ),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (&[0x7b, 0xbd], 15_293),
            (&[0x25], 37),
            // The same in more bytes than it needs.
            (&[0x40, 0x25], 37),
        ] {
            assert_eq!(split_varint(bytes), Some((expected, &[][..])));
            for cut in 0..bytes.len() {
                assert_eq!(split_varint(&bytes[..cut]), None);
                let mut number = VarInt::default();
                let mut first = Bytes::copy_from_slice(&bytes[..cut]);
                let mut second = Bytes::copy_from_slice(&[&bytes[cut..], b"x"].concat());
                assert_eq!(number.read(&mut first), None);
                assert_eq!(number.is_between(), cut == 0);
                assert_eq!(number.read(&mut second), Some(expected));
                assert!(first.is_empty() && number.is_between());
                assert_eq!(second, "x");
            }
        }
    }

    #[test]
    fn integers_are_written_in_their_shortest_form() {
        for (value, len) in [
            (0, 1),
            (63, 1),
            (64, 2),
            (16_383, 2),
            (16_384, 4),
            ((1 << 30) - 1, 4),
            (1 << 30, 8),
            (MAX, 8),
        ] {
            let mut out = Vec::new();
            push_varint(&mut out, value);
            assert_eq!(out.len(), len, "{value}");
            assert_eq!(varint_len(value), len, "{value}");
            assert_eq!(split_varint(&out), Some((value, &[][..])));
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value in 0..=MAX, shift in 0_u32..62) {
            let value = value >> shift;
            let mut out = Vec::new();
            push_varint(&mut out, value);
            prop_assert_eq!(split_varint(&out), Some((value, &[][..])));
        }
    }
}
