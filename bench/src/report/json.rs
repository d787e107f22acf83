//! The findings as JSON: an array of
//! `{scenario, subject, metric, unit, median, min, max, ratio_to: {peer: ratio}}`.
//!
//! What is void has a reason in `void`, and no ratio.

use serde_json::{Map, Value, json};

use crate::result::Finding;

pub(super) fn render<'a>(findings: impl Iterator<Item = &'a Finding>) -> String {
    let findings: Vec<Value> = findings.map(one).collect();
    format!("{:#}\n", Value::Array(findings))
}

fn one(finding: &Finding) -> Value {
    let ratios = finding.ratio_to.iter();
    let ratios: Map<String, Value> = ratios
        .map(|(peer, ratio)| ((*peer).to_owned(), json!(rounded(*ratio))))
        .collect();
    let mut value = json!({
        "scenario": finding.scenario,
        "subject": finding.subject,
        "metric": finding.metric.name(),
        "unit": finding.unit,
        "median": rounded(finding.figures.median),
        "min": rounded(finding.figures.least),
        "max": rounded(finding.figures.most),
        "ratio_to": ratios,
    });
    if let (Some(void), Some(object)) = (&finding.void, value.as_object_mut()) {
        object.insert("void".to_owned(), json!(void.reason()));
    }
    value
}

/// To five digits: what follows is noise, and hard to read.
fn rounded(value: f64) -> f64 {
    let text = format!("{value:.4e}");
    text.parse().unwrap_or(value)
}
