//! From a request to a decision, in the order of ARCHITECTURE.md.

use std::net::IpAddr;
use std::sync::Arc;

use wire::Head;

use crate::app::{Kind, Match};
use crate::credentials::{BadAuthorization, Credentials};
use crate::inject::ForwardedBlock;
use crate::lanes::Case;
use crate::net::{any_contains, forwarded_client};
use crate::place::{Located, locate};
use crate::sanitise::Sanitised;
use crate::{
    App, Apps, Decision, Form, Forward, Identity, IpNet, Kept, Lane, Outcome, OwnedNames, Question,
    Realm, Reason, Refusal, Reply, SessionToken, Step, Stripped, navigation,
};

/// Everything that decides about requests; immutable.
#[derive(Clone, Debug)]
pub struct Policy {
    apps: Apps,
    /// What each app's back-end is told of the request's way, by the index of the app.
    forwarded: Box<[ForwardedBlock]>,
    realms: Box<[Realm]>,
    owned: OwnedNames,
    spoofed: Spoofed,
    trusted_proxies: Box<[IpNet]>,
}

/// What to do with a request that names an owned header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spoofed {
    /// Answer 400.
    Reject,
    /// Remove the header and go on.
    #[default]
    Strip,
}

/// A request, as policy sees it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Its head.
    pub head: &'a Head,
    /// Whether it is a WebSocket handshake.
    pub websocket: bool,
    /// Index of the listener that accepted the connection.
    pub listener: usize,
    /// The socket's peer address.
    pub peer: IpAddr,
    /// The server name of the TLS handshake, in lower case, if the client sent one.
    pub sni: Option<&'a str>,
}

impl Request<'_> {
    /// The form in which the client can use an answer of the gateway's own.
    pub fn form(&self) -> Form {
        navigation::form(self.head, self.websocket)
    }
}

impl Policy {
    /// Puts validated parts together.
    pub fn new(
        apps: Vec<App>,
        realms: Vec<Realm>,
        spoofed: Spoofed,
        trusted_proxies: Vec<IpNet>,
    ) -> Self {
        let apps = Apps::new(apps);
        let owned = OwnedNames::new(apps.all());
        let forwarded = apps.all().iter().map(ForwardedBlock::new).collect();
        Self {
            apps,
            forwarded,
            realms: realms.into(),
            owned,
            spoofed,
            trusted_proxies: trusted_proxies.into(),
        }
    }

    /// The apps, by index.
    pub fn apps(&self) -> &[App] {
        self.apps.all()
    }

    /// The realms, by index.
    pub fn realms(&self) -> &[Realm] {
        &self.realms
    }

    /// Whose word is taken for a client's address.
    pub fn trusted_proxies(&self) -> &[IpNet] {
        &self.trusted_proxies
    }

    /// Begins to decide about a request.
    pub fn decide(&self, request: &Request<'_>) -> Step {
        self.begin(request).unwrap_or_else(Refusal::into_step)
    }

    /// The answer to a request that was refused; `query` is the raw query of its target.
    pub fn reply(&self, refusal: &Refusal, query: Option<&[u8]>) -> Reply {
        let app = refusal.app.and_then(|app| self.apps().get(app));
        let challenge = app.and_then(|app| self.realms.get(app.realm));
        let location = app.map(|app| Reply::mount_location(app, query));
        Reply::new(refusal.reason, refusal.form, challenge, location)
    }

    /// What an app's back-end is told of the request's way.
    pub(crate) fn forwarded(&self, app: usize) -> Option<&ForwardedBlock> {
        self.forwarded.get(app)
    }

