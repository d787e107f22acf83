//! The character classes of RFC 9110 §5.6 and RFC 3986 §2 that several parsers share.

/// Whether `bytes` is a `token` (RFC 9110 §5.6.2): not empty, and of `tchar` only.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    // No early exit: the answer is nearly always yes.
    let good = bytes.iter().fold(true, |good, byte| good & is_tchar(*byte));
    good && !bytes.is_empty()
}

/// Whether a byte may stand in a token.
pub(crate) fn is_tchar(byte: u8) -> bool {
    TCHARS.get(usize::from(byte)).is_some_and(|named| *named)
}

/// [`is_tchar`] of each byte: a look into a table costs less than many comparisons.
#[expect(clippy::indexing_slicing, reason = "while compiling")]
const TCHARS: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] = names_tchar(byte as u8);
        byte += 1;
    }
    table
};

const fn names_tchar(byte: u8) -> bool {
    matches!(byte,
        b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`'
        | b'|' | b'~' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z')
}

/// Whether `bytes` may be a field value or a reason phrase (RFC 9110 §5.5): visible characters,
/// SP, HTAB and `obs-text`.
pub(crate) fn is_text(bytes: &[u8]) -> bool {
    // No early exit: this form is vectorised, and the answer is nearly always yes.
    bytes
        .iter()
        .fold(true, |good, byte| good & is_text_byte(*byte))
}

/// Whether a byte may stand in a field value: no control character but HTAB.
pub(crate) fn is_text_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// Whether a byte is `OWS`: SP or HTAB (RFC 9110 §5.6.3).
pub(crate) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// `bytes` without SP and HTAB at both ends.
pub(crate) fn trim_blanks(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes
        && is_blank(*first)
    {
        bytes = rest;
    }
    while let [rest @ .., last] = bytes
        && is_blank(*last)
    {
        bytes = rest;
    }
    bytes
}

/// `bytes` before and after the first `separator`, if there is one.
pub(crate) fn split_once(bytes: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(separator, bytes)?;
    let (before, rest) = bytes.split_at_checked(at)?;
    Some((before, rest.get(1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_hold_no_separator() {
        let separators = b"\"(),/:;<=>?@[\\]{} \t";
        for byte in 0..=u8::MAX {
            let expected = byte.is_ascii_graphic() && !separators.contains(&byte);
            assert_eq!(is_token(&[b'a', byte]), expected, "{byte:#x}");
        }
        assert!(!is_token(b""));
    }

    #[test]
    fn text_holds_no_control_character_but_htab() {
        for byte in 0..=u8::MAX {
            let expected = byte == b'\t' || !byte.is_ascii_control();
            assert_eq!(is_text(&[b'a', byte, b'z']), expected, "{byte:#x}");
        }
        assert!(is_text(b""));
    }

    #[test]
    fn only_blanks_are_trimmed() {
        assert_eq!(trim_blanks(b" \t a b\t "), b"a b");
        assert_eq!(trim_blanks(b"\r a"), b"\r a");
        assert_eq!(trim_blanks(b" \t"), b"");
    }

    #[test]
    fn the_first_separator_splits() {
        assert_eq!(split_once(b"a=b=c", b'='), Some((&b"a"[..], &b"b=c"[..])));
        assert_eq!(split_once(b"a", b'='), None);
    }
}
