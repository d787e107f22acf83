//! Outcomes, and for operators why they are what they are.

use std::sync::Arc;

use policy::{Identity, Outcome, SessionToken};

/// An answer to policy, and why, for metrics and logs.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    /// The answer.
    pub(crate) outcome: Outcome,
    /// Why there is no visitor; `None` with [`Outcome::Known`] and only there.
    pub(crate) cause: Option<FailureCause>,
}

/// Why nobody was authenticated. Labels are an API: they stand in logs and metrics.
///
/// An unknown user and a wrong password are one cause, so that not even the metrics tell which
/// names exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum FailureCause {
    /// The check itself failed: an unusable hash, no memory, no randomness.
    CheckerFailed,
    /// More checks wait than the pool takes.
    Overloaded,
    /// Too many wrong passwords for this account.
    RateLimitedAccount,
    /// Too many wrong passwords from this address.
    RateLimitedAddress,
    /// No such session in this realm: never made, ended, or another realm's.
    UnknownSession,
    /// No such user, or not their password.
    WrongPassword,
}

impl Verdict {
    /// A visitor.
    pub(super) fn known(identity: Arc<Identity>, session: SessionToken) -> Self {
        Self {
            outcome: Outcome::Known { identity, session },
            cause: None,
        }
    }

    /// Nobody. `retry_after` (seconds) counts with a rate limit only.
    pub(super) fn failed(cause: FailureCause, retry_after: u32) -> Self {
        let outcome = match cause {
            FailureCause::CheckerFailed | FailureCause::Overloaded => Outcome::Unavailable,
            FailureCause::RateLimitedAccount | FailureCause::RateLimitedAddress => {
                Outcome::Limited {
                    retry_after: retry_after.max(1),
                }
            }
            FailureCause::UnknownSession | FailureCause::WrongPassword => Outcome::Unknown,
        };
        Self {
            outcome,
            cause: Some(cause),
        }
    }
}

impl FailureCause {
    /// Every cause, in the order of [`FailureCause::index`].
    pub(crate) const ALL: [Self; 6] = [
        Self::CheckerFailed,
        Self::Overloaded,
        Self::RateLimitedAccount,
        Self::RateLimitedAddress,
        Self::UnknownSession,
        Self::WrongPassword,
    ];

    /// The label in logs and metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::CheckerFailed => "checker_failed",
            Self::Overloaded => "overloaded",
            Self::RateLimitedAccount => "rate_limited_account",
            Self::RateLimitedAddress => "rate_limited_address",
            Self::UnknownSession => "unknown_session",
            Self::WrongPassword => "wrong_password",
        }
    }

    /// A dense index, for per-cause cells.
    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_indexed_in_order_and_labelled_apart() {
        for (index, cause) in FailureCause::ALL.into_iter().enumerate() {
            assert_eq!(cause.index(), index);
            let same_label = |other: &FailureCause| other.as_str() == cause.as_str();
            assert_eq!(
                FailureCause::ALL.iter().filter(|c| same_label(c)).count(),
                1
            );
        }
    }
}
