//! `host [":" port]` (RFC 9110 §7.2, RFC 3986 §3.2).

use std::fmt;
use std::net::Ipv6Addr;

use crate::grammar::split_once;

/// An authority as the gateway compares it: the host in lower case and without a trailing dot, an
/// IPv6 address in its canonical form and in brackets, and the port if one was written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Authority {
    host: Box<str>,
    port: Option<u16>,
}

impl Authority {
    /// Parses a `Host` value strictly: no user info, no empty host or label, of a name only
    /// letters, digits, `-`, `_` and `.`, a port of 1–65535 without sign, leading blanks or
    /// zeros, IPv6 in brackets and without a zone.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidAuthority> {
        let parts = Parts::parse(bytes)?;
        let host = match parts.host {
            Host::Ipv6(address) => format!("[{address}]"),
            Host::Name(name) => name.to_ascii_lowercase(),
        };
        Ok(Self {
            host: host.into_boxed_str(),
            port: parts.port,
        })
    }

    /// The host in lower case; IPv6 in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, if one was written.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether `raw` names this authority, where a missing port on either side means
    /// `default_port`. Allocates nothing.
    pub fn matches(&self, raw: &[u8], default_port: u16) -> bool {
        let Ok(parts) = Parts::parse(raw) else {
            return false;
        };
        let same_host = match parts.host {
            Host::Ipv6(address) => ipv6(self.host.as_bytes()) == Ok(address),
            Host::Name(name) => name.eq_ignore_ascii_case(&self.host),
        };
        same_host && parts.port.unwrap_or(default_port) == self.port.unwrap_or(default_port)
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

/// The bytes are not `host [":" port]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected host or host:port")]
pub struct InvalidAuthority;

/// Whether `bytes` is an authority as [`Authority::parse`] demands it. Allocates nothing.
pub(crate) fn is_valid(bytes: &[u8]) -> bool {
    Parts::parse(bytes).is_ok()
}

/// An authority, borrowed.
struct Parts<'a> {
    host: Host<'a>,
    port: Option<u16>,
}

impl<'a> Parts<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, InvalidAuthority> {
        if bytes.first() == Some(&b'[') {
            let end = memchr::memchr(b']', bytes).ok_or(InvalidAuthority)?;
            let (address, rest) = bytes.split_at_checked(end + 1).ok_or(InvalidAuthority)?;
            let port = match rest {
                [] => None,
                [b':', digits @ ..] => Some(port(digits)?),
                _ => return Err(InvalidAuthority),
            };
            return Ok(Self {
                host: Host::Ipv6(ipv6(address)?),
                port,
            });
        }
        let (name, port) = match split_once(bytes, b':') {
            Some((name, digits)) => (name, Some(port(digits)?)),
            None => (bytes, None),
        };
        Ok(Self {
            host: Host::Name(reg_name(name)?),
            port,
        })
    }
}

enum Host<'a> {
    Ipv6(Ipv6Addr),
    /// Without its trailing dot.
    Name(&'a str),
}

/// An IPv6 address in brackets.
fn ipv6(bytes: &[u8]) -> Result<Ipv6Addr, InvalidAuthority> {
    bytes
        .strip_prefix(b"[")
        .and_then(|inner| inner.strip_suffix(b"]"))
        .and_then(|inner| str::from_utf8(inner).ok())
        .and_then(|inner| inner.parse().ok())
        .ok_or(InvalidAuthority)
}

