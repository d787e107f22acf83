//! Counting what came of each try.

use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result};
use gateway_bench::order::{Latency, Outcome};
use hdrhistogram::Histogram;

/// What came of all tries so far.
pub(crate) struct Tally {
    begun: Instant,
    outcome: Outcome,
    /// Nanoseconds, to three digits.
    times: Histogram<u64>,
}

impl Tally {
    /// Nothing yet; the work begins now.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            begun: Instant::now(),
            outcome: Outcome::default(),
            times: Histogram::new_with_max(LONGEST, 3).context("no histogram")?,
        })
    }

    /// A right answer after so long, with so many bytes of payload both ways.
    pub(crate) fn done(&mut self, time: Duration, bytes: u64) {
        self.outcome.done += 1;
        self.outcome.bytes += bytes;
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(LONGEST);
        self.times.saturating_record(nanoseconds);
    }

    /// Something else.
    pub(crate) fn failed(&mut self, error: &Error) {
        self.outcome.errors += 1;
        self.outcome
            .first_error
            .get_or_insert_with(|| format!("{error:#}"));
    }

    /// The work is over.
    pub(crate) fn finish(mut self) -> Outcome {
        let milliseconds = self.begun.elapsed().as_millis();
        self.outcome.milliseconds = u64::try_from(milliseconds).unwrap_or(u64::MAX);
        let quantile = |at| self.times.value_at_quantile(at) as f64 / 1e3;
        self.outcome.latency = (self.outcome.done > 0).then(|| Latency {
            p50: quantile(0.5),
            p99: quantile(0.99),
            p999: quantile(0.999),
        });
        self.outcome
    }
}

/// Longer times count as this: a minute, in nanoseconds.
const LONGEST: u64 = 60_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn right_answers_and_errors_are_counted_apart() {
        let mut tally = Tally::new().unwrap();
        for microseconds in 1..=1000 {
            tally.done(Duration::from_micros(microseconds), 3);
        }
        tally.failed(&Error::msg("first"));
        tally.failed(&Error::msg("second"));
        let outcome = tally.finish();
        assert_eq!(
            (outcome.done, outcome.errors, outcome.bytes),
            (1000, 2, 3000)
        );
        assert_eq!(outcome.first_error.as_deref(), Some("first"));
        let latency = outcome.latency.unwrap();
        assert!((latency.p50 - 500.0).abs() < 1.0, "{latency:?}");
        assert!((latency.p99 - 990.0).abs() < 1.0, "{latency:?}");
        assert!((latency.p999 - 999.0).abs() < 1.0, "{latency:?}");
    }

    #[test]
    fn without_a_right_answer_there_is_no_latency() {
        assert_eq!(Tally::new().unwrap().finish().latency, None);
    }
}
