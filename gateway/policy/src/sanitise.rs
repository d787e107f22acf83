//! Which fields of a request go on to the back-end: the one choke point of promise P1.

use wire::h1::connection_tokens;
use wire::{Fields, Name, cookie};

use crate::credentials::CredentialFields;
use crate::owned::{Judged, is_forwarding};
use crate::{OwnedNames, Realm, SessionToken};

/// The field lines to forward, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept(u128);

impl Kept {
    /// Whether the field line at this index is forwarded.
    pub fn contains(self, index: usize) -> bool {
        self.0.checked_shr(index as u32).unwrap_or(0) & 1 == 1
    }

    /// Adds the field line at this index.
    pub fn insert(&mut self, index: usize) {
        debug_assert!(index < Fields::MAX);
        self.0 |= 1_u128.checked_shl(index as u32).unwrap_or(0);
    }

    /// Removes the field line at this index.
    pub fn remove(&mut self, index: usize) {
        self.0 &= !1_u128.checked_shl(index as u32).unwrap_or(0);
    }
}

/// What was removed from a request because the gateway owns it, for the metrics and the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stripped {
    /// Field lines with an owned name, in any spelling.
    pub owned: u32,
    /// Aliases of credential, framing and routing names (`X_Auth_Token`, `Content_Length`).
    pub aliases: u32,
    /// Well-spelled credential headers that this lane does not use.
    pub credentials: u32,
}

/// What one pass over the fields of a request yields.
#[derive(Debug, Default)]
pub(crate) struct Sanitised<'a> {
    /// What may go on, whatever the lane; credentials are not among it.
    pub(crate) kept: Kept,
    /// What was removed.
    pub(crate) stripped: Stripped,
    /// The `Cookie` value without the gateway's cookies, where there was one.
    pub(crate) cookie: Option<Vec<u8>>,
    /// The session of the app's realm. Two that differ count as none: only one can be right, and
    /// the other was planted.
    pub(crate) session: Option<SessionToken>,
    /// The credentials, of which the lane decides.
    pub(crate) credentials: CredentialFields<'a>,
}

impl<'a> Sanitised<'a> {
    /// Sanitises. `from_proxy` says that the peer is a trusted proxy, whose `X-Forwarded-For` and
    /// relatives are no forgery; they are replaced all the same.
    pub(crate) fn of(
        fields: &'a Fields,
        owned: &OwnedNames,
        realm: &Realm,
        from_proxy: bool,
    ) -> Self {
        let mut sanitised = Self::default();
        let mut cookies = Cookies::default();
        for (index, line) in fields.iter().enumerate() {
            match line.known {
                Name::Connection
                | Name::ContentLength
                | Name::Expect
                | Name::Host
                | Name::KeepAlive
                | Name::Proxy
                | Name::ProxyAuthenticate
                | Name::ProxyAuthorization
                | Name::ProxyConnection
                | Name::Te
                | Name::Trailer
                | Name::TransferEncoding
                | Name::Upgrade
                | Name::XCorrelationId => {}
                Name::Authorization
                | Name::XAuthSignature
                | Name::XAuthToken
                | Name::XContentChecksum
                | Name::XRscAuthorization => sanitised.credentials.see(line.known, line.value),
                Name::Cookie => {
                    cookies.see(line.value, realm);
                    sanitised.kept.insert(index);
                }
                Name::Date => {
                    sanitised.credentials.see(line.known, line.value);
                    sanitised.kept.insert(index);
                }
                Name::Accept
                | Name::AltSvc
                | Name::ClearSiteData
                | Name::Origin
                | Name::SecFetchMode
                | Name::SecWebSocketKey
                | Name::SecWebSocketVersion
                | Name::SetCookie
                | Name::UserAgent
                | Name::XRequestedWith => sanitised.kept.insert(index),
                Name::Other => match owned.judge(line.name) {
                    Judged::Alias => sanitised.stripped.aliases += 1,
                    Judged::Free => sanitised.kept.insert(index),
                    Judged::Owned if from_proxy && is_forwarding(line.name) => {}
                    Judged::Owned => sanitised.stripped.owned += 1,
                },
            }
        }
        if cookies.ours {
            sanitised.cookie = Some(cookies.without_ours(fields, &mut sanitised.kept));
        }
        sanitised.session = cookies.session();
        remove_listed(fields, &mut sanitised.kept, protected_in_requests);
        sanitised
    }
}

