//! The findings as JSON: an array of
//! `{scenario, subject, metric, unit, median, min, max, ratio_to: {peer: ratio},
//! ratio_range: {peer: [least, greatest]}}`.
//!
//! What is void has a reason in `void`, and no ratio.

use serde_json::{Map, Value, json};

use crate::figures::Figures;
use crate::result::Finding;

pub(super) fn render<'a>(findings: impl Iterator<Item = &'a Finding>) -> String {
    let findings: Vec<Value> = findings.map(one).collect();
    format!("{:#}\n", Value::Array(findings))
}

fn one(finding: &Finding) -> Value {
    let ratios = |one: fn(&Figures) -> Value| -> Map<String, Value> {
        let all = finding.ratio_to.iter();
        all.map(|(peer, ratio)| ((*peer).to_owned(), one(ratio)))
            .collect()
    };
    let mut value = json!({
        "scenario": finding.scenario,
        "subject": finding.subject,
        "metric": finding.metric.name(),
        "unit": finding.unit,
        "median": rounded(finding.figures.median),
        "min": rounded(finding.figures.least),
        "max": rounded(finding.figures.most),
        "ratio_to": ratios(|ratio| json!(rounded(ratio.median))),
        "ratio_range": ratios(|ratio| json!([rounded(ratio.least), rounded(ratio.most)])),
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