    fn begin(&self, request: &Request<'_>) -> Result<Step, Refusal> {
        let from_proxy = any_contains(&self.trusted_proxies, request.peer);
        let client = match from_proxy {
            true => forwarded_client(request.head.fields(), &self.trusted_proxies, request.peer),
            false => request.peer.to_canonical(),
        };
        let refuse = |reason, app, stripped| Refusal::of(request, client, reason, app, stripped);

        let at = self
            .locate(request)
            .map_err(|(reason, app)| refuse(reason, app, Stripped::default()))?;
        let (Some(app), Some(realm)) = (self.apps().get(at.app), self.realm_of(at.app)) else {
            return Err(refuse(Reason::UnknownHost, None, Stripped::default()));
        };

        let sanitised = Sanitised::of(request.head.fields(), &self.owned, realm, from_proxy);
        let Sanitised { stripped, .. } = sanitised;
        let refuse = |reason| refuse(reason, Some(at.app), stripped);
        if self.spoofed == Spoofed::Reject && stripped.owned + stripped.aliases > 0 {
            return Err(refuse(Reason::SpoofedHeader));
        }

        let (credentials, password) = sanitised.credentials.read().map_err(|bad| match bad {
            BadAuthorization::MalformedBasic => refuse(Reason::WrongCredential),
            BadAuthorization::Repeated => refuse(Reason::RepeatedAuthorization),
        })?;
        let pending = Pending {
            at,
            client,
            credentials,
            kept: sanitised.kept,
            stripped,
            cookie: sanitised.cookie,
            carried: sanitised.session,
            asked: Asked::Session,
        };
        let case = pending.case(app, request);
        if app.kind == Kind::Connect && app.lanes.strict_deploy && case.is_malformed_deploy() {
            return Err(refuse(Reason::MalformedDeploy));
        }

        if let Some(basic) = password {
            let question = Question::Password {
                realm: app.realm,
                user: basic.user,
                password: basic.password,
                client,
            };
            let asked = Asked::Password;
            return Ok(Step::Ask(question, Pending { asked, ..pending }));
        }
        if let Some(lane) = case.by_credential() {
            return Ok(pending.forward(case, request, lane, None));
        }
        if let Some(token) = pending.carried {
            let realm = app.realm;
            return Ok(Step::Ask(Question::Session { realm, token }, pending));
        }
        Ok(pending.forward_unknown(case, request))
    }

    /// Finds the app and checks that the request came to the right place.
    fn locate(&self, request: &Request<'_>) -> Result<Located, (Reason, Option<usize>)> {
        let authority = request.head.authority();
        let located = locate(&self.apps, request.listener, authority, request.head.path())
            .map_err(|_| (Reason::AmbiguousPath, None))?;
        if located == Err(Match::UnknownHost) {
            return Err((Reason::UnknownHost, None));
        }
        // The certificate and the client's trust were for the name in the handshake (RFC 9110
        // §7.4: 421).
        if let Some(sni) = request.sni
            && !host(authority).eq_ignore_ascii_case(sni.as_bytes())
        {
            let app = located.ok().map(|at| at.app);
            return Err((Reason::Misdirected, app));
        }
        located.map_err(|found| match found {
            Match::MountWithoutSlash(app) => (Reason::MountWithoutSlash, Some(app)),
            Match::App(_) | Match::NoMount | Match::UnknownHost => (Reason::NoMount, None),
        })
    }

    fn realm_of(&self, app: usize) -> Option<&Realm> {
        self.realms.get(self.apps().get(app)?.realm)
    }
}

/// A decision that waits for an answer.
#[derive(Debug)]
pub struct Pending {
    at: Located,
    client: IpAddr,
    credentials: Credentials,
    kept: Kept,
    stripped: Stripped,
    cookie: Option<Vec<u8>>,
    /// The session that the request carried.
    carried: Option<SessionToken>,
    asked: Asked,
}

