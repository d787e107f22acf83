//! Accepting clients, and turning away those for whom there is no room: at once, by a reset, and
//! without a log line for each.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::yield_now;
use tokio::time::Instant;

use crate::admission::{Full, Place};
use crate::worker::{Worker, connection};

/// Takes connections from a listener for as long as it is polled.
///
/// Clients are refused before the last descriptors are taken. Should there be none all the same
/// (the host's table is full, or the limit was lowered), those who wait are refused one by one in
/// the place of a spare one; without memory that cannot be, and we pause. Connections that were
/// taken before go on.
pub(crate) async fn accept(worker: Rc<Worker>, listener: usize, socket: TcpListener) {
    let spares = &worker.shared.spares;
    loop {
        match socket.accept().await {
            Ok((stream, peer)) => {
                if let Some(stream) = spares.complete(stream) {
                    arrived(&worker, listener, stream, peer);
                } else {
                    refused(&worker, listener, Full::Descriptors);
                }
            }
            Err(error) => {
                let shortage = Shortage::of(&error);
                if shortage == Shortage::Descriptors && !somebody_waits(&socket) {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                worker.cells.accept_failed(listener);
                if let Some(failures) = worker.accept_failures.count() {
                    let listener = worker.listener_name(listener);
                    tracing::warn!(listener, %error, failures, "accept failed");
                }
                match shortage {
                    Shortage::Descriptors if spares.refuse_one(&socket) => {
                        refused(&worker, listener, Full::Descriptors);
                        // A flood of these must not keep the worker from those that it serves.
                        yield_now().await;
                    }
                    Shortage::Descriptors | Shortage::Other => tokio::time::sleep(PAUSE).await,
                    Shortage::None => {}
                }
            }
        }
    }
}

/// Ends a connection with a reset, so that nothing of it stays with the kernel.
pub(crate) fn reset(stream: &TcpStream) {
    if let Err(error) = stream.set_zero_linger() {
        // It is closed in the usual way then.
        tracing::debug!(%error, "no reset");
    }
}

/// Counts a connection that was turned away, and says so now and then.
pub(crate) fn refused(worker: &Worker, listener: usize, full: Full) {
    worker.cells.connection_refused(listener, full);
    if let Some(connections) = worker.refused.count() {
        let listener = worker.listener_name(listener);
        let reason = full.as_str();
        tracing::warn!(listener, reason, connections, "connections refused");
    }
}

/// Something that may happen too often to be logged each time: the first is due, and then one in
/// [`WARNING_PERIOD`], with the number of all since the last.
#[derive(Debug, Default)]
pub(crate) struct Warning {
    last: Cell<Option<Instant>>,
    unsaid: Cell<u64>,
}

impl Warning {
    /// Counts one; how many there are to log, if it is time.
    pub(crate) fn count(&self) -> Option<u64> {
        let unsaid = self.unsaid.get().saturating_add(1);
        let now = Instant::now();
        let recent = |last: Instant| now.duration_since(last) < WARNING_PERIOD;
        if self.last.get().is_some_and(recent) {
            self.unsaid.set(unsaid);
            return None;
        }
        self.unsaid.set(0);
        self.last.set(Some(now));
        Some(unsaid)
    }
}

fn arrived(worker: &Rc<Worker>, listener: usize, stream: TcpStream, peer: SocketAddr) {
    let Some(front) = worker.shared.listeners.get(listener) else {
        debug_assert!(false, "a listener without its front");
        return;
    };
    let admitted = if worker.shared.ceiling.is_reached_by(&stream) {
        Err(Full::Descriptors)
    } else {
        front.admission.admit()
    };
    let place = admitted.and_then(|mut place: Place| {
        // A proxy has to say first whose connection it is.
        if !front.is_proxy(peer.ip()) {
            place.belongs_to(peer.ip())?;
        }
        Ok(place)
    });
    match place {
        Ok(place) => {
            let worker = Rc::clone(worker);
            let front = Arc::clone(front);
            tokio::task::spawn_local(connection(worker, front, listener, stream, peer, place));
        }
        Err(full) => {
            reset(&stream);
            refused(worker, listener, full);
        }
    }
}

/// What keeps a connection from being accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shortage {
    /// The process's or the system's table of descriptors is full.
    Descriptors,
    /// Nothing: this one connection is gone already.
    None,
    /// Memory, or what we do not know.
    Other,
}

impl Shortage {
    fn of(error: &io::Error) -> Self {
        match Errno::from_io_error(error) {
            Some(Errno::MFILE | Errno::NFILE) => Self::Descriptors,
            Some(Errno::CONNABORTED | Errno::CONNRESET) => Self::None,
            _ => Self::Other,
        }
    }
}

/// Whether there is a connection to be accepted. Linux looks for a descriptor first, and says that
/// there is none even if nobody waits: giving a spare one up then would let another worker's
/// connection have it.
fn somebody_waits(socket: &TcpListener) -> bool {
    let mut sockets = [PollFd::new(socket, PollFlags::IN)];
    // Should this fail, accepting finds out.
    poll(&mut sockets, Some(&Timespec::default())).map_or(true, |ready| ready > 0)
}

/// How long a listener waits for memory.
const PAUSE: Duration = Duration::from_millis(50);

/// How often the same thing is logged, at most.
const WARNING_PERIOD: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn warnings_are_few_and_count_what_they_leave_out() {
        let warning = Warning::default();
        assert_eq!(warning.count(), Some(1));
        for _ in 0..5 {
            assert_eq!(warning.count(), None);
        }
        tokio::time::advance(WARNING_PERIOD).await;
        assert_eq!(warning.count(), Some(6));
        assert_eq!(warning.count(), None);
        tokio::time::advance(WARNING_PERIOD * 9).await;
        assert_eq!(warning.count(), Some(2));
    }

    #[test]
    fn only_a_lack_of_descriptors_costs_the_spare_one() {
        for (errno, expected) in [
            (Errno::MFILE, Shortage::Descriptors),
            (Errno::NFILE, Shortage::Descriptors),
            (Errno::CONNABORTED, Shortage::None),
            (Errno::NOMEM, Shortage::Other),
            (Errno::NOBUFS, Shortage::Other),
            (Errno::INVAL, Shortage::Other),
        ] {
            assert_eq!(Shortage::of(&errno.into()), expected, "{errno:?}");
        }
    }

    #[tokio::test]
    async fn nobody_waits_before_somebody_connects() {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        assert!(!somebody_waits(&socket));
        let _client = std::net::TcpStream::connect(socket.local_addr().unwrap()).unwrap();
        assert!(somebody_waits(&socket));
    }
}
