//! One worker: a pinned thread with its own runtime, listeners, pools and counters.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::thread::{CpuSet, sched_setaffinity};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};
use wire::Field;

use crate::auth;
use crate::buffers::Buffers;
use crate::request_id::RequestIds;
use crate::serve::{Client, serve};
use crate::shared::Shared;
use crate::telemetry::{AccessLog, Cells, Entry};
use crate::upstream::Pools;

/// What a worker is started with.
#[derive(Debug)]
pub(crate) struct Start {
    /// Its number, from 0.
    pub(crate) index: usize,
    /// The CPU to run on.
    pub(crate) cpu: Option<usize>,
    /// Its own listening sockets, by listener index.
    pub(crate) sockets: Vec<std::net::TcpListener>,
    /// What all workers share.
    pub(crate) shared: Arc<Shared>,
    /// Its counters.
    pub(crate) cells: Arc<Cells>,
    /// Its end of the access log.
    pub(crate) log: AccessLog,
    /// Becomes the end of the drain when it begins.
    pub(crate) drain: watch::Receiver<Option<Instant>>,
}

impl Start {
    /// Starts the thread.
    pub(crate) fn spawn(self) -> io::Result<thread::JoinHandle<io::Result<()>>> {
        let name = format!("worker-{}", self.index);
        thread::Builder::new().name(name).spawn(move || self.run())
    }

    fn run(self) -> io::Result<()> {
        if let Some(cpu) = self.cpu {
            let mut set = CpuSet::new();
            set.set(cpu);
            // Pinning is worth having, not worth failing for: a cpuset may have changed meanwhile.
            if let Err(error) = sched_setaffinity(None, &set) {
                tracing::warn!(worker = self.index, cpu, %error, "not pinned to its CPU");
            }
        }
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build_local(LocalOptions::default())?;
        runtime.block_on(self.serve())
    }

    async fn serve(self) -> io::Result<()> {
        let Self {
            index,
            sockets,
            shared,
            cells,
            log,
            mut drain,
            ..
        } = self;
        let worker = Worker::new(shared, index, cells, log)?;
        let mut accepting = Vec::new();
        for (listener, socket) in sockets.into_iter().enumerate() {
            let socket = TcpListener::from_std(socket)?;
            accepting.push(tokio::task::spawn_local(accept(
                Rc::clone(&worker),
                listener,
                socket,
            )));
        }
        // An error means that the control thread is gone: then drain at once.
        let end = match drain.wait_for(Option::is_some).await {
            Ok(end) => end.unwrap_or_else(Instant::now),
            Err(_) => Instant::now(),
        };
        for task in accepting {
            task.abort();
        }
        worker.drained(end).await;
        Ok(())
    }
}

/// One worker's state; everything in it belongs to its thread.
pub(crate) struct Worker {
    /// What all workers share.
    pub(crate) shared: Arc<Shared>,
    /// Answers policy's questions.
    pub(crate) auth: auth::Local,
    /// Connections to back-ends.
    pub(crate) pools: Rc<Pools>,
    /// Counters.
    pub(crate) cells: Arc<Cells>,
    /// Request ids.
    pub(crate) ids: RequestIds,
    /// Receive buffers.
    pub(crate) buffers: Buffers,
    /// A field table for the next head.
    pub(crate) tables: RefCell<Vec<Vec<Field>>>,
    index: usize,
    connections: Cell<usize>,
    draining: Cell<bool>,
    changed: Notify,
    log: AccessLog,
}

impl Worker {
    fn new(
        shared: Arc<Shared>,
        index: usize,
        cells: Arc<Cells>,
        log: AccessLog,
    ) -> io::Result<Rc<Self>> {
        Ok(Rc::new(Self {
            auth: auth::Local::new(Arc::clone(&shared.authenticator)),
            pools: Pools::new(Arc::clone(&shared.backends), &shared.timeouts),
            log,
            cells,
            ids: RequestIds::new()?,
            buffers: Buffers::default(),
            tables: RefCell::default(),
            index,
            connections: Cell::new(0),
            draining: Cell::new(false),
            changed: Notify::new(),
            shared,
        }))
    }

