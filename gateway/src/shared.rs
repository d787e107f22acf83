//! What all workers share; immutable but for what is made for sharing.

use std::sync::Arc;
use std::time::Duration;

use config::{AppExtra, Timeouts};
use policy::Policy;

use crate::auth::Authenticator;
use crate::limit::AddressLimit;
use crate::telemetry::Telemetry;
use crate::tls::Acceptor;
use crate::upstream::Backends;

/// The process's parts, put together at boot.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Decides.
    pub(crate) policy: Policy,
    /// What stands beside each app.
    pub(crate) apps: Vec<AppShared>,
    /// The front's listeners.
    pub(crate) listeners: Vec<Front>,
    /// The largest head, in bytes.
    pub(crate) max_head: usize,
    /// Idle time-outs.
    pub(crate) timeouts: Timeouts,
    /// How long a drain waits.
    pub(crate) drain: Duration,
    /// Passwords and sessions.
    pub(crate) authenticator: Arc<Authenticator>,
    /// Back-end servers.
    pub(crate) backends: Arc<Backends>,
    /// Counters.
    pub(crate) telemetry: Arc<Telemetry>,
}

/// One listener as served.
#[derive(Debug)]
pub(crate) struct Front {
    /// Its name.
    pub(crate) name: Box<str>,
    /// Accepts its TLS.
    pub(crate) acceptor: Acceptor,
}

/// What stands beside one app.
#[derive(Debug)]
pub(crate) struct AppShared {
    /// Index of its pool.
    pub(crate) pool: usize,
    /// Requests on its discovery lane.
    pub(crate) discovery: AddressLimit,
}

impl From<&AppExtra> for AppShared {
    fn from(extra: &AppExtra) -> Self {
        Self {
            pool: extra.pool,
            discovery: AddressLimit::per_minute(extra.discovery_per_minute),
        }
    }
}
