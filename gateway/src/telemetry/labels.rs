//! Label values and the dense indexes behind them.

use policy::{Fault, RateKey, Reason};
use wire::h1::{ChunkError, HeadError};

/// The names that become label values; positions are the indexes that [`Cells`](super::Cells)
/// takes. All come from the configuration or the program, never from a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Labels<'a> {
    /// The apps, in the order of [`policy::Policy::apps`].
    pub(crate) apps: &'a [&'a str],
    /// The causes of authentication failures.
    pub(crate) auth_causes: &'a [&'a str],
    /// The listeners, in the order of [`config::Config::listeners`].
    pub(crate) listeners: &'a [&'a str],
    /// The back-end pools, in the order of [`config::Config::pools`].
    pub(crate) pools: &'a [&'a str],
}

/// The protocol that a client spoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.1 or 1.0.
    H1,
    /// HTTP/3.
    H3,
}

impl Protocol {
    /// Every protocol, in the order of their indexes.
    pub(crate) const ALL: [Self; 2] = [Self::H1, Self::H3];

    /// The label in logs and metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::H1 => "h1",
            Self::H3 => "h3",
        }
    }

    pub(super) fn index(self) -> usize {
        self as usize
    }
}

/// What ended a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TunnelEnd {
    /// Both sides ended it.
    Closed,
    /// The gateway, because it drains.
    Drain,
    /// One side broke off.
    Failed,
    /// The gateway, because nothing moved for too long.
    Idle,
    /// The gateway, because the visitor's session ended.
    Session,
}

impl TunnelEnd {
    pub(super) const ALL: [Self; 5] = [
        Self::Closed,
        Self::Drain,
        Self::Failed,
        Self::Idle,
        Self::Session,
    ];

    /// The label in metrics.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Drain => "drain",
            Self::Failed => "failed",
            Self::Idle => "idle",
            Self::Session => "session",
        }
    }
}

/// Why a field line was removed.
#[derive(Clone, Copy, Debug)]
pub(super) enum StrippedKind {
    Alias,
    Answer,
    Credential,
    Owned,
}

impl StrippedKind {
    pub(super) const ALL: [Self; 4] = [Self::Alias, Self::Answer, Self::Credential, Self::Owned];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Alias => "alias",
            Self::Answer => "answer",
            Self::Credential => "credential",
            Self::Owned => "owned",
        }
    }
}

/// The index of a status in [`STATUS_CLASSES`]; whatever is no status counts as `none`.
pub(super) fn status_class(status: u16) -> usize {
    match status / 100 {
        class @ 1..=5 => class.into(),
        _ => 0,
    }
}

/// The `status` labels; `none` is for requests whose client went away before an answer began.
pub(super) const STATUS_CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// The `app` label of requests that belong to no app.
pub(super) const NO_APP: &str = "none";

/// One reason for each label that [`Reason::as_str`] yields; payloads do not matter.
pub(super) const REASONS: [Reason; 37] = [
    Reason::AmbiguousPath,
    Reason::AnswerTooLarge,
    Reason::AuthUnavailable,
    Reason::BadBody(ChunkError::Size),
    Reason::BadHead(HeadError::Syntax),
    Reason::BodyTimeout,
    Reason::BodyTooLarge,
    Reason::BodyTooSlow,
    Reason::ExpectationFailed,
    Reason::HeadTimeout,
    Reason::HeadTooLarge,
    Reason::MalformedDeploy,
    Reason::Misdirected,
    Reason::MountWithoutSlash,
    Reason::NoMount,
    Reason::OriginRefused,
    Reason::QueueFull,
    Reason::QueueTimeout,
    rate_limited(RateKey::Address),
    rate_limited(RateKey::Lane),
    rate_limited(RateKey::Token),
    rate_limited(RateKey::User),
    Reason::RepeatedAuthorization,
    Reason::SpoofedHeader,
    Reason::TargetTooLong,
    Reason::TooManyFailures { retry_after: 1 },
    Reason::TooManyRequests { retry_after: 1 },
    Reason::Unauthenticated,
    Reason::UnknownHost,
    Reason::Upstream(Fault::BadAnswer),
    Reason::Upstream(Fault::Closed),
    Reason::Upstream(Fault::Connect),
    Reason::Upstream(Fault::ConnectTimeout),
    Reason::Upstream(Fault::Resolve),
    Reason::Upstream(Fault::Timeout),
    Reason::Upstream(Fault::Tls),
    Reason::WrongCredential,
];

/// That reason for a rate by `key`.
const fn rate_limited(key: RateKey) -> Reason {
    Reason::RateLimited {
        key,
        retry_after: 1,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use policy::Lane;

    use super::*;

    #[test]
    fn every_reason_has_exactly_one_cell() {
        // Adding a reason makes this match fail to compile: add it to `REASONS` as well.
        let position = |reason| match reason {
            Reason::AmbiguousPath => 0,
            Reason::AnswerTooLarge => 1,
            Reason::AuthUnavailable => 2,
            Reason::BadBody(_) => 3,
            Reason::BadHead(_) => 4,
            Reason::BodyTimeout => 5,
            Reason::BodyTooLarge => 6,
            Reason::BodyTooSlow => 7,
            Reason::ExpectationFailed => 8,
            Reason::HeadTimeout => 9,
            Reason::HeadTooLarge => 10,
            Reason::MalformedDeploy => 11,
            Reason::Misdirected => 12,
            Reason::MountWithoutSlash => 13,
            Reason::NoMount => 14,
            Reason::OriginRefused => 15,
            Reason::QueueFull => 16,
            Reason::QueueTimeout => 17,
            Reason::RateLimited { key, .. } => match key {
                RateKey::Address => 18,
                RateKey::Lane => 19,
                RateKey::Token => 20,
                RateKey::User => 21,
            },
            Reason::RepeatedAuthorization => 22,
            Reason::SpoofedHeader => 23,
            Reason::TargetTooLong => 24,
            Reason::TooManyFailures { .. } => 25,
            Reason::TooManyRequests { .. } => 26,
            Reason::Unauthenticated => 27,
            Reason::UnknownHost => 28,
            Reason::Upstream(Fault::BadAnswer) => 29,
            Reason::Upstream(Fault::Closed) => 30,
            Reason::Upstream(Fault::Connect) => 31,
            Reason::Upstream(Fault::ConnectTimeout) => 32,
            Reason::Upstream(Fault::Resolve) => 33,
            Reason::Upstream(Fault::Timeout) => 34,
            Reason::Upstream(Fault::Tls) => 35,
            Reason::WrongCredential => 36,
        };
        let positions: Vec<_> = REASONS.into_iter().map(position).collect();
        assert_eq!(positions, (0..37).collect::<Vec<_>>());
        let labels: BTreeSet<_> = REASONS.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(labels.len(), REASONS.len(), "two reasons share a label");
    }

    #[test]
    fn indexes_agree_with_their_tables() {
        for (index, protocol) in Protocol::ALL.into_iter().enumerate() {
            assert_eq!(protocol.index(), index);
        }
        for (index, lane) in Lane::ALL.into_iter().enumerate() {
            assert_eq!(lane.index(), index);
        }
        for (index, kind) in StrippedKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
        }
        for (index, end) in TunnelEnd::ALL.into_iter().enumerate() {
            assert_eq!(end as usize, index);
        }
        for (status, class) in [
            (0, "none"),
            (99, "none"),
            (101, "1xx"),
            (200, "2xx"),
            (599, "5xx"),
            (600, "none"),
        ] {
            assert_eq!(STATUS_CLASSES[status_class(status)], class);
        }
    }
}