    /// Whether no further request is to be taken on any connection.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Ends when draining begins (or a connection ends; look at [`Self::is_draining`]).
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Ends when draining has begun.
    pub(crate) async fn drain_begun(&self) {
        while !self.is_draining() {
            self.changed().await;
        }
    }

    /// An emptied field table.
    pub(crate) fn table(&self) -> Vec<Field> {
        self.tables.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes a field table back.
    pub(crate) fn recycle(&self, table: Vec<Field>) {
        let mut tables = self.tables.borrow_mut();
        if tables.len() < TABLES_KEPT {
            tables.push(table);
        }
    }

    /// Writes a line to the access log; it is shipped within [`LOG_DELAY`].
    pub(crate) fn log(self: &Rc<Self>, entry: &Entry<'_>) {
        if self.log.line(entry) {
            let worker = Rc::clone(self);
            tokio::task::spawn_local(async move {
                tokio::time::sleep(LOG_DELAY).await;
                worker.log.flush();
            });
        }
    }

    /// Ends when the last connection has, or at `end`.
    async fn drained(self: &Rc<Self>, end: Instant) {
        self.draining.set(true);
        self.changed.notify_waiters();
        let all_ended = async {
            while self.connections.get() > 0 {
                self.changed().await;
            }
        };
        tokio::select! {
            () = all_ended => {}
            () = sleep_until(end) => {
                tracing::warn!(
                    worker = self.index,
                    connections = self.connections.get(),
                    "drain time is over: cutting connections"
                );
            }
        }
        self.log.flush();
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Worker({})", self.index)
    }
}

async fn accept(worker: Rc<Worker>, listener: usize, socket: TcpListener) {
    let mut failures: u32 = 0;
    loop {
        match socket.accept().await {
            Ok((stream, peer)) => {
                failures = 0;
                tokio::task::spawn_local(connection(Rc::clone(&worker), listener, stream, peer));
            }
            Err(error) => {
                // Out of descriptors or memory, or the peer is gone already: none is a reason to
                // stop, and none to spin.
                failures = failures.saturating_add(1);
                if failures.is_power_of_two() {
                    tracing::warn!(listener, %error, failures, "accept failed");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(worker: Rc<Worker>, listener: usize, stream: TcpStream, peer: SocketAddr) {
    let _open = Open::new(&worker, listener);
    let Some(front) = worker.shared.listeners.get(listener) else {
        return;
    };
    let limit = worker.shared.timeouts.head;
    let accepted = tokio::select! {
        // Boxed: what a handshake needs goes when it is over.
        accepted = timeout(limit, Box::pin(front.acceptor.accept(stream))) => accepted,
        // Nothing was asked yet, so nothing is owed.
        () = worker.drain_begun() => return,
    };
    match accepted {
        Ok(Ok((transport, sni))) => {
            let peer = canonical(peer.ip());
            serve(
                &worker,
                Client::new(&worker, transport, listener, peer, sni),
            )
            .await;
        }
        Ok(Err(error)) => {
            worker.cells.handshake_failed(listener);
            tracing::debug!(%peer, %error, "TLS handshake failed");
        }
        Err(_) => {
            worker.cells.handshake_failed(listener);
            tracing::debug!(%peer, "TLS handshake timed out");
        }
    }
}

/// Counts a connection for as long as it lives, whatever ends it.
struct Open<'a> {
    worker: &'a Worker,
    listener: usize,
}

impl<'a> Open<'a> {
    fn new(worker: &'a Worker, listener: usize) -> Self {
        worker.connections.set(worker.connections.get() + 1);
        worker.cells.connection_opened(listener);
        Self { worker, listener }
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.worker
            .connections
            .set(self.worker.connections.get() - 1);
        self.worker.cells.connection_closed(self.listener);
        if self.worker.is_draining() {
            self.worker.changed.notify_waiters();
        }
    }
}

/// An IPv4 client on a dual-stack listener is an IPv4 client.
fn canonical(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

/// How long an accept failure pauses a listener.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How late an access-log line may be.
const LOG_DELAY: Duration = Duration::from_millis(100);

/// Field tables kept for reuse; as many as requests are parsed at once, roughly.
const TABLES_KEPT: usize = 64;
