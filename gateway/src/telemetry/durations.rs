//! The request-duration histogram.
//!
//! It does not go through the `metrics` facade: its histograms take single samples only
//! (`record_many` is a loop that pushes each one into a list until the next scrape), so that
//! counts which are already in buckets would cost time and memory per request again. The text
//! format is simple enough to write, and this way every count and the sum stay exact.

use std::fmt::{self, Write as _};

use super::cells::Tally;
use super::names;

/// The durations of one lane on one worker.
#[derive(Debug, Default)]
pub(super) struct Durations {
    /// Requests by bucket, not cumulative; the last bucket has no upper bound.
    buckets: [Tally; BOUNDS.len() + 1],
    /// The sum in microseconds.
    micros: Tally,
}

impl Durations {
    /// Counts a request that took so many microseconds.
    pub(super) fn record(&self, micros: u64) {
        let index = BOUNDS
            .iter()
            .position(|(bound, _)| micros <= *bound)
            .unwrap_or(BOUNDS.len());
        if let Some(bucket) = self.buckets.get(index) {
            bucket.add(1);
        }
        self.micros.add(micros);
    }
}

/// The durations of one lane, over all workers.
#[derive(Debug, Default)]
pub(super) struct SummedDurations {
    buckets: [u64; BOUNDS.len() + 1],
    micros: u64,
}

impl SummedDurations {
    pub(super) fn add(&mut self, durations: &Durations) {
        for (sum, bucket) in self.buckets.iter_mut().zip(&durations.buckets) {
            *sum += bucket.value();
        }
        self.micros += durations.micros.value();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.buckets.iter().all(|count| *count == 0)
    }

    /// Appends the series of this app and lane in Prometheus's text format.
    pub(super) fn write(&self, app: &str, lane: &str, out: &mut String) -> fmt::Result {
        let name = names::REQUEST_DURATION.name;
        let app = Escaped(app);
        let bounds = BOUNDS.iter().map(|(_, bound)| *bound).chain(["+Inf"]);
        let mut count = 0;
        for (bound, bucket) in bounds.zip(self.buckets) {
            count += bucket;
            let labels = format_args!(r#"app="{app}",lane="{lane}",le="{bound}""#);
            writeln!(out, "{name}_bucket{{{labels}}} {count}")?;
        }
        let labels = format_args!(r#"app="{app}",lane="{lane}""#);
        let (seconds, micros) = (self.micros / 1_000_000, self.micros % 1_000_000);
        writeln!(out, "{name}_sum{{{labels}}} {seconds}.{micros:06}")?;
        writeln!(out, "{name}_count{{{labels}}} {count}")
    }
}

/// A label value, escaped for the text format.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '"' => f.write_str("\\\""),
            '\\' => f.write_str("\\\\"),
            '\n' => f.write_str("\\n"),
            other => f.write_char(other),
        })
    }
}

/// Upper bounds, inclusive: in microseconds, and in seconds as the `le` label.
const BOUNDS: [(u64, &str); 15] = [
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (500_000, "0.5"),
    (1_000_000, "1"),
    (2_500_000, "2.5"),
    (5_000_000, "5"),
    (10_000_000, "10"),
    (30_000_000, "30"),
    (60_000_000, "60"),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn labels_are_the_bounds_in_ascending_order() {
        for (micros, label) in BOUNDS {
            assert_eq!(label.parse::<f64>().unwrap() * 1e6, micros as f64);
        }
        assert!(BOUNDS.is_sorted());
    }

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let durations = Durations::default();
        for micros in [0, 1_000, 1_001, 60_000_000, 60_000_001] {
            durations.record(micros);
        }
        let counts: Vec<_> = durations.buckets.iter().map(Tally::value).collect();
        assert_eq!(counts, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
    }

    #[test]
    fn label_values_cannot_break_out() {
        assert_eq!(Escaped("a\"} 1\n\\").to_string(), r#"a\"} 1\n\\"#);
    }

    proptest! {
        /// Whatever is recorded, every bucket, the sum and the count are exact.
        #[test]
        fn exact(samples in proptest::collection::vec(0_u64..100_000_000, 0..200), workers in 1_usize..4) {
            let cells: Vec<_> = (0..workers).map(|_| Durations::default()).collect();
            for (index, sample) in samples.iter().enumerate() {
                cells[index % workers].record(*sample);
            }
            let mut sum = SummedDurations::default();
            cells.iter().for_each(|cells| sum.add(cells));
            prop_assert_eq!(sum.is_empty(), samples.is_empty());
            let mut text = String::new();
            sum.write("a", "user", &mut text).unwrap();

            let mut expected: Vec<_> = BOUNDS
                .iter()
                .map(|(bound, _)| samples.iter().filter(|sample| *sample <= bound).count() as u64)
                .collect();
            let count = samples.len() as u64;
            let total = samples.iter().sum::<u64>();
            expected.extend([count, total, count]);
            let values: Vec<_> = text
                .lines()
                .map(|line| line.rsplit_once(' ').unwrap())
                .map(|(name, value)| {
                    let value = if name.contains("_sum") { value.replace('.', "") } else { value.into() };
                    value.parse::<u64>().unwrap()
                })
                .collect();
            prop_assert_eq!(values, expected);
        }
    }
}
