//! JSON by hand: what the log needs and no more, into a buffer that is reused.

use std::io::Write as _;
use std::net::IpAddr;

/// A JSON object under construction.
pub(super) struct Object<'a> {
    out: &'a mut Vec<u8>,
    empty: bool,
}

impl<'a> Object<'a> {
    pub(super) fn begin(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, empty: true }
    }

    pub(super) fn end(self) {
        self.out.push(b'}');
    }

    /// A string: at most `limit` bytes of `text`, then `…` if there was more.
    pub(super) fn text(&mut self, key: &str, text: &[u8], limit: usize) {
        self.key(key);
        push_string(self.out, text, limit);
    }

    /// A string as [`Object::text`], or `null`.
    pub(super) fn optional(&mut self, key: &str, text: Option<&[u8]>, limit: usize) {
        match text {
            Some(text) => self.text(key, text, limit),
            None => self.null(key),
        }
    }

    pub(super) fn address(&mut self, key: &str, address: IpAddr) {
        self.key(key);
        self.out.push(b'"');
        match address.to_canonical() {
            IpAddr::V4(address) => {
                for (index, octet) in address.octets().into_iter().enumerate() {
                    if index > 0 {
                        self.out.push(b'.');
                    }
                    push_digits(self.out, octet.into(), 1);
                }
            }
            IpAddr::V6(address) => {
                // Writing to a `Vec` cannot fail.
                let _infallible = write!(self.out, "{address}");
            }
        }
        self.out.push(b'"');
    }

    pub(super) fn number(&mut self, key: &str, number: u64) {
        self.key(key);
        push_digits(self.out, number, 1);
    }

    pub(super) fn optional_number(&mut self, key: &str, number: Option<u64>) {
        match number {
            Some(number) => self.number(key, number),
            None => self.null(key),
        }
    }

    pub(super) fn flag(&mut self, key: &str, flag: bool) {
        self.key(key);
        self.out
            .extend_from_slice(if flag { b"true" } else { b"false" });
    }

    /// A time as RFC 3339 in UTC, from microseconds since 1970.
    pub(super) fn time(&mut self, key: &str, micros: u64) {
        self.key(key);
        self.out.push(b'"');
        push_time(self.out, micros);
        self.out.push(b'"');
    }

    /// An object within.
    pub(super) fn object(&mut self, key: &str, fill: impl FnOnce(&mut Object<'_>)) {
        self.key(key);
        let mut object = Object::begin(self.out);
        fill(&mut object);
        object.end();
    }

    fn null(&mut self, key: &str) {
        self.key(key);
        self.out.extend_from_slice(b"null");
    }

    fn key(&mut self, key: &str) {
        if !self.empty {
            self.out.push(b',');
        }
        self.empty = false;
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }
}

fn push_string(out: &mut Vec<u8>, text: &[u8], limit: usize) {
    let shown = truncated(text, limit);
    out.push(b'"');
    // A fold without an early exit is vectorised.
    if shown
        .iter()
        .fold(true, |plain, byte| plain & is_plain(*byte))
    {
        out.extend_from_slice(shown);
    } else {
        for chunk in shown.utf8_chunks() {
            push_escaped(out, chunk.valid());
            if !chunk.invalid().is_empty() {
                out.extend_from_slice("\u{fffd}".as_bytes());
            }
        }
    }
    if shown.len() < text.len() {
        out.extend_from_slice("…".as_bytes());
    }
    out.push(b'"');
}

/// At most `limit` bytes, not ending within a character.
fn truncated(text: &[u8], limit: usize) -> &[u8] {
    let is_inner = |at: usize| text.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    let Some(head) = text.get(..limit).filter(|_| text.len() > limit) else {
        return text;
    };
    // A character has at most three inner bytes; a longer run is no UTF-8 and cut where it is.
    let end = (limit.saturating_sub(3)..=limit)
        .rev()
        .find(|at| !is_inner(*at));
    head.get(..end.unwrap_or(limit)).unwrap_or(head)
}

