//! JSON by hand: what the log needs and no more, into a buffer that is reused.

use std::io::Write as _;
use std::net::IpAddr;

use wire::text::{AddressText, Decimal};

/// A member's name as it is written before a value, if another member stands before it. One piece, so
/// that it costs one copy.
macro_rules! key {
    ($name:literal) => {
        $crate::telemetry::access_log::json::Key(concat!(",\"", $name, "\":"))
    };
}
pub(super) use key;

/// A member's name, made by [`key!`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Key(pub(super) &'static str);

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
    pub(super) fn text(&mut self, key: Key, text: &[u8], limit: usize) {
        self.key(key);
        push_string(self.out, text, limit);
    }

    /// A string as [`Object::text`], or `null`.
    pub(super) fn optional(&mut self, key: Key, text: Option<&[u8]>, limit: usize) {
        match text {
            Some(text) => self.text(key, text, limit),
            None => self.null(key),
        }
    }

    pub(super) fn address(&mut self, key: Key, address: IpAddr) {
        self.key(key);
        self.out.push(b'"');
        let address = AddressText::of(address.to_canonical());
        self.out.extend_from_slice(address.as_bytes());
        self.out.push(b'"');
    }

    pub(super) fn number(&mut self, key: Key, number: u64) {
        self.key(key);
        match u8::try_from(number) {
            // Most are, and a digit needs no division.
            Ok(digit @ 0..=9) => self.out.push(b'0' + digit),
            _ => self.out.extend_from_slice(Decimal::of(number).as_bytes()),
        }
    }

    pub(super) fn optional_number(&mut self, key: Key, number: Option<u64>) {
        match number {
            Some(number) => self.number(key, number),
            None => self.null(key),
        }
    }

    pub(super) fn flag(&mut self, key: Key, flag: bool) {
        self.key(key);
        self.out
            .extend_from_slice(if flag { b"true" } else { b"false" });
    }

    /// A time as RFC 3339 in UTC, from microseconds since 1970.
    pub(super) fn time(&mut self, key: Key, micros: u64) {
        self.key(key);
        self.out.push(b'"');
        push_time(self.out, micros);
        self.out.push(b'"');
    }

    /// An object within.
    pub(super) fn object(&mut self, key: Key, fill: impl FnOnce(&mut Object<'_>)) {
        self.key(key);
        let mut object = Object::begin(self.out);
        fill(&mut object);
        object.end();
    }

    fn null(&mut self, key: Key) {
        self.key(key);
        self.out.extend_from_slice(b"null");
    }

    fn key(&mut self, key: Key) {
        let text = match std::mem::take(&mut self.empty) {
            // Without the comma.
            true => key.0.get(1..).unwrap_or_default(),
            false => key.0,
        };
        self.out.extend_from_slice(text.as_bytes());
    }
}

fn push_string(out: &mut Vec<u8>, text: &[u8], limit: usize) {
    let shown = truncated(text, limit);
    out.push(b'"');
    if is_plain_text(shown) {
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

/// Whether each byte stands for itself, whatever surrounds it; nearly all do. Eight at a time: most
/// texts are too short to be vectorised.
fn is_plain_text(text: &[u8]) -> bool {
    let (words, rest) = text.as_chunks();
    let plain = words.iter().fold(true, |plain, word| {
        plain & is_plain_word(u64::from_be_bytes(*word))
    });
    let last = match text.last_chunk() {
        // Some bytes are looked at twice.
        Some(word) => u64::from_be_bytes(*word),
        None => {
            let blanks = u64::from_be_bytes([b' '; 8]);
            rest.iter()
                .fold(blanks, |word, byte| word << 8 | u64::from(*byte))
        }
    };
    plain & is_plain_word(last)
}

fn is_plain_word(word: u64) -> bool {
    // The high bit of a byte of `word - each(n)` that `word` does not have tells that the byte is less
    // than `n`; the lowest such byte is always told right, and more is not asked.
    let each = |byte: u8| u64::from_be_bytes([byte; 8]);
    let below = |word: u64, bound: u8| word.wrapping_sub(each(bound)) & !word;
    let is = |byte: u8| below(word ^ each(byte), 1);
    let special = word | below(word, b' ') | is(b'"') | is(b'\\') | is(0x7f);
    special & each(0x80) == 0
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

fn push_time(out: &mut Vec<u8>, micros: u64) {
    let seconds = micros / 1_000_000;
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let mut text = *b"0000-00-00T00:00:00.000000Z";
    for (mut number, from, to) in [
        (year, 0, 4),
        (month, 5, 7),
        (day, 8, 10),
        (second / 3600, 11, 13),
        (second / 60 % 60, 14, 16),
        (second % 60, 17, 19),
        (micros % 1_000_000, 20, 26),
    ] {
        for digit in text.get_mut(from..to).unwrap_or_default().iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
        }
    }
    out.extend_from_slice(&text);
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

    /// Whether a byte stands for itself, whatever surrounds it; nearly all do.
    fn is_plain(byte: u8) -> bool {
        matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')
    }

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
        let mut out = Vec::new();
        push_time(&mut out, u64::MAX);
        assert_eq!(out.len(), 27);
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
        fn words_are_judged_as_their_bytes_are(
            bytes in prop::collection::vec(prop_oneof![Just(b'a'), Just(b' '), any::<u8>()], 0..40),
        ) {
            prop_assert_eq!(is_plain_text(&bytes), bytes.iter().all(|byte| is_plain(*byte)));
        }

        #[test]
        fn plain_bytes_need_no_escape(byte: u8) {
            prop_assert_eq!(is_plain(byte), byte.is_ascii() && !needs_escape(char::from(byte)));
        }

        #[test]
        fn addresses(address: IpAddr) {
            let mut out = Vec::new();
            Object::begin(&mut out).address(key!("a"), address);
            let expected = format!("{{\"a\":\"{}\"", address.to_canonical());
            prop_assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
