//! From the kernel's events to log lines: who asked for what, and why it was refused.

mod paths;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use gateway_ebpf::abi::{Event, Program, Reason};
use paths::Paths;

use crate::cgroup::{Hierarchy, printable};
use crate::rules::Rules;

/// Writes events to the process log, not more of one kind than it can bear.
#[derive(Debug)]
pub(crate) struct EventLog {
    rules: Rules,
    paths: Paths,
    limiter: Limiter,
}

impl EventLog {
    /// Starts with nothing known.
    pub(crate) fn new(cgroups: Hierarchy, rules: Rules) -> Self {
        Self {
            rules,
            paths: Paths::new(cgroups),
            limiter: Limiter::default(),
        }
    }

    /// Writes an event, unless there were too many of its kind within the second before `now`.
    pub(crate) fn write(&mut self, event: &Event, now: Instant) {
        if let Some(suppressed) = self.limiter.admit(event.program, event.reason, now) {
            let path = match (event.cgroup, event.pid) {
                (0, _) => None,
                (id, 0) => self.paths.of(id, now),
                (id, pid) => self.paths.of_process(pid, id),
            };
            Record::new(event, &self.rules, path.as_deref(), suppressed).write();
        }
    }

    /// How many lines were left out so far.
    pub(crate) fn suppressed(&self) -> u64 {
        self.limiter.total
    }
}

/// Lets a number of lines a second pass for each kind, and counts the rest.
#[derive(Debug, Default)]
struct Limiter {
    kinds: BTreeMap<(u8, u8), Kind>,
    total: u64,
}

/// The lines of one program and reason.
#[derive(Debug)]
struct Kind {
    since: Instant,
    lines: u32,
    suppressed: u64,
}

impl Limiter {
    /// How many lines of this kind were left out since the last one; `None` if this one must be,
    /// too.
    fn admit(&mut self, program: u8, reason: u8, now: Instant) -> Option<u64> {
        let kind = self.kinds.entry((program, reason)).or_insert(Kind {
            since: now,
            lines: 0,
            suppressed: 0,
        });
        if now.saturating_duration_since(kind.since) >= SECOND {
            kind.since = now;
            kind.lines = 0;
        }
        if kind.lines >= LINES_A_SECOND {
            kind.suppressed += 1;
            self.total += 1;
            return None;
        }
        kind.lines += 1;
        Some(std::mem::take(&mut kind.suppressed))
    }
}

/// A log line. Absent fields are left out of it.
#[derive(Debug, PartialEq, Eq)]
struct Record {
    program: &'static str,
    reason: &'static str,
    enforced: bool,
    endpoint: Option<String>,
    destination: String,
    source: Option<String>,
    interface: Option<u32>,
    pid: Option<u32>,
    uid: Option<u32>,
    command: Option<String>,
    cgroup: Option<String>,
    cgroup_id: Option<u64>,
    suppressed: u64,
}

impl Record {
    fn new(event: &Event, rules: &Rules, cgroup: Option<&str>, suppressed: u64) -> Self {
        let destination = socket_address(event.destination, event.destination_port);
        let endpoint = rules.protected(destination.ip(), destination.port());
        // A packet's process is unknown: it may be sent in anybody's context.
        let process = event.pid != 0;
        let source = socket_address(event.source, event.source_port);
        Self {
            program: Program::of(event.program).map_or("unknown", Program::as_str),
            reason: Reason::of(event.reason).map_or("unknown", Reason::as_str),
            enforced: event.enforced != 0,
            endpoint: endpoint.map(|endpoint| endpoint.to_string()),
            destination: destination.to_string(),
            source: (event.source != [0; 16]).then(|| source.to_string()),
            interface: (event.interface != 0).then_some(event.interface),
            pid: process.then_some(event.pid),
            uid: process.then_some(event.uid),
            command: process.then(|| command(&event.command)),
            cgroup: cgroup.map(printable),
            cgroup_id: (event.cgroup != 0).then_some(event.cgroup),
            suppressed,
        }
    }

    fn write(&self) {
        tracing::warn!(
            program = self.program,
            reason = self.reason,
            enforced = self.enforced,
            endpoint = self.endpoint,
            destination = self.destination,
            source = self.source,
            interface = self.interface,
            pid = self.pid,
            uid = self.uid,
            command = self.command,
            cgroup = self.cgroup,
            cgroup_id = self.cgroup_id,
            suppressed = self.suppressed,
            "{}",
            if self.enforced {
                "refused"
            } else {
                "would refuse"
            },
        );
    }
}

/// v4-mapped addresses as IPv4.
fn socket_address(address: [u8; 16], port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V6(Ipv6Addr::from(address)).to_canonical(), port)
}

/// A process chooses its name freely: whatever is not printable ASCII is escaped.
fn command(padded: &[u8; 16]) -> String {
    let name = padded.split(|byte| *byte == 0).next().unwrap_or_default();
    name.escape_ascii().to_string()
}

/// Lines a second for each program and reason.
const LINES_A_SECOND: u32 = 10;
const SECOND: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
