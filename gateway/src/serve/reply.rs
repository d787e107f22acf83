//! Answers that the gateway itself gives.

use std::rc::Rc;
use std::time::SystemTime;

use bytes::BytesMut;
use policy::{Refusal, Reply};
use tokio::time::Instant;
use wire::Method;
use wire::h1::{Request, push_field, push_status_line};

use super::exchange::has_body;
use super::report::Report;
use super::{After, Client};
use crate::outgoing::Outgoing;
use crate::worker::Worker;

impl Client {
    /// Refuses a request whose head was fine.
    pub(super) async fn refuse(
        &mut self,
        worker: &Rc<Worker>,
        request: &Request,
        refusal: &Refusal,
        report: Report<'_>,
    ) -> After {
        let reply = worker.shared.policy.reply(refusal, request.head.query());
        // A body that nobody will read ends the connection: it cannot be told from a next request.
        // So can what follows a refused upgrade.
        let plain = !has_body(request) && !request.websocket;
        let keep = request.keep_alive && plain && !reply.close && !worker.is_draining();
        let head_only = request.head.method() == Method::Head;
        if self
            .write_refusal(worker, refusal, reply, keep, head_only, report)
            .await
            && keep
        {
            After::KeepAlive
        } else {
            After::Linger
        }
    }

    /// Writes a refusal and reports it; false if the client is gone.
    pub(super) async fn write_refusal(
        &mut self,
        worker: &Rc<Worker>,
        refusal: &Refusal,
        reply: Reply,
        keep: bool,
        head_only: bool,
        mut report: Report<'_>,
    ) -> bool {
        worker.cells.refusal(refusal.reason);
        report.decided(refusal.lane, refusal.app, refusal.client, refusal.stripped);
        report.refused(refusal.reason);
        report.answered(reply.status);
        let mut out = Outgoing::default();
        if !head_only {
            report.sent(reply.body.len() as u64);
        }
        out.push(render(&reply, keep, head_only).freeze());
        let written = self.write_in_time(&mut out).await;
        report.finish();
        written
    }
}

impl Client {
    /// Writes all of `out`; false if the client is gone, or takes nothing for too long.
    pub(super) async fn write_in_time(&self, out: &mut Outgoing) -> bool {
        self.timer.restart(Instant::now(), self.front.timeouts.body);
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
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "",
    }
}
