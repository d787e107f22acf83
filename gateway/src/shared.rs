//! What all workers share; immutable but for what is made for sharing.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use config::{AppExtra, AppTimeouts, BackendTimeouts, ClientTimeouts, Limits, Listener};
use policy::{IpNet, Policy};

use crate::admission::Admission;
use crate::auth::Authenticator;
use crate::descriptors::Ceiling;
use crate::limit::AddressLimit;
use crate::quic::{Http3, Secrets};
use crate::rates::Rates;
use crate::spares::Spares;
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
    pub(crate) listeners: Vec<Arc<Front>>,
    /// How many workers there are.
    pub(crate) workers: usize,
    /// Where the table of open files is full for clients.
    pub(crate) ceiling: Ceiling,
    /// In whose place clients are refused when the table is full for everybody.
    pub(crate) spares: Spares,
    /// The largest head, in bytes.
    pub(crate) max_head: usize,
    /// Time-outs towards back-ends.
    pub(crate) timeouts: BackendTimeouts,
    /// How long a drain waits.
    pub(crate) drain: Duration,
    /// Passwords and sessions.
    pub(crate) authenticator: Arc<Authenticator>,
    /// Back-end servers.
    pub(crate) backends: Arc<Backends>,
    /// Counters.
    pub(crate) telemetry: Arc<Telemetry>,
    /// What QUIC connections are known by.
    pub(crate) secrets: Secrets,
}

/// One listener as served.
#[derive(Debug)]
pub(crate) struct Front {
    /// Its name.
    pub(crate) name: Box<str>,
    /// Accepts its TLS.
    pub(crate) acceptor: Acceptor,
    /// Accepts HTTP/3, where it is served.
    pub(crate) http3: Option<Http3>,
    /// From where connections begin with PROXY protocol.
    pub(crate) proxies: Box<[IpNet]>,
    /// Places for its clients' connections.
    pub(crate) admission: Arc<Admission>,
    /// What its clients may take.
    pub(crate) limits: Limits,
    /// How long it waits for them.
    pub(crate) timeouts: ClientTimeouts,
}

impl Front {
    /// A listener with its TLS, and nobody connected.
    pub(crate) fn new(
        listener: &Listener,
        acceptor: Acceptor,
        secrets: &Secrets,
        workers: usize,
    ) -> Self {
        let tls = acceptor.quic();
        Self {
            name: listener.name.clone(),
            http3: tls.map(|tls| Http3::new(listener, Arc::clone(tls), secrets, workers)),
            acceptor,
            proxies: listener.proxy_protocol_from.clone().into(),
            admission: Admission::new(listener.limits),
            limits: listener.limits,
            timeouts: listener.timeouts,
        }
    }

    /// Whether a connection from there has to begin with PROXY protocol.
    pub(crate) fn is_proxy(&self, peer: IpAddr) -> bool {
        self.proxies.iter().any(|proxy| proxy.contains(peer))
    }
}

/// What stands beside one app.
#[derive(Debug)]
pub(crate) struct AppShared {
    /// Index of its pool.
    pub(crate) pool: usize,
    /// Requests on its discovery lane.
    pub(crate) discovery: AddressLimit,
    /// Requests by key.
    pub(crate) rates: Rates,
    /// How much silence it may keep.
    pub(crate) timeouts: AppTimeouts,
    /// After how much silence towards its client a WebSocket is pinged.
    pub(crate) websocket_ping: Option<Duration>,
}

impl From<&AppExtra> for AppShared {
    fn from(extra: &AppExtra) -> Self {
        Self {
            pool: extra.pool,
            discovery: AddressLimit::per_minute(extra.discovery_per_minute),
            rates: Rates::new(&extra.rates),
            timeouts: extra.timeouts,
            websocket_ping: extra.websocket_ping,
        }
    }
}
