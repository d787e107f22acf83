//! Names of identity headers, validated when the configuration is read.

use wire::{Folded, Name};

use crate::owned::is_canonical;

/// A header name that the gateway can own: a token of at most
/// [`Folded::CAPACITY`](wire::Folded::CAPACITY) bytes, not one that HTTP or Connect gives another
/// meaning (`Host`, `Cookie`, `Authorization`, `X-Auth-Token`, …).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderName(Box<str>);

impl HeaderName {
    /// Validates a name.
    pub fn new(name: &str) -> Result<Self, InvalidHeaderName> {
        let bytes = name.as_bytes();
        // What changes nothing but case is its own fold: what we send is what we strip.
        let valid = bytes.len() <= Folded::CAPACITY && is_canonical(bytes);
        if !valid {
            return Err(InvalidHeaderName::Syntax);
        }
        if is_reserved(bytes) {
            return Err(InvalidHeaderName::Reserved);
        }
        Ok(Self(name.into()))
    }

    /// The name as configured.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a name cannot be an identity header's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHeaderName {
    /// HTTP, Connect or the gateway gives it another meaning.
    #[error("this header has another meaning and cannot carry an identity")]
    Reserved,
    /// Not a token, or too long.
    #[error("expected a header name of at most 64 characters: letters, digits and -")]
    Syntax,
}

/// Whether HTTP, Connect or the gateway itself gives the name another meaning: owning it would
/// strip it from every request, and sending it would say something else than who the visitor is.
fn is_reserved(name: &[u8]) -> bool {
    let is = |other: &[u8]| other.eq_ignore_ascii_case(name);
    let begins = |prefix: &[u8]| {
        name.get(..prefix.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    Name::of(name) != Name::Other
        || RESERVED.iter().any(|other| is(other))
        || RESERVED_PREFIXES.iter().any(|prefix| begins(prefix))
}

/// Names with another meaning, beside those of [`Name::KNOWN`].
const RESERVED: [&[u8]; 24] = [
    b"age",
    b"cache-control",
    b"dnt",
    b"forwarded",
    b"from",
    b"link",
    b"max-forwards",
    b"posit-connect-user-session-token",
    b"pragma",
    b"priority",
    b"range",
    b"referer",
    b"rstudio-connect-app-base-url",
    b"rstudio-connect-credentials",
    b"shiny-server-credentials",
    b"traceparent",
    b"tracestate",
    b"true-client-ip",
    b"upgrade-insecure-requests",
    b"via",
    b"x-client-ip",
    b"x-forwarded",
    b"x-real-ip",
    b"x-rewrite-url",
];

/// Beginnings of such names.
const RESERVED_PREFIXES: [&[u8]; 9] = [
    b"accept-",
    b"access-control-",
    b"content-",
    b"if-",
    b"proxy-",
    b"sec-",
    b"x-forwarded-",
    b"x-original-",
    b"x-rsc-",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_headers_keep_their_spelling() {
        let long = format!("X-{}", "a".repeat(62));
        for name in [
            "X-Auth-Username",
            "x-remote-user",
            "Remote-User",
            "X-Secret-1",
            "X",
            &long,
        ] {
            assert_eq!(HeaderName::new(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn names_that_do_not_fold_to_themselves_are_refused() {
        let long = format!("X-{}", "a".repeat(63));
        for name in [
            "", "-", "X_Auth", "X.Auth", "X--Auth", "-X", "X-", "X Auth", "X:", "\u{e4}", &long,
        ] {
            assert_eq!(
                HeaderName::new(name),
                Err(InvalidHeaderName::Syntax),
                "{name}"
            );
        }
    }

    #[test]
    fn names_with_another_meaning_are_refused() {
        for name in [
            "Host",
            "cookie",
            "Authorization",
            "X-Auth-Token",
            "X-RSC-Request",
            "X-RSC-Authorization",
            "X-Forwarded-User",
            "Content-Type",
            "User-Agent",
            "Sec-WebSocket-Protocol",
            "X-Correlation-Id",
            "Forwarded",
        ] {
            assert_eq!(
                HeaderName::new(name),
                Err(InvalidHeaderName::Reserved),
                "{name}"
            );
        }
    }
}
