//! Configuration: raw TOML, validated into types whose illegal states do not exist.
//!
//! [`Config::load`] reads the file and everything that it names (certificates, keys, htpasswd
//! files) and reports every fault at once, each with file, line, key and what was expected.
//! `docs/connect-gateway.toml` documents every key.

#![forbid(unsafe_code)]

mod cgroup;
mod context;
mod diagnostic;
mod guard;
pub mod htpasswd;
mod load;
mod pem;
mod raw;
mod syntax;
mod units;
mod validate;
mod value;

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use cgroup::CgroupPath;
pub use diagnostic::{ConfigError, Diagnostic, Origin};
pub use guard::{Guard, GuardException, GuardLocal, GuardMode};
use policy::{IpNet, Lane, Policy, RateKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

/// A validated configuration with the files that it names.
#[derive(Debug)]
pub struct Config {
    /// Threads that serve; `None`: as many as the process may use.
    pub workers: Option<NonZeroUsize>,
    /// How long a drain waits.
    pub drain: Duration,
    /// The largest head, in bytes.
    pub max_head: usize,
    /// Who seals and opens clients' TLS 1.3 records.
    pub tls_records: TlsRecords,
    /// Where metrics and health are served, and where the key stands.
    pub admin: (SocketAddr, Origin),
    /// Logs.
    pub log: Log,
    /// Time-outs towards back-ends.
    pub timeouts: BackendTimeouts,
    /// Listeners; their indexes are those of [`policy::App::listeners`].
    pub listeners: Vec<Listener>,
    /// Realms; their indexes are those of [`Policy::realms`].
    pub realms: Vec<Realm>,
    /// Back-end pools.
    pub pools: Vec<Pool>,
    /// What stands beside each app in [`Policy::apps`], by the same index.
    pub apps: Vec<AppExtra>,
    /// Everything that decides.
    pub policy: Policy,
    /// What the guard enforces; `None`: there is no guard.
    pub guard: Option<Guard>,
}

/// Who seals and opens clients' TLS 1.3 records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsRecords {
    /// The gateway, in place.
    Own,
    /// rustls.
    Stock,
}

/// Logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The access log.
    pub access: AccessLog,
    /// The process log's level.
    pub level: Level,
}

/// Where the access log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLog {
    /// Appended to this file.
    File(PathBuf),
    /// Nowhere.
    Off,
    /// Standard output.
    Stdout,
}

/// The process log's level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Everything, for debugging.
    Debug,
    /// Failures.
    Error,
    /// Failures, warnings, and what an operator wants to know.
    Info,
    /// Failures and warnings.
    Warn,
}

/// How long a listener waits for its clients: `head` bounds the whole, the others silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientTimeouts {
    /// A body that stands still, either way.
    pub body: Duration,
    /// A request's head.
    pub head: Duration,
    /// Between requests.
    pub idle: Duration,
}

/// How much silence an app may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppTimeouts {
    /// Before its answer, or within it.
    pub answer: Duration,
    /// On a WebSocket, both ways.
    pub tunnel: Duration,
}

/// How long connections to back-ends may take, and rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackendTimeouts {
    /// A new one, TLS included.
    pub connect: Duration,
    /// An unused one.
    pub pool: Duration,
}

/// What the clients of a listener may take of the process, all workers together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once; at least 1.
    pub connections: u32,
    /// Connections at once from one IPv4 address or one IPv6 /64; at least 1.
    pub connections_per_address: u32,
    /// Fields in a head, of a request or an answer; 16 to [`wire::Fields::MAX`].
    pub header_fields: usize,
    /// The request target, in bytes: its path and query.
    pub target: usize,
    /// The least rate of a body; `None`: any will do.
    pub body_rate: Option<BodyRate>,
    /// HTTP/3 handshakes at once, all workers together, beyond which a client has to prove its
    /// address first (RFC 9000 §8.1.2), or half of `connections_per_address` if that is less; 0: always.
    pub http3_handshakes: u32,
    /// Requests at once on one HTTP/3 connection; from 1 to 10,000.
    pub http3_streams: u32,
}

/// How fast a body must move while its client is all that it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyRate {
    /// Bytes in each window; at least 1.
    pub least: u64,
    /// How long a window is.
    pub window: Duration,
}

/// One listening address.
#[derive(Debug)]
pub struct Listener {
    /// Its name in logs and metrics.
    pub name: Box<str>,
    /// Where it listens, and where the key stands.
    pub address: (SocketAddr, Origin),
    /// From where connections begin with PROXY protocol; all else is taken at its word.
    pub proxy_protocol_from: Vec<IpNet>,
    /// Whether it serves HTTP/3, too, by UDP at the same address. Then nobody speaks PROXY
    /// protocol, which QUIC has none of.
    pub http3: bool,
    /// What its clients may take.
    pub limits: Limits,
    /// How long it waits for them.
    pub timeouts: ClientTimeouts,
    /// Its certificates; the first is the default.
    pub certificates: Vec<Certificate>,
}