fn push_escaped(out: &mut Vec<u8>, text: &str) {
    let mut plain_from = 0;
    for (at, character) in text.char_indices() {
        if !needs_escape(character) {
            continue;
        }
        out.extend_from_slice(text.get(plain_from..at).unwrap_or_default().as_bytes());
        plain_from = at + character.len_utf8();
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            hidden => {
                for unit in hidden.encode_utf16(&mut [0; 2]) {
                    // Writing to a `Vec` cannot fail.
                    let _infallible = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.extend_from_slice(text.get(plain_from..).unwrap_or_default().as_bytes());
}

/// Whether a byte stands for itself, whatever surrounds it; nearly all do.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')
}

/// What JSON demands, and every character that shows nothing or changes how its neighbours show
/// on a terminal or in a log viewer (log injection).
fn needs_escape(character: char) -> bool {
    matches!(character, '"' | '\\')
        || character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// Appends a number with at least `width` digits (20 at most).
fn push_digits(out: &mut Vec<u8>, mut number: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut start = digits.len();
    for digit in digits.iter_mut().rev() {
        *digit += (number % 10) as u8;
        number /= 10;
        start -= 1;
        if number == 0 && start + width <= 20 {
            break;
        }
    }
    out.extend_from_slice(digits.get(start..).unwrap_or_default());
}

fn push_time(out: &mut Vec<u8>, micros: u64) {
    let seconds = micros / 1_000_000;
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    for (number, width, after) in [
        (year, 4, b'-'),
        (month, 2, b'-'),
        (day, 2, b'T'),
        (second / 3600, 2, b':'),
        (second / 60 % 60, 2, b':'),
        (second % 60, 2, b'.'),
        (micros % 1_000_000, 6, b'Z'),
    ] {
        push_digits(out, number, width);
        out.push(after);
    }
}

/// Year, month and day from days since 1970-01-01 in the Gregorian calendar. Years begin in March,
/// so that the leap day is the last of its year (Howard Hinnant's `civil_from_days`).
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let (month, next) = if from_march < 10 {
        (from_march + 3, 0)
    } else {
        (from_march - 9, 1)
    };
    (year_of_era + era * 400 + next, month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn string(text: impl AsRef<[u8]>, limit: usize) -> String {
        let mut out = Vec::new();
        push_string(&mut out, text.as_ref(), limit);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn escapes() {
        for (text, expected) in [
            ("plain ü €", r#""plain ü €""#),
            ("\"\\\n\r\t", r#""\"\\\n\r\t""#),
            (
                "\0\u{1b}[2J\u{7f}\u{9b}",
                r#""\u0000\u001b[2J\u007f\u009b""#,
            ),
            (
                "a\u{202e}b\u{2066}c\u{200f}\u{2028}",
                r#""a\u202eb\u2066c\u200f\u2028""#,
            ),
            ("\u{e0041}", r#""\udb40\udc41""#),
        ] {
            assert_eq!(string(text, 100), expected);
        }
        assert_eq!(
            string(b"a\xff\xfeb\xe2\x82", 100),
            "\"a\u{fffd}\u{fffd}b\u{fffd}\""
        );
    }

    #[test]
    fn long_texts_end_with_a_mark_and_not_within_a_character() {
        assert_eq!(string("abcd", 4), r#""abcd""#);
        assert_eq!(string("abcde", 4), r#""abcd…""#);
        assert_eq!(string("abc€", 4), r#""abc…""#);
        assert_eq!(string("abc€", 5), r#""abc…""#);
        assert_eq!(string("abc€", 6), r#""abc€""#);
        assert_eq!(string("😀😀", 7), r#""😀…""#);
        assert_eq!(string([0x80; 9], 8).chars().count(), 2 + 8 + 1);
    }

    #[test]
    fn times() {
        for (micros, expected) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_827_696_000_001, "2000-02-29T12:34:56.000001Z"),
            (1_795_305_599_999_999, "2026-11-21T23:59:59.999999Z"),
            (4_107_542_400_000_000, "2100-03-01T00:00:00.000000Z"),
        ] {
            let mut out = Vec::new();
            push_time(&mut out, micros);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
        push_time(&mut Vec::new(), u64::MAX);
    }

    #[test]
    fn days_count_up_through_four_centuries() {
        let mut expected = (1970, 1, 1);
        for day in 0..146_097 {
            assert_eq!(civil(day), expected);
            let (y, m, d) = expected;
            let leap = y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
            let last = match m {
                2 => 28 + u64::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            expected = match (m, d) {
                (12, 31) => (y + 1, 1, 1),
                (m, d) if d == last => (y, m + 1, 1),
                (m, d) => (y, m, d + 1),
            };
        }
    }

    proptest! {
        #[test]
        fn every_byte_string_is_one_json_string(text: Vec<u8>) {
            let json = string(&text, text.len());
            let value: String = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(value, String::from_utf8_lossy(&text));
            prop_assert!(!json.chars().any(char::is_control));
        }

        #[test]
        fn every_character_survives(text: String) {
            let value: String = serde_json::from_str(&string(&text, text.len())).unwrap();
            prop_assert_eq!(value, text);
        }

        #[test]
        fn truncated_characters_are_never_broken(text: String, limit in 0_usize..40) {
            let value: String = serde_json::from_str(&string(&text, limit)).unwrap();
            let shown = value.strip_suffix('…').filter(|_| text.len() > limit).unwrap_or(&value);
            prop_assert!(text.starts_with(shown));
            prop_assert!(shown.len() <= limit && shown.len() + 4 > limit.min(text.len()));
        }

        #[test]
        fn plain_bytes_need_no_escape(byte: u8) {
            prop_assert_eq!(is_plain(byte), byte.is_ascii() && !needs_escape(char::from(byte)));
        }

        #[test]
        fn digits(number: u64, width in 1_usize..=20) {
            let mut out = Vec::new();
            push_digits(&mut out, number, width);
            prop_assert_eq!(String::from_utf8(out).unwrap(), format!("{number:0width$}"));
        }

        #[test]
        fn addresses(address: IpAddr) {
            let mut out = Vec::new();
            Object::begin(&mut out).address("a", address);
            let expected = format!("{{\"a\":\"{}\"", address.to_canonical());
            prop_assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
