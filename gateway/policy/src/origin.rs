//! Which pages may open a WebSocket with a visitor's login.
//!
//! Browsers send cookies and passwords along with every handshake, whichever page asks for it, and
//! let that page read what comes (RFC 6455 §10.2): only `Origin` says who asked.

use std::fmt;

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

impl fmt::Display for WebOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.scheme.text(), self.authority)
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
            start
                .eq_ignore_ascii_case(text.as_bytes())
                .then_some((scheme, rest))
        })
    }

    fn text(self) -> &'static str {
        match self {
            Self::Http => "http://",
            Self::Https => "https://",
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
    use proptest::prelude::*;

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

    proptest! {
        /// Whatever is accepted is the same origin once written.
        #[test]
        fn what_is_accepted_means_the_same_once_written(
            text in ".*|(?i:https?)://[a-zA-Z0-9.:\\[\\]@/_-]{0,12}|(?i:https?)://[a-zA-Z]{1,3}([.][a-z0-9]{1,3}){0,2}[.]?(:[0-9]{1,6})?",
        ) {
            let Ok(origin) = WebOrigin::parse(&text) else {
                return Ok(());
            };
            let written = origin.to_string();
            prop_assert_eq!(WebOrigin::parse(&written), Ok(origin.clone()));
            prop_assert!(!written.contains(|c: char| c.is_ascii_uppercase()));
            // What was sent names it, too.
            let (scheme, authority) = Scheme::split(text.as_bytes()).unwrap();
            prop_assert_eq!(scheme, origin.scheme);
            prop_assert!(origin.authority.matches(authority, scheme.port()));
        }
    }
}
