//! What the black-box tests share: the built gateway as a process, a client and back-ends that
//! speak raw bytes, certificates, and readers of what the gateway tells its operator.
//!
//! Nothing here knows how the gateway works inside; everything is observed over sockets, files
//! and `/proc`. Conditions are waited for, with a bound ([`poll`]); nothing sleeps for luck.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a fault in the harness is a failed test"
)]

mod answer;
mod backend;
mod binary;
mod browser;
pub mod bulk;
mod certs;
mod client;
mod dir;
mod gateway;
mod http3;
mod kernel;
mod leaving;
mod lossy;
mod metrics;
pub mod poll;
mod port;
mod request;
mod seeded;
mod setup;
mod tls;
mod users;

pub use answer::{Answer, Broken, Framing};
pub use backend::{Backend, Conn, OK, Received};
pub(crate) use binary::profile_dir;
pub use binary::{gateway_binary, is_soak, python, scale, tool, workspace};
pub use browser::Browser;
pub use certs::{Authority, Leaf};
pub use client::{Client, tcp_from};
pub use dir::Dir;
pub use gateway::{Finished, Gateway};
pub use http3::{Http3, Http3Stream};
pub use kernel::Socket;
pub use leaving::Leaving;
pub use lossy::Lossy;
pub use metrics::Metrics;
pub use port::free_address;
pub use request::{HANDSHAKE, Request, SWITCHING};
pub use seeded::{Random, seed};
pub use setup::{App, CONNECT, DEPLOYR, GENERIC, OTHER, Pool, Prepared, Setup, has_stock_records};
pub(crate) use tls::trust;
pub use tls::{accept, accept_clients_of, trust_http3};
pub use users::{ALICE, BOB, CAROL, LARGE, SLOW, User};
