//! Time, read once for each question and passed on as a value.

use std::time::{Duration, Instant};

/// The process's monotonic clock.
#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
}

/// A point in time: nanoseconds since the clock's start (enough for 584 years).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Clock {
    /// A clock that starts now.
    pub(crate) fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    /// Now.
    pub(crate) fn now(&self) -> Moment {
        Moment::default().plus(self.start.elapsed())
    }
}

impl Moment {
    /// From what [`Moment::nanos`] gave.
    pub(crate) fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The number, for atomics and arithmetic.
    pub(crate) fn nanos(self) -> u64 {
        self.0
    }

    /// Later by `duration`; the end of time at most.
    pub(crate) fn plus(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }

    /// How long after `earlier`; zero if it is not after it.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}
