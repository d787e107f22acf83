//! A socket with the addresses and ports of somebody else's: the kernel lets two have the same if
//! one of them is bound to an interface (SO_BINDTODEVICE), which anybody may do.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::json;
use socket2::{Domain, Socket, Type};

use super::exchange::Talk;
use super::sys::set_option;
use super::{Outcome, orders, print};

/// Connects on lo without sending anything (TCP_FASTOPEN_CONNECT) and prints `ready`; then obeys:
/// `line` sends the line with the SYN, `bare` a SYN alone. Prints what comes of it.
///
/// The port is the kernel's choice: where it has but one to choose, it is the next one's too.
#[derive(Args)]
pub(super) struct Twin {
    target: SocketAddr,
    #[command(flatten)]
    talk: Talk,
}

impl Twin {
    pub(super) fn run(&self) -> Result<()> {
        let socket = Socket::new(Domain::for_address(self.target), Type::STREAM, None)?;
        self.talk.bound(&socket)?;
        socket.bind_device(Some(b"lo")).context("SO_BINDTODEVICE")?;
        set_option(
            &socket,
            libc::IPPROTO_TCP,
            libc::TCP_FASTOPEN_CONNECT,
            &1_i32.to_ne_bytes(),
        )
        .context("TCP_FASTOPEN_CONNECT")?;
        socket.connect(&self.target.into()).context("connect")?;
        print(&json!({"event": "ready"}))?;
        let sent = match orders::next()?.as_str() {
            "bare" => socket.send(&[]),
            // The exchange's first bytes go with the SYN.
            "line" => Ok(0),
            other => bail!("no such order: {other}"),
        };
        print(&match sent {
            Ok(_) => self.talk.exchange(&socket),
            Err(error) => Outcome::of(&error),
        })
    }
}
