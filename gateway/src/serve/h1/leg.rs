//! An HTTP/1.1 client's side of one request.

use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use policy::Reply;
use wire::Version;
use wire::h1::Request;

use super::Client;
use super::answer::Down;
use super::body::{Decoder, Received};
use crate::outgoing::Outgoing;
use crate::serve::After;
use crate::serve::body::FlowError;
use crate::serve::leg::{Abort, Leg, Parts, Upload, Visitor};
use crate::serve::pace::Meter;
use crate::telemetry::Protocol;
use crate::timer::IdleTimer;
use crate::tls::Transport;
use crate::worker::Worker;

impl Leg for Client {
    const PROTOCOL: Protocol = Protocol::H1;

    type Up<'a> = Received<'a>;
    type Down<'a> = Down<'a>;
    type Tube = Transport;

    fn visitor(&self) -> &Rc<Visitor> {
        &self.visitor
    }

    fn parts<'a>(
        &'a mut self,
        worker: &'a Worker,
        request: &'a Request,
    ) -> Parts<'a, Received<'a>, Down<'a>> {
        Parts {
            front: &self.visitor.front,
            timer: &self.timer,
            meter: Meter::Tcp(&self.transport),
            account: &self.account,
            up: Received {
                from: &self.transport,
                buffer: &mut self.buffer,
                buffers: &worker.buffers,
                decoder: Decoder::from(request.body),
            },
            down: Down {
                client: &self.transport,
                request,
                buffers: &worker.buffers,
                memory: BytesMut::new(),
            },
        }
    }

    fn tube(&mut self) -> (&Transport, &mut BytesMut, &IdleTimer) {
        (&self.transport, &mut self.buffer, &self.timer)
    }

    async fn departure(&mut self) {
        departure(&self.transport, &mut self.buffer).await;
    }

    fn sends_already(&mut self) -> bool {
        !self.buffer.is_empty() || self.transport.take_received(&mut self.buffer)
    }

    async fn write_continue(&mut self) -> bool {
        let mut out = Outgoing::default();
        out.push(Bytes::from_static(b"HTTP/1.1 100 Continue\r\n\r\n"));
        self.write_in_time(&mut out).await
    }

    async fn reply(&mut self, worker: &Worker, request: Option<&Request>, reply: &Reply) -> After {
        self.write_reply(worker, request, reply).await
    }

    fn abort(&mut self, request: &Request, abort: Abort) {
        match abort {
            // The kernel would keep for long what a client does not take.
            Abort::Stalled => {
                if let Err(error) = self.transport.reset_at_end() {
                    tracing::debug!(%error, "a connection that stands still ends without a reset");
                }
            }
            // To HTTP/1.0 an answer may end with its connection, and clients (curl is one) do not
            // mind if close_notify is missing.
            Abort::BackEnd | Abort::Client | Abort::Gateway | Abort::Tunnel => {
                if request.head.version() == Version::Http10
                    && let Err(error) = self.transport.reset_at_end()
                {
                    tracing::warn!(%error, "an answer that was cut short may look whole");
                }
            }
            Abort::Departed => {}
        }
    }
}

impl Upload for Received<'_> {
    async fn departure(&mut self) -> FlowError {
        departure(self.from, self.buffer).await
    }
}

/// Waits until the client goes away. What it sends meanwhile is its body's, or the next request's; a
/// little of it is kept, the rest waits in the kernel.
///
/// A client that ends its direction is taken to be gone, so that the back-end need not go on
/// working for a closed browser tab. (RFC 9112 §9.6 lets a server do so; with TLS, no client of
/// Connect half-closes.)
async fn departure(client: &Transport, buffer: &mut BytesMut) -> FlowError {
    loop {
        if buffer.len() >= AHEAD {
            client.ended().await;
            return FlowError::Ended;
        }
        if buffer.capacity() == buffer.len() {
            buffer.reserve(AHEAD);
        }
        match client.read(buffer).await {
            Ok(0) => return FlowError::Ended,
            Ok(_) => {}
            Err(error) => return FlowError::Read(error),
        }
    }
}

/// How much a client may send ahead of its next turn, roughly.
const AHEAD: usize = 4 * 1024;
