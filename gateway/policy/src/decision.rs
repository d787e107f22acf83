//! What policy says about a request.

use std::sync::Arc;

use bytes::Bytes;
use wire::Name;

use crate::{Identity, Kept, Lane, SessionToken, Stripped};

/// One step of a decision.
#[derive(Debug)]
pub enum Step {
    /// The process must answer first.
    Ask(Question, crate::Pending),
    /// Decided.
    Decided(Decision),
}

/// What policy cannot know by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Is this password right? May take long; limited per address and account.
    Password {
        /// Index of the realm.
        realm: usize,
        /// The claimed user.
        user: Box<str>,
        /// The password as sent.
        password: Bytes,
        /// The client's address, for limits.
        client: std::net::IpAddr,
    },
    /// Is this session alive in this realm? Answered at once from memory.
    Session {
        /// Index of the realm.
        realm: usize,
        /// The cookie's secret.
        token: SessionToken,
    },
}

/// The process's answer to a [`Question`].
#[derive(Clone, Debug)]
pub enum Outcome {
    /// A visitor, and the session that a browser should carry from here on.
    Known {
        /// Who.
        identity: Arc<Identity>,
        /// Their session. After a password, its cookie is set unless the request carried it.
        session: SessionToken,
    },
    /// Too many failures lately; try again after so many seconds.
    Limited {
        /// Seconds, at least 1.
        retry_after: u32,
    },
    /// The checker is out of order or overloaded: fail closed, 503.
    Unavailable,
    /// Wrong password; no such session.
    Unknown,
}

/// The decision about a request.
#[derive(Clone, Debug)]
pub enum Decision {
    /// Send it to the app's back-end.
    Forward(Forward),
    /// Answer it here.
    Respond(Refusal),
}

/// How a request goes on.
#[derive(Clone, Debug)]
pub struct Forward {
    /// Index of the app.
    pub app: usize,
    /// The lane.
    pub lane: Lane,
    /// Who, on [`Lane::User`] and only there.
    pub identity: Option<Arc<Identity>>,
    /// The client's address: the peer, or what a trusted proxy says of it.
    pub client: std::net::IpAddr,
    /// The field lines that are forwarded as they came.
    pub kept: Kept,
    /// The `Cookie` value to send instead of the client's, where the gateway's were removed.
    pub cookie: Option<Vec<u8>>,
    /// Whether the client asked for a WebSocket.
    pub websocket: bool,
    /// The largest body that this lane of the app lets through, in bytes.
    pub body_limit: Option<u64>,
    /// The visitor's session, on [`Lane::User`] and only there.
    pub session: Option<SessionToken>,
    /// A session whose cookie the answer sets.
    pub set_session: Option<SessionToken>,
    /// What was removed.
    pub stripped: Stripped,
}

impl Forward {
    /// The client's own credentials that go along: an API key, an OAuth token, a deployment token.
    /// Each once, and the same however it is spelled and wherever it stands: without its scheme,
    /// which Connect takes in any case and in `X-RSC-Authorization` does without.
    /// Secrets: for fingerprints only.
    pub fn tokens<'h>(&self, head: &'h wire::Head) -> impl Iterator<Item = &'h [u8]> {
        let kept = self.kept;
        let own = matches!(self.lane, Lane::ApiCredential | Lane::SignedDeploy);
        let tokens = move || {
            let lines = head.fields().iter().enumerate();
            lines.filter_map(move |(index, line)| {
                let token = match line.known {
                    Name::Authorization | Name::XRscAuthorization => without_scheme(line.value),
                    Name::XAuthToken => line.value,
                    _ => return None,
                };
                (own && kept.contains(index)).then_some(token)
            })
        };
        let first = move |number: usize, token| tokens().take(number).all(|one| one != token);
        tokens()
            .enumerate()
            .filter_map(move |(number, token)| first(number, token).then_some(token))
    }
}

fn without_scheme(credential: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let token = credential.splitn(2, is_blank).nth(1);
    token.map_or(credential, <[u8]>::trim_ascii)
}

/// How a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// The app, once known.
    pub app: Option<usize>,
    /// The lane, [`Lane::Denied`] unless it was decided.
    pub lane: Lane,
    /// In which form the client can use the answer.
    pub form: Form,
    /// The client's address.
    pub client: std::net::IpAddr,
    /// What was removed.
    pub stripped: Stripped,
}

/// The form of an answer that the gateway itself gives (docs/lanes.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A page, for a navigating browser.
    Html,
    /// Connect's JSON error, for everything else.
    Json,
}

