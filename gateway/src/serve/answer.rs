//! The answer on its way down: interim answers, the final head, its body.

use std::io;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use policy::{Fault, Forward, KeptAnswer};
use wire::h1::{Answer, AnswerBody, HeadEnd, Request, parse_answer, push_field, push_status_line};
use wire::text::Decimal;
use wire::{Method, Name, Version};

use super::body::{Decoder, Flow, FlowError};
use super::progress::Progress;
use super::report::Report;
use super::session;
use crate::buffers::Size;
use crate::outgoing::Outgoing;
use crate::tls::Transport;
use crate::upstream::UpstreamError;
use crate::worker::Worker;

/// Reads one request's answer from a back-end and writes it to the client.
pub(super) struct Answerer<'a, 'r> {
    pub(super) worker: &'a Rc<Worker>,
    pub(super) request: &'a Request,
    pub(super) forward: &'a Forward,
    /// How many fields a head may have.
    pub(super) header_fields: usize,
    pub(super) upstream: &'a Transport,
    pub(super) buffer: &'a mut BytesMut,
    pub(super) client: &'a Transport,
    pub(super) progress: &'a Progress<'a>,
    pub(super) report: &'a mut Report<'r>,
}

/// A complete answer.
#[derive(Debug)]
pub(super) enum Answered {
    /// An answer with its body.
    Final {
        /// Whether the client was told that its connection persists.
        keep_client: bool,
        /// Whether the back-end's connection persists.
        keep_upstream: bool,
    },
    /// 101: what follows is a tunnel.
    Upgraded,
}

/// What ended an answer early.
#[derive(Debug)]
pub(super) enum AnswerError {
    /// The client takes no more.
    Client(io::Error),
    /// The session of the visitor for whom it was.
    Session,
    /// The back-end.
    Upstream(UpstreamError),
}

impl Answerer<'_, '_> {
    pub(super) async fn run(mut self) -> Result<Answered, AnswerError> {
        for _ in 0..MAX_INTERIM {
            let bytes = self.head().await?;
            let method = self.request.head.method();
            let websocket = self.request.websocket;
            let answer = parse_answer(bytes, self.worker.table(), method, websocket)
                .map_err(|error| bad_answer(&error.to_string()))?;
            if answer.head.fields().len() > self.header_fields {
                return Err(bad_answer("its head has too many fields"));
            }
            match answer.head.status() {
                // The gateway has answered `Expect` by itself.
                100 => {}
                101 => return self.upgrade(&answer).await,
                102..=199 => self.interim(&answer).await?,
                _ => return self.finish(answer).await,
            }
            self.worker.recycle(answer.head.recycle());
        }
        Err(bad_answer("too many interim answers"))
    }

    async fn head(&mut self) -> Result<Bytes, AnswerError> {
        let limit = self.worker.shared.max_head;
        let mut end = HeadEnd::default();
        loop {
            if !self.buffer.is_empty() {
                match end.find(self.buffer) {
                    Ok(Some(length)) if length <= limit => {
                        return Ok(self.buffer.split_to(length).freeze());
                    }
                    Ok(None) if self.buffer.len() <= limit => {}
                    Ok(_) => return Err(bad_answer("its head is too large")),
                    Err(error) => return Err(bad_answer(&error.to_string())),
                }
            }
            let read = self
                .worker
                .buffers
                .read(self.upstream, self.buffer, HEAD_ROOM, Size::Large);
            match read.await {
                Ok(0) => {
                    let detail = "the connection ended before the answer";
                    return Err(AnswerError::Upstream(UpstreamError::new(
                        Fault::Closed,
                        detail,
                    )));
                }
                Ok(_) => {
                    self.progress.answered.set(true);
                    self.progress.touch();
                }
                Err(error) => {
                    return Err(AnswerError::Upstream(UpstreamError::io(
                        "waiting for the answer",
                        &error,
                    )));
                }
            }
        }
    }

    /// Passes an interim answer on (RFC 9110 §15.2), but not to HTTP/1.0, which knows none.
    async fn interim(&mut self, answer: &Answer) -> Result<(), AnswerError> {
        if self.request.head.version() == Version::Http10 {
            return Ok(());
        }
        let mut head = BytesMut::with_capacity(HEAD_CAPACITY);
        push_status_line(&mut head, answer.head.status(), answer.head.reason());
        self.write_kept(answer, &mut head);
        head.extend_from_slice(b"\r\n");
        self.write(head).await
    }

    async fn upgrade(&mut self, answer: &Answer) -> Result<Answered, AnswerError> {
        let mut head = BytesMut::with_capacity(HEAD_CAPACITY);
        push_status_line(&mut head, 101, b"Switching Protocols");
        self.write_kept(answer, &mut head);
        self.forward
            .write_session(&self.worker.shared.policy, &mut head);
        push_field(&mut head, b"Connection", b"Upgrade");
        push_field(&mut head, b"Upgrade", b"websocket");
        head.extend_from_slice(b"\r\n");
        self.report.begun(101);
        self.progress.down.accepted.set(true);
        self.write(head).await?;
        Ok(Answered::Upgraded)
    }

