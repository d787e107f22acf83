//! A host for tests of the guard: a network namespace and cgroups of its own, and the processes
//! in them. Everything ends with it, after a panic too.
//!
//! The guard's programs are attached for the whole machine, but decide by namespace and cgroup:
//! tests on hosts of their own do not disturb each other, and may use the same ports.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a fault in the harness is a failed test"
)]

mod attempt;
pub mod bpf;
mod cgroup;
mod guard;
mod mounts;
mod namespace;
mod process;
mod sockets;
mod unshare;
mod wire;

use std::path::PathBuf;
use std::sync::OnceLock;

pub use attempt::{at, text};
pub use cgroup::{Cgroup, Cgroups};
pub use guard::{Guard, GuardSetup, Verdict};
pub use mounts::Bpffs;
pub use namespace::Namespace;
pub use process::{Process, Who};
pub use sockets::{Sock, State};
pub use wire::{End, Net};

use crate::harness::Dir;

/// A host; see the module.
pub struct Host {
    /// Files.
    pub dir: Dir,
    /// Its network: lo, with addresses beside 127.0.0.1 and ::1 ([`Host::OWN_V4`]).
    pub namespace: Namespace,
    /// Its cgroups.
    pub cgroups: Cgroups,
    slice: Cgroup,
    gateway: Cgroup,
    service: Cgroup,
    outsider: Cgroup,
    guard: Cgroup,
}

impl Host {
    /// An address of its own that is not a loopback address.
    pub const OWN_V4: &str = "192.0.2.1";
    /// An address of its own that is not a loopback address.
    pub const OWN_V6: &str = "2001:db8::1";
    /// The service's user.
    pub const SERVICE: u32 = 60_100;
    /// The user of hosted content.
    pub const HOSTED: u32 = 60_200;
    /// The gateway's user, and its group.
    pub const GATEWAY: u32 = 60_400;
    /// Nobody in particular.
    pub const OUTSIDER: u32 = 60_300;

    /// Makes one. None, with a line that says why, without root or cgroup v2.
    pub fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root can make namespaces and cgroups");
            return None;
        }
        let Some(cgroups) = Cgroups::new() else {
            eprintln!("skipped: cgroup v2 is not mounted");
            return None;
        };
        let namespace = Namespace::new();
        for address in [Self::OWN_V4, Self::OWN_V6] {
            namespace.tool("ip", &["address", "add", address, "dev", "lo"]);
        }
        // Fast Open in both directions, without cookies and without being asked by the listener.
        namespace.set("ipv4/tcp_fastopen", "1543");
        let slice = cgroups.make("gateway.slice");
        Some(Self {
            dir: Dir::new(),
            namespace,
            gateway: cgroups.make("gateway.slice/gateway.service"),
            service: cgroups.make("connect.service"),
            outsider: cgroups.make("outsider"),
            guard: cgroups.make("guard"),
            slice,
            cgroups,
        })
    }

    /// The gateway's slice, as `[guard]` names it.
    pub fn slice(&self) -> &Cgroup {
        &self.slice
    }

    /// The service's cgroup, as `[guard]` names it.
    pub fn service_cgroup(&self) -> &Cgroup {
        &self.service
    }

    /// The gateway: a cgroup below the slice.
    pub fn gateway(&self) -> Who {
        Who::root(&self.gateway)
    }

    /// The service.
    pub fn service(&self) -> Who {
        Who::user(&self.service, Self::SERVICE)
    }

    /// Hosted content: the service's own cgroup, another user.
    pub fn hosted(&self) -> Who {
        Who::user(&self.service, Self::HOSTED)
    }

    /// Somebody else on this host.
    pub fn outsider(&self) -> Who {
        Who::user(&self.outsider, Self::OUTSIDER)
    }

    /// The guard.
    pub fn guard(&self) -> Who {
        Who::root(&self.guard)
    }
}

/// The attacker: `GATEWAY_TEST_ATTACKER`, or the one that was built with this test.
pub fn attacker_binary() -> PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    let find = || match std::env::var_os("GATEWAY_TEST_ATTACKER") {
        Some(path) => PathBuf::from(path),
        // Cargo builds a package's programs before it runs its tests.
        None => crate::harness::profile_dir().join("guard-attacker"),
    };
    BINARY.get_or_init(find).clone()
}
