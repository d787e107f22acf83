//! A connected socket that its owner hands over by SCM_RIGHTS (unix(7)).

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde_json::json;
use socket2::{Domain, Socket, Type};

use super::exchange::Talk;
use super::{Outcome, print};

/// Connects, prints `lending`, and gives the socket to the first who asks.
#[derive(Args)]
pub(super) struct Lend {
    target: SocketAddr,
    /// Where the borrower comes
    #[arg(long, value_name = "SOCKET")]
    at: PathBuf,
    #[command(flatten)]
    talk: Talk,
}

/// Takes the socket, and talks over it.
#[derive(Args)]
pub(super) struct Borrow {
    /// Where the lender is
    #[arg(long, value_name = "SOCKET")]
    at: PathBuf,
    #[command(flatten)]
    talk: Talk,
}

impl Lend {
    pub(super) fn run(&self) -> Result<()> {
        let socket = Socket::new(Domain::for_address(self.target), Type::STREAM, None)?;
        self.talk.bound(&socket)?;
        socket.connect(&self.target.into())?;
        let listener = UnixListener::bind(&self.at)?;
        print(&json!({"event": "lending"}))?;
        let (borrower, _) = listener.accept()?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let rights = [socket.as_fd()];
        ancillary.push(SendAncillaryMessage::ScmRights(&rights));
        let byte = [IoSlice::new(b"!")];
        sendmsg(&borrower, &byte, &mut ancillary, SendFlags::empty())?;
        Ok(())
    }
}

impl Borrow {
    pub(super) fn attempt(&self) -> Result<Outcome> {
        let lender = UnixStream::connect(&self.at)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        let mut into = [IoSliceMut::new(&mut byte)];
        recvmsg(&lender, &mut into, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
        let lent = ancillary
            .drain()
            .find_map(|message| match message {
                RecvAncillaryMessage::ScmRights(mut rights) => rights.next(),
                _ => None,
            })
            .context("nothing is lent")?;
        let socket = Socket::from(lent);
        self.talk.bound(&socket)?;
        Ok(self.talk.exchange(&socket))
    }
}
