//! Writing an encoded field section (RFC 9204 §4.5): indexed where the static table has it, else
//! literal, by Huffman where that is shorter.

use bytes::BufMut;

use super::huffman;
use super::integer::push_integer;
use super::statics::{self, Found};

/// Appends the prefix of a section that needs no dynamic table (§4.5.1).
pub(in crate::h3) fn push_prefix(out: &mut impl BufMut) {
    out.put_slice(&[0, 0]);
}

/// Appends the line that the static table has at `index` (§4.5.2).
pub(in crate::h3) fn push_indexed(out: &mut impl BufMut, index: u8) {
    push_integer(out, 0b1100_0000, 6, index.into());
}

/// Appends a line with the name that the static table has at `index` (§4.5.4).
pub(in crate::h3) fn push_named(out: &mut impl BufMut, index: u8, value: &[u8]) {
    push_integer(out, 0b0101_0000, 4, index.into());
    push_text(out, 0, 7, value.iter().copied());
}

/// Appends a line in the shortest form; the name is written in lower case.
pub(in crate::h3) fn push_line(out: &mut impl BufMut, name: &[u8], value: &[u8]) {
    match statics::find(name, value) {
        Found::Line(index) => push_indexed(out, index),
        Found::Name(index) => push_named(out, index, value),
        Found::Nothing => {
            // §4.5.6.
            let name = name.iter().map(u8::to_ascii_lowercase);
            push_text(out, 0b0010_0000, 3, name);
            push_text(out, 0, 7, value.iter().copied());
        }
    }
}

/// Appends a string literal (§4.1.2): the Huffman bit, a length of `bits` bits, the text.
fn push_text(
    out: &mut impl BufMut,
    flags: u8,
    bits: u32,
    text: impl ExactSizeIterator<Item = u8> + Clone,
) {
    let plain = text.len();
    let encoded = huffman::encoded_len(text.clone());
    if encoded < plain {
        push_integer(out, flags | 1 << bits, bits, encoded as u64);
        huffman::encode(text, out);
    } else {
        push_integer(out, flags, bits, plain as u64);
        for byte in text {
            out.put_u8(byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(name: &str, value: &str) -> Vec<u8> {
        let mut out = Vec::new();
        push_line(&mut out, name.as_bytes(), value.as_bytes());
        out
    }

    #[test]
    fn the_shortest_form_is_taken() {
        for (name, value, expected) in [
            // Indexed.
            ("Content-Encoding", "gzip", &[0xc0 | 43][..]),
            ("x-frame-options", "sameorigin", &[0xff, 98 - 63]),
            // A name of the table, and a value by Huffman and as it is.
            ("AGE", "1111", &[0x52, 0x83, 0x08, 0x42, 0x1f]),
            ("age", "{}", &[0x52, 0x02, b'{', b'}']),
            // Neither; the name in lower case.
            ("A{", "", &[0x22, b'a', b'{', 0x00]),
            ("ABa", "c", &[0x2a, 0x1c, 0x63, 0x01, b'c']),
        ] {
            assert_eq!(written(name, value), expected, "{name}: {value}");
        }
    }
}