    async fn finish(mut self, answer: Answer) -> Result<Answered, AnswerError> {
        let http10 = self.request.head.version() == Version::Http10;
        let framing = Framing::of(answer.body, http10);
        let keep_client = self.request.keep_alive
            && framing != Framing::Close
            && self.progress.uploaded()
            && !self.worker.is_draining()
            // What follows a refused upgrade may be meant for the protocol that was refused
            // (Pingora's CVE-2026-2833).
            && !self.request.websocket;
        let mut head = self.worker.buffers.lend();
        push_status_line(&mut head, answer.head.status(), answer.head.reason());
        self.write_kept(&answer, &mut head);
        self.forward
            .write_session(&self.worker.shared.policy, &mut head);
        self.write_framing(&answer, framing, &mut head);
        if !keep_client {
            push_field(&mut head, b"Connection", b"close");
        } else if http10 {
            push_field(&mut head, b"Connection", b"keep-alive");
        }
        head.extend_from_slice(b"\r\n");
        self.report.begun(answer.head.status());

        let mut out = Outgoing::default();
        out.push(head.split().freeze());
        let flow = Flow {
            from: self.upstream,
            buffer: self.buffer,
            buffers: &self.worker.buffers,
            decoder: Decoder::from(answer.body),
            to: self.client,
            chunked: framing == Framing::Chunked,
            limit: None,
            progress: self.progress,
            side: &self.progress.down,
        };
        let keep_upstream = answer.keep_alive;
        // Before the body, which may take days: the head's memory is the receive buffer's.
        self.worker.recycle(answer.head.recycle());
        let deeds = &self.progress.up.moved;
        let over = session::ended_later(self.worker, self.forward, deeds);
        let relayed = tokio::select! {
            biased;
            relayed = flow.run(out) => relayed,
            // What has a length has an end of its own, and is of use as a whole only.
            () = over, if framing != Framing::Plain => return Err(AnswerError::Session),
        };
        self.worker.buffers.give_back(&mut head);
        match relayed {
            Ok(()) => Ok(Answered::Final {
                keep_client,
                keep_upstream,
            }),
            Err(FlowError::Write(error)) => Err(AnswerError::Client(error)),
            Err(FlowError::Read(error)) => Err(AnswerError::Upstream(UpstreamError::io(
                "reading the answer",
                &error,
            ))),
            Err(FlowError::Ended) => {
                let detail = "the connection ended in the middle of the answer";
                Err(AnswerError::Upstream(UpstreamError::new(
                    Fault::Closed,
                    detail,
                )))
            }
            Err(error @ (FlowError::Bad(_) | FlowError::TooLarge)) => {
                Err(bad_answer(&error.to_string()))
            }
        }
    }

    fn write_kept(&mut self, answer: &Answer, head: &mut BytesMut) {
        let kept = KeptAnswer::of(&answer.head);
        self.report.answer_stripped(kept.stripped);
        kept.write_fields(&answer.head, head);
    }

    fn write_framing(&self, answer: &Answer, framing: Framing, head: &mut BytesMut) {
        match (framing, answer.body) {
            (Framing::Chunked, _) => push_field(head, b"Transfer-Encoding", b"chunked"),
            (Framing::Plain, AnswerBody::Length(length)) => {
                push_field(head, b"Content-Length", Decimal::of(length).as_bytes());
            }
            // The length that a GET would have had (RFC 9110 §8.6); 204 has none.
            (Framing::Plain, AnswerBody::Empty)
                if self.request.head.method() == Method::Head && answer.head.status() != 204
                    || answer.head.status() == 304 =>
            {
                if let Some(length) = answer.head.fields().only(Name::ContentLength) {
                    push_field(head, b"Content-Length", length);
                }
            }
            _ => {}
        }
    }

    async fn write(&self, head: BytesMut) -> Result<(), AnswerError> {
        let mut out = Outgoing::default();
        out.push(head.freeze());
        let written = async {
            self.client.write_all(&mut out).await?;
            self.client.flush().await
        };
        written.await.map_err(AnswerError::Client)?;
        self.progress.touch();
        Ok(())
    }
}

/// How an answer's body is framed for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// As chunks.
    Chunked,
    /// By the end of the connection.
    Close,
    /// By its length, or it is empty.
    Plain,
}

impl Framing {
    fn of(body: AnswerBody, http10: bool) -> Self {
        match body {
            AnswerBody::Empty | AnswerBody::Length(_) => Self::Plain,
            AnswerBody::Chunked | AnswerBody::UntilClose if http10 => Self::Close,
            AnswerBody::Chunked | AnswerBody::UntilClose => Self::Chunked,
        }
    }
}

fn bad_answer(why: &str) -> AnswerError {
    let detail = format!("the back-end's answer is not strict HTTP: {why}");
    AnswerError::Upstream(UpstreamError::new(Fault::BadAnswer, detail))
}

/// More interim answers than this are a flood.
const MAX_INTERIM: usize = 16;

/// An answer's head, and usually the whole of a small answer.
const HEAD_ROOM: usize = 16 * 1024;

/// Most heads fit.
const HEAD_CAPACITY: usize = 1024;
