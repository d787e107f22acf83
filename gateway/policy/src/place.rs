//! Where a request goes: its app, and what lanes have to know of its path.
//!
//! Everything is found twice, for the raw path and for its normal form, and a third time where a
//! path is encoded twice. Readers that disagree on a mount or a lane get no answer but 400
//! (promise P4).

use crate::app::{App, Apps, Kind, Match};
use crate::path::{AmbiguousPath, DecisionPath};

/// The app and place of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Located {
    /// Index of the app.
    pub(crate) app: usize,
    /// Where under its mount.
    pub(crate) place: Place,
    /// Whether the path is spelled plainly ([`DecisionPath::is_plain`]).
    pub(crate) plain: bool,
}

/// What lanes have to know of a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// Which prefix of [`LaneRules::anonymous`](crate::LaneRules::anonymous) it matches first.
    pub(crate) anonymous: Option<usize>,
    /// A path with a meaning of its own.
    pub(crate) endpoint: Option<Endpoint>,
    /// Whether it is under Connect's `/__api__/`.
    pub(crate) under_api: bool,
}

/// Paths with a meaning of their own; which methods and switches they need, the lanes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// Connect: `/__api__/v1/experimental/bootstrap`.
    Bootstrap,
    /// DeployR: `/login`.
    Login,
    /// Connect: `/oauth/v1/device/*`.
    OauthDevice,
    /// Connect: `/.well-known/oauth-*`.
    OauthMetadata,
    /// Connect: `/oauth/v1/register`, `/oauth/v1/token`.
    OauthToken,
    /// All kinds: `/__ping__`.
    Ping,
    /// DeployR: `/login/refreshToken`.
    RefreshToken,
    /// Connect: `/__api__/server_settings`.
    ServerSettings,
    /// Connect: `/__api__/tokens`.
    Tokens,
}

/// Locates a request by listener, authority and raw path.
///
/// The inner result is [`Match`] without an app, on which all readings agree.
pub(crate) fn locate(
    apps: &Apps,
    listener: usize,
    authority: &[u8],
    raw: &[u8],
) -> Result<Result<Located, Match>, AmbiguousPath> {
    let path = DecisionPath::new(raw)?;
    let find = |path: &[u8]| match apps.find(listener, authority, path) {
        Match::App(app) => Ok((app, Place::of(apps.all().get(app), path))),
        other => Err(other),
    };
    let found = find(raw);
    if !path.is_raw() {
        if find(path.as_bytes()) != found {
            return Err(AmbiguousPath);
        }
        if let Some(again) = path.decoded_again()
            && find(again?.as_bytes()) != found
        {
            return Err(AmbiguousPath);
        }
    }
    Ok(found.map(|(app, place)| Located {
        app,
        place,
        plain: path.is_plain(),
    }))
}

impl Place {
    /// The place of a path in an app.
    fn of(app: Option<&App>, path: &[u8]) -> Self {
        let Some(app) = app else {
            return Self::default();
        };
        let below = app.public_url.mount().strip(path).unwrap_or_default();
        let anonymous = &app.lanes.anonymous;
        Self {
            anonymous: anonymous.iter().position(|prefix| prefix.matches(below)),
            endpoint: Endpoint::of(app.kind, below),
            under_api: app.kind == Kind::Connect && below.starts_with(b"/__api__/"),
        }
    }
}

impl Endpoint {
    fn of(kind: Kind, below: &[u8]) -> Option<Self> {
        match (kind, below) {
            (_, b"/__ping__") => Some(Self::Ping),
            (Kind::Connect, below) => Self::of_connect(below),
            (Kind::Deployr, b"/login") => Some(Self::Login),
            (Kind::Deployr, b"/login/refreshToken") => Some(Self::RefreshToken),
            (Kind::Deployr | Kind::Generic, _) => None,
        }
    }

