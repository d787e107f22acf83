//! The one map from a reason to an answer, for every protocol version (promise P9).

use crate::{App, Form, Reason, Realm};

/// An answer that the gateway itself gives. Always `Cache-Control: no-store`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// Fields beside framing and connection: content type, cache control, challenge, location,
    /// retry-after, CSP.
    pub fields: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
    /// Whether the connection must end, because its framing is in doubt.
    pub close: bool,
}

impl Reply {
    /// The answer for a reason, in the form that the client can use.
    ///
    /// `challenge` is the realm to name in `WWW-Authenticate`; it is sent with a 401 in HTML form
    /// only (a script's request must not open a browser's password prompt). `location` is where
    /// [`Reason::MountWithoutSlash`] leads.
    pub fn new(
        reason: Reason,
        form: Form,
        challenge: Option<&Realm>,
        location: Option<String>,
    ) -> Self {
        let _ = (reason, form, challenge, location);
        todo!()
    }

    /// Where a request for an app's mount without its slash is sent: path-absolute, query kept.
    pub fn mount_location(app: &App, query: Option<&[u8]>) -> String {
        let _ = (app, query);
        todo!()
    }
}
