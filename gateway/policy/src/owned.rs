//! The header names that belong to the gateway: no client ever sets them (promise P1).

use wire::{Folded, Name};

use crate::App;

/// The built-in names, which no configuration can switch off, and every identity
/// header name of every app.
#[derive(Clone, Debug)]
pub struct OwnedNames {
    configured: Box<[Box<[u8]>]>,
    /// A bit for each [`initials`] of a name or a prefix: few names that are not ours begin so, and the
    /// others need not be compared.
    initials: u64,
}

impl OwnedNames {
    /// The built-in names and those of all apps.
    pub fn new<'a>(apps: impl IntoIterator<Item = &'a App>) -> Self {
        let mut configured: Vec<Box<[u8]>> = Vec::new();
        for app in apps {
            // A `HeaderName` fits the fold whole.
            let folded = Folded::of(app.identity.username.as_str().as_bytes());
            if let Some(name) = folded.whole() {
                let known = configured.iter().any(|other| **other == *name);
                if !known && !BUILT_IN.contains(&name) {
                    configured.push(name.into());
                }
            }
        }
        let names = configured.iter().map(|name| &**name);
        let initials = names
            .chain(BUILT_IN.iter().copied())
            .chain(PREFIXES.iter().copied())
            .fold(0, |bits, name| bits | initials(name));
        Self {
            configured: configured.into(),
            initials,
        }
    }

    /// Whether the gateway owns a field name, in whatever spelling.
    pub fn owns(&self, name: &Folded) -> bool {
        PREFIXES.iter().any(|prefix| name.starts_with(prefix))
            || name.whole().is_some_and(|whole| self.names(whole))
    }

    /// Judges a field name that is none of [`Name::KNOWN`].
    ///
    /// Almost every name is spelled so that folding would only change its case: those are compared
    /// as they are. Such a name cannot be an alias either, because it would be the name itself.
    pub(crate) fn judge(&self, name: &[u8]) -> Judged {
        if is_canonical(name) {
            if self.initials & initials(name) == 0 {
                return Judged::Free;
            }
            let prefixed = PREFIXES.iter().any(|prefix| {
                name.get(..prefix.len())
                    .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
            });
            return match prefixed || self.names(name) {
                true => Judged::Owned,
                false => Judged::Free,
            };
        }
        let folded = Folded::of(name);
        if self.owns(&folded) {
            Judged::Owned
        } else if is_alias(&folded) {
            Judged::Alias
        } else {
            Judged::Free
        }
    }

    fn names(&self, name: &[u8]) -> bool {
        let is = |owned: &[u8]| owned.eq_ignore_ascii_case(name);
        BUILT_IN.iter().any(|owned| is(owned)) || self.configured.iter().any(|owned| is(owned))
    }
}

/// What a field name is to the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judged {
    /// Another spelling of a credential, framing or routing name.
    Alias,
    /// The client's own business.
    Free,
    /// The gateway's.
    Owned,
}

/// Whether an owned name is one that an honest proxy in front of the gateway sends. From a trusted
/// proxy it is replaced like from everybody, but is no sign of an attack.
pub(crate) fn is_forwarding(name: &[u8]) -> bool {
    let folded = Folded::of(name);
    [&b"x-forwarded-"[..], b"x-original-"]
        .iter()
        .any(|prefix| folded.starts_with(prefix))
        || FORWARDING.iter().any(|owned| folded.is(owned))
}

/// A bit that names with the same first two letters share, in whatever case.
fn initials(name: &[u8]) -> u64 {
    let letter = |at: usize| name.get(at).map_or(0, |byte| byte & 0x1f);
    1 << (letter(0) ^ letter(1) << 1)
}

/// Whether folding the name changes nothing but its case.
pub(crate) fn is_canonical(name: &[u8]) -> bool {
    let mut previous = b'-';
    for &byte in name {
        if !byte.is_ascii_alphanumeric() && (byte != b'-' || previous == b'-') {
            return false;
        }
        previous = byte;
    }
    previous != b'-'
}

/// Whether a name that is not well spelled folds to one that means something to the gateway, to
/// HTTP's framing or to Connect's authentication.
fn is_alias(folded: &Folded) -> bool {
    if folded.starts_with(b"sec-websocket-") {
        return true;
    }
    match Name::of(folded.whole().unwrap_or_default()) {
        Name::Authorization
        | Name::Connection
        | Name::ContentLength
        | Name::Cookie
        | Name::Date
        | Name::Expect
        | Name::Host
        | Name::KeepAlive
        | Name::Origin
        | Name::Proxy
        | Name::ProxyAuthenticate
        | Name::ProxyAuthorization
        | Name::ProxyConnection
        | Name::SecFetchMode
        | Name::SecWebSocketKey
        | Name::SecWebSocketVersion
        | Name::Te
        | Name::Trailer
        | Name::TransferEncoding
        | Name::Upgrade
        | Name::XAuthSignature
        | Name::XAuthToken
        | Name::XContentChecksum
        | Name::XCorrelationId
        | Name::XRscAuthorization => true,
        Name::Accept
        | Name::AltSvc
        | Name::ClearSiteData
        | Name::Other
        | Name::SetCookie
        | Name::UserAgent
        | Name::XRequestedWith => false,
    }
}

