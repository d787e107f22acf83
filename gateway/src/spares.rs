//! Descriptors that are kept for bad times: in the place of one, a client can be accepted to be
//! refused when the process's table, or the host's, is full.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::io::{DupFlags, dup3};
use rustix::net::{SocketFlags, accept_with};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};

/// The spare descriptors of all workers: one that a worker lost is not missed while another is
/// there.
///
/// Linux takes a descriptor before it looks for a connection. Thus a worker that gives one up in
/// order to refuse may find it taken: for a moment by another worker's accept, for which nobody
/// waits, or for good by whatever else was opened.
#[derive(Debug)]
pub(crate) struct Spares {
    wanted: usize,
    held: Mutex<Vec<OwnedFd>>,
    /// Whether fewer than wanted are held; so that nobody takes the lock in good times.
    short: AtomicBool,
}

impl Spares {
    /// As many as `wanted`, or as there is room for.
    pub(crate) fn new(wanted: usize) -> Self {
        let spares = Self {
            wanted,
            held: Mutex::default(),
            short: AtomicBool::default(),
        };
        spares.replenish(&mut spares.lock());
        spares
    }

    /// Makes what is missing, if anything is. Where there is no room for that, the place of this
    /// connection is the first that there was: it is reset, and `None`.
    pub(crate) fn complete(&self, stream: TcpStream) -> Option<TcpStream> {
        if !self.short.load(Ordering::Relaxed) {
            return Some(stream);
        }
        let mut held = self.lock();
        if self.replenish(&mut held) {
            return Some(stream);
        }
        // Without its registration with tokio. Should that fail, it is closed, and there is room.
        if let Ok(stream) = stream.into_std() {
            held.extend(reset_into_spare(stream.into()));
        }
        self.replenish(&mut held);
        None
    }

    /// Gives a spare descriptor up for a waiting connection, and resets that. False if nobody
    /// waits, there was none to give up, or somebody else was faster to take it.
    pub(crate) fn refuse_one(&self, socket: &TcpListener) -> bool {
        let mut held = self.lock();
        let waiting = held.pop().and_then(|spare| {
            drop(spare);
            // Not by tokio, which would want to watch it.
            accept_with(socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK).ok()
        });
        let refused = waiting.is_some();
        held.extend(waiting.and_then(reset_into_spare));
        self.replenish(&mut held);
        refused
    }

    /// Whether all are there now. A second descriptor of the standard error stream costs nothing
    /// else.
    fn replenish(&self, held: &mut Vec<OwnedFd>) -> bool {
        while held.len() < self.wanted {
            match std::io::stderr().as_fd().try_clone_to_owned() {
                Ok(spare) => held.push(spare),
                Err(_) => break,
            }
        }
        let whole = held.len() >= self.wanted;
        self.short.store(!whole, Ordering::Relaxed);
        whole
    }

    fn lock(&self) -> MutexGuard<'_, Vec<OwnedFd>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Resets a connection, and puts a spare descriptor into its place in one step, so that nobody
/// else gets the number in between. `None` if the place could not be kept.
fn reset_into_spare(mut connection: OwnedFd) -> Option<OwnedFd> {
    // Should this fail, it is closed in the usual way.
    let _ = SockRef::from(&connection).set_linger(Some(Duration::ZERO));
    dup3(std::io::stderr(), &mut connection, DupFlags::CLOEXEC)
        .is_ok()
        .then_some(connection)
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read};
    use std::net;

    use super::*;

    fn held(spares: &Spares) -> usize {
        spares.lock().len()
    }

    async fn listening() -> (TcpListener, net::SocketAddr) {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        (socket, address)
    }

    fn assert_reset(mut client: net::TcpStream) {
        let error = client.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn a_waiting_connection_is_reset_in_the_place_of_a_spare_descriptor() {
        let (socket, address) = listening().await;
        let spares = Spares::new(2);
        assert!(!spares.refuse_one(&socket), "nobody waits");
        assert_eq!(held(&spares), 2);
        let client = net::TcpStream::connect(address).unwrap();
        assert!(spares.refuse_one(&socket));
        assert_eq!(held(&spares), 2);
        assert_reset(client);
    }

    #[tokio::test]
    async fn who_is_accepted_while_spares_are_missing_leaves_room_for_them() {
        let (socket, address) = listening().await;
        let spares = Spares::new(1);
        let client = net::TcpStream::connect(address).unwrap();
        // As if its place had been taken: not known to be short, and then known.
        spares.lock().clear();
        let (stream, _) = socket.accept().await.unwrap();
        let stream = spares.complete(stream).unwrap();
        assert_eq!(held(&spares), 0);
        spares.short.store(true, Ordering::Relaxed);
        let stream = spares.complete(stream).unwrap();
        assert_eq!(held(&spares), 1);
        drop((stream, client));
    }

    #[tokio::test]
    async fn a_connection_becomes_the_spare_in_its_place() {
        let (socket, address) = listening().await;
        let client = net::TcpStream::connect(address).unwrap();
        let (stream, _) = socket.accept().await.unwrap();
        assert!(reset_into_spare(stream.into_std().unwrap().into()).is_some());
        assert_reset(client);
    }
}
