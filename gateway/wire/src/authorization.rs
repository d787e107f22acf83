//! `Authorization` (RFC 9110 §11.6.2, RFC 7617), as far as the gateway must tell schemes apart.

use bytes::Bytes;

/// What an `Authorization` value presents. Schemes are compared case-insensitively.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// `Basic`, decoded.
    Basic(Basic),
    /// `Basic` that does not decode to `user:password`.
    MalformedBasic,
    /// `Bearer <token>`, the token not looked at.
    Bearer,
    /// `Connect-Bootstrap <jwt>` (rsconnect-python).
    ConnectBootstrap,
    /// `Key <k>`: a Connect API key, non-empty.
    Key,
    /// Anything else, the empty value included.
    Other,
}

impl Credential {
    /// Reads an `Authorization` value.
    pub fn parse(value: &[u8]) -> Self {
        let _ = value;
        todo!()
    }
}

/// A decoded `Basic` credential. `Debug` shows neither part.
#[derive(Clone, PartialEq, Eq)]
pub struct Basic {
    /// The user name: UTF-8, no control characters, not empty.
    pub user: Box<str>,
    /// The password as sent, possibly empty.
    pub password: Bytes,
}

impl std::fmt::Debug for Basic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Basic(..)")
    }
}
