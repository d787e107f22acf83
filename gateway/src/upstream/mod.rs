//! The legs to the back-ends: connecting, and a keep-alive pool for each worker.

mod connect;
mod gate;
mod pool;

use std::io;

use config::{Capacity, Diagnostic};
pub(crate) use connect::Server;
pub(crate) use gate::{Busy, Gate, Share, Slot};
use policy::Fault;
pub(crate) use pool::{Lease, Pools};

/// Why a back-end could not be used: the class for the client and the metrics, the cause for the
/// operator's log.
#[derive(Debug, thiserror::Error)]
#[error("{detail}")]
pub(crate) struct UpstreamError {
    /// The class.
    pub(crate) fault: Fault,
    /// Exactly what failed, for the log; never shown to clients.
    pub(crate) detail: Box<str>,
}

impl UpstreamError {
    /// An error of that class.
    pub(crate) fn new(fault: Fault, detail: impl Into<Box<str>>) -> Self {
        Self {
            fault,
            detail: detail.into(),
        }
    }

    /// Reading or writing failed on an established connection. A TLS failure keeps its class: with
    /// TLS 1.3 a server's refusal of our certificate arrives only here.
    pub(crate) fn io(doing: &str, error: &io::Error) -> Self {
        let fault = match tls_cause(error) {
            Some(_) => Fault::Tls,
            None => Fault::Closed,
        };
        Self::new(fault, format!("{doing}: {error}"))
    }
}

/// The TLS error inside of an I/O error, if there is one.
fn tls_cause(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// The pools of all back-ends as configured, ready to connect; shared by all workers.
#[derive(Debug, Default)]
pub(crate) struct Backends {
    /// By pool index.
    pools: Vec<Backend>,
}

/// One pool.
#[derive(Debug)]
struct Backend {
    servers: Vec<Server>,
    capacity: Capacity,
}

impl Backends {
    /// Prepares every server's TLS.
    pub(crate) fn new(pools: &[config::Pool]) -> Result<Self, Vec<Diagnostic>> {
        let mut faults = Vec::new();
        let mut prepare =
            |server: &config::Server| Server::new(server).map_err(|fault| faults.push(fault)).ok();
        let pools = pools
            .iter()
            .map(|pool| Backend {
                servers: pool.servers.iter().filter_map(&mut prepare).collect(),
                capacity: pool.capacity,
            })
            .collect();
        if faults.is_empty() {
            Ok(Self { pools })
        } else {
            Err(faults)
        }
    }

    /// The servers of one pool.
    pub(crate) fn servers(&self, pool: usize) -> &[Server] {
        self.pools.get(pool).map_or(&[], |pool| &pool.servers)
    }

    /// What each pool takes.
    fn capacities(&self) -> impl Iterator<Item = Capacity> {
        self.pools.iter().map(|pool| pool.capacity)
    }
}
