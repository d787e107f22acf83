//! How clients say who they are.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

/// What a request carries.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Credential {
    /// An API key, in `Authorization: Key`.
    Key,
    /// Nothing.
    None,
    /// The visitor's password (Basic).
    #[default]
    Password,
    /// The cookie that a first request with the password opened.
    Session,
    /// The headers of a signed deployment.
    Signed,
    /// The password of one of many visitors, each in turn.
    Users,
}

/// What is known of the visitors.
#[derive(Clone, Debug, Default)]
pub(crate) struct Logins {
    /// `NAME:PASSWORD` of the one visitor.
    pub(crate) login: Option<String>,
    /// The cookie of their session.
    pub(crate) cookie: Option<String>,
}

impl Credential {
    /// The header fields: one list for each request in turn.
    pub(crate) fn fields(self, logins: &Logins) -> Vec<Vec<(&'static str, String)>> {
        match self {
            Self::Key => vec![vec![("Authorization", format!("Key {KEY}"))]],
            Self::None => vec![Vec::new()],
            Self::Password => {
                let login = logins.login.iter();
                vec![login.map(|login| ("Authorization", basic(login))).collect()]
            }
            Self::Session => {
                let cookie = logins.cookie.iter();
                vec![cookie.map(|cookie| ("Cookie", cookie.clone())).collect()]
            }
            // What the gateway checks of it is the form: Connect checks the signature.
            Self::Signed => vec![vec![
                ("X-Auth-Token", format!("T{KEY}")),
                ("X-Auth-Signature", "c2lnbmF0dXJl".to_owned()),
                ("X-Content-Checksum", "1B2M2Y8AsgTpgAmY7PhCfg==".to_owned()),
                ("Date", "Sun, 22 Nov 2026 10:00:00 GMT".to_owned()),
            ]],
            Self::Users => users()
                .map(|user| vec![("Authorization", basic(&format!("{user}:{PASSWORD}")))])
                .collect(),
        }
    }
}

/// The many visitors' names. The one visitor is none of them.
pub(crate) fn users() -> impl Iterator<Item = String> {
    (0..USERS).map(|number| format!("user{number:04}"))
}

/// A field's value for `NAME:PASSWORD` (RFC 7617).
pub(crate) fn basic(login: &str) -> String {
    format!("Basic {}", STANDARD.encode(login))
}

/// The one visitor.
pub(crate) const USER: &str = "alice";
/// Everybody's.
pub(crate) const PASSWORD: &str = "correct horse battery staple";
const KEY: &str = "0123456789abcdef0123456789abcdef";
const USERS: usize = 1000;
