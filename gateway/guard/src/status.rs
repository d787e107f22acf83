//! What the guard is doing, as the service tells it: the JSON is an API.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::overrides::Override;
use crate::probe::Severity;
use crate::rules::Mode;

/// The guard's whole state. The order of its fields is the order in JSON.
///
/// Names of programs, reasons and findings are text here, so that a command line or gateway of
/// another version can read them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The service's version.
    pub version: String,
    /// The SHA-256 of its eBPF object, in hexadecimal digits.
    pub object_sha256: Option<String>,
    /// The service's process.
    pub pid: u32,
    /// The kernel's release.
    pub kernel: String,
    /// What it comes to.
    pub state: State,
    /// The mode in force.
    pub mode: Mode,
    /// The mode in the configuration.
    pub configured_mode: Mode,
    /// What the command line put in its place.
    pub r#override: Option<Override>,
    /// The gateway's slice.
    pub slice: Slice,
    /// What is protected: local endpoints, then remote ones, as configured.
    pub endpoints: Vec<Endpoint>,
    /// Every program that should be attached; empty while detached.
    pub links: Vec<Link>,
    /// What an operator must know.
    pub findings: Vec<Found>,
    /// What was decided, since the programs were loaded.
    pub verdicts: Vec<Verdict>,
    /// Events that found no place in the ring.
    pub events_lost: u64,
    /// Log lines that were left out, because there were too many of their kind.
    pub suppressed_log_lines: u64,
    /// How often a program was attached again.
    pub reattached: u64,
    /// Sockets of foreign connections that were destroyed.
    pub destroyed_sockets: u64,
    /// Where QUIC is steered to; `None` if the service is of a version that steers nothing, or cannot
    /// tell.
    #[serde(default)]
    pub steering: Option<Steering>,
}

/// Where QUIC is steered to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Steering {
    /// The listening addresses with processes that take part.
    pub addresses: Vec<SteeredAddress>,
    /// What became of datagrams, since the maps were made.
    pub datagrams: Vec<Datagrams>,
    /// The program's id; 0 if nobody has taken part since the service was started.
    pub program_id: u32,
    /// How often it ran, as far as the kernel's statistics were on.
    pub runs: u64,
    /// For how long, in nanoseconds.
    pub run_time_ns: u64,
}

/// The sockets of an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SteeredAddress {
    /// The address, as the sockets are bound to it.
    pub address: String,
    /// The generation that new connections go to.
    pub newest: u16,
    /// Those that are alive, from the newest.
    pub generations: Vec<SteeredGeneration>,
}

/// A process of the gateway's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SteeredGeneration {
    /// The number by which its connection IDs name it.
    pub generation: u16,
    /// Its workers.
    pub workers: u16,
    /// How many of them have their socket open.
    pub open: u16,
}

/// How many datagrams were steered somewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Datagrams {
    /// Where to: the name of a `Steered`.
    pub to: String,
    /// How many.
    pub count: u64,
}

/// What the state comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Attached, and everything passes.
    Auditing,
    /// It should be attached, but a program is missing, or the gateway's slice is.
    Degraded,
    /// Not attached, as the mode says.
    Detached,
    /// Attached and whole, and refusing.
    Enforcing,
}

/// The gateway's slice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    /// Its path below the root of cgroup v2.
    pub path: String,
    /// Whether it exists.
    pub present: bool,
}

/// A protected endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// On this host or elsewhere.
    pub kind: EndpointKind,
    /// `*:PORT`, or address and port.
    pub address: String,
    /// The service's cgroup; local endpoints only.
    pub service: Option<String>,
    /// Whether that exists; local endpoints only.
    pub service_present: Option<bool>,
    /// Whom the service's sockets must belong to.
    pub uid: Option<u32>,
    /// Who may come from outside this host.
    pub allow_from: Vec<String>,
}

/// Where an endpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EndpointKind {
    /// On this host.
    Local,
    /// Elsewhere.
    Remote,
}

/// A program's attachment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Its name.
    pub program: String,
    /// Our program is attached.
    pub attached: bool,
    /// Its id in the kernel.
    pub program_id: u32,
    /// How often it ran, as far as the kernel's statistics were on.
    pub runs: u64,
    /// For how long, in nanoseconds.
    pub run_time_ns: u64,
}

/// Something that an operator must know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Its name.
    pub name: String,
    /// How bad.
    pub severity: Severity,
    /// What it means here, and what to do.
    pub message: String,
}

/// How often a program decided something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The program.
    pub program: String,
    /// Why.
    pub reason: String,
    /// What came of it.
    pub action: Action,
    /// How often.
    pub count: u64,
}

/// What came of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It passed.
    Passed,
    /// It was refused.
    Refused,
    /// It passed, since the mode was `audit`.
    WouldRefuse,
}

/// What a [`State`] follows from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    /// The mode that should be in force.
    pub(crate) mode: Mode,
    /// Every program that should be is attached.
    pub(crate) attached: bool,
    /// The gateway's slice exists.
    pub(crate) slice_present: bool,
    /// A finding is a fault.
    pub(crate) fault: bool,
}

