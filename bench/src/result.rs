//! From rounds to findings: medians, ratios, and what is void.

use std::collections::BTreeMap;

use crate::figures::Figures;
use crate::metric::{Metric, Unit};

/// What one round of one subject gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Round {
    pub(crate) figures: BTreeMap<Metric, f64>,
    pub(crate) done: u64,
    pub(crate) errors: u64,
    pub(crate) first_error: Option<String>,
}

/// A subject with its rounds, in their order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rounds {
    pub(crate) subject: &'static str,
    pub(crate) rounds: Vec<Round>,
}

/// What one scenario says of one subject in one respect.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Finding {
    pub(crate) scenario: String,
    pub(crate) subject: &'static str,
    pub(crate) metric: Metric,
    pub(crate) unit: String,
    pub(crate) figures: Figures,
    /// Why it says nothing.
    pub(crate) void: Option<Void>,
    /// The first subject's alone: its figure divided by each other's, round by round.
    pub(crate) ratio_to: BTreeMap<&'static str, Figures>,
}

/// Why figures say nothing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Void {
    /// More than one try in a thousand failed, or a whole round did: that share of all tries, the first
    /// in this way.
    Errors { share: f64, first: String },
    /// The middle half of the rounds lies that far apart, as a share of the median.
    Noise { spread: f64 },
}

/// The findings of a scenario, in the order of the subjects, of which the first is ours.
pub(crate) fn findings(scenario: &str, unit: Unit, subjects: &[Rounds]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, subject) in subjects.iter().enumerate() {
        for metric in metrics(&subject.rounds) {
            let Some((figures, void)) = judge(subject, metric) else {
                continue;
            };
            let mut ratio_to = BTreeMap::new();
            if at == 0 && void.is_none() {
                for peer in subjects.iter().skip(1) {
                    ratio_to
                        .extend(ratio(subject, peer, metric).map(|ratio| (peer.subject, ratio)));
                }
            }
            findings.push(Finding {
                scenario: scenario.to_owned(),
                subject: subject.subject,
                metric,
                unit: metric.unit(unit),
                figures,
                void,
                ratio_to,
            });
        }
    }
    findings
}

impl Void {
    /// In a few words.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Errors { share, first } => format!("{:.2} % errors: {first}", 100.0 * share),
            Self::Noise { spread } => format!("noise: half lies {:.0} % apart", 100.0 * spread),
        }
    }
}

fn metrics(rounds: &[Round]) -> Vec<Metric> {
    let mut metrics: Vec<Metric> = rounds
        .iter()
        .flat_map(|round| round.figures.keys().copied())
        .collect();
    metrics.sort_unstable();
    metrics.dedup();
    metrics
}

fn judge(subject: &Rounds, metric: Metric) -> Option<(Figures, Option<Void>)> {
    let figures = Figures::of(&values(subject, metric))?;
    let done: u64 = subject.rounds.iter().map(|round| round.done).sum();
    let errors: u64 = subject.rounds.iter().map(|round| round.errors).sum();
    let share = errors as f64 / (done + errors).max(1) as f64;
    let spread = figures.middle_half / figures.median;
    // A round in which nothing was answered may have few errors: each took its time.
    let idle = subject.rounds.iter().any(|round| round.done == 0);
    let void = if share > ERRORS || idle {
        let mut first = subject
            .rounds
            .iter()
            .filter_map(|round| round.first_error.clone());
        Some(Void::Errors {
            share,
            first: first
                .next()
                .unwrap_or_else(|| "nothing was answered".to_owned()),
        })
    } else if spread > metric.tolerance() {
        Some(Void::Noise { spread })
    } else {
        None
    };
    Some((figures, void))
}

/// What the rounds say, each of them: what slows down all subjects for a while does not show in it.
fn ratio(ours: &Rounds, peer: &Rounds, metric: Metric) -> Option<Figures> {
    let (_, None) = judge(peer, metric)? else {
        return None;
    };
    let pairs = values(ours, metric).into_iter().zip(values(peer, metric));
    let ratios: Vec<f64> = pairs.map(|(ours, theirs)| ours / theirs).collect();
    let ratio = Figures::of(&ratios)?;
    let finite = ratio.least.is_finite() && ratio.most.is_finite();
    finite.then_some(ratio)
}

