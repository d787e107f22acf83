//! What `bench-load` is told and what it answers: both are JSON, one line each.
//!
//! The order is the first line of its standard input: with a thousand users' passwords it is longer
//! than an argument may be. It prints `ready` when it is set up, waits for a line on its standard
//! input, works, and prints the [`Outcome`]. Connections that it was told to hold are
//! held until its standard input ends.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The whole of it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Order {
    /// Where to connect.
    pub address: SocketAddr,
    /// The name that the certificate must have.
    pub name: String,
    /// A PEM bundle of the authorities that may have signed it.
    pub ca: PathBuf,
    /// The key exchange that is offered, and no other.
    pub group: Group,
    /// In turn, and each at least once before the work begins; at least one.
    pub requests: Vec<Request>,
    /// How many connections at once; at least one.
    pub connections: u32,
    /// How many requests at once on each; at least one, and over HTTP/1.1 no more.
    pub streams: u32,
    /// What is spoken on them.
    pub protocol: Protocol,
    /// What is done with them.
    pub work: Work,
}

/// A request, and what must come back.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Request {
    /// The whole head, the empty line included.
    pub head: String,
    /// How many bytes of body follow it.
    pub body: u64,
    /// The status of a right answer.
    pub expect: u16,
}

/// A key exchange of TLS 1.3 (RFC 8446 §4.2.7).
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// NIST's curve P-256.
    P256,
    /// Curve25519.
    #[default]
    X25519,
}

/// What clients speak.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// HTTP/1.1 over TLS.
    #[default]
    H1,
    /// HTTP/3: requests are written as HTTP/1.1's all the same.
    H3,
}

/// What is done with the connections.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Work {
    /// Each sends its next request when it has the answer to the last.
    Closed {
        /// For how long.
        milliseconds: u64,
    },
    /// Each is a WebSocket that sends its next message when it has the last one back.
    Echo {
        /// For how long.
        milliseconds: u64,
        /// The size of a message; at most 65535.
        bytes: u16,
    },
    /// Each is made, used for one request, and closed; then the next is made.
    Handshakes {
        /// For how long.
        milliseconds: u64,
        /// Whether a ticket is used for each but the first.
        resumed: bool,
    },
    /// Each is used for one request, and kept open.
    Hold {
        /// Whether they become WebSockets.
        tunnels: bool,
    },
    /// Requests are due at fixed moments, whatever became of earlier ones. Their time counts from
    /// the moment at which they were due.
    Open {
        /// For how long.
        milliseconds: u64,
        /// Requests a second; at least one.
        rate: u32,
    },
}

/// What came of it.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Outcome {
    /// Right answers: requests, connections or messages, by the kind of work.
    pub done: u64,
    /// Everything else that was tried.
    pub errors: u64,
    /// Payload of the right answers and of the requests to them.
    pub bytes: u64,
    /// How long the work took.
    pub milliseconds: u64,
    /// The times of the right answers, unless connections were only held.
    pub latency: Option<Latency>,
    /// What the first error was.
    pub first_error: Option<String>,
    /// All datagrams since the generator was started, if it speaks HTTP/3.
    pub datagrams: Option<Datagrams>,
}

/// UDP datagrams, as clients count them.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Datagrams {
    /// To the server.
    pub sent: u64,
    /// From the server.
    pub received: u64,
}

/// Quantiles of the times of answers, in microseconds.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Latency {
    /// Half are shorter.
    pub p50: f64,
    /// One in a hundred is longer.
    pub p99: f64,
    /// One in a thousand is longer.
    pub p999: f64,
}

/// The line that says that the work can begin.
pub const READY: &str = "ready";

/// The key of every WebSocket handshake, from the example in RFC 6455 §1.3.
pub const WEBSOCKET_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// The answer to it, from the same.
pub const WEBSOCKET_ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
