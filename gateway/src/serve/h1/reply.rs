//! Answers of the gateway's own, to an HTTP/1.1 client.

use std::time::SystemTime;

use bytes::BytesMut;
use policy::Reply;
use tokio::time::Instant;
use wire::h1::{Request, push_field, push_status_line};

use super::Client;
use crate::outgoing::Outgoing;
use crate::serve::After;
use crate::serve::exchange::has_body;
use crate::serve::reply::is_head;
use crate::worker::Worker;

impl Client {
    /// Writes an answer of the gateway's own.
    pub(super) async fn write_reply(
        &self,
        worker: &Worker,
        request: Option<&Request>,
        reply: &Reply,
    ) -> After {
        // A body that nobody will read ends the connection: it cannot be told from a next request.
        // So can what follows a refused upgrade. What follows something that is no head has no
        // certain meaning at all.
        let plain =
            |request: &Request| request.keep_alive && !has_body(request) && !request.websocket;
        let keep = request.is_some_and(plain) && !reply.close && !worker.is_draining();
        let mut out = Outgoing::default();
        out.push(render(reply, keep, is_head(request)).freeze());
        if self.write_in_time(&mut out).await && keep {
            After::KeepAlive
        } else {
            After::Linger
        }
    }

    /// Writes all of `out`; false if the client is gone, or takes nothing for too long.
    pub(super) async fn write_in_time(&self, out: &mut Outgoing) -> bool {
        let limit = self.visitor.front.timeouts.body;
        self.timer.restart(Instant::now(), limit);
        let written = async {
            self.transport.write_all(out).await?;
            self.transport.flush().await
        };
        tokio::select! {
            written = written => written.is_ok(),
            () = self.timer.expired() => false,
        }
    }
}

fn render(reply: &Reply, keep: bool, head_only: bool) -> BytesMut {
    let mut out = BytesMut::with_capacity(512 + reply.body.len());
    push_status_line(&mut out, reply.status, phrase(reply.status).as_bytes());
    let date = httpdate::fmt_http_date(SystemTime::now());
    push_field(&mut out, b"Date", date.as_bytes());
    for (name, value) in &reply.fields {
        push_field(&mut out, name.as_bytes(), value.as_bytes());
    }
    push_field(
        &mut out,
        b"Content-Length",
        reply.body.len().to_string().as_bytes(),
    );
    if !keep {
        push_field(&mut out, b"Connection", b"close");
    }
    out.extend_from_slice(b"\r\n");
    if !head_only {
        out.extend_from_slice(reply.body.as_bytes());
    }
    out
}

/// The reason phrases of RFC 9110 §15 for the statuses that the gateway gives.
fn phrase(status: u16) -> &'static str {
    match status {
        307 => "Temporary Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        408 => "Request Timeout",
        413 => "Content Too Large",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "",
    }
}
