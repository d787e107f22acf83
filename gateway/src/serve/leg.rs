//! What an exchange needs of its client, whatever protocol that speaks.
//!
//! The rules of a request stand once: policy is asked in [`super::request`], a back-end in
//! [`super::forward`] and [`super::exchange`], refusals are made in [`super::reply`], and all that is
//! counted and logged goes through [`super::report`]. A [`Leg`] is what is left of a protocol then:
//! how payload comes and goes, and how a head is written. All of it is static: no call here costs
//! more than if there were one protocol.

use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use policy::{KeptAnswer, OwnFields, Reply};
use wire::h1::{Answer, Chunked, Request};

use super::After;
use super::body::FlowError;
use super::pace::{Account, Meter};
use super::tunnel::Tube;
use crate::shared::Front;
use crate::telemetry::Protocol;
use crate::timer::IdleTimer;
use crate::worker::Worker;

/// Whom a connection's requests come from.
#[derive(Debug)]
pub(crate) struct Visitor {
    /// The listener.
    pub(crate) front: Arc<Front>,
    /// Its index.
    pub(crate) listener: usize,
    /// The client's address.
    pub(crate) peer: IpAddr,
    /// The server name that it asked for, in lower case.
    pub(crate) sni: Option<Box<str>>,
}

/// A client's side of one request.
pub(super) trait Leg {
    /// What it speaks, for logs and metrics.
    const PROTOCOL: Protocol;

    /// The request's body, on its way up.
    type Up<'a>: Upload
    where
        Self: 'a;

    /// The answer, on its way down.
    type Down<'a>: Download
    where
        Self: 'a;

    /// What a WebSocket is relayed over.
    type Tube: Tube;

    /// Whom the request comes from.
    fn visitor(&self) -> &Rc<Visitor>;

    /// The parts of an exchange; one attempt borrows them, and another may follow.
    fn parts<'a>(
        &'a mut self,
        worker: &'a Worker,
        request: &'a Request,
    ) -> Parts<'a, Self::Up<'a>, Self::Down<'a>>;

    /// What a WebSocket is relayed over, what came behind its handshake, and the timer of its
    /// silence.
    fn tube(&mut self) -> (&Self::Tube, &mut BytesMut, &IdleTimer);

    /// Ends when the client is gone, before anything of its request went on.
    async fn departure(&mut self);

    /// Whether the body comes without being asked for by `100 Continue` (RFC 9110 §10.1.1).
    fn sends_already(&mut self) -> bool;

    /// Has the client send its body; false if it is gone or takes nothing.
    async fn write_continue(&mut self) -> bool;

    /// Writes an answer of the gateway's own; `request` is missing where the head was none.
    async fn reply(&mut self, worker: &Worker, request: Option<&Request>, reply: &Reply) -> After;

    /// The exchange broke off: its end must not look like that of a whole answer.
    fn abort(&mut self, request: &Request, abort: Abort);
}

/// Why an exchange broke off after its answer may have begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Abort {
    /// The back-end failed in the middle of its answer.
    BackEnd,
    /// The client is gone, or its message broke off.
    Client,
    /// The client went away before anything was answered.
    Departed,
    /// The gateway ends it: for a session's end, or because it stands still.
    Gateway,
    /// The client takes nothing: what it did not take must not be kept for it.
    Stalled,
    /// A tunnel is over, and both sides know it.
    Tunnel,
}

/// What one attempt borrows of a leg.
pub(super) struct Parts<'a, U, D> {
    /// The listener.
    pub(super) front: &'a Front,
    /// The timer of the exchange.
    pub(super) timer: &'a IdleTimer,
    /// What the client has sent and taken.
    pub(super) meter: Meter<'a>,
    /// What its earlier exchanges paid.
    pub(super) account: &'a Account,
    /// The body.
    pub(super) up: U,
    /// The answer.
    pub(super) down: D,
}

/// Where payload comes from.
pub(super) trait Source {
    /// Takes payload from what was received.
    fn take(&mut self) -> Result<Chunked, FlowError>;

    /// Has more to take, once nothing is left, without asking the kernel; false if there is none.
    fn take_received(&mut self) -> bool;

    /// Receives more; false at an end of the stream that no rule of the message foresees.
    async fn read(&mut self) -> Result<bool, FlowError>;
}

/// A [`Source`] that is a client's.
pub(super) trait Upload: Source {
    /// Waits until the client goes away, once its message is whole. Nothing of what it sends is lost.
    async fn departure(&mut self) -> FlowError;
}

/// Where payload goes, framed as it has to be there.
pub(super) trait Sink {
    /// Queues payload.
    fn push(&mut self, data: Bytes);

    /// Queues the end of the message.
    fn end(&mut self);

    /// Whether nothing is queued.
    fn is_empty(&self) -> bool;

    /// Whether enough is queued that it should be written before more is.
    fn is_full(&self) -> bool;

    /// Writes some of the queue, which must not be empty.
    async fn write_some(&mut self) -> io::Result<()>;

    /// Holds nothing back of what was written.
    async fn flush(&mut self) -> io::Result<()>;
}

/// A client's answer.
pub(super) trait Download {
    /// Its body.
    type Body<'s>: Sink
    where
        Self: 's;

    /// Whether a client of this protocol is told of HTTP/3, where there is it.
    const ANNOUNCES: bool;

    /// Whether what opens a WebSocket is any success (RFC 9220 §3), and not the status 101 alone.
    const OPENS_BY_SUCCESS: bool;

    /// Whether [`Download::gone`] is asked at all times, because the upload cannot tell.
    const TELLS: bool;

    /// Ends when the client is gone, or takes no answer any more, whatever of its request is unread.
    fn gone(&self) -> impl Future<Output = ()> + use<Self>;

    /// Writes an interim answer (RFC 9110 §15.2), unless its head is too large.
    async fn interim(&mut self, answer: &Answer, kept: &KeptAnswer) -> io::Result<()>;

    /// Writes the answer that opens a WebSocket.
    async fn upgrade(
        &mut self,
        answer: &Answer,
        kept: &KeptAnswer,
        own: &OwnFields<'_>,
    ) -> io::Result<Result<(), TooLarge>>;

    /// Begins the final answer with its head, which is queued. Also says whether the client was
    /// told that its connection persists, which `may_persist` allows.
    fn begin(
        &mut self,
        answer: &Answer,
        kept: &KeptAnswer,
        own: &OwnFields<'_>,
        may_persist: bool,
    ) -> Result<(Self::Body<'_>, bool), TooLarge>;
}

/// The head of an answer is larger than the client takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLarge;
