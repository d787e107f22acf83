//! Every way in which a program can connect a socket.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use rustix::net::connect_unspec;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::exchange::{Talk, hear};
use super::sys::{Ring, set_option, uring_connect};
use super::{Outcome, orders};

#[derive(Args)]
pub(super) struct Connect {
    target: SocketAddr,
    /// How
    #[arg(long, value_enum, default_value = "plain")]
    by: Means,
    /// With a socket of Multipath TCP
    #[arg(long)]
    mptcp: bool,
    /// From this address
    #[arg(long, value_name = "ADDRESS")]
    source: Option<SocketAddr>,
    /// With this in every packet's IP header
    #[arg(long, value_enum)]
    header: Option<Header>,
    /// Connect the socket here first, then dissolve that by AF_UNSPEC
    #[arg(long, value_name = "ADDRESS")]
    first: Option<SocketAddr>,
    /// Make the socket, print `{"event":"made"}`, and wait for a line
    #[arg(long)]
    when_told: bool,
    #[command(flatten)]
    talk: Talk,
}

#[derive(Clone, Copy, ValueEnum)]
enum Means {
    /// TCP_FASTOPEN_CONNECT, then write
    FastOpenConnect,
    /// sendto with MSG_FASTOPEN
    FastOpenSend,
    /// connect(2)
    Plain,
    /// IORING_OP_CONNECT, tried at once
    Uring,
    /// IORING_OP_CONNECT, in a worker thread of the kernel
    UringAsync,
    /// IORING_OP_CONNECT, submitted by a polling thread of the kernel
    UringSqpoll,
}

#[derive(Clone, Copy, ValueEnum)]
enum Header {
    /// An IPv6 header of destination options
    DestinationOptions,
    /// An IPv6 header of hop-by-hop options
    HopByHop,
    /// IPv4 options
    Options,
}

impl Connect {
    pub(super) fn attempt(&self) -> Result<Outcome> {
        let socket = self.open()?;
        if self.when_told {
            super::print(&serde_json::json!({"event": "made"}))?;
            orders::next()?;
        }
        let target = SockAddr::from(self.target);
        let connected = match self.by {
            Means::FastOpenSend => {
                let line = self.talk.line();
                return Ok(
                    match socket.send_to_with_flags(&line, &target, libc::MSG_FASTOPEN) {
                        Ok(_) => hear(&socket),
                        Err(error) => Outcome::of(&error),
                    },
                );
            }
            Means::FastOpenConnect => {
                set_option(
                    &socket,
                    libc::IPPROTO_TCP,
                    libc::TCP_FASTOPEN_CONNECT,
                    &1_i32.to_ne_bytes(),
                )
                .context("TCP_FASTOPEN_CONNECT")?;
                socket.connect(&target)
            }
            Means::Plain => socket.connect(&target),
            Means::Uring => self.by_uring(&socket, &target, Ring::Inline)?,
            Means::UringAsync => self.by_uring(&socket, &target, Ring::Async)?,
            Means::UringSqpoll => self.by_uring(&socket, &target, Ring::Polled)?,
        };
        Ok(match connected {
            Ok(()) => self.talk.exchange(&socket),
            Err(error) => Outcome::of(&error),
        })
    }

    fn open(&self) -> Result<Socket> {
        let protocol = match self.mptcp {
            true => Protocol::MPTCP,
            false => Protocol::TCP,
        };
        let domain = Domain::for_address(self.target);
        let socket = Socket::new(domain, Type::STREAM, Some(protocol)).context("socket")?;
        self.talk.bound(&socket)?;
        if let Some(header) = self.header {
            header.add(&socket)?;
        }
        if let Some(source) = self.source {
            socket.set_reuse_address(true)?;
            socket
                .bind(&source.into())
                .with_context(|| source.to_string())?;
        }
        if let Some(first) = self.first {
            socket
                .connect(&first.into())
                .with_context(|| first.to_string())?;
            connect_unspec(&socket).context("AF_UNSPEC")?;
        }
        Ok(socket)
    }

    /// The outer error: there is no io_uring.
    fn by_uring(
        &self,
        socket: &Socket,
        target: &SockAddr,
        ring: Ring,
    ) -> Result<std::io::Result<()>> {
        uring_connect(socket, target, ring, self.talk.patience()).context("io_uring")
    }
}

impl Header {
    fn add(self, socket: &Socket) -> Result<()> {
        // RFC 8200, section 4.2: next header (the kernel's to fill), no further 8 bytes, PadN of 6.
        let padding = [0, 0, 1, 4, 0, 0, 0, 0];
        let set = match self {
            Self::DestinationOptions => {
                set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_DSTOPTS, &padding)
            }
            Self::HopByHop => set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_HOPOPTS, &padding),
            // RFC 791, section 3.1: three times "no operation", then the end.
            Self::Options => set_option(socket, libc::IPPROTO_IP, libc::IP_OPTIONS, &[1, 1, 1, 0]),
        };
        set.context("the header's option")
    }
}
