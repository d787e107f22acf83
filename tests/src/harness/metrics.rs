//! Reading `/metrics`.

use std::collections::BTreeMap;

/// The samples of one scrape.
#[derive(Clone, Debug, PartialEq)]
pub struct Metrics {
    /// The whole text.
    pub text: String,
    samples: Vec<(String, BTreeMap<String, String>, f64)>,
}

impl Metrics {
    /// Parses the text format. Anything that is none fails the test.
    pub fn parse(text: &str) -> Self {
        let samples = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(sample)
            .collect();
        Self {
            text: text.to_owned(),
            samples,
        }
    }

    /// The sum of all samples with that name that carry these labels; 0 if there are none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.samples
            .iter()
            .filter(|(other, have, _)| {
                let fits = |(key, value): &(&str, &str)| {
                    have.get(*key).map(String::as_str) == Some(*value)
                };
                other == name && labels.iter().all(fits)
            })
            .map(|(_, _, value)| value)
            .sum()
    }

    /// Whether there is a sample with that name.
    pub fn has(&self, name: &str) -> bool {
        self.samples.iter().any(|(other, _, _)| other == name)
    }

    /// The names of all metrics, with their label keys, each once.
    pub fn shapes(&self) -> BTreeMap<String, Vec<String>> {
        self.samples
            .iter()
            .map(|(name, labels, _)| (name.clone(), labels.keys().cloned().collect()))
            .collect()
    }

    /// All label values.
    pub fn label_values(&self) -> impl Iterator<Item = &str> {
        self.samples
            .iter()
            .flat_map(|(_, labels, _)| labels.values().map(String::as_str))
    }
}

/// `name{key="value",…} number`. No label value of ours holds a comma or a quote.
fn sample(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let (series, value) = line
        .rsplit_once(' ')
        .unwrap_or_else(|| panic!("no sample: {line}"));
    let value = value
        .parse()
        .unwrap_or_else(|_| panic!("no number: {line}"));
    let (name, labels) = match series.split_once('{') {
        None => (series, ""),
        Some((name, rest)) => (
            name,
            rest.strip_suffix('}')
                .unwrap_or_else(|| panic!("no labels: {line}")),
        ),
    };
    let labels = labels
        .split(',')
        .filter(|label| !label.is_empty())
        .map(|label| {
            let (key, value) = label
                .split_once('=')
                .unwrap_or_else(|| panic!("no label: {line}"));
            (key.to_owned(), value.trim_matches('"').to_owned())
        })
        .collect();
    (name.to_owned(), labels, value)
}
