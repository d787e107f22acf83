//! The lanes of docs/lanes.md: what a request is, decided once.

use std::fmt;

/// The lane of a request. Names are an API: they stand in logs and metric labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// E: a path that the operator opened; no identity.
    Anonymous,
    /// A: the client's own API key or OAuth token; no identity.
    ApiCredential,
    /// No credential that any rule accepts.
    Denied,
    /// C: what clients call before they have a credential; no identity.
    Discovery,
    /// H: the back-end's own health path, from listed addresses; no identity.
    Health,
    /// B: a deployment signed by `rsconnect`; no identity.
    SignedDeploy,
    /// D: a visitor whom the gateway authenticated; their identity.
    User,
}

impl Lane {
    /// Every lane, in the order of [`Lane::index`].
    pub const ALL: [Self; 7] = [
        Self::Anonymous,
        Self::ApiCredential,
        Self::Denied,
        Self::Discovery,
        Self::Health,
        Self::SignedDeploy,
        Self::User,
    ];

    /// The name in logs and metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::ApiCredential => "api_credential",
            Self::Denied => "denied",
            Self::Discovery => "discovery",
            Self::Health => "health",
            Self::SignedDeploy => "signed_deploy",
            Self::User => "user",
        }
    }

    /// A dense index, for per-lane cells.
    pub fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