    fn of_connect(below: &[u8]) -> Option<Self> {
        match below {
            b"/.well-known/oauth-authorization-server"
            | b"/.well-known/oauth-protected-resource" => Some(Self::OauthMetadata),
            b"/__api__/server_settings" => Some(Self::ServerSettings),
            b"/__api__/tokens" => Some(Self::Tokens),
            b"/__api__/v1/experimental/bootstrap" => Some(Self::Bootstrap),
            b"/oauth/v1/register" | b"/oauth/v1/token" => Some(Self::OauthToken),
            below => below
                .strip_prefix(b"/oauth/v1/device/")
                .is_some_and(|rest| !rest.is_empty())
                .then_some(Self::OauthDevice),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PathPrefix;
    use crate::testing::app;

    fn apps() -> Apps {
        let mut connect = app("connect", "https://a.example/rsc/");
        connect.lanes.anonymous = Box::new([PathPrefix::new("/public").unwrap()]);
        let mut generic = app("generic", "https://a.example/other/");
        generic.kind = Kind::Generic;
        Apps::new(vec![connect, generic])
    }

    fn place(path: &str) -> Result<Result<Located, Match>, AmbiguousPath> {
        locate(&apps(), 0, b"a.example", path.as_bytes())
    }

    #[test]
    fn paths_are_placed_under_their_mount() {
        for (path, endpoint, under_api) in [
            ("/rsc/", None, false),
            ("/rsc/__ping__", Some(Endpoint::Ping), false),
            ("/rsc/__ping__/", None, false),
            ("/rsc/__api__", None, false),
            ("/rsc/__api__/", None, true),
            ("/rsc/__api__/tokens", Some(Endpoint::Tokens), true),
            ("/rsc/__api__/tokens/", None, true),
            (
                "/rsc/__api__/server_settings",
                Some(Endpoint::ServerSettings),
                true,
            ),
            ("/rsc/__API__/server_settings", None, false),
            (
                "/rsc/__api__/v1/experimental/bootstrap",
                Some(Endpoint::Bootstrap),
                true,
            ),
            ("/rsc/oauth/v1/token", Some(Endpoint::OauthToken), false),
            ("/rsc/oauth/v1/device", None, false),
            ("/rsc/oauth/v1/device/", None, false),
            (
                "/rsc/oauth/v1/device/code",
                Some(Endpoint::OauthDevice),
                false,
            ),
            ("/rsc/oauth/v1/authorize", None, false),
            (
                "/rsc/.well-known/oauth-authorization-server",
                Some(Endpoint::OauthMetadata),
                false,
            ),
            ("/rsc/login", None, false),
            ("/other/__api__/tokens", None, false),
            ("/other/__ping__", Some(Endpoint::Ping), false),
            ("/other/rsc/__ping__", None, false),
        ] {
            let located = place(path).unwrap().unwrap();
            assert_eq!(located.place.endpoint, endpoint, "{path}");
            assert_eq!(located.place.under_api, under_api, "{path}");
        }
    }

    #[test]
    fn readings_that_disagree_are_ambiguous() {
        for path in [
            // On the mount:
            "/rsc/../other/",
            "/rsc/%2e%2e/other/",
            "/other/..%2frsc/",
            "/rs%63/",
            "/rsc%2f",
            "//rsc/",
            "/rsc;x/",
            "/rsc/%252e%252e/other/",
            "/rsc/..",
            // On the API:
            "/rsc/__api__/../content/",
            "/rsc/x/../__api__/users",
            "/rsc/%5f_api__/users",
            "/rsc//__api__/users",
            "/rsc/__api__%2fusers",
            "/rsc/%255f_api__/users",
            "/rsc/x/%252e%252e/__api__/users",
            // On an endpoint:
            "/rsc/__ping%5f_",
            "/rsc/__ping__;x",
            "/rsc/x/../__ping__",
            "/rsc/__api__/./tokens",
            "/rsc/__api__/token%73",
            "/rsc/__api__/token%2573",
            // On an anonymous prefix:
            "/rsc/public/../content/1",
            "/rsc/public/..;/content/1",
            "/rsc/public/%2e%2e/content/1",
            "/rsc/public/%252e%252e/content/1",
            "/rsc/public%2f1",
            "/rsc/content/../public/1",
            // On nothing, but climbing or with control characters, also when decoded twice:
            "/rsc/x%00",
            "/rsc/x%2500",
            "/rsc/x/../../..",
        ] {
            assert_eq!(place(path), Err(AmbiguousPath), "{path}");
        }
    }

    #[test]
    fn spellings_that_change_nothing_are_let_through_but_not_plain() {
        for (path, plain) in [
            ("/rsc/content/a%20b", true),
            ("/rsc/content//a", false),
            ("/rsc/content/a%2fb", false),
            ("/rsc/content/a;b=c", false),
            ("/rsc/content/a/../b", false),
            ("/rsc/content/100%25", false),
            ("/rsc/content/%25zz", false),
            ("/rsc/public/a%2fb", false),
            ("/rsc/public/a%20b", true),
            ("/rsc/public/%c3%a4", true),
            ("/rsc/public/%c0%ae%c0%ae/x", false),
        ] {
            assert_eq!(place(path).unwrap().unwrap().plain, plain, "{path}");
        }
    }

    #[test]
    fn what_no_app_serves_is_said_so() {
        assert_eq!(place("/rsc"), Ok(Err(Match::MountWithoutSlash(0))));
        assert_eq!(place("/nowhere"), Ok(Err(Match::NoMount)));
        assert_eq!(place("/rscx/"), Ok(Err(Match::NoMount)));
        let unknown = locate(&apps(), 0, b"b.example", b"/rsc/");
        assert_eq!(unknown, Ok(Err(Match::UnknownHost)));
    }
}
