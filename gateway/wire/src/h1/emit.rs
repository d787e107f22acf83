//! Writing heads and chunks from parsed values.

use bytes::BufMut;

/// The line end.
pub const CRLF: &[u8] = b"\r\n";

/// The last chunk with an empty trailer section.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Appends `METHOD target HTTP/1.1`; `target` comes in two parts so that no path is joined first.
pub fn push_request_line(out: &mut impl BufMut, method: &[u8], path: &[u8], query: Option<&[u8]>) {
    out.put_slice(method);
    out.put_slice(b" ");
    out.put_slice(path);
    if let Some(query) = query {
        out.put_slice(b"?");
        out.put_slice(query);
    }
    out.put_slice(b" HTTP/1.1\r\n");
}

/// Appends `HTTP/1.1 status reason`.
pub fn push_status_line(out: &mut impl BufMut, status: u16, reason: &[u8]) {
    debug_assert!((100..=599).contains(&status));
    let digit = |unit: u16| b'0' + (status / unit % 10) as u8;
    out.put_slice(b"HTTP/1.1 ");
    out.put_slice(&[digit(100), digit(10), digit(1), b' ']);
    out.put_slice(reason);
    out.put_slice(CRLF);
}

/// Appends `name: value`.
pub fn push_field(out: &mut impl BufMut, name: &[u8], value: &[u8]) {
    out.put_slice(name);
    out.put_slice(b": ");
    out.put_slice(value);
    out.put_slice(CRLF);
}

/// The size line of a chunk with `len` bytes of data, as (buffer, used length).
pub fn chunk_size_line(len: usize) -> ([u8; 18], usize) {
    let mut line = [0; 18];
    let digits = (usize::BITS - len.leading_zeros()).div_ceil(4).max(1) as usize;
    for (index, slot) in line.iter_mut().take(digits).enumerate() {
        *slot = match (len >> (4 * (digits - 1 - index))) & 0xf {
            nibble @ 0..=9 => b'0' + nibble as u8,
            nibble => b'a' + (nibble - 10) as u8,
        };
    }
    for (slot, byte) in line.iter_mut().skip(digits).zip(CRLF) {
        *slot = *byte;
    }
    (line, digits + CRLF.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunk_sizes_are_hexadecimal() {
        for len in [0, 1, 9, 10, 15, 16, 255, 256, 16384, usize::MAX] {
            let (line, used) = chunk_size_line(len);
            assert_eq!(line[..used], *format!("{len:x}\r\n").as_bytes());
        }
    }
}
