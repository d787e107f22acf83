//! `[guard]`: what the guard enforces, as written.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::path::PathBuf;

use policy::IpNet;

use crate::{CgroupPath, Origin};

/// What the guard protects, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// What it does.
    pub mode: GuardMode,
    /// Whether guard and gateway refuse to start where it cannot hold.
    pub required: bool,
    /// The gateway's slice; neither equal to, above nor below any service's cgroup.
    pub slice: CgroupPath,
    /// Where the guard answers the command line and the gateway: a unix socket.
    pub socket: PathBuf,
    /// Where the guard serves its own metrics, and where the key stands.
    pub metrics: (SocketAddr, Origin),
    /// The directory of pinned links and maps.
    pub pins: PathBuf,
    /// The file that keeps what the command line overrides.
    pub override_file: PathBuf,
    /// Whether it may run on a kernel on which it was not proven.
    pub allow_unproven_kernel: bool,
    /// Whether the kernel's run-time statistics are on while the guard runs.
    pub statistics: bool,
    /// Endpoints on this host, at most 64. All of one port agree in `service`, `uid`, `namespace`,
    /// `reserve` and `allow_from`; together they have at most 1024 sources. Not empty, unless
    /// `remotes` is not.
    pub locals: Vec<GuardLocal>,
    /// Endpoints elsewhere, at most 64; no loopback, unspecified or multicast address, no v4-mapped
    /// one, and no port 0.
    pub remotes: Vec<SocketAddr>,
    /// Who may connect beside the gateway, at most 8.
    pub exceptions: Vec<GuardException>,
}

/// What the guard does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuardMode {
    /// Let everything pass, and report what [`GuardMode::Enforce`] would refuse.
    Audit,
    /// Refuse.
    Enforce,
}

/// A protected endpoint on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardLocal {
    /// Its address, neither unspecified nor v4-mapped; `None`: every address.
    pub address: Option<IpAddr>,
    /// Its TCP port.
    pub port: NonZeroU16,
    /// The cgroup of the service that listens there.
    pub service: CgroupPath,
    /// The user id that the service's socket must belong to, if any.
    pub uid: Option<u32>,
    /// User ids under which hosted content runs.
    pub run_as: Vec<u32>,
    /// A file that names the service's network namespace; `None`: the guard's own.
    pub namespace: Option<PathBuf>,
    /// Whether only the service may bind the port.
    pub reserve: bool,
    /// Who may come from outside this host.
    pub allow_from: Vec<IpNet>,
    /// Where the address stands.
    pub origin: Origin,
}

/// Who may connect beside the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuardException {
    /// The processes in this cgroup and below; it holds neither the slice nor any service.
    Cgroup(CgroupPath),
    /// The processes of this user, which is neither a service's nor hosted content's.
    Uid(u32),
}
