//! One request stream: its head, the request, and how it all ends.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use bytes::BytesMut;
use policy::Reason;
use quinn::{RecvStream, SendStream};
use tokio::time::Instant;
use wire::h1::{self, Body};
use wire::h3::{Code, Request, SectionError, parse_request};

use super::Shared;
use super::leg::Exchange;
use super::tube::Stream;
use super::upload::{Head, NoHead, Reader};
use super::writer::Writer;
use crate::serve::forward::is_safe;
use crate::serve::pace::{Account, Carried};
use crate::serve::request::{handle, refuse_head};
use crate::timer::IdleTimer;

/// What a request leaves to the next.
#[derive(Debug)]
pub(super) struct Spare {
    timer: IdleTimer,
    /// The memory of an id.
    id: String,
}

/// Turns a request away that came too late, unread.
pub(super) fn reject(shared: &Shared, send: SendStream, receive: RecvStream) {
    let mut writer = Writer::new(send, &shared.said, &shared.turns);
    let mut reader = Reader::new(receive, 0);
    writer.reset(Code::RequestRejected);
    reader.stop(Code::RequestRejected);
    if let Some(cells) = shared.cells() {
        cells.reset_by_gateway(Code::RequestRejected);
    }
}

/// Serves one request.
pub(super) async fn serve(shared: Rc<Shared>, send: SendStream, receive: RecvStream) {
    if let Some(cells) = shared.cells() {
        cells.stream();
    }
    let limit = shared.visitor.front.timeouts.head;
    let spare = shared.spares.borrow_mut().pop();
    let Spare { timer, mut id } = spare.unwrap_or_else(|| Spare {
        timer: IdleTimer::new(limit),
        id: String::new(),
    });
    timer.restart(Instant::now(), limit);
    let reader = Reader::new(receive, shared.max_section());
    let mut exchange = Exchange {
        visitor: Rc::clone(&shared.visitor),
        stream: Stream::new(reader, Writer::new(send, &shared.said, &shared.turns)),
        timer,
        buffer: BytesMut::new(),
        account: Account::default(),
        carried: Carried::default(),
        broken: None,
        cancelled: false,
    };
    shared.worker.ids.write_next(&mut id);
    request(&shared, &mut exchange, &id).await;
    let Exchange {
        mut stream,
        timer,
        broken,
        cancelled,
        ..
    } = exchange;
    let reader = stream.reader.get_mut();
    let fault = reader.fault();
    if let Some(fault) = fault {
        shared.fault(&fault);
    }
    // Whatever is left of it: the answer is whole, and nobody will read more.
    reader.stop(Code::NoError);
    if let Some(cells) = shared.cells() {
        if cancelled {
            let code = reader.reset();
            cells.reset_by_client(code.unwrap_or(Code::RequestCancelled.value()));
        } else if let Some(code) = broken {
            cells.reset_by_gateway(code);
        }
    }
    if broken.is_some() {
        shared.broken.set(shared.broken.get() + 1);
    }
    let writer = stream.writer.into_inner();
    if writer.has_finished() {
        shared.unacknowledged.keep(writer);
    }
    let mut spares = shared.spares.borrow_mut();
    if spares.len() < MOST_SPARES {
        spares.push(Spare { timer, id });
    }
    drop(spares);
    shared.ended(cancelled || fault.is_some());
}

async fn request(shared: &Shared, exchange: &mut Exchange, id: &str) {
    let worker = &shared.worker;
    let head = {
        let head = exchange.stream.reader.get_mut().head();
        tokio::select! {
            biased;
            head = head => head,
            () = exchange.timer.expired() => {
                refuse_head(exchange, worker, Reason::HeadTimeout, id).await;
                return;
            }
        }
    };
    let section = match head {
        Ok(Head::Section(section)) => section,
        Ok(Head::TooLarge) => {
            refuse_head(exchange, worker, Reason::HeadTooLarge, id).await;
            return;
        }
        Err(NoHead::Fault(error)) => return exchange.break_off(error.code()),
        Err(NoHead::Gone) => {
            exchange.cancelled = true;
            return exchange.break_off(Code::RequestCancelled);
        }
    };
    let parsed = {
        let mut arena = shared.arena.borrow_mut();
        let table = worker.table();
        parse_request(&section, shared.max_section(), &mut arena, table, nonce)
    };
    let Request {
        mut message,
        priority,
    } = match parsed {
        Ok(request) => request,
        Err(SectionError::Broken(error)) => {
            shared.fault(&error);
            return exchange.break_off(error.code());
        }
        Err(SectionError::TooLarge) => {
            refuse_head(exchange, worker, Reason::HeadTooLarge, id).await;
            return;
        }
        Err(SectionError::Malformed(h1::HeadError::FieldCount)) => {
            refuse_head(exchange, worker, Reason::HeadTooLarge, id).await;
            return;
        }
        Err(SectionError::Malformed(error)) => {
            refuse_head(exchange, worker, Reason::BadHead(error), id).await;
            return;
        }
    };
    let writer = exchange.stream.writer.get_mut();
    writer.prioritise(priority);
    let reader = exchange.stream.reader.get_mut();
    if message.websocket {
        reader.tunnel();
    } else {
        reader.expect(message.body);
        if message.body == Body::Chunked {
            await_end(exchange, &message).await;
        }
        let reader = exchange.stream.reader.get_mut();
        if message.body == Body::Chunked && reader.is_empty() {
            message.body = Body::Empty;
        }
    }
    handle(exchange, worker, &message, id).await;
    worker.recycle(message.head.recycle());
}

/// Waits until it is known whether a body follows, where it is known at once; or nearly always is: the
/// end of a request that has none is in a packet of its own with some clients. Unknown, it is a body to
/// the back-end, of which some make something else, and the request cannot be sent twice.
async fn await_end(exchange: &mut Exchange, message: &h1::Request) {
    let reader = exchange.stream.reader.get_mut();
    let mut known = pin!(poll_fn(|cx| reader.poll_any(cx)));
    let at_once = poll_fn(|cx| Poll::Ready(known.as_mut().poll(cx).is_ready())).await;
    // Whoever asks for a go-ahead waits for us.
    if at_once || message.expects_continue || !is_safe(message.head.method()) {
        return;
    }
    exchange.timer.restart(Instant::now(), LATE_END);
    tokio::select! {
        biased;
        () = known => {}
        () = exchange.timer.expired() => {}
    }
}

/// The bytes of a WebSocket's key. They only have to differ (RFC 6455 §4.1).
fn nonce() -> [u8; 16] {
    let mut bytes = [0; 16];
    if SystemRandom::new().fill(&mut bytes).is_err() {
        tracing::warn!("no random bytes: a WebSocket's key is not random");
    }
    bytes
}

/// How long the end of a request may take that hardly has a body. RFC 9114 §4.1: a client has to say that
/// it ends.
const LATE_END: Duration = Duration::from_millis(100);

/// As many as a page asks for at once, roughly.
const MOST_SPARES: usize = 16;