/// Why the gateway answers by itself. Labels are an API: they stand in logs and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Raw and normalised path disagree on mount or lane, or the path has two readings.
    AmbiguousPath,
    /// The head of the back-end's answer exceeds what the client takes.
    AnswerTooLarge,
    /// The password checker is overloaded or out of order.
    AuthUnavailable,
    /// The body exceeds what the lane lets through.
    BodyTooLarge,
    /// A chunked body that is none; the head was fine.
    BadBody(wire::h1::ChunkError),
    /// The head is not strict HTTP.
    BadHead(wire::h1::HeadError),
    /// `Expect` asks for what nobody offers.
    ExpectationFailed,
    /// The head exceeds the configured size.
    HeadTooLarge,
    /// The head did not arrive in time.
    HeadTimeout,
    /// The body stopped arriving.
    BodyTimeout,
    /// The body arrives too slowly.
    BodyTooSlow,
    /// Malformed deployment headers, in strict mode.
    MalformedDeploy,
    /// Host and SNI disagree.
    Misdirected,
    /// The mount without its slash.
    MountWithoutSlash,
    /// The host is served, but nothing is mounted at this path.
    NoMount,
    /// As many requests as may wait for the back-end do.
    QueueFull,
    /// The request waited for a place at the back-end for too long.
    QueueTimeout,
    /// More requests than one of the app's rates allows.
    RateLimited {
        /// What the rate counts by.
        key: RateKey,
        /// Seconds.
        retry_after: u32,
    },
    /// A page of another origin asked for a WebSocket with the visitor's login.
    OriginRefused,
    /// Several `Authorization` fields.
    RepeatedAuthorization,
    /// The client named an owned header, in reject mode.
    SpoofedHeader,
    /// The request target exceeds the configured size.
    TargetTooLong,
    /// Too many failed passwords from this address or for this account.
    TooManyFailures {
        /// Seconds.
        retry_after: u32,
    },
    /// Too many requests on this lane from this address.
    TooManyRequests {
        /// Seconds.
        retry_after: u32,
    },
    /// No credential.
    Unauthenticated,
    /// No app has this host.
    UnknownHost,
    /// The back-end failed.
    Upstream(Fault),
    /// A credential that was presented is wrong.
    WrongCredential,
}

/// What an app's rate counts requests by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateKey {
    /// The client's address: an IPv4 address, or an IPv6 /64.
    Address,
    /// Nothing but the lane: all its requests together.
    Lane,
    /// The client's own credential: an API key, an OAuth token, a deployment token.
    Token,
    /// The visitor whom the gateway authenticated.
    User,
}

/// How a back-end failed, before any byte of its answer went on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The answer is not strict HTTP: 502.
    BadAnswer,
    /// The connection could not be made: 502.
    Connect,
    /// The connection was not made in time: 504.
    ConnectTimeout,
    /// The connection ended before the answer: 502.
    Closed,
    /// The name does not resolve: 502.
    Resolve,
    /// The answer did not begin in time: 504.
    Timeout,
    /// TLS failed, whoever refused whom: 502.
    Tls,
}

impl Reason {
    /// The label in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AmbiguousPath => "ambiguous_path",
            Self::AnswerTooLarge => "answer_too_large",
            Self::AuthUnavailable => "auth_unavailable",
            Self::BadBody(_) => "bad_body",
            Self::BadHead(_) => "bad_head",
            Self::BodyTimeout => "body_timeout",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyTooSlow => "body_too_slow",
            Self::ExpectationFailed => "expectation_failed",
            Self::HeadTimeout => "head_timeout",
            Self::HeadTooLarge => "head_too_large",
            Self::MalformedDeploy => "malformed_deploy",
            Self::Misdirected => "misdirected",
            Self::MountWithoutSlash => "mount_without_slash",
            Self::NoMount => "no_mount",
            Self::OriginRefused => "origin_refused",
            Self::QueueFull => "queue_full",
            Self::QueueTimeout => "queue_timeout",
            Self::RateLimited { key, .. } => match key {
                RateKey::Address => "rate_limited_address",
                RateKey::Lane => "rate_limited_lane",
                RateKey::Token => "rate_limited_token",
                RateKey::User => "rate_limited_user",
            },
            Self::RepeatedAuthorization => "repeated_authorization",
            Self::SpoofedHeader => "spoofed_header",
            Self::TargetTooLong => "target_too_long",
            Self::TooManyFailures { .. } => "too_many_failures",
            Self::TooManyRequests { .. } => "too_many_requests",
            Self::Unauthenticated => "unauthenticated",
            Self::UnknownHost => "unknown_host",
            Self::Upstream(fault) => fault.as_str(),
            Self::WrongCredential => "wrong_credential",
        }
    }
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 7] = [
        Self::BadAnswer,
        Self::Closed,
        Self::Connect,
        Self::ConnectTimeout,
        Self::Resolve,
        Self::Timeout,
        Self::Tls,
    ];

    /// The label in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadAnswer => "upstream_bad_answer",
            Self::Closed => "upstream_closed",
            Self::Connect => "upstream_connect",
            Self::ConnectTimeout => "upstream_connect_timeout",
            Self::Resolve => "upstream_resolve",
            Self::Timeout => "upstream_timeout",
            Self::Tls => "upstream_tls",
        }
    }
}
