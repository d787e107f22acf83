//! Serving one HTTP/3 connection (RFC 9114): a task for each request, which meets the same rules as
//! HTTP/1.1's.

mod answer;
mod leg;
mod request;
mod streams;
mod tube;
mod turns;
mod unacknowledged;
mod upload;
mod writer;

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::net::IpAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use bytes::BytesMut;
use quinn::{Connection, ConnectionError, SendStream};
use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep_until, timeout};
use wire::h3::{Code, ControlStream, Error, PeerStreams, Settings, Side, push_goaway};

use self::request::Spare;
use self::streams::Said;
use self::turns::Turns;
use self::unacknowledged::Unacknowledged;
use super::DRAIN_GRACE;
use super::leg::Visitor;
use crate::quic::wire_code;
use crate::shared::Front;
use crate::telemetry::Http3Cells;
use crate::timer::IdleTimer;
use crate::worker::Worker;

/// A client's connection.
#[derive(Debug)]
pub(crate) struct Http3Client {
    visitor: Rc<Visitor>,
    connection: Connection,
    timer: IdleTimer,
}

impl Http3Client {
    /// A connection after its handshake.
    pub(crate) fn new(
        front: Arc<Front>,
        connection: Connection,
        listener: usize,
        peer: IpAddr,
        sni: Option<Box<str>>,
    ) -> Self {
        Self {
            connection,
            timer: IdleTimer::new(front.timeouts.head),
            visitor: Rc::new(Visitor {
                front,
                listener,
                peer,
                sni,
            }),
        }
    }
}

/// Serves a connection until it and all its requests have ended.
pub(crate) async fn serve_http3(worker: &Rc<Worker>, client: Http3Client) {
    let Http3Client {
        visitor,
        connection,
        timer,
    } = client;
    let shared = Rc::new(Shared {
        worker: Rc::clone(worker),
        visitor,
        connection,
        peer_streams: RefCell::new(PeerStreams::new(Side::Server)),
        control: RefCell::new(ControlStream::new(Side::Server)),
        said: Rc::default(),
        opened: Cell::new(0),
        useless: Cell::new(0),
        turns: Rc::default(),
        unacknowledged: Unacknowledged::default(),
        arena: RefCell::default(),
        spares: RefCell::default(),
        open: Cell::new(0),
        cancelled: Cell::new(0),
        broken: Cell::new(0),
        changed: Notify::new(),
    });
    let limit = shared.visitor.front.timeouts.head;
    let error = match timeout(limit, shared.open_control()).await {
        Ok(Ok(control)) => shared.serve(&timer, control).await,
        Ok(Err(error)) => error,
        Err(_) => {
            // RFC 9114 §6.2: a client has to have room for it.
            shared.end(Code::GeneralProtocolError, "no room for a control stream");
            return;
        }
    };
    if let ConnectionError::ApplicationClosed(close) = &error
        && let Some(cells) = shared.cells()
        && Code::of(close.error_code.into_inner()) != Some(Code::NoError)
    {
        cells.reset_by_client(close.error_code.into_inner());
    }
    // Each request finds out by itself, and is reported.
    while shared.open.get() > 0 {
        shared.changed.notified().await;
    }
}

/// What the tasks of a connection share.
#[derive(Debug)]
struct Shared {
    worker: Rc<Worker>,
    visitor: Rc<Visitor>,
    connection: Connection,
    peer_streams: RefCell<PeerStreams>,
    control: RefCell<ControlStream>,
    /// What the client said of the answers that it wants.
    said: Rc<Said>,
    /// The number of the request stream behind the last that came.
    opened: Cell<u64>,
    /// Streams of no use since the last request.
    useless: Cell<u32>,
    /// In which order those write that wait for room.
    turns: Rc<Turns>,
    /// Answers that are on their way.
    unacknowledged: Unacknowledged,
    /// The memory of decoded heads.
    arena: RefCell<BytesMut>,
    /// What requests that are over leave to those that come.
    spares: RefCell<Vec<Spare>>,
    /// Requests under way.
    open: Cell<usize>,
    /// Requests that the client gave up or broke, beyond those that were answered.
    cancelled: Cell<u32>,
    /// Answers that we broke off.
    broken: Cell<u32>,
    /// Tells that a request has ended.
    changed: Notify,
}

