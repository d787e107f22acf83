//! A TCP relay with orders: it passes bytes on, until it has to delay, lose, cut or reset them.
//!
//! It stands on either leg of a gateway: before a back-end, or before the gateway itself. One
//! relay thread copies one direction of one connection.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a fault in the harness is a failed test"
)]

mod link;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use self::link::Link;

/// A listening relay; cuts everything and stops when dropped.
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

/// A direction, as seen from whoever connected to the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From what it connects to.
    Down,
    /// To what it connects to.
    Up,
}

/// What happens to bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection ends in both directions, towards both sides, as if its program had exited.
    Cut,
    /// Nothing moves in this direction for so long; then it goes on.
    Delay(Duration),
    /// Bytes of this direction are taken, and go nowhere.
    Lose,
    /// Both sides are reset.
    Reset,
    /// Nothing of this direction is taken any more. After so long, both sides are reset.
    Stall(Duration),
}

/// A fault, and when it strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// In which direction.
    pub way: Way,
    /// How many bytes of that direction pass before. It strikes when the next one arrives.
    pub after: u64,
    /// What happens.
    pub fault: Fault,
}

impl Relay {
    /// Passes everything on, until it is told otherwise.
    pub fn to(target: SocketAddr) -> Self {
        Self::scripted(target, |_| Vec::new())
    }

    /// Has orders for each connection, which are counted from 0.
    pub fn scripted(
        target: SocketAddr,
        script: impl FnMut(usize) -> Vec<Order> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a port");
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let accepting = {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.accept(&listener, target, script))
        };
        Self {
            address,
            shared,
            accepting: Some(accepting),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Orders for the next connection, beside its script's.
    pub fn next(&self, orders: &[Order]) {
        *self.shared.next.lock().unwrap() = orders.to_vec();
    }

    /// Lets a fault strike every living connection at once; stalls and losses when the next byte
    /// of that direction arrives.
    pub fn strike(&self, way: Way, fault: Fault) {
        for link in self.shared.living() {
            link.order(way, fault);
        }
    }

    /// How many connections came.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many of them live: neither ended by both sides nor struck dead.
    pub fn open(&self) -> usize {
        let links = self.shared.living();
        links.iter().filter(|link| !link.is_over()).count()
    }

    /// How many bytes it has passed on in that direction, in all connections.
    pub fn passed(&self, way: Way) -> u64 {
        self.shared.passed[way as usize].load(Ordering::SeqCst)
    }

    /// How many faults have struck.
    pub fn struck(&self) -> usize {
        self.shared.struck.lock().unwrap().values().sum()
    }

    /// How many of them struck one connection; they are counted from 0.
    pub fn struck_on(&self, connection: usize) -> usize {
        let struck = self.shared.struck.lock().unwrap();
        struck.get(&connection).copied().unwrap_or(0)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        // Wakes the accepting thread; where that fails it has already ended.
        drop(TcpStream::connect(self.address));
        if let Some(accepting) = self.accepting.take() {
            accepting
                .join()
                .expect("the accepting thread does not panic");
        }
        for link in self.shared.living() {
            link.cut();
        }
    }
}

#[derive(Default)]
struct Shared {
    connections: AtomicUsize,
    links: Mutex<Vec<Weak<Link>>>,
    next: Mutex<Vec<Order>>,
    passed: [AtomicU64; 2],
    stop: AtomicBool,
    /// By connection.
    struck: Mutex<BTreeMap<usize, usize>>,
}

impl Shared {
    fn accept(
        self: &Arc<Self>,
        listener: &TcpListener,
        target: SocketAddr,
        mut script: impl FnMut(usize) -> Vec<Order>,
    ) {
        for near in listener.incoming() {
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
            let near = near.expect("accepting on loopback works");
            let index = self.connections.fetch_add(1, Ordering::SeqCst);
            let mut orders = script(index);
            orders.append(&mut self.next.lock().unwrap());
            let Ok(far) = TcpStream::connect(target) else {
                // As a router says it: nobody is there.
                link::reset(&near);
                continue;
            };
            let link = Arc::new(Link::new(near, far));
            let mut links = self.links.lock().unwrap();
            links.retain(|link| link.strong_count() > 0);
            links.push(Arc::downgrade(&link));
            drop(links);
            for way in [Way::Down, Way::Up] {
                let (link, shared) = (Arc::clone(&link), Arc::clone(self));
                let orders = orders.iter().filter(|order| order.way == way);
                let mut orders: Vec<_> = orders.map(|order| (order.after, order.fault)).collect();
                orders.sort_by_key(|(after, _)| *after);
                std::thread::spawn(move || {
                    link.pump(
                        way,
                        &orders,
                        |bytes| {
                            shared.passed[way as usize].fetch_add(bytes, Ordering::SeqCst);
                        },
                        || {
                            *shared.struck.lock().unwrap().entry(index).or_default() += 1;
                        },
                    );
                });
            }
        }
    }

    fn living(&self) -> Vec<Arc<Link>> {
        let links = self.links.lock().unwrap();
        links.iter().filter_map(Weak::upgrade).collect()
    }
}

#[cfg(test)]
mod tests;
