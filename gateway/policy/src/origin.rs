//! Which pages may open a WebSocket with a visitor's login.
//!
//! Browsers send cookies and passwords along with every handshake, whichever page asks for it, and
//! let that page read what comes (RFC 6455 §10.2): only `Origin` says who asked.

use wire::{Authority, Fields, Name};

use crate::App;

/// The origins from which an app's visitors may open WebSockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebsocketOrigins {
    /// All.
    Any,
    /// The app's own (its public URL's and its aliases'), and these.
    Own {
        /// Further ones.
        and: Box<[WebOrigin]>,
    },
}

impl Default for WebsocketOrigins {
    fn default() -> Self {
        Self::Own { and: Box::new([]) }
    }
}

/// An origin of the web: `http://` or `https://`, host and port (RFC 6454 §6.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebOrigin {
    scheme: Scheme,
    authority: Authority,
}

impl WebOrigin {
    /// Parses strictly: no path, not even a slash.
    pub fn parse(text: &str) -> Result<Self, InvalidOrigin> {
        let (scheme, authority) = Scheme::split(text.as_bytes()).ok_or(InvalidOrigin)?;
        Ok(Self {
            scheme,
            authority: Authority::parse(authority).map_err(|_| InvalidOrigin)?,
        })
    }
}

/// Why a text cannot be an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected https://host[:port] or http://host[:port], without a slash at the end")]
pub struct InvalidOrigin;

impl App {
    /// Whether a WebSocket may be opened with a visitor's login. `explicit`: the request itself
    /// carried a password, not only a session's cookie.
    ///
    /// Every browser says its origin. A program that says none and has a password is no browser; a
    /// cookie without an origin is refused.
    pub(crate) fn welcomes(&self, fields: &Fields, explicit: bool) -> bool {
        let WebsocketOrigins::Own { and } = &self.websocket_origins else {
            return true;
        };
        if !fields.contains(Name::Origin) {
            return explicit;
        }
        // `null`, a list of origins, several lines: nobody whom we know.
        let Some((scheme, authority)) = fields.only(Name::Origin).and_then(Scheme::split) else {
            return false;
        };
        let is = |own: &Authority| own.matches(authority, scheme.port());
        let own = std::iter::once(self.public_url.authority()).chain(&self.aliases);
        (scheme == Scheme::Https && own.into_iter().any(is))
            || and
                .iter()
                .any(|one| one.scheme == scheme && is(&one.authority))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

impl Scheme {
    fn split(origin: &[u8]) -> Option<(Self, &[u8])> {
        [Self::Http, Self::Https].into_iter().find_map(|scheme| {
            let text = scheme.text();
            let (start, rest) = origin.split_at_checked(text.len())?;
            start.eq_ignore_ascii_case(text).then_some((scheme, rest))
        })
    }

    fn text(self) -> &'static [u8] {
        match self {
            Self::Http => b"http://",
            Self::Https => b"https://",
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_scheme_host_and_port() {
        for good in [
            "https://a.example",
            "http://a.example:8080",
            "https://[::1]:8443",
            "HTTPS://A.example.",
        ] {
            assert!(WebOrigin::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "null",
            "a.example",
            "https://",
            "https://a.example/",
            "https://a.example/path",
            "https://user@a.example",
            "https://a.example:0",
            "https://*.example",
            "wss://a.example",
            "https:a.example",
        ] {
            assert_eq!(WebOrigin::parse(bad), Err(InvalidOrigin), "{bad}");
        }
    }
}
