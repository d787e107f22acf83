//! Keep-alive connections of one worker. Nothing here is shared between threads.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::{Instant, sleep};

use super::{Backends, Gate, Server, Share, UpstreamError};
use crate::telemetry::Cells;
use crate::tls::Transport;

/// The idle connections of one worker, by pool and server.
#[derive(Debug)]
pub(crate) struct Pools {
    backends: Arc<Backends>,
    idle: Vec<Idle>,
    gates: Vec<Rc<Gate>>,
    connect_limit: Duration,
    idle_limit: Duration,
    sweeping: Cell<bool>,
}

/// The idle connections to the servers of one pool, newest last, and whose turn it is.
#[derive(Debug, Default)]
struct Idle {
    servers: Vec<RefCell<Vec<Resting>>>,
    turn: Cell<usize>,
}

#[derive(Debug)]
struct Resting {
    transport: Transport,
    since: Instant,
}

/// A connection to a back-end, taken out of the pool for one exchange.
#[derive(Debug)]
pub(crate) struct Lease {
    /// The connection.
    pub(crate) transport: Transport,
    /// Its receive buffer, empty.
    pub(crate) buffer: BytesMut,
    /// When it was taken.
    pub(crate) since: Instant,
    /// Whether it has served before: only then may a failure be retried (ARCHITECTURE.md, "Retry").
    pub(crate) reused: bool,
    pool: usize,
    server: usize,
}

impl Pools {
    /// Empty pools, and a worker's share of what they take.
    pub(crate) fn new(
        backends: Arc<Backends>,
        timeouts: &config::BackendTimeouts,
        share: Share,
        cells: &Arc<Cells>,
    ) -> Rc<Self> {
        let servers = |pool| {
            backends
                .servers(pool)
                .iter()
                .map(|_| RefCell::default())
                .collect()
        };
        let capacities = || backends.capacities().enumerate();
        let idle = capacities()
            .map(|(pool, _)| Idle {
                servers: servers(pool),
                turn: Cell::new(0),
            })
            .collect();
        let gates = capacities()
            .map(|(pool, capacity)| Gate::new(pool, capacity, share, Arc::clone(cells)))
            .collect();
        Rc::new(Self {
            backends,
            idle,
            gates,
            connect_limit: timeouts.connect,
            idle_limit: timeouts.pool,
            sweeping: Cell::new(false),
        })
    }

    /// A connection to a server of the pool: an idle one unless `fresh` is asked for, else a new
    /// one. Servers take turns; one that cannot be reached is passed over.
    pub(crate) async fn lease(&self, pool: usize, fresh: bool) -> Result<Lease, UpstreamError> {
        let servers = self.backends.servers(pool);
        let first = self.next_turn(pool);
        let mut failure = None;
        for offset in 0..servers.len() {
            let index = (first + offset) % servers.len();
            if !fresh && let Some(lease) = self.reuse(pool, index) {
                return Ok(lease);
            }
            let Some(server) = servers.get(index) else {
                continue;
            };
            match server.connect(self.connect_limit).await {
                Ok(transport) => {
                    return Ok(Lease {
                        since: Instant::now(),
                        transport,
                        buffer: BytesMut::new(),
                        reused: false,
                        pool,
                        server: index,
                    });
                }
                Err(error) => {
                    if offset + 1 < servers.len() {
                        tracing::warn!(server = server.url(), error = %error, "back-end passed over");
                    }
                    failure = Some(error);
                }
            }
        }
        Err(failure.unwrap_or_else(|| {
            UpstreamError::new(policy::Fault::Connect, "the pool has no servers")
        }))
    }

    /// What a request to the pool needs before it takes a connection.
    pub(crate) fn gate(&self, pool: usize) -> Option<&Rc<Gate>> {
        self.gates.get(pool)
    }

    /// The server of a lease.
    pub(crate) fn server(&self, lease: &Lease) -> Option<&Server> {
        self.backends.servers(lease.pool).get(lease.server)
    }

    /// Takes a connection back whose exchange ended cleanly. What the server sent beyond its answer
    /// was not asked for: such a connection is dropped.
    pub(crate) fn give_back(self: &Rc<Self>, lease: Lease, now: Instant) {
        let Some(resting) = self.resting(lease.pool, lease.server) else {
            return;
        };
        if !lease.buffer.is_empty() {
            return;
        }
        resting.borrow_mut().push(Resting {
            transport: lease.transport,
            since: now,
        });
        if !self.sweeping.replace(true) {
            tokio::task::spawn_local(Rc::clone(self).sweep());
        }
    }

    fn reuse(&self, pool: usize, server: usize) -> Option<Lease> {
        let mut resting = self.resting(pool, server)?.borrow_mut();
        let now = Instant::now();
        while let Some(candidate) = resting.pop() {
            if now.duration_since(candidate.since) >= self.idle_limit {
                // The rest is older still.
                resting.clear();
                return None;
            }
            if candidate.transport.is_quiet() {
                return Some(Lease {
                    since: now,
                    transport: candidate.transport,
                    buffer: BytesMut::new(),
                    reused: true,
                    pool,
                    server,
                });
            }
        }
        None
    }

    /// Closes what has been idle for too long, and ends when nothing is idle.
    async fn sweep(self: Rc<Self>) {
        loop {
            sleep(self.idle_limit).await;
            let now = Instant::now();
            let mut left = 0;
            for resting in self.idle.iter().flat_map(|idle| &idle.servers) {
                let mut resting = resting.borrow_mut();
                resting.retain(|each| now.duration_since(each.since) < self.idle_limit);
                left += resting.len();
            }
            if left == 0 {
                self.sweeping.set(false);
                return;
            }
        }
    }

    fn resting(&self, pool: usize, server: usize) -> Option<&RefCell<Vec<Resting>>> {
        self.idle.get(pool)?.servers.get(server)
    }

    fn next_turn(&self, pool: usize) -> usize {
        self.idle.get(pool).map_or(0, |idle| {
            let turn = idle.turn.get();
            idle.turn.set(turn.wrapping_add(1));
            turn % idle.servers.len().max(1)
        })
    }
}
