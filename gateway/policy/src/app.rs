//! Applications: which host and mount belongs to which back-end, and which lanes it has.

use wire::Authority;

use crate::{HeaderName, IpNet, PathPrefix, PublicUrl, WebsocketOrigins};

/// One application behind the gateway, as configured and validated.
#[derive(Clone, Debug)]
pub struct App {
    /// Its name in logs and metric labels.
    pub name: Box<str>,
    /// Decides which lanes exist (docs/lanes.md).
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
    /// The largest request body, in bytes, on every lane; `None`: any.
    pub max_body: Option<u64>,
    /// The names of the identity headers that it is sent.
    pub identity: IdentityHeaders,
    /// Which of its kind's lanes are open, and how far.
    pub lanes: LaneRules,
    /// Which pages may open WebSockets with a visitor's login.
    pub websocket_origins: WebsocketOrigins,
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

impl App {
    /// Whether a raw authority is the app's public one or one of its aliases.
    fn answers_to(&self, authority: &[u8]) -> bool {
        std::iter::once(self.public_url.authority())
            .chain(&self.aliases)
            .any(|own| own.matches(authority, HTTPS_PORT))
    }
}

/// All apps, searched by listener, authority and mount.
#[derive(Clone, Debug, Default)]
pub struct Apps {
    apps: Box<[App]>,
    /// Indexes into `apps`, longest mounts first.
    order: Box<[usize]>,
}

/// What a listener, authority and path belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// The app with this index; the path is under its mount.
    App(usize),
    /// The path is this app's mount without its trailing slash: redirect.
    MountWithoutSlash(usize),
    /// The host is served, but no app is mounted there.
    NoMount,
    /// No app has that authority on that listener.
    UnknownHost,
}

impl Apps {
    /// Takes validated apps; longest mounts are tried first.
    pub fn new(apps: Vec<App>) -> Self {
        let mount = |index: &usize| {
            apps.get(*index)
                .map_or("", |app| app.public_url.mount().as_str())
        };
        let mut order: Vec<usize> = (0..apps.len()).collect();
        order.sort_by_key(|index| std::cmp::Reverse(mount(index).len()));
        Self {
            order: order.into(),
            apps: apps.into(),
        }
    }

    /// The apps, by index.
    pub fn all(&self) -> &[App] {
        &self.apps
    }

    /// Finds the app for a request path (raw or decided).
    pub fn find(&self, listener: usize, authority: &[u8], path: &[u8]) -> Match {
        let mut found = Match::UnknownHost;
        for &index in &self.order {
            let Some(app) = self.apps.get(index) else {
                continue;
            };
            if !app.listeners.contains(&listener) || !app.answers_to(authority) {
                continue;
            }
            match app.public_url.mount().strip(path) {
                Some(b"") => return Match::MountWithoutSlash(index),
                Some(_) => return Match::App(index),
                None => found = Match::NoMount,
            }
        }
        found
    }
}

/// The port of an authority that names none.
const HTTPS_PORT: u16 = 443;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::app;

    fn apps() -> Apps {
        let mut root = app("root", "https://a.example/");
        root.aliases = Box::new([Authority::parse(b"alias.example:8443").unwrap()]);
        let mut other = app("other", "https://b.example:8443/x/");
        other.listeners = Box::new([1]);
        Apps::new(vec![
            root,
            app("short", "https://a.example/x/"),
            app("long", "https://a.example/x/y/"),
            other,
        ])
    }

    #[test]
    fn the_longest_mount_of_the_host_wins() {
        for (path, expected) in [
            ("/", Match::App(0)),
            ("/z", Match::App(0)),
            ("/xy", Match::App(0)),
            ("/x/", Match::App(1)),
            ("/x/z/y", Match::App(1)),
            ("/x/yz", Match::App(1)),
            ("/x/y/", Match::App(2)),
            ("/x/y/z", Match::App(2)),
            ("/x", Match::MountWithoutSlash(1)),
            ("/x/y", Match::MountWithoutSlash(2)),
            ("/X/", Match::App(0)),
        ] {
            assert_eq!(
                apps().find(0, b"a.example", path.as_bytes()),
                expected,
                "{path}"
            );
        }
    }

    #[test]
    fn apps_keep_their_indexes() {
        let apps = apps();
        let names: Vec<&str> = apps.all().iter().map(|app| &*app.name).collect();
        assert_eq!(names, ["root", "short", "long", "other"]);
    }

    #[test]
    fn host_port_and_listener_must_be_the_apps() {
        for (listener, authority, expected) in [
            (0, "a.example", Match::App(0)),
            (0, "A.Example:443", Match::App(0)),
            (0, "a.example:8443", Match::UnknownHost),
            (0, "alias.example:8443", Match::App(0)),
            (0, "alias.example", Match::UnknownHost),
            (0, "b.example:8443", Match::UnknownHost),
            (1, "b.example:8443", Match::NoMount),
            (1, "b.example", Match::UnknownHost),
            (1, "a.example", Match::UnknownHost),
            (0, "evil.example", Match::UnknownHost),
        ] {
            let found = apps().find(listener, authority.as_bytes(), b"/");
            assert_eq!(found, expected, "{listener} {authority}");
        }
    }
}