fn values(subject: &Rounds, metric: Metric) -> Vec<f64> {
    let figures = subject
        .rounds
        .iter()
        .map(|round| round.figures.get(&metric));
    figures.flatten().copied().collect()
}

/// The share of tries that may fail.
const ERRORS: f64 = 0.001;

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(subject: &'static str, cpu: &[f64], errors: u64) -> Rounds {
        let round = |&cpu: &f64| Round {
            figures: BTreeMap::from([(Metric::Cpu, cpu)]),
            done: 1000,
            errors,
            first_error: (errors > 0).then(|| "answered 502, not 200".to_owned()),
        };
        Rounds {
            subject,
            rounds: cpu.iter().map(round).collect(),
        }
    }

    fn found(subjects: &[Rounds]) -> Vec<Finding> {
        findings("s", Unit::Request, subjects)
    }

    #[test]
    fn a_ratio_is_of_the_rounds_not_of_the_medians() {
        // The machine was slower in the second and third round.
        let found = found(&[
            rounds("gateway", &[10.0, 12.0, 13.0], 0),
            rounds("nginx", &[20.0, 20.0, 24.0], 0),
        ]);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].figures.median, 12.0);
        let ratio = found[0].ratio_to["nginx"];
        let of_round_3 = 13.0 / 24.0;
        assert_eq!(
            (ratio.least, ratio.median, ratio.most),
            (0.5, of_round_3, 0.6)
        );
        assert_eq!(found[0].unit, "µs/request");
        assert_eq!(found[1].ratio_to, BTreeMap::new());
        assert!(found.iter().all(|finding| finding.void.is_none()));
    }

    #[test]
    fn noise_is_void_and_gives_no_ratio() {
        let noisy = rounds("nginx", &[9.0, 10.0, 10.0, 14.0, 14.0, 14.0], 0);
        let calm = rounds("gateway", &[10.0, 10.0, 10.0, 10.0, 12.0, 90.0], 0);
        let one = found(&[calm.clone(), noisy.clone()]);
        assert_eq!(one[0].void, None);
        assert_eq!(one[0].ratio_to, BTreeMap::new());
        assert_eq!(one[1].void, Some(Void::Noise { spread: 4.0 / 12.0 }));
        assert_eq!(found(&[noisy, calm])[0].ratio_to, BTreeMap::new());
    }

    #[test]
    fn one_error_in_a_thousand_is_borne_and_two_are_not() {
        let with = |errors| found(&[rounds("gateway", &[10.0], errors)])[0].void.clone();
        assert_eq!(with(0), None);
        assert_eq!(with(1), None);
        let reason = with(2).unwrap().reason();
        assert_eq!(reason, "0.20 % errors: answered 502, not 200");
    }

    #[test]
    fn nothing_done_is_void() {
        let mut idle = rounds("gateway", &[10.0], 0);
        idle.rounds[0].done = 0;
        let reason = found(&[idle])[0].void.clone().unwrap().reason();
        assert_eq!(reason, "0.00 % errors: nothing was answered");
    }

    #[test]
    fn a_round_in_which_nothing_was_answered_makes_all_void() {
        let mut stalled = rounds("gateway", &[10.0, 10.0, 10.0], 0);
        for round in &mut stalled.rounds {
            round.done = 100_000;
        }
        stalled.rounds[1] = Round {
            errors: 32,
            first_error: Some("took too long".to_owned()),
            ..Round::default()
        };
        let found = found(&[stalled, rounds("nginx", &[20.0, 40.0, 20.0], 0)]);
        let reason = found[0].void.clone().unwrap().reason();
        assert_eq!(reason, "0.02 % errors: took too long");
        assert_eq!(found[0].ratio_to, BTreeMap::new());
    }
}