impl Pending {
    /// Goes on with the answer. `request` is the one that the question was asked for.
    pub fn resume(self, policy: &Policy, request: &Request<'_>, outcome: Outcome) -> Step {
        let Some(app) = policy.apps().get(self.at.app) else {
            // Another policy than the one that asked.
            let reason = Reason::UnknownHost;
            return Refusal::of(request, self.client, reason, None, self.stripped).into_step();
        };
        let case = self.case(app, request);
        match (outcome, self.asked) {
            (Outcome::Known { identity, session }, Asked::Password) => {
                let lane = case.by_credential().unwrap_or(Lane::User);
                self.forward(case, request, lane, Some((identity, session)))
            }
            (Outcome::Known { identity, session }, Asked::Session) => {
                self.forward(case, request, Lane::User, Some((identity, session)))
            }
            (Outcome::Unknown, Asked::Session) => self.forward_unknown(case, request),
            (Outcome::Unknown, Asked::Password) => {
                self.refuse(case, request, Reason::WrongCredential)
            }
            (Outcome::Limited { retry_after }, _) => {
                self.refuse(case, request, Reason::TooManyFailures { retry_after })
            }
            (Outcome::Unavailable, _) => self.refuse(case, request, Reason::AuthUnavailable),
        }
    }

    fn case<'a>(&self, app: &'a App, request: &Request<'a>) -> Case<'a> {
        Case {
            app,
            at: self.at,
            head: request.head,
            client: self.client,
            credentials: self.credentials,
        }
    }

    /// What becomes of a request of nobody whom the gateway knows.
    fn forward_unknown(self, case: Case<'_>, request: &Request<'_>) -> Step {
        match case.by_path() {
            Some(lane) => self.forward(case, request, lane, None),
            None => self.refuse(case, request, Reason::Unauthenticated),
        }
    }

    fn refuse(mut self, case: Case<'_>, request: &Request<'_>, reason: Reason) -> Step {
        case.keep_credentials(Lane::Denied, &mut self.kept, &mut self.stripped);
        Refusal::of(
            request,
            self.client,
            reason,
            Some(self.at.app),
            self.stripped,
        )
        .into_step()
    }

    /// Forwards on a lane. The identity goes along on [`Lane::User`] alone, whoever the visitor is
    /// (promise P2).
    fn forward(
        mut self,
        case: Case<'_>,
        request: &Request<'_>,
        lane: Lane,
        visitor: Option<(Arc<Identity>, SessionToken)>,
    ) -> Step {
        let explicit = self.asked == Asked::Password;
        if lane == Lane::User
            && request.websocket
            && !case.app.welcomes(request.head.fields(), explicit)
        {
            return self.refuse(case, request, Reason::OriginRefused);
        }
        case.keep_credentials(lane, &mut self.kept, &mut self.stripped);
        let (identity, session) = visitor.filter(|_| lane == Lane::User).unzip();
        let set_session = session.filter(|one| explicit && Some(*one) != self.carried);
        debug_assert_eq!(identity.is_some(), lane == Lane::User);
        Step::Decided(Decision::Forward(Forward {
            app: self.at.app,
            lane,
            identity,
            client: self.client,
            kept: self.kept,
            cookie: self.cookie,
            websocket: request.websocket,
            body_limit: body_limit(lane, case.app),
            session,
            set_session,
            stripped: self.stripped,
        }))
    }
}

impl Refusal {
    fn of(
        request: &Request<'_>,
        client: IpAddr,
        reason: Reason,
        app: Option<usize>,
        stripped: Stripped,
    ) -> Self {
        Self {
            reason,
            app,
            lane: Lane::Denied,
            form: request.form(),
            client,
            stripped,
        }
    }

    fn into_step(self) -> Step {
        Step::Decided(Decision::Respond(self))
    }
}

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Password,
    Session,
}

/// The largest body on a lane of an app.
fn body_limit(lane: Lane, app: &App) -> Option<u64> {
    let of_lane = (lane == Lane::Discovery).then_some(DISCOVERY_BODY);
    of_lane.into_iter().chain(app.max_body).min()
}

/// The host of a valid authority, without a trailing dot.
fn host(authority: &[u8]) -> &[u8] {
    let colon = authority.iter().rposition(|byte| *byte == b':');
    let host = match colon {
        Some(colon) if !authority.ends_with(b"]") => authority.get(..colon).unwrap_or_default(),
        _ => authority,
    };
    host.strip_suffix(b".").unwrap_or(host)
}

/// The largest body on the discovery lane, in bytes.
const DISCOVERY_BODY: u64 = 64 * 1024;
