//! The guard's metrics, rendered from its status.
//!
//! By hand: each scrape is one snapshot, series come and go with it, and seconds of run time are a
//! counter with a fraction, which the facade in use elsewhere does not have.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

use guard::status::{Action, EndpointKind, State, Status, Steering};
use guard::{Mode, Program, Reason};

/// A metric's name, `TYPE` and `HELP`.
#[derive(Clone, Copy, Debug)]
struct Metric {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
}

/// All metrics in Prometheus's text format.
pub(super) fn render(status: &Status) -> String {
    let mut text = Text(String::new());
    // Writing to a `String` cannot fail; what was written before a failure is still valid.
    let _infallible = text.write(status);
    text.0
}

struct Text(String);

impl Text {
    fn write(&mut self, status: &Status) -> fmt::Result {
        self.head(BUILD_INFO)?;
        let object = status.object_sha256.as_deref().unwrap_or("none");
        let version = status.version.as_str();
        let labels = [("version", version), ("object_sha256", object)];
        self.sample(BUILD_INFO, &labels, 1)?;

        self.head(STATE)?;
        for state in State::ALL {
            let value = u8::from(state == status.state);
            self.sample(STATE, &[("state", state.as_str())], value)?;
        }
        self.modes(MODE, Some(status.mode))?;
        self.modes(OVERRIDE, status.r#override.map(|set| set.mode))?;
        self.head(FINDING)?;
        // Several findings may have one name; several samples of one series are no valid text.
        let names = status.findings.iter().map(|finding| &*finding.name);
        for name in names.collect::<BTreeSet<_>>() {
            self.sample(FINDING, &[("name", name)], 1)?;
        }

        self.head(ENDPOINTS)?;
        for kind in [EndpointKind::Local, EndpointKind::Remote] {
            let endpoints = status.endpoints.iter();
            let count = endpoints.filter(|endpoint| endpoint.kind == kind).count();
            self.sample(ENDPOINTS, &[("kind", kind.as_str())], count)?;
        }
        self.links(status)?;
        self.verdicts(status)?;
        self.steering(status.steering.as_ref())?;
        for (metric, value) in [
            (EVENTS_LOST, status.events_lost),
            (LINES, status.suppressed_log_lines),
            (REATTACHED, status.reattached),
            (SOCKETS, status.destroyed_sockets),
        ] {
            self.head(metric)?;
            self.sample(metric, &[], value)?;
        }
        Ok(())
    }

    fn modes(&mut self, metric: Metric, now: Option<Mode>) -> fmt::Result {
        self.head(metric)?;
        for mode in Mode::ALL {
            let value = u8::from(now == Some(mode));
            self.sample(metric, &[("mode", mode.as_str())], value)?;
        }
        Ok(())
    }

    fn links(&mut self, status: &Status) -> fmt::Result {
        self.head(LINKS)?;
        for link in &status.links {
            let attached = u8::from(link.attached);
            self.sample(LINKS, &[("program", &link.program)], attached)?;
        }
        self.head(RUNS)?;
        for link in &status.links {
            self.sample(RUNS, &[("program", &link.program)], link.runs)?;
        }
        if let Some(steering) = &status.steering {
            self.sample(RUNS, &[("program", STEER)], steering.runs)?;
        }
        self.head(RUN_SECONDS)?;
        for link in &status.links {
            let seconds = link.run_time_ns as f64 / 1e9;
            self.sample(RUN_SECONDS, &[("program", &link.program)], seconds)?;
        }
        if let Some(steering) = &status.steering {
            let seconds = steering.run_time_ns as f64 / 1e9;
            self.sample(RUN_SECONDS, &[("program", STEER)], seconds)?;
        }
        Ok(())
    }

    /// Refusals are there from the start, with 0: alerts are made of them.
    fn verdicts(&mut self, status: &Status) -> fmt::Result {
        let mut counts = BTreeMap::new();
        for (program, reason) in REFUSALS {
            for action in [Action::Refused, Action::WouldRefuse] {
                counts.insert((program.as_str(), reason.as_str(), action.as_str()), 0);
            }
        }
        for verdict in &status.verdicts {
            let key = (
                verdict.program.as_str(),
                verdict.reason.as_str(),
                verdict.action.as_str(),
            );
            counts.insert(key, verdict.count);
        }
        self.head(VERDICTS)?;
        for ((program, reason, action), count) in counts {
            let labels = [("program", program), ("reason", reason), ("action", action)];
            self.sample(VERDICTS, &labels, count)?;
        }
        Ok(())
    }

    fn steering(&mut self, steering: Option<&Steering>) -> fmt::Result {
        self.head(DATAGRAMS)?;
        for datagrams in steering
            .into_iter()
            .flat_map(|steering| &steering.datagrams)
        {
            self.sample(DATAGRAMS, &[("to", &datagrams.to)], datagrams.count)?;
        }
        self.head(GENERATIONS)?;
        for address in steering
            .into_iter()
            .flat_map(|steering| &steering.addresses)
        {
            let labels = [("address", &*address.address)];
            self.sample(GENERATIONS, &labels, address.generations.len())?;
        }
        Ok(())
    }

    fn head(&mut self, metric: Metric) -> fmt::Result {
        let Metric { name, kind, help } = metric;
        writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}")
    }

