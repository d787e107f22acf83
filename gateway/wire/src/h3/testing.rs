//! What several tests share.

use bytes::{BufMut, BytesMut};

use super::qpack::push_prefix;

/// The encoded section of these lines, as literals without Huffman and just as they are.
pub(super) fn section<N: AsRef<[u8]>, V: AsRef<[u8]>>(lines: &[(N, V)]) -> BytesMut {
    let mut out = BytesMut::new();
    push_prefix(&mut out);
    for (name, value) in lines {
        push_length(&mut out, 0x20, 3, name.as_ref().len());
        out.put_slice(name.as_ref());
        push_length(&mut out, 0, 7, value.as_ref().len());
        out.put_slice(value.as_ref());
    }
    out
}

/// A prefixed integer (RFC 9204 §4.1.1).
fn push_length(out: &mut BytesMut, flags: u8, bits: u32, len: usize) {
    let most = (1 << bits) - 1;
    if len < most {
        out.put_u8(flags | len as u8);
        return;
    }
    out.put_u8(flags | most as u8);
    let mut left = len - most;
    while left >= 128 {
        out.put_u8(0x80 | (left % 128) as u8);
        left /= 128;
    }
    out.put_u8(left as u8);
}
