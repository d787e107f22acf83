//! Applications: which host and mount belongs to which back-end, and which lanes it has.

use wire::Authority;

use crate::IpNet;

/// One application behind the gateway, as configured and validated.
#[derive(Clone, Debug)]
pub struct App {
    /// Its name in logs and metric labels.
    pub name: Box<str>,
    /// Decides which lanes exist (domain §3).
    pub kind: Kind,
    /// The URL by which visitors reach it: origin and mount.
    pub public_url: PublicUrl,
    /// Further authorities under which requests are accepted.
    pub aliases: Box<[Authority]>,
    /// Indexes of the listeners on which it is served.
    pub listeners: Box<[usize]>,
    /// Index of its realm in [`Policy`](crate::Policy).
    pub realm: usize,
    /// Whether the raw mount prefix is removed before forwarding.
    pub strip_mount: bool,
    /// The names of the identity headers that it is sent.
    pub identity: IdentityHeaders,
    /// Which of its kind's lanes are open, and how far.
    pub lanes: LaneRules,
}

/// What an application is. Pass-through lanes are Connect's; in front of anything else they would
/// be an open door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Posit Connect: every lane.
    Connect,
    /// DeployR / Machine Learning Server: H, D, E; A (Bearer) and C (login) where enabled.
    Deployr,
    /// Anything else: H, D, E.
    Generic,
}

/// Names of the identity headers of one app. Every name of every app is owned by the gateway.
#[derive(Clone, Debug)]
pub struct IdentityHeaders {
    /// Carries [`Identity::username`](crate::Identity::username).
    pub username: HeaderName,
}

/// Per-app lane settings.
#[derive(Clone, Debug, Default)]
pub struct LaneRules {
    /// H: who may `GET <mount>/__ping__` (Connect) without a credential.
    pub health_from: Box<[IpNet]>,
    /// A: which of the optional credentials are let through.
    pub api_credentials: ApiCredentials,
    /// C: which optional endpoints are let through.
    pub discovery: Discovery,
    /// E: paths under the mount that need no credential.
    pub anonymous: Box<[PathPrefix]>,
    /// X: answer malformed deployment headers with 400 instead of stripping them.
    pub strict_deploy: bool,
}

/// Lane A's switches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ApiCredentials {
    /// `Authorization: Bearer` (Connect as OAuth server; DeployR 9's JWT).
    pub bearer: bool,
    /// `Authorization: Connect-Bootstrap` on `POST /__api__/v1/experimental/bootstrap`.
    pub bootstrap: bool,
}

/// Lane C's switches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Discovery {
    /// DeployR's `POST /login`, `POST /login/refreshToken`, `DELETE /login/refreshToken`.
    pub deployr_login: bool,
    /// Connect's `/.well-known/oauth-*` and `/oauth/v1/{register,token,device/*}`.
    pub oauth: bool,
}

/// A path prefix under a mount; matches whole segments of the decision path only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPrefix(Box<[u8]>);

impl PathPrefix {
    /// A prefix: starts with `/`, already in normal form, plain characters only.
    pub fn new(text: &str) -> Result<Self, InvalidPathPrefix> {
        let _ = text;
        todo!()
    }

    /// Whether `path` (below the mount, starting with `/`) is this prefix or lies beneath it.
    pub fn matches(&self, path: &[u8]) -> bool {
        let _ = (path, &self.0);
        todo!()
    }
}

/// The public URL of an app: `https://host[:port]/mount/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    origin: Box<str>,
    authority: Authority,
    mount: Mount,
}

impl PublicUrl {
    /// Parses and validates: https (http is accepted for a host that is a loopback name or
    /// address only if `plain` is true), no user info, query or fragment, path in normal form.
    pub fn parse(text: &str) -> Result<Self, InvalidPublicUrl> {
        let _ = text;
        todo!()
    }

    /// `https://host[:port]`, no slash; the default port is not written.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Host and, unless it is the default, port.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The port, 443 if none is written.
    pub fn port(&self) -> u16 {
        self.authority.port().unwrap_or(443)
    }

    /// The path under which the app is mounted.
    pub fn mount(&self) -> &Mount {
        &self.mount
    }
}

/// The path prefix of an app: empty for the root, else `/a/b` without a trailing slash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mount(Box<str>);

impl Mount {
    /// The prefix: `""` or `"/a/b"`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What follows the mount, starting with `/`; `None` outside of it. `Some(b"")` is the mount
    /// itself without its slash.
    pub fn strip<'a>(&self, path: &'a [u8]) -> Option<&'a [u8]> {
        let rest = path.strip_prefix(self.0.as_bytes())?;
        (rest.is_empty() || rest.starts_with(b"/")).then_some(rest)
    }
}

/// A header name that the gateway can own: a token of at most
/// [`Folded::CAPACITY`](wire::Folded::CAPACITY) bytes, not one that HTTP or Connect gives another
/// meaning (`Host`, `Cookie`, `Authorization`, `X-Auth-Token`, …).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderName(Box<str>);

impl HeaderName {
    /// Validates a name.
    pub fn new(name: &str) -> Result<Self, InvalidHeaderName> {
        let _ = name;
        todo!()
    }

    /// The name as configured.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// All apps, searched by listener, authority and mount.
#[derive(Clone, Debug, Default)]
pub struct Apps {
    apps: Box<[App]>,
}

/// What a listener, authority and path belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// The app with this index; the path is under its mount.
    App(usize),
    /// The path is this app's mount without its trailing slash: redirect (domain R4.4).
    MountWithoutSlash(usize),
    /// The host is served, but no app is mounted there.
    NoMount,
    /// No app has that authority on that listener.
    UnknownHost,
}

impl Apps {
    /// Takes validated apps; longest mounts are tried first.
    pub fn new(apps: Vec<App>) -> Self {
        Self { apps: apps.into() }
    }

    /// The apps, by index.
    pub fn all(&self) -> &[App] {
        &self.apps
    }

    /// Finds the app for a request path (raw or decided).
    pub fn find(&self, listener: usize, authority: &[u8], path: &[u8]) -> Match {
        let _ = (listener, authority, path);
        todo!()
    }
}

/// Why a URL cannot be a `public_url`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected https://host[:port]/ or https://host[:port]/mount/")]
pub struct InvalidPublicUrl;

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

/// Why a text cannot be a path prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a path that starts with / and has no //, dot segments, %, ;, ? or #")]
pub struct InvalidPathPrefix;
