//! The process's table of open files: as large as the host lets it be, and whether that is enough.

use std::os::fd::AsRawFd;

use config::Config;
use rustix::io;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::memory;

/// Raises the soft limit to the hard one. A program that uses `select` must not do that; nothing
/// here does, and no other program is started.
pub(crate) fn raise_limit() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            ..limit
        },
    )
}

/// Where in the table clients have to stop: an eighth is left to connections to back-ends, so that
/// admitted clients are served, to operators and to files.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ceiling(u64);

impl Ceiling {
    /// As the soft limit is now.
    pub(crate) fn of_process() -> Self {
        let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        Self(most - most / 8)
    }

    /// Whether a descriptor that was just made reaches it. The kernel gives out the lowest number
    /// that is free, so that all below are taken.
    pub(crate) fn is_reached_by(self, descriptor: &impl AsRawFd) -> bool {
        u64::try_from(descriptor.as_raw_fd()).is_ok_and(|number| number >= self.0)
    }
}

/// What there is to say if the hard limit is less than a configuration may need.
pub(crate) fn shortage(config: &Config, workers: usize) -> Option<String> {
    let available = getrlimit(Resource::Nofile).maximum?;
    let needed = needed(config, workers);
    (available < needed).then(|| {
        format!(
            "limits.connections = {}, all listeners together, may need {needed} open files (two for \
             each connection, and those to back-ends that rest), but there may be {available}: \
             expected a larger LimitNOFILE (ulimit -n), or fewer connections",
            memory::connections(config)
        )
    })
}

/// The most descriptors that are open at once.
fn needed(config: &Config, workers: usize) -> u64 {
    let connections = memory::connections(config);
    // Each was used by a client at some time, all at once at worst.
    let resting = config.pools.iter().map(|pool| {
        let most = connections.min(pool.capacity.in_flight.into());
        most.saturating_mul(pool.servers.len() as u64)
    });
    // A listening socket for each, a spare descriptor, and what a runtime has.
    let of_worker = config.listeners.len() as u64 + 1 + OF_RUNTIME;
    let of_workers = (workers as u64).saturating_mul(of_worker);
    resting
        .fold(2 * connections, u64::saturating_add)
        .saturating_add(of_workers)
        .saturating_add(OF_PROCESS)
}

/// Its poll instance, its waker, and both of the log's.
const OF_RUNTIME: u64 = 8;

/// Standard streams, log files, the control thread's, name lookups, and operators on the admin
/// listener.
const OF_PROCESS: u64 = 320;
