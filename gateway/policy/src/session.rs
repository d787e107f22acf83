//! Realms and session tokens.

use std::fmt;

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
        let _ = name;
        todo!()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of its session cookie: `__Host-gateway-<realm>`.
    pub fn cookie(&self) -> &str {
        &self.cookie
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
        let _ = value;
        todo!()
    }

    /// The bytes, for the store's keyed hash.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The cookie value.
    pub fn encode(&self) -> [u8; 43] {
        todo!()
    }
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
