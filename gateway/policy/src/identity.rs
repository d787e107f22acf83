//! Who a visitor is.

use std::fmt;

/// A visitor that the gateway authenticated. Its existence is the proof: only an
/// [`Outcome`](crate::Outcome) carries one into a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The name under which Connect knows the visitor.
    pub username: Username,
}

/// A username that is safe as a header value: 1–255 bytes of visible ASCII and inner spaces, no
/// comma (back-ends join duplicates with one), no leading or trailing blank.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Username(Box<str>);

impl Username {
    /// Validates a username.
    pub fn new(name: &str) -> Result<Self, InvalidIdentity> {
        let visible = |byte: &u8| matches!(byte, b' '..=b'~') && *byte != b',';
        if name.is_empty() {
            Err(InvalidIdentity::Empty)
        } else if name.len() > 255 {
            Err(InvalidIdentity::TooLong)
        } else if name.trim() != name {
            Err(InvalidIdentity::Blank)
        } else if !name.as_bytes().iter().all(visible) {
            Err(InvalidIdentity::Character)
        } else {
            Ok(Self(name.into()))
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a name cannot be an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIdentity {
    /// Blanks at an end.
    #[error("a username must not begin or end with a blank")]
    Blank,
    /// A control character, a comma, or anything but ASCII.
    #[error("a username must be visible ASCII without commas")]
    Character,
    /// Nothing.
    #[error("a username must not be empty")]
    Empty,
    /// Over 255 bytes.
    #[error("a username must have at most 255 bytes")]
    TooLong,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usernames_that_could_be_read_in_two_ways_are_refused() {
        for (name, why) in [
            ("", InvalidIdentity::Empty),
            (" a", InvalidIdentity::Blank),
            ("a\t", InvalidIdentity::Blank),
            ("a,b", InvalidIdentity::Character),
            ("a\r\nb", InvalidIdentity::Character),
            ("a\0b", InvalidIdentity::Character),
            ("ä", InvalidIdentity::Character),
        ] {
            assert_eq!(Username::new(name), Err(why), "{name:?}");
        }
        assert_eq!(
            Username::new(&"a".repeat(256)),
            Err(InvalidIdentity::TooLong)
        );
        for name in ["alice", "Alice B.", "DOMAIN\\alice", "alice@example.com"] {
            assert_eq!(Username::new(name).unwrap().as_str(), name);
        }
    }
}