/// Beginnings of owned names.
pub(crate) const PREFIXES: [&[u8]; 3] = [b"x-forwarded-", b"x-original-", b"x-rstudio-"];

/// Owned names, folded: what Connect, its content and common back-ends believe of a proxy.
pub(crate) const BUILT_IN: [&[u8]; 21] = [
    b"forwarded",
    b"posit-connect-user-session-token",
    b"remote-user",
    b"rstudio-connect-app-base-url",
    b"rstudio-connect-credentials",
    b"shiny-server-credentials",
    b"true-client-ip",
    b"x-auth-email",
    b"x-auth-first-name",
    b"x-auth-groups",
    b"x-auth-id",
    b"x-auth-last-name",
    b"x-auth-rsc-role",
    b"x-auth-username",
    b"x-client-ip",
    b"x-forwarded",
    b"x-original",
    b"x-real-ip",
    b"x-remote-user",
    b"x-rewrite-url",
    b"x-rsc-request",
];

/// Those of [`BUILT_IN`] that proxies send.
const FORWARDING: [&[u8]; 6] = [
    b"forwarded",
    b"true-client-ip",
    b"x-client-ip",
    b"x-forwarded",
    b"x-real-ip",
    b"x-rewrite-url",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::app;

    #[test]
    fn built_in_and_configured_names_are_owned_in_every_spelling() {
        let mut secret = app("secret", "https://a.example/");
        secret.identity.username = crate::HeaderName::new("X-Secret-User-Header").unwrap();
        let owned = OwnedNames::new([&secret]);
        for name in BUILT_IN.iter().chain(&[&b"x-secret-user-header"[..]]) {
            for spelling in crate::testing::spellings(name) {
                assert_eq!(
                    owned.judge(spelling.as_bytes()),
                    Judged::Owned,
                    "{spelling}"
                );
                assert!(owned.owns(&Folded::of(spelling.as_bytes())), "{spelling}");
            }
        }
        for name in [
            "x-forwarded-anything",
            "X_Original.URL",
            "X-RStudio-Request",
        ] {
            assert_eq!(owned.judge(name.as_bytes()), Judged::Owned, "{name}");
        }
        let long = format!("x_forwarded_{}", "a".repeat(100));
        assert_eq!(owned.judge(long.as_bytes()), Judged::Owned);
        assert_eq!(
            owned.judge(long.replace('_', "-").as_bytes()),
            Judged::Owned
        );
    }

    /// No built-in name begins as this one does.
    #[test]
    fn a_configured_name_is_owned_however_it_begins() {
        let mut quiet = app("quiet", "https://a.example/");
        quiet.identity.username = crate::HeaderName::new("Quiet-Visitor").unwrap();
        let owned = OwnedNames::new([&quiet]);
        for spelling in crate::testing::spellings(b"quiet-visitor") {
            let judged = owned.judge(spelling.as_bytes());
            assert_eq!(judged, Judged::Owned, "{spelling}");
        }
    }

    #[test]
    fn names_that_only_resemble_are_free() {
        let owned = OwnedNames::new([]);
        for name in [
            "user-agent",
            "x-auth-usernames",
            "x-auth",
            "xauthusername",
            "x-forwardedfor",
            "x-rsc-xsrf",
            "x-secret-user-header",
            "sec-websocket-protocol",
            "content-type",
            "content_type",
            "-",
        ] {
            assert_eq!(owned.judge(name.as_bytes()), Judged::Free, "{name}");
        }
    }

    #[test]
    fn aliases_of_credentials_and_framing_are_told_apart() {
        let owned = OwnedNames::new([]);
        for name in [
            "X_Auth_Token",
            "content_length",
            "Content--Length",
            "transfer.encoding",
            "Host_",
            "_authorization",
            "x_rsc_authorization",
            "cookie.",
            "sec_websocket_protocol",
            "x_correlation_id",
            "date~",
        ] {
            assert_eq!(owned.judge(name.as_bytes()), Judged::Alias, "{name}");
        }
    }

    proptest! {
        #[test]
        fn the_short_cut_agrees_with_the_fold(name in "(x|x-|X_)?(auth|Forwarded|remote|host)[-_.]{0,2}(username|for|user)?[-_]?") {
            let owned = OwnedNames::new([]);
            let folded = Folded::of(name.as_bytes());
            prop_assert_eq!(owned.judge(name.as_bytes()) == Judged::Owned, owned.owns(&folded));
        }
    }
}
