//! An existing deployment: what its clients see. What it costs there, nobody here can ask.

use anyhow::{Context, Result, bail, ensure};

use super::Effort;
use super::measure::{round, times, work};
use crate::load::{Generators, Wanted};
use crate::metric::Metric;
use crate::order::Protocol;
use crate::probe;
use crate::result::{Finding, Rounds, findings};
use crate::scenario::{Logins, Scenario};
use crate::target::Url;

/// Runs a scenario against a URL, whose path stands for the scenario's own.
pub(crate) fn deployment(
    generators: &Generators<'_>,
    scenario: &Scenario,
    url: &Url,
    effort: Effort,
) -> Result<Vec<Finding>> {
    ensure!(
        scenario.deployment,
        "{} needs the back-end of the bench: it cannot be run with --url",
        scenario.name
    );
    let mut scenario = scenario.clone();
    for request in &mut scenario.requests {
        url.path.clone_into(&mut request.path);
    }
    let target = url.resolve()?;
    let mut logins = Logins {
        login: url.login.clone(),
        cookie: None,
    };
    for request in &scenario.requests {
        for order in request.order(&target.host, &logins) {
            let answer = probe::ask(&target, &order).with_context(|| target.host.clone())?;
            if answer.status != order.expect {
                let hint = match answer.status {
                    401 | 403 => ": name and password go into the URL, before an @",
                    _ => "",
                };
                bail!(
                    "{} answers {} to {}{hint}",
                    target.host,
                    answer.status,
                    url.path
                );
            }
            logins.cookie = logins.cookie.or(answer.cookie);
        }
    }
    let mut rounds = Vec::new();
    for _ in 0..effort.rounds {
        let mut job = generators.prepare(&Wanted {
            scenario: &scenario,
            target: &target,
            logins: &logins,
            protocol: Protocol::H1,
            time: effort.time,
            syscalls: None,
        })?;
        let outcome = job.go()?;
        let mut figures = times(&outcome);
        let seconds = outcome.milliseconds as f64 / 1e3;
        figures.insert(Metric::Rate, work(scenario.unit(), &outcome) / seconds);
        rounds.push(round(figures, outcome));
    }
    let subject = Rounds {
        subject: "deployment",
        rounds,
    };
    Ok(findings(&scenario.name, scenario.unit(), &[subject]))
}
