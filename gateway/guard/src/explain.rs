//! Which rule decides about a process or an address: the programs' logic once more, for people.

mod judge;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::str::FromStr;

use judge::Judge;
use serde::{Deserialize, Serialize};

use crate::cgroup::{Hierarchy, printable};
use crate::namespace;
use crate::rules::{Mode, Rules};
use crate::status::{Action, EndpointKind};

/// What can be asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Whoever comes from an address.
    Address(IpAddr),
    /// Whatever is at an address and port.
    Endpoint(SocketAddr),
    /// A process, by its id.
    Process(u32),
}

/// The text is none of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a process id, an address, or an address and port")]
pub struct NoSubject;

/// The rules that decide about something, endpoint by endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// What was asked about.
    pub what: String,
    /// The mode in force. While detached, everything passes.
    pub mode: Mode,
    /// The process, if one was asked about.
    pub process: Option<Process>,
    /// What holds for each endpoint that is concerned; none: not protected.
    pub rulings: Vec<Ruling>,
}

/// What the rules look at in a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its real user.
    pub uid: u32,
    /// Its cgroup.
    pub cgroup: String,
    /// Its network namespace's cookie; `None` if it could not be asked, and then it counts as the
    /// service's.
    pub namespace: Option<u64>,
}

/// What holds for one endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ruling {
    /// On this host or elsewhere.
    pub kind: EndpointKind,
    /// The endpoint.
    pub endpoint: String,
    /// Whether it is about connecting to the endpoint or about taking its port.
    pub role: Role,
    /// What comes of it; `None`: it depends on what was not asked about, as `message` says.
    pub action: Option<Action>,
    /// The reason, as in logs and metrics.
    pub reason: Option<String>,
    /// The programs that decide so.
    pub programs: Vec<String>,
    /// The same in words.
    pub message: String,
}

/// What somebody does with an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Connects to it.
    Connect,
    /// Listens there.
    Listen,
}

impl FromStr for Subject {
    type Err = NoSubject;

    fn from_str(text: &str) -> Result<Self, NoSubject> {
        if let Ok(pid) = text.parse() {
            return Ok(Self::Process(pid));
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        text.parse().map(Self::Endpoint).map_err(|_| NoSubject)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Endpoint(endpoint) => endpoint.fmt(f),
            Self::Process(pid) => pid.fmt(f),
        }
    }
}

/// For people: one line for each ruling.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (mode {})", self.what, self.mode.as_str())?;
        if let Some(process) = &self.process {
            let cgroup = printable(&process.cgroup);
            write!(f, ": user {}, cgroup {cgroup}", process.uid)?;
        }
        if self.mode == Mode::Detach {
            f.write_str("\nnothing is attached: everything passes")?;
        }
        if self.rulings.is_empty() {
            f.write_str("\nnot protected: no endpoint is concerned")?;
        }
        for ruling in &self.rulings {
            write!(f, "\n{ruling}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Ruling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = match self.role {
            Role::Connect => "connect to",
            Role::Listen => "listen on",
        };
        write!(f, "{role} {} {}: ", self.kind.as_str(), self.endpoint)?;
        if let (Some(action), Some(reason)) = (self.action, &self.reason) {
            let programs = self.programs.join(", ");
            write!(f, "{} by {programs}: {reason}: ", action.as_str())?;
        }
        f.write_str(&printable(&self.message))
    }
}

/// Why there is no explanation.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// The process cannot be looked at.
    #[error("process {pid}: {source}")]
    Process {
        /// Its id.
        pid: u32,
        /// Why.
        source: io::Error,
    },
    /// There is no cgroup v2.
    #[error("no_cgroup2: cgroup v2 is not mounted")]
    NoCgroups,
}

/// Explains what holds for a subject under rules and the mode in force.
pub fn explain(rules: &Rules, mode: Mode, what: &Subject) -> Result<Explanation, ExplainError> {
    let judge = Judge { rules, mode };
    let (process, rulings) = match *what {
        Subject::Address(address) => (None, judge.address(address, is_own(address))),
        Subject::Endpoint(endpoint) => (None, judge.endpoint(endpoint)),
        Subject::Process(pid) => {
            let process = look_at(pid)?;
            let services = rules.locals.iter().map(|local| {
                // A namespace that is gone holds no process.
                namespace::cookie(local.namespace.as_deref()).ok()
            });
            let rulings = judge.process(&process, &services.collect::<Vec<_>>());
            (Some(process), rulings)
        }
    };
    Ok(Explanation {
        what: what.to_string(),
        mode,
        process,
        rulings,
    })
}

/// Whether an address is one of this host: what comes from it comes over lo.
fn is_own(address: IpAddr) -> bool {
    address.to_canonical().is_loopback() || UdpSocket::bind((address, 0)).is_ok()
}

fn look_at(pid: u32) -> Result<Process, ExplainError> {
    let fault = |source| ExplainError::Process { pid, source };
    let cgroups = Hierarchy::find()
        .map_err(fault)?
        .ok_or(ExplainError::NoCgroups)?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).map_err(fault)?;
    // proc_pid_status(5): real, effective, saved and file system user.
    let uid = status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:")?.split_ascii_whitespace().next())
        .and_then(|uid| uid.parse().ok())
        .ok_or_else(|| fault(io::Error::from(io::ErrorKind::InvalidData)))?;
    let cgroup = cgroups.of_process(pid).map_err(fault)?;
    let namespace = PathBuf::from(format!("/proc/{pid}/ns/net"));
    Ok(Process {
        pid,
        uid,
        cgroup: cgroup.path,
        namespace: namespace::cookie(Some(&namespace)).ok(),
    })
}

#[cfg(test)]
mod tests;