impl Shared {
    /// Opens our control stream (RFC 9114 §6.2.1). Without a dynamic table there is nothing to say on
    /// the two streams of QPACK, which then need not be (RFC 9204 §4.2).
    async fn open_control(&self) -> Result<SendStream, ConnectionError> {
        let mut stream = self.connection.open_uni().await?;
        let mut bytes = BytesMut::new();
        let settings = Settings {
            max_field_section_size: Some(self.max_section()),
            enable_connect_protocol: true,
        };
        settings.push_control_stream(&mut bytes);
        self.write_control(&mut stream, bytes).await;
        Ok(stream)
    }

    /// Takes requests until the connection is over; why it is.
    async fn serve(self: &Rc<Self>, timer: &IdleTimer, mut control: SendStream) -> ConnectionError {
        // The number of the request that comes next.
        let mut next = 0;
        let mut leaving = false;
        let mut stopped = pin!(control.stopped());
        // Whether that was heard.
        let mut told = false;
        // Since when there is no request, if there is none.
        let mut idle_since = Some(Instant::now());
        // How many STREAM frames had been sent when the end was looked for, and since when.
        let mut sent = None;
        loop {
            if !leaving && self.broken.get() >= MOST_BROKEN {
                leaving = true;
                self.go_away(&mut control, next).await;
            }
            match (self.open.get(), idle_since) {
                (0, None) => {
                    let now = Instant::now();
                    timer.restart(now, self.visitor.front.timeouts.idle);
                    idle_since = Some(now);
                }
                (0, Some(_)) => {}
                (_, _) => idle_since = None,
            }
            // What was written last may still be on its way, and would be lost: over a slow network
            // for long, and longer over one that fails for a while. What is sent again counts as sent.
            let look = idle_since
                .filter(|_| leaving)
                .map(|since| since + DRAIN_GRACE / 2);
            tokio::select! {
                biased;
                error = self.connection.closed() => return error,
                stream = self.connection.accept_bi() => {
                    let (send, receive) = match stream {
                        Ok(stream) => stream,
                        Err(error) => return error,
                    };
                    self.opened.set(u64::from(send.id()) + 4);
                    if leaving {
                        // RFC 9114 §5.2: it may be sent again, on another connection.
                        request::reject(self, send, receive);
                        continue;
                    }
                    next = self.opened.get();
                    self.open.set(self.open.get() + 1);
                    self.useless.set(0);
                    self.control.borrow_mut().note_request();
                    // Boxed: tokio moves what it is given several times.
                    spawn_local(Box::pin(request::serve(Rc::clone(self), send, receive)));
                }
                stream = self.connection.accept_uni() => match stream {
                    Ok(stream) => drop(spawn_local(streams::read(Rc::clone(self), stream))),
                    Err(error) => return error,
                },
                stopped = &mut stopped, if !told => {
                    told = true;
                    // Else the connection is over, which is seen above.
                    if let Ok(Some(_)) = stopped {
                        self.control_stopped();
                    }
                }
                () = self.changed.notified() => {}
                () = until(look) => {
                    let now = Instant::now();
                    let frames = self.connection.stats().frame_tx.stream;
                    let since = match sent {
                        Some((before, since)) if before == frames => since,
                        _ => now,
                    };
                    let limit = match self.unacknowledged.have_arrived() {
                        true => DRAIN_GRACE / 2,
                        false => self.visitor.front.timeouts.body,
                    };
                    if now - since >= limit {
                        self.end(Code::NoError, "");
                    }
                    sent = Some((frames, since));
                    idle_since = Some(now);
                }
                () = timer.expired(), if idle_since.is_some() && !leaving => {
                    leaving = true;
                    // What the client asks for meanwhile is turned away, and so not lost.
                    idle_since = Some(Instant::now());
                    self.go_away(&mut control, next).await;
                }
                () = self.worker.drain_begun(), if !leaving => {
                    leaving = true;
                    self.go_away(&mut control, next).await;
                }
            }
        }
    }