/// A certificate chain with its key, as loaded.
#[derive(Debug)]
pub struct Certificate {
    /// Leaf first; not empty.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's key.
    pub key: PrivateKeyDer<'static>,
    /// Where the key of the chain stands, for faults found later.
    pub chain_origin: Origin,
    /// Where the key of the private key stands.
    pub key_origin: Origin,
}

/// A realm's authentication.
#[derive(Debug)]
pub struct Realm {
    /// How visitors prove who they are.
    pub method: Method,
    /// A session's silence.
    pub session_idle: Duration,
    /// A session's whole life.
    pub session_lifetime: Duration,
}

/// How visitors prove who they are.
#[derive(Debug)]
pub enum Method {
    /// HTTP Basic against an htpasswd file.
    Basic(Basic),
}

/// HTTP Basic.
#[derive(Debug)]
pub struct Basic {
    /// The users.
    pub users: htpasswd::Htpasswd,
    /// How long a verified password is not hashed again.
    pub cache: Duration,
    /// Wrong passwords a minute from one address.
    pub failures_per_address: u32,
    /// Wrong passwords a minute for one account.
    pub failures_per_account: u32,
}

/// The servers of one back-end.
#[derive(Debug)]
pub struct Pool {
    /// Its name in logs and metrics.
    pub name: Box<str>,
    /// Its servers; not empty.
    pub servers: Vec<Server>,
    /// How many requests it takes.
    pub capacity: Capacity,
}

/// How many requests a pool takes, all workers together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// At once; at least 1.
    pub in_flight: u32,
    /// At once from one IPv4 address or one IPv6 /64; at least 1.
    pub in_flight_per_address: u32,
    /// That wait for one of these to end.
    pub queue: u32,
    /// How long one waits.
    pub queue_wait: Duration,
}

/// One back-end server.
#[derive(Debug)]
pub struct Server {
    /// Where to connect.
    pub address: ServerAddress,
    /// The port.
    pub port: u16,
    /// The URL as configured, for logs.
    pub url: Box<str>,
    /// How.
    pub tls: ServerTls,
    /// Where the URL stands.
    pub origin: Origin,
}

/// A back-end's host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerAddress {
    /// An address.
    Ip(IpAddr),
    /// A name, resolved at each new connection.
    Name(Box<str>),
}

/// How a back-end is connected to. There is no way to skip verification.
#[derive(Debug)]
pub enum ServerTls {
    /// Mutual TLS: as [`ServerTls::Verify`], with our own certificate.
    Mutual {
        /// Whom to trust.
        verify: Verify,
        /// Our certificate.
        certificate: Certificate,
    },
    /// Plain TCP.
    Off,
    /// TLS with verification.
    Verify(Verify),
}

/// Whom to trust on a back-end leg.
#[derive(Debug)]
pub struct Verify {
    /// Trust anchors; not empty.
    pub ca: Vec<CertificateDer<'static>>,
    /// Where they stand.
    pub ca_origin: Origin,
    /// The name that the server's certificate must carry; also the SNI, unless an address.
    pub expected_name: ServerName<'static>,
}

/// What stands beside an app but is not policy's business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppExtra {
    /// Index of its pool.
    pub pool: usize,
    /// Requests a minute that one address may send on the discovery lane.
    pub discovery_per_minute: u32,
    /// How many requests it takes, by key.
    pub rates: Vec<Rate>,
    /// How much silence it may keep.
    pub timeouts: AppTimeouts,
    /// After how much silence towards its client a WebSocket is pinged; `None`: never.
    pub websocket_ping: Option<Duration>,
}

/// How many requests an app takes of each key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rate {
    /// What it counts by.
    pub key: RateKey,
    /// Requests a minute; at least 1.
    pub per_minute: u32,
    /// Requests at once; from 1 to [`Self::per_minute`].
    pub burst: u32,
    /// The lanes that it counts on; not empty.
    pub lanes: Vec<Lane>,
}

impl Config {
    /// Reads and validates a file and everything that it names. Every fault is reported.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        load::load(path)
    }
}

/// Reads and validates only the `[guard]` table of a file, so that the guard's service depends on
/// none of the files that the gateway's tables name. Every fault in the table is reported; a file
/// without it is at fault.
pub fn load_guard(path: &Path) -> Result<Guard, ConfigError> {
    load::load_guard(path)
}

/// Checks a configuration's text as [`Config::load`] does, but reads none of the files that it
/// names. `file` is only what the faults call the text. Never panics: this is the fuzz target.
pub fn check_syntax(text: &str, file: &Path) -> Result<(), ConfigError> {
    load::check_syntax(text, file)
}
