//! Sending what comes to one port to a socket that listens on another, by a program of the network
//! namespace (BPF_PROG_TYPE_SK_LOOKUP): what root can do.

use std::fs::File;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;
use socket2::Socket;

use super::steal::steal;
use super::{orders, print};
use crate::host::bpf;

/// Prints `steering`, and steers until it is told to end.
#[derive(Args)]
pub(super) struct Steer {
    /// The port that connections come to
    #[arg(long)]
    port: u16,
    /// The process whose socket they get
    #[arg(long)]
    pid: i32,
    /// The port on which it listens
    #[arg(long, value_name = "PORT")]
    listener: u16,
}

impl Steer {
    pub(super) fn run(&self) -> Result<()> {
        let listens = |socket: &Socket| {
            let local = socket.local_addr().ok().and_then(|local| local.as_socket());
            // What is no socket listens nowhere.
            socket.is_listener().unwrap_or_default()
                && local.is_some_and(|local| local.port() == self.listener)
        };
        let listener = steal(self.pid, listens)?.context("pidfd_getfd")?;
        let namespace = File::open("/proc/self/ns/net")?;
        let _attached = bpf::steer(self.port, &listener, &namespace).context("bpf")?;
        print(&json!({"event": "steering"}))?;
        orders::next().map(drop)
    }
}
