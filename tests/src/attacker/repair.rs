//! A connected socket that nobody has connected, by TCP_REPAIR: what CAP_NET_ADMIN can do.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;
use socket2::{Domain, Socket, Type};

use super::exchange::Talk;
use super::sys::set_option;
use super::wire::Wire;
use super::{Outcome, print};

/// With `--source`, makes up a connection from there. Else prints `listening`, watches the
/// connections to the target, and when told to goes on with the last one that it saw.
#[derive(Args)]
pub(super) struct Repair {
    target: SocketAddr,
    /// From this address
    #[arg(long, value_name = "ADDRESS")]
    source: Option<SocketAddr>,
    /// Under this address, which leads to the target
    #[arg(long, value_name = "ADDRESS")]
    detour: Option<SocketAddr>,
    #[command(flatten)]
    talk: Talk,
}

impl Repair {
    pub(super) fn attempt(&self) -> Result<Outcome> {
        match self.source {
            Some(source) => self.go_on(source, 1, 1),
            None => {
                let wire = Wire::open(self.target)?;
                print(&json!({"event": "listening"}))?;
                let last = wire.watch(self.target)?;
                self.go_on(last.from, last.end(), last.acknowledgment)
            }
        }
    }

    /// Says the line on a connection whose next bytes have these numbers, there and back.
    fn go_on(&self, source: SocketAddr, next: u32, awaited: u32) -> Result<Outcome> {
        let socket = Socket::new(Domain::for_address(self.target), Type::STREAM, None)?;
        self.talk.bound(&socket)?;
        let set = |name, value: u32| {
            set_option(&socket, libc::IPPROTO_TCP, name, &value.to_ne_bytes())
                .context("an option of TCP_REPAIR")
        };
        set(libc::TCP_REPAIR, 1)?;
        socket
            .bind(&source.into())
            .with_context(|| source.to_string())?;
        for (queue, number) in [(SEND_QUEUE, next), (RECEIVE_QUEUE, awaited)] {
            set(libc::TCP_REPAIR_QUEUE, queue)?;
            set(libc::TCP_QUEUE_SEQ, number)?;
        }
        // It sends nothing: the socket is connected from here on.
        if let Err(error) = socket.connect(&self.detour.unwrap_or(self.target).into()) {
            return Ok(Outcome::of(&error));
        }
        set(libc::TCP_REPAIR, 0)?;
        Ok(self.talk.exchange(&socket))
    }
}

/// linux/tcp.h: TCP_RECV_QUEUE.
const RECEIVE_QUEUE: u32 = 1;
/// linux/tcp.h: TCP_SEND_QUEUE.
const SEND_QUEUE: u32 = 2;
