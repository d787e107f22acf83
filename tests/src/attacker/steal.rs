//! Taking a connected socket out of another process, by pidfd_getfd(2).

use std::io;

use anyhow::{Context, Result, bail};
use clap::Args;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use socket2::Socket;

use super::Outcome;
use super::exchange::Talk;

#[derive(Args)]
pub(super) struct Steal {
    /// The process to steal from
    #[arg(long)]
    pid: i32,
    /// The port that the socket is connected to
    #[arg(long)]
    port: u16,
    #[command(flatten)]
    talk: Talk,
}

impl Steal {
    pub(super) fn attempt(&self) -> Result<Outcome> {
        let is_connected = |socket: &Socket| {
            // What is no connected socket has no peer.
            let peer = socket.peer_addr().ok().and_then(|peer| peer.as_socket());
            peer.is_some_and(|peer| peer.port() == self.port)
        };
        match steal(self.pid, is_connected)? {
            Ok(socket) => {
                self.talk.bound(&socket)?;
                Ok(self.talk.exchange(&socket))
            }
            Err(error) => Ok(Outcome::of(&error)),
        }
    }
}

/// The first socket of a process that fits. The inner error is what pidfd_getfd(2) says.
pub(super) fn steal(pid: i32, fits: impl Fn(&Socket) -> bool) -> Result<io::Result<Socket>> {
    let process = Pid::from_raw(pid).context("no process has the number 0")?;
    let pidfd = pidfd_open(process, PidfdFlags::empty()).context("pidfd_open")?;
    // The list in /proc is as well guarded as the descriptors are: the numbers are guessed.
    for number in 0..256 {
        match pidfd_getfd(&pidfd, number, PidfdGetfdFlags::empty()) {
            Ok(stolen) => {
                let socket = Socket::from(stolen);
                if fits(&socket) {
                    return Ok(Ok(socket));
                }
            }
            Err(Errno::BADF) => {}
            Err(error) => return Ok(Err(error.into())),
        }
    }
    bail!("process {pid} has no such socket")
}
