use guard::Steered;

use super::*;

/// Names, types, labels and values of a status with something of everything.
#[test]
fn the_text_is_an_api() {
    let expected = include_str!("expected.txt");
    let actual = render(&status());
    assert!(actual == expected, "actual:\n{actual}");
}

/// What alerts are made of exists before anything happened.
#[test]
fn refusals_are_there_from_the_start() {
    let text = render(&Status {
        verdicts: Vec::new(),
        ..status()
    });
    for (program, reason) in REFUSALS {
        for action in ["refused", "would_refuse"] {
            let series = format!(
                "connect_gateway_guard_verdicts_total{{program=\"{}\",reason=\"{}\",action=\"{action}\"}} 0\n",
                program.as_str(),
                reason.as_str(),
            );
            assert!(text.contains(&series), "{series} in\n{text}");
        }
    }
}

#[test]
fn findings_of_one_name_are_one_series() {
    let mut status = status();
    let again = status.findings[0].clone();
    status.findings.push(again);
    let text = render(&status);
    assert_eq!(text.matches("guard_finding{").count(), 1, "{text}");
}

/// Every program that decides can refuse, and only for reasons that refuse.
#[test]
fn refusals_name_every_program() {
    let programs: BTreeSet<_> = REFUSALS.iter().map(|(program, _)| *program).collect();
    assert!(programs.iter().eq(Program::ALL));
    assert!(REFUSALS.iter().all(|(_, reason)| !reason.passes()));
}

/// `docs/metrics.md` lists every label value; its names are checked with the gateway's own.
#[test]
fn documented() {
    let docs = include_str!("../../../../docs/metrics.md");
    let programs = Program::ALL.iter().map(|program| program.as_str());
    let reasons = Reason::ALL.iter().map(|reason| reason.as_str());
    let steered = Steered::ALL.iter().map(|steered| steered.as_str());
    let states = State::ALL.map(State::as_str);
    let modes = Mode::ALL.map(Mode::as_str);
    let actions = [Action::Passed, Action::Refused, Action::WouldRefuse].map(Action::as_str);
    let kinds = [EndpointKind::Local, EndpointKind::Remote].map(EndpointKind::as_str);
    for value in programs
        .chain(reasons)
        .chain(steered)
        .chain([STEER])
        .chain(states)
        .chain(modes)
        .chain(actions)
        .chain(kinds)
    {
        let written = docs.contains(&format!("`{value}`"));
        assert!(written, "docs/metrics.md lacks `{value}`");
    }
}

/// The names of all metrics.
pub(crate) fn names() -> BTreeSet<String> {
    let text = render(&status());
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types
        .filter_map(|line| Some(line.split_once(' ')?.0.to_owned()))
        .collect()
}

fn status() -> Status {
    let json = include_str!("../../../guard/src/status/expected.json");
    serde_json::from_str(json).unwrap()
}
