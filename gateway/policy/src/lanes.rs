//! The lane table of docs/lanes.md, in its order of precedence: H, B, A, D, C, E.

use std::net::IpAddr;

use wire::{Head, Method, Name};

use crate::app::{App, Kind};
use crate::credentials::{Authorization, Credentials, Deploy};
use crate::net::any_contains;
use crate::place::{Endpoint, Located};
use crate::{Kept, Lane, Stripped};

/// What lanes depend on, but for who the visitor is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case<'a> {
    pub(crate) app: &'a App,
    pub(crate) at: Located,
    pub(crate) head: &'a Head,
    pub(crate) client: IpAddr,
    pub(crate) credentials: Credentials,
}

impl Case<'_> {
    /// H, B or A: lanes that need nothing from the gateway's own authentication, and come before
    /// D, so that an explicit credential beats a session.
    pub(crate) fn by_credential(&self) -> Option<Lane> {
        if self.is_health() {
            Some(Lane::Health)
        } else if self.is_signed() {
            Some(Lane::SignedDeploy)
        } else if self.is_api() {
            Some(Lane::ApiCredential)
        } else {
            None
        }
    }

    /// C or E: lanes for whoever the gateway does not know.
    pub(crate) fn by_path(&self) -> Option<Lane> {
        if self.is_discovery() {
            Some(Lane::Discovery)
        } else if self.at.plain && self.at.place.anonymous.is_some() {
            Some(Lane::Anonymous)
        } else {
            None
        }
    }

    /// X: deployment headers that fit neither B nor C. Only strict mode asks; otherwise they are
    /// stripped, and what remains decides.
    pub(crate) fn is_malformed_deploy(&self) -> bool {
        match self.credentials.deploy {
            Deploy::Absent => false,
            Deploy::Anonymous => !self.is_discovery(),
            Deploy::Malformed { .. } => true,
            Deploy::Signed => !self.is_signed(),
        }
    }

    /// Adds the credentials that a lane passes on to `kept`, and counts the others. The gateway's
    /// own `Basic` is neither.
    pub(crate) fn keep_credentials(&self, lane: Lane, kept: &mut Kept, stripped: &mut Stripped) {
        let api = lane == Lane::ApiCredential;
        let signed = lane == Lane::SignedDeploy;
        for (index, line) in self.head.fields().iter().enumerate() {
            let keep = match line.known {
                Name::Authorization => match self.credentials.authorization {
                    Authorization::Basic => continue,
                    _ => api && self.is_api_scheme(),
                },
                Name::XAuthSignature | Name::XContentChecksum => signed,
                Name::XAuthToken => signed || self.keeps_anonymous_token(lane),
                Name::XRscAuthorization => api && self.credentials.rsc_authorization,
                _ => continue,
            };
            match keep {
                true => kept.insert(index),
                false => stripped.credentials += 1,
            }
        }
    }

    /// H: the back-end's own health path, from listed addresses.
    fn is_health(&self) -> bool {
        self.at.plain
            && self.at.place.endpoint == Some(Endpoint::Ping)
            && matches!(self.head.method(), Method::Get | Method::Head)
            && any_contains(&self.app.lanes.health_from, self.client)
    }

    /// B: a deployment signed by `rsconnect`.
    fn is_signed(&self) -> bool {
        self.app.kind == Kind::Connect
            && self.at.place.under_api
            && self.credentials.deploy == Deploy::Signed
    }

    /// A: the client's own API key or OAuth token.
    fn is_api(&self) -> bool {
        self.is_api_scheme() || self.app.kind == Kind::Connect && self.credentials.rsc_authorization
    }

    /// Whether `Authorization` belongs to the app's back-end.
    fn is_api_scheme(&self) -> bool {
        let enabled = self.app.lanes.api_credentials;
        match (self.app.kind, self.credentials.authorization) {
            (Kind::Connect, Authorization::Key) => true,
            (Kind::Connect | Kind::Deployr, Authorization::Bearer) => enabled.bearer,
            (Kind::Connect, Authorization::ConnectBootstrap) => {
                enabled.bootstrap
                    && self.at.place.endpoint == Some(Endpoint::Bootstrap)
                    && self.head.method() == Method::Post
            }
            _ => false,
        }
    }

    /// C: what clients call before they have a credential; exact method and path.
    fn is_discovery(&self) -> bool {
        let open = self.app.lanes.discovery;
        let method = self.head.method();
        let get = method == Method::Get;
        let post = method == Method::Post;
        self.at.plain
            && match self.at.place.endpoint {
                Some(Endpoint::ServerSettings) => get,
                Some(Endpoint::Tokens) => post,
                Some(Endpoint::OauthMetadata) => open.oauth && get,
                Some(Endpoint::OauthDevice | Endpoint::OauthToken) => open.oauth && post,
                Some(Endpoint::Login) => open.deployr_login && post,
                Some(Endpoint::RefreshToken) => {
                    open.deployr_login && (post || self.head.method_bytes() == b"DELETE")
                }
                Some(Endpoint::Bootstrap | Endpoint::Ping) | None => false,
            }
    }

    /// `X-Auth-Token: anonymous-access` passes on Connect's discovery endpoints and nowhere else.
    fn keeps_anonymous_token(&self, lane: Lane) -> bool {
        let anonymous = matches!(
            self.credentials.deploy,
            Deploy::Anonymous
                | Deploy::Malformed {
                    anonymous_token: true
                }
        );
        anonymous && lane == Lane::Discovery && self.app.kind == Kind::Connect
    }
}
