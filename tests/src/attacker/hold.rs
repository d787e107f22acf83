//! A connection that stays.

use std::net::{Shutdown, SocketAddr};
use std::os::fd::AsFd;

use anyhow::{Context, Result, bail};
use clap::Args;
use rustix::event::{PollFd, PollFlags, poll};
use serde_json::json;
use socket2::{Domain, Protocol, Socket, Type};

use super::exchange::Talk;
use super::serve::Ending;
use super::{Outcome, orders, print};

/// Prints `connected`, then obeys: `talk` (prints an outcome), `half` (ends its own direction), `fin`
/// and `rst` (ends). That the other side ended it is an event too.
#[derive(Args)]
pub(super) struct Hold {
    target: SocketAddr,
    /// With a socket of Multipath TCP
    #[arg(long)]
    mptcp: bool,
    #[command(flatten)]
    talk: Talk,
}

impl Hold {
    pub(super) fn run(&self) -> Result<()> {
        let protocol = self.mptcp.then_some(Protocol::MPTCP);
        let socket = Socket::new(Domain::for_address(self.target), Type::STREAM, protocol)?;
        self.talk.bound(&socket)?;
        if let Err(error) = socket.connect(&self.target.into()) {
            return print(&Outcome::of(&error));
        }
        let outcome = self.talk.exchange(&socket);
        if !outcome.reached() {
            return print(&outcome);
        }
        let local = socket.local_addr()?.as_socket().context("no address")?;
        print(&json!({"event": "connected", "local": local.to_string()}))?;
        loop {
            let stdin = std::io::stdin();
            let mut ready = [
                PollFd::new(&socket, PollFlags::IN),
                PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN),
            ];
            poll(&mut ready, None)?;
            let [of_socket, of_stdin] = ready.map(|one| !one.revents().is_empty());
            if of_socket {
                let how = Ending::of(&socket).context("bytes that nobody asked for")?;
                return print(&json!({"event": "ended", "how": how}));
            }
            if of_stdin {
                match orders::next()?.as_str() {
                    "fin" => return Ok(()),
                    "half" => socket.shutdown(Shutdown::Write)?,
                    "rst" => {
                        return Ok(socket.set_linger(Some(std::time::Duration::ZERO))?);
                    }
                    "talk" => print(&self.talk.exchange(&socket))?,
                    other => bail!("no such order: {other}"),
                }
            }
        }
    }
}
