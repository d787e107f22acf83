//! Realms and session tokens.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A named auth realm: the apps that share one login. A session belongs to one realm and counts
/// as absent in another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Realm {
    name: Box<str>,
    cookie: Box<str>,
}

impl Realm {
    /// A realm; the name is 1–32 characters of `[a-z0-9-]`.
    pub fn new(name: &str) -> Result<Self, InvalidRealm> {
        let valid = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        if !(1..=32).contains(&name.len()) || !name.bytes().all(valid) {
            return Err(InvalidRealm);
        }
        Ok(Self {
            name: name.into(),
            cookie: format!("{}{name}", Self::COOKIE_PREFIX).into(),
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of its session cookie: `__Host-gateway-<realm>`.
    pub fn cookie(&self) -> &str {
        &self.cookie
    }

    /// Whether a cookie's name is one of the gateway's, of whatever realm.
    pub(crate) fn owns_cookie(name: &[u8]) -> bool {
        name.get(..Self::COOKIE_PREFIX.len())
            .is_some_and(|prefix| prefix.eq_ignore_ascii_case(Self::COOKIE_PREFIX.as_bytes()))
    }

    /// What every gateway cookie's name begins with. Nothing with that prefix (compared without
    /// case) ever reaches a back-end, and no back-end can set it.
    pub const COOKIE_PREFIX: &str = "__Host-gateway-";
}

/// A session's secret: 256 random bits, made by the process. `Debug` does not show it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionToken([u8; 32]);

impl SessionToken {
    /// A token from fresh random bytes.
    pub fn new(random: [u8; 32]) -> Self {
        Self(random)
    }

    /// Reads a cookie value: 43 characters of unpadded URL-safe base64, canonical.
    pub fn parse(value: &[u8]) -> Option<Self> {
        if value.len() != Self::TEXT {
            return None;
        }
        // The decoder wants room for its estimate, which rounds up.
        let mut bytes = [0; 33];
        let used = URL_SAFE_NO_PAD.decode_slice(value, &mut bytes).ok()?;
        let bytes = bytes.get(..used)?;
        Some(Self(bytes.try_into().ok()?))
    }

    /// The bytes, for the store's keyed hash.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The cookie value.
    pub fn encode(&self) -> [u8; 43] {
        let mut text = [0; Self::TEXT];
        // 32 bytes are exactly 43 characters, so the buffer fits.
        let written = URL_SAFE_NO_PAD.encode_slice(self.0, &mut text);
        debug_assert_eq!(written.ok(), Some(Self::TEXT));
        text
    }

    /// The length of the cookie value, in bytes.
    const TEXT: usize = 43;
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionToken(..)")
    }
}

/// Why a name cannot be a realm's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 1 to 32 characters of a-z, 0-9 and -")]
pub struct InvalidRealm;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_realm_names_its_cookie() {
        assert_eq!(
            Realm::new("staff-2").unwrap().cookie(),
            "__Host-gateway-staff-2"
        );
        for name in ["", "Staff", "a b", "a_b", "ä", &"a".repeat(33)] {
            assert_eq!(Realm::new(name), Err(InvalidRealm), "{name}");
        }
    }

    #[test]
    fn cookie_names_are_owned_by_prefix_without_case() {
        for name in [
            "__Host-gateway-staff",
            "__HOST-GATEWAY-",
            "__host-Gateway-other",
        ] {
            assert!(Realm::owns_cookie(name.as_bytes()), "{name}");
        }
        for name in [
            "",
            "__Host-gateway",
            "__Host-gatewa-staff",
            "x__Host-gateway-staff",
        ] {
            assert!(!Realm::owns_cookie(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn tokens_have_one_text() {
        for bytes in [[0; 32], [0xff; 32], [0x5a; 32]] {
            let token = SessionToken::new(bytes);
            assert_eq!(SessionToken::parse(&token.encode()), Some(token));
        }
        let text = SessionToken::new([0xff; 32]).encode();
        assert!(text.iter().all(|byte| *byte == b'_' || *byte == b'8'));
        let mut loose = text;
        // The last character carries four bits: its two low ones must be zero.
        loose[42] = b'9';
        assert_eq!(SessionToken::parse(&loose), None);
        let standard = text.map(|byte| if byte == b'_' { b'/' } else { byte });
        assert_eq!(SessionToken::parse(&standard), None);
        assert_eq!(SessionToken::parse(&text[..42]), None);
        let padded = [&text[..], b"="].concat();
        assert_eq!(SessionToken::parse(&padded), None);
        assert_eq!(SessionToken::parse(b""), None);
    }

    #[test]
    fn a_token_is_not_shown() {
        assert_eq!(
            format!("{:?}", SessionToken::new([7; 32])),
            "SessionToken(..)"
        );
    }
}
