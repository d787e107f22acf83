//! A plot of a scenario's leading figures: a bar for each subject, with its spread.

use super::markdown::leading;
use super::number;
use crate::result::Finding;
use crate::scenario::Scenario;

/// The plot, if there is a figure that is not void.
pub(super) fn render(scenario: &Scenario, findings: &[Finding]) -> Option<String> {
    let bars: Vec<&Finding> = leading(findings)
        .into_iter()
        .filter(|finding| finding.void.is_none())
        .collect();
    let first = bars.first()?;
    let most = bars.iter().map(|finding| finding.figures.most);
    let scale = BAR / most.fold(f64::MIN_POSITIVE, f64::max);
    let height = TOP + ROW * bars.len() as f64 + 10.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n\
         <text x=\"10\" y=\"22\" font-size=\"15\" font-weight=\"bold\">{}: {} ({})</text>\n\
         <text x=\"10\" y=\"40\" fill=\"#555\">{}</text>\n",
        escaped(&scenario.name),
        escaped(first.metric.name()),
        escaped(&first.unit),
        escaped(&scenario.about),
    );
    for (at, finding) in bars.iter().enumerate() {
        let top = TOP + ROW * at as f64;
        let middle = top + THICK / 2.0;
        let x = |value: f64| LEFT + value * scale;
        let figures = finding.figures;
        let colour = if at == 0 { "#2a6f4e" } else { "#9aa5b1" };
        out.push_str(&format!(
            "<text x=\"10\" y=\"{text:.1}\">{name}</text>\n\
             <rect x=\"{LEFT}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{THICK}\" \
             fill=\"{colour}\"/>\n\
             <line x1=\"{least:.1}\" y1=\"{middle:.1}\" x2=\"{most:.1}\" y2=\"{middle:.1}\" \
             stroke=\"#222\"/>\n\
             <text x=\"{label:.1}\" y=\"{text:.1}\">{median}</text>\n",
            text = middle + 4.5,
            name = escaped(finding.subject),
            width = figures.median * scale,
            least = x(figures.least),
            most = x(figures.most),
            label = x(figures.most) + 8.0,
            median = number(figures.median),
        ));
    }
    out.push_str("</svg>\n");
    Some(out)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

const WIDTH: f64 = 640.0;
/// Where bars begin, and how long the longest is.
const LEFT: f64 = 90.0;
const BAR: f64 = 460.0;
const TOP: f64 = 56.0;
const ROW: f64 = 28.0;
const THICK: f64 = 18.0;

#[cfg(test)]
mod tests {
    use super::super::tests::example;
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_figures_and_what_is_void_has_none() {
        let report = example();
        let (scenario, findings) = &report.scenarios[0];
        let plot = render(scenario, findings).unwrap();
        // HAProxy's is noise. nginx's greatest, 16, is the whole width: 460.
        assert!(!plot.contains("haproxy"), "{plot}");
        assert!(plot.contains(r#"width="345.0" height="18""#), "{plot}");
        assert!(plot.contains(r#"width="445.6" height="18""#), "{plot}");
    }

    #[test]
    fn nothing_to_show_is_no_plot() {
        let report = example();
        let (scenario, findings) = &report.scenarios[1];
        let void: Vec<Finding> = findings[2..].to_vec();
        assert!(void.iter().all(|finding| finding.void.is_some()));
        assert_eq!(render(scenario, &void), None);
    }
}
