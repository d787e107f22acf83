//! From a client's first packet to a connection that is ready for requests.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use quinn::crypto::rustls::HandshakeData;
use quinn::{Connection, ConnectionError, Endpoint, Incoming};
use tokio::time::{Instant, timeout_at};

use super::Http3;
use crate::accept::refused;
use crate::admission::Place;
use crate::serve::{Http3Client, serve_http3};
use crate::shared::Front;
use crate::worker::{Open, Worker};

/// Takes connections from an endpoint for as long as it is polled.
///
/// While many handshakes are under way, a client must first show that it receives at its address
/// (RFC 9000 §8.1.2): whoever only pretends to have one costs an answer without a state then.
pub(crate) async fn accept(worker: Rc<Worker>, listener: usize, endpoint: Endpoint) {
    let Some(front) = worker.shared.listeners.get(listener).map(Arc::clone) else {
        debug_assert!(false, "a listener without its front");
        return;
    };
    let Some(http3) = &front.http3 else {
        debug_assert!(false, "an endpoint of a listener without HTTP/3");
        return;
    };
    let under_way = Rc::new(Cell::new(0));
    while let Some(incoming) = endpoint.accept().await {
        arrived(&worker, listener, &front, http3, incoming, &under_way);
    }
}

fn arrived(
    worker: &Rc<Worker>,
    listener: usize,
    front: &Arc<Front>,
    http3: &Http3,
    incoming: Incoming,
    under_way: &Rc<Cell<usize>>,
) {
    if !incoming.remote_address_validated() && under_way.get() >= http3.handshakes {
        if let Some(cells) = worker.cells.http3(listener) {
            cells.retry();
        }
        if let Err(error) = incoming.retry() {
            // Only who has proven its address already cannot be asked to, and is not.
            tracing::debug!(%error, "a client was not asked for its address");
        }
        return;
    }
    let peer = incoming.remote_address();
    let admitted = front.admission.admit().and_then(|mut place| {
        place.belongs_to(peer.ip())?;
        Ok(place)
    });
    let place = match admitted {
        Ok(place) => place,
        Err(full) => {
            refused(worker, listener, full);
            return incoming.refuse();
        }
    };
    let (worker, front) = (Rc::clone(worker), Arc::clone(front));
    let handshake = Handshake::new(under_way);
    tokio::task::spawn_local(connection(
        worker, front, listener, incoming, peer, place, handshake,
    ));
}

/// Serves a connection that has a place.
async fn connection(
    worker: Rc<Worker>,
    front: Arc<Front>,
    listener: usize,
    incoming: Incoming,
    peer: SocketAddr,
    _place: Place,
    handshake: Handshake,
) {
    let _open = Open::new(&worker, listener);
    let deadline = Instant::now() + front.timeouts.head;
    let shaken = tokio::select! {
        shaken = timeout_at(deadline, shake(incoming)) => shaken,
        // Nothing was asked yet, so nothing is owed.
        () = worker.drain_begun() => return,
    };
    drop(handshake);
    let connection = match shaken {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return failed(&worker, listener, peer, &error),
        Err(_) => return failed(&worker, listener, peer, &ConnectionError::TimedOut),
    };
    let cells = worker.cells.http3(listener);
    if let Some(cells) = cells {
        cells.handshake();
    }
    let sni = connection
        .handshake_data()
        .and_then(|data| data.downcast::<HandshakeData>().ok())
        .and_then(|data| data.server_name)
        .map(|name| name.to_ascii_lowercase().into());
    // The address that the handshake went to, and so one that was proven. A later one of a client
    // that moves may not be (RFC 9000 §9.3), and is never asked for.
    let client = peer.ip().to_canonical();
    let client = Http3Client::new(front, connection.clone(), listener, client, sni);
    serve_http3(&worker, client).await;
    if let Some(cells) = cells {
        cells.lost(connection.stats().path.lost_packets);
    }
}

async fn shake(incoming: Incoming) -> Result<Connection, ConnectionError> {
    incoming.accept()?.await
}

fn failed(worker: &Worker, listener: usize, peer: SocketAddr, error: &ConnectionError) {
    worker.cells.handshake_failed(listener);
    tracing::debug!(%peer, %error, "QUIC handshake failed");
}

/// A handshake that is under way, until it is dropped.
struct Handshake(Rc<Cell<usize>>);

impl Handshake {
    fn new(under_way: &Rc<Cell<usize>>) -> Self {
        under_way.set(under_way.get() + 1);
        Self(Rc::clone(under_way))
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
