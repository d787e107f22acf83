//! `Cookie` and `Set-Cookie`, as far as the gateway must find, remove and refuse its own.
//!
//! Reading is tolerant: Publisher echoes whole `Set-Cookie` strings (`lb=1; Path=/; HttpOnly`) as
//! its `Cookie`, and what is not ours passes unchanged.

use crate::grammar::{is_blank, split_once, trim_blanks};

/// The `name=value` pairs of one `Cookie` value, blanks around each pair, name and value trimmed,
/// empty pairs left out; a pair without `=` has the whole as its value and an empty name
/// (RFC 6265bis §5.6: nameless cookie).
pub fn pairs(value: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    members(value).map(pair)
}

/// Appends `value` to `out` without the pairs for which `ours` says yes, asked by name; the other
/// pairs keep their bytes and are joined by `"; "`. Returns whether anything was appended.
pub fn write_without(value: &[u8], ours: impl Fn(&[u8]) -> bool, out: &mut Vec<u8>) -> bool {
    let mut written = false;
    for member in members(value).filter(|member| !ours(pair(member).0)) {
        if written {
            out.extend_from_slice(b"; ");
        }
        out.extend_from_slice(member);
        written = true;
    }
    written
}

/// The name under which a browser would store this `Set-Cookie` value: blanks and control
/// characters trimmed. A nameless cookie (`=__Host-x=1`, or no `=` at all) yields the name that it
/// would be *sent back* as, because that is what the gateway would read (CVE-2022-2860 class).
pub fn set_cookie_name(value: &[u8]) -> &[u8] {
    let pair = split_once(value, b';').map_or(value, |(pair, _)| pair);
    let mut rest = pair;
    while let [first, tail @ ..] = rest
        && (*first == b'=' || is_trimmed(*first))
    {
        rest = tail;
    }
    let mut name = split_once(rest, b'=').map_or(rest, |(name, _)| name);
    while let [head @ .., last] = name
        && is_trimmed(*last)
    {
        name = head;
    }
    name
}

/// The pairs, trimmed, that are not empty.
fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|byte| *byte == b';')
        .map(trim_blanks)
        .filter(|member| !member.is_empty())
}

fn pair(member: &[u8]) -> (&[u8], &[u8]) {
    match split_once(member, b'=') {
        Some((name, value)) => (trim_blanks(name), trim_blanks(value)),
        None => (b"", member),
    }
}

fn is_trimmed(byte: u8) -> bool {
    is_blank(byte) || byte.is_ascii_control()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pairs_are_found() {
        for (value, expected) in [
            ("", &[][..]),
            (" ; ;", &[]),
            ("a=1", &[("a", "1")]),
            ("a=1; b=2", &[("a", "1"), ("b", "2")]),
            ("a=1;b=2;;\tc = 3 ;", &[("a", "1"), ("b", "2"), ("c", "3")]),
            ("a=b=c; d=", &[("a", "b=c"), ("d", "")]),
            (
                "lb=1; Path=/; HttpOnly",
                &[("lb", "1"), ("Path", "/"), ("", "HttpOnly")],
            ),
            (
                "=__Host-x=1; __Host-x",
                &[("", "__Host-x=1"), ("", "__Host-x")],
            ),
            ("a=\"b; c=d\"", &[("a", "\"b"), ("c", "d\"")]),
        ] {
            let found: Vec<_> = pairs(value.as_bytes())
                .map(|(name, value)| {
                    (
                        str::from_utf8(name).unwrap(),
                        str::from_utf8(value).unwrap(),
                    )
                })
                .collect();
            assert_eq!(found, expected, "{value}");
        }
    }

    #[test]
    fn ours_are_removed_and_the_others_keep_their_bytes() {
        for (value, expected) in [
            ("s=1", None),
            ("s=1; s=2;s = 3", None),
            ("", None),
            ("a=1", Some("a=1")),
            ("a=1; s=x; b = \"2 3\"", Some("a=1; b = \"2 3\"")),
            ("s=x;a=1;HttpOnly", Some("a=1; HttpOnly")),
            ("ss=1; s; =s=1", Some("ss=1; s; =s=1")),
        ] {
            let mut out = b"before".to_vec();
            let written = write_without(value.as_bytes(), |name| name == b"s", &mut out);
            assert_eq!(written, expected.is_some(), "{value}");
            assert_eq!(
                out,
                format!("before{}", expected.unwrap_or_default()).into_bytes(),
                "{value}"
            );
        }
    }

    #[test]
    fn a_set_cookie_cannot_hide_its_name() {
        for value in [
            "__Host-x=1",
            "__Host-x=1; Path=/; Secure",
            "\t __Host-x \t=1",
            "__Host-x",
            "__Host-x; Path=/",
            "=__Host-x=1",
            "= __Host-x =1",
            "==__Host-x=1",
            " = =__Host-x",
            "\0__Host-x\x01=1",
            "__Host-x=",
        ] {
            assert_eq!(set_cookie_name(value.as_bytes()), b"__Host-x", "{value:?}");
        }
        for (value, expected) in [
            ("", ""),
            ("=", ""),
            ("; __Host-x=1", ""),
            ("a=__Host-x", "a"),
            ("a b=1", "a b"),
        ] {
            assert_eq!(
                set_cookie_name(value.as_bytes()),
                expected.as_bytes(),
                "{value:?}"
            );
        }
    }

    fn cookie() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop::sample::select(&b"sa=; \t\"\xe9"[..]), 0..40)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn nothing_of_ours_is_left_and_nothing_else_is_lost(value in cookie()) {
            let mut out = Vec::new();
            let written = write_without(&value, |name| name == b"s", &mut out);
            let others: Vec<_> = pairs(&value).filter(|(name, _)| name != b"s").collect();
            prop_assert_eq!(written, !others.is_empty());
            prop_assert_eq!(pairs(&out).collect::<Vec<_>>(), others);
        }

        #[test]
        fn what_is_sent_back_has_the_name_that_was_judged(value in cookie()) {
            // RFC 6265bis §5.6 and §5.8.3: how a browser stores and returns a cookie.
            let stored = split_once(&value, b';').map_or(&value[..], |(pair, _)| pair);
            let (name, content) = pair(trim_blanks(stored));
            let sent = match name {
                b"" => content.to_vec(),
                name => [name, b"=", content].concat(),
            };
            for (read, _) in pairs(&sent).filter(|(name, _)| !name.is_empty()) {
                prop_assert_eq!(read, set_cookie_name(&value));
            }
        }
    }
}
