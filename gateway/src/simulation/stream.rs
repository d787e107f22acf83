//! Byte streams within the process: socket pairs, whose every effect is immediate.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use policy::Fault;
use tokio::net::TcpStream;

use crate::tls::Transport;
use crate::upstream::UpstreamError;

/// The model's end of a stream.
pub(super) struct Stream(UnixStream);

/// What reading yielded.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Got {
    Bytes,
    End,
    Nothing,
}

impl Stream {
    /// Two ends, ours and the gateway's.
    pub(super) fn pair() -> (Self, Transport) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        for end in [&ours, &theirs] {
            end.set_nonblocking(true).unwrap();
            // Small, so that writers are made to wait.
            socket2::SockRef::from(end)
                .set_send_buffer_size(8 * 1024)
                .unwrap();
        }
        let theirs = std::net::TcpStream::from(OwnedFd::from(theirs));
        let theirs = TcpStream::from_std(theirs).unwrap();
        (Self(ours), Transport::plain(theirs))
    }

    /// Sends what is taken; `None` if the other side is gone.
    pub(super) fn send(&mut self, bytes: &[u8]) -> Option<usize> {
        match self.0.write(bytes) {
            Ok(count) => Some(count),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Some(0),
            Err(_) => None,
        }
    }

    /// Reads at most so much of what is there.
    pub(super) fn receive(&mut self, into: &mut Vec<u8>, most: usize) -> Got {
        let mut bytes = vec![0; most];
        match self.0.read(&mut bytes) {
            Ok(0) => Got::End,
            Ok(count) => {
                into.extend_from_slice(&bytes[..count]);
                Got::Bytes
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Got::Nothing,
            Err(_) => Got::End,
        }
    }

    pub(super) fn end_sending(&self) {
        // The other side may be gone.
        let _ = self.0.shutdown(std::net::Shutdown::Write);
    }
}

/// Connects to the back-end, if a simulation runs.
pub(crate) fn dial() -> Option<Result<Transport, UpstreamError>> {
    LINE.with(|line| {
        if line.refuse.get() {
            line.refused.set(line.refused.get() + 1);
            return Some(Err(UpstreamError::new(Fault::Connect, "refused")));
        }
        let (ours, theirs) = Stream::pair();
        line.dialled.borrow_mut().as_mut()?.push_back(ours);
        Some(Ok(theirs))
    })
}

/// The connections that the gateway has dialled since; from now on it can.
pub(super) fn dialled() -> VecDeque<Stream> {
    LINE.with(|line| {
        line.dialled
            .replace(Some(VecDeque::new()))
            .unwrap_or_default()
    })
}

/// Whether the back-end refuses connections from now on.
pub(super) fn refuse(refuse: bool) {
    LINE.with(|line| line.refuse.set(refuse));
}

/// How often it has refused since.
pub(super) fn refused() -> u64 {
    LINE.with(|line| line.refused.take())
}

/// Drops what was dialled and not taken, and refuses what comes.
pub(super) fn hang_up() {
    dialled();
    refuse(true);
}

struct Line {
    dialled: RefCell<Option<VecDeque<Stream>>>,
    refuse: Cell<bool>,
    refused: Cell<u64>,
}

thread_local! {
    static LINE: Line = const {
        Line { dialled: RefCell::new(None), refuse: Cell::new(false), refused: Cell::new(0) }
    };
}
