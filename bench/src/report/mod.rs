//! What a run says: Markdown for people, JSON for programs, SVG for slides.

mod json;
mod markdown;
mod svg;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::result::Finding;
use crate::scenario::Scenario;

/// A run's findings, with what is to be known of it.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// The machine, the versions, how long and how often: a line each.
    pub(crate) facts: Vec<String>,
    /// Scenarios in their order, with what was found.
    pub(crate) scenarios: Vec<(Scenario, Vec<Finding>)>,
}

impl Report {
    /// As Markdown.
    pub(crate) fn markdown(&self) -> String {
        markdown::render(self)
    }

    /// As a JSON array.
    pub(crate) fn json(&self) -> String {
        json::render(self.scenarios.iter().flat_map(|(_, findings)| findings))
    }

    /// Writes `report.md`, `report.json` and a plot for each scenario to a directory, and the JSON
    /// also to `json`.
    pub(crate) fn write(&self, directory: &Path, json: Option<&PathBuf>) -> Result<()> {
        write(&directory.join("report.md"), &self.markdown())?;
        write(&directory.join("report.json"), &self.json())?;
        if let Some(json) = json {
            write(json, &self.json())?;
        }
        for (scenario, findings) in &self.scenarios {
            if let Some(plot) = svg::render(scenario, findings) {
                write(&directory.join(format!("{}.svg", scenario.name)), &plot)?;
            }
        }
        Ok(())
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// A figure with as many digits as say something: three.
fn number(value: f64) -> String {
    let decimals = match value.abs() {
        0.0 => 0,
        small if small < 0.1 => 4,
        small if small < 1.0 => 3,
        small if small < 10.0 => 2,
        small if small < 100.0 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::metric::{Metric, Unit};
    use crate::result::{Round, Rounds, findings};

    /// Two scenarios with everything that a report can hold.
    pub(super) fn example() -> Report {
        let rounds = |subject, cpu: [f64; 3], errors| Rounds {
            subject,
            rounds: cpu
                .iter()
                .map(|&cpu| Round {
                    figures: BTreeMap::from([(Metric::Cpu, cpu), (Metric::Rate, 1e6 / cpu)]),
                    done: 1000,
                    errors,
                    first_error: (errors > 0).then(|| "answered 502, not 200".to_owned()),
                })
                .collect(),
        };
        let scenario = |name: &str, about: &str| {
            let text = format!(
                "about = '{about}'\n[load]\nkind = 'closed'\nconnections = 2\n\
                 [[request]]\npath = '/bytes/1'\n"
            );
            let mut scenario: Scenario = toml::from_str(&text).unwrap();
            name.clone_into(&mut scenario.name);
            scenario
        };
        let found = |name, subjects: &[Rounds]| findings(name, Unit::Request, subjects);
        let one = [
            rounds("gateway", [10.0, 12.0, 12.5], 0),
            rounds("nginx", [16.0, 15.0, 15.5], 0),
            rounds("haproxy", [16.0, 15.0, 25.5], 0),
        ];
        let two = [
            rounds("gateway", [0.5, 0.5, 0.55], 0),
            rounds("nginx", [15.0, 15.0, 15.5], 3),
        ];
        Report {
            facts: vec!["a machine".to_owned(), "versions".to_owned()],
            scenarios: vec![
                (scenario("one", "first"), found("one", &one)),
                (scenario("two", "second"), found("two", &two)),
            ],
        }
    }

    #[test]
    fn the_markdown_is_as_it_was() {
        assert_eq!(example().markdown(), include_str!("expected.md"));
    }

    #[test]
    fn the_json_is_as_it_was() {
        assert_eq!(example().json(), include_str!("expected.json"));
    }

    #[test]
    fn numbers_have_three_digits() {
        for (value, text) in [
            (0.0, "0"),
            (0.01234, "0.0123"),
            (0.1234, "0.123"),
            (1.234, "1.23"),
            (12.34, "12.3"),
            (123.4, "123"),
            (12345.6, "12346"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
