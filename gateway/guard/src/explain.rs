//! Which rule decides about a process or an address: the programs' logic once more, for people.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::str::FromStr;

use gateway_ebpf::abi::{Program, Reason};
use serde::{Deserialize, Serialize};

use crate::cgroup::{Cgroup, Hierarchy};
use crate::matching::Protected;
use crate::namespace;
use crate::rules::{Exception, Local, Mode, Rules};
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
            write!(f, ": user {}, cgroup {}", process.uid, process.cgroup)?;
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
        f.write_str(&self.message)
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

/// Applies rules to facts.
struct Judge<'a> {
    rules: &'a Rules,
    mode: Mode,
}

impl Judge<'_> {
    /// `namespaces` are those of the local endpoints, in their order.
    fn process(&self, process: &Process, namespaces: &[Option<u64>]) -> Vec<Ruling> {
        let mut rulings = Vec::new();
        for (local, namespace) in self.rules.locals.iter().zip(namespaces) {
            let elsewhere = match (process.namespace, namespace) {
                (Some(own), Some(service)) => own != *service,
                _ => false,
            };
            if elsewhere {
                rulings.push(self.in_another_namespace(local));
                continue;
            }
            rulings.push(match self.pass(process) {
                Some((reason, message)) => {
                    self.passes(Protected::Local(local), reason, &BY_PROCESS, message)
                }
                None => {
                    let message = self.no_right(process, local);
                    self.refuses(
                        Protected::Local(local),
                        Reason::NotGateway,
                        &BY_PROCESS,
                        message,
                    )
                }
            });
            rulings.push(self.listen(process, local));
        }
        for remote in &self.rules.remotes {
            let remote = Protected::Remote(*remote);
            rulings.push(match self.pass(process) {
                Some((reason, message)) => self.passes(remote, reason, &OUT, message),
                None => {
                    let message = format!("{} is not below {}", process.cgroup, self.rules.slice);
                    self.refuses(remote, Reason::NotGateway, &OUT, message)
                }
            });
        }
        rulings
    }

    fn address(&self, address: IpAddr, own: bool) -> Vec<Ruling> {
        let address = address.to_canonical();
        let mut rulings = Vec::new();
        for local in &self.rules.locals {
            let endpoint = Protected::Local(local);
            rulings.push(if own {
                let message = "an address of this host: what comes from it comes over lo, where \
                               not the address decides but the process (explain PID)";
                self.depends(endpoint, message.into())
            } else if let Some(network) = local.listing(address) {
                let message = format!("by the entry {network} in allow_from");
                self.passes(endpoint, Reason::Listed, &IN, message)
            } else {
                let message = "no entry in allow_from holds it".into();
                self.refuses(endpoint, Reason::NotListed, &IN, message)
            });
        }
        let remotes = self.rules.remotes.iter();
        rulings.extend(
            remotes
                .filter(|remote| remote.ip() == address)
                .map(|remote| self.who_may_connect(Protected::Remote(*remote))),
        );
        rulings
    }

    fn endpoint(&self, endpoint: SocketAddr) -> Vec<Ruling> {
        self.rules
            .protected(endpoint.ip(), endpoint.port())
            .map(|found| self.who_may_connect(found))
            .into_iter()
            .collect()
    }

    /// What lets a process connect, if anything does.
    fn pass(&self, process: &Process) -> Option<(Reason, String)> {
        if is_in(&process.cgroup, &self.rules.slice) {
            let message = format!("{} is in the gateway's slice", process.cgroup);
            return Some((Reason::Gateway, message));
        }
        self.rules.exceptions.iter().find_map(|exception| {
            let message = match exception {
                Exception::Cgroup(path) if is_in(&process.cgroup, path) => {
                    format!("by the exception for the cgroup {path}")
                }
                Exception::Uid(uid) if *uid == process.uid => {
                    format!("by the exception for the user {uid}")
                }
                Exception::Cgroup(_) | Exception::Uid(_) => return None,
            };
            Some((Reason::Exception, message))
        })
    }

    fn no_right(&self, process: &Process, local: &Local) -> String {
        let slice = &self.rules.slice;
        if is_in(&process.cgroup, &local.service) {
            format!("it runs in the service's own cgroup, like hosted content, and not in {slice}")
        } else {
            format!("{} is not in {slice}", process.cgroup)
        }
    }

    fn in_another_namespace(&self, local: &Local) -> Ruling {
        let endpoint = Protected::Local(local);
        if local.allow_from.is_empty() {
            let message = "it is in another network namespace, so it comes from outside, and \
                           allow_from is empty";
            return self.refuses(endpoint, Reason::NotListed, &IN, message.into());
        }
        let message = "it is in another network namespace, so it comes from outside: its source \
                       address decides (explain ADDRESS)";
        self.depends(endpoint, message.into())
    }

    fn listen(&self, process: &Process, local: &Local) -> Ruling {
        let endpoint = Protected::Local(local);
        let programs: &[Program] = if local.reserve { &TAKING } else { &IN };
        let wrong_user = local.uid.filter(|uid| *uid != process.uid);
        let ruling = if !is_in(&process.cgroup, &local.service) {
            let message = format!("{} is not in {}", process.cgroup, local.service);
            self.refuses(endpoint, Reason::NotService, programs, message)
        } else if let Some(uid) = wrong_user {
            let message = format!("the service's user is {uid}, not {}", process.uid);
            self.refuses(endpoint, Reason::NotService, programs, message)
        } else {
            let message = format!("it is in the service's cgroup {}", local.service);
            self.passes(endpoint, Reason::Service, programs, message)
        };
        Ruling {
            role: Role::Listen,
            ..ruling
        }
    }

    fn who_may_connect(&self, endpoint: Protected<'_>) -> Ruling {
        let mut message = format!("from this host only {}", self.rules.slice);
        if !self.rules.exceptions.is_empty() {
            message.push_str(" and the exceptions");
        }
        if let Protected::Local(local) = endpoint {
            message.push_str("; from outside ");
            if local.allow_from.is_empty() {
                message.push_str("nobody");
            }
            for (index, network) in local.allow_from.iter().enumerate() {
                let comma = if index == 0 { "" } else { ", " };
                message.push_str(&format!("{comma}{network}"));
            }
            message.push_str(&format!("; received only by {}", local.service));
        }
        self.depends(endpoint, message)
    }

    fn passes(
        &self,
        endpoint: Protected<'_>,
        reason: Reason,
        programs: &[Program],
        message: String,
    ) -> Ruling {
        self.ruling(endpoint, Some((Action::Passed, reason)), programs, message)
    }

    fn refuses(
        &self,
        endpoint: Protected<'_>,
        reason: Reason,
        programs: &[Program],
        message: String,
    ) -> Ruling {
        let action = match self.mode {
            Mode::Audit => Action::WouldRefuse,
            Mode::Detach => Action::Passed,
            Mode::Enforce => Action::Refused,
        };
        self.ruling(endpoint, Some((action, reason)), programs, message)
    }

    fn depends(&self, endpoint: Protected<'_>, message: String) -> Ruling {
        self.ruling(endpoint, None, &[], message)
    }

    fn ruling(
        &self,
        endpoint: Protected<'_>,
        decided: Option<(Action, Reason)>,
        programs: &[Program],
        message: String,
    ) -> Ruling {
        Ruling {
            kind: endpoint.kind(),
            endpoint: endpoint.to_string(),
            role: Role::Connect,
            action: decided.map(|(action, _)| action),
            reason: decided.map(|(_, reason)| reason.as_str().to_owned()),
            programs: programs
                .iter()
                .map(|program| program.as_str().to_owned())
                .collect(),
            message,
        }
    }
}

fn is_in(cgroup: &str, path: &str) -> bool {
    let cgroup = Cgroup {
        path: cgroup.to_owned(),
        id: 0,
    };
    cgroup.is_in(path)
}

/// A local process that connects to a local endpoint.
const BY_PROCESS: [Program; 3] = [Program::Connect4, Program::Connect6, Program::Ingress];
/// What comes from outside, and who receives.
const IN: [Program; 1] = [Program::Ingress];
/// A local process that connects to a remote endpoint.
const OUT: [Program; 3] = [Program::Connect4, Program::Connect6, Program::Egress];
/// A process that takes a reserved port.
const TAKING: [Program; 3] = [Program::Bind4, Program::Bind6, Program::Ingress];

#[cfg(test)]
mod tests;
