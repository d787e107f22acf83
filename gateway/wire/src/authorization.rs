//! `Authorization` (RFC 9110 §11.6.2, RFC 7617), as far as the gateway must tell schemes apart.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use crate::grammar::{is_blank, trim_blanks};

/// What an `Authorization` value presents. Schemes are compared case-insensitively.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// `Basic`, decoded.
    Basic(Basic),
    /// `Basic` that does not decode to `user:password`.
    MalformedBasic,
    /// `Bearer <token>`, the token not looked at but not empty.
    Bearer,
    /// `Connect-Bootstrap <jwt>` (rsconnect-python), the token not looked at but not empty.
    ConnectBootstrap,
    /// `Key <k>`: a Connect API key, non-empty.
    Key,
    /// Anything else, the empty value included.
    Other,
}

impl Credential {
    /// Reads an `Authorization` value.
    pub fn parse(value: &[u8]) -> Self {
        let value = trim_blanks(value);
        let end = value.iter().position(|byte| is_blank(*byte));
        let (scheme, rest) = value
            .split_at_checked(end.unwrap_or(value.len()))
            .unwrap_or_default();
        let rest = trim_blanks(rest);
        let is = |name: &[u8]| scheme.eq_ignore_ascii_case(name);
        if is(b"Basic") {
            return Basic::decode(rest).map_or(Self::MalformedBasic, Self::Basic);
        }
        if rest.is_empty() {
            Self::Other
        } else if is(b"Bearer") {
            Self::Bearer
        } else if is(b"Connect-Bootstrap") {
            Self::ConnectBootstrap
        } else if is(b"Key") {
            Self::Key
        } else {
            Self::Other
        }
    }
}

/// A decoded `Basic` credential. `Debug` shows neither part.
#[derive(Clone, PartialEq, Eq)]
pub struct Basic {
    /// The user name: UTF-8, no control characters, not empty.
    pub user: Box<str>,
    /// The password as sent, possibly empty, not always UTF-8. No ASCII control characters
    /// (RFC 7617 §2): some password hashes end at a NUL.
    pub password: Bytes,
}

impl Basic {
    /// Decodes `base64(user ":" password)`; the user name ends at the first colon.
    fn decode(token: &[u8]) -> Option<Self> {
        let decoded = Bytes::from(STANDARD.decode(token).ok()?);
        let colon = memchr::memchr(b':', &decoded)?;
        let user = str::from_utf8(decoded.get(..colon)?).ok()?;
        let password = decoded.slice(colon + 1..);
        if user.is_empty()
            || user.contains(char::is_control)
            || password.iter().any(u8::is_ascii_control)
        {
            return None;
        }
        Some(Self {
            user: user.into(),
            password,
        })
    }
}

impl std::fmt::Debug for Basic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Basic(..)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn basic(user: &str, password: &[u8]) -> Credential {
        Credential::Basic(Basic {
            user: user.into(),
            password: Bytes::copy_from_slice(password),
        })
    }

    #[test]
    fn schemes_are_told_apart() {
        for (value, expected) in [
            ("Key abc", Credential::Key),
            ("kEY  \t abc ", Credential::Key),
            ("Bearer a.b.c", Credential::Bearer),
            ("Connect-Bootstrap a.b.c", Credential::ConnectBootstrap),
            ("Key", Credential::Other),
            ("Key ", Credential::Other),
            ("Bearer", Credential::Other),
            ("Connect-Bootstrap", Credential::Other),
            ("Keys abc", Credential::Other),
            ("Key=abc", Credential::Other),
            ("abc", Credential::Other),
            ("Negotiate abc", Credential::Other),
            ("Digest username=\"a\"", Credential::Other),
            ("", Credential::Other),
            ("  ", Credential::Other),
        ] {
            assert_eq!(Credential::parse(value.as_bytes()), expected, "{value:?}");
        }
    }

    #[test]
    fn basic_is_decoded() {
        for (value, expected) in [
            (
                "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
                basic("Aladdin", b"open sesame"),
            ),
            ("bASIC   dTpwOnE=", basic("u", b"p:q")),
            ("Basic dTo=", basic("u", b"")),
            ("Basic w6k6w6k=", basic("\u{e9}", "\u{e9}".as_bytes())),
            ("Basic dTrp", basic("u", b"\xe9")),
        ] {
            assert_eq!(Credential::parse(value.as_bytes()), expected, "{value}");
        }
    }

    #[test]
    fn malformed_basic_is_its_own_case() {
        let encode = |text: &[u8]| format!("Basic {}", STANDARD.encode(text));
        for value in [
            "Basic".to_owned(),
            "Basic ".to_owned(),
            "Basic !".to_owned(),
            "Basic dTpw x".to_owned(),
            "Basic dTpwOnE".to_owned(),
            "Basic dTpwOnF=".to_owned(),
            "Basic dTpw, Key abc".to_owned(),
            encode(b""),
            encode(b"no colon"),
            encode(b":no user"),
            encode(b"a\nb:p"),
            encode(b"a\0:p"),
            encode("a\u{85}:p".as_bytes()),
            encode(b"\xe9:p"),
            encode(b"u:p\0q"),
            encode(b"u:p\x7f"),
        ] {
            assert_eq!(
                Credential::parse(value.as_bytes()),
                Credential::MalformedBasic,
                "{value}"
            );
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let shown = format!("{:?}", basic("someone", b"open sesame"));
        assert!(
            !shown.contains("someone") && !shown.contains("sesame"),
            "{shown}"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn what_was_encoded_is_decoded(user in "[^:\\pC]{1,20}", password in "[^\\pC]{0,20}") {
            let value = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
            prop_assert_eq!(Credential::parse(value.as_bytes()), basic(&user, password.as_bytes()));
        }

        #[test]
        fn any_value_is_judged(value in prop::collection::vec(any::<u8>(), 0..60)) {
            Credential::parse(&value);
            let basic = [b"Basic ", STANDARD.encode(&value).as_bytes()].concat();
            if let Credential::Basic(basic) = Credential::parse(&basic) {
                prop_assert_eq!([basic.user.as_bytes(), b":", &basic.password].concat(), value);
            }
        }
    }
}
