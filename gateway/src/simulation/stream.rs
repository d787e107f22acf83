//! Byte streams within the process: socket pairs, whose every effect is immediate.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use policy::Fault;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::net::TcpStream;

use crate::tcp_info::Traffic;
use crate::tls::Transport;
use crate::upstream::UpstreamError;

/// The model's end of a stream.
pub(super) struct Stream {
    socket: UnixStream,
    /// What the gateway's end would have been told by TCP.
    traffic: Rc<Cell<Traffic>>,
}

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
        }
        // Small, so that the gateway is made to wait; the models need not.
        socket2::SockRef::from(&theirs)
            .set_send_buffer_size(8 * 1024)
            .unwrap();
        let traffic = Rc::default();
        LINE.with(|line| {
            let mut carried = line.carried.borrow_mut();
            carried.insert(theirs.as_raw_fd(), Rc::clone(&traffic));
        });
        let theirs = std::net::TcpStream::from(OwnedFd::from(theirs));
        let theirs = TcpStream::from_std(theirs).unwrap();
        let ours = Self {
            socket: ours,
            traffic,
        };
        (ours, Transport::plain(theirs))
    }

    /// Sends what is taken; `None` if the other side is gone.
    pub(super) fn send(&mut self, bytes: &[u8]) -> Option<usize> {
        match self.socket.write(bytes) {
            Ok(count) => {
                let mut traffic = self.traffic.get();
                traffic.received += count as u64;
                self.traffic.set(traffic);
                Some(count)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Some(0),
            Err(_) => None,
        }
    }

    /// Reads at most so much of what is there.
    pub(super) fn receive(&mut self, into: &mut Vec<u8>, most: usize) -> Got {
        let mut bytes = vec![0; most];
        match self.socket.read(&mut bytes) {
            Ok(0) => Got::End,
            Ok(count) => {
                let mut traffic = self.traffic.get();
                traffic.taken += count as u64;
                self.traffic.set(traffic);
                into.extend_from_slice(&bytes[..count]);
                Got::Bytes
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Got::Nothing,
            Err(_) => Got::End,
        }
    }

    pub(super) fn end_sending(&self) {
        // The other side may be gone.
        let _ = self.socket.shutdown(std::net::Shutdown::Write);
    }

    /// Whether the gateway has closed its end, read to the end or not.
    pub(super) fn is_closed(&self) -> bool {
        self.has(PollFlags::HUP)
    }

    /// Whether nothing that the gateway has written, nor an end, is still to be read.
    pub(super) fn is_read_out(&self) -> bool {
        !self.has(PollFlags::IN)
    }

    fn has(&self, flag: PollFlags) -> bool {
        let mut polled = [PollFd::new(&self.socket, flag)];
        poll(&mut polled, Some(&Timespec::default())).unwrap();
        polled[0].revents().contains(flag)
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

/// What has passed on the gateway's end of a stream, if it is one of a simulation's.
pub(crate) fn traffic(socket: BorrowedFd<'_>) -> Option<Traffic> {
    LINE.with(|line| {
        let carried = line.carried.borrow();
        Some(carried.get(&socket.as_raw_fd())?.get())
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
    /// By the gateway's descriptors; one that is used again is another stream's.
    carried: RefCell<BTreeMap<RawFd, Rc<Cell<Traffic>>>>,
    dialled: RefCell<Option<VecDeque<Stream>>>,
    refuse: Cell<bool>,
    refused: Cell<u64>,
}

thread_local! {
    static LINE: Line = const {
        Line {
            carried: RefCell::new(BTreeMap::new()),
            dialled: RefCell::new(None),
            refuse: Cell::new(false),
            refused: Cell::new(0),
        }
    };
}