/// A name or IPv4 address. Of RFC 3986's `reg-name` the percent-encodings and `sub-delims` are
/// refused: no DNS name has them, and parsers disagree about them.
fn reg_name(bytes: &[u8]) -> Result<&str, InvalidAuthority> {
    let name = bytes.strip_suffix(b".").unwrap_or(bytes);
    let is_label = |label: &[u8]| {
        !label.is_empty()
            && label
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if !name.split(|byte| *byte == b'.').all(is_label) {
        return Err(InvalidAuthority);
    }
    str::from_utf8(name).map_err(|_| InvalidAuthority)
}

fn port(digits: &[u8]) -> Result<u16, InvalidAuthority> {
    // `parse` alone would take a sign; the first digit also rules out port 0.
    if !matches!(digits, [b'1'..=b'9', rest @ ..] if rest.iter().all(u8::is_ascii_digit)) {
        return Err(InvalidAuthority);
    }
    str::from_utf8(digits)
        .ok()
        .and_then(|digits| digits.parse().ok())
        .ok_or(InvalidAuthority)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn authorities_are_normalised() {
        for (raw, host, port) in [
            ("Connect.Example.COM", "connect.example.com", None),
            ("connect.example.com.", "connect.example.com", None),
            ("connect:8443", "connect", Some(8443)),
            ("my_host-1.", "my_host-1", None),
            ("127.0.0.1:1", "127.0.0.1", Some(1)),
            ("[0:0:0:0:0:0:0:1]:65535", "[::1]", Some(65535)),
            ("[FE80::A]", "[fe80::a]", None),
        ] {
            let authority = Authority::parse(raw.as_bytes()).unwrap();
            assert_eq!((authority.host(), authority.port()), (host, port), "{raw}");
            let shown = authority.to_string();
            assert_eq!(Authority::parse(shown.as_bytes()), Ok(authority), "{raw}");
        }
    }

    #[test]
    fn what_is_no_authority_is_refused() {
        for raw in [
            "",
            ".",
            "..",
            ".a",
            "a..b",
            "a..",
            ":80",
            "a:",
            "a:0",
            "a:+80",
            "a: 80",
            "a:080",
            "a:65536",
            "a:80:80",
            "a:80x",
            "a b",
            " a",
            "a ",
            "u@a",
            "u:p@a",
            "a/b",
            "a,b",
            "a%41",
            "a\u{e9}",
            "::1",
            "[]",
            "[::1",
            "[::1]x",
            "[::1]:",
            "[::1%eth0]",
            "[v1.a]",
            "[127.0.0.1]",
            "a]",
            "a\0",
        ] {
            assert_eq!(
                Authority::parse(raw.as_bytes()),
                Err(InvalidAuthority),
                "{raw}"
            );
        }
    }

    #[test]
    fn a_missing_port_is_the_default_one() {
        let bare = Authority::parse(b"a.example").unwrap();
        let with_port = Authority::parse(b"a.example:8443").unwrap();
        let v6 = Authority::parse(b"[::1]").unwrap();
        for (authority, raw, default_port, expected) in [
            (&bare, "A.example.", 443, true),
            (&bare, "a.example:443", 443, true),
            (&bare, "a.example:8443", 443, false),
            (&bare, "a.example:8443", 8443, true),
            (&bare, "b.example", 443, false),
            (&bare, "a.example:", 443, false),
            (&bare, "", 443, false),
            (&with_port, "a.example", 443, false),
            (&with_port, "a.example", 8443, true),
            (&with_port, "a.example:8443", 443, true),
            (&v6, "[0::1]:443", 443, true),
            (&v6, "[::2]", 443, false),
        ] {
            assert_eq!(
                authority.matches(raw.as_bytes(), default_port),
                expected,
                "{authority} {raw}"
            );
        }
    }

    proptest! {
        /// Whatever is accepted has one normal form, which matches what it came from.
        #[test]
        fn what_is_accepted_has_one_form(
            raw in "[a-zA-Z0-9._:\\[\\]%@/ -]{0,12}|[a-zA-Z]{1,3}([.][a-z0-9_-]{1,3}){0,2}[.]?(:[0-9]{1,6})?",
        ) {
            let Ok(authority) = Authority::parse(raw.as_bytes()) else {
                return Ok(());
            };
            let shown = authority.to_string();
            let again = Authority::parse(shown.as_bytes());
            prop_assert_eq!(again.as_ref(), Ok(&authority));
            prop_assert!(authority.matches(raw.as_bytes(), 443));
            prop_assert!(!shown.contains(|c: char| c.is_ascii_uppercase() || "%@/ ".contains(c)));
        }

        /// Two that match are the same, once the port is written out.
        #[test]
        fn only_the_same_match(one in "[aB]([.][aB])?[.]?(:443|:80)?", other in "[aB]([.][aB])?[.]?(:443|:80)?") {
            let parse = |raw: &str| Authority::parse(raw.as_bytes()).unwrap();
            let key = |raw: &str| (parse(raw).host().to_owned(), parse(raw).port().unwrap_or(443));
            prop_assert_eq!(parse(&one).matches(other.as_bytes(), 443), key(&one) == key(&other));
        }
    }
}
