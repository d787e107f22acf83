//! What the guard is doing, as the service tells it: the JSON is an API.

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

impl State {
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
