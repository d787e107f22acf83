//! An HTTP/3 client's side of one request.

use std::rc::Rc;
use std::time::SystemTime;

use bytes::BytesMut;
use policy::Reply;
use tokio::time::Instant;
use wire::h1::Request;
use wire::h3::{Code, HeadWriter, push_data_header};
use wire::text::Decimal;

use super::answer::Down;
use super::tube::Stream;
use super::upload::Up;
use super::writer::Queue;
use crate::serve::After;
use crate::serve::leg::{Abort, Leg, Parts, Visitor};
use crate::serve::pace::{Account, Carried, Meter};
use crate::serve::reply::is_head;
use crate::telemetry::Protocol;
use crate::timer::IdleTimer;
use crate::worker::Worker;

/// One request of a client's.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) visitor: Rc<Visitor>,
    pub(super) stream: Stream,
    pub(super) timer: IdleTimer,
    /// What a tunnel has received and not passed on.
    pub(super) buffer: BytesMut,
    pub(super) account: Account,
    pub(super) carried: Carried,
    /// With which code the stream was broken off, if it was.
    pub(super) broken: Option<Code>,
    /// The client gave it up.
    pub(super) cancelled: bool,
}

impl Leg for Exchange {
    const PROTOCOL: Protocol = Protocol::H3;

    type Up<'a> = Up<'a>;
    type Down<'a> = Down<'a>;
    type Tube = Stream;

    fn visitor(&self) -> &Rc<Visitor> {
        &self.visitor
    }

    fn parts<'a>(
        &'a mut self,
        _worker: &'a Worker,
        request: &'a Request,
    ) -> Parts<'a, Up<'a>, Down<'a>> {
        Parts {
            front: &self.visitor.front,
            timer: &self.timer,
            meter: Meter::Stream(&self.carried),
            account: &self.account,
            up: Up {
                reader: self.stream.reader.get_mut(),
                received: &self.carried.received,
                tunnel: request.websocket,
            },
            down: Down {
                writer: self.stream.writer.get_mut(),
                request,
                taken: &self.carried.taken,
            },
        }
    }

    fn tube(&mut self) -> (&Stream, &mut BytesMut, &IdleTimer) {
        (&self.stream, &mut self.buffer, &self.timer)
    }

    async fn departure(&mut self) {
        let gone = self.stream.writer.get_mut().gone();
        gone.await;
    }

    fn sends_already(&mut self) -> bool {
        let reader = self.stream.reader.get_mut();
        reader.has_pending() || reader.has_ended()
    }

    async fn write_continue(&mut self) -> bool {
        let mut bytes = BytesMut::new();
        HeadWriter::answer(&mut bytes, 100).finish();
        self.write_in_time(bytes).await
    }

    async fn reply(&mut self, _worker: &Worker, request: Option<&Request>, reply: &Reply) -> After {
        let (bytes, section) = render(reply, is_head(request));
        let writer = self.stream.writer.get_mut();
        if section > writer.max_section() {
            // The client takes no head at all, so to speak.
            self.break_off(Code::InternalError);
            return After::Abort;
        }
        let written = self.write_in_time(bytes).await;
        if written {
            // The client may have given up meanwhile, which is as well.
            let _ = self.stream.writer.get_mut().finish();
        }
        // What nobody will read need not be sent (RFC 9114 §4.1).
        let reader = self.stream.reader.get_mut();
        let code = reader.fault().map_or(Code::NoError, |fault| fault.code());
        reader.stop(code);
        self.cancelled |= !written;
        match written {
            true => After::KeepAlive,
            false => After::Abort,
        }
    }

    fn abort(&mut self, _request: &Request, abort: Abort) {
        let fault = self.stream.reader.get_mut().fault();
        self.cancelled |= fault.is_none() && matches!(abort, Abort::Client | Abort::Departed);
        let code = match (fault, abort) {
            (Some(fault), _) => fault.code(),
            (None, Abort::BackEnd) => Code::InternalError,
            (None, Abort::Client | Abort::Departed | Abort::Gateway | Abort::Stalled) => {
                Code::RequestCancelled
            }
            // Both directions have ended, or one is cut.
            (None, Abort::Tunnel) => Code::ConnectError,
        };
        self.break_off(code);
    }
}

impl Exchange {
    /// Breaks off what has not ended of the stream.
    pub(super) fn break_off(&mut self, code: Code) {
        if self.stream.writer.get_mut().reset(code) {
            self.broken = Some(code);
        }
        self.stream.reader.get_mut().stop(code);
    }

    /// Writes all of `bytes`; false if the client is gone, or takes nothing for too long.
    async fn write_in_time(&mut self, bytes: BytesMut) -> bool {
        let limit = self.visitor.front.timeouts.body;
        self.timer.restart(Instant::now(), limit);
        let writer = self.stream.writer.get_mut();
        let mut queue = Queue::new(bytes);
        let written = async {
            while !queue.is_empty() {
                writer.write_some(&mut queue).await?;
            }
            std::io::Result::Ok(())
        };
        tokio::select! {
            written = written => written.is_ok(),
            () = self.timer.expired() => false,
        }
    }
}

/// The answer, and the size of its head as RFC 9114 §4.2.2 counts it.
fn render(reply: &Reply, head_only: bool) -> (BytesMut, u64) {
    let mut out = BytesMut::with_capacity(512 + reply.body.len());
    let mut head = HeadWriter::answer(&mut out, reply.status);
    let date = httpdate::fmt_http_date(SystemTime::now());
    head.field(b"date", date.as_bytes());
    for (name, value) in &reply.fields {
        head.field(name.as_bytes(), value.as_bytes());
    }
    head.field(
        b"content-length",
        Decimal::of(reply.body.len() as u64).as_bytes(),
    );
    let section = head.finish();
    if !head_only && !reply.body.is_empty() {
        push_data_header(&mut out, reply.body.len() as u64);
        out.extend_from_slice(reply.body.as_bytes());
    }
    (out, section)
}
