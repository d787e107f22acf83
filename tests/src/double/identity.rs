//! Who sent a request, as Connect sees it.

use super::Shared;
use super::head::{Head, Presence};
use super::recorder::lossy;
use super::reply::Reply;

/// The sender of a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Caller {
    /// No credential at all.
    Anonymous,
    /// A user, by credential or by the gateway's header.
    Known(String),
    /// A credential that is wrong, or the identity header more than once.
    Rejected,
    /// A correct signature with a token that nobody has claimed yet.
    Unclaimed,
}

impl Caller {
    /// An explicit credential beats the identity header.
    pub(super) fn of(head: &Head, signature: Option<bool>, shared: &Shared) -> Self {
        let named = Self::named(head, shared);
        if named == Self::Rejected {
            return named;
        }
        match signature {
            Some(true) => return Self::owner(head, shared),
            Some(false) => return Self::Rejected,
            None => {}
        }
        match Self::key(head) {
            Presence::Absent => named,
            Presence::Once(key) if shared.api_keys.iter().any(|known| known.as_bytes() == key) => {
                Self::Known(KEY_OWNER.to_owned())
            }
            Presence::Once(_) | Presence::Repeated => Self::Rejected,
        }
    }

    /// The user that the gateway names, credentials aside.
    pub(super) fn named(head: &Head, shared: &Shared) -> Self {
        match head.once(&shared.username_header) {
            Presence::Absent => Self::Anonymous,
            Presence::Once(b"") | Presence::Repeated => Self::Rejected,
            Presence::Once(name) => Self::Known(lossy(name)),
        }
    }

    /// The user's name, or the answer that Connect gives to those who have none.
    pub(super) fn require(self) -> Result<String, Reply> {
        match self {
            Self::Anonymous => Err(Reply::error(401, 22, "You must be logged in to do that.")),
            Self::Known(name) => Ok(name),
            Self::Rejected => Err(Reply::error(
                401,
                30,
                "We couldn't log you in with the provided credentials.",
            )),
            // R rsconnect 0.8.29 goes on polling after a 500 only.
            Self::Unclaimed => Err(Reply::error(500, 22, "Token is unclaimed error")),
        }
    }

    fn owner(head: &Head, shared: &Shared) -> Self {
        let token = match head.once("X-Auth-Token") {
            Presence::Once(name) => shared.tokens.get(&lossy(name)),
            Presence::Absent | Presence::Repeated => None,
        };
        match token.map(|token| token.owner) {
            Some(Some(owner)) => Self::Known(owner),
            Some(None) => Self::Unclaimed,
            None => Self::Rejected,
        }
    }

    /// The API key: rsconnect-python sends it bare in `X-RSC-Authorization`, others with a scheme.
    fn key(head: &Head) -> Presence<'_> {
        match head.once("X-RSC-Authorization") {
            Presence::Once(value) => Presence::Once(strip_scheme(value).unwrap_or(value)),
            Presence::Repeated => Presence::Repeated,
            Presence::Absent => match head.once("Authorization") {
                // Other schemes are not Connect's business.
                Presence::Once(value) => {
                    strip_scheme(value).map_or(Presence::Absent, Presence::Once)
                }
                other => other,
            },
        }
    }
}

fn strip_scheme(value: &[u8]) -> Option<&[u8]> {
    let (scheme, key) = value.split_at_checked(4)?;
    scheme
        .eq_ignore_ascii_case(b"Key ")
        .then(|| key.trim_ascii())
}

/// The user to whom the API keys belong.
const KEY_OWNER: &str = "publisher";

#[cfg(test)]
mod tests {
    use super::super::library::Library;
    use super::super::recorder::Recorder;
    use super::super::tokens::Tokens;
    use super::*;

    fn caller(lines: &[&str], signature: Option<bool>, claimed: bool) -> Caller {
        let shared = Shared {
            recorder: Recorder::default(),
            tokens: Tokens::default(),
            library: Library::default(),
            api_keys: vec!["k1".to_owned()],
            username_header: "X-Secret-User".to_owned(),
        };
        assert!(shared.tokens.register("T1".to_owned(), vec![]));
        assert!(!claimed || shared.tokens.claim("T1", "alice"));
        let head = Head {
            lines: lines.iter().map(|line| line.as_bytes().to_vec()).collect(),
            ..Head::default()
        };
        Caller::of(&head, signature, &shared)
    }

    fn known(name: &str) -> Caller {
        Caller::Known(name.to_owned())
    }

    #[test]
    fn knows_each_credential() {
        assert_eq!(caller(&[], None, true), Caller::Anonymous);
        assert_eq!(caller(&["x-secret-user: bob"], None, true), known("bob"));
        assert_eq!(
            caller(&["X-Auth-Username: bob"], None, true),
            Caller::Anonymous
        );
        for line in [
            "Authorization: Key k1",
            "authorization: key k1",
            "X-RSC-Authorization: Key k1",
            "X-RSC-Authorization: k1",
        ] {
            assert_eq!(caller(&[line], None, true), known(KEY_OWNER), "{line}");
        }
        assert_eq!(
            caller(&["Authorization: Basic a1"], None, true),
            Caller::Anonymous
        );
        let token = ["X-Auth-Token: T1", "X-Secret-User: bob"];
        assert_eq!(caller(&token, Some(true), true), known("alice"));
        assert_eq!(caller(&token, Some(true), false), Caller::Unclaimed);
    }

    #[test]
    fn refuses_wrong_and_repeated_ones() {
        assert_eq!(
            caller(&["X-Auth-Token: T1"], Some(false), true),
            Caller::Rejected
        );
        for lines in [
            &["X-Secret-User: bob", "X-SECRET-USER: bob"][..],
            &["X-Secret-User:"],
            &["Authorization: Key k2"],
            &["Authorization: Key k1", "Authorization: Key k1"],
            &["X-RSC-Authorization: k2", "Authorization: Key k1"],
            &[
                "Authorization: Key k1",
                "X-Secret-User: a",
                "X-Secret-User: b",
            ],
        ] {
            assert_eq!(caller(lines, None, true), Caller::Rejected, "{lines:?}");
        }
    }

    #[test]
    fn answers_as_connect_does() {
        Caller::Known("a".to_owned()).require().unwrap();
        for (caller, expected) in [
            (Caller::Anonymous, "HTTP/1.1 401 "),
            (Caller::Rejected, "HTTP/1.1 401 "),
            (Caller::Unclaimed, "HTTP/1.1 500 "),
        ] {
            let mut bytes = Vec::new();
            let reply = caller.require().unwrap_err();
            reply.write(&mut bytes, false, false).unwrap();
            let text = String::from_utf8(bytes).unwrap();
            assert!(
                text.starts_with(expected) && text.contains("\"code\":"),
                "{text}"
            );
        }
    }
}