    /// Says from which request on none will be served (RFC 9114 §5.2).
    async fn go_away(&self, control: &mut SendStream, next: u64) {
        let mut bytes = BytesMut::new();
        push_goaway(&mut bytes, next);
        if timeout(DRAIN_GRACE, self.write_control(control, bytes))
            .await
            .is_err()
        {
            tracing::debug!(peer = %self.visitor.peer, "a client has no room to be told to go");
        }
    }

    async fn write_control(&self, stream: &mut SendStream, bytes: BytesMut) {
        if let Err(error) = stream.write_chunk(bytes.freeze()).await {
            tracing::debug!(%error, "a client hears nothing of its connection");
            if let quinn::WriteError::Stopped(_) = error {
                self.control_stopped();
            }
        }
    }

    /// RFC 9114 §6.2.1: neither side may do without it.
    fn control_stopped(&self) {
        self.end(Code::ClosedCriticalStream, "the control stream was stopped");
    }

    /// Notes a unidirectional stream that is of no use. Some are in order (RFC 9114 §6.2.3), and any
    /// number of them costs work for nothing (§10.5).
    fn note_useless_stream(&self) {
        self.useless.set(self.useless.get() + 1);
        if self.useless.get() > MOST_USELESS {
            self.end(Code::ExcessiveLoad, "too many streams of no use");
        }
    }

    /// Ends the connection for a fault of the client's; a fault of one stream is that stream's.
    fn fault(&self, error: &Error) {
        if let Error::Connection { code, why } = *error {
            self.end(code, why);
        }
    }

    /// Ends the connection.
    fn end(&self, code: Code, why: &str) {
        if code != Code::NoError {
            tracing::debug!(peer = %self.visitor.peer, %code, why, "HTTP/3 connection closed");
            if let Some(cells) = self.cells() {
                cells.reset_by_gateway(code);
            }
        }
        self.connection.close(wire_code(code), why.as_bytes());
    }

    /// Notes how a request ended. A client that gives up nearly all that it begins makes work without
    /// end for nothing (rapid reset), and is told so; and so is one that has us break off what it began,
    /// by its faults.
    fn ended(&self, given_up: bool) {
        let count = self.cancelled.get();
        let count = match given_up {
            true => count + 1,
            false => count.saturating_sub(1),
        };
        self.cancelled.set(count);
        if count > MOST_CANCELLED {
            self.end(Code::ExcessiveLoad, "most requests are given up");
        }
        self.open.set(self.open.get() - 1);
        self.changed.notify_one();
    }

    fn cells(&self) -> Option<&Http3Cells> {
        self.worker.cells.http3(self.visitor.listener)
    }

    /// The largest field section, in bytes as RFC 9114 §4.2.2 counts them.
    fn max_section(&self) -> u64 {
        self.worker.shared.max_head as u64
    }
}

/// Ends at that time, if there is one.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

/// Requests that a client may give up more than it lets us answer. A page with hundreds of pictures
/// that somebody scrolls through stays below.
const MOST_CANCELLED: u32 = 256;

/// Answers that are broken off on one connection before the client is sent to another: for each, quinn
/// keeps some memory as long as the connection is there (who waits to be told that a stream was
/// stopped is forgotten only when it was, or has ended in order).
const MOST_BROKEN: u32 = 512;

/// Unidirectional streams of no use between two requests.
const MOST_USELESS: u32 = 64;
