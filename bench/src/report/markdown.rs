//! The findings as Markdown: a table of the scenarios' first figures, then a table for each.

use super::{Report, number};
use crate::figures::Figures;
use crate::metric::Metric;
use crate::result::{Finding, Void};
use crate::scenario::Scenario;

pub(super) fn render(report: &Report) -> String {
    let mut out = String::from("# Benchmark\n\n");
    for fact in &report.facts {
        out.extend(["- ", fact, "\n"]);
    }
    out.push_str(
        "\nMedians of the rounds (least–greatest). A ratio is the gateway's figure divided by the \
         other's, round by round. What the host does to all of them changes figures and hardly \
         ratios: compare runs by these. ✗: void, said below.\n\n",
    );
    let all: Vec<&Finding> = report.scenarios.iter().flat_map(|(_, all)| all).collect();
    let columns = subjects(&all);
    let first: Vec<(String, Vec<&Finding>)> = report
        .scenarios
        .iter()
        .map(|(scenario, findings)| (scenario.name.clone(), leading(findings)))
        .collect();
    table(&mut out, "scenario", &columns, &first);
    for (scenario, findings) in &report.scenarios {
        details(&mut out, scenario, findings);
    }
    out
}

/// What a scenario is about: the figures of its first metric that ratios are wanted of.
pub(super) fn leading(findings: &[Finding]) -> Vec<&Finding> {
    let has = |metric| findings.iter().any(|finding| finding.metric == metric);
    let metric = [
        Metric::MemoryPerConnection,
        Metric::LatencyP99,
        Metric::Cpu,
        Metric::Rate,
    ];
    let metric = metric.into_iter().find(|&metric| has(metric));
    findings
        .iter()
        .filter(|finding| Some(finding.metric) == metric)
        .collect()
}

fn details(out: &mut String, scenario: &Scenario, findings: &[Finding]) {
    out.extend(["\n## ", &scenario.name, "\n\n", &scenario.about, "\n\n"]);
    let all: Vec<&Finding> = findings.iter().collect();
    let mut metrics: Vec<Metric> = findings.iter().map(|finding| finding.metric).collect();
    metrics.sort_unstable();
    metrics.dedup();
    let rows: Vec<(String, Vec<&Finding>)> = metrics
        .into_iter()
        .map(|metric| {
            let found = all.iter().copied();
            let found = found.filter(|finding| finding.metric == metric);
            (metric.name().to_owned(), found.collect())
        })
        .collect();
    table(out, "metric", &subjects(&all), &rows);
    let mut said = Vec::new();
    for finding in findings {
        let line = match &finding.void {
            None => continue,
            // Errors are those of all figures.
            Some(void @ Void::Errors { .. }) => {
                format!("\nVoid: {}: {}.\n", finding.subject, void.reason())
            }
            Some(void @ Void::Noise { .. }) => format!(
                "\nVoid: {} of {}: {}.\n",
                finding.metric.name(),
                finding.subject,
                void.reason()
            ),
        };
        if !said.contains(&line) {
            out.push_str(&line);
            said.push(line);
        }
    }
}

/// Rows of findings, one column for each subject, then the ratios to all but the first.
fn table(
    out: &mut String,
    first: &str,
    subjects: &[&'static str],
    rows: &[(String, Vec<&Finding>)],
) {
    let peers = subjects.get(1..).unwrap_or_default();
    let mut line = format!("| {first} | unit |");
    for subject in subjects {
        line.extend([" ", subject, " |"]);
    }
    for peer in peers {
        line.extend([" ÷ ", peer, " |"]);
    }
    out.extend([&line, "\n|"]);
    out.push_str(&"---|".repeat(2 + subjects.len() + peers.len()));
    out.push('\n');
    for (name, findings) in rows {
        let of = |subject| findings.iter().find(|finding| finding.subject == subject);
        let unit = findings.first().map_or("", |finding| &finding.unit);
        out.push_str(&format!("| {name} | {unit} |"));
        for &subject in subjects {
            match of(subject) {
                None => out.push_str(" |"),
                Some(finding) => out.extend([" ", &cell(finding), " |"]),
            }
        }
        let ours = subjects.first().and_then(|&subject| of(subject));
        for peer in peers {
            match ours.and_then(|ours| ours.ratio_to.get(peer)) {
                None => out.push_str(" |"),
                Some(ratio) => out.extend([" ", &fraction(ratio), " |"]),
            }
        }
        out.push('\n');
    }
}

fn cell(finding: &Finding) -> String {
    let figures = finding.figures;
    let void = if finding.void.is_some() { "✗ " } else { "" };
    let median = number(figures.median);
    if figures.spread() == 0.0 {
        return format!("{void}{median}");
    }
    let (least, most) = (number(figures.least), number(figures.most));
    format!("{void}{median} ({least}–{most})")
}

fn fraction(ratio: &Figures) -> String {
    let Figures {
        median,
        least,
        most,
        ..
    } = ratio;
    if least == most {
        return format!("{median:.2}");
    }
    format!("{median:.2} ({least:.2}–{most:.2})")
}

/// In the order in which they come.
fn subjects(findings: &[&Finding]) -> Vec<&'static str> {
    let mut subjects = Vec::new();
    for finding in findings {
        if !subjects.contains(&finding.subject) {
            subjects.push(finding.subject);
        }
    }
    subjects
}
