//! Taking a connected socket out of another process, by pidfd_getfd(2).

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
        let pid = Pid::from_raw(self.pid).context("no process has the number 0")?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).context("pidfd_open")?;
        // The list in /proc is as well guarded as the descriptors are: the numbers are guessed.
        for number in 0..256 {
            let socket = match pidfd_getfd(&pidfd, number, PidfdGetfdFlags::empty()) {
                Ok(stolen) => Socket::from(stolen),
                Err(Errno::BADF) => continue,
                Err(error) => return Ok(Outcome::of(&error.into())),
            };
            // What is no connected socket has no peer.
            let peer = socket.peer_addr().ok().and_then(|peer| peer.as_socket());
            if peer.is_some_and(|peer| peer.port() == self.port) {
                self.talk.bound(&socket)?;
                return Ok(self.talk.exchange(&socket));
            }
        }
        bail!(
            "process {} has no connection to port {}",
            self.pid,
            self.port
        )
    }
}
