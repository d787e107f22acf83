//! What the guard enforces, as configured.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Everything that decides, except the mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The gateway's slice: an absolute cgroup path.
    pub slice: String,
    /// Endpoints on this host; at most 64, each port once for each service.
    pub locals: Vec<Local>,
    /// Endpoints elsewhere; at most 64.
    pub remotes: Vec<SocketAddr>,
    /// Who may connect beside the gateway; at most 8 of each kind.
    pub exceptions: Vec<Exception>,
}

/// A protected endpoint on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// `None`: every address.
    pub address: Option<IpAddr>,
    /// The port; not 0.
    pub port: u16,
    /// The service's cgroup: an absolute path.
    pub service: String,
    /// Whom the service's sockets must belong to.
    pub uid: Option<u32>,
    /// The service's network namespace, as a file; `None`: this process's.
    pub namespace: Option<PathBuf>,
    /// Only the service may bind the port.
    pub reserve: bool,
    /// Who may come from outside this host; at most 1024 in all.
    pub allow_from: Vec<Network>,
}

/// An address with the number of its leading bits that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// The address; its bits beyond the prefix are zero.
    pub address: IpAddr,
    /// At most 32 or 128.
    pub prefix: u8,
}

/// Who may connect beside the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exception {
    /// The processes in this cgroup and below: an absolute path.
    Cgroup(String),
    /// The processes of this user.
    Uid(u32),
}

/// What the programs do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Let everything pass, and report what `Enforce` would refuse.
    Audit,
    /// Not attached at all.
    Detach,
    /// Refuse.
    Enforce,
}

impl Rules {
    /// Every cgroup that they name.
    pub(crate) fn cgroups(&self) -> impl Iterator<Item = &str> {
        let services = self.locals.iter().map(|local| &local.service);
        let exceptions = self.exceptions.iter().filter_map(Exception::cgroup);
        let all = std::iter::once(&self.slice).chain(services);
        all.map(String::as_str).chain(exceptions)
    }
}

impl Exception {
    /// The cgroup that it names.
    pub(crate) fn cgroup(&self) -> Option<&str> {
        match self {
            Self::Cgroup(path) => Some(path),
            Self::Uid(_) => None,
        }
    }
}

impl Mode {
    /// All.
    pub const ALL: [Self; 3] = [Self::Audit, Self::Detach, Self::Enforce];

    /// The name, as on the command line, in JSON and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Detach => "detach",
            Self::Enforce => "enforce",
        }
    }
}
