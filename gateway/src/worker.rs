//! One worker: a pinned thread with its own runtime, listeners, pools and counters.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use gateway_ebpf::connection_id::Home;
use quinn::Endpoint;
use rustix::thread::{CpuSet, sched_setaffinity};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Notify, watch};
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep_until, timeout};
use wire::Field;
use wire::h3::Code;

use crate::accept::{Warning, accept, refused};
use crate::admission::Place;
use crate::arrival::{Arrival, Failed, arrive};
use crate::auth;
use crate::buffers::Buffers;
use crate::listen::Sockets;
use crate::quic::{self, Http3};
use crate::request_id::RequestIds;
use crate::serve::{Client, serve};
use crate::shared::{Front, Shared};
use crate::telemetry::{AccessLog, Cells, Entry};
use crate::upstream::{Pools, Share};

/// What a worker is started with.
#[derive(Debug)]
pub(crate) struct Start {
    /// Its number, from 0.
    pub(crate) index: usize,
    /// The process's number, which its QUIC connection IDs name.
    pub(crate) generation: u16,
    /// The CPU to run on.
    pub(crate) cpu: Option<usize>,
    /// Its own sockets, by listener index.
    pub(crate) sockets: Vec<Sockets>,
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
        let served = runtime.block_on(self.serve());
        // The lookup of a name hangs for as long as its resolver does: nobody waits for it.
        runtime.shutdown_background();
        served
    }

    async fn serve(self) -> io::Result<()> {
        let Self {
            index,
            generation,
            sockets,
            shared,
            cells,
            log,
            mut drain,
            ..
        } = self;
        let home = Home {
            generation,
            // There is no machine with so many processors.
            worker: u16::try_from(index).unwrap_or(u16::MAX),
        };
        let worker = Worker::new(shared, index, cells, log)?;
        let mut accepting = Vec::new();
        let mut endpoints = Vec::new();
        for (listener, Sockets { tcp, udp }) in sockets.into_iter().enumerate() {
            let socket = TcpListener::from_std(tcp)?;
            accepting.push(spawn_local(accept(Rc::clone(&worker), listener, socket)));
            if let Some(socket) = udp
                && let Some(endpoint) = worker.endpoint(listener, home, socket)?
            {
                let accept = quic::accept(Rc::clone(&worker), listener, endpoint.clone());
                accepting.push(spawn_local(accept));
                endpoints.push(endpoint);
            }
        }
        // An error means that the control thread is gone: then drain at once.
        let end = match drain.wait_for(Option::is_some).await {
            Ok(end) => end.unwrap_or_else(Instant::now),
            Err(_) => Instant::now(),
        };
        for task in accepting {
            task.abort();
        }
        for endpoint in &endpoints {
            // Whoever comes now gets no answer, and tries TCP.
            endpoint.set_server_config(None);
        }
        worker.drained(end).await;
        for endpoint in endpoints {
            endpoint.close(quic::wire_code(Code::NoError), b"");
            // What was said last is on its way after one turn of the driver; nobody waits for more.
            let _ = timeout(FAREWELL, endpoint.wait_idle()).await;
        }
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
    /// Connections that could not be accepted.
    pub(crate) accept_failures: Warning,
    /// Connections for which there was no room.
    pub(crate) refused: Warning,
    proxy_faults: Warning,
    index: usize,
    connections: Cell<usize>,
    draining: Cell<bool>,
    /// When tunnels begin to close, once a drain has begun.
    tunnels_close: Cell<Option<Instant>>,
    changed: Notify,
    log: AccessLog,
}

impl Worker {
    pub(crate) fn new(
        shared: Arc<Shared>,
        index: usize,
        cells: Arc<Cells>,
        log: AccessLog,
    ) -> io::Result<Rc<Self>> {
        Ok(Rc::new(Self {
            auth: auth::Local::new(Arc::clone(&shared.authenticator)),
            pools: Pools::new(
                Arc::clone(&shared.backends),
                &shared.timeouts,
                Share {
                    index,
                    of: shared.workers,
                },
                &cells,
            ),
            log,
            cells,
            ids: RequestIds::new()?,
            buffers: Buffers::default(),
            tables: RefCell::default(),
            accept_failures: Warning::default(),
            refused: Warning::default(),
            proxy_faults: Warning::default(),
            index,
            connections: Cell::new(0),
            draining: Cell::new(false),
            tunnels_close: Cell::new(None),
            changed: Notify::new(),
            shared,
        }))
    }

