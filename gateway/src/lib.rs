//! The process: command line, boot, workers, listeners, TLS, serving, connections to back-ends,
//! telemetry.
//!
//! Nothing here decides policy or parses bytes: `policy` and `wire` do. ARCHITECTURE.md shows the
//! way of a request through all of it.

#![deny(unsafe_code)]

mod accept;
mod address;
mod admin;
mod admission;
mod allocator;
mod arrival;
mod auth;
mod buffers;
mod check;
mod cli;
mod clock;
mod confine;
mod cpus;
mod descriptors;
mod guard_cli;
mod guarded;
mod limit;
mod listen;
mod logging;
mod memory;
mod operator_http;
mod outgoing;
mod quic;
mod rates;
mod ready_file;
mod request_id;
mod run;
mod serve;
mod shared;
#[cfg(test)]
mod simulation;
mod slice;
mod spares;
mod steer;
mod tcp_info;
mod telemetry;
mod timer;
mod tls;
mod upstream;
mod worker;

pub use cli::main;