impl State {
    /// What facts come to. A guard with a fault must not look as if it held.
    pub(crate) fn of(facts: &Facts) -> Self {
        let whole = facts.attached && facts.slice_present && !facts.fault;
        match facts.mode {
            Mode::Detach if !facts.fault => Self::Detached,
            Mode::Audit if whole => Self::Auditing,
            Mode::Enforce if whole => Self::Enforcing,
            Mode::Audit | Mode::Detach | Mode::Enforce => Self::Degraded,
        }
    }

    /// All.
    pub const ALL: [Self; 4] = [
        Self::Auditing,
        Self::Degraded,
        Self::Detached,
        Self::Enforcing,
    ];

    /// The name, as in JSON and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auditing => "auditing",
            Self::Degraded => "degraded",
            Self::Detached => "detached",
            Self::Enforcing => "enforcing",
        }
    }
}

impl Action {
    /// The name, as in JSON and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Refused => "refused",
            Self::WouldRefuse => "would_refuse",
        }
    }
}

impl EndpointKind {
    /// The name, as in JSON and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Remote => "remote",
        }
    }
}

/// For people: what is, then only what is not as it should be or worth a look.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (state, mode) = (self.state.as_str(), self.mode.as_str());
        write!(f, "{state}: mode {mode}, ")?;
        match &self.r#override {
            None => f.write_str("as configured")?,
            Some(set) => write!(
                f,
                "overridden by the command line since {} (unix time); configured {}; \
                 `guard --clear` ends it",
                set.since_unix,
                self.configured_mode.as_str()
            )?,
        }
        if self.findings.iter().any(|found| found.name == "incomplete") {
            f.write_str("; NOT WITH ALL PROGRAMS")?;
        }
        let object = self.object_sha256.as_deref().unwrap_or("none");
        write!(
            f,
            "\nversion {}, process {}, kernel {}, object sha256 {object}",
            self.version, self.pid, self.kernel
        )?;
        write!(
            f,
            "\nslice {}{}",
            self.slice.path,
            absent(self.slice.present)
        )?;
        for endpoint in &self.endpoints {
            write!(f, "\n{endpoint}")?;
        }
        for finding in &self.findings {
            let severity = match finding.severity {
                Severity::Fault => "fault",
                Severity::Warning => "warning",
            };
            write!(f, "\n{severity} {}: {}", finding.name, finding.message)?;
        }
        for link in &self.links {
            write!(f, "\n{link}")?;
        }
        for verdict in &self.verdicts {
            write!(f, "\n{verdict}")?;
        }
        if let Some(steering) = &self.steering {
            write!(f, "{steering}")?;
        }
        for (count, what) in [
            (self.events_lost, "events lost"),
            (self.suppressed_log_lines, "log lines suppressed"),
            (self.reattached, "programs attached again"),
            (self.destroyed_sockets, "foreign sockets destroyed"),
        ] {
            if count > 0 {
                write!(f, "\n{count} {what}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.as_str(), self.address)?;
        if let Some(service) = &self.service {
            write!(
                f,
                " of {service}{}",
                absent(self.service_present == Some(true))
            )?;
        }
        if let Some(uid) = self.uid {
            write!(f, ", user {uid}")?;
        }
        if !self.allow_from.is_empty() {
            write!(f, ", from outside {}", self.allow_from.join(", "))?;
        }
        Ok(())
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attached = if self.attached {
            "attached"
        } else {
            "NOT ATTACHED"
        };
        write!(f, "program {} {attached}", self.program)?;
        if self.attached {
            write!(f, " as {}", self.program_id)?;
        }
        if let Some(nanoseconds) = self.run_time_ns.checked_div(self.runs) {
            write!(f, ", {} runs of {nanoseconds} ns", self.runs)?;
        }
        Ok(())
    }
}

/// Lines, each after the end of another.
impl fmt::Display for Steering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for address in &self.addresses {
            write!(f, "\nQUIC at {}:", address.address)?;
            for (index, process) in address.generations.iter().enumerate() {
                let comma = if index == 0 { "" } else { "," };
                let SteeredGeneration {
                    generation,
                    workers,
                    open,
                } = process;
                write!(
                    f,
                    "{comma} generation {generation} with {open} of {workers} workers"
                )?;
            }
        }
        for Datagrams { to, count } in self.datagrams.iter().filter(|some| some.count > 0) {
            write!(f, "\nQUIC datagrams {to}: {count}")?;
        }
        if let Some(nanoseconds) = self.run_time_ns.checked_div(self.runs) {
            write!(f, "\nprogram steer, {} runs of {nanoseconds} ns", self.runs)?;
        }
        Ok(())
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            program,
            reason,
            action,
            count,
        } = self;
        write!(f, "{program} {} {reason}: {count}", action.as_str())
    }
}

fn absent(present: bool) -> &'static str {
    if present { "" } else { " (does not exist)" }
}

#[cfg(test)]
pub(crate) mod tests;
