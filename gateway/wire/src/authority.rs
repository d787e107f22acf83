//! `host [":" port]` (RFC 9110 §7.2, RFC 3986 §3.2).

use std::fmt;

/// An authority as the gateway compares it: the host in lower case without a trailing dot or
/// brackets around IPv6 removed, and the port if one was written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Authority {
    host: Box<str>,
    port: Option<u16>,
}

impl Authority {
    /// Parses a `Host` value strictly: no user info, no empty host, a port of 1–65535 without
    /// sign or leading blanks, IPv6 in brackets.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidAuthority> {
        let _ = bytes;
        todo!()
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
        let _ = (raw, default_port);
        todo!()
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