    /// The QUIC endpoint of a listener that serves HTTP/3.
    fn endpoint(
        &self,
        listener: usize,
        home: Home,
        socket: UdpSocket,
    ) -> io::Result<Option<Endpoint>> {
        let front = self.shared.listeners.get(listener);
        let http3 = front.and_then(|front| front.http3.as_ref());
        debug_assert!(http3.is_some(), "a UDP socket of a listener without HTTP/3");
        let serve = |http3: &Http3| {
            let secrets = &self.shared.secrets;
            http3.endpoint(secrets, home, socket, &self.cells, listener)
        };
        http3.map(serve).transpose()
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

    /// Ends when tunnels have to close so that they are over when a drain's time is. Until then
    /// they are left alone: whoever works in one would lose that work.
    pub(crate) async fn tunnels_close(&self) {
        self.drain_begun().await;
        if let Some(at) = self.tunnels_close.get() {
            sleep_until(at).await;
        }
    }

    /// A listener's name, for logs.
    pub(crate) fn listener_name(&self, listener: usize) -> &str {
        let front = self.shared.listeners.get(listener);
        front.map_or("", |front| &front.name)
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
            spawn_local(async move {
                tokio::time::sleep(LOG_DELAY).await;
                worker.log.flush();
            });
        }
    }

    /// Ends when the last connection has, or at `end`.
    async fn drained(self: &Rc<Self>, end: Instant) {
        let left = end.saturating_duration_since(Instant::now());
        let closing = TUNNEL_CLOSING.min(left / 2);
        self.tunnels_close.set(end.checked_sub(closing));
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

/// Serves a connection that has a place.
pub(crate) async fn connection(
    worker: Rc<Worker>,
    front: Arc<Front>,
    listener: usize,
    stream: TcpStream,
    peer: SocketAddr,
    place: Place,
) {
    let _open = Open::new(&worker, listener);
    let deadline = Instant::now() + front.timeouts.head;
    let arrived = tokio::select! {
        // Boxed: what a handshake needs goes when it is over.
        arrived = Box::pin(arrive(&front, stream, peer, place, deadline)) => arrived,
        // Nothing was asked yet, so nothing is owed.
        () = worker.drain_begun() => return,
    };
    match arrived {
        Ok(Arrival {
            transport,
            sni,
            client,
            place: _place,
        }) => {
            let client = Client::new(front, transport, listener, client, sni);
            serve(&worker, client).await;
        }
        Err(Failed::Full(full)) => refused(&worker, listener, full),
        Err(Failed::Gone) => {}
        Err(Failed::Proxy(fault)) => {
            worker.cells.proxy_protocol_failed(listener);
            if let Some(faults) = worker.proxy_faults.count() {
                let listener = &*front.name;
                tracing::warn!(listener, %peer, %fault, faults, "connections refused");
            }
        }
        Err(Failed::Tls(error)) => {
            worker.cells.handshake_failed(listener);
            tracing::debug!(%peer, %error, "TLS handshake failed");
        }
    }
}

/// Counts a connection for as long as it lives, whatever ends it.
pub(crate) struct Open<'a> {
    worker: &'a Worker,
    listener: usize,
}

impl<'a> Open<'a> {
    pub(crate) fn new(worker: &'a Worker, listener: usize) -> Self {
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

/// How long a WebSocket that the gateway ends may take to do so.
pub(crate) const TUNNEL_CLOSING: Duration = Duration::from_secs(2);

/// How long the ends of HTTP/3 connections may take to leave.
const FAREWELL: Duration = Duration::from_millis(100);

/// How late an access-log line may be.
const LOG_DELAY: Duration = Duration::from_millis(100);

/// Field tables kept for reuse; as many as requests are parsed at once, roughly.
pub(crate) const TABLES_KEPT: usize = 64;