    /// No label value of ours needs escapes: all are names, numbers or digits.
    fn sample(
        &mut self,
        metric: Metric,
        labels: &[(&str, &str)],
        value: impl fmt::Display,
    ) -> fmt::Result {
        self.0.write_str(metric.name)?;
        for (index, (key, label)) in labels.iter().enumerate() {
            let open = if index == 0 { '{' } else { ',' };
            write!(self.0, "{open}{key}=\"{label}\"")?;
        }
        if !labels.is_empty() {
            self.0.write_char('}')?;
        }
        writeln!(self.0, " {value}")
    }
}

/// What each program can refuse.
const REFUSALS: [(Program, Reason); 11] = [
    (Program::Bind4, Reason::NotService),
    (Program::Bind6, Reason::NotService),
    (Program::Connect4, Reason::NotGateway),
    (Program::Connect6, Reason::NotGateway),
    (Program::Egress, Reason::Malformed),
    (Program::Egress, Reason::NotGateway),
    (Program::Ingress, Reason::Malformed),
    (Program::Ingress, Reason::NoSender),
    (Program::Ingress, Reason::NotGateway),
    (Program::Ingress, Reason::NotListed),
    (Program::Ingress, Reason::NotService),
];

/// The program that steers QUIC.
const STEER: &str = "steer";

/// Declares metrics.
macro_rules! metrics {
    ($($constant:ident $kind:literal $name:literal $help:literal)*) => {
        $(const $constant: Metric = Metric {
            name: concat!("connect_gateway_guard_", $name),
            kind: $kind,
            help: $help,
        };)*
    };
}

metrics! {
    BUILD_INFO "gauge" "build_info" "Always 1; the labels tell which build and which kernel programs these are."
    DATAGRAMS "counter" "quic_datagrams_total" "Datagrams of QUIC, by where they were steered to."
    ENDPOINTS "gauge" "endpoints" "Protected endpoints."
    EVENTS_LOST "counter" "events_lost_total" "Refusals that found no place in the ring to the log; the verdicts count them."
    FINDING "gauge" "finding" "1 for each finding that an operator must know."
    GENERATIONS "gauge" "quic_generations" "Processes of the gateway's that QUIC is steered to."
    LINES "counter" "log_lines_suppressed_total" "Refusals that were not logged, because there were too many of their kind."
    LINKS "gauge" "link_attached" "1 while the program is attached, 0 while it should be and is not."
    MODE "gauge" "mode" "1 for the mode in force."
    OVERRIDE "gauge" "override" "1 for the mode that the command line put in the place of the configured one."
    REATTACHED "counter" "reattached_total" "Programs that were found detached or replaced, and were attached again."
    RUNS "counter" "program_runs_total" "Runs of the program, while the kernel's statistics were on."
    RUN_SECONDS "counter" "program_run_seconds_total" "What these runs took."
    SOCKETS "counter" "sockets_destroyed_total" "Sockets of foreign connections that were destroyed because they predate enforcement."
    STATE "gauge" "state" "1 for the state."
    VERDICTS "counter" "verdicts_total" "Decisions, since the programs were loaded."
}

#[cfg(test)]
pub(crate) mod tests;