/// Removes the field lines that `Connection` names (RFC 9110 §7.6.1), but for those that are
/// `protected`.
///
/// It names at most as many fields as there can be: more members than that only cost time, and
/// are passed over.
pub(crate) fn remove_listed(fields: &Fields, kept: &mut Kept, protected: fn(&[u8], Name) -> bool) {
    for token in connection_tokens(fields).take(Fields::MAX) {
        if [&b"keep-alive"[..], b"close", b"upgrade"]
            .iter()
            .any(|usual| token.eq_ignore_ascii_case(usual))
        {
            continue;
        }
        for (index, line) in fields.iter().enumerate() {
            if line.name.eq_ignore_ascii_case(token) && !protected(line.name, line.known) {
                kept.remove(index);
            }
        }
    }
}

/// Fields that decide who asks for what: a client that lists them in `Connection` would have them
/// read here and not there (CVE-2022-31813 class).
fn protected_in_requests(name: &[u8], known: Name) -> bool {
    match known {
        Name::Authorization
        | Name::ContentLength
        | Name::Cookie
        | Name::Date
        | Name::Host
        | Name::SecWebSocketKey
        | Name::SecWebSocketVersion
        | Name::XAuthSignature
        | Name::XAuthToken
        | Name::XContentChecksum
        | Name::XRscAuthorization => true,
        Name::Other => {
            let websocket = b"sec-websocket-";
            name.eq_ignore_ascii_case(b"content-type")
                || name
                    .get(..websocket.len())
                    .is_some_and(|start| start.eq_ignore_ascii_case(websocket))
        }
        _ => false,
    }
}

/// What is to be known of the cookies before any is rewritten.
#[derive(Default)]
struct Cookies<'a> {
    /// Whether any is the gateway's.
    ours: bool,
    /// Whether one of those has no name: its value is what a back-end may take for name and value
    /// (RFC 6265bis §5.6).
    nameless: bool,
    /// The first value of the realm's session cookie.
    session: Option<&'a [u8]>,
    /// Whether another value differs from it.
    conflict: bool,
}

impl<'a> Cookies<'a> {
    fn see(&mut self, value: &'a [u8], realm: &Realm) {
        for (name, value) in cookie::pairs(value) {
            let nameless = name.is_empty();
            if !Realm::owns_cookie(if nameless { value } else { name }) {
                continue;
            }
            self.ours = true;
            self.nameless |= nameless;
            if name == realm.cookie().as_bytes() {
                let first = *self.session.get_or_insert(value);
                self.conflict |= first != value;
            }
        }
    }

    fn session(&self) -> Option<SessionToken> {
        let value = self.session.filter(|_| !self.conflict)?;
        SessionToken::parse(value)
    }

    /// The value of one `Cookie` field for all that came, without the gateway's cookies. If one of
    /// those has no name, all without a name go.
    fn without_ours(&self, fields: &Fields, kept: &mut Kept) -> Vec<u8> {
        let ours = |name: &[u8]| Realm::owns_cookie(name) || self.nameless && name.is_empty();
        let mut rewritten = Vec::new();
        for (index, line) in fields.iter().enumerate() {
            if line.known != Name::Cookie {
                continue;
            }
            kept.remove(index);
            let before = rewritten.len();
            if before > 0 {
                rewritten.extend_from_slice(b"; ");
            }
            if !cookie::write_without(line.value, ours, &mut rewritten) {
                rewritten.truncate(before);
            }
        }
        rewritten
    }
}
